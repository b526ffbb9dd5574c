"""The hidden truth of the virtual bench: what physically is where, and what happens to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nkloop.assays.measurements import CellCount, ReadRequest
from nkloop.drivers.bench_file import BenchFile
from nkloop.errors import DeviceError
from nkloop.inventory.models import Lot
from nkloop.labware.models import LabwareType
from nkloop.virtual import signals
from nkloop.virtual.chance import stream
from nkloop.virtual.clock_world import WorldClock
from nkloop.virtual.components import CULTURE_KINDS
from nkloop.virtual.containers import PLACE_TEMPERATURE, Container, Contents, Incident, Place, Well
from nkloop.virtual.counting import count_cells
from nkloop.virtual.execution import Execution
from nkloop.virtual.life import Life, metabolic_pace
from nkloop.virtual.pipetting import Pipette, PipetteError
from nkloop.virtual.stocks import Stocks
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.models import DeckItem

LONGEST_AWAY_S = 3600.0
"""Whoever waits longer than this clears the robot's deck first."""
LONGEST_IN_THE_COLD_H = 6.0
"""A culture longer out of the incubator than this makes an incident."""


class LabwareLookup(Protocol):
    """Gives a labware type for a load name, as the catalogue does."""

    def __getitem__(self, load_name: str, /) -> LabwareType:
        """The type.

        Raises:
            LabwareError: it is not in the catalogue.
        """


