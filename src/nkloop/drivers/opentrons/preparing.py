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

from nkloop.drivers.opentrons import preflight as look
from nkloop.drivers.opentrons.analysis import CSV_PARAMETER, carries_file, require_usable, steps_by_key
from nkloop.drivers.opentrons.client import UNCLEAR, FormFile, Json, RobotClient
from nkloop.drivers.opentrons.creating import created, protocol_key, stored
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
        file_id = await stored(self._client, "/dataFiles", [file], {}, "name", name)
        files = self._files(worklist, protocol)
        key = protocol_key(files)
        fields = {"key": key, "runTimeParameterFiles": json.dumps({CSV_PARAMETER: file_id})}
        return file_id, await stored(self._client, "/protocols", files, fields, "key", key)

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
        request = {
            "protocolId": protocol_id,
            "runTimeParameterFiles": {CSV_PARAMETER: file_id},
            "labwareOffsets": [offset.request for offset in offsets],
        }

        def is_ours(run: Json) -> bool:
            return look.is_prepared(run, csv) and run.get("protocolId") == protocol_id

        return await created(self._client, runs, request, is_ours)

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
