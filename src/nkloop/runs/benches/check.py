"""Is a bench as its file says? Connects to every device, asks what can be asked without moving anything, compares."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nkloop.drivers.bench import build_device, load_bench_file, parts_offered
from nkloop.drivers.bench_file import BenchFile
from nkloop.drivers.interfaces import Fenced, Finding, ReadsInRuns
from nkloop.drivers.secrets import fill_variables
from nkloop.errors import DeviceHeldError, NkloopError, Problem
from nkloop.records import Records
from nkloop.runs.benches.files import bench_problems, devices_of
from nkloop.runs.benches.report import BenchLine, BenchReport, LineState
from nkloop.runs.beside import BESIDE, lock_of
from nkloop.runs.requests import waiting_requests
from nkloop.runs.session import bench_path
from nkloop.workspace import Workspace

ANSWER_SECONDS = 15.0
"""Longest wait for one device; opening a reader takes some seconds."""
CLOCK_SECONDS = 60.0
"""A real clock further off than this makes times in the records wrong."""
LEAST_FREE_BYTES = 1e9
"""A campaign with its originals and reports takes some hundred megabytes."""
_COMPARED = ("software", "firmware")


async def check_bench(workspace: Workspace, name: str, offered: Mapping[str, Any] | None = None) -> BenchReport:
    """Look at everything a bench is made of; a device that does not answer is one line.

    Args:
        workspace: where the bench file lies.
        name: of the bench.
        offered: what device classes may ask for besides the parts every bench offers.

    Raises:
        BenchError: there is no such bench, or its file is wrong.
    """
    path = bench_path(workspace, name)
    file = load_bench_file(path)
    lines = [*_of_file(path), *_of_workspace(workspace, file)]
    things = parts_offered(file, workspace) | dict(offered or {})
    looks = [_device(device, spec, file, things, workspace) for device, spec in devices_of(file).items()]
    for found in await asyncio.gather(*looks):
        lines += found
    return BenchReport(bench=file.name, title=file.title, simulated=file.simulated, lines=tuple(lines))


def _of_file(path: Path) -> Iterator[BenchLine]:
    problems = bench_problems(path, with_drivers=False)
    for problem in problems:
        yield _wrong("bench file", "content", problem)
    if not problems:
        yield BenchLine(
            part="bench file", subject="content", state="ok", found=f"{path.name}, lots and cell lines read"
        )


def _of_workspace(workspace: Workspace, file: BenchFile) -> Iterator[BenchLine]:
    yield from _records(workspace, file)
    free = shutil.disk_usage(workspace.root).free
    scarce = free < LEAST_FREE_BYTES
    remedy = f"free at least {LEAST_FREE_BYTES / 1e9:g} GB" if scarce else ""
    told = f"{free / 1e9:.1f} GB free on this computer"
    yield BenchLine(part="records", subject="disk", state="mend" if scarce else "ok", found=told, remedy=remedy)
    yield from _inbox(workspace, file)


def _records(workspace: Workspace, file: BenchFile) -> Iterator[BenchLine]:
    """The database, and what it knows of the bench: who holds its devices, whom its people have still to answer."""
    try:
        records = Records.open(workspace.state)
    except NkloopError as error:
        yield _wrong("records", "database", error.problems[0])
        return
    try:
        yield BenchLine(part="records", subject="database", state="ok", found=records.url)
        names = {*file.locks, *(lock_of(file, device) for device in BESIDE)}
        for one in records.claims.holders():
            if one.device in names and one.released_at is None:
                told = f"held by {one.holder} since {one.claimed_at:%Y-%m-%d %H:%M} UTC, until {one.expires_at:%H:%M}"
                remedy = "wait for it; a holder that has died is replaced when its time is over"
                yield BenchLine(part="records", subject=one.device, state="note", found=told, remedy=remedy)
        if waiting := waiting_requests(records, file.name):
            told = f"{len(waiting)} not answered, the first: {waiting[0].title}"
            yield BenchLine(
                part="records", subject="requests to people", state="note", found=told, remedy="nkloop operator list"
            )
    except NkloopError as error:
        yield _wrong("records", "database", error.problems[0])
    finally:
        records.close()


def _inbox(workspace: Workspace, file: BenchFile) -> Iterator[BenchLine]:
    if file.inbox is None:
        return
    try:
        named = Path(str(fill_variables(file.inbox.folder, f"bench {file.name}, inbox.folder")))
    except NkloopError as error:
        yield _wrong("inbox", "folder", error.problems[0])
        return
    folder = workspace.root / named
    there = folder.is_dir()
    if not there and not named.is_absolute():
        told = f"{folder}, made when it is first looked into"
        yield BenchLine(part="inbox", subject="folder", state="ok", found=told)
        return
    usable = there and os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    remedy = "" if usable else "make the folder, mount the share, and give this user the right to read and write in it"
    told = str(folder) if usable else f"{folder} {'may not be read and written' if there else 'does not exist'}"
    yield BenchLine(part="inbox", subject="folder", state="ok" if usable else "mend", found=told, remedy=remedy)


@contextlib.contextmanager
def _held(device: str, built: object, workspace: Workspace, file: BenchFile) -> Iterator[None]:
    """Hold a device beside the robot while it is looked at: to open one of them may move it.

    Raises:
        DeviceHeldError: somebody drives it now.
    """
    beside = next((one for one in BESIDE if one == device), None)
    if beside is None or not isinstance(built, Fenced) or isinstance(built, ReadsInRuns):
        yield  # a person's, or a robot's, which is only asked
        return
    try:
        records = Records.open(workspace.state)
    except NkloopError:
        yield  # told where the database is looked at
        return
    try:
        name, purpose = lock_of(file, beside), f"bench check {file.name}"
        claim = records.claims.claim((name,), purpose, lease_seconds=3 * ANSWER_SECONDS)
        built.fence = lambda: records.claims.check(claim)
        try:
            yield
        finally:
            records.claims.release(claim)
    finally:
        records.close()


async def _device(
    device: str, spec: Any, file: BenchFile, offered: Mapping[str, Any], workspace: Workspace
) -> list[BenchLine]:
    part = device.replace("_", " ")
    try:
        built: Any = build_device(device, spec, file.name, offered)
    except NkloopError as error:
        return [_wrong(part, "driver", problem) for problem in error.problems]
    try:
        with _held(device, built, workspace, file):
            findings = await _looked_at(device, built, file)
    except DeviceHeldError as error:
        told = f"not asked: {error.problems[0].message}"
        return [BenchLine(part=part, subject="in use", state="note", found=told, remedy="check again when it is free")]
    except TimeoutError:
        problem = Problem(f"no answer within {ANSWER_SECONDS:g} s", remedy="switch it on, check cable and address")
        return [_wrong(part, "connection", problem)]
    except NkloopError as error:
        return [_wrong(part, "connection", problem) for problem in error.problems]
    # A maker's driver may raise anything; whatever it is, this device cannot be used and the others can be looked at.
    except Exception as error:  # noqa: BLE001
        problem = Problem(f"the driver failed: {type(error).__name__}: {error}", remedy="look at cable and settings")
        return [_wrong(part, "connection", problem)]
    return [*(_line(part, one) for one in findings), *_compared(part, spec, findings)]


async def _looked_at(device: str, built: Any, file: BenchFile) -> tuple[Finding, ...]:
    """What a device tells; it is released again whatever happens."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await _findings(device, built, file)
    finally:
        await _released(built)


