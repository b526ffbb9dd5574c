"""The first half of a killing assay: deck, medium, effector dilutions and targets on the plate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nkloop.assays.models import LayoutWell
from nkloop.errors import PlanError
from nkloop.inventory.models import Lot
from nkloop.quantities.display import number as scientific
from nkloop.worklists.builder import Spot, WorklistBuilder
from nkloop.worklists.cell_tubes import with_tubes_told
from nkloop.worklists.cytotoxicity_readout import (
    ASSAY,
    DETECTION,
    DETECTION_PLATE,
    REAGENT_TROUGHS,
    REAGENTS,
    bench_liquid,
    bring_in_the_dark,
    detect,
    detection_supplies,
    incubate_and_lyse,
    spin,
)
from nkloop.worklists.effector_block import EffectorBlock, PlacedColumn, arrange
from nkloop.worklists.effectors import PlateTooLargeError, Series, plan_series
from nkloop.worklists.models import Liquid, OperatorTask, Target, Worklist
from nkloop.worklists.plans import CytotoxicityRequest, EffectorNeed, EffectorTube
from nkloop.worklists.plate_columns import (
    MEDIUM,
    OVERAGE,
    ROWS,
    TARGETS,
    effector_round,
    has_effectors,
    has_targets,
    target_round,
)
from nkloop.worklists.temperature_rules import ROOM_FROM_C, storage_celsius

DEEP_BLOCK = "nest_96_wellplate_2ml_deep"
SMALL_TUBES = "opentrons_24_tuberack_nest_1.5ml_snapcap"
LARGE_TUBES = "opentrons_15_tuberack_nest_15ml_conical"
CELL_FLOW = 0.4
STROKES = 3
"""Mixing strokes before cells are drawn and after they are diluted."""
WELLS_PER_MIX = 4
"""Wells that are given one by one after one mixing of a suspension: about a minute, cells settle in two."""
DRAW_EXCESS = 0.02
"""Share more cells in a tube than the steps draw, for the error of pipetting."""
_DEEP, _TUBES, _CELLS = "dilutions", "tubes", "cells"
_TIP_UL = 1000.0


class Plate:
    """Lays one plate out on a builder."""

    def __init__(
        self,
        request: CytotoxicityRequest,
        lots: dict[str, Lot],
        builder: WorklistBuilder,
        *,
        wide_effectors: bool,
        wide_targets: bool,
        parts: bool = False,
        is_cut: bool = False,
    ) -> None:
        """Prepare; `wide_effectors` and `wide_targets` allow block columns, `parts` parts of plate columns.

        `is_cut` ends the run with the lysis; the read-out is a run of its own.
        """
        self.parts, self.is_cut = parts, is_cut
        self.request, self.layout, self.lots, self.builder = request, request.layout, lots, builder
        self.effectors = effector_round(self.layout.wells, wide=wide_effectors)
        self.targets = target_round(self.layout.wells, wide=wide_targets)
        self.needs: list[EffectorNeed] = []
        self.order: list[str] = []
        """Wells with effectors in the order they get targets."""
        self.targets_ul = 0.0
        self.target_key = f"target:{self.layout.target_line}"

    def plan(self) -> Worklist:
        """Collect all steps.

        Raises:
            PlanError: something does not fit; `DeckFullError` when narrower pipetting may fit.
        """
        self._place()
        request, builder = self.request, self.builder
        block = arrange(
            self.effectors,
            self.targets,
            effector_ul=request.effector_ul,
            target_ul=request.target_ul,
            block=builder.kind(_DEEP),
        )
        series = self._series(block)
        self._give_medium(block, series)
        self._fetch_cells()
        for one in series:
            self._dilute_and_give(one)
        for column in block.effectors:
            self._give_effector_columns(column)
        self._give_targets(block)
        incubate_and_lyse(builder, request, self.lysis, self._cold_reagents())
        if not self.is_cut:
            spin(builder)
            substrate, stop = detection_supplies(builder, request, self.lots)
            bring_in_the_dark(builder, (substrate, stop), self.lots)
            detect(builder, request, substrate, stop, parts=self.parts)
        made = builder.build(
            targets=list(self._expected()), recipe_revision=request.recipe_revision, seed=self.layout.seed
        )
        return with_tubes_told(made)

    def _cold_reagents(self) -> list[str]:
        """Reagents of the read-out that are stored cold; none when the read-out is a run of its own."""
        if self.is_cut:
            return []
        named = (self.request.substrate, self.request.stop_solution)
        stored = {name: storage_celsius(self.lots[name].storage) for name in named}
        return [name for name, celsius in stored.items() if celsius is not None and celsius < ROOM_FROM_C]

    # -- deck ---------------------------------------------------------------------------------------------------

    def _place(self) -> None:
        builder, request = self.builder, self.request
        builder.place(ASSAY, request.plate_load_name, "Assay plate", barcode=self.layout.barcode)
        if not self.is_cut:
            builder.place(DETECTION, DETECTION_PLATE, "Detection plate", barcode=request.detection_barcode)
        builder.place(_DEEP, DEEP_BLOCK, "Effector and target suspensions (empty)")
        liquids = "Assay medium" if self.is_cut else "Assay medium, substrate, stop solution"
        builder.place(REAGENTS, REAGENT_TROUGHS, liquids)
        self.small = list(builder.place(_TUBES, SMALL_TUBES, "Effectors and lysis buffer").wells)
        self.large = list(builder.place(_CELLS, LARGE_TUBES, "Target cells").wells)
        medium = bench_liquid(self.lots, request.assay_medium)
        self.medium = builder.supply(REAGENTS, [f"A{n}" for n in range(1, 7)], medium)
        self.lysis = builder.supply(_TUBES, (self.small.pop(0),), bench_liquid(self.lots, request.lysis_buffer))

    def _series(self, block: EffectorBlock) -> list[Series]:
        """One dilution series per sample, and its tube on the deck."""
        tubes = {tube.sample: tube for tube in self.request.effectors}
        series = []
        for sample in dict.fromkeys(well.sample for well in self.layout.wells if has_effectors(well) and well.sample):
            own = block.own_column.get(sample)
            one = plan_series(
                tubes[sample],
                block.levels[sample],
                self.layout.targets_per_well,
                self.request.effector_ul,
                self.builder.kind(_DEEP),
                self.builder.minimum_ul(),
                base_ul=own.need_ul if own is not None else 0.0,
            )
            self._place_tube(one, tubes[sample])
            series.append(one)
        return series

    def _place_tube(self, series: Series, tube: EffectorTube) -> None:
        small, large = self.builder.kind(_TUBES), self.builder.kind(_CELLS)
        drawn = series.take_ul * (1 + DRAW_EXCESS)
        fits = drawn + small.dead_volume_ul <= small.working_volume_ul
        rack, wells, kind = (_TUBES, self.small, small) if fits else (_CELLS, self.large, large)
        volume = float(round(drawn + kind.dead_volume_ul + 0.5))
        if tube.available_ul is not None and volume > tube.available_ul:
            raise PlateTooLargeError(
                f"{tube.sample} needs {volume:g} µL ({scientific(volume * tube.cells_per_ul)} cells), there are "
                f"{tube.available_ul:g} µL ({scientific(tube.available_ul * tube.cells_per_ul)} cells)",
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

    # -- medium -------------------------------------------------------------------------------------------------

    def _give_medium(self, block: EffectorBlock, series: list[Series]) -> None:
        """What all rows of a column take with eight channels, the rest with one tip: all wells are still empty."""
        wanted = self._medium_volumes(block, series)
        first = True
        for labware, column in sorted({(spot[0], int(spot[1][1:])) for spot in wanted}):
            spots = [(labware, f"{row}{column}") for row in ROWS]
            shared = min(wanted.get(spot, 0.0) for spot in spots)
            if shared < self.builder.minimum_ul() or self.builder.deck.pipette(8) is None:
                continue
            self.builder.transfer(
                self.medium,
                spots[0],
                shared,
                channels=8,
                fresh=first,
                tip_ul=_TIP_UL,
                comment=f"medium into column {column} of {labware}",
            )
            first = False
            wanted.update({spot: round(wanted[spot] - shared, 2) for spot in spots})
        for index, (spot, volume) in enumerate((spot, volume) for spot, volume in wanted.items() if volume > 0):
            self.builder.transfer(
                self.medium, spot, volume, fresh=index == 0, tip_ul=_TIP_UL, comment=f"medium into {spot[0]} {spot[1]}"
            )

    def _medium_volumes(self, block: EffectorBlock, series: list[Series]) -> dict[Spot, float]:
        wanted: dict[Spot, float] = {}
        for name in self.effectors.medium:
            wanted[ASSAY, name] = self.request.effector_ul
        for name in self.targets.medium:
            wanted[ASSAY, name] = wanted.get((ASSAY, name), 0.0) + self.request.target_ul
        for column in (*block.effectors, *block.targets):
            wanted.update({(_DEEP, well): column.need_ul for well in column.wells_of(MEDIUM)})
        wanted.update({(_DEEP, step.well): step.medium_ul for one in series for step in one.steps if step.medium_ul})
        return wanted

    def _fetch_cells(self) -> None:
        """Cells leave the incubator when all medium is on the plate, not before."""
        told = "Take the effector and target tubes out of the incubator, mix them gently, and set each in its place"
        self.builder.pause(OperatorTask(kind="confirm", instruction=told, labware=(_TUBES, _CELLS)))

    # -- effectors ----------------------------------------------------------------------------------------------

    def _dilute_and_give(self, series: Series) -> None:
        """Dilute down the series, then give up from the lowest E:T, all with the sample's one tip."""
        previous = series.tube
        for number, step in enumerate(series.steps):
            self.builder.transfer(
                previous,
                (_DEEP, step.well),
                step.take_ul,
                fresh=number == 0,
                tip_ul=_TIP_UL,
                mix_before=5 if number == 0 else 0,
                mix_after=STROKES,
                flow=CELL_FLOW,
                comment=f"{series.sample}: E:T {step.ratio:g}",
            )
            previous = (_DEEP, step.well)
        for step in reversed(series.steps):
            to = [((_DEEP, well), volume, "again") for well, volume in step.level.copies]
            to += [((ASSAY, well), self.request.effector_ul, f"into {well}") for well in step.level.serves]
            for number, (spot, volume, words) in enumerate(to):
                text = f"{series.sample} at E:T {step.ratio:g} {words}"
                self._with_held_tip(step.well, spot, volume, text, mixes=number % WELLS_PER_MIX == 0)

    def _with_held_tip(self, well: str, to: Spot, volume: float, text: str, *, mixes: bool) -> None:
        strokes = STROKES if mixes else 0
        self.builder.transfer((_DEEP, well), to, volume, fresh=False, mix_before=strokes, flow=CELL_FLOW, comment=text)

    def _give_effector_columns(self, source: PlacedColumn) -> None:
        """One set of tips for all plate columns of a block column: they hold nothing but medium yet."""
        for index, column in enumerate(source.column.plate_columns):
            self._give_column(source, column, self.request.effector_ul, "effectors", fresh=index == 0)

    def _give_column(self, source: PlacedColumn, column: int, volume: float, what: str, *, fresh: bool) -> None:
        self.builder.transfer(
            (_DEEP, source.anchor),
            (ASSAY, f"A{column}"),
            volume,
            channels=8,
            fresh=fresh,
            tip_ul=_TIP_UL,
            mix_before=STROKES,
            flow=CELL_FLOW,
            comment=f"{what} into column {column}",
        )

    # -- targets ------------------------------------------------------------------------------------------------

    def _give_targets(self, block: EffectorBlock) -> None:
        """Controls without effectors first, then column by column the wells in which the contact starts."""
        draws = [(well, column.need_ul) for column in block.targets for well in column.wells_of(TARGETS)]
        if not draws and not self.targets.singles:
            return
        source = self._target_tube(sum(volume for _, volume in draws), len(self.targets.singles))
        for index, (well, volume) in enumerate(draws):
            text = f"{self.layout.target_line} into {well} of the block"
            self._give_one(source, (_DEEP, well), volume, text, fresh=index == 0)
        wide = {number: one for one in block.targets for number in one.column.plate_columns}
        met = {well.well for well in self.layout.wells if has_effectors(well)}
        controls = [name for name in self.targets.singles if name not in met]
        for number, one in wide.items():
            if not met.intersection(_column(number)):
                self._give_target_column(one, number)
        rim = _RimRound(self, source)
        for well in controls:
            rim.give(well)
        for number in sorted({*wide, *(int(name[1:]) for name in self.targets.singles)}):
            wells = [name for name in _column(number) if name in met]
            if wells and number in wide:
                self._give_target_column(wide[number], number)
                self._contact(wells)
            elif number not in wide:
                for well in wells:
                    if well in self.targets.singles:
                        rim.give(well)
                        self._contact([well])

    def _give_target_column(self, source: PlacedColumn, number: int) -> None:
        """With new tips every time: its wells hold effectors, or medium that the suspension may not hold."""
        self._give_column(source, number, self.request.target_ul, "targets", fresh=True)

    def give_target_well(self, source: Spot, well: str, *, fresh: bool, strokes: int) -> None:
        """Drop one well's targets from its rim: effectors stay off the tip, so that it may go back to the source."""
        self.builder.transfer(
            source,
            (ASSAY, well),
            self.request.target_ul,
            fresh=fresh,
            tip_ul=_TIP_UL,
            mix_before=strokes,
            flow=CELL_FLOW,
            at_rim=True,
            comment=f"targets into {well}",
        )

    def _contact(self, wells: Iterable[str]) -> None:
        """Note where effectors have just met targets; effector-only wells of the column got medium."""
        both = {well.well for well in self.layout.wells if has_effectors(well) and has_targets(well)}
        met = [name for name in wells if name in both]
        self.order += met

    def _give_one(self, source: Spot, to: Spot, volume: float, text: str, *, fresh: bool) -> None:
        self.builder.transfer(
            source, to, volume, fresh=fresh, tip_ul=_TIP_UL, mix_before=STROKES, flow=CELL_FLOW, comment=text
        )

    def _target_tube(self, block_ul: float, n_wells: int) -> Spot:
        """Target suspension at the density the wells need, diluted on the deck when it comes denser."""
        kind = self.builder.kind(_CELLS)
        density, wanted = self.request.targets_per_ul, self.layout.targets_per_well / self.request.target_ul
        singles = n_wells * self.request.target_ul * (1 + OVERAGE)
        total = round(block_ul * (1 + DRAW_EXCESS) + singles + kind.dead_volume_ul, 1)
        if total > kind.working_volume_ul:
            raise PlateTooLargeError(
                f"the plate needs {total:g} µL of target cells, a tube holds {kind.working_volume_ul:g} µL",
                where=self.request.name,
                remedy="lay out fewer wells per plate",
            )
        stock: Spot = (_CELLS, self.large.pop(0))
        take = round(total * wanted / density, 2)
        diluted = total - take >= self.builder.minimum_ul()
        self.targets_ul = float(round(take * (1 + DRAW_EXCESS) + kind.dead_volume_ul + 0.5)) if diluted else total
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

    # -- result -------------------------------------------------------------------------------------------------

    def _expected(self) -> Iterator[Target]:
        """Cells per µL the wells with effectors and targets must hold at the end."""
        total = self.request.effector_ul + self.request.target_ul
        for well in self.layout.wells:
            cells = self.layout.targets_per_well / total
            if has_effectors(well) and has_targets(well):
                yield Target(labware=ASSAY, well=well.well, component=self.target_key, per_ul=cells)
            if has_effectors(well) and well.nominal_ratio is not None:
                yield Target(labware=ASSAY, well=well.well, component=_key(well), per_ul=cells * well.nominal_ratio)


class _RimRound:
    """Targets given one by one with one tip.

    Mixing before every draw would take most of the time between the first and the last contact.
    """

    def __init__(self, plate: Plate, source: Spot) -> None:
        self.plate, self.source, self.given = plate, source, 0
        self.last_step = 0

    def give(self, well: str) -> None:
        """The next well."""
        steps = self.plate.builder.steps
        is_first = not self.given or len(steps) != self.last_step
        mixes = is_first or self.given % WELLS_PER_MIX == 0
        self.plate.give_target_well(self.source, well, fresh=not self.given, strokes=STROKES if mixes else 0)
        self.given, self.last_step = self.given + 1, len(steps)


def _key(well: LayoutWell) -> str:
    return f"effector:{well.sample}"


def _column(number: int) -> list[str]:
    return [f"{row}{number}" for row in ROWS]
