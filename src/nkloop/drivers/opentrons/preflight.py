"""Is the robot what the worklist needs, and free? Pure functions from what it answers to findings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from nkloop.drivers.interfaces import ENDED, Finding, FoundRun
from nkloop.worklists.bench_deck import ModuleSpec

Json = dict[str, Any]
ROBOT_MODELS = {"OT-3 Standard": "Flex", "OT-2 Standard": "OT-2"}
"""What `/health` calls a robot, and what people call it."""
DECK_MODELS = {"flex": "Flex", "ot2": "OT-2"}
"""What a bench file calls a robot, and what people call it."""
PIPETTES = {
    "flex_1channel_50": "p50_single_flex",
    "flex_8channel_50": "p50_multi_flex",
    "flex_1channel_1000": "p1000_single_flex",
    "flex_8channel_1000": "p1000_multi_flex",
    "flex_96channel_1000": "p1000_96",
}
"""Name of a Flex pipette in protocols, and in what the robot answers; those of an OT-2 have one name."""
MAX_RUNS, MAX_FILES = 20, 50
"""Runs and data files a robot keeps; older ones go without a word (measured on 8.2, same in the sources of 10)."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""A robot's clock further off than this makes its times contradict those of the records."""
_API_LEVEL = re.compile(r"""["']apiLevel["']\s*:\s*["'](\d+)\.(\d+)["']""")


def check_robot(health: Json, wanted: str) -> Finding:
    """Is it the robot the bench file or the protocol is for (`Flex` or `OT-2`)?"""
    model = model_of(health)
    found = f"{model} {health.get('name', '')}, software {health.get('api_version', 'unknown')}"
    remedy = "" if model == wanted else f"correct the address or use a bench with an {model}, this one has a {wanted}"
    return Finding(subject="robot", found=found, ok=model == wanted, remedy=remedy)


def model_of(health: Json) -> str:
    """`Flex`, `OT-2`, or what the robot calls itself."""
    told = str(health.get("robot_model", "unknown"))
    return ROBOT_MODELS.get(told, told)


def tell_versions(health: Json) -> Iterable[Finding]:
    """Software, firmware and serial number as the robot tells them, for comparison with the bench file."""
    for subject, key in (("software", "api_version"), ("firmware", "fw_version"), ("serial number", "robot_serial")):
        if health.get(key):
            yield Finding(subject=subject, found=str(health[key]), ok=True)


def check_api_level(health: Json, protocol: str) -> Iterable[Finding]:
    """API level of the protocol against what the robot knows; nothing where either is not told."""
    level = _API_LEVEL.search(protocol)
    highest = tuple(health.get("maximum_protocol_api_version") or ())
    if level is None or not highest:
        return
    needed = (int(level[1]), int(level[2]))
    told = f"protocol needs {needed[0]}.{needed[1]}, robot knows up to {'.'.join(map(str, highest))}"
    fits = needed <= highest
    yield Finding(subject="API level", found=told, ok=fits, remedy="" if fits else "update the robot's software")


def check_pipettes(instruments: Iterable[Json], wanted: Mapping[Any, str]) -> Iterable[Finding]:
    """Every pipette wanted (mount to load name) on its mount."""
    by_mount = {item.get("mount"): item for item in instruments if item.get("instrumentType") == "pipette"}
    for mount, load_name in wanted.items():
        item = by_mount.get(mount, {})
        name = item.get("instrumentName", "nothing")
        is_right = name in {PIPETTES.get(load_name), load_name}
        ok = is_right and item.get("ok", True) is True
        found = f"{name} (needs {load_name})"
        if is_right and not ok:
            found = f"{name} does not work: {item.get('subsystem', 'no reason told')}"
        remedy = "" if ok else f"attach {load_name} to the {mount} mount and calibrate it"
        yield Finding(subject=f"{mount} pipette", found=found, ok=ok, remedy=remedy)


def check_modules(modules: Iterable[Json], wanted: Iterable[ModuleSpec]) -> Iterable[Finding]:
    """Every module wanted is connected: by its serial number where the bench file has one, by its model otherwise."""
    connected = [(str(item.get("moduleModel")), str(item.get("serialNumber", ""))) for item in modules]
    for spec in wanted:
        serials = [serial for model, serial in connected if model == spec.load_name]
        found, remedy = f"{spec.load_name} is connected", ""
        if not serials:
            found, remedy = f"{spec.load_name} is not connected", f"connect {spec.load_name} and switch it on"
        elif spec.serial_number and spec.serial_number not in serials:
            found = f"{spec.load_name} {', '.join(serials)} is connected, the bench file has {spec.serial_number}"
            remedy = f"connect {spec.serial_number}, or correct serial_number in the bench file after a look at it"
        elif spec.serial_number:
            found = f"{spec.load_name} {spec.serial_number} is connected"
        yield Finding(subject=f"module in {spec.slot}", found=found, ok=not remedy, remedy=remedy)


def check_fixtures(fixtures: Iterable[Json], wanted: Iterable[ModuleSpec]) -> Iterable[Finding]:
    """Every module wanted in its slot of the deck configuration of a Flex."""
    by_cutout = {item.get("cutoutId"): item.get("cutoutFixtureId") for item in fixtures}
    for spec in wanted:
        fixture = by_cutout.get(f"cutout{spec.slot}", "nothing")
        ok = fixture == spec.load_name
        yield Finding(
            subject=f"deck configuration {spec.slot}",
            found=f"{fixture} (needs {spec.load_name})",
            ok=ok,
            remedy="" if ok else f"set slot {spec.slot} to {spec.load_name} in the robot's deck configuration",
        )


