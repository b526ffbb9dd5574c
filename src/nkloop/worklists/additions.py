"""Plans a process step that adds a component to cultures, such as a vector: into plate wells, or in tubes for bags.

The amount per vessel follows from its cell count (transducing units per cell) or its volume (a concentration, a fixed
volume); the volume from the titre of the lot in hand. A volume below what the pipette moves reliably is diluted first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.labware.bags import BagCatalogue, DoseTube
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import ProcessStep
from nkloop.worklists.addition_layout import Laid, lay_out
from nkloop.worklists.addition_plans import Addition, AdditionPlan, AdditionRequest, AdditionVessel
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, WorklistBuilder, round_up
from nkloop.worklists.carriers import with_carriers
from nkloop.worklists.cells_out import CellsOutError, cells_out_minutes, refuse_too_long
from nkloop.worklists.composition import composition_row, held_to, refuse_off_target, refuse_uncertain
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.dose_tubes import dose_tube, lost_ul
from nkloop.worklists.dosing_event import CULTURE, TOLERANCE_PERCENT
from nkloop.worklists.dosing_request import stage_of
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.lots import LotUse, Stocks, lot_uses, lots_over, summed_uses, with_lots
from nkloop.worklists.models import Worklist
from nkloop.worklists.parts import fewest_parts, in_order
from nkloop.worklists.plans import CompositionRow
from nkloop.worklists.recipe_arms import goes_through, process_step
from nkloop.worklists.uncertainty import Uncertainty, predict


@dataclass(frozen=True)
class _Run:
    """The vessels of one robot run."""

    laid: Laid
    worklist: Worklist
    ledger: Ledger
    lot: Lot
    lots: tuple[LotUse, ...]
    errors: Mapping[tuple[str, str], Mapping[str, Uncertainty]]
    cells_out_minutes: float


def plan_addition(
    request: AdditionRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup, bags: BagCatalogue
) -> AdditionPlan:
    """Plan a process step for every vessel whose arm goes through it.

    Raises:
        PlanError: the step adds nothing, the titre cannot give the amount, volumes do not fit the vessel, or no
            dilution can be pipetted accurately enough.
        ShortageError: no valid lot holds enough.
    """
    stage_of(request.recipe, request.stage_id, request.name)
    step = process_step(request.recipe, request.stage_id, request.step_id)
    planner = _Planner(request, step, deck, catalogue, _tube(request, bags))
    problems = list(planner.problems())
    if problems:
        raise PlanError.from_problems(problems)

    def plan(stocks: Stocks) -> tuple[_Run, ...]:
        return fewest_parts(
            planner.treated,
            lambda parts: tuple(planner.run(part, stocks) for part in parts),
            (DeckFullError, CellsOutError),
        )

    return planner.result(lots_over(plan, inventory, request.use_until, lambda made: [run.lots for run in made]))


def _tube(request: AdditionRequest, bags: BagCatalogue) -> DoseTube | None:
    return None if request.plate_load_name else dose_tube(bags, request.tube, request.name)


class _Planner:
    """Plans the parts of one request."""

    def __init__(
        self,
        request: AdditionRequest,
        step: ProcessStep,
        deck: BenchDeck,
        catalogue: LabwareLookup,
        tube: DoseTube | None,
    ) -> None:
        self.request, self.step, self.deck, self.catalogue, self.tube = request, step, deck, catalogue, tube
        self.base_name = request.recipe.stage(request.stage_id).medium.base.component
        self.arms = {arm.name: arm for arm in request.arms}
        self.treated = tuple(
            one
            for one in request.vessels
            if one.arm in self.arms and goes_through(request.recipe, self.arms[one.arm], step.id)
        )
        self.lost_ul = 0.0 if tube is None else lost_ul(tube, catalogue)
        self.fill_ul = 0.0 if tube is None else round_up(request.dose_ul + self.lost_ul)

    @property
    def component(self) -> str:
        """What is added."""
        return self.step.component or ""

    def problems(self) -> Iterator[Problem]:
        """Everything that is wrong with the request."""
        where = f"{self.request.name}, step {self.step.id}"
        if self.step.kind != "add" or not self.component:
            yield Problem(f"it is of kind {self.step.kind} and adds nothing", where, "name a step of kind add")
        for one in self.request.vessels:
            if one.arm not in self.arms:
                told = f"arm '{one.arm}' is not in the request"
                yield Problem(told, f"{where}, {one.vessel}", f"use {', '.join(self.arms)}")
        if not self.treated:
            yield Problem("no vessel's arm goes through it", where, "name a vessel of the product")
        if self.tube is not None and self.fill_ul > self.catalogue[self.tube.rack].working_volume_ul:
            most = self.catalogue[self.tube.rack].working_volume_ul / 1000
            told = f"a dose of {self.request.dose_ul / 1000:g} mL does not fit {self.tube.title} ({most:g} mL)"
            yield Problem(told, where, "choose a smaller dose or a larger tube")

    def amount(self, vessel: AdditionVessel) -> float:
        """What a vessel needs, in the unit of the lot times µL; 0 when a fixed volume of the lot is added."""
        wanted = self.step.amount
        if wanted is None:
            return 0.0
        per = wanted.of(self.component).canonical
        return per * (vessel.cells if wanted.kind is Kind.MULTIPLICITY else vessel.volume_ul)

    def strength(self, lot: Lot) -> float:
        """How much of the component is in a µL of the lot.

        Raises:
            PlanError: the lot is given in another kind of unit than the step asks for.
        """
        wanted = self.step.amount
        if wanted is None:
            return 1.0
        kind = Kind.TITRE if wanted.kind is Kind.MULTIPLICITY else wanted.kind
        own = lot.concentration
        if own.kind is not kind and lot.specific_activity is None:
            raise PlanError(
                f"{self.component} is wanted as {wanted}, lot {lot.id} is given as {own} ({own.kind.words})",
                where=f"{self.request.name}, step {self.step.id}",
                remedy="give the titre of the lot in TU/mL, from its certificate"
                if kind is Kind.TITRE
                else "give the lot in the unit of the recipe",
            )
        return lot.strength(kind)

    # -- planning -----------------------------------------------------------------------------------------------

    def run(self, vessels: Sequence[AdditionVessel], stocks: Stocks) -> _Run:
        """One robot run.

        Raises:
            DeckFullError: it needs more than the deck holds; smaller parts may do.
            CellsOutError: it keeps cells out too long; smaller parts may do.
        """

        def plan(lots: dict[str, Lot]) -> tuple[Worklist, Laid]:
            builder = WorklistBuilder(self.request.name, "cytokine_dosing", self.deck, self.catalogue)
            laid = lay_out(
                builder,
                self.request,
                self.step,
                vessels,
                self._amounts(vessels, lots[self.component]),
                lots,
                base=self.base_name,
                tube=self.tube,
                fill_ul=self.fill_ul,
                delivered_ul=self.fill_ul - self.lost_ul,
            )
            return laid.worklist, laid

        names = with_carriers((self.component, self.base_name), stocks, self.request.use_until)
        planned, laid, lots = with_lots(names, stocks, self.request.use_until, plan)
        held = held_to(planned, self.request.errors_allowed)
        cells = {"cells_out_minutes": self.request.cells_out_minutes, "cells_in": self._cells_in()}
        worklist = held.model_copy(update={"limits": held.limits.model_copy(update=cells)})
        minutes = cells_out_minutes(worklist, self.deck)
        refuse_too_long(minutes, self.request.cells_out_minutes, self.request.name)
        return _Run(
            laid=laid,
            worklist=worklist,
            ledger=follow(worklist, self.catalogue),
            lot=lots[self.component],
            lots=lot_uses(worklist, lots, self.catalogue),
            errors=predict(worklist, self.catalogue, self.deck, laid.spots),
            cells_out_minutes=minutes,
        )

    def _cells_in(self) -> tuple[str, ...]:
        return () if self.tube is not None else (CULTURE,)

    def _amounts(self, vessels: Sequence[AdditionVessel], lot: Lot) -> tuple[tuple[float, ...], float]:
        """Amount per vessel (in a bag's whole tube, what stays behind included) and the strength of the lot."""
        scale = 1.0 if self.tube is None else self.fill_ul / (self.fill_ul - self.lost_ul)
        fixed = 0.0 if self.step.add_volume is None else self.step.add_volume.canonical
        strength = self.strength(lot)
        return tuple(scale * (self.amount(one) or fixed * strength) for one in vessels), strength

    # -- the answer ---------------------------------------------------------------------------------------------

    def result(self, runs: Sequence[_Run]) -> AdditionPlan:
        """The plan out of its runs.

        Raises:
            PlanError: a vessel is off target, or its predicted error beyond the limits.
        """
        additions: list[Addition] = []
        rows: list[CompositionRow] = []
        for number, run in enumerate(runs, start=1):
            for index, (vessel, spot) in enumerate(zip(run.laid.vessels, run.laid.spots, strict=True)):
                additions.append(self._addition(vessel, run, index, number))
                rows.append(self._row(vessel, spot, run))
        refuse_off_target(self.request.name, rows, TOLERANCE_PERCENT)
        refuse_uncertain(rows, self.request.errors_allowed)
        return AdditionPlan(
            parts=in_order([run.worklist for run in runs]),
            additions=tuple(additions),
            without=tuple(v.vessel for v in self.request.vessels if v not in self.treated),
            composition=tuple(rows),
            lots=summed_uses([run.lots for run in runs]),
            cells_out_minutes=max(run.cells_out_minutes for run in runs),
            warnings=self._warnings(),
            notes=(*self._notes(additions, runs[0].lot), *(note for run in runs for note in run.laid.notes)),
        )

    def _warnings(self) -> tuple[str, ...]:
        if self.step.verified_by is not None:
            return ()
        wanted = self.step.amount or self.step.add_volume
        return (f"nobody has verified the {wanted} of step {self.step.id} yet",)

    def _addition(self, vessel: AdditionVessel, run: _Run, index: int, part: int) -> Addition:
        wanted = self.step.amount or self.step.add_volume
        chain = run.laid.chain
        volume = chain.volumes_ul[index]
        spot = run.laid.spots[index]
        return Addition(
            vessel=vessel.vessel,
            arm=vessel.arm,
            donor=vessel.donor,
            part=part,
            cells=vessel.cells,
            wanted=0.0 if wanted is None else wanted.magnitude,
            unit="" if wanted is None else wanted.unit,
            stock_ul=volume * chain.per_ul / chain.stock_per_ul,
            volume_ul=volume,
            tube="" if self.tube is None else f"{spot[0]} {spot[1]}",
        )

    def _row(self, vessel: AdditionVessel, spot: tuple[str, str], run: _Run) -> CompositionRow:
        """What the vessel gets in the unit the recipe writes, as the ledger says."""
        held = run.ledger.well(*spot)
        given = held.per_ul.get(self.component, 0.0) * (held.volume_ul - self.lost_ul)
        given -= vessel.per_ul.get(self.component, 0.0) * vessel.volume_ul if self.tube is None else 0.0
        reached = self._reached(given, vessel, run)
        wanted = self.step.amount or self.step.add_volume or Amount(0, "µL")
        return composition_row(
            f"{vessel.vessel} ({vessel.arm}/{vessel.donor})",
            self.component,
            target=wanted.magnitude,
            expected=reached * wanted.magnitude,
            unit=wanted.unit,
            share=reached,
            error=run.errors.get(spot, {}).get(self.component),
        )

    def _reached(self, given: float, vessel: AdditionVessel, run: _Run) -> float:
        fixed = 0.0 if self.step.add_volume is None else self.step.add_volume.canonical * self.strength(run.lot)
        return given / (self.amount(vessel) or fixed)

    def _notes(self, additions: Sequence[Addition], lot: Lot) -> Iterator[str]:
        for one in additions:
            told = f"{one.cells:.3g} viable cells × {one.wanted:g} {one.unit}"
            if self.step.amount is None:
                told = f"{one.wanted:g} {one.unit}"
            elif self.step.amount.kind is not Kind.MULTIPLICITY:
                told = f"{one.wanted:g} {one.unit} in the volume present"
            diluted = "" if abs(one.volume_ul - one.stock_ul) < 1e-6 else f", as {one.volume_ul:g} µL of its dilution"
            yield (
                f"{one.vessel} ({one.arm}/{one.donor}): {told} = {one.stock_ul:.3g} µL of lot {lot.id} "
                f"({lot.concentration}){diluted}."
            )
        left_out = [one for one in self.request.vessels if one not in self.treated]
        if left_out:
            names = ", ".join(f"{one.vessel} ({one.arm}/{one.donor})" for one in left_out)
            yield f"Not given to {names}: their arm of the recipe goes without step {self.step.id}."
