"""A session: one workspace and bench with everything needed to plan, verify and run worklists there."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from nkloop.assays.panel import LineStock, load_line_stock
from nkloop.drivers.bench import Bench, load_bench_file, open_bench
from nkloop.drivers.bench_file import BenchFile
from nkloop.errors import BenchError, RecipeError
from nkloop.inventory import Inventory
from nkloop.labware import Catalogue
from nkloop.recipes import load_recipe
from nkloop.recipes.models import Recipe
from nkloop.records import Records
from nkloop.runs.desks import desks
from nkloop.runs.launches import Launch
from nkloop.runs.verification import Verifier
from nkloop.vendor import VendorClient, answers_folder
from nkloop.workspace import Workspace

logger = logging.getLogger(__name__)
ANALYSIS_WORKERS = 1
"""Analyses at once: plates are verified while the robot is busy with an earlier one."""


@dataclass
class Progress:
    """How far a command has come; what the person at the screen sees."""

    phase: str = ""
    """What is going on, in a few words."""
    current: int = 0
    total: int = 0
    """Steps of the run under way; 0 when no run is."""
    runs_done: int = 0
    transfers_done: int = 0
    day: float | None = None
    """Day of the culture, when one is running."""


@dataclass
class Session:
    """Everything one flow needs; opened once and shared by its subflows."""

    workspace: Workspace
    bench_file: BenchFile
    bench: Bench
    records: Records
    catalogue: Catalogue
    inventory: Inventory
    """The bench's own lot list; what a plan may use is told by `stocks`."""
    lines: LineStock | None
    vendor: VendorClient
    verifier: Verifier
    campaign: str | None = None
    round: int | None = None
    batch: str | None = None
    """The culture that the flow is about; None where nobody said."""
    launch: Launch | None = None
    """Launch of the flow that works in it; None until somebody asks."""
    progress: Progress = field(default_factory=Progress)
    on_progress: Callable[[Progress], None] = field(default_factory=lambda: _listener.get())
    _recipes: dict[tuple[Path, float], Recipe] = field(default_factory=dict)

    def tell(self, phase: str, *, current: int = 0, total: int = 0) -> None:
        """Say what is going on; the log hears every new phase."""
        if phase != self.progress.phase:
            logger.info(phase)
        self.progress.phase, self.progress.current, self.progress.total = phase, current, total
        self.on_progress(self.progress)

    def recipe(self, name: str) -> Recipe:
        """Load a recipe by its file name without `.yaml`, or a revision by its id.

        Raises:
            RecipeError: there is none, or its file is wrong.
        """
        path = self.workspace.recipes / f"{name}.yaml"
        if path.is_file():
            key = (path, path.stat().st_mtime)
            if key not in self._recipes:
                self._recipes[key] = load_recipe(path)
            return self._recipes[key]
        if "@" in name:
            return self.records.campaigns.revision(name)
        known = ", ".join(sorted(p.stem for p in self.workspace.recipes.glob("*.yaml"))) or "none"
        raise RecipeError(
            f"there is no recipe '{name}'", where=str(self.workspace.recipes), remedy=f"use one of: {known}"
        )

    def stocks(self, at: datetime | None = None) -> Inventory:
        """The lots as they stand: the stock in the database with what is reserved at a time, else the bench's list."""
        return self.records.stock.inventory(self.bench_file.name, at=at) or self.inventory

    async def today(self) -> date:
        """Date of the bench's clock."""
        return (await self.bench.clock.now()).date()

    async def wait_until(self, when: datetime) -> None:
        """Let the cultures grow until a time of the bench's clock."""
        if when - await self.bench.clock.now() > timedelta(0):
            await self.bench.clock.sleep_until(when)


_current: ContextVar[Session | None] = ContextVar("nkloop_session", default=None)
_listener: ContextVar[Callable[[Progress], None]] = ContextVar("nkloop_progress", default=lambda progress: None)


def session_here() -> Session | None:
    """The session that is open around this call; None outside of one."""
    return _current.get()


@contextmanager
def progress_listener(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Sessions opened inside tell their progress to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def bench_path(workspace: Workspace, name: str) -> Path:
    """File of a bench.

    Raises:
        BenchError: the workspace has no such bench.
    """
    path = workspace.devices / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in workspace.devices.glob("*.yaml"))) or "none"
        raise BenchError(f"there is no bench '{name}'", where=str(workspace.devices), remedy=f"use one of: {known}")
    return path


@asynccontextmanager
async def open_session(root: Path, bench_name: str) -> AsyncIterator[Session]:
    """Open a session, or share the one that is already open around this call for the same bench.

    Raises:
        NkloopError: bench file, labware catalogue or lot list is wrong.
    """
    shared = _current.get()
    if shared is not None and shared.bench_file.name == bench_name:
        yield shared
        return
    workspace = Workspace.find(root)
    path = bench_path(workspace, bench_name)
    bench_file = load_bench_file(path)
    catalogue = Catalogue.load(workspace.labware)
    inventory = Inventory.load((path.parent / bench_file.lots).resolve())
    lines = None if bench_file.lines is None else load_line_stock((path.parent / bench_file.lines).resolve())
    async with AsyncExitStack() as stack:
        records = Records.open(workspace.state)
        stack.callback(records.close)
        vendor = await stack.enter_async_context(
            VendorClient(cache=answers_folder(workspace.state), workers=ANALYSIS_WORKERS)
        )
        offered = desks(workspace, bench_file, records, vendor, catalogue)
        bench = open_bench(bench_file, workspace, offered)
        stack.push_async_callback(bench.close)
        verifier = Verifier(workspace, catalogue, bench_file.deck, vendor)
        session = Session(workspace, bench_file, bench, records, catalogue, inventory, lines, vendor, verifier)
        token = _current.set(session)
        try:
            yield session
        finally:
            _current.reset(token)
