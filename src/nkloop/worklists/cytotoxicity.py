"""Plans one killing-assay plate (LDH release): effector dilutions, targets, controls, lysis, detection.

Order on the plate: medium into empty wells, effectors from the lowest E:T to the highest with one tip per sample, then
targets, with a new tip for every well that already holds effectors, so that no tip brings one cell type into the tube
of the other. Cells are mixed before every draw, because they settle within minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from nkloop.assays.models import LayoutWell, PlateLayout
from nkloop.errors import PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import Spot, WorklistBuilder
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.effectors import Series, plan_series
from nkloop.worklists.lots import Stocks, lot_uses, with_lots
from nkloop.worklists.models import Liquid, OperatorTask, Target, Worklist
from nkloop.worklists.plans import CytotoxicityPlan, CytotoxicityRequest, EffectorNeed, EffectorTube
from nkloop.worklists.strength import stock_liquid

DEEP_BLOCK = "nest_96_wellplate_2ml_deep"
DETECTION_PLATE = "corning_96_wellplate_360ul_flat"
REAGENTS = "nest_12_reservoir_15ml"
SMALL_TUBES = "opentrons_24_tuberack_nest_1.5ml_snapcap"
LARGE_TUBES = "opentrons_15_tuberack_nest_15ml_conical"
LYSIS_MINUTES = 45
"""Lysis buffer acts this long before harvest (Promega FAQ fq0006); the effectors' contact includes it."""
CENTRIFUGE_G, CENTRIFUGE_MINUTES = 250, 4
DARK_MINUTES, BENCH_C, BODY_C = 30, 22.0, 37.0
CELL_FLOW, SUPERNATANT_FLOW = 0.4, 0.3
TARGET_OVERAGE = 0.10
SECONDS_PER_TARGET_WELL = 25
"""Estimate: tip change, three mixing strokes, transfer."""
STAGGER_LIMIT_PERCENT = 5.0
_ASSAY, _DETECTION, _DEEP, _REAGENTS, _TUBES, _CELLS = "assay", "detection", "dilutions", "reagents", "tubes", "cells"
_TIP_UL = 1000.0
_SILENT_ROLES = {"medium_ring", "empty"}
_TARGET_CONTROLS = {"spontaneous", "maximum"}
_WITH_BOTH = {"experimental", "reference_effector"}


def plan_cytotoxicity(
    request: CytotoxicityRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup
) -> CytotoxicityPlan:
    """Plan one plate of any layout.

    Raises:
        PlanError: a sample has no tube or too few cells, volumes do not fit, or the deck is too small.
        ShortageError: no valid lot of a bench liquid holds enough.
    """
    problems = list(_request_problems(request))
    if problems:
        raise PlanError.from_problems(problems)

    def plan(lots: dict[str, Lot]) -> tuple[Worklist, _Plate]:
        builder = WorklistBuilder(request.name, "cytotoxicity_assay", deck, catalogue)
        plate = _Plate(request, lots, builder)
        return plate.plan(), plate

    names = (request.assay_medium, request.lysis_buffer, request.substrate, request.stop_solution)
    worklist, plate, lots = with_lots(names, inventory, request.use_until, plan)
    return CytotoxicityPlan(
        worklist=worklist,
        effectors=tuple(plate.needs),
        targets_ul=plate.targets_ul,
        dispense_order=tuple(plate.order),
        tips=tips_by_rack(worklist),
        lots=lot_uses(worklist, lots, catalogue),
        warnings=_warnings(request.layout, plate.order),
    )


def tips_by_rack(worklist: Worklist) -> dict[str, int]:
    """Tips a worklist uses, per rack type."""
    racks = {item.nickname: item.load_name for item in worklist.deck}
    used: Counter[str] = Counter()
    for step in worklist.steps:
        if step.tip:
            used[racks[step.tip.partition(":")[0]]] += step.channels
    return dict(used)


def _request_problems(request: CytotoxicityRequest) -> Iterator[Problem]:
    layout, tubes = request.layout, {tube.sample for tube in request.effectors}
    for sample in dict.fromkeys(well.sample for well in layout.wells if well.sample and _has_effectors(well)):
        if sample not in tubes:
            yield Problem(f"no tube of effector sample '{sample}'", request.name, "name its lot and cell density")
    if layout.contact_minutes <= LYSIS_MINUTES:
        yield Problem(
            f"contact of {layout.contact_minutes:g} min is not longer than the {LYSIS_MINUTES} min of lysis",
            request.name,
            "use the 4 h of the method",
        )
    needed = layout.targets_per_well / request.target_ul
    if request.targets_per_ul < needed * 0.999:
        yield Problem(
            f"{layout.target_line} at {request.targets_per_ul:g} cells/µL is too thin for {needed:g} cells/µL",
            request.name,
            "concentrate the target cells",
        )


