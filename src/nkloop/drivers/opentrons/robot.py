"""An Opentrons Flex as a liquid handler: preflight, upload, analysis, run, observation."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import Any, Protocol

import httpx

from nkloop.drivers.interfaces import (
    ENDED,
    DeviceCommand,
    DeviceFile,
    DeviceState,
    Fence,
    Finding,
    StepListener,
    unguarded,
)
from nkloop.drivers.opentrons import preflight as look
from nkloop.drivers.opentrons.analysis import CSV_PARAMETER, carries_file, leaf_errors, require_usable
from nkloop.drivers.opentrons.client import ConnectionLostError, Json, RobotClient
from nkloop.errors import BenchError, DeviceError
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import Worklist
from nkloop.worklists.protocol_files import protocol_path, sha256_of

POLL_BOUNDS_S = (0.02, 10.0)
"""Robots have stalled in mid-run when asked too often; the low end is for robots that are simulated."""
_PAGE = 200
_PLAYABLE = {"idle", "paused"}


class Definitions(Protocol):
    """Gives the labware definitions a robot does not have."""

    def definition(self, load_name: str) -> Json | None:
        """Our own definition of a labware, or None when the maker's is used."""


class OpentronsRobot:
    """One robot. All requests go through one connection pool; at most one run is prepared at a time."""

    stepwise = False

    def __init__(
        self,
        name: str,
        url: str,
        *,
        protocols: Path,
        catalogue: Definitions,
        poll_seconds: float = 2.0,
        analysis_seconds: float = 180.0,
        trash_slot: str = "A3",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            name: how people call the robot.
            url: `http://address:31950`.
            protocols: folder with one `<procedure>.py` per procedure.
            catalogue: gives custom labware definitions.
            poll_seconds: pause between two looks at a run, 0.02 to 10 s.
            analysis_seconds: longest wait for the robot's analysis.
            trash_slot: where the protocols drop tips.
            transport: replaces the network in tests.

        Raises:
            BenchError: `poll_seconds` is out of bounds.
        """
        low, high = POLL_BOUNDS_S
        if not low <= poll_seconds <= high:
            raise BenchError(
                f"poll_seconds is {poll_seconds:g}, must be {low:g} to {high:g} s",
                where=name,
                remedy="use 2 for a real robot",
            )
        self.name = name
        self.poll_seconds = poll_seconds
        self._client = RobotClient(name, url, transport=transport)
        self._protocols = protocols
        self._catalogue = catalogue
        self._analysis_seconds = analysis_seconds
        self._trash_slot = trash_slot
        self._preparing = asyncio.Lock()
        self.fence: Fence = unguarded
        self.on_step: StepListener | None = None

    def protocol_sha256(self, worklist: Worklist) -> str:
        """Hash of the protocol file as it lies in the workspace now.

        Raises:
            WorkspaceError: there is no protocol file for the procedure on this robot, or it cannot be read.
        """
        return sha256_of(self._protocol(worklist))

    async def preflight(self, worklist: Worklist) -> tuple[Finding, ...]:
        """Look at robot, pipettes, modules, deck, door, emergency stop and other runs; changes nothing.

        Raises:
            DeviceUnreachableError: the robot does not answer.
            WorkspaceError: there is no protocol file for the procedure on this robot.
        """
        protocol = self._protocol(worklist).read_text(encoding="utf-8")
        fixtures = (await self._client.get("/deck_configuration"))["data"]["cutoutFixtures"]
        return (
            *look.check_robot(await self._client.get("/health"), protocol),
            *look.check_pipettes((await self._client.get("/instruments"))["data"], worklist),
            *look.check_modules((await self._client.get("/modules"))["data"], fixtures, worklist),
            look.check_trash(fixtures, self._trash_slot),
            look.check_door(_data(await self._client.find("/robot/door/status"))),
            look.check_estop(_data(await self._client.find("/robot/control/estopStatus"))),
            look.check_current_run(await self._current_run(), csv_name(worklist)),
            look.check_maintenance(_data(await self._client.find("/maintenance_runs/current_run"))),
        )

    async def inspect(self, deck: BenchDeck) -> tuple[Finding, ...]:
        """Look at door, emergency stop and other runs; changes nothing.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        fixtures = (await self._client.get("/deck_configuration"))["data"]["cutoutFixtures"]
        return (
            look.check_trash(fixtures, deck.trash_slot),
            look.check_door(_data(await self._client.find("/robot/door/status"))),
            look.check_estop(_data(await self._client.find("/robot/control/estopStatus"))),
            look.check_maintenance(_data(await self._client.find("/maintenance_runs/current_run"))),
        )

    async def find_run(self, worklist: Worklist) -> str | None:
        """The newest run on the robot made with this worklist's CSV; None when it has none.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        for run in reversed((await self._client.get("/runs"))["data"]):
            if csv_name(worklist) in look.csv_files(run):
                return str(run["id"])
        return None

    async def files(self, run_id: str) -> tuple[DeviceFile, ...]:
        """Files the run made, for example of the plate reader.

        Raises:
            DeviceError: the robot no longer knows the run.
        """
        wanted = (await self._client.get(f"/runs/{run_id}"))["data"].get("outputFileIds") or ()
        found = []
        for file_id in wanted:
            about = (await self._client.get(f"/dataFiles/{file_id}"))["data"]
            content = await self._client.download(f"/dataFiles/{file_id}/download")
            found.append(DeviceFile(name=about["name"], media_type="text/csv", content=content))
        return tuple(found)

    async def prepare(self, worklist: Worklist) -> str:
        """Upload CSV, protocol and custom labware, wait for the robot's analysis with them, create the run.

        Raises:
            DeviceError: the robot refused a file, its analysis failed or misses steps, or another run is active.
            DeviceUnreachableError: the robot does not answer; no run of ours is left that could start by itself.
        """
        async with self._preparing:
            file_id = await self._upload_csv(worklist)
            protocol_id = await self._upload_protocol(worklist, file_id)
            analysis = await self._analysed(protocol_id, file_id)
            require_usable(analysis, worklist, where=f"{self.name}, {self._protocol(worklist).name}")
            return await self._create_run(protocol_id, file_id, csv_name(worklist))

    async def state(self, run_id: str) -> DeviceState:
        """Status of a run; at a pause also its message, in recovery also what went wrong.

        Raises:
            DeviceError: the robot no longer knows the run.
            DeviceUnreachableError: the robot does not answer.
        """
        run = (await self._client.get(f"/runs/{run_id}"))["data"]
        errors = tuple(leaf_errors(run.get("errors") or ()))
        message: str | None = None
        if run["status"] == "paused":
            message = await self._pause_message(run_id)
        elif str(run["status"]).startswith("awaiting-recovery"):
            # A run in recovery lists no errors; they stand with its commands only.
            found = await self._client.get(f"/runs/{run_id}/commandErrors")
            errors = tuple(leaf_errors(found["data"]))
        return DeviceState(status=run["status"], pause_message=message, errors=errors)

    async def play(self, run_id: str) -> None:
        """Start or resume. Asks first; a run that is neither idle nor paused is left alone.

        Raises:
            DeviceError: the robot refused, for example because its door is open.
            DeviceUnreachableError: no answer, and the run still stands where it stood.
        """
        before = (await self._client.get(f"/runs/{run_id}"))["data"]
        if before["status"] not in _PLAYABLE:
            return
        try:
            await self._client.post(f"/runs/{run_id}/actions", {"actionType": "play"})
        except ConnectionLostError:
            after = (await self._client.get(f"/runs/{run_id}"))["data"]
            if len(after.get("actions") or ()) == len(before.get("actions") or ()):
                raise

    async def stop(self, run_id: str) -> None:
        """Stop a run; the robot drops its tips. A run that has ended is left alone.

        Raises:
            DeviceError: the robot refused.
            DeviceUnreachableError: the robot does not answer.
        """
        if (await self.state(run_id)).status in ENDED | {"stop-requested", "finishing"}:
            return
        try:
            await self._client.post(f"/runs/{run_id}/actions", {"actionType": "stop"})
        except ConnectionLostError:
            if (await self.state(run_id)).status not in ENDED | {"stop-requested", "finishing"}:
                raise

    async def commands(self, run_id: str) -> tuple[DeviceCommand, ...]:
        """All commands, in pages; ask for them once, after the run ended (paging stalls a robot that pipettes).

        Raises:
            DeviceError: the robot no longer knows the run.
        """
        found: list[DeviceCommand] = []
        while True:
            page = await self._client.get(f"/runs/{run_id}/commands", cursor=len(found), pageLength=_PAGE)
            found.extend(_command(item) for item in page["data"])
            if not page["data"] or len(found) >= page["meta"]["totalLength"]:
                return tuple(found)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _protocol(self, worklist: Worklist) -> Path:
        return protocol_path(self._protocols, worklist)

    async def _upload_csv(self, worklist: Worklist) -> str:
        content = to_csv(worklist).encode()
        answer = await self._client.upload("/dataFiles", [("file", (csv_name(worklist), content, "text/csv"))], {})
        return str(answer["data"]["id"])

    async def _upload_protocol(self, worklist: Worklist, file_id: str) -> str:
        path = self._protocol(worklist)
        files = [("files", (path.name, path.read_bytes(), "text/x-python"))]
        for load_name in dict.fromkeys(item.load_name for item in worklist.deck if item.namespace != "opentrons"):
            definition = self._catalogue.definition(load_name)
            if definition is not None:
                files.append(("files", (f"{load_name}.json", json.dumps(definition).encode(), "application/json")))
        fields = {"runTimeParameterFiles": json.dumps({CSV_PARAMETER: file_id})}
        return str((await self._client.upload("/protocols", files, fields))["data"]["id"])

    async def _analysed(self, protocol_id: str, file_id: str) -> Json:
        """The analysis made with this CSV; asks for a new one when the robot kept only others."""
        asked = False
        deadline = time.monotonic() + self._analysis_seconds
        while True:
            summaries = (await self._client.get(f"/protocols/{protocol_id}"))["data"]["analysisSummaries"]
            if all(summary["status"] == "completed" for summary in summaries):
                for summary in reversed(summaries):
                    path = f"/protocols/{protocol_id}/analyses/{summary['id']}"
                    analysis: Json = (await self._client.get(path))["data"]
                    if carries_file(analysis, file_id):
                        return analysis
                if asked:
                    raise DeviceError(
                        "the robot analysed the protocol without our worklist",
                        where=self.name,
                        remedy=f"the protocol must have a CSV parameter called {CSV_PARAMETER}",
                    )
                request = {"runTimeParameterFiles": {CSV_PARAMETER: file_id}, "forceReAnalyze": True}
                await self._client.post(f"/protocols/{protocol_id}/analyses", request)
                asked = True
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"the robot's analysis takes longer than {self._analysis_seconds:g} s",
                    where=self.name,
                    remedy="restart the robot or raise analysis_seconds in the bench file",
                )
            await asyncio.sleep(min(self.poll_seconds, 0.5))

    async def _create_run(self, protocol_id: str, file_id: str, csv: str) -> str:
        current = await self._current_run()
        if current is not None and look.is_prepared(current, csv) and current.get("protocolId") == protocol_id:
            return str(current["id"])
        if current is not None and current["status"] not in ENDED:
            # Creating a run over an idle one replaces it without a word, whoever made it.
            raise DeviceError(
                f"run {current['id']} on the robot is {current['status']}",
                where=self.name,
                remedy="let it end or cancel it on the robot's screen",
            )
        known = {run["id"] for run in (await self._client.get("/runs"))["data"]}
        request = {"protocolId": protocol_id, "runTimeParameterFiles": {CSV_PARAMETER: file_id}}
        try:
            return str((await self._client.post("/runs", request))["data"]["id"])
        except ConnectionLostError:
            created = await self._current_run()
            if created is None or created["id"] in known or created.get("protocolId") != protocol_id:
                raise
            return str(created["id"])

    async def _current_run(self) -> Json | None:
        """The run the robot calls current; None also when it names one it does not have (left over from an error)."""
        runs = await self._client.get("/runs")
        link = (runs.get("links") or {}).get("current")
        if not link:
            return None
        run_id = str(link["href"]).rsplit("/", 1)[-1]
        return next((run for run in runs["data"] if run["id"] == run_id), None)

    async def _pause_message(self, run_id: str) -> str | None:
        """Message of the pause command that waits; None when a person or the door paused the run."""
        page = await self._client.get(f"/runs/{run_id}/commands", pageLength=1)
        for item in page["data"]:
            if item["commandType"] in {"waitForResume", "pause"} and item["status"] == "running":
                return str(item["params"].get("message") or "")
        return None


def csv_name(worklist: Worklist) -> str:
    """File name of a worklist on the robot; the same name always means the same content."""
    return f"{worklist.procedure}_{hashlib.sha256(to_csv(worklist).encode()).hexdigest()[:12]}.csv"


def _data(answer: Json | None) -> Json | None:
    return None if answer is None else answer["data"]


def _command(item: dict[str, Any]) -> DeviceCommand:
    error = item.get("error")
    return DeviceCommand(
        id=item["id"],
        command_type=item["commandType"],
        status=item["status"],
        params=item.get("params") or {},
        started_at=item.get("startedAt"),
        completed_at=item.get("completedAt"),
        error="; ".join(leaf_errors([error])) if error else None,
    )
