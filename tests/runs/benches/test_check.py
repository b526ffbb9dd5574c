"""A bench is looked at as a whole: what answers, what does not, what differs from its file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.interfaces import Fence, Finding, OperatorRequest, unguarded
from nkloop.errors import DeviceUnreachableError
from nkloop.records import Records
from nkloop.runs.benches import check as check_module
from nkloop.runs.benches.check import check_bench
from nkloop.runs.benches.report import BenchLine, BenchReport
from nkloop.runs.requests import RequestDesk
from nkloop.worklists.models import OperatorTask
from nkloop.workspace import Workspace

ROOT = Path(__file__).resolve().parents[3]


class Robot:
    """Tells what it is made of; named faults."""

    def __init__(self, name: str, fault: str = "") -> None:
        self.name, self.fault, self.closed = name, fault, False

    async def inspect(self, deck: Any) -> tuple[Finding, ...]:
        if self.fault == "silent":
            raise DeviceUnreachableError("no answer", where=self.name, remedy="switch it on")
        if self.fault == "crashes":
            raise KeyError("pipette")
        if self.fault == "hangs":
            import asyncio

            await asyncio.sleep(60)
        return (
            Finding(subject="software", found="8.3.0", ok=True),
            Finding(subject="serial number", found="FLX-2", ok=True),
            Finding(subject="left pipette", found="nothing (needs flex_1channel_1000)", ok=False, remedy="attach it"),
        )

    async def close(self) -> None:
        raise RuntimeError("already gone")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("NKLOOP_VIRTUAL_URL", raising=False)
    monkeypatch.delenv("NKLOOP_DATABASE_URL", raising=False)
    for name in ("recipes", "protocols", "flows"):
        (tmp_path / name).mkdir()
    for name in ("devices", "labware"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return Workspace(root=tmp_path)


def write(workspace: Workspace, settings: str = "{}", spec: str = "", extra: str = "") -> None:
    """A bench `lab` with this stand-in for a robot."""
    text = (workspace.devices / "flex_byonoy.yaml").read_text(encoding="utf-8")
    head, _, rest = text.replace("name: flex_byonoy", "name: lab").partition("liquid_handler:\n")
    _, _, rest = rest.partition("\n\n")
    robot = f"liquid_handler:\n  driver: {__name__}:Robot\n  settings: {settings}\n{spec}\n{extra}\n"
    text = (
        head
        + robot
        + rest.replace("locks: [flex]", "locks: [lab-flex]")
        .replace("nkloop.drivers.opentrons:FlexPlateReader", f"{__name__}:Robot")
        .replace(
            "    url: ${NKLOOP_FLEX_URL}\n    poll_seconds: 2\n    saturation: 4.0",
            "    fault: silent",
        )
    )
    (workspace.devices / "lab.yaml").write_text(text, encoding="utf-8")


def lines(report: BenchReport, part: str) -> dict[str, BenchLine]:
    return {line.subject: line for line in report.lines if line.part == part}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file under its own name, so that a bench file may name a class in it."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


async def test_everything_is_one_line_and_the_file_is_compared(workspace: Workspace) -> None:
    write(workspace, spec='  serial_number: FLX-1\n  seen: {software: "8.2.0", by: Ada, on: 2026-10-01}')
    report = await check_bench(workspace, "lab")
    robot = lines(report, "liquid handler")
    assert robot["left pipette"].state == "mend"
    changed = robot["software has changed"]
    assert (changed.state, changed.found) == ("note", "now 8.3.0, 8.2.0 when Ada looked on 2026-10-01")
    assert [line.found for line in report.lines if line.subject == "serial number"][-1] == (
        "the device says FLX-2, the file FLX-1"
    )
    assert lines(report, "clock")["time"].state == "ok"
    assert {"bench file", "records", "cell counter", "operator"} <= {line.part for line in report.lines}
    assert not report.passed


@pytest.mark.parametrize(
    ("fault", "told"),
    [("silent", "no answer"), ("crashes", "the driver failed: KeyError"), ("hangs", "no answer within 0.2 s")],
)
async def test_a_device_that_fails_is_one_line_and_the_others_are_looked_at(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    monkeypatch.setattr(check_module, "ANSWER_SECONDS", 0.2)
    write(workspace, settings=f"{{fault: {fault}}}")
    report = await check_bench(workspace, "lab")
    (line,) = lines(report, "liquid handler").values()
    assert line.state == "mend"
    assert told in line.found
    assert line.remedy
    assert lines(report, "clock")["time"].state == "ok"


class Reader:
    """Tells who holds it while it is looked at."""

    fence: Fence = staticmethod(unguarded)

    def __init__(self, name: str, state_folder: Path) -> None:
        self.name, self.state = name, state_folder

    async def inspect(self) -> tuple[Finding, ...]:
        self.fence()
        records = Records.open(self.state)
        (one,) = [one for one in records.claims.holders() if one.device == "lab-reader"]
        records.close()
        return (Finding(subject="held", found=one.holder, ok=one.released_at is None),)

    async def close(self) -> None: ...


async def test_a_reader_is_held_while_it_is_opened_and_one_in_use_is_told_and_not_opened(workspace: Workspace) -> None:
    write(workspace)
    path = workspace.devices / "lab.yaml"
    text = path.read_text(encoding="utf-8").replace(f"{__name__}:Robot\n  settings:\n", f"{__name__}:Reader\n")
    path.write_text(text.replace("    fault: silent", "  lock: lab-reader"), encoding="utf-8")
    (line,) = lines(await check_bench(workspace, "lab"), "plate reader").values()
    assert line.state == "ok"
    assert line.found.startswith("bench check lab (process")
    records = Records.open(workspace.state)
    records.claims.claim(("lab-reader",), "reading plate P-1")
    records.close()
    (line,) = lines(await check_bench(workspace, "lab"), "plate reader").values()
    assert (line.state, line.subject) == ("note", "in use")
    assert "not asked: lab-reader is held by reading plate P-1" in line.found


async def test_a_missing_variable_and_a_missing_folder_are_told(workspace: Workspace) -> None:
    write(workspace, settings='{fault: "${NKLOOP_NOT_SET}"}', extra=f"inbox: {{folder: {workspace.root}/not-there}}")
    report = await check_bench(workspace, "lab")
    assert "NKLOOP_NOT_SET is not set" in lines(report, "liquid handler")["driver"].found
    assert "does not exist" in lines(report, "inbox")["folder"].found
    (workspace.root / "not-there").mkdir()
    report = await check_bench(workspace, "lab")
    assert lines(report, "inbox")["folder"].state == "ok"


async def test_a_folder_of_the_workspace_need_not_be_there(workspace: Workspace) -> None:
    write(workspace, extra="inbox: {folder: not-there}")
    folder = lines(await check_bench(workspace, "lab"), "inbox")["folder"]
    assert (folder.state, "made when it is first looked into" in folder.found) == ("ok", True)


async def test_a_full_disk_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "LEAST_FREE_BYTES", 1e18)
    write(workspace)
    assert lines(await check_bench(workspace, "lab"), "records")["disk"].state == "mend"


async def test_a_holder_and_an_unanswered_request_are_told(workspace: Workspace) -> None:
    write(workspace)
    records = Records.open(workspace.state)
    claim = records.claims.claim(("lab-flex",), "run of a feeding")
    task = OperatorTask(kind="confirm", instruction="Load")
    RequestDesk(records, "lab").ask(OperatorRequest(title="Load the deck", task=task), "k")
    told = lines(await check_bench(workspace, "lab"), "records")
    assert told["lab-flex"].state == "note"
    assert "run of a feeding" in told["lab-flex"].found
    assert told["requests to people"].found == "1 not answered, the first: Load the deck"
    records.claims.release(claim)
    assert "lab-flex" not in lines(await check_bench(workspace, "lab"), "records")
    records.close()
