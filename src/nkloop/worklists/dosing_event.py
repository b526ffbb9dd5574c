"""One robot run of a feeding: arm media, then every culture well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nkloop.errors import PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.labware.models import LabwareType
from nkloop.quantities import Kind
from nkloop.recipes.models import ErrorLimits, Ingredient, Stage
from nkloop.worklists.builder import Spot, WorklistBuilder, round_up
from nkloop.worklists.cell_tubes import with_tubes_told
from nkloop.worklists.column_parts import column_parts
from nkloop.worklists.dose_room import dose_room_problems
from nkloop.worklists.dosing_request import arm_ingredients, targets_of
from nkloop.worklists.feeding_aims import unavoidable
from nkloop.worklists.mixtures import DEEP_WELLS, OVERAGE, TUBES_15, TUBES_50, Made, Mixture, MixtureMaker
from nkloop.worklists.models import Liquid, OperatorTask, Target, Worklist
from nkloop.worklists.plans import DosingRequest, WellFeeding
from nkloop.worklists.strength import stock_per_ul

WASTE = "nest_1_reservoir_195ml"
SMALL_TUBES = "opentrons_24_tuberack_nest_1.5ml_snapcap"
TOLERANCE_PERCENT = 5.0
CELL_FLOW = 0.4
"""Share of the default flow rate for liquids with cells."""
CULTURE, NEW, BASE, ARMS, WASTE_NAME, DONORS = "culture", "new_culture", "base", "arms", "waste", "donors"
_CELL_TIP_UL = 1000.0
_CHANNELS = 8


class Event:
    """Lays one feeding out on a builder."""

    def __init__(
        self,
        request: DosingRequest,
        stage: Stage,
        ingredients: Sequence[Ingredient],
        lots: Mapping[str, Lot],
        builder: WorklistBuilder,
        standing: Mapping[Spot, tuple[float, Mapping[str, float]]],
        cells_in: tuple[str, ...],
        errors: ErrorLimits | None = None,
    ) -> None:
        """Lay nothing out yet.

        Args:
            request: what is asked for.
            stage: of the recipe.
            ingredients: what the arms add.
            lots: of the ingredients and of what they are diluted in.
            builder: where steps go.
            standing: what other wells of the culture plates hold: volume and contents per µL.
            cells_in: culture plates that hold cells when the run starts.
            errors: largest predicted error of a dose; the cheapest chains whatever their error when None.
        """
        self.request, self.builder, self.standing = request, builder, standing
        self.ingredients, self.lots = tuple(ingredients), lots
        self.base: Spot = (BASE, request.base.well)
        self.base_name, self.cells_name = stage.medium.base.component, _cells_name(stage)
        self.made: list[Made] = []
        self.cells_in = cells_in
        self.errors = errors
        self.notes: tuple[str, ...] = ()

    def plan(self, mixtures: Sequence[Mixture], index: Mapping[str, int]) -> Worklist:
        """Place everything and write all steps.

        Args:
            mixtures: liquids to make.
            index: well to the mixture it is fed with.
        """
        self._place()
        if mixtures or self.request.medium_wells:
            self._place_base()
        if mixtures:
            self._make(mixtures, index)
        self._fill_edge()
        mixed = self._mix_columns()
        self._fetch_cells()
        self._feed_all(index, self._drain_columns(), mixed)
        self._transfer()
        self._seed()
        made = self.builder.build(
            targets=list(self._targets(index)),
            recipe_revision=self.request.recipe.revision_id,
            seed=self.request.seed,
        )
        return with_tubes_told(made)

    # -- the deck -----------------------------------------------------------------------------------------------

    def _place(self) -> None:
        request, builder = self.request, self.builder
        builder.place(CULTURE, request.plate_load_name, "Culture plate", barcode=request.plate_barcode)
        if any(well.is_transferred for well in request.wells):
            builder.place(NEW, request.new_plate_load_name, "New culture plate", barcode=request.new_plate_barcode)
        for well in request.wells:
            if well.present_ul > 0:
                liquid = Liquid(name=f"culture {well.arm}/{well.donor}", per_ul=well.present_per_ul)
                builder.fill((CULTURE, well.well), well.present_ul, liquid)
        for spot, (volume, per_ul) in self.standing.items():
            builder.fill(spot, volume, Liquid(name="culture of another part", per_ul=dict(per_ul)))
        if any(well.remove_ul for well in request.wells):
            builder.place(WASTE_NAME, WASTE, "Waste (empty)")

    def _place_base(self) -> None:
        base = self.request.base
        self.builder.place(BASE, base.load_name, "Base medium of the round", barcode=base.barcode)
        self.builder.fill(self.base, base.volume_ul, Liquid(name="base medium", per_ul=base.per_ul, lot=base.lot))

    def _make(self, mixtures: Sequence[Mixture], index: Mapping[str, int]) -> None:
        """One vessel for each mixture."""
        maker, label = self._maker(), "Arm media (empty)"
        maker.place(mixtures, nickname=ARMS, label=label, kinds=(DEEP_WELLS, TUBES_15, TUBES_50), overage=OVERAGE)
        self._fill(maker)

    def _maker(self) -> MixtureMaker:
        return MixtureMaker(self.builder, self.base, self.base_name, self.ingredients, self.lots, errors=self.errors)

    def _fill(self, maker: MixtureMaker) -> None:
        base = self.request.base
        maker.make(base.volume_ul - len(self.request.medium_wells) * self.request.medium_wells_ul, base.barcode)
        self.made = maker.made
        self.notes = tuple(maker.notes())
        self._refuse_large_doses()

    def _refuse_large_doses(self) -> None:
        """Before wells are fed, whose volumes would be told as the fault of everything the doses thin."""
        arms = {arm.name: arm for arm in self.request.arms}
        stocks = {i.component: stock_per_ul(self.lots[i.component], i.amount) for i in self.ingredients}
        problems: list[Problem] = []
        for made in self.made if stocks else ():
            name, held = made.mixture.name, self.builder.ledger.well(*made.spot).per_ul
            wanted = {
                i.component: i.amount.of(i.component).canonical
                for i in arm_ingredients(self.request, arms[made.mixture.arm])
            }
            base = self.request.base.per_ul
            problems += dose_room_problems(f"medium of {name}", wanted, stocks, base, held, TOLERANCE_PERCENT)
        if problems:
            raise PlanError.from_problems(problems)

    def _fill_edge(self) -> None:
        for number, well in enumerate(self.request.medium_wells):
            volume = self.request.medium_wells_ul
            comment = f"base medium into {well} at the edge"
            self.builder.transfer(self.base, (CULTURE, well), volume, fresh=number == 0, comment=comment)

    def _fetch_cells(self) -> None:
        """Cultures leave the incubator when their media are ready, not before."""
        if not self.cells_in or not self.builder.steps:
            return
        barcodes = {CULTURE: self.request.plate_barcode, NEW: self.request.new_plate_barcode}
        plates = " and ".join(f"culture plate {barcodes[one]}" for one in self.cells_in)
        told = f"Take {plates} out of the incubator, without tilting, and set on the deck."
        self.builder.pause(OperatorTask(kind="confirm", instruction=told, labware=self.cells_in))

    def _mix_columns(self) -> frozenset[Spot]:
        """Mix whole columns of equal mixtures with eight channels; returns what is mixed."""
        if not self.made or self.builder.kind(ARMS).rows != _CHANNELS or self.builder.deck.pipette(_CHANNELS) is None:
            return frozenset()
        made = {one.spot: one for one in self.made}
        done: set[Spot] = set()
        for names in _columns(self.builder.kind(ARMS)):
            some = [made[ARMS, name] for name in names if (ARMS, name) in made]
            if len(some) == len(names) and len({one.volume_ul for one in some}) == 1:
                comment = f"mix the media of column {names[0][1:]}"
                self.builder.mix((ARMS, names[0]), 10, channels=_CHANNELS, comment=comment)
                done |= {one.spot for one in some}
        return frozenset(done)

    # -- wells --------------------------------------------------------------------------------------------------

    def _feed_all(self, index: Mapping[str, int], drained: frozenset[str], mixed: frozenset[Spot]) -> None:
        """Mixture by mixture, each well drained just before it is fed.

        Args:
            index: well to the mixture it is fed with.
            drained: wells that are drained already.
            mixed: mixtures that are mixed already.
        """
        for number, made in enumerate(self.made):
            wells = [well for well in self.request.wells if index.get(well.well) == number]
            self._feed(wells, made, drained, is_mixed=made.spot in mixed)
        self._feed([well for well in self.request.wells if well.well not in index], None, drained)

    def _drain_columns(self) -> frozenset[str]:
        """Remove the same volume out of neighbours in a column with as many channels; returns the wells done."""
        kind = self.builder.kind(CULTURE)
        done: set[str] = set()
        if kind.rows != _CHANNELS or self.builder.deck.pipette(_CHANNELS) is None:
            return frozenset()
        alike: dict[tuple[float, bool], dict[str, WellFeeding]] = {}
        for well in self.request.wells:
            if well.remove_ul > 0:
                alike.setdefault((well.remove_ul, well.mixed), {})[well.well] = well
        for wells in alike.values():
            for top, channels in column_parts(kind, wells):
                ends = [(CULTURE, top), (WASTE_NAME, "A1")]
                if channels > 1 and self.builder.reaches(ends, channels, _CELL_TIP_UL):
                    names = kind.reached(top, channels)
                    told = f"column {top[1:]}" if channels == _CHANNELS else f"{top} to {names[-1]}"
                    self._drain((CULTURE, top), wells[top], told, channels=channels)
                    done.update(names)
        return frozenset(done)

    def _drain(self, spot: Spot, well: WellFeeding, text: str, channels: int = 1) -> None:
        self.builder.transfer(
            spot,
            (WASTE_NAME, "A1"),
            well.remove_ul,
            channels=channels,
            each_fresh=True,
            tip_ul=_CELL_TIP_UL,
            mix_before=5 if well.mixed else 0,
            flow=CELL_FLOW,
            comment=f"{'split' if well.mixed else 'spent medium of'} {text}",
        )

    def _feed(
        self, wells: Sequence[WellFeeding], made: Made | None, drained: frozenset[str], *, is_mixed: bool = False
    ) -> None:
        """Mix the mixture; empty wells share one tip, wells with cells get a new one each."""
        has_tip = made is not None and bool(wells) and not is_mixed
        if made is not None and has_tip:
            self.builder.mix(made.spot, 10, comment=f"mix the medium of {made.mixture.name}")
        for well in sorted(wells, key=lambda w: w.present_ul > 0 and not w.is_transferred):
            text = f"{well.arm}/{well.donor} in {well.well}"
            if well.remove_ul > 0 and well.well not in drained:
                self._drain((CULTURE, well.well), well, text)
            if made is not None and well.add_ul > 0:
                spot = fed_spot(well)
                has_cells = well.present_ul > 0 and not well.is_transferred
                self.builder.transfer(
                    made.spot,
                    spot,
                    well.add_ul,
                    fresh=has_cells or not has_tip,
                    each_fresh=has_cells,
                    flow=CELL_FLOW if has_cells else 1.0,
                    comment=f"fresh medium for {text}",
                )
                has_tip = True

    def _transfer(self) -> None:
        """Cells to the new plate, mixed before every draw, a new tip per well."""
        for well in (well for well in self.request.wells if well.is_transferred):
            self.builder.transfer(
                (CULTURE, well.well),
                (NEW, well.to_well),
                well.transfer_ul,
                each_fresh=True,
                tip_ul=_CELL_TIP_UL,
                mix_before=5,
                flow=CELL_FLOW,
                comment=f"{well.arm}/{well.donor} from {well.well} to {well.to_well} of the new plate",
            )

    def _seed(self) -> None:
        """Cells into the wells: mixed before every draw, a new tip per well, one donor open at a time."""
        seeded = [well for well in self.request.wells if well.seed_ul > 0]
        if not seeded:
            return
        kind = self._place_donors(seeded)
        for tube, name in zip(self.request.donors, kind.wells, strict=False):
            for well in (well for well in seeded if well.donor == tube.donor):
                self.builder.transfer(
                    (DONORS, name),
                    (CULTURE, well.well),
                    well.seed_ul,
                    each_fresh=True,
                    tip_ul=_CELL_TIP_UL,
                    mix_before=5,
                    flow=CELL_FLOW,
                    comment=f"seed {tube.donor} into {well.well}",
                )

    def _place_donors(self, seeded: Sequence[WellFeeding]) -> LabwareType:
        """One tube of cells per donor, brought by a person when the media are ready."""
        volumes = {
            tube.donor: sum(well.seed_ul for well in seeded if well.donor == tube.donor) for tube in self.request.donors
        }
        small = self.builder.type_of(SMALL_TUBES)
        fits = max(volumes.values()) * (1 + OVERAGE) + small.dead_volume_ul <= small.working_volume_ul
        label = f"{self.cells_name[0].upper()}{self.cells_name[1:]}, one tube per donor"
        kind = self.builder.place(DONORS, SMALL_TUBES if fits else TUBES_15, label)
        for tube, name in zip(self.request.donors, kind.wells, strict=False):
            if not volumes[tube.donor]:
                continue
            cells = f"donor:{tube.donor}"
            per_ul = {cells: tube.cells_per_ul, **(tube.per_ul or {self.base_name: 1.0})}
            volume = round_up(volumes[tube.donor] * (1 + OVERAGE) + kind.dead_volume_ul)
            liquid = Liquid(name=f"{self.cells_name} {tube.donor}", per_ul=per_ul, lot=cells)
            self.builder.fill((DONORS, name), volume, liquid)
        if self.builder.steps:
            told = f"Set the donor tubes with {self.cells_name} on the deck, mixed gently"
            self.builder.pause(OperatorTask(kind="confirm", instruction=told, labware=(DONORS,)))
        return kind

    # -- targets ------------------------------------------------------------------------------------------------

    def _targets(self, index: Mapping[str, int]) -> Iterator[Target]:
        if self.request.aim == "medium":
            yield from self._tube_targets()
            return
        arms = {arm.name: arm for arm in self.request.arms}
        suspended = {tube.donor: tube.per_ul for tube in self.request.donors}
        for well in self.request.wells:
            if well.well not in index:
                continue
            spot = fed_spot(well)
            aims = targets_of(self.request.recipe, self.request.stage_id, arms[well.arm], self.ingredients)
            for component, per_ul in aims.items():
                kept = well.kept_ul * well.present_per_ul.get(component, 0.0)
                kept += well.seed_ul * suspended.get(well.donor, {}).get(component, 0.0)
                yield _target(spot, component, unavoidable(per_ul, kept, well.final_ul))

    def _tube_targets(self) -> Iterator[Target]:
        arms = {arm.name: arm for arm in self.request.arms}
        for made in self.made:
            for ingredient in arm_ingredients(self.request, arms[made.mixture.arm]):
                if ingredient.amount.kind is not Kind.FRACTION:
                    per_ul = ingredient.amount.of(ingredient.component).canonical
                    yield _target(made.spot, ingredient.component, per_ul)


def fed_spot(well: WellFeeding) -> Spot:
    """Where the fresh medium of a culture goes: its well, or the one of the new plate it is moved to."""
    return (NEW, well.to_well) if well.is_transferred else (CULTURE, well.well)


def _target(spot: Spot, component: str, per_ul: float) -> Target:
    return Target(
        labware=spot[0], well=spot[1], component=component, per_ul=per_ul, tolerance_percent=TOLERANCE_PERCENT
    )


def _cells_name(stage: Stage) -> str:
    """What the cells of a new culture are called: CD34+ cells where the stage asks for that at its entry."""
    is_start = any(one.quantity == "cd34_percent" for one in stage.entry)
    return "CD34+ cells" if is_start else "cells"


def _columns(kind: LabwareType) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(kind.wells), kind.rows):
        yield kind.wells[start : start + kind.rows]