def check_trash(fixtures: Iterable[Json], slot: str, *, is_flex: bool) -> Finding:
    """The trash where the protocols drop tips: a bin to be configured on a Flex, fixed in slot 12 of an OT-2."""
    needed = "trashBinAdapter" if is_flex else "fixedTrashSlot"
    by_cutout = {item.get("cutoutId"): item.get("cutoutFixtureId") for item in fixtures}
    fixture = str(by_cutout.get(f"cutout{slot}", "nothing"))
    ok = fixture == needed
    remedy = "" if ok else f"put the trash bin into slot {slot} and say so in the deck configuration"
    return Finding(subject=f"deck configuration {slot}", found=f"{fixture} (needs {needed})", ok=ok, remedy=remedy)


def check_door(door: Json | None) -> Finding:
    """Door closed, where the robot asks for it."""
    status = "not reported" if door is None else str(door.get("status"))
    ok = door is None or status == "closed" or not door.get("doorRequiredClosedForProtocol", True)
    return Finding(subject="door", found=status, ok=ok, remedy="" if ok else "close the front door and the top window")


def check_estop(estop: Json | None) -> Finding:
    """Emergency stop not engaged; an OT-2 has none and answers 403."""
    status = "not reported" if estop is None else str(estop.get("status"))
    ok = status in {"not reported", "disengaged", "notPresent"}
    return Finding(subject="emergency stop", found=status, ok=ok, remedy="" if ok else "release the emergency stop")


def is_prepared(run: Json, csv: str) -> bool:
    """True for a run with this worklist file that was created and never played: it may be played in our place."""
    return run.get("status") == "idle" and not run.get("actions") and csv in csv_files(run)


def csv_files(run: Json) -> tuple[str, ...]:
    """Names of the data files a run was made with."""
    return tuple(str((parameter.get("file") or {}).get("name")) for parameter in run.get("runTimeParameters") or ())


def found_run(run: Json) -> FoundRun:
    """A run of the robot's list."""
    return FoundRun(id=str(run["id"]), is_played=bool(run.get("actions")))


def check_current_run(run: Json | None, csv: str) -> Finding:
    """No run of anybody else in the way. A run that has not ended would be replaced or would block ours."""
    if run is None:
        return Finding(subject="current run", found="none", ok=True)
    status = str(run.get("status"))
    ok = status in ENDED or is_prepared(run, csv)
    remedy = "" if ok else "let it end or cancel it on the robot's screen"
    return Finding(subject="current run", found=f"{run.get('id')} is {status}", ok=ok, remedy=remedy)


def check_maintenance(run: Json | None) -> Finding:
    """No maintenance (calibration, pipette change) under way."""
    ok = run is None or str(run.get("status")) in ENDED
    found = "none" if run is None else f"{run.get('id')} is {run.get('status')}"
    remedy = "" if ok else "finish calibration or pipette change on the robot's screen"
    return Finding(subject="maintenance", found=found, ok=ok, remedy=remedy)


def check_clock(told: Json | None, now: datetime) -> Finding:
    """The robot's own clock against that of this computer; its times stand in the records beside ours."""
    if told is None or not told.get("systemTime"):
        return Finding(subject="robot clock", found="not reported", ok=True)
    off = datetime.fromisoformat(str(told["systemTime"]).replace("Z", "+00:00")) - now
    side = "behind" if off < timedelta(0) else "ahead of"
    ok = abs(off) <= CLOCK_TOLERANCE
    found = "as this computer" if ok else f"{_span(abs(off))} {side} this computer"
    remedy = (
        "" if ok else "connect the robot to the internet or to the Opentrons App, which set its time; then restart it"
    )
    return Finding(subject="robot clock", found=found, ok=ok, remedy=remedy)


def _span(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def tell_space(runs: int, files: int | None, software: str) -> Finding:
    """How much more the robot keeps; it tells no free bytes, but it counts, and drops the oldest without a word."""
    room = [_room(MAX_RUNS - runs, "run", runs)]
    room += [] if files is None else [_room(MAX_FILES - files, "data file", files)]
    found = f"{' and '.join(room)}, then the oldest are dropped (nkloop copies results out at once); "
    return Finding(subject="free space", found=f"{found}software {software} tells no free bytes", ok=True)


def _room(left: int, what: str, kept: int) -> str:
    if left <= 0:
        return f"no room for another {what} beside {kept}"
    return f"room for {left} more {what}{'s' if left > 1 else ''} beside {kept}"


def tell_recovery(settings: Json | None, *, fails: bool, resumes: Iterable[str] = ()) -> Finding:
    """What happens after an error a person could recover from, and after which one may go on from nkloop."""
    if settings is None or not settings.get("enabled", True):
        found = "the run fails at the first error"
    elif fails:
        found = "the run fails at the first error (nkloop asks for it in each of its runs)"
    else:
        found = "the robot waits for a person, who is asked"
        named = ", ".join(sorted(resumes))
        found += f"; goes on from nkloop after {named}" if named else "; goes on from its own screen only"
    return Finding(subject="error recovery", found=found, ok=True)


def tell_mark(mark: Json | None) -> Iterable[Finding]:
    """Which nkloop held the robot last, where it left a mark."""
    if mark:
        told = ", ".join(f"{key} {mark[key]}" for key in ("holder", "token", "since", "until") if mark.get(key))
        yield Finding(subject="nkloop", found=f"last held: {told}", ok=True)
