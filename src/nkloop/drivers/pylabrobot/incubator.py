"""An automated incubator (Thermo Cytomat) that PyLabRobot drives, with a list of what is inside that outlives us.

PyLabRobot keeps the places of plates in memory only; after a restart it would put a plate onto another one. The list
lies as JSON in the state folder: `moving` is written before the device is asked and cleared when it has answered, so
that after a crash everybody knows which plate nobody has seen since.
"""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from nkloop.drivers.interfaces import Fence, Finding, unguarded
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.owner import DeviceOwner
from nkloop.drivers.pylabrobot.plates import make_plate
from nkloop.drivers.stations import KeptPlate, settling
from nkloop.errors import BenchError, DeviceError
from nkloop.frozen import FrozenModel
from nkloop.worklists.contents import LabwareLookup

MODELS = ("C6000", "C6002", "C2C_425", "C2C_450_SHAKE", "C5C", "heraeus", "simulated")
"""Cytomat models PyLabRobot supports, and the Heraeus Cytomat with its own protocol."""
_STORAGE = "storage.cytomat"
_RACKS_MM = (300.0, 300.0, 1000.0)


class Site(FrozenModel):
    """A place in the incubator."""

    rack: int = Field(ge=0)
    position: int = Field(ge=0)
    since: datetime
    """When the plate was taken in."""
    errand: str = ""
    """What for, in the words of whoever asked; empty when nobody said."""


class Fetched(FrozenModel):
    """A plate that was asked for and has not gone in again."""

    errand: str
    """What for, in the words of whoever asked."""
    since: datetime
    """When it had been taken in."""


class Stored(FrozenModel):
    """What is inside, as it was last seen."""

    plates: dict[str, Site] = Field(default_factory=dict)
    """Barcode to place."""
    moving: str = ""
    """Plate whose way in or out nobody has seen the end of."""
    fetched: dict[str, Fetched] = Field(default_factory=dict)
    """Barcode to the errand a plate was asked for last; it is out when it is neither inside nor moving."""


