"""Plans doses for closed bags: the robot fills one labelled tube per bag, a technician welds it on.

A bag keeps its present contents less what is drained; base medium and the dose come in. Tube and line keep their dead
volumes, so the dose is calculated for what really reaches the bag (`dose.fresh_concentration`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nkloop.errors import NkloopError, PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.labware.bags import BagCatalogue
from nkloop.quantities.display import volume_told
from nkloop.recipes.models import ErrorLimits
from nkloop.worklists.bag_beginnings import prepared_ml, with_settling, with_warm_base
from nkloop.worklists.bag_plans import (
    BagDosingPlan,
    BagDosingRequest,
    BagFeeding,
    DoseLabel,
    DoseTubeFilling,
)
from nkloop.worklists.bag_seeding import by_hand_ul, suspended_in_base_ul
from nkloop.worklists.bag_tasks import BagTasks
from nkloop.worklists.base_errors import dosed_and_brought, in_vessel, prepared_errors, refuse_brought
from nkloop.worklists.base_errors import note as error_note
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, WorklistBuilder, round_up
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
from nkloop.worklists.cells_out import CellsOutError, busy_minutes
from nkloop.worklists.composition import (
    accurate_enough,
    composition_rows,
    held_to,
    refuse_off_target,
    refuse_uncertain,
    with_unverified,
)
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.dose import after_decay, blended, fresh_concentration, half_lives_h, most_kept_ul
from nkloop.worklists.dose_tubes import DOSES, Overfull, dose_tube, lost_ul, small_dose_problems
from nkloop.worklists.dosing_event import BASE, TOLERANCE_PERCENT
from nkloop.worklists.dosing_request import added_ingredients, stage_of, targets_of
from nkloop.worklists.held_bags import range_problems
from nkloop.worklists.ledger_check import follow, refuse_by_ledger
from nkloop.worklists.lots import LotUse, Stocks, lot_uses, summed_uses, with_lots
from nkloop.worklists.medium_contents import other_stage
from nkloop.worklists.medium_vessels import usable_ul
from nkloop.worklists.mixtures import Made, Mixture, MixtureMaker
from nkloop.worklists.models import Limits, Liquid, Target, Uncertainty, Worklist
from nkloop.worklists.operator_tasks import with_preparation
from nkloop.worklists.part_lots import lots_over
from nkloop.worklists.parts import fewest_parts, in_order
from nkloop.worklists.plans import CompositionRow, MediumSource
from nkloop.worklists.recipe_arms import unknown_arm
from nkloop.worklists.same_problems import told_once
from nkloop.worklists.strength import at_concentration
from nkloop.worklists.uncertainty import predict
from nkloop.worklists.undosed import (
    carried_note,
    carried_warnings,
    is_known,
    remains_warnings,
    undosed_rows,
    undosed_warnings,
)
from nkloop.worklists.vessel_times import vessel_times_out

CARRIER_SHARE = 0.5
"""Most of a dose that may be another carrier than the base medium: the bag thins it further."""


@dataclass(frozen=True)
class _Run:
    """The tubes of one robot run."""

    bags: tuple[BagFeeding, ...]
    worklist: Worklist
    minutes_out: float
    """Longest time the cells of one vessel are outside the incubator."""
    made: tuple[Made, ...]
    ledger: Ledger
    lots: tuple[LotUse, ...]
    errors: Mapping[tuple[str, str], Mapping[str, Uncertainty]]
    notes: tuple[str, ...]
    stocks: Mapping[str, Lot]
    """Lot by component or liquid."""


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

        def plan(stocks: Stocks) -> tuple[_Run, ...]:
            return fewest_parts(planner.bags, lambda parts: planner.runs(parts, stocks), (DeckFullError, CellsOutError))

        asked = [(one.component, one.amount) for one in planner.ingredients]
        runs = lots_over(plan, inventory, request.use_until, lambda made: [run.lots for run in made], asked)
        return planner.result(runs)

    return accurate_enough(request.errors_allowed, None, attempt)


class _Planner:
    """Plans the parts of one request one after another."""

    def __init__(
        self,
        request: BagDosingRequest,
        deck: BenchDeck,
        catalogue: LabwareLookup,
        known: BagCatalogue,
        errors: ErrorLimits | None,
    ) -> None:
        self.request, self.deck, self.catalogue, self.known, self.errors = request, deck, catalogue, known, errors
        stage = stage_of(request.recipe, request.stage_id, request.name)
        self.stage, self.before = stage, other_stage(request.recipe, stage.id, request.held_stage)
        self.medium, self.base_name = stage.medium, stage.medium.base.component
        self.ingredients = added_ingredients(
            request.recipe, stage, request.components, request.name, request.arms, request.in_base
        )
        self.tube = dose_tube(known, request.tube, request.name)
        self.lost_ul = lost_ul(self.tube, catalogue)
        self.fill_ul = round_up(request.dose_ul + self.lost_ul)
        self.delivered_ul = self.fill_ul - self.lost_ul
        self.tasks = BagTasks(known, self.delivered_ul)
        self.settling_minutes = 0.0 if stage.settling is None else stage.settling.time.to("min")
        lives = half_lives_h(request.recipe)
        self.bags = tuple(
            bag.model_copy(update={"present_per_ul": after_decay(bag.present_per_ul, request.hours_since_dose, lives)})
            for bag in request.bags
        )
        self.arms = {arm.name: arm for arm in request.arms}

    def targets(self, bag: BagFeeding) -> dict[str, float]:
        """Canonical concentration per component the bag shall have."""
        return targets_of(self.request.recipe, self.request.stage_id, self.arms[bag.arm], self.ingredients)

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

    def runs(self, parts: Sequence[Sequence[BagFeeding]], stocks: Stocks) -> tuple[_Run, ...]:
        """The runs of these parts; base medium is handed on."""
        runs: list[_Run] = []
        base = self.request.base
        for bags in parts:
            run = self._run(tuple(bags), stocks, base)
            runs.append(run)
            base = base.model_copy(update={"volume_ul": run.ledger.well(BASE, base.well).volume_ul})
        return tuple(runs)

    def _run(self, bags: tuple[BagFeeding, ...], stocks: Stocks, base: MediumSource) -> _Run:
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
        return _Run(
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

    # -- the answer ---------------------------------------------------------------------------------------------

    def result(self, runs: Sequence[_Run]) -> BagDosingPlan:
        """The plan out of its runs.

        Raises:
            PlanError: a bag is off target, or its predicted error beyond the limits.
        """
        tubes: list[DoseTubeFilling] = []
        rows: list[CompositionRow] = []
        for number, run in enumerate(runs, start=1):
            for bag, made in zip(run.bags, run.made, strict=True):
                tubes.append(self._filling(bag, made, run, number))
                rows += self._in_bag(bag, made, run)
                rows += self._beside(bag, made, run)
        brought = [(bag, told) for run in runs for bag, told in self._brought(run)]
        refuse_carry_over(self.request.recipe, brought)
        doses, base_rows = dosed_and_brought(rows, self.request.base)
        limits = self.request.errors_allowed
        refuse_uncertain([*(row for tube in tubes for row in tube.concentrations), *doses], limits)
        refuse_brought(base_rows, self.request.base, limits)
        last = runs[-1].ledger.well(BASE, self.request.base.well).volume_ul
        by_hand = by_hand_ul(self.bags)
        return BagDosingPlan(
            base_by_hand_ul=by_hand,
            cells_out_minutes=max(run.minutes_out for run in runs),
            vessel_labels=tuple(self._vessel_label(bag) for run in runs for bag in run.bags if bag.transfer),
            parts=in_order([run.worklist for run in runs]),
            tubes=tuple(tubes),
            composition=tuple(rows),
            base_left_ul=last,
            lots=summed_uses([run.lots for run in runs]),
            notes=(
                *self._by_hand_note(by_hand),
                *error_note(
                    self.request.base, by_hand=bool(by_hand), kept=any(bag.seeding is None for bag in self.bags)
                ),
                *carried_note([bag.kept_ul / self.tasks.final_ul(bag) for bag in self.bags], self.before),
                *dict.fromkeys(note for run in runs for note in run.notes),
            ),
            warnings=(
                *unlimited_words(self.request.recipe, (t for _, t in brought)),
                *unknown_words(self.request.recipe, self.request.base),
                *remains_warnings(rows),
                *undosed_warnings(
                    rows,
                    TOLERANCE_PERCENT,
                    "what was there, or the cells came in, keeps it off",
                    "drain more of what was there, or bring the cells in a smaller volume",
                ),
                *carried_warnings(rows, self.stage, self.before),
                *self._settling_warning(),
            ),
        )

    def _settling_warning(self) -> tuple[str, ...]:
        if not any(bag.is_settled for bag in self.bags) or self.settling_minutes:
            return ()
        return (f"stage {self.stage.id} states no settling time: cells may be drained with the medium",)

    def _by_hand_note(self, by_hand_ul: float) -> tuple[str, ...]:
        if not by_hand_ul:
            return ()
        cells = suspended_in_base_ul(self.bags)
        told = f", {volume_told(cells)} of it to suspend the cells in" if cells else ""
        return (f"Base medium people run in: {volume_told(by_hand_ul)} in all{told}.",)

    def _brought(self, run: _Run) -> Iterator[tuple[str, Carried]]:
        """What the buffers of all stocks bring into each vessel, those of the base medium included."""
        for bag, made in zip(run.bags, run.made, strict=True):
            held = self._held(bag, self._delivered(made, run))
            dosed = brought_by_stocks(self.ingredients, run.stocks, held)
            yield self._words(bag), summed([*dosed, *brought_with(self.request.base, held)])

    def _words(self, bag: BagFeeding) -> str:
        """`bag B-1`, `bioreactor R-1`."""
        return f"{self.known.bag(bag.kind).vessel} {bag.bag}"

    def _place_words(self, bag: BagFeeding) -> str:
        """`bag B-1 (arm-1/U1)`."""
        return f"{self._words(bag)} ({bag.arm}/{bag.donor})"

    def _vessel_label(self, bag: BagFeeding) -> DoseLabel:
        source = bag.transfer.from_bag if bag.transfer is not None else ""
        final, kind = self.tasks.final_ul(bag), self.known.bag(bag.kind)
        return DoseLabel(
            batch=f"{bag.bag} {bag.arm}/{bag.donor}",
            step=self.request.name,
            content=f"culture from {source}, {final / 1000:.4g} mL ({kind.name})",
            prepared=self.request.prepared,
            expires=self.request.use_until,
        )

    def _filling(self, bag: BagFeeding, made: Made, run: _Run, part: int) -> DoseTubeFilling:
        wanted = [at_concentration(i, made.mixture.per_ul[i.component]) for i in self.ingredients]
        present = [i for i in wanted if i.amount.magnitude > 0]
        tube, delivered = self._delivered(made, run)
        rows = composition_rows(present, tube, f"tube {made.spot[1]}", run.errors.get(made.spot))
        content = ", ".join(f"{i.component} {i.amount.display()}" for i in present) or "base medium only"
        label = DoseLabel(
            batch=f"{bag.bag} {bag.arm}/{bag.donor}",
            step=self.request.name,
            content=f"{self.fill_ul / 1000:.4g} mL: {content}",
            prepared=self.request.prepared,
            expires=self.request.use_until,
        )
        return DoseTubeFilling(
            bag=bag.bag,
            arm=bag.arm,
            donor=bag.donor,
            part=part,
            rack=made.spot[0],
            well=made.spot[1],
            fill_ul=made.volume_ul,
            delivered_ul=delivered,
            final_ul=self.tasks.final_ul(bag),
            final_cells_per_ul=self.tasks.final_cells_per_ul(bag),
            concentrations=rows,
            label=label,
        )

    def _in_bag(self, bag: BagFeeding, made: Made, run: _Run) -> tuple[CompositionRow, ...]:
        """What the bag reaches with what the ledger says is in the tube."""
        final, targets = self.tasks.final_ul(bag), self.targets(bag)
        tube, delivered = self._delivered(made, run)
        reached, errors = {}, {}
        for name in targets:
            dosed = tube.get(name, 0.0) * delivered
            reached[name] = (bag.present_per_ul.get(name, 0.0) * bag.kept_ul + dosed) / final
            error = run.errors.get(made.spot, {}).get(name)
            if error is not None and reached[name] > 0:
                share = dosed / final / reached[name]
                errors[name] = Uncertainty(cv_percent=error.cv_percent * share, bias_percent=error.bias_percent * share)
        wanted = [at_concentration(i, targets[i.component]) for i in self.ingredients]
        text = self._place_words(bag)
        rows = composition_rows(wanted, reached, text, errors)
        refuse_off_target(text, rows, TOLERANCE_PERCENT)
        return rows

    def _delivered(self, made: Made, run: _Run) -> tuple[Mapping[str, float], float]:
        """What reaches the vessel from its tube: contents per µL, and volume."""
        return run.ledger.well(*made.spot).per_ul, made.volume_ul - self.lost_ul

    def _held(self, bag: BagFeeding, dose: tuple[Mapping[str, float], float]) -> dict[str, float]:
        """Contents of the vessel afterwards, per µL."""
        return blended(((bag.present_per_ul, bag.kept_ul), (self.request.base.per_ul, bag.medium_ul), dose))

    def _beside(self, bag: BagFeeding, made: Made, run: _Run) -> tuple[CompositionRow, ...]:
        """What the bag holds beside the doses, where it is known what was in it."""
        if not is_known(self.request.recipe, bag.present_per_ul):
            return ()
        dose = self._delivered(made, run)
        held = self._held(bag, dose)
        text = self._place_words(bag)
        names = {i.component for i in self.ingredients}
        # cells of new vessels come in the same batch when nobody says otherwise
        is_suspended_in_it = bag.seeding is not None and not bag.seeding.suspended_in
        by_hand = bag.medium_ul + (bag.kept_ul if is_suspended_in_it else 0.0)
        amounts = {name: value * self.tasks.final_ul(bag) for name, value in held.items()}
        errors = in_vessel(self.request.base, by_hand, dose, run.errors.get(made.spot, {}), amounts)
        return undosed_rows(self.request.recipe, self.stage, names, held, text, errors)