class World:
    """Containers, wells, clock, donors and lots as they truly are. One seed makes one world."""

    def __init__(self, catalogue: LabwareLookup, lots: Iterable[Lot], deck: BenchDeck, seed: int) -> None:
        self.catalogue = catalogue
        self.stocks = Stocks(lots, seed)
        self.bench_deck = deck
        self.seed = seed
        self.clock = WorldClock()
        self.containers: dict[str, Container] = {}
        """Everything with a barcode that was ever used, by barcode."""
        self.deck: dict[str, Container] = {}
        """Slot to what stands there."""
        self.nicknames: dict[str, Container] = {}
        """Names of the worklist loaded last."""
        self.incidents: list[Incident] = []
        self.drains: dict[str, Contents] = {}
        """What left the wells: tips, waste, spill, wash, discarded."""
        self.in_reader: str | None = None
        """Barcode of the plate in the reader."""
        self.loads = 0
        """How often the deck was loaded."""
        self._life = Life(seed)
        self._n_runs = 0
        self._n_reads: dict[str, int] = {}
        self._n_counts: dict[tuple[str, str], int] = {}
        self._ratios: dict[tuple[str, str], float] = {}

    @classmethod
    def create(cls, workspace: Path, bench: BenchFile, seed: int) -> World:
        """Make the world of a workspace: its labware catalogue and the lot list of its bench.

        Raises:
            LabwareError: the catalogue is wrong.
            InventoryError: the lot list is wrong.
        """
        from nkloop.inventory import Inventory
        from nkloop.labware.catalogue import Catalogue

        catalogue = Catalogue.load(workspace / "labware")
        inventory = Inventory.load(workspace / "devices" / bench.lots)
        return cls(catalogue, inventory.lots, bench.deck, seed)

    # the robot

    def begin_run(self, analysis: Any) -> Execution:
        """Start to execute an analysed protocol; `analysis.commands` are its commands in Opentrons shape."""
        self._n_runs += 1
        return Execution(self, list(analysis.commands), self._n_runs)

    def pipette(self, mount: str, name: str) -> Pipette:
        """The pipette on a mount, with its own error.

        Raises:
            DeviceError: the bench has no pipette there.
        """
        spec = next((p for p in self.bench_deck.pipettes if p.mount == mount), None)
        if spec is None:
            raise DeviceError(
                f"no pipette on the {mount} mount", where=name, remedy="attach it, or use the other mount"
            )
        return Pipette(mount, spec.channels, PipetteError(spec, self.seed))

    def touch(self, container: Container, well: str) -> Well:
        """A well as it is now."""
        self._note_cold(container, well)
        return self._life.bring(container, well, self.clock.seconds)

    def stir(self, container: Container) -> None:
        """Suspend the cells of every well."""
        for well in self._touch_all(container):
            well.stir(self.clock.seconds)

    def pellet(self, container: Container) -> None:
        """Spin the cells of every well down."""
        for well in self._touch_all(container):
            well.pellet()

    def set_temperature(self, container: Container, temperature_c: float) -> None:
        """Change the temperature of a container; its past is worked out at the old one."""
        self.move(container, container.place, temperature_c)

    def drain(self, name: str, contents: Contents) -> None:
        """Let something leave the wells for good."""
        self.drains.setdefault(name, Contents()).add(contents)

    def phantom(self, slot: str, load_name: str) -> Container:
        """What a robot finds in a slot nobody filled: nothing, in the shape it expects."""
        return Container(f"nothing in {slot}", self.catalogue[load_name])

    def shift(self, old: str, new: str) -> None:
        """Move what stands in a slot to another one."""
        if old in self.deck:
            self.deck[new] = self.deck.pop(old)

    # the operator

    def clear_deck(self, *, staying: Collection[str] = ()) -> None:
        """Throw consumables away, bring everything with a barcode where it belongs; `staying` slots are left alone."""
        for slot, container in sorted(self.deck.items()):
            if slot in staying:
                continue
            self._touch_all(container)
            if container.barcode is None:
                container.move("discarded")
                for well in container.wells.values():
                    self.drain("discarded", well.empty())
            elif container.place == "deck":
                self.store(container, None)
            del self.deck[slot]
        self.nicknames = {}
        self.loads += 1

    def wait_until(self, when: datetime) -> None:
        """Let time pass with nobody at the bench; before a long wait, cultures go into the incubator.

        Everything else with a barcode goes into the fridge; consumables stay until the next loading.

        Raises:
            BenchError: the time has no zone.
        """
        seconds = self.clock.seconds_until(when)
        if seconds > LONGEST_AWAY_S:
            for container in self.deck.values():
                if container.barcode is not None and container.place == "deck":
                    self.store(container, None)
        self.clock.advance(seconds)

    def place(self, item: DeckItem, barcode: str | None, *, stays: bool = False) -> Container:
        """Put a labware into its slot: the one there if it `stays`, else the known one when its barcode is known."""
        container = self.deck[item.slot] if stays else self.containers.get(barcode or "")
        if container is None:
            identity = barcode or f"{item.nickname} of load {self.loads}"
            container = Container(identity, self.catalogue[item.load_name], barcode)
            if barcode:
                self.containers[barcode] = container
        if self.in_reader is not None and self.in_reader == barcode:
            self.in_reader = None
        self.move(container, "deck", item.temperature_c)
        self.deck[item.slot] = container
        self.nicknames[item.nickname] = container
        return container

    def move(self, container: Container, place: Place, temperature_c: float | None) -> None:
        """Bring a container somewhere."""
        self._touch_all(container)
        container.move(place, temperature_c)

    def store(self, container: Container, temperature_c: float | None) -> None:
        """Incubator for living cells, fridge for everything else, unless a temperature is asked for."""
        alive = any(well.cells(*CULTURE_KINDS) for well in self._touch_all(container))
        place: Place = "incubator" if alive else "fridge"
        if temperature_c is not None:
            place = "incubator" if temperature_c >= 30 else "fridge"
        if self.in_reader == container.barcode:
            self.in_reader = None
        self.move(container, place, PLACE_TEMPERATURE[place] if temperature_c is None else temperature_c)

    def to_reader(self, container: Container) -> None:
        """Put a plate into the reader, in place of the one that lay there."""
        if self.in_reader is not None and self.in_reader != container.barcode:
            self.store(self.containers[self.in_reader], None)
        self.move(container, "reader", None)
        self.in_reader = container.barcode

    # instruments

    def read(self, request: ReadRequest) -> dict[str, float]:
        """Raw signal of every well asked for, at the first wavelength only.

        Raises:
            DeviceError: the reader is empty, holds another plate, or a well does not exist.
        """
        if self.in_reader != request.barcode:
            there = f"plate {self.in_reader}" if self.in_reader else "no plate"
            raise DeviceError(
                f"the reader holds {there}, not {request.barcode}",
                where="plate reader",
                remedy="have the operator move the plate to the reader",
            )
        container = self.containers[request.barcode]
        names = request.wells or container.labware.wells
        unknown = sorted(set(names) - set(container.labware.wells))
        if unknown:
            raise DeviceError(f"{request.barcode} has no well {', '.join(unknown)}", where="plate reader")
        number = self._n_reads[request.barcode] = self._n_reads.get(request.barcode, 0) + 1
        noise = self.random("reading", request.barcode, number)
        return {name: self._signal(container, name, request, noise) for name in names}

    def _signal(self, container: Container, name: str, request: ReadRequest, noise: np.random.Generator) -> float:
        well = self.touch(container, name)
        true = signals.signal(
            well.amounts,
            request.mode,
            wavelength_nm=request.wavelength_nm,
            excitation_nm=request.excitation_nm,
            emission_nm=request.emission_nm,
            volume_ul=well.volume_ul,
        )
        return signals.measure(true, request.mode, noise)

    def count(self, barcode: str, wells: Iterable[str]) -> tuple[CellCount, ...]:
        """Count the wells named.

        Raises:
            DeviceError: the barcode or a well is unknown.
        """
        container = self.containers.get(barcode)
        if container is None:
            raise DeviceError(f"no labware with barcode '{barcode}' was ever used here", where="cell counter")
        counts = []
        for name in wells:
            if name not in container.labware.wells:
                raise DeviceError(f"{barcode} has no well {name}", where="cell counter")
            number = self._n_counts[barcode, name] = self._n_counts.get((barcode, name), 0) + 1
            noise = self.random("count", barcode, name, number)
            shown, ratio = count_cells(barcode, name, self.touch(container, name), noise)
            self._ratios[barcode, name] = ratio
            counts.append(shown)
        return tuple(counts)

    def count_ratio(self, barcode: str, well: str, otherwise: float) -> float:
        """Counted over true cells at the last count of a well, `otherwise` when it never was counted."""
        return self._ratios.get((barcode, well), otherwise)

    # looking at everything

    def contents(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Volume and amounts of every well that holds something, by barcode or slot; for audits and tests."""
        everything = {**{f"slot {slot}": c for slot, c in self.deck.items() if c.barcode is None}, **self.containers}
        shown: dict[str, dict[str, dict[str, Any]]] = {}
        for identity, container in everything.items():
            self._touch_all(container)
            shown[identity] = {
                name: {"volume_ul": well.volume_ul, "amounts": dict(well.amounts)}
                for name, well in container.wells.items()
                if well.volume_ul > 0
            }
        return shown

    @property
    def evaporated(self) -> Contents:
        """What left all wells as vapour."""
        return self._life.evaporated

    def random(self, *purpose: object) -> np.random.Generator:
        """Random numbers for one purpose."""
        return stream(self.seed, *purpose)

    def record(self, incident: Incident) -> None:
        """Remember something nobody planned."""
        self.incidents.append(incident)

    def note(self, kind: str, where: str, message: str, *, volume_ul: float = 0.0) -> None:
        """Remember something nobody planned, as of now."""
        at = self.clock.now().isoformat()
        told = {"at": at, "kind": kind, "where": where, "message": message, "volume_ul": volume_ul}
        self.record(Incident.model_validate(told))

    def _touch_all(self, container: Container) -> list[Well]:
        return [self.touch(container, name) for name in list(container.wells)]

    def _note_cold(self, container: Container, name: str) -> None:
        well = container.wells.get(name)
        if well is None or metabolic_pace(container.temperature_c) > 0.5:
            return
        hours = (self.clock.seconds - well.lived_until) / 3600
        if hours > LONGEST_IN_THE_COLD_H and container.barcode is not None and well.cells(*CULTURE_KINDS) > 0:
            message = f"living cells stood {hours:.0f} h at {container.temperature_c:g} °C ({container.place})"
            self.note("out_of_incubator", f"{container.identity} {name}", message)
