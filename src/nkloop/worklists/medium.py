"""Plans media: base, serum, additives, cytokines with their pre-dilutions, in that order, for one or several stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from nkloop.errors import PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import Recipe
from nkloop.worklists.base_errors import with_room
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, WorklistBuilder
from nkloop.worklists.carriers import carriers_at_hand
from nkloop.worklists.carry_over import brought_by_stocks, carry_over_problems, summed, unlimited
from nkloop.worklists.chain_cost import CostWeights
from nkloop.worklists.cocktails import DosePlanner
from nkloop.worklists.composition import (
    accurate_enough,
    composition_rows,
    held_to,
    refuse_off_target,
    refuse_uncertain,
    with_base_reason,
    with_unverified,
)
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.lots import LotUse, Stocks, first_lots, lot_uses, with_lots
from nkloop.worklists.medium_notes import notes
from nkloop.worklists.medium_request import check_orders
from nkloop.worklists.medium_run import TOLERANCE_PERCENT, MediumRun, RunLayout, dose_planner
from nkloop.worklists.medium_vessels import MediumVessel, vessels_for
from nkloop.worklists.models import Uncertainty, Worklist
from nkloop.worklists.operator_tasks import with_preparation
from nkloop.worklists.part_lots import lots_over
from nkloop.worklists.parts import fewest_parts, in_order
from nkloop.worklists.plans import Brought, CompositionRow, MediumOrder, MediumPlan, MediumSource
from nkloop.worklists.tight_limits import fitting
from nkloop.worklists.uncertainty import predict


def plan_medium(
    recipe: Recipe,
    stage_id: str,
    volume: Amount,
    inventory: Stocks,
    deck: BenchDeck,
    catalogue: LabwareLookup,
    *,
    omit: Collection[str] = (),
    use_until: date,
    today: date,
    destination_barcode: str,
    limits: ErrorLimits | None = None,
    weights: CostWeights | None = None,
) -> MediumPlan:
    """Plan the complete medium of one stage; see `plan_media`.

    Args:
        volume: what can be drawn afterwards; the dead volume of the vessel is prepared in addition.
        omit: components left out because the arms of a campaign add them.
        use_until: last day the medium is used; lots must be valid until then.
        destination_barcode: identity of the vessel, which outlives the run.
    """
    order = MediumOrder(stage_id=stage_id, volume=volume, omit=tuple(omit), barcode=destination_barcode)
    return plan_media(
        recipe, [order], inventory, deck, catalogue, use_until=use_until, today=today, limits=limits, weights=weights
    )


def plan_media(
    recipe: Recipe,
    orders: Sequence[MediumOrder],
    inventory: Stocks,
    deck: BenchDeck,
    catalogue: LabwareLookup,
    *,
    use_until: date,
    today: date,
    limits: ErrorLimits | None = None,
    weights: CostWeights | None = None,
) -> MediumPlan:
    """Plan media that are prepared together and share their stocks, pre-dilutions and cocktails.

    Args:
        orders: what is asked for; a volume larger than the largest vessel is prepared in several.
        use_until: last day the media are used; lots must be valid until then.
        limits: largest predicted errors; those of the recipe when None.
        weights: what error, time and tips are worth; the defaults of `CostWeights` when None.

    Raises:
        PlanError: unknown stage, a volume outside what vessels and pipettes do, a unit that cannot be converted, a
            predicted error or a stock buffer beyond its limit.
        ShortageError: no valid lot holds enough of a component.
    """
    check_orders(recipe, orders, today=today, use_until=use_until)
    vessels = vessels_for(recipe, orders, catalogue)
    asked = limits or recipe.error_limits

    def within(aim: ErrorLimits) -> MediumPlan:
        held = asked.looser(aim)

        def plan(left: ErrorLimits | None) -> MediumPlan:
            of_chains, worth = left or held, weights or CostWeights()
            planning = _Planning(recipe, deck, catalogue, use_until, today, held, aim, of_chains, worth)
            return _attempt(planning, vessels, orders, inventory)

        return accurate_enough(aim, held, plan)

    if any(order.omit for order in orders):
        with suppress(PlanError):
            return within(with_room(asked))
    return fitting(asked, within, lambda made: made.composition)


def _attempt(
    planning: _Planning, vessels: Sequence[MediumVessel], orders: Sequence[MediumOrder], inventory: Stocks
) -> MediumPlan:
    try:
        done = lots_over(
            lambda stocks: planning.runs(vessels, stocks),
            inventory,
            planning.use_until,
            planning.uses,
            [(one.component, one.amount) for vessel in vessels for one in (vessel.medium.base, *vessel.additives)],
        )
    except DeckFullError as error:
        first = error.problems[0]
        raise DeckFullError(
            f"one vessel of medium does not fit the deck: {first.message}", where=first.where, remedy=first.remedy
        ) from error
    return planning.plan(orders, done)


@dataclass(frozen=True)
class _Done:
    """A run with the lots it takes."""

    run: MediumRun
    lots: dict[str, Lot]


class _Planning:
    """One request: settings that do not change while lots and parts are being tried."""

    def __init__(
        self,
        recipe: Recipe,
        deck: BenchDeck,
        catalogue: LabwareLookup,
        use_until: date,
        today: date,
        limits: ErrorLimits,
        aim: ErrorLimits,
        of_chains: ErrorLimits,
        weights: CostWeights,
    ) -> None:
        self.recipe, self.deck, self.catalogue = recipe, deck, catalogue
        self.use_until, self.today, self.limits, self.weights = use_until, today, limits, weights
        self.aim = aim
        self.doses: DosePlanner = dose_planner(deck, catalogue, of_chains)

    def runs(self, vessels: Sequence[MediumVessel], stocks: Stocks) -> tuple[_Done, ...]:
        """As few runs as the deck allows."""
        return fewest_parts(
            vessels, lambda parts: tuple(self._run(part, stocks) for part in parts), too_large=DeckFullError
        )

    def _run(self, vessels: Sequence[MediumVessel], stocks: Stocks) -> _Done:
        names = list(dict.fromkeys(i.component for v in vessels for i in (v.medium.base, *v.additives)))
        usable = first_lots(names, stocks, self.use_until, _amounts(vessels))
        carriers = carriers_at_hand(usable.values(), stocks, self.use_until)
        name = self._name(vessels)

        def plan(lots: dict[str, Lot]) -> tuple[Worklist, MediumRun]:
            builder = WorklistBuilder(name, "medium_preparation", self.deck, self.catalogue)
            run = RunLayout(builder, vessels, lots, self.doses, self.weights).lay_out(self.recipe.revision_id)
            return run.worklist, run

        asked = [*names, *sorted(set(carriers) - set(names))]
        made, run, lots = with_lots(asked, stocks, self.use_until, plan)
        ingredients = [one for vessel in vessels for one in (vessel.medium.base, *vessel.additives)]
        worklist = held_to(with_unverified(with_preparation(made, self.catalogue), ingredients), self.limits)
        return _Done(MediumRun(worklist, run.vessels, run.doses), lots)

    def _name(self, vessels: Sequence[MediumVessel]) -> str:
        asked = dict.fromkeys(f"{vessel.order.stage_id} {vessel.order.volume}" for vessel in vessels)
        return f"{self.recipe.id} {', '.join(asked)} {self.today}"

    def uses(self, runs: Iterable[_Done]) -> list[tuple[LotUse, ...]]:
        """What each run takes of its lots."""
        return [lot_uses(done.run.worklist, done.lots, self.catalogue) for done in runs]

    def plan(self, orders: Sequence[MediumOrder], runs: Sequence[_Done]) -> MediumPlan:
        """The plan of finished runs, refused when a concentration, an error or a buffer is beyond its limit."""
        rows: list[CompositionRow] = []
        sources: list[MediumSource] = []
        problems: list[Problem] = []
        free: list[str] = []
        for done in runs:
            ledger = follow(done.run.worklist, self.catalogue)
            errors = predict(done.run.worklist, self.catalogue, self.deck, [spot for _, spot in done.run.vessels])
            for vessel, spot in done.run.vessels:
                contents = ledger.well(*spot)
                found = (vessel.medium.base, *vessel.additives)
                rows_of = composition_rows(found, contents.per_ul, vessel.barcode, errors[spot])
                own = with_base_reason(rows_of, vessel.medium.base.component, found, contents.per_ul)
                refuse_off_target(vessel.barcode, own, TOLERANCE_PERCENT)
                brought = tuple(brought_by_stocks(found, done.lots, contents.per_ul))
                problems += carry_over_problems(self.recipe, vessel.barcode, summed(brought))
                free += unlimited(self.recipe, summed(brought))
                rows += own
                sources.append(_source(vessel, spot[1], contents, errors[spot], brought))
        if problems:
            raise PlanError.from_problems(problems)
        refuse_uncertain(rows, self.aim)
        all_lots = {name: lot for done in runs for name, lot in done.lots.items()}
        return MediumPlan(
            parts=in_order([done.run.worklist for done in runs]),
            composition=tuple(rows),
            lots=_together(self.uses(runs)),
            sources=tuple(sources),
            use_until=self.use_until,
            notes=notes([done.run for done in runs], all_lots, self.doses.minimum_ul, self.today, self.use_until),
            warnings=_warnings([v for done in runs for v, _ in done.run.vessels], orders, free),
        )


def _source(
    vessel: MediumVessel,
    well: str,
    held: WellContents,
    errors: Mapping[str, Uncertainty],
    brought: tuple[Brought, ...],
) -> MediumSource:
    return MediumSource(
        barcode=vessel.barcode,
        load_name=vessel.load_name,
        well=well,
        per_ul=dict(held.per_ul),
        volume_ul=round(held.volume_ul, 3),
        errors=dict(errors),
        errors_from="of its own plan",
        brought=brought,
    )


def _together(parts: Iterable[Iterable[LotUse]]) -> tuple[LotUse, ...]:
    """What all runs take, lot by lot."""
    found: dict[str, LotUse] = {}
    for use in (use for part in parts for use in part):
        before = found.get(use.lot)
        found[use.lot] = (
            use
            if before is None
            else use.model_copy(
                update={
                    "volume_ul": before.volume_ul + use.volume_ul,
                    "drawn_ul": before.drawn_ul + use.drawn_ul,
                }
            )
        )
    return tuple(found.values())


def _warnings(
    vessels: Sequence[MediumVessel], orders: Sequence[MediumOrder], unlimited_substances: Iterable[str]
) -> tuple[str, ...]:
    told = []
    omitted = sorted({name for order in orders for name in order.omit})
    if omitted:
        told.append(f"left out, to be added by the arms: {', '.join(omitted)}")
    ingredients = [i for vessel in vessels for i in (vessel.medium.base, *vessel.additives)]
    unverified = dict.fromkeys(i.component for i in ingredients if i.verified_by is None)
    if unverified:
        told.append(f"published values nobody has verified yet: {', '.join(unverified)}")
    for substance in dict.fromkeys(unlimited_substances):
        told.append(f"stock buffers bring {substance} into the medium and the recipe sets no limit for it")
    return tuple(told)


def _amounts(vessels: Sequence[MediumVessel]) -> dict[str, str]:
    """How much of every component the vessels take together, as amount and not as volume of a stock."""
    wholes = {
        Kind.MASS_CONCENTRATION: Kind.MASS,
        Kind.ACTIVITY_CONCENTRATION: Kind.ACTIVITY,
        Kind.FRACTION: Kind.VOLUME,
    }
    totals: dict[tuple[str, Kind], float] = {}
    for vessel in vessels:
        for one in (vessel.medium.base, *vessel.additives):
            whole = wholes.get(one.amount.kind)
            if whole is not None:
                key = (one.component, whole)
                totals[key] = totals.get(key, 0.0) + one.amount.of(one.component).canonical * vessel.total_ul
    return {name: Amount(value, kind.value, substance=name).display() for (name, kind), value in totals.items()}
