"""Plans doses for closed bags: the robot fills one labelled tube per bag, a technician welds it on.

A bag keeps its present contents less what is drained; base medium and the dose come in. Tube and line keep their dead
volumes, so the dose is calculated for what really reaches the bag (`dose.fresh_concentration`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from nkloop.errors import NkloopError, PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.labware.bags import BagCatalogue
from nkloop.recipes.models import ErrorLimits
from nkloop.worklists.bag_answer import BagAnswer, BagRun
from nkloop.worklists.bag_asked import BagAsked
from nkloop.worklists.bag_beginnings import prepared_ml, with_settling, with_warm_base
from nkloop.worklists.bag_plans import (
    BagDosingPlan,
    BagDosingRequest,
    BagFeeding,
)
from nkloop.worklists.bag_seeding import by_hand_ul
from nkloop.worklists.base_errors import prepared_errors
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, WorklistBuilder
from nkloop.worklists.carriers import with_carriers
from nkloop.worklists.cells_out import CellsOutError, busy_minutes
from nkloop.worklists.composition import (
    accurate_enough,
    held_to,
    with_unverified,
)
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.dose import fresh_concentration, most_kept_ul
from nkloop.worklists.dose_tubes import DOSES, Overfull, small_dose_problems
from nkloop.worklists.dosing_event import BASE, TOLERANCE_PERCENT
from nkloop.worklists.held_bags import range_problems
from nkloop.worklists.ledger_check import follow, refuse_by_ledger
from nkloop.worklists.lots import Stocks, lot_uses, with_lots
from nkloop.worklists.medium_vessels import usable_ul
from nkloop.worklists.mixtures import Mixture, MixtureMaker
from nkloop.worklists.models import Limits, Liquid, Target, Worklist
from nkloop.worklists.operator_tasks import with_preparation
from nkloop.worklists.part_lots import lots_over
from nkloop.worklists.parts import fewest_parts
from nkloop.worklists.plans import MediumSource
from nkloop.worklists.recipe_arms import unknown_arm
from nkloop.worklists.same_problems import told_once
from nkloop.worklists.uncertainty import predict
from nkloop.worklists.vessel_times import vessel_times_out

CARRIER_SHARE = 0.5
"""Most of a dose that may be another carrier than the base medium: the bag thins it further."""


def plan_bag_doses(
    request: BagDosingRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup, bags: BagCatalogue
) -> BagDosingPlan:
    """Plan dose tubes for bags, in several parts when the deck holds too few tubes.

    Raises:
        PlanError: a bag would leave its range, keeps too much of a component, or volumes do not allow it.
        ShortageError: no valid lot of a component holds enough.
    """
    problems = told_once(_Planner(request, deck, catalogue, bags, None).problems(), "bag")
    if problems:
        raise PlanError.from_problems(problems)

    def attempt(errors: ErrorLimits | None) -> BagDosingPlan:
        planner = _Planner(request, deck, catalogue, bags, errors)

        def plan(stocks: Stocks) -> tuple[BagRun, ...]:
            return fewest_parts(planner.bags, lambda parts: planner.runs(parts, stocks), (DeckFullError, CellsOutError))

        asked = [(one.component, one.amount) for one in planner.ingredients]
        runs = lots_over(plan, inventory, request.use_until, lambda made: [run.lots for run in made], asked)
        return BagAnswer(request, catalogue, bags).result(runs)

    return accurate_enough(request.errors_allowed, None, attempt)


class _Planner(BagAsked):
    """Plans the parts of one request one after another."""

    def __init__(
        self,
        request: BagDosingRequest,
        deck: BenchDeck,
        catalogue: LabwareLookup,
        known: BagCatalogue,
        errors: ErrorLimits | None,
    ) -> None:
        super().__init__(request, catalogue, known)
        self.deck, self.errors = deck, errors

    # -- what is wrong ------------------------------------------------------------------------------------------

    def problems(self) -> Iterator[Problem]:
        """Everything that is wrong with the request."""
        rack = self.catalogue[self.tube.rack]
        if self.fill_ul > rack.working_volume_ul:
            yield Problem(
                f"a dose of {self.request.dose_ul / 1000:g} mL needs {self.fill_ul / 1000:g} mL in the tube, "
                f"{self.tube.title} holds {rack.working_volume_ul / 1000:g} mL",
                self.request.name,
                "choose a smaller dose or a larger tube",
            )
        names = [bag.bag for bag in self.bags]
        for bag in self.bags:
            where = f"{self.request.name}, bag {bag.bag}"
            if names.count(bag.bag) > 1:
                yield Problem("the bag is dosed twice", where, "name each bag once")
            if bag.arm not in self.arms:
                yield unknown_arm(bag.arm, self.arms, where)
                continue
            drained = bag.kept_ul if bag.drain_ul else None
            is_new = bag.transfer is not None or bag.seeding is not None
            final = self.tasks.final_ul(bag)
            yield from range_problems(self.known, bag.kind, final, where, drained_to_ul=drained, is_new=is_new)
            yield from self._dose_problems(bag, where)

    def _dose_problems(self, bag: BagFeeding, where: str) -> Iterator[Problem]:
        final = self.tasks.final_ul(bag)
        for name, target in self.targets(bag).items():
            kept = bag.present_per_ul.get(name, 0.0)
            # what an arm shall not have cannot be taken out again: it is told, not refused
            if target > 0 and self._dose(bag, name, target) < 0:
                most = most_kept_ul(target, kept, final)
                yield Problem(
                    f"{name} would be {kept * bag.kept_ul / final / target:.3g} times its target for "
                    f"{bag.arm} without any fresh {name}",
                    where,
                    f"keep at most {most / 1000:.3g} mL of {final / 1000:.4g} mL: drain more",
                )

    def _dose(self, bag: BagFeeding, name: str, target: float) -> float:
        kept = bag.present_per_ul.get(name, 0.0)
        return fresh_concentration(target, kept, bag.kept_ul, self.delivered_ul, bag.medium_ul)

    # -- planning -----------------------------------------------------------------------------------------------

    def runs(self, parts: Sequence[Sequence[BagFeeding]], stocks: Stocks) -> tuple[BagRun, ...]:
        """The runs of these parts; base medium is handed on."""
        runs: list[BagRun] = []
        base = self.request.base
        for bags in parts:
            run = self._run(tuple(bags), stocks, base)
            runs.append(run)
            base = base.model_copy(update={"volume_ul": run.ledger.well(BASE, base.well).volume_ul})
        return tuple(runs)

    def _run(self, bags: tuple[BagFeeding, ...], stocks: Stocks, base: MediumSource) -> BagRun:
        mixtures = [
            Mixture(
                name=f"{bag.arm}/{bag.donor} for bag {bag.bag}",
                arm=bag.arm,
                per_ul={name: max(0.0, self._dose(bag, name, target)) for name, target in self.targets(bag).items()},
                volume_ul=self.delivered_ul + self.tube.line_dead_ul,
            )
            for bag in bags
        ]

        def plan(lots: dict[str, Lot]) -> tuple[Worklist, MixtureMaker]:
            builder = WorklistBuilder(self.request.name, "cytokine_dosing", self.deck, self.catalogue)
            return self._worklist(builder, mixtures, bags, lots, base)

        names = with_carriers([i.component for i in self.ingredients], stocks, self.request.use_until)
        planned, maker, lots = with_lots(names, stocks, self.request.use_until, plan)
        held = with_unverified(held_to(planned, self.request.errors_allowed), self.stage.medium.ingredients)
        prepared = with_preparation(held, self.catalogue)
        limits = prepared.limits.model_copy(
            update={
                "cells_out_minutes": self.request.cells_out_minutes,
                "settling_minutes": self.settling_minutes or None,
            }
        )
        vessels = {"vessels": tuple(self.tasks.vessels(bags)), "limits": limits, "prepared": prepared_errors(base)}
        worklist = self._with_beginnings(prepared.model_copy(update=vessels), bags)
        minutes_out = self._minutes_out(worklist)
        refuse_by_ledger(worklist, self.catalogue, self.deck)
        spots = [one.spot for one in maker.made]
        ledger = follow(worklist, self.catalogue)
        return BagRun(
            bags=bags,
            worklist=worklist,
            minutes_out=minutes_out,
            made=tuple(maker.made),
            ledger=ledger,
            lots=lot_uses(worklist, lots, self.catalogue),
            errors=predict(worklist, self.catalogue, self.deck, spots),
            notes=tuple(maker.notes()),
            stocks=lots,
        )

    def _with_beginnings(self, worklist: Worklist, bags: Sequence[BagFeeding]) -> Worklist:
        base, celsius = self.request.base, self.medium.use_temperature
        stands = (BASE, base.well)
        kind = self.catalogue[base.load_name]
        # of the whole request, whatever its parts; what stays behind is made in addition
        ordered_ul = base.volume_ul - kind.dead_volume_ul + 1000 * prepared_ml(by_hand_ul(self.bags))
        n_made = max(1, math.ceil(ordered_ul / usable_ul(kind) - 1e-9))
        warm = with_warm_base(
            worklist, bags, self.deck, celsius=celsius, stands=stands, batch=base.barcode, n_made=n_made
        )
        return with_settling(warm, bags, self.deck, self.known, self.settling_minutes)

    def _minutes_out(self, worklist: Worklist) -> float:
        """Longest time out of the incubator, of the cells of one vessel.

        Raises:
            CellsOutError: it is beyond the limit.
        """
        limit = self.request.cells_out_minutes
        name, _, longest = max(vessel_times_out(worklist, busy_minutes(worklist, self.deck)), key=lambda one: one[2])
        if longest > limit:
            raise CellsOutError(
                f"the cells of {name} would be outside the incubator for about {longest:.0f} min, at most {limit:g} "
                f"min are allowed",
                where=self.request.name,
                remedy="allow more time with --cells-out when the culture stands it, or choose an action with fewer "
                "steps",
            )
        return longest

    def _worklist(
        self,
        builder: WorklistBuilder,
        mixtures: Sequence[Mixture],
        bags: Sequence[BagFeeding],
        lots: Mapping[str, Lot],
        base: MediumSource,
    ) -> tuple[Worklist, MixtureMaker]:
        builder.place(BASE, base.load_name, "Base medium of the round", barcode=base.barcode)
        builder.fill((BASE, base.well), base.volume_ul, Liquid(name="base medium", per_ul=base.per_ul, lot=base.lot))
        spot = (BASE, base.well)
        maker = MixtureMaker(
            builder, spot, self.base_name, self.ingredients, lots, errors=self.errors, carrier_share=CARRIER_SHARE
        )
        maker.place(mixtures, nickname=DOSES, label=f"{self.tube.title} (empty)", kinds=(self.tube.rack,), overage=0.0)
        try:
            maker.make(base.volume_ul, base.barcode)
        except PlanError as error:
            raise self._too_small(bags, maker) or error from error
        for one in maker.made:
            builder.mix(one.spot, 10, comment=f"mix the dose of {one.mixture.name}")
        limits = Limits()
        # what the robot still has to mix stands out already
        for task in self.tasks.tasks(bags, [one.spot for one in maker.made], limits.mix_at_room_minutes / 2):
            builder.pause(task)
        targets = [
            Target(labware=m.spot[0], well=m.spot[1], component=name, per_ul=value, tolerance_percent=TOLERANCE_PERCENT)
            for m in maker.made
            for name, value in m.mixture.per_ul.items()
        ]
        revision = self.request.recipe.revision_id
        return builder.build(targets=targets, recipe_revision=revision, seed=self.request.seed), maker

    def _too_small(self, bags: Sequence[BagFeeding], maker: MixtureMaker) -> NkloopError | None:
        bag_of = {made.mixture.name: bag for made, bag in zip(maker.made, bags, strict=True)}
        overfull = []
        for made, name, stock_ul, most_ul in maker.overfull():
            bag = bag_of[made.mixture.name]
            brought, target = made.mixture.per_ul[name], self.targets(bag)[name]
            overfull.append(Overfull(bag.bag, name, stock_ul, most_ul, brought, target))
        problems = small_dose_problems(overfull, self.delivered_ul, self.request.name)
        return PlanError.from_problems(problems) if problems else None
