"""Plans one feeding event of a culture plate: arm media with their cytokines, then exchange or seeding per well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError, Problem
from nkloop.feedback.models import Arm
from nkloop.inventory.models import Lot
from nkloop.quantities import Kind
from nkloop.recipes.models import Ingredient, Stage
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, Spot, WorklistBuilder, round_up
from nkloop.worklists.composition import composition_rows, refuse_off_target
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.dilution import Chain, plan_chain
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.lots import Stocks, lot_uses, with_lots
from nkloop.worklists.models import Liquid, Target, Worklist
from nkloop.worklists.plans import (
    ArmComposition,
    DosingPlan,
    DosingRequest,
    WellFeeding,
    WellState,
)
from nkloop.worklists.stock_deck import StockDeck, add_by_chain
from nkloop.worklists.strength import stock_liquid, stock_per_ul

ARM_TUBES = "opentrons_15_tuberack_nest_15ml_conical"
WASTE = "nest_1_reservoir_195ml"
SMALL_TUBES = "opentrons_24_tuberack_nest_1.5ml_snapcap"
OVERAGE = 0.15
"""Share of arm medium made in addition to what the wells take."""
TOLERANCE_PERCENT = 5.0
CELL_FLOW = 0.4
"""Share of the default flow rate for liquids with cells."""
_CELL_TIP_UL = 1000.0
_CULTURE, _BASE, _ARMS, _WASTE, _DONORS = "culture", "base", "arms", "waste", "donors"


def plan_dosing(request: DosingRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup) -> DosingPlan:
    """Plan one feeding event.

    Raises:
        PlanError: request, volumes or deck do not allow it; a full deck says how many wells would fit.
        ShortageError: no valid lot of a cytokine holds enough.
    """
    try:
        return _plan_dosing(request, inventory, deck, catalogue)
    except DeckFullError as error:
        wells = _fitting(request, inventory, deck, catalogue)
        arms = len({well.arm for well in request.wells[:wells]})
        raise PlanError(
            f"{len(request.wells)} wells of {len(request.arms)} arms do not fit the deck: {error.problems[0].message}",
            where=request.name,
            remedy=f"feed at most {wells} wells ({arms} arms) in one run",
        ) from error


def _fitting(request: DosingRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup) -> int:
    """Largest number of wells, from the first on, that fits."""
    low, high = 0, len(request.wells) - 1
    while low < high:
        middle = (low + high + 1) // 2
        try:
            part = request.model_copy(update={"wells": request.wells[:middle]})
            _plan_dosing(part, inventory, deck, catalogue)
            low = middle
        except DeckFullError:
            high = middle - 1
    return low


def _plan_dosing(request: DosingRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup) -> DosingPlan:
    stage = _stage(request)
    problems = list(_request_problems(request, stage, catalogue))
    if problems:
        raise PlanError.from_problems(problems)
    varied = varied_ingredients(request)

    def plan(lots: dict[str, Lot]) -> tuple[Worklist, dict[str, _ArmTube]]:
        return _Event(
            request, stage, varied, lots, WorklistBuilder(request.name, "cytokine_dosing", deck, catalogue)
        ).plan()

    names = [i.component for i in varied]
    worklist, tubes, lots = with_lots(names, inventory, request.use_until, plan)
    ledger = follow(worklist, catalogue)
    arms = []
    for arm in request.arms:
        if arm.name in tubes:
            tube = tubes[arm.name]
            rows = composition_rows(arm_ingredients(request, arm), ledger.well(*tube.spot).per_ul, arm.name)
            refuse_off_target(f"medium of {arm.name}", rows, TOLERANCE_PERCENT)
            arms.append(ArmComposition(arm=arm.name, well=tube.spot[1], volume_ul=tube.volume_ul, rows=rows))
    after = []
    for well in request.wells:
        contents = ledger.well(_CULTURE, well.well)
        after.append(WellState(well=well.well, volume_ul=contents.volume_ul, per_ul=contents.per_ul))
    return DosingPlan(
        worklist=worklist,
        arms=tuple(arms),
        after=tuple(after),
        base_left_ul=ledger.well(_BASE, request.base.well).volume_ul if tubes else request.base.volume_ul,
        lots=lot_uses(worklist, lots, catalogue),
        warnings=_warnings(request),
    )


# -- the request ------------------------------------------------------------------------------------------------


def _stage(request: DosingRequest) -> Stage:
    try:
        return request.recipe.stage(request.stage_id)
    except KeyError:
        raise PlanError(
            f"{request.recipe.id} has no stage '{request.stage_id}'",
            where=request.name,
            remedy=f"use {', '.join(request.recipe.stage_ids)}",
        ) from None


def varied_ingredients(request: DosingRequest) -> tuple[Ingredient, ...]:
    """Ingredients of the stage that the arms add, the smallest concentration first.

    Raises:
        PlanError: a named component is not in the medium of the stage, or is given in % v/v.
    """
    stage = request.recipe.stage(request.stage_id)
    in_loop = [v.component for v in request.recipe.loop.vary if request.stage_id in v.stages]
    names = dict.fromkeys(request.components or in_loop)
    found = {i.component: i for i in stage.medium.additives}
    wrong = [name for name in names if name not in found or found[name].amount.kind is Kind.FRACTION]
    if wrong:
        raise PlanError(
            f"arms cannot add {', '.join(wrong)}: not a dissolved additive of stage {stage.id}",
            where=request.name,
            remedy="name additives given as mass, activity or molar concentration",
        )
    chosen = [found[name] for name in names]
    return tuple(
        sorted(
            chosen,
            key=lambda i: (i.amount.kind is Kind.ACTIVITY_CONCENTRATION, i.amount.of(i.component).canonical),
        )
    )


def factor_of(request: DosingRequest, arm: Arm, component: str) -> float:
    """Factor of an arm for a component in the stage of the request; 1 when the arm does not vary it."""
    for varied in request.recipe.loop.vary:
        if varied.component == component and request.stage_id in varied.stages:
            return arm.factors.get(varied.key, 1.0)
    return 1.0


def arm_ingredients(request: DosingRequest, arm: Arm) -> tuple[Ingredient, ...]:
    """The medium of the stage as one arm has it."""
    medium = request.recipe.stage(request.stage_id).medium
    added = {i.component for i in varied_ingredients(request)}
    return tuple(
        i.model_copy(update={"amount": i.amount.scaled(factor_of(request, arm, i.component))})
        if i.component in added
        else i
        for i in medium.ingredients
    )


def _request_problems(request: DosingRequest, stage: Stage, catalogue: LabwareLookup) -> Iterator[Problem]:
    arms = {arm.name for arm in request.arms}
    plate = catalogue[request.plate_load_name]
    names = [well.well for well in request.wells]
    for well in request.wells:
        where = f"{request.name}, well {well.well}"
        if well.arm not in arms:
            yield Problem(f"arm '{well.arm}' is not in the request", where, f"use {', '.join(sorted(arms))}")
        if names.count(well.well) > 1:
            yield Problem("the well is fed twice", where, "name each well once")
        left = well.present_ul - well.remove_ul
        if well.remove_ul > 0 and left < plate.dead_volume_ul:
            yield Problem(
                f"removing {well.remove_ul:g} of {well.present_ul:g} µL leaves less than {plate.dead_volume_ul:g} µL",
                where,
                "remove less",
            )
        full = left + well.add_ul + well.seed_ul
        if full > plate.working_volume_ul:
            yield Problem(
                f"the well would hold {full:g} µL, its working volume is {plate.working_volume_ul:g} µL",
                where,
                "add less or remove more",
            )
        if well.seed_ul and well.donor not in {tube.donor for tube in request.donors}:
            yield Problem(f"no tube of donor {well.donor}", where, "name the donor's tube and its cell density")
    for ingredient in varied_ingredients(request):
        if request.base.per_ul.get(ingredient.component, 0.0) > 0:
            yield Problem(
                f"the base medium {request.base.barcode} already holds {ingredient.component}",
                request.name,
                f"prepare it without {ingredient.component} for stage {stage.id}",
            )


def _warnings(request: DosingRequest) -> tuple[str, ...]:
    told = []
    if mixed := [well.well for well in request.wells if well.mixed]:
        told.append(f"cells leave with the spent medium (split): {', '.join(mixed)}")
    shares = [well.seed_ul / (well.add_ul + well.seed_ul) for well in request.wells if well.seed_ul and well.add_ul]
    if shares:
        told.append(f"seeding dilutes the arm medium in the well by up to {100 * max(shares):.3g} %")
    return tuple(told)


# -- the event --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ArmTube:
    arm: Arm
    spot: Spot
    volume_ul: float


class _Event:
    """Lays one event out on a builder."""

    def __init__(
        self,
        request: DosingRequest,
        stage: Stage,
        varied: Sequence[Ingredient],
        lots: dict[str, Lot],
        builder: WorklistBuilder,
    ) -> None:
        self.request, self.stage, self.varied, self.lots, self.builder = request, stage, varied, lots, builder
        self.base: Spot = (_BASE, request.base.well)
        self.base_name = stage.medium.base.component
        self.tubes: dict[str, _ArmTube] = {}

    def plan(self) -> tuple[Worklist, dict[str, _ArmTube]]:
        self._place()
        stocks = StockDeck(self.builder, self.base_name)
        chains = {i.component: self._chain(i) for i in self.varied} if self.tubes else {}
        for ingredient in self.varied if self.tubes else ():
            lot = self.lots[ingredient.component]
            stocks.add(stock_liquid(lot, ingredient.amount, self.base_name), chains[ingredient.component])
        self._pour(chains)
        stocks.prepare(self.base)
        for name in chains:
            add_by_chain(self.builder, stocks, name, [tube.spot for tube in self.tubes.values()], f"add {name}")
        for arm in self.request.arms:
            self._feed([well for well in self.request.wells if well.arm == arm.name], self.tubes.get(arm.name))
        self._seed()
        worklist = self.builder.build(
            targets=list(self._targets()),
            recipe_revision=self.request.recipe.revision_id,
            seed=self.request.seed,
        )
        return worklist, self.tubes

    def _place(self) -> None:
        request, builder = self.request, self.builder
        builder.place(_CULTURE, request.plate_load_name, "Culture plate", barcode=request.plate_barcode)
        for well in request.wells:
            if well.present_ul > 0:
                builder.fill(
                    (_CULTURE, well.well),
                    well.present_ul,
                    Liquid(name=f"culture {well.arm}/{well.donor}", per_ul=well.present_per_ul),
                )
        adds = {arm.name: sum(w.add_ul for w in request.wells if w.arm == arm.name) for arm in request.arms}
        if any(adds.values()):
            base = request.base
            builder.place(_BASE, base.load_name, "Base medium of the round", barcode=base.barcode)
            lot = f"prepared:{base.barcode}:{base.well}"
            builder.fill(self.base, base.volume_ul, Liquid(name="base medium", per_ul=base.per_ul, lot=lot))
            self._place_tubes({name: volume for name, volume in adds.items() if volume > 0})
        if any(well.remove_ul for well in request.wells):
            builder.place(_WASTE, WASTE, "Waste (empty)")

    def _place_tubes(self, adds: dict[str, float]) -> None:
        kind = self.builder.place(_ARMS, ARM_TUBES, "Arm media (empty 15 mL tubes)")
        if len(adds) > len(kind.wells):
            raise DeckFullError(f"{len(adds)} arms need a tube each, the rack holds {len(kind.wells)}")
        arms = {arm.name: arm for arm in self.request.arms}
        for (name, volume), well in zip(adds.items(), kind.wells, strict=False):
            total = round_up(volume * (1 + OVERAGE) + kind.dead_volume_ul)
            if total > kind.working_volume_ul:
                raise DeckFullError(
                    f"arm {name} needs {total:g} µL of medium, a tube holds {kind.working_volume_ul:g} µL"
                )
            self.tubes[name] = _ArmTube(arms[name], (_ARMS, well), total)

    def _chain(self, ingredient: Ingredient) -> Chain:
        tube = self.builder.type_of(StockDeck.TUBES)
        per_ul = ingredient.amount.of(ingredient.component).canonical
        amounts = [
            per_ul * factor_of(self.request, arm.arm, ingredient.component) * arm.volume_ul
            for arm in self.tubes.values()
        ]
        return plan_chain(
            ingredient.component,
            stock_per_ul(self.lots[ingredient.component], ingredient.amount),
            amounts,
            minimum_ul=self.builder.pipette(1).min_volume_ul,
            tube_ul=tube.working_volume_ul,
            dead_ul=tube.dead_volume_ul,
            limits_ul=[arm.volume_ul / (1 + len(self.varied)) for arm in self.tubes.values()],
        )

    def _pour(self, chains: dict[str, Chain]) -> None:
        """Base into all arm tubes with one tip: they are empty, so it touches nothing else."""
        volumes = [
            tube.volume_ul - sum(chain.volumes_ul[index] for chain in chains.values())
            for index, tube in enumerate(self.tubes.values())
        ]
        needed = sum(volumes) + sum(d.diluent_ul for chain in chains.values() for d in chain.dilutions)
        if self.tubes:
            dead = self.builder.kind(_BASE).dead_volume_ul
            if needed + dead > self.request.base.volume_ul:
                raise PlanError(
                    f"the arms need {needed:g} µL of base medium, {self.request.base.barcode} gives "
                    f"{max(0.0, self.request.base.volume_ul - dead):g} µL",
                    where=self.request.name,
                    remedy=f"prepare {needed / 1000:.1f} mL or more",
                )
        for index, (tube, volume) in enumerate(zip(self.tubes.values(), volumes, strict=True)):
            self.builder.transfer(
                self.base,
                tube.spot,
                volume,
                fresh=index == 0,
                tip_ul=1000,
                comment=f"base medium for {tube.arm.name}",
            )

    def _feed(self, wells: Sequence[WellFeeding], tube: _ArmTube | None) -> None:
        """Mix the arm's medium; empty wells share that tip, wells with cells get a new one each."""
        builder = self.builder
        if tube is not None:
            builder.mix(tube.spot, 10, comment=f"mix the medium of {tube.arm.name}")
        for well in sorted(wells, key=lambda w: w.present_ul > 0):
            spot, text = (_CULTURE, well.well), f"{well.arm}/{well.donor} in {well.well}"
            if well.remove_ul > 0:
                builder.transfer(
                    spot,
                    (_WASTE, "A1"),
                    well.remove_ul,
                    each_fresh=True,
                    tip_ul=_CELL_TIP_UL,
                    mix_before=5 if well.mixed else 0,
                    flow=CELL_FLOW,
                    comment=f"{'split' if well.mixed else 'spent medium of'} {text}",
                )
            if tube is not None and well.add_ul > 0:
                builder.transfer(
                    tube.spot,
                    spot,
                    well.add_ul,
                    fresh=well.present_ul > 0,
                    each_fresh=well.present_ul > 0,
                    flow=CELL_FLOW if well.present_ul > 0 else 1.0,
                    comment=f"fresh medium for {text}",
                )

    def _seed(self) -> None:
        """Cells into the wells: mixed before every draw, a new tip per well, one donor open at a time."""
        seeded = [well for well in self.request.wells if well.seed_ul > 0]
        if not seeded:
            return
        volumes = {
            tube.donor: sum(well.seed_ul for well in seeded if well.donor == tube.donor) for tube in self.request.donors
        }
        small = self.builder.type_of(SMALL_TUBES)
        fits = max(volumes.values()) * (1 + OVERAGE) + small.dead_volume_ul <= small.working_volume_ul
        kind = self.builder.place(_DONORS, SMALL_TUBES if fits else ARM_TUBES, "CD34+ cells, one tube per donor")
        for tube, name in zip(self.request.donors, kind.wells, strict=False):
            if not volumes[tube.donor]:
                continue
            volume = round_up(volumes[tube.donor] * (1 + OVERAGE) + kind.dead_volume_ul)
            cells = f"donor:{tube.donor}"
            liquid = Liquid(
                name=f"CD34+ cells {tube.donor}", per_ul={cells: tube.cells_per_ul, self.base_name: 1.0}, lot=cells
            )
            self.builder.fill((_DONORS, name), volume, liquid)
            for well in (well for well in seeded if well.donor == tube.donor):
                self.builder.transfer(
                    (_DONORS, name),
                    (_CULTURE, well.well),
                    well.seed_ul,
                    each_fresh=True,
                    tip_ul=_CELL_TIP_UL,
                    mix_before=5,
                    flow=CELL_FLOW,
                    comment=f"seed {tube.donor} into {well.well}",
                )

    def _targets(self) -> Iterator[Target]:
        for tube in self.tubes.values():
            for ingredient in arm_ingredients(self.request, tube.arm):
                if ingredient.amount.kind is not Kind.FRACTION:
                    yield Target(
                        labware=tube.spot[0],
                        well=tube.spot[1],
                        component=ingredient.component,
                        per_ul=ingredient.amount.of(ingredient.component).canonical,
                        tolerance_percent=TOLERANCE_PERCENT,
                    )
