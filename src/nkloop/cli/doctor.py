"""`nkloop doctor`: what is present, what is missing and how to get it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, print_json
from nkloop.errors import NkloopError


@dataclass(frozen=True)
class Line:
    """One thing looked at."""

    subject: str
    state: str
    """`present`, `missing` (something needed), or `absent` (something optional)."""
    found: str
    remedy: str = ""


def doctor(json_output: JsonFlag = False, bench: BenchOption = "virtual", workspace: WorkspaceOption = Path()) -> None:
    """Say what is present, what is missing and how to get it; exit code 1 if something needed is missing."""
    lines = [_python(), _uv(), *_workspace_lines(workspace, bench), _prefect_server(), _chromium()]
    if json_output:
        print_json({"lines": [asdict(line) for line in lines], "ok": all(line.state != "missing" for line in lines)})
    else:
        _show(lines)
    if any(line.state == "missing" for line in lines):
        raise typer.Exit(1)


def _show(lines: list[Line]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "what", "found", "what to do", title="nkloop doctor", title_justify="left")
    marks = {"present": "[green]ok[/]", "missing": "[red]missing[/]", "absent": "[yellow]optional[/]"}
    for line in lines:
        table.add_row(marks[line.state], line.subject, line.found, line.remedy)
    Console().print(table)


def _python() -> Line:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Line("Python", "present", f"{version} at {sys.executable}")


def _uv() -> Line:
    from uv import find_uv_bin

    try:
        return Line("uv", "present", find_uv_bin())
    except FileNotFoundError as error:
        return Line("uv", "missing", str(error), "pip install uv")


def _workspace_lines(start: Path, bench: str) -> list[Line]:
    try:
        root = find_workspace(start).root
    except NkloopError as error:
        problem = error.problems[0]
        return [Line("workspace", "missing", problem.message, problem.remedy or "nkloop init DIR")]
    looks: list[tuple[str, Callable[[], str]]] = [
        ("vendor environment", lambda: asyncio.run(_vendor())),
        ("database", lambda: _database(root)),
        (f"bench '{bench}'", lambda: asyncio.run(_bench(root, bench))),
    ]
    return [Line("workspace", "present", str(root)), *(_look(subject, look) for subject, look in looks)]


def _look(subject: str, look: Callable[[], str]) -> Line:
    try:
        return Line(subject, "present", look())
    except NkloopError as error:
        problem = error.problems[0]
        return Line(subject, "missing", problem.message, problem.remedy)


async def _vendor() -> str:
    from nkloop.vendor import VendorClient

    async with VendorClient() as client:
        versions = await client.start()
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _database(root: Path) -> str:
    from nkloop.records import Records
    from nkloop.workspace import Workspace

    records = Records.open(Workspace.find(root).state)
    try:
        return records.url
    finally:
        records.close()


async def _bench(root: Path, name: str) -> str:
    """Read the bench file; a bench that is not simulated must also answer."""
    from nkloop.drivers.bench import load_bench_file, open_bench
    from nkloop.runs.session import bench_path
    from nkloop.workspace import Workspace

    workspace = Workspace.find(root)
    file = load_bench_file(bench_path(workspace, name))
    if file.simulated and "NKLOOP_VIRTUAL_URL" not in os.environ:
        return f"{file.title}; started by nkloop demo, nkloop serve or nkloop virtual-robot"
    opened = open_bench(file, workspace)
    try:
        return f"{file.title}; clock says {await opened.clock.now():%Y-%m-%d %H:%M} UTC"
    finally:
        await opened.close()


def _prefect_server() -> Line:
    import httpx

    url = os.environ.get("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    try:
        httpx.get(f"{url}/health", timeout=2).raise_for_status()
    except httpx.HTTPError:
        return Line("Prefect server", "absent", f"none at {url}", "nkloop serve starts one; nkloop demo needs none")
    return Line("Prefect server", "present", url)


def _chromium() -> Line:
    import shutil

    path = shutil.which("chromium")
    if path is None:
        return Line("Chromium", "absent", "not installed", "only the browser tests need it: apt-get install chromium")
    return Line("Chromium", "present", path)
