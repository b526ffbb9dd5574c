"""The base medium of a dosing: how it is ordered, and how far off it is when it is made by that order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(frozen=True)
class BaseMaker:
    """The base medium of a dosing as it stands once it is made by an order with the lots at hand."""

    base: MediumSource
    """As the dosing takes it."""
    order: MediumOrder
    recipe: Recipe
    """Of its stage."""
    stocks: Stocks
    deck: BenchDeck
    catalogue: LabwareLookup
    """Labware types by load name."""
    today: date
    """First day of its shelf life."""

    def ordered(self, limits: ErrorLimits, within: ErrorLimits | None) -> MediumSource | None:
        """The base medium made `within` limits where some are given, else `as_ordered`.

        Raises:
            ShortageError: it is to be made within limits, and the lots do not hold enough.
        """
        return self.as_ordered(limits) if within is None else self.made_within(within)

    def as_ordered(self, limits: ErrorLimits) -> MediumSource:
        """The base medium by its order, with its predicted errors; with assumed ones when the lots do not allow it.

        Args:
            limits: it is held to where that can be done; the dosing tells what is beyond them otherwise.
        """
        why = ""
        for aim in (limits, NO_LIMITS):
            try:
                made = self._planned(self.order, aim)
            except NkloopError as error:
                why = error.problems[0].message
                continue
            return self._made_as(made, made.volume_ul)
        return assumed(self.base, f"it cannot be planned with the lots at hand ({why})")

    def made_within(self, limits: ErrorLimits) -> MediumSource | None:
        """The base medium made within certain limits of its predicted errors, as little more of it as that takes.

        Returns:
            None when no volume that its vessel holds is accurate enough.

        Raises:
            ShortageError: the lots do not hold enough.
        """
        asked_ml = self.order.volume.to("mL")
        for ml in _volumes(asked_ml, usable_ul(self.catalogue[self.base.load_name]) / 1000):
            larger = self.order.model_copy(update={"volume": Amount.parse(f"{ml:.4g} mL")})
            with suppress(PlanError):
                volume_ul = round(self.base.volume_ul + 1000 * (ml - asked_ml), 2)
                return self._made_as(self._planned(larger, limits), volume_ul)
        return None

    def _planned(self, order: MediumOrder, limits: ErrorLimits) -> MediumSource:
        until = self.today + timedelta(days=self.recipe.stage(order.stage_id).medium.shelf_life.to("d"))
        bench = (self.stocks, self.deck, self.catalogue)
        made = plan_media(self.recipe, [order], *bench, use_until=until, today=self.today, limits=limits)
        return made.sources[0]

    def _made_as(self, made: MediumSource, volume_ul: float) -> MediumSource:
        known = {"per_ul": made.per_ul, "errors": made.errors, "brought": made.brought, "volume_ul": volume_ul}
        return self.base.model_copy(update={**known, "errors_from": "of its own plan, with the lots at hand"})


def _volumes(asked_ml: float, most_ml: float) -> Iterator[float]:
    """What is asked for, then more and more of it up to what a vessel holds."""
    ml = asked_ml
    yield ml
    while ml < most_ml:
        ml = min(most_ml, ceil(ml * _GROWTH * 10) / 10)
        yield ml
