"""How the demo runs: three child processes, one Prefect flow, one table at the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nkloop.cli.common import command_name, print_json
from nkloop.cli.demo_display import DemoDisplay, show_outcome
from nkloop.cli.interrupts import INTERRUPTED, heed_interrupts, interruptible
from nkloop.errors import WorkspaceError

if TYPE_CHECKING:
    from nkloop.coordination.server import PrefectServer
    from nkloop.runs.session import Session
    from nkloop.vendor import VendorClient
    from nkloop.workspace import Workspace


@dataclass(frozen=True)
class DemoOptions:
    """What the person asked for."""

    rounds: int
    arms: int
    seed: int
    feeding: str
    directory: Path | None
    quiet: bool


def run_demo(options: DemoOptions, *, as_json: bool) -> int:
    """Run the demo and print its outcome; returns the exit code."""
    from nkloop.workspace import Workspace

    workspace = Workspace.create(_fresh_folder(options.directory))
    display = DemoDisplay(quiet=options.quiet)
    heed_interrupts()
    try:
        with display, _bench_and_server(workspace, options.seed, display) as server:
            outcome = interruptible(_run_campaign(workspace, server, options, display))
    except KeyboardInterrupt:
        typer.secho(
            f"Interrupted. A run under way was stopped; what happened so far is recorded in {workspace.state}.\n"
            f"To read it: {command_name()} report --last --workspace {workspace.root.resolve()}",
            err=True,
        )
        return INTERRUPTED
    if as_json:
        print_json(outcome["summary"])
    else:
        show_outcome(outcome)
    return 0


def _fresh_folder(wanted: Path | None) -> Path:
    if wanted is not None:
        return wanted
    for number in range(1, 10_000):
        folder = Path(f"nkloop-demo-{number}")
        if not folder.exists():
            return folder
    raise WorkspaceError("there are 10,000 demo folders here", remedy="remove some of nkloop-demo-*")


@contextmanager
def _bench_and_server(workspace: Workspace, seed: int, display: DemoDisplay) -> Iterator[PrefectServer]:
    """Start Prefect and the virtual bench side by side; stop both whatever happens."""
    from nkloop.coordination.server import PrefectServer
    from nkloop.virtual.process import VirtualBench

    with ExitStack() as stack:
        display.phase("starting Prefect and the virtual bench")
        server = PrefectServer.launch(workspace.state / "prefect", temporary=True)
        stack.callback(server.stop)
        bench = VirtualBench.start(workspace.root, speed=0, seed=seed, log=workspace.state / "virtual-bench.log")
        stack.callback(bench.stop)
        os.environ.update(server.environment)
        os.environ["NKLOOP_VIRTUAL_URL"] = bench.url
        os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"  # what goes wrong is raised here, and told once
        os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
        yield server


async def _run_campaign(
    workspace: Workspace, server: PrefectServer, options: DemoOptions, display: DemoDisplay
) -> dict[str, Any]:
    """Open the bench while Prefect starts, then run the campaign flow as a person's launch would."""
    from nkloop.coordination.loading import load_flow
    from nkloop.runs.session import open_session, progress_listener

    module = load_flow(workspace.flows / "run_campaign.py")
    request = module.RunCampaign(
        campaign=f"demo-seed-{options.seed}",
        rounds=options.rounds,
        arms=options.arms,
        seed=options.seed,
        feeding=options.feeding,
        ask_approval=False,
    )
    with progress_listener(display.show):
        async with open_session(workspace.root, request.bench) as session:
            await _stock_up(session)
            display.phase("checking protocols and recipes while Prefect starts")
            try:
                await asyncio.gather(asyncio.to_thread(server.wait), _checked(workspace, session.vendor))
            except BaseException:
                server.stop()  # ends the thread that waits for it, so that an interruption does not wait, too
                raise
            outcome: dict[str, Any] = await module.run_campaign(request)
    return outcome


async def _stock_up(session: Session) -> None:
    """Import the bench's lot list, so that the demo counts what its runs take, as a lab does."""
    at = await session.bench.clock.now()
    session.records.stock.import_lots(
        session.bench_file.name, session.inventory, by="demo", at=at, reason="first stock of the demo"
    )


async def _checked(workspace: Workspace, vendor: VendorClient) -> None:
    """Check the protocols the bench's robot runs, with their example worklists; it also warms the analysis up."""
    from nkloop.errors import VerificationError
    from nkloop.runs.checking import WorkspaceCheck

    checking = WorkspaceCheck(workspace, vendor)
    # the folders below hold what other robots run
    files = [path for path in checking.files([workspace.protocols]) if path.parent == workspace.protocols]
    problems = [p async for item in checking.run(files) for p in item.problems]
    if problems:
        raise VerificationError.from_problems(problems)
