"""The plate reader on the deck of a Flex, read through the robot: one run per plate, which moves no liquid."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.interfaces import DeviceFile, Finding, FoundRun
from nkloop.drivers.opentrons import preflight as look
from nkloop.drivers.opentrons.analysis import leaf_errors
from nkloop.drivers.opentrons.client import FormFile, Json
from nkloop.drivers.opentrons.creating import created, stored
from nkloop.drivers.opentrons.looking import account_finding, state_findings
from nkloop.drivers.opentrons.plate_files import reading_of
from nkloop.drivers.opentrons.plate_protocol import plate_protocol
from nkloop.drivers.opentrons.preparing import Catalogue
from nkloop.drivers.opentrons.results import copied_files
from nkloop.drivers.opentrons.robot import OpentronsRobot
from nkloop.errors import BenchError, DeviceError, DeviceUnreachableError
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.models import DeckItem, Worklist
from nkloop.worklists.plate_reading import PLATE, PUT_IN, reading_worklist

MODULE = "absorbanceReaderV1"
RANGE_NM = (350, 1000)
MOVE = "moveLabware"
"""The command at which the run waits until a person has moved the plate."""
logger = logging.getLogger(__name__)


class FlexPlateReader(OpentronsRobot):
    """Absorbance of 96-well plates. Robot and gripper move the lid, a person moves the plate.

    Each plate is one run of the robot, followed and journalled as every run; `worklist` tells its steps, `reading`
    makes values of the files it leaves. An error ends the run, because a plate can be read again.
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
        analysis_seconds: float = 180.0,
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
            poll_seconds: pause between two looks at the run, 0.02 to 10 s.
            analysis_seconds: longest wait for the robot's analysis.
            account: who nkloop is on a robot in compliance mode.
            ca_file: certificate of the robot, for an address with https.
            transport: replaces the network in tests.

        Raises:
            BenchError: the deck has no such module, `poll_seconds` is out of bounds, or the account is incomplete.
        """
        spec = next((module for module in deck.modules if module.load_name == MODULE), None)
        if spec is None:
            remedy = f"add a line like {{slot: D3, load_name: {MODULE}, serial_number: ...}} to the modules of the deck"
            raise BenchError(f"the deck has no {MODULE}", where=name, remedy=remedy)
        super().__init__(
            name,
            url,
            protocols=Path(),
            catalogue=catalogue,
            deck=deck,
            poll_seconds=poll_seconds,
            analysis_seconds=analysis_seconds,
            error_recovery="fail",
            labware_offsets=False,
            account=account,
            ca_file=ca_file,
            transport=transport,
        )
        self._module = spec
        self._catalogue = catalogue
        self._saturation = saturation
        self._analysis_seconds = analysis_seconds
        self._requests: dict[str, ReadRequest] = {}
        """What is to be measured, by the worklist of the reading."""

    async def inspect(self, deck: BenchDeck | None = None) -> tuple[Finding, ...]:
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
            await account_finding(self._client),
        )

    def worklist(self, request: ReadRequest) -> Worklist:
        """The steps of the run that reads a plate.

        Raises:
            DeviceError: it cannot read this plate.
        """
        kind = self._catalogue[request.load_name]
        plate = DeckItem(
            nickname=PLATE,
            slot=self._module.slot,
            load_name=request.load_name,
            namespace=kind.namespace,
            version=kind.version,
            label=request.barcode,
            module=MODULE,
            barcode=request.barcode,
        )
        made = reading_worklist(plate, self._wavelengths(request), self.name)
        self._requests[made.content_hash] = request
        return made

    def reading(self, request: ReadRequest, files: Sequence[DeviceFile]) -> Reading:
        """Values out of the files a reading left on the robot.

        Raises:
            DeviceError: they do not hold what was asked, are of another reader, or cannot be understood.
        """
        return reading_of(
            request, files, self.name, serial_number=self._module.serial_number or "", saturation=self._saturation
        )

    def protocol_sha256(self, worklist: Worklist) -> str:
        """Empty: the protocol is made of the worklist."""
        return ""

    async def preflight(self, worklist: Worklist) -> tuple[Finding, ...]:
        """Look at reader, gripper, door, emergency stop and other runs; changes nothing.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        return (*await self.inspect(), *await state_findings(self._client))

    async def find_runs(self, worklist: Worklist) -> tuple[FoundRun, ...]:
        """The runs on the robot made for this reading, in the order of the robot's own list.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        protocols = (await self._client.get("/protocols"))["data"]
        mine = {str(one["id"]) for one in protocols if one.get("key") == _key(worklist)}
        runs = (await self._client.get("/runs"))["data"]
        return tuple(look.found_run(run) for run in runs if run.get("protocolId") in mine)

    async def prepare(self, worklist: Worklist) -> str:
        """Upload the protocol of the reading, wait for the robot's analysis, create the run.

        Raises:
            DeviceError: the robot refused, its analysis failed, or another run is active.
            DeviceUnreachableError: the robot does not answer; no run of ours is left that could start by itself.
        """
        async with self._preparing:
            protocol_id = await self._uploaded(worklist)
            await self._analysed(protocol_id)

            def is_ours(run: Json) -> bool:
                return run.get("protocolId") == protocol_id and run["status"] == "idle" and not run["actions"]

            runs = await self._client.get("/runs")
            run_id = await created(self._client, runs, {"protocolId": protocol_id}, is_ours)
            if self._policy is not None:
                await self._set_policy(run_id, self._policy)
        wrong = [one for one in await state_findings(self._client) if not one.ok]  # the analysis took its time
        if wrong:
            raise self._refused(f"{wrong[0].subject}: {wrong[0].found}", wrong[0].remedy)
        return run_id

    async def files(self, run_id: str) -> tuple[DeviceFile, ...]:
        """Files the run exported, and its numbers; what is at hand when a later file is gone is given all the same.

        Raises:
            RunForgottenError: the robot no longer knows the run.
            DeviceUnreachableError: it does not answer; nothing is lost, and all of it is to be asked for again.
            DeviceError: it has deleted the first file already.
        """
        if self._ended[0].get("id") != run_id:
            await self.commands(run_id)
        run, commands = self._ended
        if not run:
            return ()  # it has not ended
        found: list[DeviceFile] = []
        try:
            async for file in copied_files(self._client, run, commands):
                found.append(file)
        except DeviceError as error:
            if not found or isinstance(error, DeviceUnreachableError):
                raise  # what a robot that is silent still holds is fetched when it answers again
            logger.warning("%d file(s) of run %s were copied out of %s, then: %s", len(found), run_id, self.name, error)
        return tuple(found)

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

    async def _uploaded(self, worklist: Worklist) -> str:
        request = self._requests[worklist.content_hash]
        text = plate_protocol(worklist, self._wavelengths(request)).encode()
        files: list[FormFile] = [("files", ("nkloop_plate_reading.py", text, "text/x-python"))]
        definition = self._catalogue.definition(request.load_name)
        if definition is not None and self._catalogue[request.load_name].namespace != "opentrons":
            files.append(("files", (f"{request.load_name}.json", json.dumps(definition).encode(), "application/json")))
        key = _key(worklist)
        return await stored(self._client, "/protocols", files, {"key": key}, "key", key)

    async def _analysed(self, protocol_id: str) -> None:
        deadline = time.monotonic() + self._analysis_seconds
        while True:
            summaries = (await self._client.get(f"/protocols/{protocol_id}"))["data"]["analysisSummaries"]
            if summaries and all(one["status"] == "completed" for one in summaries):
                break
            if time.monotonic() > deadline:
                told = f"the robot's analysis takes longer than {self._analysis_seconds:g} s"
                raise self._refused(told, "restart it")
            await asyncio.sleep(self.poll_seconds)
        told = (await self._client.get(f"/protocols/{protocol_id}/analyses/{summaries[-1]['id']}"))["data"]
        if told["result"] != "ok":
            raise self._refused(
                f"the robot's analysis refused{_errors(told)}", "update the robot, or correct the plate"
            )

    async def _pause(self, run_id: str) -> tuple[str, str | None]:
        """The plate that the run waits for, as the pause of its step; no id and None when something else holds it."""
        page = await self._client.get(f"/runs/{run_id}/commands", pageLength=1)
        for item in page["data"]:
            if item["commandType"] == MOVE and item["status"] == "running":
                return str(item["id"]), f"step {PUT_IN}: the plate into the reader"
        return "", None

    def _refused(self, told: str, remedy: str) -> DeviceError:
        return DeviceError(told, where=self.name, remedy=remedy)


def _key(worklist: Worklist) -> str:
    """Name of the protocol of a reading on the robot."""
    return f"{worklist.procedure}-{worklist.content_hash[:20]}"


def _errors(told: dict[str, Any]) -> str:
    found = "; ".join(dict.fromkeys(leaf_errors(told.get("errors") or ())))
    return f": {found}" if found else ""
