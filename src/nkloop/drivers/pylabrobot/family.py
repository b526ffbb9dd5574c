"""What is the same of all liquid handlers and what each maker does differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nkloop.drivers.interfaces import Finding
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.settings import Carrier, HandlerSettings, LiquidClass
from nkloop.errors import BenchError
from nkloop.labware.models import LabwareType
from nkloop.labware.outlines import Outline


@dataclass(frozen=True)
class HandlerModel:
    """One liquid handler the registry knows."""

    name: str
    title: str
    deck: str
    """`part:Name` of PyLabRobot's deck."""
    backend: str
    """`part:Name` of its backend for the real device."""
    n_rails: int = 0
    """Rails of the deck; 0 where it has slots."""


class Family:
    """The liquid handlers of one maker. One object per run: it builds the deck, the backend and their arguments."""

    has_independent_channels = True
    """Whether one arm carries all channels, each of which may take its own tip."""
    racks: ClassVar[Mapping[str, str]] = {}
    """Tip rack of the catalogue to the name of PyLabRobot's resource for it."""
    tip_carriers: tuple[str, ...] = ()
    """How the names of carriers begin that take tip racks."""
    simulation_carriers: tuple[str, str] = ("", "")
    """Carrier for tip racks and carrier for everything else in a simulation."""
    simulation_sites = 5
    wire = ""
    """Method of the backend that writes to the device; empty where there is no single one."""
    n_sent: int | None = None
    """How often it was called; None where it is not counted."""
    backwards = 1
    """Sign of an offset towards the back of the deck in PyLabRobot's backend."""
    drops_left_tips = False
    """Whether the device feels tips that hang on its arm when it starts, and drops them."""
    corrects_volumes = False
    """Whether a liquid class may give a correction curve and a blow-out volume."""

    def __init__(self, model: HandlerModel, settings: HandlerSettings, pipettes: Mapping[str, str]) -> None:
        self.model, self.settings, self.pipettes = model, settings, pipettes
        self._sites: dict[str, tuple[Any, int]] = {}

    # -- the device ---------------------------------------------------------------------------------------------

    def backend(self, *, simulated: bool) -> Any:
        """A new backend, connected to nothing yet.

        Raises:
            BenchError: its settings do not fit, or PyLabRobot lacks what it needs.
        """
        make = self._simulator if simulated else self._real
        return adapter.built(lambda: self._counted(make()), "PyLabRobot's backend", self.model.name)

    def _counted(self, backend: Any) -> Any:
        """Count what is written to the device, so that an error before the first byte is told from one after it."""
        if self.wire:
            write = getattr(backend, self.wire)

            async def counted(*args: Any, **kwargs: Any) -> Any:
                self.n_sent = (self.n_sent or 0) + 1
                return await write(*args, **kwargs)

            self.n_sent = 0
            setattr(backend, self.wire, counted)
        return backend

    def _real(self) -> Any:
        return adapter.named(self.model.backend, self.model.name)(**self.settings.backend_settings)

    def _simulator(self) -> Any:
        raise NotImplementedError

    async def look(self) -> tuple[Finding, ...]:
        """Read-only look at the real device, without moving it."""
        raise NotImplementedError

    async def serial_number(self) -> str:
        """Serial number of the real device, without moving it; empty where it tells none."""
        return str(self.settings.backend_settings.get("serial_number", ""))

    def n_channels(self) -> int:
        """Channels of the arm, or mounts of the robot."""
        return int(self.settings.backend_settings.get("num_channels", 8))

    def channels(self, mount: str, n_tips: int) -> tuple[int, ...]:
        """PyLabRobot's channels that stand for so many channels of a mount's pipette, the rear one first.

        A pipette with eight channels is the first eight; one with a single channel is the last of an arm with more
        than eight, otherwise the first.
        """
        if n_tips > 1 or self.n_channels() <= 8:
            return tuple(range(n_tips))
        return (self.n_channels() - 1,)

    def excludes(self, one: Sequence[int], other: Sequence[int]) -> bool:
        """Whether tips on these channels cannot be held at the same time."""
        return bool(set(one) & set(other))

    # -- the deck -----------------------------------------------------------------------------------------------

    def deck(self) -> Any:
        """An empty deck with the carriers of the bench on it.

        Raises:
            BenchError: a carrier is not known, does not fit its rail, or has fewer sites than slots are named.
        """
        deck = adapter.named(self.model.deck, self.model.name)()
        for number, carrier in enumerate(self.settings.carriers, start=1):
            where = f"carrier {carrier.kind} on rail {carrier.rail}"
            built = self.carrier(carrier, f"carrier_{number}")
            if len(built.sites) < len(carrier.slots):
                raise BenchError(
                    f"it has {len(built.sites)} sites, {len(carrier.slots)} slots are named",
                    where=where,
                    remedy="name as many slots as the carrier has sites, null for those not used",
                )
            try:
                deck.assign_child_resource(built, rails=carrier.rail)
            except ValueError as error:
                raise BenchError(str(error), where=where, remedy="choose another rail") from error
            self._sites |= {slot: (built, site) for site, slot in enumerate(carrier.slots) if slot is not None}
        return deck

    def carrier(self, carrier: Carrier, name: str) -> Any:
        """PyLabRobot's resource of a carrier."""
        return adapter.named(f"resources:{carrier.kind}", f"rail {carrier.rail}")(name)

    def place(self, deck: Any, slot: str, resource: Any) -> None:
        """Put a resource into a slot of the worklist.

        Raises:
            BenchError: no carrier site is that slot.
        """
        if slot not in self._sites:
            raise BenchError(
                f"slot {slot} is on no carrier", where=self.model.name, remedy="name it in `carriers` of the bench file"
            )
        carrier, site = self._sites[slot]
        carrier[site] = resource

    def trash(self, deck: Any, n_tips: int) -> list[Any]:
        """Where so many tips are dropped."""
        return [deck.get_trash_area()] * n_tips

    # -- labware ------------------------------------------------------------------------------------------------

    def plate(self, nickname: str, kind: LabwareType, outline: Outline) -> Any:
        """Labware that holds liquid; every labware is a plate with wells here."""
        resources = adapter.part("resources")
        x, y, z = outline.size
        return resources.Plate(
            name=nickname, size_x=x, size_y=y, size_z=z, ordered_items=self.wells(nickname, kind, outline)
        )

    def wells(self, nickname: str, kind: LabwareType, outline: Outline) -> dict[str, Any]:
        """Wells by name, column by column."""
        from nkloop.drivers.pylabrobot.resources import Well, at

        found = {}
        for name in kind.wells:
            (x, y), (wide, deep) = outline.centre(name), outline.across
            well = Well(
                adapter.child_name(nickname, name),
                size_x=wide,
                size_y=deep,
                size_z=outline.depth,
                max_volume=kind.working_volume_ul,
                material_z_thickness=0.0,
                cross_section_type="circle" if outline.shape == "round" else "rectangle",
            )
            well.location = at(x - wide / 2, y - deep / 2, outline.bottom)
            found[name] = well
        return found

    def tip_rack(self, nickname: str, kind: LabwareType, outline: Outline | None) -> Any:
        """A full rack of tips.

        Raises:
            BenchError: the device cannot take this tip.
        """
        name = self.rack_name(kind.load_name)
        if name is None:
            raise BenchError(
                f"{self.model.title} cannot take the tips of {kind.load_name}",
                where=nickname,
                remedy=f"plan with the tips of this bench, such as {', '.join(list(self.racks)[:2])}",
            )
        return adapter.named(f"resources:{name}", nickname)(nickname)

    def rack_name(self, load_name: str) -> str | None:
        """PyLabRobot's name of a tip rack, or None when the device cannot take its tips."""
        return self.settings.tips.get(load_name) or self.racks.get(load_name)

    # -- operations ---------------------------------------------------------------------------------------------

    def aspiration(self, liquid: LiquidClass | None, n: int, *, is_mix: bool) -> dict[str, Any]:
        """Arguments of the backend for drawing this liquid with so many channels."""
        return {}

    def dispensing(self, liquid: LiquidClass | None, n: int, *, is_mix: bool, at_rim: bool) -> dict[str, Any]:
        """Arguments of the backend for giving this liquid."""
        return {}
