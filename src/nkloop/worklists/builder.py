"""Builds worklists for the planners: slots, tips, sources filled as needed, transfers split to what a tip takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nkloop.errors import LabwareError, PlanError
from nkloop.labware.models import LabwareType
from nkloop.worklists.bench_deck import BenchDeck, PipetteSpec, TipRackSpec
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.deck_layout import CLEARED_AT_TIPS_MM, arrange, overhangs, usable_slots
from nkloop.worklists.ledger_check import refuse_by_ledger
from nkloop.worklists.models import (
    DeckItem,
    EndVolume,
    Filling,
    Liquid,
    OperatorTask,
    Procedure,
    Step,
    Target,
    Worklist,
)
from nkloop.worklists.tips import TipRack, fitting, new_rack, why_kept, why_new

_PROVISIONAL_UL = 1e9
"""Volume a source holds in the planning ledger until its need is known; concentrations do not depend on it."""

Spot = tuple[str, str]
"""Nickname and well."""


class DeckFullError(PlanError):
    """The run needs more slots or tips than the deck holds; a smaller run may fit."""


@dataclass(slots=True)
class Supply:
    """A liquid that may stand in several wells; a new well is opened when the last one cannot give more."""

    nickname: str
    liquid: Liquid
    wells: list[str]
    capacity_ul: float
    """Volume one well can give: working minus dead volume."""
    opened: list[str] = field(default_factory=list)
    drawn: dict[str, float] = field(default_factory=dict)


class WorklistBuilder:
    """Collects deck, fillings and steps of one run, following the contents as it goes."""

    def __init__(self, name: str, procedure: Procedure, deck: BenchDeck, catalogue: LabwareLookup) -> None:
        """Start with an empty deck; slots of the trash and of modules are kept free."""
        self.name, self.procedure, self.deck, self.catalogue = name, procedure, deck, catalogue
        self._slots = [slot for slot in usable_slots(deck) if slot not in deck.tip_slots]
        self._rack_slots = list(deck.tip_slots) or self._slots
        self._items: dict[str, DeckItem] = {}
        self._types: dict[str, LabwareType] = {}
        self._hanging: dict[str, float] = {}
        self._reach_of: dict[str, float] = {}
        self._fillings: list[Filling] = []
        self._supplies: list[Supply] = []
        self._racks: list[TipRack] = []
        self._tip_of: dict[str, float] = {}
        self._held: dict[bool, tuple[PipetteSpec, int]] = {}
        self.steps: list[Step] = []
        self.ledger = Ledger(catalogue)
        for spec in deck.pipettes:
            self.ledger.mount(spec.mount, spec.channels, spec.load_name, spec.min_volume_ul, spec.max_volume_ul)

    # -- deck ---------------------------------------------------------------------------------------------------

    def type_of(self, load_name: str) -> LabwareType:
        """The labware type, or a plan error when the catalogue does not have it.

        Raises:
            PlanError: the labware is not in the catalogue.
        """
        try:
            return self.catalogue[load_name]
        except (LabwareError, KeyError):
            raise PlanError(
                f"labware '{load_name}' is not in the catalogue", where=self.name, remedy="add it to the catalogue"
            ) from None

    def place(
        self,
        nickname: str,
        load_name: str,
        label: str,
        *,
        module: str | None = None,
        temperature_c: float | None = None,
        barcode: str | None = None,
    ) -> LabwareType:
        """Put a labware into the next free slot, or on a module.

        Raises:
            PlanError: no slot is free, the bench has no such module, or the labware is unknown.
        """
        kind = self.type_of(load_name)
        adapter, slots = None, self._rack_slots if kind.kind == "tip_rack" else self._slots
        if module is not None:
            slot = self.deck.module_slot(module)
            if slot is None:
                raise PlanError(
                    f"the bench has no {module}", where=self.name, remedy="add the module to the bench file"
                )
            adapter = next(m.adapter for m in self.deck.modules if m.load_name == module)
        elif slots:
            slot = slots.pop(0)
        else:
            raise DeckFullError(
                f"no free slot is left for {label} ({load_name})", where=self.name, remedy="plan a smaller run"
            )
        item = DeckItem(
            nickname=nickname,
            slot=slot,
            load_name=load_name,
            namespace=kind.namespace,
            version=kind.version,
            label=label,
            module=module,
            adapter=adapter,
            temperature_c=temperature_c,
            barcode=barcode,
        )
        self._items[nickname], self._types[nickname] = item, kind
        self.ledger.place(item)
        return kind

    def kind(self, nickname: str) -> LabwareType:
        """Type of a placed labware."""
        return self._types[nickname]

    def slot_of(self, nickname: str) -> str:
        """Slot of a placed labware on a module; that of others may still change until the worklist is built."""
        return self._items[nickname].slot

    def fill(self, spot: Spot, volume_ul: float, liquid: Liquid) -> None:
        """A well that holds a known volume when the run starts."""
        filling = Filling(labware=spot[0], well=spot[1], volume_ul=volume_ul, liquid=liquid)
        self._fillings.append(filling)
        self.ledger.fill(self._items[spot[0]], spot[1], volume_ul, liquid.per_ul, lot=liquid.lot)

    def supply(self, nickname: str, wells: Iterable[str], liquid: Liquid) -> Supply:
        """A source that is filled with what the run turns out to need."""
        kind = self._types[nickname]
        made = Supply(nickname, liquid, list(wells), kind.working_volume_ul - kind.dead_volume_ul)
        self._supplies.append(made)
        return made

    def source(self, supply: Supply, volume_ul: float) -> Spot:
        """Well of a supply that can still give the volume.

        Raises:
            PlanError: all its wells are used up.
        """
        for well in supply.opened:
            if supply.drawn[well] + volume_ul <= supply.capacity_ul + 1e-6:
                break
        else:
            if not supply.wells or volume_ul > supply.capacity_ul:
                raise PlanError(
                    f"{supply.liquid.name} needs more than the deck holds: each well gives {supply.capacity_ul:g} µL",
                    where=self.name,
                    remedy="plan a smaller volume",
                )
            well = supply.wells.pop(0)
            supply.opened.append(well)
            supply.drawn[well] = 0.0
            item = self._items[supply.nickname]
            self.ledger.fill(item, well, _PROVISIONAL_UL, supply.liquid.per_ul, lot=supply.liquid.lot)
        supply.drawn[well] += volume_ul
        return supply.nickname, well

    # -- steps --------------------------------------------------------------------------------------------------

    def pipette(self, channels: int, volume_ul: float | None = None) -> PipetteSpec:
        """The pipette for that many channels and that volume; without a volume the largest.

        Raises:
            PlanError: the bench has none.
        """
        spec = self.deck.pipette(channels, volume_ul)
        if spec is None:
            raise PlanError(
                f"the bench has no pipette with {channels} channel{'s' if channels > 1 else ''}",
                where=self.name,
                remedy="mount one, or choose another bench",
            )
        return spec

    def minimum_ul(self, channels: int = 1) -> float:
        """Smallest volume the bench moves reliably with that many channels.

        Raises:
            PlanError: the bench has no such pipette.
        """
        return min(self.pipette(channels).min_volume_ul, self.deck.smallest_volume_ul(channels) or math.inf)

    def reaches(self, spots: Sequence[Spot], channels: int, volume_ul: float) -> bool:
        """True when the bench has so many channels and the deck can be laid out so that they get to all the wells.

        Idle nozzles must not hang over the back of the deck or over something tall, at the wells and at the tips that
        take the volume.
        """
        pipette = self.deck.pipette(channels, volume_ul)
        rack = self._rack(fitting(self.deck, pipette, volume_ul), channels) if pipette else None
        if rack is None:
            return False
        hanging = dict(self._hanging)
        if overhangs(rack.kind, rack.offered(channels)[-1], channels):
            hanging[rack.nickname] = CLEARED_AT_TIPS_MM.get(self.deck.model, math.inf)
        for nickname, well in spots:
            try:
                lowest = self._types[nickname].reached(well, channels)[-1]
            except LabwareError:
                return False
            if overhangs(self._types[nickname], lowest, channels):
                hanging[nickname] = min(rack.kind.tip_reach_mm, hanging.get(nickname, math.inf))
        return self._arranged(hanging, rack) is not None

    def transfer(
        self,
        source: Spot | Supply,
        target: Spot,
        volume_ul: float,
        *,
        channels: int = 1,
        fresh: bool = True,
        each_fresh: bool = False,
        tip_ul: float = 0.0,
        mix_before: int = 0,
        mix_after: int = 0,
        flow: float = 1.0,
        at_rim: bool = False,
        comment: str = "",
    ) -> None:
        """Move a volume per channel, in as many steps as tip and pipette ask for.

        Args:
            fresh: take a new tip for the first step; else keep the one held.
            each_fresh: take a new tip for every further step too; one that would carry the target back is always new.
            tip_ul: smallest tip to take, for mixing more than is moved.
            mix_before: repetitions at the source with 70 % of what stands there, as far as the tip takes it.
            mix_after: the same at the target.
            at_rim: drop the volume from the rim of the target, so that the tip stays clean of what stands there.
        """
        fresh = fresh or not self._held_does(channels, volume_ul)
        spec = self._spec(channels, volume_ul, fresh)
        largest = min(spec.max_volume_ul, self._largest_tip(spec) if fresh else self._tip_of[spec.mount])
        number = max(1, math.ceil(round(volume_ul, 2) / largest - 1e-9))
        # what stands in the target gets on a tip that dips into it, and from there into the source
        soils = self.ledger.volume_ul(*target) > 0 and not at_rim and target != source
        for part in split(volume_ul, number):
            spot = self.source(source, part * channels) if isinstance(source, Supply) else source
            tip, policy = self._tip_for(spec, channels, max(part, tip_ul), spot, fresh=fresh, gentle=flow < 1)
            share = self._mix_volume(spec, spot, target, part, channels, mix_before > 0, mix_after > 0)
            self._note_overhang(spot, channels, spec)
            self._note_overhang(target, channels, spec)
            self._add(
                action="transfer",
                labware=spot[0],
                well=spot[1],
                to_labware=target[0],
                to_well=target[1],
                volume_ul=part,
                channels=channels,
                mount=self._mount(spec),
                tip=tip,
                tip_policy=policy,
                mix_before=mix_before if share else 0,
                mix_after=mix_after if share else 0,
                mix_volume_ul=share if mix_before or mix_after else 0,
                flow_factor=flow,
                dispense_at="rim" if at_rim else "level",
                comment=comment,
            )
            fresh = each_fresh or soils

    def mix(
        self,
        spot: Spot,
        times: int,
        *,
        channels: int = 1,
        fresh: bool = True,
        tip_ul: float = 1000.0,
        flow: float = 1.0,
        comment: str = "",
    ) -> None:
        """Mix a well with 70 % of what stands there, as far as the tip takes it."""
        wanted = min(self._standing(spot, channels, 0.0), 0.9 * tip_ul)
        fresh = fresh or not self._held_does(channels, wanted)
        spec = self._spec(channels, wanted, fresh)
        tip, policy = self._tip_for(spec, channels, tip_ul, spot, fresh=fresh, gentle=flow < 1)
        volume = self._share(spec, spot, channels, 0.0)
        if volume <= 0:
            raise PlanError(f"too little to mix in {spot[0]} {spot[1]}", where=self.name, remedy="plan a larger volume")
        self._note_overhang(spot, channels, spec)
        self._add(
            action="mix",
            labware=spot[0],
            well=spot[1],
            volume_ul=volume,
            channels=channels,
            mount=self._mount(spec),
            tip=tip,
            tip_policy=policy,
            mix_before=times,
            flow_factor=flow,
            comment=comment,
        )

    def pause(self, task: OperatorTask) -> None:
        """Wait for a person; every tip is dropped first."""
        self._tip_of.clear()
        self._held.clear()
        self._add(action="pause", operator=task, comment=task.instruction)

    def _add(self, **fields: object) -> None:
        step = Step.model_validate({"number": len(self.steps) + 1, **fields})
        self.steps.append(step)
        self.ledger.apply(step)

    def _standing(self, spot: Spot, channels: int, added: float) -> float:
        """Volume per channel that a mix may draw: 70 % of the well, and never the dead volume."""
        kind = self._types[spot[0]]
        together = channels if kind.kind == "trough" and kind.rows == 1 else 1
        standing = self.ledger.well(*spot).volume_ul + added * together
        return min(0.7 * standing / together, (standing - kind.dead_volume_ul) / together)

    def _share(self, spec: PipetteSpec, spot: Spot, channels: int, added: float) -> float:
        """Mixing volume per channel: what the well allows, as far as tip and pipette take it."""
        most = min(0.9 * self._tip_of.get(spec.mount, 0.0), spec.max_volume_ul)
        volume = math.floor(min(self._standing(spot, channels, added), most))
        return float(volume) if volume >= spec.min_volume_ul else 0.0

    def _mix_volume(
        self, spec: PipetteSpec, source: Spot, target: Spot, volume: float, channels: int, before: bool, after: bool
    ) -> float:
        shares = []
        if before:
            shares.append(self._share(spec, source, channels, 0.0))
        if after:
            shares.append(self._share(spec, target, channels, volume))
        return min(shares, default=0.0)

    # -- pipettes and tips --------------------------------------------------------------------------------------

    def _held_does(self, channels: int, volume_ul: float) -> bool:
        """True when the tips in use are as many as channels and their pipette reaches down to the volume."""
        spec, number = self._held.get(channels > 1, (None, 0))
        return spec is not None and number == channels and volume_ul >= spec.min_volume_ul - 1e-6

    def _spec(self, channels: int, volume_ul: float, fresh: bool) -> PipetteSpec:
        return self.pipette(channels, volume_ul) if fresh else self._held[channels > 1][0]

    def _mount(self, spec: PipetteSpec) -> str:
        """The mount, where the number of channels does not tell it."""
        alike = [one for one in self.deck.pipettes if one.channels == spec.channels]
        return spec.mount if len(alike) > 1 else ""

    def _largest_tip(self, spec: PipetteSpec) -> float:
        return max((rack.volume_ul for rack in fitting(self.deck, spec, math.inf)), default=0.0)

    def _tip_for(
        self, spec: PipetteSpec, channels: int, volume_ul: float, source: Spot, *, fresh: bool, gentle: bool
    ) -> tuple[str, str]:
        """The tip to take, empty to keep the one in use, and why."""
        touched, drawn = self.ledger.touched(spec.mount), frozenset(self.ledger.well(*source).amounts)
        if not fresh:
            return "", why_kept(touched, drawn)
        self._held[channels > 1] = (spec, channels)
        return self._tip(spec, channels, volume_ul, gentle), why_new(touched, drawn)

    def _tip(self, spec: PipetteSpec, channels: int, volume_ul: float, gentle: bool) -> str:
        """Fresh tips of the best kind that takes the volume, out of a rack that stands there or a new one."""
        kinds = list(fitting(self.deck, spec, volume_ul, gentle=gentle))
        if (rack := self._rack(kinds, channels)) is not None:
            if rack not in self._racks:
                self.place(rack.nickname, rack.spec.load_name, rack.label)
                self._racks.append(rack)
            return self._taken(spec, rack, rack.take(channels), channels)
        if not kinds:
            raise PlanError(
                f"the bench has no tips for {spec.load_name}", where=self.name, remedy="add tip racks to the bench file"
            )
        raise DeckFullError(
            f"the deck holds no more tips for {volume_ul:g} µL: {len(self._racks)} racks and no slot is free",
            where=self.name,
            remedy="plan a smaller run",
        )

    def _taken(self, spec: PipetteSpec, rack: TipRack, names: Sequence[str], channels: int) -> str:
        self._tip_of[spec.mount] = min(rack.spec.volume_ul, spec.max_volume_ul)
        self._reach_of[spec.mount] = rack.kind.tip_reach_mm
        if overhangs(rack.kind, names[-1], channels):
            self._hang(rack.nickname, CLEARED_AT_TIPS_MM.get(self.deck.model, math.inf))
        return f"{rack.nickname}:{names[0]}"

    def _rack(self, kinds: Iterable[TipRackSpec], channels: int) -> TipRack | None:
        """The rack that the next tips come from: one that stands there, or a new one that a slot is left for."""
        for kind in kinds:
            alike = [rack for rack in self._racks if rack.spec == kind]
            if standing := next((rack for rack in alike if rack.offered(channels)), None):
                return standing
            if self._rack_slots:
                return new_rack(kind, self.type_of(kind.load_name), 1 + len(alike))
        return None

    # -- the deck -----------------------------------------------------------------------------------------------

    def _note_overhang(self, spot: Spot, channels: int, spec: PipetteSpec) -> None:
        kind = self._types[spot[0]]
        if overhangs(kind, kind.reached(spot[1], channels)[-1], channels):
            self._hang(spot[0], self._reach_of[spec.mount])

    def _hang(self, nickname: str, cleared_mm: float) -> None:
        self._hanging[nickname] = min(cleared_mm, self._hanging.get(nickname, math.inf))

    def _arranged(self, hanging: Mapping[str, float], rack: TipRack | None = None) -> dict[str, str] | None:
        """Slots of all labware, and of a rack that may not stand there yet."""
        items, kinds = self._items, self._types
        if rack is not None and rack.nickname not in items:
            items = {**items, rack.nickname: rack.item(self._rack_slots[0])}
            kinds = {**kinds, rack.nickname: rack.kind}
        return arrange(tuple(items.values()), kinds, self.deck, hanging)

    def _deck(self) -> tuple[DeckItem, ...]:
        slots = self._arranged(self._hanging)
        if slots is None:
            raise DeckFullError(
                f"no order on the deck lets part of the eight channels reach {', '.join(sorted(self._hanging))}",
                where=self.name,
                remedy="plan with one channel, or take tall labware off the deck",
            )
        return tuple(item.model_copy(update={"slot": slots[item.nickname]}) for item in self._items.values())

    # -- result -------------------------------------------------------------------------------------------------

    def build(
        self, *, targets: Sequence[Target] = (), recipe_revision: str | None = None, seed: int | None = None
    ) -> Worklist:
        """The worklist, its sources filled with what the steps take plus the dead volume.

        Raises:
            PlanError: the plan breaks a rule of the ledger.
        """
        working = [step for step in self.steps if step.action in {"transfer", "mix"}]
        used = {step.mount or self.pipette(step.channels).mount for step in working}
        worklist = Worklist(
            name=self.name,
            procedure=self.procedure,
            pipettes={spec.mount: spec.load_name for spec in self.deck.pipettes if spec.mount in used},
            deck=self._deck(),
            fillings=(*self._fillings, *self._supplied()),
            steps=tuple(self.steps),
            targets=tuple(targets),
            ends=tuple(self._ends()),
            recipe_revision=recipe_revision,
            seed=seed,
            trash_slot=self.deck.trash_slot if self.deck.model == "flex" else "",
        )
        refuse_by_ledger(worklist, self.catalogue, self.deck)
        return worklist

    def _ends(self) -> Iterable[EndVolume]:
        """Planned end volumes of what outlives the run; sources of it hold a provisional volume and are left out."""
        drawn = {(supply.nickname, well) for supply in self._supplies for well in supply.opened}
        for nickname, well, contents in self.ledger.wells():
            if self._items[nickname].barcode is not None and (nickname, well) not in drawn:
                yield EndVolume(labware=nickname, well=well, volume_ul=round(contents.volume_ul, 3))

    def _supplied(self) -> Iterable[Filling]:
        for supply in self._supplies:
            kind = self._types[supply.nickname]
            for well in supply.opened:
                volume = min(round_up(supply.drawn[well] + kind.dead_volume_ul), kind.working_volume_ul)
                yield Filling(labware=supply.nickname, well=well, volume_ul=volume, liquid=supply.liquid)


def split(volume_ul: float, number: int) -> tuple[float, ...]:
    """Equal parts in hundredths of a µL that sum to the volume (rounded to a hundredth)."""
    total = round(volume_ul * 100)
    part, rest = divmod(total, number)
    return tuple((part + (1 if index < rest else 0)) / 100 for index in range(number))


def round_up(volume_ul: float) -> float:
    """A volume a person can measure out: to 1 µL below 1 mL, 10 µL below 10 mL, 100 µL above."""
    step = 1 if volume_ul < 1000 else 10 if volume_ul < 10_000 else 100
    return math.ceil(round(volume_ul, 3) / step) * step
