"""Plans one feeding event of a culture plate: arm media with their cytokines, then exchange or seeding per well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError
from nkloop.inventory.models import Lot
from nkloop.recipes.models import ErrorLimits, Ingredient, Stage
from nkloop.worklists.base_errors import dosed_and_brought, prepared_errors, refuse_brought, that_are_known
from nkloop.worklists.base_errors import note as error_note
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, Spot, WorklistBuilder
from nkloop.worklists.carriers import with_carriers
from nkloop.worklists.carry_over import (
    Carried,
    brought_by_stocks,
    brought_with,
    refuse_carry_over,
    summed,
    unknown_words,
    unlimited_words,
)
from nkloop.worklists.cells_out import CellsOutError, busy_minutes, cells_out_minutes, refuse_too_long
from nkloop.worklists.column_event import ColumnEvent, CopyEvent, PlacedEvent
from nkloop.worklists.composition import (
    accurate_enough,
    composition_rows,
    held_to,
    refuse_off_target,
    refuse_uncertain,
    with_base_reason,
    with_reason,
    with_unverified,
)
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.dose import after_decay, half_lives_h
from nkloop.worklists.dosing_event import BASE, CULTURE, NEW, TOLERANCE_PERCENT, Event, fed_spot
from nkloop.worklists.dosing_request import (
    arm_ingredients,
    request_problems,
    request_warnings,
    stage_of,
    varied_ingredients,
)
from nkloop.worklists.feeding_aims import mixtures_for
from nkloop.worklists.feeding_choice import Cost, cheapest, layouts, run_cost, total
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.lots import LotUse, Stocks, lot_uses, summed_uses, with_lots
from nkloop.worklists.medium_contents import other_stage
from nkloop.worklists.mixtures import Made
from nkloop.worklists.models import Uncertainty, Worklist
from nkloop.worklists.operator_tasks import with_preparation
from nkloop.worklists.part_lots import lots_over
from nkloop.worklists.parts import fewest_parts, in_order
from nkloop.worklists.plans import (
    ArmComposition,
    CompositionRow,
    DosingPlan,
    DosingRequest,
    Layout,
    WellFeeding,
    WellState,
)
from nkloop.worklists.same_problems import told_once
from nkloop.worklists.strength import at_concentration
from nkloop.worklists.temperature_rules import MixTooWarmError, refuse_warm_mixes
from nkloop.worklists.uncertainty import predict
from nkloop.worklists.undosed import (
    THINNED,
    by_destination,
    carried_note,
    carried_warnings,
    is_known,
    remains_warnings,
    undosed_rows,
    undosed_warnings,
)

_TOO_LARGE = (DeckFullError, CellsOutError, MixTooWarmError)
"""A part needs more than the deck holds, or keeps cells out or mixes warm too long; smaller parts may do."""

_EVENTS: dict[Layout, type[Event]] = {"arms": Event, "placed": PlacedEvent, "columns": ColumnEvent, "copies": CopyEvent}


@dataclass(frozen=True)
class _Run:
    """One part as planned."""

    request: DosingRequest
    worklist: Worklist
    made: tuple[Made, ...]
    lots: tuple[LotUse, ...]
    ledger: Ledger
    errors: Mapping[tuple[str, str], Mapping[str, Uncertainty]]
    cells_out_minutes: float
    cost: Cost
    notes: tuple[str, ...]
    brought: Mapping[str, Carried]
    """Well to what the buffers of all stocks bring into it, those of the base medium included."""


def plan_dosing(
    request: DosingRequest,
    inventory: Stocks,
    deck: BenchDeck,
    catalogue: LabwareLookup,
    *,
    ways: Sequence[Layout] = (),
    like: DosingPlan | None = None,
) -> DosingPlan:
    """Plan one feeding event, cut into parts by arms when the deck or the cells ask for it.

    The cheapest chains are taken first; when the predicted error of the finished plan is beyond its limit, they are
    chosen again, more accurate. Of the ways to feed the wells the one that costs least is taken.

    Args:
        request: what is asked for.
        inventory: lots at hand.
        deck: of the bench.
        catalogue: labware types by load name.
        ways: to feed the wells, of which the cheapest is taken; those that the plate and the bench allow when empty.
        like: the same with more base medium: wells are fed in its way, and what it says of other ways is kept.

    Raises:
        PlanError: request, volumes or deck do not allow it.
        ShortageError: no valid lot of a cytokine holds enough for all parts.
    """
    stage = stage_of(request.recipe, request.stage_id, request.name)
    request = _aged(request)
    problems = told_once(request_problems(request, stage, catalogue, deck.smallest_volume_ul(1) or 0.0), "well")
    if problems:
        raise PlanError.from_problems(problems)
    names = list(dict.fromkeys(well.arm for well in request.wells))

    tried = (like.feeding,) if like is not None else ways or layouts(request, deck, catalogue)

    def attempt(errors: ErrorLimits | None) -> DosingPlan:
        def planned(layout: Layout) -> tuple[DosingPlan, Cost]:
            planner = _Planner(request, stage, deck, catalogue, errors, layout)

            def plan(stocks: Stocks) -> tuple[_Run, ...]:
                return fewest_parts(names, lambda parts: planner.runs(parts, stocks), _TOO_LARGE)

            asked = [(one.component, one.amount) for one in planner.ingredients]
            runs = lots_over(plan, inventory, request.use_until, lambda made: [run.lots for run in made], asked)
            cost = total(runs)
            costs = {"cost_eur": cost.eur, "tips": cost.tips, "robot_minutes": cost.minutes}
            return planner.result(runs).model_copy(update=costs), cost

        made, way, compared = cheapest(tried, planned)
        compared = compared if like is None else like.compared
        notes = (*made.notes, *((compared,) if compared else ()))
        return made.model_copy(update={"feeding": way, "compared": compared, "notes": notes})

    return accurate_enough(request.errors_allowed, None, attempt)


def _aged(request: DosingRequest) -> DosingRequest:
    """The request with the contents as they are now, decayed since the last dose."""
    lives = half_lives_h(request.recipe)
    if not request.hours_since_dose or not lives:
        return request
    wells = [
        well.model_copy(
            update={"present_per_ul": after_decay(well.present_per_ul, request.hours_since_dose, lives)},
        )
        for well in request.wells
    ]
    return request.model_copy(update={"wells": tuple(wells)})


class _Planner:
    """Plans the parts of one request one after another: base medium and culture are handed on."""

    def __init__(
        self,
        request: DosingRequest,
        stage: Stage,
        deck: BenchDeck,
        catalogue: LabwareLookup,
        errors: ErrorLimits | None,
        layout: Layout,
    ) -> None:
        self.request, self.stage, self.deck, self.catalogue, self.errors = request, stage, deck, catalogue, errors
        self.layout = layout
        self.ingredients = varied_ingredients(request)
        self.before = other_stage(request.recipe, stage.id, request.held_stage)

    def runs(self, parts: Sequence[Sequence[str]], stocks: Stocks) -> tuple[_Run, ...]:
        """The runs of parts of the arms in their order; each begins with the base and the wells the one before left.

        Raises:
            PlanError: a part cannot be planned; `DeckFullError` and the like when a smaller one may.
            ShortageError: no valid lot holds enough.
        """
        runs: list[_Run] = []
        for number, arms in enumerate(parts):
            wells = tuple(well for well in self.request.wells if well.arm in arms)
            later = [w for w in self.request.wells if w.arm in {a for part in parts[number + 1 :] for a in part}]
            base = self.request.base
            if runs and (left := _base_left(runs[-1])) is not None:
                base = base.model_copy(update={"volume_ul": left})
            some = {"wells": wells, "base": base}
            if number:
                some |= {"medium_wells": (), "medium_wells_ul": 0.0}
            standing = {**_after(runs[-1] if runs else None), **_before(later)}
            standing = {spot: held for spot, held in standing.items() if not _is_fed(spot, wells)}
            part = self.request.model_copy(update=some)
            runs.append(self._run(part, stocks, standing, self._cells_in(is_first=number == 0)))
        return tuple(runs)

    def _cells_in(self, *, is_first: bool) -> tuple[str, ...]:
        """Culture plates with cells when a part starts: those that came with them, and what a part before gave them."""
        wells = self.request.wells
        culture = any(w.present_ul > 0 or (w.seed_ul > 0 and not is_first) for w in wells)
        new = not is_first and any(w.is_transferred for w in wells)
        return (*((CULTURE,) if culture else ()), *((NEW,) if new else ()))

    def _run(
        self,
        request: DosingRequest,
        stocks: Stocks,
        standing: Mapping[Spot, tuple[float, Mapping[str, float]]],
        cells_in: tuple[str, ...],
    ) -> _Run:
        mixtures, index = mixtures_for(request, self.ingredients)

        def plan(lots: dict[str, Lot]) -> tuple[Worklist, Event]:
            builder = WorklistBuilder(request.name, "cytokine_dosing", self.deck, self.catalogue)
            event = _EVENTS[self.layout](
                request, self.stage, self.ingredients, lots, builder, standing, cells_in, self.errors
            )
            return event.plan(mixtures, index), event

        names = with_carriers([i.component for i in self.ingredients] if mixtures else [], stocks, request.use_until)
        planned, event, lots = with_lots(names, stocks, request.use_until, plan)
        held = with_unverified(held_to(planned, request.errors_allowed), self.stage.medium.ingredients)
        cells = {"cells_out_minutes": request.cells_out_minutes, "cells_in": cells_in}
        suspended = [f"donor:{tube.donor}" for tube in request.donors if tube.is_in_base]
        known = {"prepared": prepared_errors(request.base, suspended)}
        limited = held.model_copy(update={"limits": held.limits.model_copy(update=cells), **known})
        worklist = with_preparation(limited, self.catalogue, warm_to_c=self.stage.medium.use_temperature)
        minutes = cells_out_minutes(worklist, self.deck)
        refuse_too_long(minutes, request.cells_out_minutes, request.name)
        refuse_warm_mixes(worklist, busy_minutes(worklist, self.deck), self.catalogue)
        ledger = follow(worklist, self.catalogue)
        brought = {
            _well_text(well): self._brought(ledger.well(*fed_spot(well)).per_ul, lots)
            for well in request.wells
            if well.add_ul > 0
        }
        spots = [made.spot for made in event.made] + [fed_spot(well) for well in request.wells]
        return _Run(
            request=request,
            worklist=worklist,
            made=tuple(event.made),
            lots=lot_uses(worklist, lots, self.catalogue),
            ledger=ledger,
            errors=predict(worklist, self.catalogue, self.deck, spots),
            cells_out_minutes=minutes,
            cost=run_cost(worklist, self.deck, lots, ledger, event.base, minutes),
            notes=event.notes,
            brought=brought,
        )

    # -- the answer ---------------------------------------------------------------------------------------------

    def result(self, runs: Sequence[_Run]) -> DosingPlan:
        """The plan out of its runs.

        Raises:
            PlanError: a medium or a well is off target, or its predicted error beyond the limits.
        """
        arms = tuple(arm for run in runs for arm in self._arms(run))
        wells = tuple(row for run in runs for row in self._wells(run)) if self.request.aim == "vessel" else ()
        beside = tuple(row for run in runs for row in self._beside(run))
        refuse_carry_over(self.request.recipe, (told for run in runs for told in run.brought.items()))
        base, limits = self.request.base, self.request.errors_allowed
        dosed, brought = dosed_and_brought([*(row for arm in arms for row in arm.rows), *wells, *beside], base)
        refuse_uncertain(dosed, limits)
        refuse_brought(brought, base, limits)
        left = [volume for run in runs if (volume := _base_left(run)) is not None]
        kept = [well.kept_ul / well.final_ul for well in self.request.wells if well.add_ul > 0]
        return DosingPlan(
            parts=in_order([run.worklist for run in runs]),
            arms=arms,
            after=tuple(state for run in runs for state in _states(run)),
            base_left_ul=left[-1] if left else self.request.base.volume_ul,
            lots=summed_uses([run.lots for run in runs]),
            composition=by_destination((*wells, *beside))
            if self.request.aim == "vessel"
            else tuple(row for arm in arms for row in arm.rows),
            cells_out_minutes=max(run.cells_out_minutes for run in runs),
            warnings=(
                *request_warnings(self.request),
                *self._unlimited(runs),
                *unknown_words(self.request.recipe, base),
                *self._undosed(beside),
                *remains_warnings(wells),
            ),
            notes=(
                *carried_note(kept, self.before),
                *error_note(base, by_hand=False, kept=any(kept)),
                *dict.fromkeys(note for run in runs for note in run.notes),
            ),
        )

    def _brought(self, per_ul: Mapping[str, float], lots: Mapping[str, Lot]) -> Carried:
        dosed = brought_by_stocks(self.ingredients, lots, per_ul)
        return summed([*dosed, *brought_with(self.request.base, per_ul)])

    def _unlimited(self, runs: Sequence[_Run]) -> tuple[str, ...]:
        return unlimited_words(self.request.recipe, (b for run in runs for b in run.brought.values()))

    def _beside(self, run: _Run) -> list[CompositionRow]:
        """What wells hold beside the doses, as the ledger has it, where it is known what stood there."""
        dosed = {i.component for i in self.ingredients}
        rows: list[CompositionRow] = []
        for well in run.request.wells:
            if well.add_ul > 0 and (well.present_ul == 0 or is_known(self.request.recipe, well.present_per_ul)):
                spot, base = fed_spot(well), self.request.base
                per_ul, text = run.ledger.well(*spot).per_ul, _well_text(well)
                errors = that_are_known(run.errors.get(spot, {}), base) if base.errors else None
                rows += undosed_rows(self.request.recipe, self.stage, dosed, per_ul, text, errors)
        return rows

    def _undosed(self, rows: Sequence[CompositionRow]) -> tuple[str, ...]:
        """What is off target or carried along, and why."""
        why, remedy = "what stood there keeps it off", "remove more of what stood there"
        if any(well.seed_ul > 0 for well in self.request.wells):
            alone = f"{self.stage.medium.base.component} alone"
            medium = next((tube.suspended_in for tube in self.request.donors), "") or alone
            why = f"the cell suspensions are taken as {medium}"
            remedy = (
                "a smaller volume of a denser cell suspension, or cells in the complete medium of the stage "
                f"(nkloop plan dosing --suspended-in {self.stage.id})"
            )
        if alike := [row.component for row in rows if row.component in self.request.in_base]:
            names = ", ".join(dict.fromkeys(alike))
            remedy += f"; {names} can be dosed: --constant dose and a base medium without it"
        return (
            *undosed_warnings(rows, TOLERANCE_PERCENT, why, remedy),
            *carried_warnings(rows, self.stage, self.before),
        )

    def _arms(self, run: _Run) -> list[ArmComposition]:
        arms = {arm.name: arm for arm in self.request.arms}
        dosed = {i.component for i in self.ingredients}
        found = []
        for made in run.made:
            name = made.mixture.name
            ingredients = self._wanted(arm_ingredients(run.request, arms[made.mixture.arm]), made)
            errors = that_are_known(run.errors.get(made.spot, {}), self.request.base)
            per_ul, base = run.ledger.well(*made.spot).per_ul, self.stage.medium.base.component
            rows = composition_rows(ingredients, per_ul, name, errors)
            thinned = with_reason(rows, THINNED, lambda component: component not in dosed)
            rows = tuple(with_base_reason(thinned, base, ingredients, per_ul))
            refuse_off_target(f"medium of {name}", rows, TOLERANCE_PERCENT)
            found.append(ArmComposition(arm=name, well=made.spot[1], volume_ul=made.volume_ul, rows=rows))
        return found

    def _wanted(self, ingredients: Sequence[Ingredient], made: Made) -> tuple[Ingredient, ...]:
        """The medium of an arm; components at another concentration than the arm's where a well is the aim."""
        wanted = []
        for one in ingredients:
            per_ul = made.mixture.per_ul.get(one.component)
            if per_ul is not None and self.request.aim == "vessel":
                if per_ul <= 0:
                    continue
                one = at_concentration(one, per_ul)
            wanted.append(one)
        return tuple(wanted)

    def _wells(self, run: _Run) -> list[CompositionRow]:
        arms = {arm.name: arm for arm in self.request.arms}
        rows: list[CompositionRow] = []
        names = {i.component for i in self.ingredients}
        for well in run.request.wells:
            if well.add_ul <= 0:
                continue
            spot = fed_spot(well)
            text = _well_text(well)
            wanted = [i for i in arm_ingredients(run.request, arms[well.arm]) if i.component in names]
            some = composition_rows(wanted, run.ledger.well(*spot).per_ul, text, run.errors.get(spot))
            refuse_off_target(f"well {text}", some, TOLERANCE_PERCENT)
            rows += some
        return rows