class PyLabRobotIncubator:
    """One incubator. Plates are named by their barcode and come and go over its tray."""

    def __init__(
        self,
        name: str,
        *,
        model: str,
        racks: Sequence[str],
        backend_settings: Mapping[str, Any] | None = None,
        catalogue: LabwareLookup | None = None,
        state_folder: Path | None = None,
        bench_name: str = "BENCH",
    ) -> None:
        """Read what is inside; the device is opened when it is first needed.

        Args:
            name: how people call it.
            model: one of `MODELS`.
            racks: PyLabRobot's name of each rack, `cytomat_rack_23mm_21` and the like, in the order of the device.
            backend_settings: `port` and what else the backend takes.
            catalogue: gives the heights of plates; without it every plate is a standard one.
            state_folder: where the list of plates lies; None keeps it in memory only.
            bench_name: bench it belongs to, as commands name it.

        Raises:
            BenchError: model or rack is not known, the backend cannot be built, or the list cannot be read.
        """
        if model not in MODELS:
            raise BenchError(f"incubator '{model}' is not known", where=name, remedy=f"use {', '.join(MODELS)}")
        if not racks:
            raise BenchError("it has no racks", where=name, remedy="name its racks, for example cytomat_rack_23mm_21")
        self.name = name
        self._model, self._bench = model, bench_name
        self.fence: Fence = unguarded
        self._catalogue = catalogue
        self._file = state_folder / f"incubator-{name.replace(' ', '-')}.json" if state_folder else None
        self._stored = self._read()
        self.backend: Any = _build(model, name, dict(backend_settings or {}))
        self._racks = [
            adapter.named(f"{_STORAGE}.racks:{kind}", name)(f"rack_{number}") for number, kind in enumerate(racks)
        ]
        x, y, z = _RACKS_MM
        self._frontend: Any = adapter.named("storage:Incubator", name)(
            backend=self.backend,
            name=name,
            size_x=x,
            size_y=y,
            size_z=z,
            racks=self._racks,
            loading_tray_location=adapter.part("resources").Coordinate(0, 0, 0),
        )
        self._owner = DeviceOwner(name)

    @property
    def plates(self) -> dict[str, Site]:
        """Barcodes inside and their places."""
        return dict(self._stored.plates)

    async def inspect(self) -> tuple[Finding, ...]:
        """Ask its temperature, tell what is inside; one that is not open yet is left alone, for opening moves it.

        Raises:
            DeviceError: it does not answer.
        """
        is_open = self._model == "simulated" or self._frontend.setup_finished
        celsius = f"{await self.temperature():.1f} °C" if is_open else "not asked: opening it moves its handler"
        inside, lost = self._listed(), self._stored.moving
        remedy = f"look where the plate is, then say so: {settling(self._bench, lost)}, or --inside"
        return (
            Finding(subject=self.name, found=f"{celsius}, {inside}", ok=True),
            Finding(subject="plate on its way", found=lost or "none", ok=not lost, remedy=remedy),
        )

    async def store(self, barcode: str, load_name: str = "", *, errand: str = "") -> None:
        """Take the plate that lies on the tray in, into the smallest site it fits; its errand outlives the program.

        Raises:
            DeviceError: it is inside already, no site is free, a plate is on its way, or the device failed.
        """
        self._look_again()
        self._require_settled()
        if barcode in self._stored.plates:
            raise self._refused(f"plate {barcode} is inside already", "check the barcode")

        async def do() -> Site:
            plate = make_plate(barcode, load_name, self._catalogue if load_name else None)
            self._frontend.loading_tray.assign_child_resource(plate)
            try:
                site = self._frontend.find_smallest_site_for_plate(plate)
                place = self._place_of(site, errand)
                self.fence()
                self._write(self._stored.model_copy(update={"moving": barcode}))
                await self._frontend.take_in_plate(site)
            except BaseException:
                plate.unassign()
                raise
            return place

        place = await self._asked(do, f"plate {barcode} was not taken in")
        fetched = {k: v for k, v in self._stored.fetched.items() if k != barcode}
        self._write(Stored(plates={**self._stored.plates, barcode: place}, fetched=fetched))

    async def since(self, barcode: str) -> datetime | None:
        """When a plate was taken in, UTC; None when it is not inside."""
        self._look_again()
        site = self._stored.plates.get(barcode)
        return site.since if site is not None else None

    async def errand_of(self, barcode: str) -> str:
        """What for a plate that is inside was taken in; empty when it is not inside, or nobody said."""
        self._look_again()
        site = self._stored.plates.get(barcode)
        return site.errand if site is not None else ""

    async def was_since(self, barcode: str, errand: str) -> datetime | None:
        """When a plate had been taken in, UTC, that came out for this errand and has not gone in again; else None."""
        self._look_again()
        fetched = self._stored.fetched.get(barcode)
        is_out = barcode not in self._stored.plates and barcode != self._stored.moving
        return fetched.since if fetched is not None and fetched.errand == errand and is_out else None

    async def fetch(self, barcode: str, errand: str = "") -> None:
        """Bring a plate out onto the tray; for which errand outlives the program.

        Raises:
            DeviceError: it is not inside, a plate is on its way, or the device failed.
        """
        self._look_again()
        self._require_settled()
        if barcode not in self._stored.plates:
            raise self._refused(f"plate {barcode} is not inside ({self._listed()} is)", "check the barcode")

        async def do() -> None:
            self.fence()
            # before it moves: a person who settles its way after a crash need not know the errand
            asked = Fetched(errand=errand, since=self._stored.plates[barcode].since)
            fetched = {**self._stored.fetched, barcode: asked}
            self._write(self._stored.model_copy(update={"moving": barcode, "fetched": fetched}))
            plate = await self._frontend.fetch_plate_to_loading_tray(barcode)
            plate.unassign()

        await self._asked(do, f"plate {barcode} was not brought out")
        plates = {k: v for k, v in self._stored.plates.items() if k != barcode}
        self._write(self._stored.model_copy(update={"plates": plates, "moving": ""}))

    def kept(self) -> tuple[KeptPlate, ...]:
        """Plates on the list, those whose way nobody saw the end of as well; the device is not asked."""
        self._look_again()
        lost, plates = self._stored.moving, self._stored.plates
        listed = [
            KeptPlate(barcode=barcode, since=site.since, errand=site.errand, is_moving=barcode == lost)
            for barcode, site in plates.items()
        ]
        coming = [KeptPlate(barcode=lost, since=None, errand="", is_moving=True)] if lost and lost not in plates else []
        return (*listed, *coming)

    def may_settle(self, barcode: str, *, is_inside: bool) -> None:
        """Refuse what `settle` would refuse.

        Raises:
            DeviceError: it is not on the list, is on it as inside already, or its place inside was never known.
        """
        self._look_again()
        self._as_settled(barcode, is_inside=is_inside)

    def settle(self, barcode: str, *, is_inside: bool) -> None:
        """Put down where a person has found a plate: in its place inside, or out. Nothing moves.

        Raises:
            DeviceError: it is not on the list, is on it as inside already, or its place inside was never known.
        """
        self._look_again()
        before = self._stored.plates
        self._write(self._as_settled(barcode, is_inside=is_inside))
        self._follow(before)

    def _as_settled(self, barcode: str, *, is_inside: bool) -> Stored:
        is_moving, plates = barcode == self._stored.moving, self._stored.plates
        if not is_moving and barcode not in plates:
            raise self._refused(f"plate {barcode} is not on the list ({self._listed()})", "check the barcode")
        if is_inside and not is_moving:
            raise self._refused(
                f"plate {barcode} is on the list as inside already",
                "nothing is to be settled; when it is to be used for something else, take it out and say --out",
            )
        if is_inside and barcode not in plates:
            remedy = f"take it out by hand, then say so: {settling(self._bench, barcode)}"
            raise self._refused(f"the place of {barcode} inside is not known", remedy)
        left = plates if is_inside else {name: site for name, site in plates.items() if name != barcode}
        moving = "" if is_moving else self._stored.moving
        return self._stored.model_copy(update={"plates": left, "moving": moving})

    async def temperature(self) -> float:
        """Temperature now, °C.

        Raises:
            DeviceError: it does not answer.
        """

        async def ask() -> float:
            return float(await self._frontend.get_temperature())

        return float(await self._asked(ask, "its temperature is not known"))

    async def close(self) -> None:
        """Release the device; the plates stay listed."""
        if self._frontend.setup_finished:
            await self._owner.call(self._frontend.stop)
        await asyncio.to_thread(self._owner.close)

    # -- inside -------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        if self._frontend.setup_finished:
            return
        self.fence()
        adapter.switch_on()
        with warnings.catch_warnings():
            # PyLabRobot reminds everybody that racks are configured in the maker's software
            warnings.simplefilter("ignore")
            await self._frontend.setup()
        for barcode, site in self._stored.plates.items():
            self._racks[site.rack][site.position] = make_plate(barcode, "", None)

    async def _asked(self, work: Callable[[], Awaitable[Any]], what: str) -> Any:
        async def do() -> Any:
            await self._open()
            return await work()

        return await self._owner.asked(do, what, "look at the incubator")

    def _place_of(self, site: Any, errand: str) -> Site:
        rack = next(number for number, rack in enumerate(self._racks) if rack is site.parent)
        position = next(i for i, one in self._racks[rack].sites.items() if one is site)
        return Site(rack=rack, position=position, since=datetime.now(UTC), errand=errand)

    def _look_again(self) -> None:
        """Read the list: whoever held the incubator since then may have moved plates."""
        if self._file is None:
            return
        before, self._stored = self._stored.plates, self._read()
        self._follow(before)

    def _follow(self, before: Mapping[str, Site]) -> None:
        """Have PyLabRobot know what changed on the list."""
        if self._frontend.setup_finished:
            for barcode, site in before.items():
                if not _is_there(site, self._stored.plates.get(barcode)):
                    self._racks[site.rack].sites[site.position].resource.unassign()
            for barcode, site in self._stored.plates.items():
                if not _is_there(site, before.get(barcode)):
                    self._racks[site.rack][site.position] = make_plate(barcode, "", None)

    def _listed(self) -> str:
        return ", ".join(sorted(self._stored.plates)) or "no plate"

    def _require_settled(self) -> None:
        if self._stored.moving:
            raise self._refused(
                f"plate {self._stored.moving} was on its way when the program ended",
                f"look where it is, then say so: {settling(self._bench, self._stored.moving)}, or --inside",
            )

    def _read(self) -> Stored:
        if self._file is None or not self._file.is_file():
            return Stored()
        try:
            return Stored.model_validate_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BenchError(
                f"the list of plates cannot be read: {error}", where=str(self._file), remedy="restore or correct it"
            ) from error

    def _write(self, stored: Stored) -> None:
        """Keep what is inside; durable when this returns."""
        self._stored = stored
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        half = self._file.with_suffix(".part")
        with half.open("w", encoding="utf-8") as out:
            json.dump(stored.model_dump(mode="json"), out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        half.replace(self._file)

    def _refused(self, what: str, remedy: str) -> DeviceError:
        return DeviceError(what, where=self.name, remedy=remedy)


def _is_there(site: Site, other: Site | None) -> bool:
    """Whether a plate stands in the same place by both."""
    return other is not None and (site.rack, site.position) == (other.rack, other.position)


def _build(model: str, where: str, settings: dict[str, Any]) -> Any:
    if model == "simulated":
        return _simulated()()
    kind = "heraeus_cytomat_backend:HeraeusCytomatBackend" if model == "heraeus" else "cytomat:CytomatBackend"
    told = settings if model == "heraeus" else {"model": model, **settings}
    remedy = f"write `port` into backend_settings, and {adapter.WIRES}"
    made = adapter.named(f"{_STORAGE}.{kind}", where)
    return adapter.built(lambda: made(**told), "PyLabRobot's backend", where, remedy)


@cache
def _simulated() -> Any:
    base = adapter.named("storage.backend:IncubatorBackend", "incubator")

    class SimulatedIncubator(base):  # type: ignore[misc, valid-type]  # PyLabRobot ships no types
        """An incubator that is always at 37 °C and remembers what it was asked."""

        def __init__(self) -> None:
            super().__init__()
            self.asked: list[tuple[str, str]] = []

        async def setup(self) -> None: ...

        async def stop(self) -> None: ...

        async def open_door(self) -> None: ...

        async def close_door(self) -> None: ...

        async def fetch_plate_to_loading_tray(self, plate: Any, **_: Any) -> None:
            self.asked.append(("out", plate.name))

        async def take_in_plate(self, plate: Any, site: Any, **_: Any) -> None:
            self.asked.append(("in", plate.name))

        async def set_temperature(self, temperature: float) -> None: ...

        async def get_temperature(self) -> float:
            return 37.0

        async def start_shaking(self, frequency: float) -> None: ...

        async def stop_shaking(self) -> None: ...

    return SimulatedIncubator
