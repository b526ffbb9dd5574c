"""What a plan does not dose: what the base medium, a cell suspension and the medium before leave in a vessel.

Serum, heparin and others of the stage come with the base medium and are thinned by whatever comes without them. What
only the medium before has is carried along by as much as stays of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from nkloop.quantities import Amount
from nkloop.recipes.models import Recipe, Stage
from nkloop.worklists.composition import composition_row, composition_rows
from nkloop.worklists.models import Uncertainty
from nkloop.worklists.plans import CompositionRow
from nkloop.worklists.strength import in_unit

CARRIED_SHARE = 0.05
"""Share of the concentration before above which what a stage has not is warned of; a working value."""
UNDOSED = "it comes with the base medium alone; doses, cells and what stood there thin it"
"""Why what nobody doses is off target."""
THINNED = "it comes with the base medium alone; the doses thin it"
"""Why what nobody doses is off target in the medium of an arm."""
_TRACE = 1e-6


def is_known(recipe: Recipe, per_ul: Mapping[str, float]) -> bool:
    """Whether contents are told as a whole, not the dosed components alone: a base liquid is among them."""
    return any(one.name in per_ul for one in recipe.components if one.role == "base")


def undosed_rows(
    recipe: Recipe,
    stage: Stage,
    dosed: Collection[str],
    per_ul: Mapping[str, float],
    destination: str,
    errors: Mapping[str, Uncertainty] | None = None,
) -> tuple[CompositionRow, ...]:
    """One row per component of the stage that is not dosed, and one per component that is there without being of it.

    Args:
        recipe: with its stages and components.
        stage: whose medium is wanted.
        dosed: components that have rows already.
        per_ul: what the vessel holds, canonical concentrations.
        destination: what holds it.
        errors: predicted, by component, of what is not dosed.
    """
    medium = stage.medium
    rest = [i for i in medium.additives if i.component not in dosed]
    mine = {i.component for i in medium.ingredients} | set(dosed)
    found = composition_rows(rest, per_ul, destination, errors)
    rows = [row.model_copy(update={"basis": "undosed", "why": UNDOSED if row.why else ""}) for row in found]
    known = {one.name: one for one in recipe.components if one.role != "base"}
    for name, value in per_ul.items():
        like = _highest(recipe, name)
        if name in mine or name not in known or like is None or value <= _TRACE * like.canonical:
            continue
        expected = in_unit(value, like, name)
        told = {"target": 0.0, "expected": expected, "unit": like.unit, "share": None, "error": None}
        row = composition_row(destination, name, **told)  # type: ignore[arg-type]
        rows.append(row.model_copy(update={"basis": "carried"}))
    return tuple(rows)


def _highest(recipe: Recipe, component: str) -> Amount | None:
    """The highest concentration of a component in the media of a recipe; None when none has it."""
    amounts = [a.of(component) for s in recipe.stages if (a := s.medium.amount_of(component)) is not None]
    return max(amounts, key=lambda one: one.canonical, default=None)


def by_destination(rows: Iterable[CompositionRow]) -> tuple[CompositionRow, ...]:
    """The rows of each vessel together, vessels in the order they come first."""
    found: dict[str, list[CompositionRow]] = {}
    for row in rows:
        found.setdefault(row.destination, []).append(row)
    return tuple(row for some in found.values() for row in some)


def undosed_warnings(
    rows: Iterable[CompositionRow], tolerance_percent: float, why: str, remedy: str
) -> tuple[str, ...]:
    """One sentence for what the stage has, nobody doses, and is off target; the worst vessel of each is told.

    Args:
        rows: of all vessels.
        tolerance_percent: deviation that is not told.
        why: what makes the difference.
        remedy: what would bring it on target.
    """

    def deviation(row: CompositionRow) -> float:
        return abs(row.deviation_percent or 0.0)

    off = _worst((row for row in rows if row.basis == "undosed" and deviation(row) > tolerance_percent), deviation)
    named = ", ".join(
        f"{row.component} {row.expected:.3g} instead of {row.target:.3g} {row.unit} in {row.destination}" for row in off
    )
    return (f"off target and not dosed: {named}; {why}. Remedy: {remedy}",) if off else ()


def carried_warnings(rows: Iterable[CompositionRow], stage: Stage, before: Stage | None) -> tuple[str, ...]:
    """One sentence for what the stage has not and the medium before brings along beyond `CARRIED_SHARE`.

    Args:
        rows: of all vessels.
        stage: that excludes it.
        before: stage whose medium was in the vessels; None when it was that of the stage itself.
    """
    if before is None:
        return ()
    old = before.medium

    def share(row: CompositionRow) -> float:
        like = old.amount_of(row.component)
        return 1.0 if like is None else row.expected / like.magnitude_in(row.unit)

    beyond = _worst((row for row in rows if row.basis == "carried" and share(row) > CARRIED_SHARE), share)
    named = ", ".join(
        f"{row.component} {row.expected:.3g} {row.unit} ({100 * share(row):.0f} % of it) in {row.destination}"
        for row in beyond
    )
    limit = f"more than {100 * CARRIED_SHARE:g} % of its concentration before is told"
    return (f"medium of {before.id} brings what stage {stage.id} has not: {named}; {limit}",) if beyond else ()


def _worst(rows: Iterable[CompositionRow], size: Callable[[CompositionRow], float]) -> list[CompositionRow]:
    """The row with the largest size of each component, in the order they come."""
    found: dict[str, CompositionRow] = {}
    for row in rows:
        if row.component not in found or size(row) > size(found[row.component]):
            found[row.component] = row
    return list(found.values())


def carried_note(shares: Sequence[float], before: Stage | None) -> tuple[str, ...]:
    """How much of the vessels' volume is the medium of another stage; nothing when none is kept."""
    kept = [100 * share for share in shares if share > 0]
    if not kept or before is None:
        return ()
    span = f"{min(kept):.3g} %" if max(kept) - min(kept) < 0.05 else f"{min(kept):.3g} to {max(kept):.3g} %"
    return (
        f"{span} of the volume afterwards is medium of {before.id}, carried along with the cells; what the table has "
        "no column for is taken as the recipe has it.",
    )


def remains_warnings(rows: Iterable[CompositionRow]) -> tuple[str, ...]:
    """One sentence per component that vessels still hold although their arm shall have none of it."""
    left: dict[str, list[CompositionRow]] = {}
    for row in rows:
        if row.basis == "dosed" and row.target == 0 and row.expected > 0:
            left.setdefault(row.component, []).append(row)
    return tuple(
        f"{component} remains where the arm shall have none: {most.expected:.3g} {most.unit} in {most.destination}"
        f"{f' and less in {len(some) - 1} more' if len(some) > 1 else ''}; it leaves with the next exchanges only"
        for component, some in left.items()
        for most in (max(some, key=lambda row: row.expected),)
    )
