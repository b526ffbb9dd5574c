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
from typing import TYPE_CHECKING

import httpx
import typer

from nkloop.coordination.runner import FLOWS
from nkloop.coordination.server import PrefectServer
from nkloop.drivers.bench import load_bench_file
from nkloop.errors import DeviceError
from nkloop.runs.session import bench_path
from nkloop.virtual.process import VirtualBench

if TYPE_CHECKING:
    from nkloop.workspace import Workspace

FLOWS_END_SECONDS = 20.0
"""Time a running flow has to stop its robot before it is killed."""


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
            DeviceError: a process ended by itself.
        """
        file = load_bench_file(bench_path(self.workspace, self.bench))
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.default_int_handler)
        with ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
            typer.echo("Starting Prefect (about 15 s the first time) ...")
            server = PrefectServer.launch(self.workspace.state / "prefect", port=self.port)
            stack.callback(server.stop)
            if file.simulated:
                log = self.workspace.state / "virtual-bench.log"
                virtual = VirtualBench.start(self.workspace.root, speed=self.speed, seed=self.seed, log=log)
                stack.callback(virtual.stop)
                os.environ["NKLOOP_VIRTUAL_URL"] = virtual.url
            server.wait()
            runner = self._runner(server)
            stack.callback(_stop_group, runner)
            _await_deployments(server, runner)
            self._announce(server, simulated=file.simulated)
            _watch({"Prefect server": server.process, "flow runner": runner})
        typer.echo("Stopped. Records stay in " + str(self.workspace.state))

    def _runner(self, server: PrefectServer) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "nkloop.coordination.runner", str(self.workspace.root), self.bench]
        with (self.workspace.state / "flows.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env={**os.environ, **server.environment},
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
        typer.echo(f"Logs:     {self.workspace.state}/flows.log")
        typer.echo("Launch a flow from its deployment's Run button. Ctrl+C stops everything.")


def _await_deployments(server: PrefectServer, runner: subprocess.Popen[bytes]) -> None:
    """Return when every flow can be launched, so that the address is told when it is worth opening."""
    with httpx.Client(base_url=f"{server.url}/api", timeout=10, verify=False, trust_env=False) as client:
        while runner.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if client.post("/deployments/count", json={}).json() >= len(FLOWS):
                    return
            time.sleep(0.5)


def _watch(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    while True:
        for name, process in processes.items():
            code = process.poll()
            if code is not None:
                raise DeviceError(
                    f"the {name} ended by itself with code {code}", remedy="read its log and start nkloop serve again"
                )
        time.sleep(0.5)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """Stop the runner and the flow processes it started."""
    for sent, seconds in ((signal.SIGTERM, FLOWS_END_SECONDS), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            if sent is signal.SIGKILL:
                return
