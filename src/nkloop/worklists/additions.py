"""Plans a process step that adds a component to cultures, such as a vector: into plate wells, or in tubes for bags.

The amount per vessel follows from its cell count (transducing units per cell) or its volume (a concentration, a fixed
volume); the volume from the titre of the lot in hand. A volume below what the pipette moves reliably is diluted first.
Controls whose arm goes without the step get the carrier alone, so that their medium is thinned as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nkloop.errors import PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.labware.bags import BagCatalogue
from nkloop.quantities import Kind
from nkloop.recipes.models import ProcessStep
from nkloop.worklists.addition_answer import AdditionRun, answer
from nkloop.worklists.addition_controls import controls_of, same_shares
from nkloop.worklists.addition_layout import Laid, TubeKind, lay_out
from nkloop.worklists.addition_plans import AdditionPlan, AdditionRequest, AdditionVessel
from nkloop.worklists.bag_tasks import BagTasks
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, WorklistBuilder, round_up
from nkloop.worklists.carriers import with_carriers, with_suspension
from nkloop.worklists.cells_out import CellsOutError, busy_minutes, cells_out_minutes, refuse_too_long
from nkloop.worklists.composition import held_to
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.dose_tubes import dose_tube, lost_ul
from nkloop.worklists.dosing_event import CULTURE
from nkloop.worklists.dosing_request import stage_of
from nkloop.worklists.held_bags import range_problems
from nkloop.worklists.ledger_check import follow, refuse_by_ledger
from nkloop.worklists.lots import Stocks, lot_uses, with_lots
from nkloop.worklists.models import Worklist
from nkloop.worklists.operator_tasks import with_preparation
from nkloop.worklists.part_lots import lots_over
from nkloop.worklists.parts import fewest_parts
from nkloop.worklists.recipe_arms import goes_through, process_step, unknown_arm
from nkloop.worklists.thaw_rules import ThawedTooLongError, refuse_thawed_too_long, thawed_minutes
from nkloop.worklists.uncertainty import predict
from nkloop.worklists.vessel_times import vessel_times_out


def plan_addition(
    request: AdditionRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup, bags: BagCatalogue
) -> AdditionPlan:
    """Plan a process step for every vessel: the component where the arm goes through it, else its carrier.

    Raises:
        PlanError: the step adds nothing, the titre cannot give the amount, volumes do not fit the vessel, no dilution
            can be pipetted accurately enough, or one vessel alone takes longer than cells or vector may.
        ShortageError: no valid lot holds enough.
    """
    stage_of(request.recipe, request.stage_id, request.name)
    step = process_step(request.recipe, request.stage_id, request.step_id)
    planner = _Planner(request, step, deck, catalogue, bags)
    problems = list(planner.problems())
    if problems:
        raise PlanError.from_problems(problems)

    def plan(stocks: Stocks) -> tuple[AdditionRun, ...]:
        return fewest_parts(
            planner.treated,
            lambda parts: tuple(planner.run(part, stocks) for part in parts),
            (DeckFullError, CellsOutError, ThawedTooLongError),
        )

    asked = () if step.amount is None else ((planner.component, step.amount),)
    runs = lots_over(plan, inventory, request.use_until, lambda made: [run.lots for run in made], asked)
    return answer(request, step, planner.tubes, runs)


class _Planner:
    """Plans the parts of one request."""

    def __init__(
        self,
        request: AdditionRequest,
        step: ProcessStep,
        deck: BenchDeck,
        catalogue: LabwareLookup,
        known: BagCatalogue,
    ) -> None:
        self.request, self.step, self.deck, self.catalogue, self.known = request, step, deck, catalogue, known
        self.medium = request.recipe.stage(request.stage_id).medium
        self.base_name = self.medium.base.component
        self.component = step.component or ""
        self.arms = {arm.name: arm for arm in request.arms}
        known_arms = [one for one in request.vessels if one.arm in self.arms]
        self.treated = tuple(one for one in known_arms if goes_through(request.recipe, self.arms[one.arm], step.id))
        self.controls = tuple(one for one in known_arms if one not in self.treated)
        self.tubes = None if request.plate_load_name else self._tubes()

    def _tubes(self) -> TubeKind:
        tube = dose_tube(self.known, self.request.tube, self.request.name)
        lost = lost_ul(tube, self.catalogue)
        delivered = round_up(self.request.dose_ul + lost) - lost
        held = [one.volume_ul for one in self.controls], [one.volume_ul for one in self.treated]
        alike = [delivered] * len(self.treated)
        doses = same_shares(self.controls, self.treated, alike, thinned_ul=held) if self.treated else ()
        # with what is lost, so that the robot is asked for volumes a person can check
        differing = {one.vessel: round_up(dose + lost) - lost for one, dose in zip(self.controls, doses, strict=False)}
        tasks = BagTasks(self.known, delivered, differing_ul=differing, checked_by_two=self.step.second_person)
        return TubeKind(tube=tube, lost_ul=lost, tasks=tasks)

    # -- what is wrong ------------------------------------------------------------------------------------------

    def problems(self) -> Iterator[Problem]:
        """Everything that is wrong with the request."""
        where = f"{self.request.name}, step {self.step.id}"
        if self.step.kind != "add" or not self.component:
            yield Problem(f"it is of kind {self.step.kind} and adds nothing", where, "name a step of kind add")
        for one in self.request.vessels:
            if one.arm not in self.arms:
                yield unknown_arm(one.arm, self.arms, f"{where}, {one.vessel}")
        if not self.treated:
            yield Problem("no vessel's arm goes through it", where, "name a vessel of the product")
        if self.tubes is not None:
            yield from self._tube_problems(self.tubes, where)

    def _tube_problems(self, tubes: TubeKind, where: str) -> Iterator[Problem]:
        most = self.catalogue[tubes.tube.rack].working_volume_ul
        dose, told = self.request.dose_ul, f"does not fit {tubes.tube.title} ({most / 1000:g} mL)"
        if round_up(dose + tubes.lost_ul) > most:
            yield Problem(f"a dose of {dose / 1000:g} mL {told}", where, "choose a smaller dose or a larger tube")
        else:
            for one in self.controls:
                if tubes.fill_ul(one.vessel) > most:
                    yield self._too_much_instead(one, tubes, most, where)
        if self.request.prepared is None:
            yield Problem("the labels of dose tubes have no time", where, "give `prepared`")
        for one in self.request.vessels:
            final = one.volume_ul + tubes.delivered_ul(one.vessel)
            yield from range_problems(self.known, one.kind, final, f"{where}, {one.vessel}", is_only_added=True)

    def _too_much_instead(self, control: AdditionVessel, tubes: TubeKind, most_ul: float, where: str) -> Problem:
        delivered, dose = tubes.delivered_ul(control.vessel), tubes.tasks.delivered_ul
        fits = self.request.dose_ul * (most_ul - tubes.lost_ul) / delivered
        return Problem(
            f"thinned as the product is by {dose / 1000:.4g} mL, the control needs {delivered / 1000:.4g} mL, which "
            f"does not fit {tubes.tube.title} ({most_ul / 1000:g} mL)",
            f"{where}, {control.vessel}",
            f"--dose of at most {int(fits / 10) / 100:g} mL, or remove medium from the control first",
        )

    # -- amounts ------------------------------------------------------------------------------------------------

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

    def _fixed_ul(self) -> float:
        return 0.0 if self.step.add_volume is None else self.step.add_volume.canonical

    # -- planning -----------------------------------------------------------------------------------------------

    def run(self, vessels: Sequence[AdditionVessel], stocks: Stocks) -> AdditionRun:
        """One robot run, with the controls that belong to its vessels.

        Raises:
            DeckFullError: it needs more than the deck holds; smaller parts may do.
            CellsOutError: it keeps cells out too long; smaller parts may do.
            ThawedTooLongError: the last culture would get what was thawed too late; smaller parts may do.
        """
        controls = controls_of(vessels, self.treated, self.controls)

        def plan(lots: dict[str, Lot]) -> tuple[Worklist, Laid]:
            builder = WorklistBuilder(self.request.name, "cytokine_dosing", self.deck, self.catalogue)
            strength = self.strength(lots[self.component])
            wanted = tuple(self.amount(one) or self._fixed_ul() * strength for one in vessels)
            laid = lay_out(
                builder,
                self.request,
                self.step,
                vessels,
                controls,
                (tuple(self._scale() * one for one in wanted), strength),
                lots,
                base=self.base_name,
                tubes=self.tubes,
            )
            return laid.worklist, laid

        names = with_carriers((self.component, self.base_name), stocks, self.request.use_until)
        if controls:
            names = with_suspension(names, self.component, stocks, self.request.use_until)
        planned, laid, lots = with_lots(names, stocks, self.request.use_until, plan)
        worklist = self._finished(planned, (*vessels, *controls), lots[self.component])
        minutes = busy_minutes(worklist, self.deck)
        strength = self.strength(lots[self.component])
        spots = (*laid.spots, *laid.control_spots)
        return AdditionRun(
            laid=laid,
            worklist=worklist,
            ledger=follow(worklist, self.catalogue),
            lot=lots[self.component],
            lots=lot_uses(worklist, lots, self.catalogue),
            errors=predict(worklist, self.catalogue, self.deck, spots),
            cells_out_minutes=self._minutes_out(worklist, minutes),
            thawed_minutes=self._minutes_thawed(worklist, minutes, lots[self.component]),
            wanted={one.vessel: self.amount(one) or self._fixed_ul() * strength for one in vessels},
            lost_ul=0.0 if self.tubes is None else self.tubes.lost_ul,
        )

    def _scale(self) -> float:
        """The tube of a treated vessel holds what stays behind in it as well."""
        if self.tubes is None:
            return 1.0
        delivered = self.tubes.tasks.delivered_ul
        return (delivered + self.tubes.lost_ul) / delivered

    def _finished(self, planned: Worklist, vessels: Sequence[AdditionVessel], lot: Lot) -> Worklist:
        """The worklist with its limits, its closed vessels and what has to be warmed."""
        held = held_to(planned, self.request.errors_allowed)
        told = {
            "cells_out_minutes": self.request.cells_out_minutes,
            "cells_in": () if self.tubes is not None else (CULTURE,),
            "thawed_minutes": self.request.thawed_minutes if lot.is_frozen else None,
        }
        closed = () if self.tubes is None else tuple(self.tubes.tasks.vessels([one.as_feeding() for one in vessels]))
        unverified = (self.component,) if self.step.verified_by is None else ()
        fields = {"limits": held.limits.model_copy(update=told), "vessels": closed, "unverified": unverified}
        warm_to_c = self.medium.use_temperature
        worklist = with_preparation(held.model_copy(update=fields), self.catalogue, warm_to_c=warm_to_c)
        refuse_by_ledger(worklist, self.catalogue, self.deck)
        return worklist

    def _minutes_out(self, worklist: Worklist, minutes: Mapping[int, float]) -> float:
        longest = cells_out_minutes(worklist, self.deck)
        if self.tubes is not None:
            longest = max((out for _, _, out in vessel_times_out(worklist, minutes)), default=0.0)
        refuse_too_long(longest, self.request.cells_out_minutes, self.request.name)
        return longest

    def _minutes_thawed(self, worklist: Worklist, minutes: Mapping[int, float], lot: Lot) -> float | None:
        refuse_thawed_too_long(worklist, minutes, self.catalogue)
        return thawed_minutes(worklist, minutes, self.catalogue, lot.id)[1] if lot.is_frozen else None
