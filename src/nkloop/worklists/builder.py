"""Builds worklists for the planners: slots, tips, sources filled as needed, transfers split to what a tip takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nkloop.errors import LabwareError, PlanError
from nkloop.labware.models import LabwareType
from nkloop.worklists.bench_deck import BenchDeck, PipetteSpec
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import DeckItem, Filling, Liquid, OperatorTask, Procedure, Step, Target, Worklist

FLEX_SLOTS = tuple(f"{row}{column}" for row in "ABCD" for column in "123")
TIP_SIZES_UL = (50, 200, 1000)
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


@dataclass(slots=True)
class _Rack:
    nickname: str
    size: float
    kind: LabwareType
    used: set[str] = field(default_factory=set)

    def take(self, channels: int) -> str | None:
        """Next fresh tip: whole columns from the left for eight channels, single tips from the right."""
        columns = range(1, self.kind.columns + 1)
        for column in columns if channels > 1 else reversed(columns):
            names = self.kind.reached(f"A{column}", 8) if self.kind.rows == 8 else ()
            if channels > 1:
                if not self.used.intersection(names):
                    self.used.update(names)
                    return f"{self.nickname}:A{column}"
                continue
            for name in names:
                if name not in self.used:
                    self.used.add(name)
                    return f"{self.nickname}:{name}"
        return None


class WorklistBuilder:
    """Collects deck, fillings and steps of one run, following the contents as it goes."""

    def __init__(self, name: str, procedure: Procedure, deck: BenchDeck, catalogue: LabwareLookup) -> None:
        """Start with an empty deck; slots of the trash and of modules are kept free."""
        self.name, self.procedure, self.deck, self.catalogue = name, procedure, deck, catalogue
        taken = {deck.trash_slot, *(module.slot for module in deck.modules)}
        self._slots = [slot for slot in FLEX_SLOTS if slot not in taken]
        self._items: dict[str, DeckItem] = {}
        self._types: dict[str, LabwareType] = {}
        self._fillings: list[Filling] = []
        self._supplies: list[Supply] = []
        self._racks: list[_Rack] = []
        self._tip_of: dict[int, float] = {}
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
        adapter = None
        if module is not None:
            slot = self.deck.module_slot(module)
            if slot is None:
                raise PlanError(
                    f"the bench has no {module}", where=self.name, remedy="add the module to the bench file"
                )
            adapter = next(m.adapter for m in self.deck.modules if m.load_name == module)
        elif self._slots:
            slot = self._slots.pop(0)
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

    def pipette(self, channels: int) -> PipetteSpec:
        """The pipette with that many channels.

        Raises:
            PlanError: the bench has none.
        """
        spec = self.deck.pipette(channels)
        if spec is None:
            raise PlanError(
                f"the bench has no pipette with {channels} channel{'s' if channels > 1 else ''}",
                where=self.name,
                remedy="mount one, or choose another bench",
            )
        return spec

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
            each_fresh: take a new tip for every further step too (the tip would carry the target back).
            tip_ul: smallest tip to take, for mixing more than is moved.
            mix_before: repetitions at the source with 70 % of what stands there, as far as the tip takes it.
            mix_after: the same at the target.
            at_rim: drop the volume from the rim of the target, so that the tip stays clean of what stands there.
        """
        spec = self.pipette(channels)
        largest = spec.max_volume_ul if fresh else min(spec.max_volume_ul, self._tip_of.get(channels, 0.0))
        number = max(1, math.ceil(round(volume_ul, 2) / largest - 1e-9))
        for part in split(volume_ul, number):
            tip = self._tip(channels, max(part, tip_ul)) if fresh else ""
            spot = self.source(source, part * channels) if isinstance(source, Supply) else source
            share = self._mix_volume(spot, target, part, channels, mix_before > 0, mix_after > 0)
            self._add(
                action="transfer",
                labware=spot[0],
                well=spot[1],
                to_labware=target[0],
                to_well=target[1],
                volume_ul=part,
                channels=channels,
                tip=tip,
                mix_before=mix_before if share else 0,
                mix_after=mix_after if share else 0,
                mix_volume_ul=share if mix_before or mix_after else 0,
                flow_factor=flow,
                dispense_at="rim" if at_rim else "level",
                comment=comment,
            )
            fresh = each_fresh

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
        tip = self._tip(channels, tip_ul) if fresh else ""
        volume = self._share(spot, channels, 0.0)
        if volume <= 0:
            raise PlanError(f"too little to mix in {spot[0]} {spot[1]}", where=self.name, remedy="plan a larger volume")
        self._add(
            action="mix",
            labware=spot[0],
            well=spot[1],
            volume_ul=volume,
            channels=channels,
            tip=tip,
            mix_before=times,
            flow_factor=flow,
            comment=comment,
        )

    def pause(self, task: OperatorTask) -> None:
        """Wait for a person; every tip is dropped first."""
        self._tip_of.clear()
        self._add(action="pause", operator=task, comment=task.instruction)

    def _add(self, **fields: object) -> None:
        step = Step.model_validate({"number": len(self.steps) + 1, **fields})
        self.steps.append(step)
        self.ledger.apply(step)

    def _share(self, spot: Spot, channels: int, added: float) -> float:
        """Mixing volume per channel: 70 % of the well, what the tip takes, and never the dead volume."""
        kind = self._types[spot[0]]
        together = channels if kind.kind == "trough" and kind.rows == 1 else 1
        standing = self.ledger.well(*spot).volume_ul + added * together
        spec = self.pipette(channels)
        most = min(0.9 * self._tip_of.get(channels, 0.0), spec.max_volume_ul)
        volume = min(0.7 * standing / together, (standing - kind.dead_volume_ul) / together, most)
        volume = math.floor(volume)
        return float(volume) if volume >= spec.min_volume_ul else 0.0

    def _mix_volume(self, source: Spot, target: Spot, volume: float, channels: int, before: bool, after: bool) -> float:
        shares = []
        if before:
            shares.append(self._share(source, channels, 0.0))
        if after:
            shares.append(self._share(target, channels, volume))
        return min(shares, default=0.0)

    # -- tips ---------------------------------------------------------------------------------------------------

    def _tip(self, channels: int, volume_ul: float) -> str:
        """A fresh filter tip of the smallest size that takes the volume."""
        sizes = [size for size in TIP_SIZES_UL if size >= volume_ul - 1e-6]
        for size in sizes:
            for rack in self._racks:
                if rack.size == size and (tip := rack.take(channels)) is not None:
                    self._tip_of[channels] = size
                    return tip
            if self._slots:
                rack = self._new_rack(size)
                self._tip_of[channels] = size
                return rack.take(channels) or ""
        raise DeckFullError(
            f"the deck holds no more tips for {volume_ul:g} µL: {len(self._racks)} racks and no slot is free",
            where=self.name,
            remedy="plan a smaller run",
        )

    def _new_rack(self, size: int) -> _Rack:
        number = 1 + sum(1 for rack in self._racks if rack.size == size)
        nickname = f"tips_{size}" if number == 1 else f"tips_{size}_{number}"
        kind = self.place(
            nickname, f"opentrons_flex_96_filtertiprack_{size}ul", f"Filter tips {size} µL, rack {number}"
        )
        rack = _Rack(nickname, size, kind)
        self._racks.append(rack)
        return rack

    # -- result -------------------------------------------------------------------------------------------------

    def build(
        self, *, targets: Sequence[Target] = (), recipe_revision: str | None = None, seed: int | None = None
    ) -> Worklist:
        """The worklist, its sources filled with what the steps take plus the dead volume.

        Raises:
            PlanError: the plan breaks a rule of the ledger.
        """
        channels = {step.channels for step in self.steps if step.action in {"transfer", "mix"}}
        worklist = Worklist(
            name=self.name,
            procedure=self.procedure,
            pipettes={spec.mount: spec.load_name for spec in self.deck.pipettes if spec.channels in channels},
            deck=tuple(self._items.values()),
            fillings=(*self._fillings, *self._supplied()),
            steps=tuple(self.steps),
            targets=tuple(targets),
            recipe_revision=recipe_revision,
            seed=seed,
        )
        result = check_ledger(worklist, self.catalogue, self.deck)
        if not result.passed:
            first = result.problems[0]
            raise PlanError(
                f"the plan breaks a rule: {first['message']}",
                where=f"{self.name}, {first['where']}",
                remedy=first["remedy"],
            )
        return worklist

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
