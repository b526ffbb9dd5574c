"""The plate reader on the deck of a Flex, read through the robot: one run per plate, which moves no liquid."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.assays.readings.cells import read_rows
from nkloop.assays.readings.models import PlateReading
from nkloop.assays.readings.opentrons_reader import read_opentrons
from nkloop.drivers.interfaces import ENDED, DeviceFile, Finding
from nkloop.drivers.opentrons import preflight as look
from nkloop.drivers.opentrons.analysis import leaf_errors
from nkloop.drivers.opentrons.client import UNCLEAR, FormFile, Json, ThroughClient, robot_client
from nkloop.drivers.opentrons.creating import created, protocol_key, stored
from nkloop.drivers.opentrons.looking import state_findings
from nkloop.drivers.opentrons.plate_protocol import EXPORT, plate_protocol
from nkloop.drivers.opentrons.preparing import Catalogue
from nkloop.drivers.opentrons.releasing import file_away
from nkloop.drivers.opentrons.results import commands_of, copied_files
from nkloop.errors import BenchError, DeviceError, ReadingError, RecordError
from nkloop.worklists.bench_deck import BenchDeck

MODULE = "absorbanceReaderV1"
MOST_WAVELENGTHS = 6
RANGE_NM = (350, 1000)
MOVE = "moveLabware"
"""The command at which the run waits until a person has moved the plate."""
logger = logging.getLogger(__name__)


class FlexPlateReader(ThroughClient):
    """Absorbance of 96-well plates. Robot and gripper move the lid, a person moves the plate.

    `open_for` starts the run and returns when the lid is open; `read` goes on, and copies the exported files out.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        catalogue: Catalogue,
        deck: BenchDeck,
        saturation: float = 4.0,
        poll_seconds: float = 2.0,
        wait_seconds: float = 300.0,
        account: dict[str, str] | None = None,
        ca_file: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            name: how people call the reader.
            url: address of the robot it stands on.
            catalogue: labware types and definitions.
            deck: deck of the bench file; says in which slot the module is, and its serial number.
            saturation: optical density from which on a well counts as saturated.
            poll_seconds: pause between two looks at the run.
            wait_seconds: longest wait for the robot's analysis, for the lid to open, and for the measurement.
            account: who nkloop is on a robot in compliance mode.
            ca_file: certificate of the robot, for an address with https.
            transport: replaces the network in tests.

        Raises:
            BenchError: the deck has no such module, or the account is incomplete.
        """
        self.name = name
        spec = next((module for module in deck.modules if module.load_name == MODULE), None)
        if spec is None:
            remedy = f"add a line like {{slot: D3, load_name: {MODULE}, serial_number: ...}} to the modules of the deck"
            raise BenchError(f"the deck has no {MODULE}", where=name, remedy=remedy)
        self._module = spec
        self._catalogue = catalogue
        self._saturation = saturation
        self._poll_seconds = poll_seconds
        self._wait_seconds = wait_seconds
        self._client = robot_client(name, url, account=account, ca_file=ca_file, transport=transport)
        self._run_id = ""
        self._asked: ReadRequest | None = None
        self.files: tuple[DeviceFile, ...] = ()
        """What the robot exported for the plate read last."""

    async def inspect(self) -> tuple[Finding, ...]:
        """Whether module, deck configuration and the gripper that moves the lid are there.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        modules = (await self._client.get("/modules"))["data"]
        fixtures = (await self._client.get("/deck_configuration"))["data"]["cutoutFixtures"]
        instruments = (await self._client.get("/instruments"))["data"]
        has_gripper = any(one.get("instrumentType") == "gripper" and one.get("ok", True) for one in instruments)
        remedy = "" if has_gripper else "attach and calibrate the gripper; nothing else moves the lid"
        told = "attached" if has_gripper else "none that works"
        return (
            *look.check_modules(modules, [self._module]),
            *look.check_fixtures(fixtures, [self._module]),
            Finding(subject="gripper", found=told, ok=has_gripper, remedy=remedy),
        )

    async def open_for(self, request: ReadRequest) -> None:
        """Have the robot measure its blank and open the lid; returns when the plate may be put in.

        Raises:
            DeviceError: it cannot read this plate, something is missing on the robot or in the way, or it refused.
            DeviceUnreachableError: no answer; whether a run of ours is left on the robot is not known.
        """
        wavelengths = self._wavelengths(request)
        self._require(await self.inspect())
        self._require(await state_findings(self._client))
        protocol_id = await self._uploaded(request, wavelengths)
        await self._analysed(protocol_id)
        self._run_id, self._asked, self.files = await self._created(protocol_id), request, ()
        self._require(await state_findings(self._client))  # the analysis took its time
        await self._act("play")
        run = await self._until(waits=True)
        if run["status"] in ENDED:
            raise self._refused(f"the run is {run['status']} before the lid was open{_errors(run)}", _LOOK)

    async def read(self, request: ReadRequest) -> Reading:
        """Close the lid over the plate, measure, copy the exported files out, parse them.

        Raises:
            DeviceError: the lid was not opened for this plate, the run failed, or the files do not fit what was asked.
        """
        if not self._run_id or self._asked != request:
            raise self._refused("the lid was not opened for this plate", "call open_for first; the task does so")
        await self._door_closed()
        self._require(await state_findings(self._client))
        await self._act("play")
        run = await self._until(waits=False)
        commands = await commands_of(self._client, self._run_id)
        async for file in copied_files(self._client, run, commands):
            self.files = (*self.files, file)
        await self._filed_away()
        if run["status"] != "succeeded":
            raise self._refused(f"the run is {run['status']}{_errors(run)}", _LOOK)
        return self._reading(request)

    async def abandon(self) -> None:
        """Stop a run that waits with its lid open and see it end; nothing when none does.

        Raises:
            DeviceError: the robot refused or does not answer.
        """
        if self._run_id and (await self._run())["status"] not in ENDED:
            await self._act("stop")
            await self._until(waits=False)
        await self._filed_away()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _wavelengths(self, request: ReadRequest) -> list[int]:
        asked = [one for one in (request.wavelength_nm, request.reference_wavelength_nm) if one is not None]
        low, high = RANGE_NM
        if request.mode != "absorbance" or request.wavelength_nm is None:
            raise self._refused(f"it reads absorbance only, not {request.mode}", "use another reader")
        if any(not low <= one <= high for one in asked):
            raise self._refused(f"{asked} nm is outside {low} to {high} nm", "use another reader or wavelength")
        if len(wells := self._catalogue[request.load_name].wells) != 96:
            raise self._refused(f"{request.load_name} has {len(wells)} wells, it reads 96", "use a 96-well plate")
        return asked

    async def _uploaded(self, request: ReadRequest, wavelengths: list[int]) -> str:
        kind = self._catalogue[request.load_name]
        text = plate_protocol(
            request.barcode,
            request.load_name,
            namespace=kind.namespace,
            version=kind.version,
            slot=self._module.slot,
            wavelengths_nm=wavelengths,
        ).encode()
        files: list[FormFile] = [("files", ("nkloop_plate_reading.py", text, "text/x-python"))]
        definition = self._catalogue.definition(request.load_name)
        if definition is not None and kind.namespace != "opentrons":
            files.append(("files", (f"{request.load_name}.json", json.dumps(definition).encode(), "application/json")))
        key = protocol_key(files)
        return await stored(self._client, "/protocols", files, {"key": key}, "key", key)

    async def _analysed(self, protocol_id: str) -> None:
        deadline = time.monotonic() + self._wait_seconds
        while True:
            summaries = (await self._client.get(f"/protocols/{protocol_id}"))["data"]["analysisSummaries"]
            if summaries and all(one["status"] == "completed" for one in summaries):
                break
            if time.monotonic() > deadline:
                raise self._refused(f"the robot's analysis takes longer than {self._wait_seconds:g} s", "restart it")
            await asyncio.sleep(self._poll_seconds)
        told = (await self._client.get(f"/protocols/{protocol_id}/analyses/{summaries[-1]['id']}"))["data"]
        if told["result"] != "ok":
            raise self._refused(
                f"the robot's analysis refused{_errors(told)}", "update the robot, or correct the plate"
            )

    async def _created(self, protocol_id: str) -> str:
        """Our idle run; never one over a run of anybody else that has not ended."""

        def is_ours(run: Json) -> bool:
            return run.get("protocolId") == protocol_id and run["status"] == "idle" and not run["actions"]

        return await created(self._client, await self._client.get("/runs"), {"protocolId": protocol_id}, is_ours)

    async def _filed_away(self) -> None:
        """Let the robot file the run away; what was measured is at hand already, so a failure is only told."""
        run_id, self._run_id, self._asked = self._run_id, "", None
        if not run_id:
            return
        try:
            await file_away(self._client, run_id)
        except (DeviceError, RecordError) as error:
            logger.warning(
                "%s did not file run %s away, nothing that was measured is lost: %s", self.name, run_id, error
            )

    async def _run(self) -> Json:
        run: Json = (await self._client.get(f"/runs/{self._run_id}"))["data"]
        return run

    async def _act(self, action: str) -> None:
        before = len((await self._run()).get("actions") or ())
        try:
            await self._client.post(f"/runs/{self._run_id}/actions", {"actionType": action})
        except UNCLEAR:
            if len((await self._run()).get("actions") or ()) == before:
                raise

    def _require(self, findings: Iterable[Finding]) -> None:
        wrong = [one for one in findings if not one.ok]
        if wrong:
            raise self._refused(f"{wrong[0].subject}: {wrong[0].found}", wrong[0].remedy)

    async def _door_closed(self) -> None:
        """Return when the door is closed, which whoever put the plate in had to open; at the latest in `wait_seconds`.

        Nothing is refused here: the look that follows tells a door that stays open.
        """
        deadline, is_told = time.monotonic() + self._wait_seconds, False
        while time.monotonic() < deadline:
            door, *_ = await state_findings(self._client)
            if door.ok:
                return
            if not is_told:
                logger.warning("%s waits: its door is %s; %s", self.name, door.found, door.remedy)
            is_told = True
            await asyncio.sleep(self._poll_seconds)

    async def _until(self, *, waits: bool) -> Json:
        """The run when it has ended, or with `waits` when it waits for the plate.

        A run that a person holds up is told of and waited for, `wait_seconds` from each change on. It is not played
        from here: nobody has said that his hands are off the deck.
        """
        deadline, status = time.monotonic() + self._wait_seconds, ""
        while time.monotonic() < deadline:
            run = await self._run()
            is_new, status = run["status"] != status, run["status"]
            if status in ENDED or (waits and status == "paused" and await self._waits_for_plate()):
                return run
            if status.startswith("awaiting-recovery"):
                break
            if is_new:
                deadline = time.monotonic() + self._wait_seconds
            if is_new and status in _HELD:
                logger.warning("%s waits, its run is %s: %s", self.name, status, _HELD[status])
            await asyncio.sleep(self._poll_seconds)
        remedy = f"{_HELD.get(status, _SCREEN)}; the run is stopped, read the plate again"
        raise self._refused(f"the run does not go on, it is {status}", remedy)

    async def _waits_for_plate(self) -> bool:
        page = await self._client.get(f"/runs/{self._run_id}/commands", pageLength=1)
        return any(one["commandType"] == MOVE and one["status"] == "running" for one in page["data"])

    def _reading(self, request: ReadRequest) -> Reading:
        exported = [one for one in self.files if one.media_type == "text/csv" and one.name.startswith(EXPORT)]
        found: dict[int, tuple[DeviceFile, PlateReading]] = {}
        for one in exported:
            parsed = parsed_file(one)
            found |= {frame.wavelength_nm: (one, parsed) for frame in parsed.frames if frame.wavelength_nm}
        missing = [one for one in self._wavelengths(request) if one not in found]
        if missing:
            told = ", ".join(one.name for one in exported) or "no file"
            raise self._refused(f"no values at {missing[0]} nm; the robot exported {told}", "read the plate again")
        file, signal = found[request.wavelength_nm or 0]
        if self._module.serial_number and signal.serial_number not in {None, self._module.serial_number}:
            told = f"the file is of reader {signal.serial_number}, the bench file has {self._module.serial_number}"
            raise self._refused(told, "correct serial_number in the bench file after a look at the reader")
        values = self._values(signal, request.wavelength_nm)
        reference = (
            self._values(found[request.reference_wavelength_nm][1], request.reference_wavelength_nm)
            if (request.reference_wavelength_nm)
            else {}
        )
        names = request.wells or tuple(values)
        return Reading(
            barcode=request.barcode,
            mode="absorbance",
            wavelength_nm=request.wavelength_nm,
            reference_wavelength_nm=request.reference_wavelength_nm,
            values={well: values[well] - reference.get(well, 0.0) for well in names},
            saturated=tuple(well for well in names if values[well] >= self._saturation),
            instrument=self.name,
            serial_number=signal.serial_number or self._module.serial_number,
            read_at=signal.read_at or datetime.now(UTC),
            file_sha256=hashlib.sha256(file.content).hexdigest(),
        )

    @staticmethod
    def _values(parsed: PlateReading, wavelength_nm: int | None) -> dict[str, float]:
        return dict(next(frame for frame in parsed.frames if frame.wavelength_nm == wavelength_nm).values)

    def _refused(self, told: str, remedy: str) -> DeviceError:
        return DeviceError(told, where=self.name, remedy=remedy)


_SCREEN = "look at the robot's screen"
_PLAY = "when nobody reaches in, press play on the robot's screen"
_HELD = {
    "blocked-by-open-door": f"close the door and the top window; {_PLAY}",
    "paused": f"the door was opened, or somebody paused it; {_PLAY}",
}
"""What a person does about a run that is held up."""
_LOOK = f"{_SCREEN}; take the plate out, then read it again"


def parsed_file(file: DeviceFile) -> PlateReading:
    """The reading of an exported file.

    Raises:
        DeviceError: it is not in the layout of the robot's software.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file.name).name
        path.write_bytes(file.content)
        try:
            data, rows = read_rows(path)
            return read_opentrons(path, rows, hashlib.sha256(data).hexdigest())
        except (ReadingError, KeyError, ValueError) as error:
            remedy = "the numbers also stand in the JSON file beside it; tell which robot software wrote it"
            raise DeviceError(f"it cannot be understood: {error}", where=file.name, remedy=remedy) from error


def _errors(told: dict[str, Any]) -> str:
    found = "; ".join(dict.fromkeys(leaf_errors(told.get("errors") or ())))
    return f": {found}" if found else ""
