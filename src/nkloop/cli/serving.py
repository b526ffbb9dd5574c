"""The processes behind `nkloop serve`, started in order and stopped in reverse."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import typer

from nkloop.coordination.only_one import only_one
from nkloop.coordination.pauses import ADDRESS_FILE
from nkloop.coordination.report_pages import REPORTS_URL, reports_served
from nkloop.coordination.runner import FLOWS
from nkloop.coordination.served import SERVED_BENCH
from nkloop.coordination.server import PrefectServer, require_free
from nkloop.drivers.bench import load_bench_file
from nkloop.errors import DeviceError
from nkloop.runs.session import bench_path
from nkloop.virtual.shared import shared_bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nkloop.workspace import Workspace

FLOWS_END_SECONDS = 120.0
"""Time a running flow has to stop its robot before it is killed; one driven step by step ends a long command first."""


@dataclass
class Service:
    """Prefect server, virtual bench (when the bench is simulated) and the runner of the flows."""

    workspace: Workspace
    bench: str
    port: int
    speed: float
    seed: int

    def run(self) -> None:
        """Run until Ctrl+C or until one of the processes ends by itself.

        Raises:
            WorkspaceError: the workspace is already being served.
            DeviceError: the port is taken, or a process ended by itself.
        """
        file = load_bench_file(bench_path(self.workspace, self.bench))
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.default_int_handler)
        with ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
            stack.enter_context(only_one(self.workspace.state, log=self._log))
            require_free(self.port)
            typer.echo("Starting Prefect (about 15 s the first time) ...")
            server = PrefectServer.launch(self.workspace.state / "prefect", port=self.port)
            stack.callback(server.stop)
            if file.simulated:
                virtual = shared_bench(
                    self.workspace.root, self.workspace.state, bench=self.bench, speed=self.speed, seed=self.seed
                )
                os.environ["NKLOOP_VIRTUAL_URL"] = stack.enter_context(virtual)
            reports = reports_served(self.workspace.state / "reports", port=self.port + 1)
            os.environ[REPORTS_URL] = stack.enter_context(reports)
            server.wait()
            runner = self._runner(server)
            stack.callback(_stop_group, runner)
            processes = {"Prefect server": (server.process, server.log), "flow runner": (runner, self._log)}
            _await_deployments(server, processes)
            stack.enter_context(self._address_told(server.url))
            self._announce(server, simulated=file.simulated)
            while True:
                _require_running(processes)
                time.sleep(0.5)
        typer.echo("Stopped. Records stay in " + str(self.workspace.state))

    @contextlib.contextmanager
    def _address_told(self, url: str) -> Iterator[None]:
        """Leave the address of the server for other commands, as long as it answers there."""
        path = self.workspace.state / ADDRESS_FILE
        path.write_text(f"{url}\n", encoding="utf-8")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    @property
    def _log(self) -> Path:
        """What the flows write."""
        return self.workspace.state / "flows.log"

    def _runner(self, server: PrefectServer) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "nkloop.coordination.runner", str(self.workspace.root), self.bench]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                env={**os.environ, **server.environment, SERVED_BENCH: self.bench},
                cwd=self.workspace.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _announce(self, server: PrefectServer, *, simulated: bool) -> None:
        kind = "simulated" if simulated else "REAL"
        typer.echo(f"Prefect:  {server.url}/deployments")
        typer.echo(f"Bench:    {self.bench} ({kind})")
        typer.echo(f"Records:  {self.workspace.state}")
        typer.echo(f"Reports:  {os.environ[REPORTS_URL]}")
        typer.echo(f"Logs:     {self._log}")
        typer.echo("Launch a flow from its deployment's Run button. Ctrl+C stops everything.")


Processes = dict[str, tuple[subprocess.Popen[bytes], Path]]
"""Process and log by name."""


def _await_deployments(server: PrefectServer, processes: Processes) -> None:
    """Return when every flow can be launched, so that the address is told when it is worth opening.

    Raises:
        DeviceError: a process ended by itself.
    """
    with httpx.Client(base_url=f"{server.url}/api", timeout=10, verify=False, trust_env=False) as client:
        while True:
            _require_running(processes)
            with contextlib.suppress(httpx.HTTPError):
                answer = client.post("/deployments/count", json={})
                if answer.is_success and answer.json() >= len(FLOWS):
                    return
            time.sleep(0.5)


def _require_running(processes: Processes) -> None:
    for name, (process, log) in processes.items():
        code = process.poll()
        if code is not None:
            raise DeviceError(
                f"the {name} ended by itself with code {code}",
                where=str(log),
                remedy="read the end of this log and start nkloop serve again",
            )


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """Stop the runner and the flow processes it started."""
    for sent, seconds in ((signal.SIGTERM, FLOWS_END_SECONDS), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            if sent is signal.SIGKILL:
                return
