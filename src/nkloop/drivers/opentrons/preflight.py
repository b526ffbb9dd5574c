"""Is the robot what the worklist needs, and free? Pure functions from what it answers to findings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from nkloop.drivers.interfaces import ENDED, Finding
from nkloop.worklists.models import Worklist

Json = dict[str, Any]
ROBOT_MODELS = {"OT-3 Standard": "Flex", "OT-2 Standard": "OT-2"}
"""What `/health` calls a robot, and what people call it."""
PIPETTES = {
    "flex_1channel_50": "p50_single_flex",
    "flex_8channel_50": "p50_multi_flex",
    "flex_1channel_1000": "p1000_single_flex",
    "flex_8channel_1000": "p1000_multi_flex",
    "flex_96channel_1000": "p1000_96",
}
"""Name of a pipette in protocols, and in what the robot answers."""
_API_LEVEL = re.compile(r"""["']apiLevel["']\s*:\s*["'](\d+)\.(\d+)["']""")


def check_robot(health: Json, protocol: str) -> Iterable[Finding]:
    """Model and API level against the protocol."""
    model = ROBOT_MODELS.get(str(health.get("robot_model")), str(health.get("robot_model", "unknown")))
    found = f"{model} {health.get('name', '')}, software {health.get('api_version', 'unknown')}"
    yield Finding(subject="robot", found=found, ok=model == "Flex", remedy="" if model == "Flex" else "use a Flex")
    level = _API_LEVEL.search(protocol)
    highest = tuple(health.get("maximum_protocol_api_version") or ())
    if level is None or not highest:
        return
    needed = (int(level[1]), int(level[2]))
    told = f"protocol needs {needed[0]}.{needed[1]}, robot knows up to {'.'.join(map(str, highest))}"
    fits = needed <= highest
    yield Finding(subject="API level", found=told, ok=fits, remedy="" if fits else "update the robot's software")


def check_pipettes(instruments: Iterable[Json], worklist: Worklist) -> Iterable[Finding]:
    """Every pipette of the worklist on its mount."""
    by_mount = {item.get("mount"): item for item in instruments if item.get("instrumentType") == "pipette"}
    for mount, load_name in worklist.pipettes.items():
        item = by_mount.get(mount, {})
        name = item.get("instrumentName", "nothing")
        ok = name in {PIPETTES.get(load_name), load_name} and item.get("ok", True) is True
        remedy = "" if ok else f"attach {load_name} to the {mount} mount and calibrate it"
        yield Finding(subject=f"{mount} pipette", found=f"{name} (needs {load_name})", ok=ok, remedy=remedy)


def check_modules(modules: Iterable[Json], fixtures: Iterable[Json], worklist: Worklist) -> Iterable[Finding]:
    """Every module of the worklist connected, and in its slot of the deck configuration."""
    connected = [str(item.get("moduleModel")) for item in modules]
    by_cutout = {item.get("cutoutId"): item.get("cutoutFixtureId") for item in fixtures}
    needed = dict.fromkeys((item.slot, item.module) for item in worklist.deck if item.module)
    for slot, model in needed:
        is_there = model in connected
        told = f"{model} is {'connected' if is_there else 'not connected'}"
        yield Finding(
            subject=f"module in {slot}",
            found=told,
            ok=is_there,
            remedy="" if is_there else f"connect {model} and switch it on",
        )
        fixture = by_cutout.get(f"cutout{slot}", "nothing")
        ok = fixture == model
        yield Finding(
            subject=f"deck configuration {slot}",
            found=f"{fixture} (needs {model})",
            ok=ok,
            remedy="" if ok else f"set slot {slot} to {model} in the robot's deck configuration",
        )


def check_trash(fixtures: Iterable[Json], slot: str) -> Finding:
    """The trash bin where the protocols drop tips."""
    by_cutout = {item.get("cutoutId"): item.get("cutoutFixtureId") for item in fixtures}
    fixture = str(by_cutout.get(f"cutout{slot}", "nothing"))
    ok = fixture == "trashBinAdapter"
    remedy = "" if ok else f"put the trash bin into slot {slot} and say so in the deck configuration"
    return Finding(
        subject=f"deck configuration {slot}", found=f"{fixture} (needs trashBinAdapter)", ok=ok, remedy=remedy
    )


def check_door(door: Json | None) -> Finding:
    """Door closed, where the robot asks for it."""
    status = "not reported" if door is None else str(door.get("status"))
    ok = door is None or status == "closed" or not door.get("doorRequiredClosedForProtocol", True)
    return Finding(subject="door", found=status, ok=ok, remedy="" if ok else "close the front door and the top window")


def check_estop(estop: Json | None) -> Finding:
    """Emergency stop not engaged."""
    status = "not reported" if estop is None else str(estop.get("status"))
    ok = status in {"not reported", "disengaged", "notPresent"}
    return Finding(subject="emergency stop", found=status, ok=ok, remedy="" if ok else "release the emergency stop")


def is_prepared(run: Json, csv: str) -> bool:
    """True for a run with this worklist file that was created and never played: it may be played in our place."""
    return run.get("status") == "idle" and not run.get("actions") and csv in csv_files(run)


def csv_files(run: Json) -> tuple[str, ...]:
    """Names of the data files a run was made with."""
    return tuple(str((parameter.get("file") or {}).get("name")) for parameter in run.get("runTimeParameters") or ())


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
