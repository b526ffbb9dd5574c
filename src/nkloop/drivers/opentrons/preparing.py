"""From a worklist to an idle run on the robot: upload, analysis, creation. What may have arrived is asked for first."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from nkloop.drivers.interfaces import ENDED
from nkloop.drivers.opentrons import preflight as look
from nkloop.drivers.opentrons.analysis import CSV_PARAMETER, carries_file, require_usable, steps_by_key
from nkloop.drivers.opentrons.client import UNCLEAR, FormFile, Json, RobotClient
from nkloop.drivers.opentrons.looking import current_run, has_phantom
from nkloop.drivers.opentrons.offsets import Offset
from nkloop.errors import DeviceError
from nkloop.labware.models import LabwareType
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import Worklist

LONGEST_POLL_S = 0.5
"""Between two looks at an analysis; it takes 0.2 to 2 s on a robot."""
ANALYSIS_REQUESTS = 2
"""How often an analysis is asked for before it counts as refused."""


class Catalogue(Protocol):
    """Labware types, and the definitions a robot does not have."""

    def definition(self, load_name: str) -> Json | None:
        """Our own definition of a labware, or None when the maker's is used."""

    def __getitem__(self, load_name: str, /) -> LabwareType:
        """The type.

        Raises:
            LabwareError: it is not in the catalogue.
        """