def _has_effectors(well: LayoutWell) -> bool:
    return well.role in _WITH_BOTH or well.role == "effector_only"


def _warnings(layout: PlateLayout, order: Sequence[str]) -> tuple[str, ...]:
    stagger = len(order) * SECONDS_PER_TARGET_WELL / 60
    share = 100 * stagger / layout.contact_minutes
    if share <= STAGGER_LIMIT_PERCENT:
        return ()
    return (
        f"adding targets takes about {stagger:.0f} min, {share:.0f} % of the contact time "
        f"(limit {STAGGER_LIMIT_PERCENT:g} %): compare wells column by column",
    )


class _Plate:
    """Lays one plate out on a builder."""

    def __init__(self, request: CytotoxicityRequest, lots: dict[str, Lot], builder: WorklistBuilder) -> None:
        self.request, self.layout, self.lots, self.builder = request, request.layout, lots, builder
        self.needs: list[EffectorNeed] = []
        self.order: list[str] = []
        self.targets_ul = 0.0
        self.target_key = f"target:{self.layout.target_line}"

    def plan(self) -> Worklist:
        self._place()
        series = self._series()
        self._give_medium(series)
        for one in series:
            self._dilute_and_give(one)
        self._give_targets()
        self._incubate_and_lyse()
        self._detect()
        return self.builder.build(targets=list(self._targets()), seed=self.layout.seed)

    # -- deck ---------------------------------------------------------------------------------------------------

    def _place(self) -> None:
        builder, request = self.builder, self.request
        builder.place(_ASSAY, request.plate_load_name, "Assay plate", barcode=self.layout.barcode)
        builder.place(_DETECTION, DETECTION_PLATE, "Detection plate", barcode=request.detection_barcode)
        builder.place(_DEEP, DEEP_BLOCK, "Effector dilutions (empty)")
        builder.place(_REAGENTS, REAGENTS, "Assay medium, substrate, stop solution")
        self.small = list(builder.place(_TUBES, SMALL_TUBES, "Effectors and lysis buffer").wells)
        self.large = list(builder.place(_CELLS, LARGE_TUBES, "Target cells").wells)
        self.medium = builder.supply(_REAGENTS, [f"A{n}" for n in range(1, 7)], self._liquid(request.assay_medium))
        self.substrate = builder.supply(_REAGENTS, ("A8", "A9"), self._liquid(request.substrate))
        self.stop = builder.supply(_REAGENTS, ("A11", "A12"), self._liquid(request.stop_solution))
        self.lysis = builder.supply(_TUBES, (self.small.pop(0),), self._liquid(request.lysis_buffer))

    def _liquid(self, component: str) -> Liquid:
        return stock_liquid(self.lots[component], Amount(100, "% v/v"), component)

    def _series(self) -> list[Series]:
        """One dilution series per sample, and its tube on the deck."""
        tubes = {tube.sample: tube for tube in self.request.effectors}
        wells = [well for well in self.layout.wells if _has_effectors(well)]
        names = list(dict.fromkeys(well.sample for well in wells if well.sample is not None))
        series = [
            plan_series(
                tubes[name],
                [well for well in wells if well.sample == name],
                index,
                self.layout.targets_per_well,
                self.request.effector_ul,
                self.builder.kind(_DEEP),
                self.builder.pipette(1).min_volume_ul,
            )
            for index, name in enumerate(names)
        ]
        for one in series:
            self._place_tube(one, tubes[one.sample])
        return series

    def _place_tube(self, series: Series, tube: EffectorTube) -> None:
        small, large = self.builder.kind(_TUBES), self.builder.kind(_CELLS)
        fits = series.take_ul * 1.02 + small.dead_volume_ul <= small.working_volume_ul
        rack, wells, kind = (_TUBES, self.small, small) if fits else (_CELLS, self.large, large)
        volume = float(round(series.take_ul * 1.02 + kind.dead_volume_ul + 0.5))
        if tube.available_ul is not None and volume > tube.available_ul:
            raise PlanError(
                f"{tube.sample} needs {volume:g} µL ({volume * tube.cells_per_ul:.3g} cells), there are "
                f"{tube.available_ul:g} µL ({tube.available_ul * tube.cells_per_ul:.3g} cells)",
                where=self.request.name,
                remedy="fewer replicates or ratios, a smaller number of targets per well, or more cells",
            )
        if not wells:
            raise PlanError("no tube position is left for effectors", where=self.request.name, remedy="fewer samples")
        series.tube = (rack, wells.pop(0))
        liquid = Liquid(
            name=f"effectors {tube.sample}",
            per_ul={series.key: tube.cells_per_ul, self.request.assay_medium: 1.0},
            lot=tube.lot,
        )
        self.builder.fill(series.tube, volume, liquid)
        self.needs.append(EffectorNeed(sample=tube.sample, volume_ul=volume, cells=volume * tube.cells_per_ul))

    # -- cells and medium ---------------------------------------------------------------------------------------

    def _medium_ul(self, well: LayoutWell) -> float:
        both = self.request.effector_ul + self.request.target_ul
        return {
            "effector_only": self.request.target_ul,
            "spontaneous": self.request.effector_ul,
            "maximum": self.request.effector_ul,
            "background": both,
            "volume_correction": both,
            "medium_ring": both,
        }.get(well.role, 0.0)

    def _give_medium(self, series: Sequence[Series]) -> None:
        """Full columns with eight channels, the rest and the dilution wells with one tip: all are empty."""
        volumes = {well.well: self._medium_ul(well) for well in self.layout.wells}
        kind = self.builder.kind(_ASSAY)
        first = True
        for column in _columns(volumes):
            wanted = {volumes.get(name, 0.0) for name in kind.reached(f"A{column}", 8)}
            if len(wanted) == 1 and self.builder.deck.pipette(8) is not None and (volume := wanted.pop()) > 0:
                self.builder.transfer(
                    self.medium,
                    (_ASSAY, f"A{column}"),
                    volume,
                    channels=8,
                    fresh=first,
                    tip_ul=_TIP_UL,
                    comment=f"medium into column {column}",
                )
                first = False
                volumes.update(dict.fromkeys(kind.reached(f"A{column}", 8), 0.0))
        singles: list[tuple[Spot, float]] = [((_ASSAY, name), volume) for name, volume in volumes.items() if volume]
        singles += [((_DEEP, step.well), step.medium_ul) for one in series for step in one.steps if step.medium_ul]
        for index, (spot, volume) in enumerate(singles):
            self.builder.transfer(
                self.medium, spot, volume, fresh=index == 0, tip_ul=_TIP_UL, comment=f"medium into {spot[0]} {spot[1]}"
            )

    def _dilute_and_give(self, series: Series) -> None:
        """Dilute down the series, then dispense up from the lowest E:T, all with the sample's one tip."""
        previous = series.tube
        for number, step in enumerate(series.steps):
            self.builder.transfer(
                previous,
                (_DEEP, step.well),
                step.take_ul,
                fresh=number == 0,
                tip_ul=_TIP_UL,
                mix_before=5 if number == 0 else 0,
                mix_after=5,
                flow=CELL_FLOW,
                comment=f"{series.sample}: E:T {step.ratio:g}",
            )
            previous = (_DEEP, step.well)
        for step in reversed(series.steps):
            for well in step.serves:
                self.builder.transfer(
                    (_DEEP, step.well),
                    (_ASSAY, well),
                    self.request.effector_ul,
                    fresh=False,
                    mix_before=3,
                    flow=CELL_FLOW,
                    comment=f"{series.sample} at E:T {step.ratio:g} into {well}",
                )

    def _give_targets(self) -> None:
        controls = [w.well for w in self.layout.wells if w.role in _TARGET_CONTROLS]
        both = sorted((w.well for w in self.layout.wells if w.role in _WITH_BOTH), key=_column_first)
        if not controls and not both:
            return
        source = self._target_tube(len(controls) + len(both))
        for index, well in enumerate(controls + both):
            self.builder.transfer(
                source,
                (_ASSAY, well),
                self.request.target_ul,
                fresh=index == 0 or well in both,
                tip_ul=_TIP_UL,
                mix_before=3,
                flow=CELL_FLOW,
                comment=f"targets into {well}",
            )
        self.order = both

    def _target_tube(self, wells: int) -> Spot:
        """Target suspension at the density the wells need, diluted on the deck when it comes denser."""
        kind = self.builder.kind(_CELLS)
        density, wanted = self.request.targets_per_ul, self.layout.targets_per_well / self.request.target_ul
        total = round(wells * self.request.target_ul * (1 + TARGET_OVERAGE) + kind.dead_volume_ul, 1)
        if total > kind.working_volume_ul:
            raise PlanError(
                f"{wells} wells need {total:g} µL of target cells, a tube holds {kind.working_volume_ul:g} µL",
                where=self.request.name,
                remedy="lay out fewer wells per plate",
            )
        stock: Spot = (_CELLS, self.large.pop(0))
        take = round(total * wanted / density, 2)
        diluted = total - take >= self.builder.pipette(1).min_volume_ul
        self.targets_ul = float(round(take * 1.02 + kind.dead_volume_ul + 0.5)) if diluted else total
        per_ul = {self.target_key: density if diluted else wanted, self.request.assay_medium: 1.0}
        line = f"line:{self.layout.target_line}"
        self.builder.fill(stock, self.targets_ul, Liquid(name=self.layout.target_line, per_ul=per_ul, lot=line))
        if not diluted:
            return stock
        working: Spot = (_CELLS, self.large.pop(0))
        self.builder.transfer(self.medium, working, total - take, tip_ul=_TIP_UL, comment="medium for the target cells")
        self.builder.transfer(
            stock,
            working,
            take,
            each_fresh=True,
            tip_ul=_TIP_UL,
            mix_before=5,
            mix_after=3,
            flow=CELL_FLOW,
            comment=f"{self.layout.target_line}: dilute to {wanted:g} cells/µL",
        )
        return working

    # -- incubation, lysis, detection ---------------------------------------------------------------------------

    def _incubate_and_lyse(self) -> None:
        minutes = self.layout.contact_minutes - LYSIS_MINUTES
        self._pause("incubate", f"Incubate the assay plate for {minutes:g} min at 37 °C", _ASSAY, minutes, BODY_C)
        for role in ("volume_correction", "maximum"):
            for well in self.layout.with_role(role):
                self.builder.transfer(
                    self.lysis,
                    (_ASSAY, well.well),
                    self.request.lysis_ul,
                    each_fresh=True,
                    mix_after=3,
                    comment=f"lysis buffer into {well.well}",
                )
        text = f"Incubate the assay plate for {LYSIS_MINUTES} min at 37 °C"
        self._pause("incubate", text, _ASSAY, LYSIS_MINUTES, BODY_C)
        task = OperatorTask(
            kind="centrifuge",
            instruction=f"Centrifuge the assay plate at {CENTRIFUGE_G} g for {CENTRIFUGE_MINUTES} min, put it back",
            labware=(_ASSAY,),
            minutes=CENTRIFUGE_MINUTES,
            force_g=CENTRIFUGE_G,
        )
        self.builder.pause(task)

    def _detect(self) -> None:
        """Substrate into the empty plate with one set of tips, then supernatant, dark, stop solution."""
        request = self.request
        wells = [well.well for well in self.layout.wells if well.role not in _SILENT_ROLES]
        full, single = self._full_columns(wells)
        for index, (spot, channels) in enumerate([*full, *single]):
            new = index in {0, len(full)}
            self.builder.transfer(
                self.substrate,
                (_DETECTION, spot),
                request.substrate_ul,
                channels=channels,
                fresh=new,
                comment="substrate",
            )
        for spot, channels in [*full, *single]:
            self.builder.transfer(
                (_ASSAY, spot),
                (_DETECTION, spot),
                request.supernatant_ul,
                channels=channels,
                mix_after=2,
                flow=SUPERNATANT_FLOW,
                comment=f"supernatant of {'column ' + spot[1:] if channels == 8 else spot}",
            )
        text = f"Keep the detection plate in the dark for {DARK_MINUTES} min at 22 °C"
        self._pause("incubate", text, _DETECTION, DARK_MINUTES, BENCH_C)
        for spot, channels in [*full, *single]:
            self.builder.transfer(
                self.stop, (_DETECTION, spot), request.stop_ul, channels=channels, mix_after=1, comment="stop solution"
            )

    def _full_columns(self, wells: Sequence[str]) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Columns where every row holds enough for eight channels, and single wells of the others."""
        kind = self.builder.kind(_ASSAY)
        full: list[tuple[str, int]] = []
        single: list[tuple[str, int]] = []
        for column in _columns(wells):
            names = kind.reached(f"A{column}", 8)
            enough = all(self.builder.ledger.available(_ASSAY, name) >= self.request.supernatant_ul for name in names)
            if enough and self.builder.deck.pipette(8) is not None:
                full.append((f"A{column}", 8))
            else:
                single += [(name, 1) for name in names if name in wells]
        return full, single

    def _pause(self, kind: str, text: str, labware: str, minutes: float, temperature: float) -> None:
        task = {
            "kind": kind,
            "instruction": text,
            "labware": (labware,),
            "minutes": minutes,
            "temperature_c": temperature,
        }
        self.builder.pause(OperatorTask.model_validate(task))

    def _targets(self) -> Iterator[Target]:
        """Cells per µL the wells with effectors and targets must hold at the end."""
        total = self.request.effector_ul + self.request.target_ul
        for well in self.layout.wells:
            cells = self.layout.targets_per_well / total
            if well.role in _WITH_BOTH:
                yield Target(labware=_ASSAY, well=well.well, component=self.target_key, per_ul=cells)
            if _has_effectors(well) and well.nominal_ratio is not None:
                key = f"effector:{well.sample}"
                yield Target(labware=_ASSAY, well=well.well, component=key, per_ul=cells * well.nominal_ratio)


def _columns(wells: Sequence[str] | dict[str, float]) -> list[int]:
    return sorted({int(name[1:]) for name in wells})


def _column_first(well: str) -> tuple[int, str]:
    return int(well[1:]), well[0]