def _well_text(well: WellFeeding) -> str:
    return f"{fed_spot(well)[1]}{' of the new plate' if well.is_transferred else ''} ({well.arm}/{well.donor})"


def _is_fed(spot: Spot, wells: Sequence[WellFeeding]) -> bool:
    return spot in {(CULTURE, well.well) for well in wells} | {fed_spot(well) for well in wells}


def _after(run: _Run | None) -> dict[Spot, tuple[float, Mapping[str, float]]]:
    """What the culture plates hold after a part."""
    if run is None:
        return {}
    return {
        (nickname, well): (held.volume_ul, held.per_ul)
        for nickname, well, held in run.ledger.wells()
        if nickname in (CULTURE, NEW) and held.volume_ul > 0
    }


def _before(wells: Sequence[WellFeeding]) -> dict[Spot, tuple[float, Mapping[str, float]]]:
    """What wells hold that a later part feeds."""
    return {(CULTURE, w.well): (w.present_ul, w.present_per_ul) for w in wells if w.present_ul > 0}


def _base_left(run: _Run) -> float | None:
    base = run.request.base
    if BASE not in {item.nickname for item in run.worklist.deck}:
        return None
    return run.ledger.well(BASE, base.well).volume_ul


def _states(run: _Run) -> list[WellState]:
    states = []
    for well in run.request.wells:
        spot = fed_spot(well)
        held = run.ledger.well(*spot)
        states.append(WellState(well=spot[1], volume_ul=held.volume_ul, per_ul=held.per_ul))
    return states
