"""The base medium of a dosing: how it is ordered, and how far off it is when it is made by that order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from math import ceil

from nkloop.errors import NkloopError, PlanError
from nkloop.quantities import Amount
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import Recipe, Stage
from nkloop.worklists.bag_beginnings import prepared_ml
from nkloop.worklists.base_errors import assumed
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.dosing_event import BASE
from nkloop.worklists.lots import Stocks
from nkloop.worklists.medium import plan_media
from nkloop.worklists.medium_vessels import usable_ul
from nkloop.worklists.models import Worklist
from nkloop.worklists.plans import MediumOrder, MediumSource

NO_LIMITS = ErrorLimits(cv_percent=100, bias_percent=100)
_GROWTH = 1.2
"""Factor between the volumes of which the first that is accurate enough is taken."""


def order_of(
    base: MediumSource, stage: Stage, dosed: Sequence[str], by_hand_ul: float, catalogue: LabwareLookup
) -> MediumOrder:
    """How the base medium is ordered that a dosing takes: one batch for the deck and for people.

    Args:
        base: as the dosing takes it.
        stage: whose medium it is.
        dosed: components the arms add.
        by_hand_ul: what people take of it besides the robot.
        catalogue: labware types by load name.
    """
    by_hand_ml = prepared_ml(by_hand_ul) if by_hand_ul else 0.0
    ml = (base.volume_ul - catalogue[base.load_name].dead_volume_ul) / 1000 + by_hand_ml
    return MediumOrder(
        stage_id=stage.id,
        volume=Amount.parse(f"{ml:.4g} mL"),
        omit=tuple(name for name in dosed if stage.medium.amount_of(name) is not None),
        barcode=base.barcode,
        load_name=base.load_name,
    )


def order_in(
    worklist: Worklist, stage: Stage, dosed: Sequence[str], by_hand_ul: float, catalogue: LabwareLookup
) -> MediumOrder | None:
    """How the base medium is ordered that the first run of a dosing takes; None when it takes none."""
    poured = next((one for one in worklist.fillings if one.labware == BASE), None)
    if poured is None:
        return None
    item = worklist.item(BASE)
    base = MediumSource(
        barcode=str(item.barcode),
        load_name=item.load_name,
        well=poured.well,
        per_ul=poured.liquid.per_ul,
        volume_ul=poured.volume_ul,
    )
    return order_of(base, stage, dosed, by_hand_ul, catalogue)


def as_ordered(
    base: MediumSource,
    order: MediumOrder,
    recipe: Recipe,
    stocks: Stocks,
    deck: BenchDeck,
    catalogue: LabwareLookup,
    *,
    limits: ErrorLimits,
    today: date,
) -> MediumSource:
    """The base medium as it stands when it is made by its order with the lots at hand, with its predicted errors.

    Args:
        base: as the dosing takes it.
        order: that makes it.
        recipe: of its stage.
        stocks: lots at hand; when they do not allow it, it is taken as made elsewhere, with assumed errors.
        deck: of the bench.
        catalogue: labware types by load name.
        limits: it is held to where that can be done; the dosing tells what is beyond them otherwise.
        today: first day of its shelf life.
    """
    until = today + timedelta(days=recipe.stage(order.stage_id).medium.shelf_life.to("d"))
    why = ""
    for aim in (limits, NO_LIMITS):
        try:
            made = plan_media(recipe, [order], stocks, deck, catalogue, use_until=until, today=today, limits=aim)
        except NkloopError as error:
            why = error.problems[0].message
            continue
        return _with_errors(base, made.sources[0]).model_copy(update={"volume_ul": made.sources[0].volume_ul})
    return assumed(base, f"it cannot be planned with the lots at hand ({why})")


def made_within(
    base: MediumSource,
    order: MediumOrder,
    recipe: Recipe,
    stocks: Stocks,
    deck: BenchDeck,
    catalogue: LabwareLookup,
    *,
    limits: ErrorLimits,
    today: date,
) -> MediumSource | None:
    """The base medium made within certain limits, as little more of it as that takes.

    Args:
        base: as the dosing takes it.
        order: that makes it.
        recipe: of its stage.
        stocks: lots at hand.
        deck: of the bench.
        catalogue: labware types by load name.
        limits: of its predicted errors.
        today: first day of its shelf life.

    Returns:
        None when no volume that its vessel holds is accurate enough.

    Raises:
        ShortageError: the lots do not hold enough.
    """
    until = today + timedelta(days=recipe.stage(order.stage_id).medium.shelf_life.to("d"))
    asked_ml = order.volume.to("mL")
    for ml in _volumes(asked_ml, usable_ul(catalogue[base.load_name]) / 1000):
        larger = order.model_copy(update={"volume": Amount.parse(f"{ml:.4g} mL")})
        with suppress(PlanError):
            made = plan_media(recipe, [larger], stocks, deck, catalogue, use_until=until, today=today, limits=limits)
            volume = round(base.volume_ul + 1000 * (ml - asked_ml), 2)
            return _with_errors(base, made.sources[0]).model_copy(update={"volume_ul": volume})
    return None


def ordered(
    base: MediumSource,
    order: MediumOrder,
    within: ErrorLimits | None,
    recipe: Recipe,
    stocks: Stocks,
    deck: BenchDeck,
    catalogue: LabwareLookup,
    *,
    limits: ErrorLimits,
    today: date,
) -> MediumSource | None:
    """The base medium made by its order: `made_within` limits where some are given, else `as_ordered`.

    Raises:
        ShortageError: limits are given and the lots do not hold enough.
    """
    if within is None:
        return as_ordered(base, order, recipe, stocks, deck, catalogue, limits=limits, today=today)
    return made_within(base, order, recipe, stocks, deck, catalogue, limits=within, today=today)


def _volumes(asked_ml: float, most_ml: float) -> Iterator[float]:
    """What is asked for, then more and more of it up to what a vessel holds."""
    ml = asked_ml
    yield ml
    while ml < most_ml:
        ml = min(most_ml, ceil(ml * _GROWTH * 10) / 10)
        yield ml


def _with_errors(base: MediumSource, made: MediumSource) -> MediumSource:
    known = {"per_ul": made.per_ul, "errors": made.errors, "brought": made.brought}
    return base.model_copy(update={**known, "errors_from": "of its own plan, with the lots at hand"})