async def _findings(device: str, built: Any, file: BenchFile) -> tuple[Finding, ...]:
    if device == "liquid_handler":
        found: tuple[Finding, ...] = await built.inspect(file.deck)
        return found
    if device == "clock":
        return (_clock(await built.now(), simulated=file.simulated),)
    if hasattr(built, "inspect"):
        told: tuple[Finding, ...] = await built.inspect()
        return told
    return (Finding(subject="driver", found=f"{type(built).__name__} can be built; it cannot be asked", ok=True),)


def _clock(now: datetime, *, simulated: bool) -> Finding:
    off = abs(now - datetime.now(UTC))
    wrong = not simulated and off > timedelta(seconds=CLOCK_SECONDS)
    remedy = "set the clock of this computer by a time server" if wrong else ""
    return Finding(subject="time", found=f"{now:%Y-%m-%d %H:%M} UTC", ok=not wrong, remedy=remedy)


def _compared(part: str, spec: Any, findings: tuple[Finding, ...]) -> Iterator[BenchLine]:
    """What the file says of serial number and versions against what the device said."""
    told = {one.subject: one.found for one in findings}
    own = spec.serial_number
    if own and told.get("serial number", own) != own:
        found = f"the device says {told['serial number']}, the file {own}"
        remedy = "another device stands there: connect the right one, or correct serial_number after checking it"
        yield BenchLine(part=part, subject="serial number", state="mend", found=found, remedy=remedy)
    for subject in _COMPARED:
        seen = getattr(spec.seen, subject)
        if seen and told.get(subject, seen) != seen:
            looked = f"{spec.seen.by or 'somebody'} looked on {spec.seen.on or 'no day'}"
            found = f"now {told[subject]}, {seen} when {looked}"
            remedy = f"run water first, then write the new version into seen.{subject} of the bench file"
            yield BenchLine(part=part, subject=f"{subject} has changed", state="note", found=found, remedy=remedy)


async def _released(built: Any) -> None:
    close = getattr(built, "close", None)
    if close is not None:
        # it was only looked at: what cannot be released is told when it is used
        with contextlib.suppress(Exception):
            async with asyncio.timeout(ANSWER_SECONDS):
                await close()


def _line(part: str, finding: Finding) -> BenchLine:
    state: LineState = "ok" if finding.ok else "mend"
    return BenchLine(part=part, subject=finding.subject, state=state, found=finding.found, remedy=finding.remedy)


def _wrong(part: str, subject: str, problem: Problem) -> BenchLine:
    # what begins with the bench only says again which part this is
    place = "" if problem.where.startswith("bench ") or not problem.where else f"{problem.where}: "
    remedy = problem.remedy
    return BenchLine(part=part, subject=subject, state="mend", found=f"{place}{problem.message}", remedy=remedy)
