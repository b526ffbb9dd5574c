"""How far the base medium of a dosing is off itself, and what comes of it in the vessels that get it.

The base medium was pipetted, too. All vessels get it out of one batch, so of its error they are off together: it shifts
every arm alike and does not blur what differs between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import hypot

from nkloop.errors import PlanError, Problem
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.models import PreparedErrors, Uncertainty
from nkloop.worklists.plans import CompositionRow, MediumSource

ASSUMED = Uncertainty(cv_percent=3.0, bias_percent=5.0)
"""Of every component of a base medium that was made elsewhere; a working value nobody has verified."""


ROOM_PERCENT = 0.25
"""Of the limits, what a base medium leaves to the doses that come into it."""
_MARGIN_PERCENT = 0.05
"""Asked of a better base medium beyond what is needed: in another volume it changes the doses a little."""


class BaseOffError(PlanError):
    """What a base medium brings into vessels is predicted to be off beyond the limits; a better one may do."""

    needed = ErrorLimits()
    """What a base medium has to keep for the vessels to keep their limits."""


def with_room(limits: ErrorLimits) -> ErrorLimits:
    """What a medium aims at that arms add something to, so that the limits still hold in their vessels."""
    return limits.less(ROOM_PERCENT, ROOM_PERCENT)


def assumed(base: MediumSource, why: str) -> MediumSource:
    """The base medium with `ASSUMED` errors, because nothing is known of how it was made.

    Args:
        base: that stands on the deck.
        why: the reason, as a clause: `no run of this workspace made it`.
    """
    told = f"assumed: {ASSUMED.cv_percent:g} % CV and {ASSUMED.bias_percent:g} % systematic error each, because {why}"
    return base.model_copy(update={"errors": dict.fromkeys(base.per_ul, ASSUMED), "errors_from": told})


def prepared_errors(base: MediumSource, also: Iterable[str] = ()) -> tuple[PreparedErrors, ...]:
    """What a worklist keeps of the errors of its base medium; nothing when they are not known.

    Args:
        base: that stands on the deck.
        also: lots of other fillings that are of the same batch.
    """
    if not base.errors:
        return ()
    errors = {name: error for name, error in base.errors.items() if base.per_ul.get(name, 0.0) > 0}
    return (PreparedErrors(lots=(base.lot, *also), errors=errors, origin=base.errors_from, run=base.prepared_by),)


def that_are_known(errors: Mapping[str, Uncertainty], base: MediumSource) -> dict[str, Uncertainty]:
    """Predicted errors without those of components that the base medium brings and has no error of."""
    return {name: one for name, one in errors.items() if name in base.errors or base.per_ul.get(name, 0.0) <= 0}


def in_vessel(
    base: MediumSource,
    by_hand_ul: float,
    dose: tuple[Mapping[str, float], float],
    errors: Mapping[str, Uncertainty],
    amounts: Mapping[str, float],
) -> dict[str, Uncertainty]:
    """Predicted errors of what the base medium brings into a vessel, from a dose tube and by hand.

    The batch is the same in both; what people run in is taken as measured exactly.

    Args:
        base: of both.
        by_hand_ul: run in by people.
        dose: contents per µL of the tube and the volume of it that reaches the vessel.
        errors: predicted in the tube, those of the base medium counted.
        amounts: what the vessel holds afterwards, by component.
    """
    tube, dose_ul = dose
    found = {}
    for name, own in base.errors.items():
        in_base, amount = base.per_ul.get(name, 0.0), amounts.get(name, 0.0)
        if in_base > 0 and amount > 0:
            dosed = tube.get(name, 0.0) * dose_ul / amount
            share = dosed + in_base * by_hand_ul / amount
            both = errors.get(name, own)
            alone_cv = max(0.0, both.cv_percent**2 - own.cv_percent**2) ** 0.5
            alone_bias = max(0.0, both.bias_percent - own.bias_percent)
            found[name] = Uncertainty(
                cv_percent=hypot(alone_cv * dosed, own.cv_percent * share),
                bias_percent=alone_bias * dosed + own.bias_percent * share,
            )
    return found


def dosed_and_brought(
    rows: Iterable[CompositionRow], base: MediumSource
) -> tuple[list[CompositionRow], list[CompositionRow]]:
    """Rows of what is dosed, and of what the base medium brings."""
    told: tuple[list[CompositionRow], list[CompositionRow]] = ([], [])
    for row in rows:
        told[base.per_ul.get(row.component, 0.0) > 0].append(row)
    return told


def refuse_brought(rows: Iterable[CompositionRow], base: MediumSource, limits: ErrorLimits) -> None:
    """Refuse a plan in which what the base medium brings is predicted to be off beyond the limits.

    No other way of dosing mends that, only another base medium.

    Raises:
        BaseOffError: with every component beyond one, in the vessel where it is off most.
    """
    rows = list(rows)
    problems = tuple(_beyond(rows, base, limits))
    if problems:
        error = BaseOffError(problems[0].message)
        error.problems, error.needed = problems, _needed(rows, base, limits)
        raise error


def _needed(rows: Iterable[CompositionRow], base: MediumSource, limits: ErrorLimits) -> ErrorLimits:
    """The limits less what the way into the vessels adds to the error of the base medium, where that is too much."""
    left = {"cv_percent": limits.cv_percent, "bias_percent": limits.bias_percent}
    for row in rows:
        for field, limit in (("cv_percent", limits.cv_percent), ("bias_percent", limits.bias_percent)):
            value = getattr(row, field)
            if value is not None and value > limit:
                added = max(0.0, value - getattr(base.errors[row.component], field))
                left[field] = min(left[field], limit - added - _MARGIN_PERCENT)
    return ErrorLimits(**{field: max(0.01, round(value, 2)) for field, value in left.items()})


def _beyond(rows: list[CompositionRow], base: MediumSource, limits: ErrorLimits) -> Iterator[Problem]:
    for title, field, option in (("CV", "cv_percent", "--max-cv"), ("systematic error", "bias_percent", "--max-bias")):
        limit = getattr(limits, field)
        worst: dict[str, CompositionRow] = {}
        for row in rows:
            value = getattr(row, field)
            known = worst.get(row.component)
            if value is not None and value > limit and (known is None or value > getattr(known, field)):
                worst[row.component] = row
        for name, row in worst.items():
            own = getattr(base.errors[name], field)
            yield Problem(
                f"predicted {title} of {name} is {getattr(row, field):.2f} %, at most {limit:g} % is allowed; the base "
                f"medium alone is predicted to be off by {own:.2f} %{_instead(base)}",
                row.destination,
                f"prepare the base medium with a lower {option} or in a larger volume, or raise the limit",
            )


def _instead(base: MediumSource) -> str:
    return f"; {base.passed_over}" if base.passed_over else ""


def note(base: MediumSource, *, by_hand: bool, kept: bool) -> tuple[str, ...]:
    """What the predicted errors count of the base medium, and what they do not; before it why another is passed over.

    Args:
        base: that stands on the deck.
        by_hand: whether people run some of it in.
        kept: whether vessels keep contents they had.
    """
    if base.passed_over:
        told = f"Base medium {base.passed_over}."
        return (told, *note(base.model_copy(update={"passed_over": ""}), by_hand=by_hand, kept=kept))
    if not base.errors:
        return (f"Predicted errors: those of base medium {base.barcode} are not known, so what it brings has none.",)
    exact = [
        *(["what people run in counts as measured exactly"] if by_hand else []),
        *(["what was in the vessels counts as known exactly"] if kept else []),
    ]
    told = "".join(f"; {one}" for one in exact)
    return (
        f"Predicted errors count those of base medium {base.barcode} ({base.errors_from}): {_largest(base)}. All "
        f"vessels get it from one batch and are off by them together, so they do not blur what differs between arms"
        f"{told}.",
    )


def _largest(base: MediumSource) -> str:
    cv = max(base.errors, key=lambda name: base.errors[name].cv_percent)
    bias = max(base.errors, key=lambda name: base.errors[name].bias_percent)
    one, other = base.errors[cv].cv_percent, base.errors[bias].bias_percent
    return f"up to {one:.2f} % CV ({cv}) and {other:.2f} % systematic error ({bias})"
