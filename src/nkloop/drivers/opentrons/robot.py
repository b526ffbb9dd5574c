"""An Opentrons Flex or OT-2 as a liquid handler: preflight, upload, analysis, run, observation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from nkloop.drivers.interfaces import (
    ENDED,
    DeviceCommand,
    DeviceFile,
    DeviceState,
    Finding,
    FoundRun,
    StepListener,
    announced_step,
)
from nkloop.drivers.opentrons import results
from nkloop.drivers.opentrons.analysis import leaf_errors
from nkloop.drivers.opentrons.client import UNCLEAR, Json, ThroughClient, robot_client
from nkloop.drivers.opentrons.looking import MARK_PATH, Looks
from nkloop.drivers.opentrons.offsets import Offset, of_run, tell, tell_none_wanted
from nkloop.drivers.opentrons.preflight import csv_files, found_run
from nkloop.drivers.opentrons.preparing import Catalogue, Preparation, csv_name
from nkloop.drivers.opentrons.recovery import ErrorRecovery, checked_policy, policy, recover, recovery_of
from nkloop.drivers.opentrons.releasing import file_away
from nkloop.drivers.opentrons.settings import robot_findings
from nkloop.drivers.recovering import Recovery, Way
from nkloop.errors import BenchError, DeviceError, DeviceUnreachableError
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.models import PLATE_READING, Worklist
from nkloop.worklists.protocol_files import protocol_path, sha256_of

PATIENCE = 5
"""Looks in a row that may fail after an action whose answer was lost."""
STEP_SECONDS = 15.0
"""Between two questions for the command under way; asking for more than one, or often, stalls a robot that pipettes."""
POLL_BOUNDS_S = (0.02, 10.0)
"""Robots have stalled in mid-run when asked too often; the low end is for robots that are simulated."""
_PLAYABLE = frozenset({"idle", "paused", "awaiting-recovery-paused"})
_STOPPING = ENDED | {"stop-requested", "finishing"}


def _require_gentle(poll_seconds: float, where: str) -> None:
    low, high = POLL_BOUNDS_S
    if not low <= poll_seconds <= high:
        told = f"poll_seconds is {poll_seconds:g}, must be {low:g} to {high:g} s"
        raise BenchError(told, where=where, remedy="use 2 for a real robot")


class OpentronsRobot(ThroughClient):
    """One robot. All requests go through one connection pool; at most one run is prepared at a time.

    Args:
        name: how people call the robot.
        url: `http://address:31950`.
        protocols: folder with one `<procedure>.py` per procedure.
        catalogue: labware types, and custom labware definitions.
        deck: deck of the bench file; tells serial numbers of modules.
        poll_seconds: pause between two looks at a run, 0.02 to 10 s.
        analysis_seconds: longest wait for the robot's analysis.
        answer_seconds: longest wait for one answer.
        trash_slot: where the protocols drop tips.
        error_recovery: `ask` people after a recoverable error, or `fail` the run, for unattended ones.
        resumes: errors after which a person may have a run go on from nkloop; by default on its screen only.
        labware_offsets: whether offsets found on the robot are given to the runs.
        account: who nkloop is on a robot in compliance mode: `username`, `password`, `reason`, `signs_as`.
        ca_file: certificate of the robot, for an address with https.
        transport: replaces the network in tests.
    """

    stepwise = False
    settings_findings = staticmethod(robot_findings)

    def __init__(
        self,
        name: str,
        url: str,
        *,
        protocols: Path,
        catalogue: Catalogue,
        deck: BenchDeck | None = None,
        poll_seconds: float = 2.0,
        analysis_seconds: float = 180.0,
        answer_seconds: float = 30.0,
        trash_slot: str = "A3",
        error_recovery: ErrorRecovery = "ask",
        resumes: Sequence[str] = (),
        labware_offsets: bool = True,
        account: dict[str, str] | None = None,
        ca_file: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Raises:
            BenchError: `poll_seconds` is out of bounds, `error_recovery` or `resumes` are wrong, or the account is
                incomplete.
        """
        _require_gentle(poll_seconds, name)
        self.name = name
        self.poll_seconds = poll_seconds
        self.on_step: StepListener | None = None
        self._client = robot_client(
            name, url, seconds=answer_seconds, account=account, ca_file=ca_file, transport=transport
        )
        self._protocols = protocols
        self._trash_slot = trash_slot
        self._resumes = checked_policy(error_recovery, resumes, name)
        self._policy = policy(error_recovery)
        self._applies_offsets = labware_offsets
        self._looks = Looks(self._client, deck, fails_on_errors=error_recovery == "fail", resumes=self._resumes)
        self._preparation = Preparation(
            self._client, catalogue, poll_seconds=poll_seconds, analysis_seconds=analysis_seconds
        )
        self._preparing = asyncio.Lock()
        self._ended: tuple[Json, tuple[DeviceCommand, ...]] = ({}, ())
        """The run whose commands were fetched last, and the commands; neither changes any more."""
        self._prepared = ""
        self.given: tuple[Finding, ...] = ()
        self._step_asked_at = 0.0

    def protocol_sha256(self, worklist: Worklist) -> str:
        """Hash of the protocol file as it lies in the workspace now.

        Raises:
            WorkspaceError: there is no protocol file for the procedure on this robot, or it cannot be read.
        """
        return sha256_of(self._protocol(worklist))

    async def serial_number(self) -> str:
        """Serial number of the robot; empty when it tells none.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        return str((await self._client.get("/health")).get("robot_serial") or "")

    async def preflight(self, worklist: Worklist) -> tuple[Finding, ...]:
        """Look at robot, pipettes, modules, deck, door, emergency stop and other runs; changes nothing.

        Raises:
            DeviceUnreachableError: the robot does not answer.
            WorkspaceError: there is no protocol file for the procedure on this robot.
        """
        protocol = self._protocol(worklist).read_text(encoding="utf-8")
        return await self._looks.for_worklist(
            worklist,
            protocol,
            csv_name(worklist),
            trash_slot=self._trash_slot,
            apply_offsets=self._applies_offsets,
        )

    async def inspect(self, deck: BenchDeck) -> tuple[Finding, ...]:
        """Compare the robot with the bench file: model, versions, pipettes, calibration, modules, deck, state.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        return await self._looks.for_bench(deck)

    async def find_runs(self, worklist: Worklist) -> tuple[FoundRun, ...]:
        """The runs on the robot made with this worklist's CSV, in the order of the robot's own list.

        A run whose record was lost with the power no longer tells its CSV; it is found by its protocol when that
        was analysed with this CSV, and counts as never played, for its actions are lost, too.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        csv, found = csv_name(worklist), []
        for run in (await self._client.get("/runs"))["data"]:
            if csv in csv_files(run) or (run.get("ok", True) is False and await self._was_for(run, csv)):
                found.append(found_run(run))
        return tuple(found)

    async def prepare(self, worklist: Worklist) -> str:
        """Upload CSV, protocol and custom labware, wait for the robot's analysis with them, create the run.

        Raises:
            DeviceError: the robot refused a file, its analysis failed or differs, or another run is active.
            DeviceUnreachableError: the robot does not answer; no run of ours is left that could start by itself.
        """
        protocol, preparation = self._protocol(worklist), self._preparation
        async with self._preparing:
            file_id, protocol_id = await preparation.uploaded(worklist, protocol)
            await preparation.analysed(protocol_id, file_id, worklist, f"{self.name}, {protocol.name}")
            runs = await self._client.get("/runs")
            offsets = await self._looks.offsets(worklist, runs["data"]) if self._applies_offsets else ()
            run_id = await preparation.created(runs, protocol_id, file_id, csv_name(worklist), offsets)
            self.given = self._given(worklist, run_id, runs["data"], offsets)
            if self._policy is not None:
                await self._set_policy(run_id, self._policy)
            self._prepared, self._step_asked_at = run_id, time.monotonic()
            return run_id

    async def state(self, run_id: str) -> DeviceState:
        """Status of a run; at a pause also its message, in recovery also what went wrong, now and then its step.

        Raises:
            RunForgottenError: the robot no longer knows the run.
            DeviceUnreachableError: the robot does not answer.
        """
        run = await self._run(run_id)
        errors = tuple(leaf_errors(run.get("errors") or ()))
        message: str | None = None
        step: int | None = None
        pause = ""
        if run["status"] == "paused":
            pause, message = await self._pause(run_id)
            step = announced_step(message)
        elif run["status"] == "running":
            step = await self._step_under_way(run_id)
        elif str(run["status"]).startswith("awaiting-recovery"):
            # A run in recovery lists no errors; they stand with its commands only.
            found = await self._client.get(f"/runs/{run_id}/commandErrors")
            errors = tuple(leaf_errors(found["data"]))
        elif run.get("ok", True) is False:
            errors = ("the robot was switched off or restarted and has lost its record of the run",)
        elif run["status"] == "stopped":
            errors = errors or await self._why_stopped(run)
        if run.get("hasEverEnteredErrorRecovery"):
            step = None  # a command may have failed and been passed over
        place = f"{len(run.get('actions') or ())} actions, {pause}".rstrip(", ")
        return DeviceState(status=run["status"], pause_message=message, errors=errors, step=step, place=place)

    async def play(self, run_id: str) -> None:
        """Start or resume. Asks first; a run that is neither idle nor paused is left alone.

        Raises:
            DeviceError: the robot refused, for example because its door is open.
            DeviceUnreachableError: no answer, and the run still stands where it stood.
        """
        before = await self._run(run_id)
        if before["status"] not in _PLAYABLE:
            return
        await self._act(run_id, "play", before)

    async def recovery(self, run_id: str) -> Recovery | None:
        """What failed and how it may go on; None when the run does not wait for a person to recover from an error.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        return await recovery_of(self._client, await self._run(run_id), self._resumes)

    async def recover(self, run_id: str, recovery: Recovery, way: Way) -> None:
        """Go on behind a failed command: after doing it again, or as if it had been done; nothing for the other ways.

        A command that fails again leaves the run waiting.

        Raises:
            DeviceError: the run no longer waits behind this command, the way is not open, or the robot refused.
            DeviceUnreachableError: no answer, and the run still stands where it stood.
        """
        before = await self._run(run_id)
        action = await recover(self._client, before, recovery, way)
        if action is not None:
            await self._act(run_id, action, before)

    async def stop(self, run_id: str) -> None:
        """Stop a run; the robot drops its tips. A run that has ended is left alone.

        Raises:
            DeviceError: the robot refused.
            DeviceUnreachableError: the robot does not answer.
        """
        before = await self._run(run_id)
        if before["status"] not in _STOPPING:
            await self._act(run_id, "stop", before)

    async def commands(self, run_id: str) -> tuple[DeviceCommand, ...]:
        """All commands, in pages; ask for them once, after the run ended (paging stalls a robot that pipettes).

        Raises:
            RunForgottenError: the robot no longer knows the run, or no longer what it did in it.
        """
        run = await self._run(run_id)
        results.require_known(run, self.name)
        found = await results.commands_of(self._client, run_id)
        self._ended = (run, found) if run["status"] in ENDED else ({}, ())
        return found

    async def files(self, run_id: str) -> tuple[DeviceFile, ...]:
        """Files the run made, and the numbers its plate reader measured; to be asked for once, after it ended.

        Raises:
            RunForgottenError: the robot no longer knows the run.
            DeviceError: it has deleted a file already.
        """
        if self._ended[0].get("id") != run_id:
            await self.commands(run_id)
        run, commands = self._ended
        return await results.files_of(self._client, run, commands) if run else ()

    async def release(self, run_id: str) -> None:
        """Have the robot file away a run that has ended: only then do its commands outlive a loss of power.

        In compliance mode the run is signed first, where the account says by whom. A run under way, and one that is
        filed away already, is left alone.

        Raises:
            DeviceError: the robot refused, for example because somebody has to sign the run first.
            DeviceUnreachableError: the robot does not answer.
        """
        await file_away(self._client, run_id)

    async def mark(self, note: Mapping[str, Any]) -> None:
        """Leave a note on the robot that every other nkloop can read (who holds it, with which token); best effort."""
        with suppress(DeviceError):
            await self._client.put(MARK_PATH, dict(note))

    async def marked(self) -> Json | None:
        """The note an nkloop has left on the robot since it was switched on, or None.

        Raises:
            DeviceUnreachableError: the robot does not answer.
        """
        return await self._looks.mark()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _given(
        self, worklist: Worklist, run_id: str, before: Sequence[Json], found: Sequence[Offset]
    ) -> tuple[Finding, ...]:
        """Labware offsets a run was made with; one that waited already has its own."""
        if not self._applies_offsets:
            return () if worklist.procedure == PLATE_READING else (tell_none_wanted(),)
        waited = next((run for run in before if run["id"] == run_id), None)
        return (tell(worklist, found if waited is None else of_run(worklist, waited)),)

    def _protocol(self, worklist: Worklist) -> Path:
        return protocol_path(self._protocols, worklist)

    async def _run(self, run_id: str) -> Json:
        run: Json = (await self._client.get(f"/runs/{run_id}"))["data"]
        return run

    async def _run_patiently(self, run_id: str) -> Json:
        """The run, also when the connection stays away for some looks: what became of an action depends on it."""
        for _ in range(PATIENCE - 1):
            try:
                return await self._run(run_id)
            except DeviceUnreachableError:
                await asyncio.sleep(self.poll_seconds)
        return await self._run(run_id)

    async def _act(self, run_id: str, action: str, before: Json) -> None:
        """Send an action once; after an unclear answer the run's own list of actions tells whether it arrived."""
        try:
            await self._client.post(f"/runs/{run_id}/actions", {"actionType": action})
        except UNCLEAR:
            after = await self._run_patiently(run_id)
            if len(after.get("actions") or ()) == len(before.get("actions") or ()):
                raise

    async def _set_policy(self, run_id: str, rules: Json) -> None:
        """Setting the same policy again changes nothing, so an unclear answer is settled by setting it once more."""
        path = f"/runs/{run_id}/errorRecoveryPolicy"
        try:
            await self._client.put(path, rules)
        except UNCLEAR:
            await self._run(run_id)
            await self._client.put(path, rules)

    async def _was_for(self, run: Json, csv: str) -> bool:
        if run.get("protocolId") is None:
            return False
        files = await self._client.find(f"/protocols/{run['protocolId']}/dataFiles")
        return any(file.get("name") == csv for file in (files or {}).get("data") or ())

    async def _why_stopped(self, run: Json) -> tuple[str, ...]:
        """Why a run has stopped that nobody stopped by an action; nothing when somebody did."""
        actions = [action.get("actionType") for action in run.get("actions") or ()]
        if not actions:
            return ("the run was dismissed or replaced on the robot before it was started",)
        if "stop" in actions:
            return ()
        estop = (await self._client.find("/robot/control/estopStatus") or {}).get("data") or {}
        if estop.get("status") in {None, "disengaged", "notPresent"}:
            return ("the robot stopped the run by itself; look at its screen",)
        return ("the emergency stop is pressed; release it, look at the deck, remove tips by hand",)

    async def _step_under_way(self, run_id: str) -> int | None:
        """Worklist step of the command under way, asked for every `STEP_SECONDS` of the run prepared last."""
        now = time.monotonic()
        if run_id != self._prepared or now - self._step_asked_at < STEP_SECONDS:
            return None
        self._step_asked_at = now
        page = await self._client.get(f"/runs/{run_id}/commands", pageLength=1)
        running = [item for item in page["data"] if item["status"] == "running"]
        return self._preparation.steps.get(str(running[-1].get("key"))) if running else None

    async def _pause(self, run_id: str) -> tuple[str, str | None]:
        """Id and message of the pause command that waits; no id and None when a person or the door paused the run."""
        page = await self._client.get(f"/runs/{run_id}/commands", pageLength=1)
        for item in page["data"]:
            if item["commandType"] in {"waitForResume", "pause"} and item["status"] == "running":
                return str(item["id"]), str(item["params"].get("message") or "")
        return "", None
