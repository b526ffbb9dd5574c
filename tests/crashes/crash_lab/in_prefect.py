"""What flow processes of the lab do as flows of Prefect, and the runner that starts them; loaded with Prefect only."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast
from uuid import UUID

from prefect import flow
from prefect.runner._starter_engine import EngineCommandStarter

from crash_lab.places import Places
from crash_lab.plan import RECOVERED
from crash_lab.prefect_server import enter
from nkloop.coordination import runner
from nkloop.runs import session as sessions
from nkloop.workspace import Workspace

DEPLOYMENT = "work"
FLOW = "crash-lab"
_LONGEST, _LOOK_S = 64, 0.02
Work = Callable[[], Awaitable[None]]
FlowMain = Callable[[str], None]
"""Runs the flow run of this id in this process."""
_work: list[Work] = []


@flow(name=FLOW)
async def crash_lab(work: str) -> None:
    """Do a piece of work of the lab as a flow."""
    await _work[0]()


async def as_flow(name: str, work: Work) -> None:
    """Do it in this process, as a flow that was called."""
    _work[:] = [work]
    await crash_lab(name)


def run_launched(flow_run: str, work: Work) -> None:
    """Do what a flow run was launched for, as the process does that a runner starts."""
    from prefect.engine import _drive_run_flow_result, handle_engine_signals
    from prefect.flow_engine import load_flow_run, run_flow

    _work[:] = [work]
    with handle_engine_signals(UUID(flow_run)):
        _drive_run_flow_result(crash_lab, run_flow(cast(Any, crash_lab), flow_run=load_flow_run(UUID(flow_run))))


def run_worker(home: Path, port: int, root: Path, bench: str, begin: FlowMain, opened: Any) -> None:
    """What `nkloop serve` starts beside its server, with the lab's flow in the place of the shipped ones.

    Args:
        home: folder of the Prefect server.
        port: its port.
        root: the workspace.
        bench: name of its bench.
        begin: the whole life of a process that runs a flow.
        opened: gives a session on the bench of the scene.
    """
    os.setsid()
    enter(home, port)
    nursery = Nursery(begin)

    async def deployments(workspace: Workspace, bench: str) -> list[Any]:
        return [await crash_lab.to_deployment(name=DEPLOYMENT)]  # type: ignore[misc]

    async def nothing_offered(workspace: Workspace) -> None:
        """The lab's flow has no form."""

    _note_when_recovered(Places(root))
    runner.deployments, runner._offered = deployments, nothing_offered
    sessions.open_session = lambda *_: opened()
    EngineCommandStarter.start = partial(_start, nursery)  # type: ignore[method-assign]
    asyncio.run(runner.main(root, bench))


def _note_when_recovered(places: Places) -> None:
    """Have the runner tell when it is done with what it found open at its start: nobody else knows."""
    recover = runner._recovered

    async def recovered(workspace: Workspace, bench: str) -> None:
        await recover(workspace, bench)
        places.note_pid(RECOVERED, os.getpid())

    runner._recovered = recovered


async def _start(nursery: Nursery, flow_run: Any, task_status: Any = None) -> None:
    """As Prefect's own start of a flow process: tell of it at once, return when it has ended."""
    from prefect.runner._process_manager import ProcessHandle

    async with nursery.turn:
        child = Child(await nursery.born(str(flow_run.id)))
        task_status.started(ProcessHandle(child))  # type: ignore[arg-type]
        child.returncode = await nursery.ended()


@dataclass
class Child:
    """A flow process as the runner sees it."""

    pid: int
    returncode: int | None = None


class Nursery:
    """Forks flow processes for a runner, whose own threads would make a fork of it unsafe; ends when the runner does.

    One at a time, as the runs of one bench are.
    """

    def __init__(self, begin: FlowMain) -> None:
        """Fork it; `begin` is the whole life of a flow process."""
        self._ours, its = socket.socketpair()
        if os.fork() == 0:
            self._ours.close()
            _tend(its, begin)
        its.close()
        self._ours.setblocking(False)
        self.turn = asyncio.Lock()

    async def born(self, flow_run: str) -> int:
        """Process id of a new process that runs this flow run."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._ours, flow_run.encode())
        return int(await loop.sock_recv(self._ours, _LONGEST))

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        return int(await asyncio.get_running_loop().sock_recv(self._ours, _LONGEST))


def _tend(asked: socket.socket, begin: FlowMain) -> NoReturn:
    """Fork a process for every flow run that is told, and tell its end; whoever still lives when the runner ends is
    left alone, as the processes of a real runner are."""
    living = 0
    while True:
        is_told, _, _ = select.select([asked], [], [], _LOOK_S if living else None)
        if is_told:
            flow_run = asked.recv(_LONGEST).decode()
            if not flow_run:
                os._exit(0)
            living = os.fork()
            if living == 0:
                asked.close()
                _live(flow_run, begin)
            asked.sendall(b"%d" % living)
        elif living and (ended := os.waitpid(living, os.WNOHANG))[0]:
            living = 0
            asked.sendall(b"%d" % os.waitstatus_to_exitcode(ended[1]))


def _live(flow_run: str, begin: FlowMain) -> NoReturn:
    code = 1
    try:
        begin(flow_run)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)