class Preparation:
    """Prepares runs on one robot, one at a time."""

    def __init__(
        self, client: RobotClient, catalogue: Catalogue, *, poll_seconds: float, analysis_seconds: float
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._poll_seconds = min(poll_seconds, LONGEST_POLL_S)
        self._analysis_seconds = analysis_seconds
        self.steps: dict[str, int] = {}
        """Worklist step of each command of the run prepared last, by the command's key."""

    async def uploaded(self, worklist: Worklist, protocol: Path) -> tuple[str, str]:
        """Upload the CSV and the protocol with its labware; return the ids of CSV and protocol.

        Raises:
            DeviceError: the robot refused a file.
            DeviceUnreachableError: the robot does not answer.
        """
        name = csv_name(worklist)
        file = ("file", (name, to_csv(worklist).encode(), "text/csv"))
        file_id = await self._stored("/dataFiles", [file], {}, "name", name)
        files = self._files(worklist, protocol)
        key = hashlib.sha256(b"\0".join(content for _, (_, content, _) in files)).hexdigest()[:32]
        fields = {"key": key, "runTimeParameterFiles": json.dumps({CSV_PARAMETER: file_id})}
        return file_id, await self._stored("/protocols", files, fields, "key", key)

    def _files(self, worklist: Worklist, protocol: Path) -> list[FormFile]:
        """The protocol and every labware definition the robot does not have."""
        files: list[FormFile] = [("files", (protocol.name, protocol.read_bytes(), "text/x-python"))]
        for load_name in dict.fromkeys(item.load_name for item in worklist.deck if item.namespace != "opentrons"):
            definition = self._catalogue.definition(load_name)
            if definition is not None:
                files.append(("files", (f"{load_name}.json", json.dumps(definition).encode(), "application/json")))
        return files

    async def analysed(self, protocol_id: str, file_id: str, worklist: Worklist, where: str) -> None:
        """Wait for the robot's analysis with this very CSV and compare it with the worklist.

        Raises:
            DeviceError: the analysis failed, differs from the worklist, or takes too long.
            DeviceUnreachableError: the robot does not answer.
        """
        asked = 0
        deadline = time.monotonic() + self._analysis_seconds
        while True:
            summaries = (await self._client.get(f"/protocols/{protocol_id}"))["data"]["analysisSummaries"]
            if all(summary["status"] == "completed" for summary in summaries):
                analysis = await self._with_file(protocol_id, summaries, file_id)
                if analysis is not None:
                    require_usable(analysis, worklist, self._catalogue, where=where)
                    self.steps = steps_by_key(analysis["commands"])
                    return
                if asked >= ANALYSIS_REQUESTS:
                    raise DeviceError(
                        "the robot analysed the protocol without our worklist",
                        where=self._client.name,
                        remedy=f"the protocol must have a CSV parameter called {CSV_PARAMETER}",
                    )
                request = {"runTimeParameterFiles": {CSV_PARAMETER: file_id}, "forceReAnalyze": True}
                asked += 1
                with suppress(*UNCLEAR):  # the next look tells whether it is being made
                    await self._client.post(f"/protocols/{protocol_id}/analyses", request)
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"the robot's analysis takes longer than {self._analysis_seconds:g} s",
                    where=self._client.name,
                    remedy="restart the robot or raise analysis_seconds in the bench file",
                )
            await asyncio.sleep(self._poll_seconds)

    async def created(self, runs: Json, protocol_id: str, file_id: str, csv: str, offsets: Sequence[Offset]) -> str:
        """The idle run of this worklist: one that waits already, or a new one; never one over somebody else's.

        Args:
            runs: the robot's answer to `GET /runs` of just now.
            protocol_id: the protocol on the robot.
            file_id: the CSV on the robot.
            csv: name of the CSV.
            offsets: labware offsets for the run.

        Raises:
            DeviceError: another run is in the way, or the robot refused.
            DeviceUnreachableError: the robot does not answer; no run of ours is left that could start by itself.
        """
        waiting = self._waiting(runs, protocol_id, csv)
        if waiting is not None:
            return waiting
        current = current_run(runs)
        if current is not None and current["status"] not in ENDED:
            # Creating a run over an idle one replaces it without a word, whoever made it.
            raise DeviceError(
                f"run {current['id']} on the robot is {current['status']}",
                where=self._client.name,
                remedy="let it end or cancel it on the robot's screen",
            )
        request = {
            "protocolId": protocol_id,
            "runTimeParameterFiles": {CSV_PARAMETER: file_id},
            "labwareOffsets": [offset.request for offset in offsets],
        }
        # A phantom left over from an earlier fault makes the robot answer 500 once, which clears it.
        attempts = 2 if has_phantom(runs) else 1
        for attempt in range(1, attempts + 1):
            try:
                await self._client.post("/runs", request)
            except UNCLEAR:
                created = self._waiting(await self._client.get("/runs"), protocol_id, csv)
                if created is None and attempt == attempts:
                    raise
                if created is None:
                    continue
            # Whoever delivered the request twice has made two runs: the one that is current counts.
            created = self._waiting(await self._client.get("/runs"), protocol_id, csv)
            if created is not None:
                return created
            raise DeviceError(
                "the run was made, and then another run took its place on the robot",
                where=self._client.name,
                remedy="find out who else uses the robot, then start again",
            )
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _waiting(self, runs: Json, protocol_id: str, csv: str) -> str | None:
        """Id of the current run when it is ours, idle and was never played."""
        current = current_run(runs)
        if current is None or not look.is_prepared(current, csv) or current.get("protocolId") != protocol_id:
            return None
        return str(current["id"])

    async def _stored(
        self, path: str, files: list[FormFile], fields: dict[str, str], attribute: str, value: str
    ) -> str:
        """Upload and return the id; after a lost answer the robot is asked, and sent it again only if it lacks it.

        The same content again would give the same id, but a robot that was not asked is not sent anything twice.
        """
        try:
            return str((await self._client.upload(path, files, fields))["data"]["id"])
        except UNCLEAR:
            stored = (await self._client.get(path))["data"]
            known = [str(item["id"]) for item in stored if item.get(attribute) == value]
            if known:
                return known[-1]
        return str((await self._client.upload(path, files, fields))["data"]["id"])

    async def _with_file(self, protocol_id: str, summaries: Sequence[Json], file_id: str) -> Json | None:
        """The newest analysis made with this CSV; their order is not that of their making, so each is asked."""
        for summary in reversed(summaries):
            path = f"/protocols/{protocol_id}/analyses/{summary['id']}"
            analysis: dict[str, Any] = (await self._client.get(path))["data"]
            if carries_file(analysis, file_id):
                return analysis
        return None


def csv_name(worklist: Worklist) -> str:
    """File name of a worklist on the robot; the same name always means the same content."""
    return f"{worklist.procedure}_{hashlib.sha256(to_csv(worklist).encode()).hexdigest()[:12]}.csv"
