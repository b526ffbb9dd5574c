"""`nkloop doctor`: what is present, what is missing and how to get it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, print_json
from nkloop.errors import NkloopError, without_password, words_of

if TYPE_CHECKING:
    from nkloop.drivers.bench_file import BenchFile, DeviceSpec


ANSWER_SECONDS = 2.0
_SWITCH_ON = "switch it on and connect it to this network, or correct url in the bench file"


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
    ]
    lines = [Line("workspace", "present", str(root)), *(_look(subject, look) for subject, look in looks)]
    return lines + _bench_lines(root, bench)


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


def _bench_lines(root: Path, bench: str) -> list[Line]:
    """The bench, then one line for each of its devices when they could be built."""
    try:
        return asyncio.run(_bench(root, bench))
    except NkloopError as error:
        return [_missing(f"bench '{bench}'", error)]


def _missing(subject: str, error: NkloopError) -> Line:
    problem = error.problems[0]
    place = f"{problem.where}: " if problem.where else ""
    return Line(subject, "missing", f"{place}{problem.message}", problem.remedy)


async def _bench(root: Path, name: str) -> list[Line]:
    """Read the bench file, build its drivers, and ask what can be asked without moving anything."""
    from nkloop.drivers.bench import DEVICES, load_bench_file, open_bench
    from nkloop.runs.session import bench_path
    from nkloop.workspace import Workspace

    workspace = Workspace.find(root)
    file = load_bench_file(bench_path(workspace, name))
    if file.simulated and "NKLOOP_VIRTUAL_URL" not in os.environ:
        found = f"{file.title}; started by nkloop demo, nkloop serve or nkloop virtual-robot"
        return [Line(f"bench '{name}'", "present", found)]
    try:
        opened = open_bench(file, workspace)
    except NkloopError as error:  # a driver that cannot be built hides no silent robot
        return [_missing(f"bench '{name}'", error), *_robots(file)]
    try:
        devices = [await _device(key, getattr(file, key), getattr(opened, key)) for key in DEVICES]
    finally:
        await opened.close()
    return [Line(f"bench '{name}'", "present", file.title), *devices]


async def _device(key: str, spec: DeviceSpec, device: Any) -> Line:
    """What can be said of a device: Opentrons robots and clocks answer; asking others might start something."""
    subject = f"  {key.replace('_', ' ')}"
    if (url := _robot_url(spec)) is not None:
        return _robot(subject, url)
    if key == "clock":
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return Line(subject, "present", f"says {await device.now():%Y-%m-%d %H:%M} UTC")
        except NkloopError as error:
            return Line(subject, "missing", error.problems[0].message, error.problems[0].remedy or _SWITCH_ON)
        except TimeoutError:
            return Line(subject, "missing", f"{spec.driver} did not answer within {ANSWER_SECONDS:g} s", _SWITCH_ON)
    return Line(subject, "present", f"{spec.driver} can be built; the device itself was not asked")


def _robots(file: BenchFile) -> list[Line]:
    url = _robot_url(file.liquid_handler)
    return [] if url is None else [_robot("  liquid handler", url)]


def _robot_url(spec: DeviceSpec) -> str | None:
    """Address of an Opentrons robot; None for another device, or while its settings are wrong."""
    from nkloop.drivers.bench import fill_variables, import_class
    from nkloop.drivers.opentrons import OpentronsRobot

    try:
        if issubclass(import_class(spec.driver, ""), OpentronsRobot):
            return str(fill_variables(spec.settings, "")["url"])
    except (NkloopError, KeyError):
        pass  # told in the line of the bench
    return None


def _robot(subject: str, url: str) -> Line:
    """Ask an Opentrons robot for its health, which moves nothing."""
    import httpx

    shown = without_password(url)
    try:
        with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
            answer = client.get(f"{url.rstrip('/')}/health", headers={"Opentrons-Version": "*"})
            answer.raise_for_status()
            told = answer.json()
            return Line(subject, "present", f"{told['name']} at {shown}, software {told['api_version']}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        told = words_of(error) if shown == url else type(error).__name__  # the words may repeat the address
        return Line(subject, "missing", f"no answer from {shown}: {told}", _SWITCH_ON)
    except (ValueError, KeyError, TypeError):
        return Line(
            subject, "missing", f"what answers at {shown} is no Opentrons robot", "correct url in the bench file"
        )


def _prefect_server() -> Line:
    import httpx

    url = os.environ.get("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    shown = without_password(url)
    try:
        httpx.get(f"{url}/health", timeout=2).raise_for_status()
    except httpx.HTTPError:
        return Line(
            "Prefect server",
            "absent",
            f"none at {without_password(url)}",
            "nkloop serve starts one; nkloop demo needs none",
        )
    return Line("Prefect server", "present", shown)


def _chromium() -> Line:
    import shutil

    path = shutil.which("chromium")
    if path is None:
        return Line("Chromium", "absent", "not installed", "only the browser tests need it: apt-get install chromium")
    return Line("Chromium", "present", path)
