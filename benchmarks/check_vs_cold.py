"""Checking all protocols with their worklists in three ways, against one cold `opentrons` analysis process for each.

The cold side is what one does without nkloop: `python -m opentrons.cli analyze` in the same vendor environment, one
process per protocol. It does less: it neither follows contents nor compares steps. Nothing is taken from a cache on
either side.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

from uv import find_uv_bin

from nkloop.runs.checking import WorkspaceCheck
from nkloop.vendor import VendorClient
from nkloop.workspace import Workspace
from stopwatch import seconds, seconds_async, show_machine, show_ratio

WANTED = 5.0
REPEATS = 3


def main() -> None:
    """Print the best of several runs of each side and the ratios."""
    show_machine()
    workspace = Workspace.find(Path(__file__))
    fresh, warm = asyncio.run(_check_seconds(workspace))
    protocols = sorted(path for path in workspace.protocols.glob("*.py") if path.with_suffix(".example.csv").is_file())
    python = _vendor_python()
    with tempfile.TemporaryDirectory() as home:
        cold = sum(_cold_seconds(python, path, workspace, Path(home)) for path in protocols)
    print(f"{len(protocols)} cold analysis processes: {cold:.2f} s")
    print(f"checked in three ways, warm and uncached: {warm:.2f} s; with the start of the worker: {fresh:.2f} s")
    show_ratio("warm check against cold analysis", cold, warm, wanted=WANTED)
    show_ratio("check with its start-up against cold analysis", cold, fresh)


async def _check_seconds(workspace: Workspace) -> tuple[float, float]:
    """Seconds of the first check, which starts the worker and imports PyLabRobot, and of the best one after it."""
    async with VendorClient() as vendor:
        checking = WorkspaceCheck(workspace, vendor)
        first = await seconds_async(_check(checking, workspace))
        return first, min([await seconds_async(_check(checking, workspace)) for _ in range(REPEATS)])


async def _check(checking: WorkspaceCheck, workspace: Workspace) -> None:
    async for _ in checking.run(checking.files([workspace.protocols])):
        pass


def _vendor_python() -> Path:
    """Interpreter of the vendor environment, built by the checks before."""
    script = str(files("nkloop.vendor").joinpath("worker.py"))
    found = subprocess.run(
        [find_uv_bin(), "python", "find", "--script", script], check=True, capture_output=True, text=True
    )
    return Path(found.stdout.strip())


def _cold_seconds(python: Path, protocol: Path, workspace: Workspace, home: Path) -> float:
    return min(seconds(lambda: _analyse_cold(python, protocol, workspace, home)) for _ in range(REPEATS))


def _analyse_cold(python: Path, protocol: Path, workspace: Workspace, home: Path) -> None:
    result = home / "analysis.json"
    command: list[str | Path] = [python, "-m", "opentrons.cli", "analyze", f"--json-output={result}", "--check"]
    command += ["--rtp-files", json.dumps({"worklist": str(protocol.with_suffix(".example.csv"))})]
    command += [protocol, *workspace.labware.glob("*.json")]
    environment = {**os.environ, "HOME": str(home), "OT_API_CONFIG_DIR": str(home / "opentrons")}
    subprocess.run(command, check=True, capture_output=True, env=environment)


if __name__ == "__main__":
    main()
