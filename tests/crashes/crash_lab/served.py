"""`kill -9` of the process that runs flows: `python -m crash_lab.served runner|everything` prints what came of it.

Everything is as under `nkloop serve`: a Prefect server, the virtual bench with its book, the runner of the flows, and a
run of the deployment `prepare-medium`. In mid-run the runner is killed, alone (its flow process lives on without it) or
with its flow process; then a new runner is started, as a user would.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from nkloop.coordination.server import PrefectServer
from nkloop.drivers.bench import load_bench_file
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.runs.verification import Verifier
from nkloop.vendor import VendorClient, answers_folder
from nkloop.virtual.book import read_book
from nkloop.virtual.process import VirtualBench
from nkloop.workspace import Workspace

DEPLOYMENT = "prepare-medium/prepare-medium"
REQUEST = {"recipe": "ucb-nk", "stage": "differentiation", "volume_ml": 20.0, "barcode": "CRASH-1"}
SPEED = 120.0
"""Bench seconds per second: the run takes some ten seconds, long enough to be hit in the middle."""
BEGUN = 40
"""Commands that took effect when the runner is killed."""
LONGEST_S = 300.0
LIQUID = frozenset({"aspirate", "dispense"})


class ServedError(Exception):
    """Something happened that no crash explains."""


@dataclass
class Outcome:
    """What came of it."""

    problems: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    claims: list[str] = field(default_factory=list)


class Service:
    """A workspace that is being served."""

    def __init__(self, workspace: Workspace, server: PrefectServer, url: str) -> None:
        self.workspace = workspace
        self._environment = {**os.environ, **server.environment, "NKLOOP_VIRTUAL_URL": url}
        self._api = server.environment["PREFECT_API_URL"]
        self.runner = self.start_runner()

    def start_runner(self) -> subprocess.Popen[bytes]:
        """Start the process that runs the flows."""
        command = [sys.executable, "-m", "nkloop.coordination.runner", str(self.workspace.root), "virtual"]
        with (self.workspace.state / "flows.log").open("ab") as log:
            self.runner = subprocess.Popen(
                command, env=self._environment, cwd=self.workspace.root, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return self.runner

    def launch(self) -> None:
        """Launch the flow once its deployment is there."""
        with httpx.Client(base_url=self._api, timeout=30) as client:
            until(lambda: client.get(f"/deployments/name/{DEPLOYMENT}").is_success)
            found = client.get(f"/deployments/name/{DEPLOYMENT}").json()
            body = {"parameters": {"request": REQUEST}, "state": {"type": "SCHEDULED"}, "idempotency_key": "once"}
            # a server whose database is busy answers 503 and has done nothing
            until(lambda: client.post(f"/deployments/{found['id']}/create_flow_run", json=body).is_success)

    def kill(self, *, with_flows: bool) -> None:
        """`kill -9` of the runner, alone or with the flow processes it has started."""
        (os.killpg if with_flows else os.kill)(self.runner.pid, signal.SIGKILL)
        self.runner.wait()

    def stop(self) -> None:
        """End the runner and whatever it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.runner.pid, signal.SIGKILL)
        self.runner.wait()

    def book(self) -> list[dict[str, Any]]:
        """What happened physically."""
        return list(read_book(self.workspace.state / "bench" / "world.jsonl"))

    def runs(self) -> tuple[RunRecord, ...]:
        """What is journalled."""
        if not (self.workspace.state / "records.db").exists():
            return ()
        records = Records.open(self.workspace.state)
        try:
            return records.journal.runs()
        finally:
            records.close()


def until(is_so: Callable[[], bool]) -> None:
    """Wait.

    Raises:
        ServedError: it does not come to this.
    """
    deadline = time.monotonic() + LONGEST_S
    while not is_so():
        if time.monotonic() > deadline:
            raise ServedError("it never came to this")
        time.sleep(0.2)


def play(service: Service, *, with_flows: bool) -> None:
    """The flow, the kill, a new runner, until the run is over."""
    service.launch()
    until(lambda: sum(entry["act"] == "command" for entry in service.book()) >= BEGUN)
    service.kill(with_flows=with_flows)
    service.start_runner()
    until(lambda: bool(service.runs()) and all(run.is_over for run in service.runs()))
    until(lambda: not held(service))


def held(service: Service) -> list[str]:
    """Devices that somebody holds."""
    records = Records.open(service.workspace.state)
    try:
        return [one.device for one in records.claims.holders() if one.released_at is None]
    finally:
        records.close()


async def judge(service: Service, outcome: Outcome) -> None:
    """One run, executed once; every step that is done took effect whole, once."""
    (run, *more) = service.runs()
    if more:
        outcome.problems.append(f"{len(more)} runs more than one")
    begun = [entry for entry in service.book() if entry["act"] == "run"]
    if len(begun) != 1:
        outcome.problems.append(f"the robot began {len(begun)} runs")
    planned, did = await _planned(service, run), _did(service)
    for step in run.steps:
        if step.event == "done" and did[step.number] != planned[step.number]:
            outcome.problems.append(f"step {step.number} is done, but {dict(did[step.number])} took effect")
        if any(count > planned[step.number][kind] for kind, count in did[step.number].items()):
            outcome.problems.append(f"step {step.number} took effect more often than planned")
    outcome.states = [run.state]
    outcome.events = dict(Counter(step.event for step in run.steps))


def _did(service: Service) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = {number: Counter() for run in service.runs() for number in _numbers(run)}
    for entry in service.book():
        if entry["act"] == "command" and entry["command"]["commandType"] in LIQUID:
            found.setdefault(entry["step"] or 0, Counter())[entry["command"]["commandType"]] += 1
    return found


async def _planned(service: Service, run: RunRecord) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = {number: Counter() for number in _numbers(run)}
    records, workspace = Records.open(service.workspace.state), service.workspace
    worklist = records.journal.worklist(run.worklist_hash)
    records.close()
    deck = load_bench_file(workspace.devices / "virtual.yaml").deck
    async with VendorClient(cache=answers_folder(workspace.state)) as vendor:
        analysis = await Verifier(workspace, Catalogue.load(workspace.labware), deck, vendor).analyse(worklist)
    step = 0
    for command in analysis.commands:
        message = str((command.get("params") or {}).get("message") or "")
        step = int(message[5 : message.index(":")]) if message.startswith("step ") else step
        if command["commandType"] in LIQUID:
            found.setdefault(step, Counter())[command["commandType"]] += 1
    return found


def _numbers(run: RunRecord) -> tuple[int, ...]:
    return tuple(step.number for step in run.steps)


def main() -> int:
    """Print the outcome; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m crash_lab.served", description=__doc__)
    parser.add_argument("victim", choices=("runner", "everything"))
    given = parser.parse_args()
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary, ExitStack() as stack:
        workspace = Workspace.create(Path(temporary) / "lab")
        server = PrefectServer.launch(workspace.state / "prefect")
        stack.callback(server.stop)
        server.wait(LONGEST_S)
        state = workspace.state / "bench"
        log = workspace.state / "bench.log"
        bench = stack.enter_context(VirtualBench.start(workspace.root, log=log, speed=SPEED, state=state))
        service = Service(workspace, server, bench.url)
        stack.callback(service.stop)
        try:
            play(service, with_flows=given.victim == "everything")
            asyncio.run(judge(service, outcome))
        except ServedError as error:
            told = (workspace.state / "flows.log").read_text(encoding="utf-8", errors="replace")
            outcome.problems.append(f"{error}; the flows wrote: {told[-3000:]}")
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
