"""Error recovery of runs on an Opentrons robot: its policy, what failed, which ways on are truly open.

What the robot's software does (9.0, read): both resume actions go on BEHIND the failed command. Assuming a false
positive, it also believes what the command was to achieve, for tips. After an overpressure the plunger's place is
unknown and so is the volume in the tip, so that the next command with liquid ends the run; after a stall the same holds
for the gantry. Those two, and a gripper that lost its labware, are recovered from on the robot's screen or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from nkloop.drivers.interfaces import Choice, announced_step
from nkloop.drivers.opentrons.analysis import leaf_errors
from nkloop.drivers.opentrons.client import UNCLEAR, Json, RobotClient
from nkloop.drivers.recovering import AGAIN, SCREEN, SKIP, STOP, Recovery, Way
from nkloop.errors import BenchError, DeviceError

ErrorRecovery = Literal["ask", "fail"]
"""`ask`: the robot waits and people are asked; `fail`: the run ends, and what was done stays known."""
RECOVERABLE = {
    "overpressure": ("aspirate", "aspirateInPlace", "dispense", "dispenseInPlace", "blowout", "blowOutInPlace",
                     "prepareToAspirate", "airGapInPlace", "pickUpTip", "dropTip", "dropTipInPlace"),
    "liquidNotFound": ("liquidProbe", "aspirate"),
    "tipPhysicallyMissing": ("pickUpTip",),
    "tipPhysicallyAttached": ("dropTip", "dropTipInPlace"),
    "stallOrCollision": ("aspirate", "aspirateInPlace", "dispense", "dispenseInPlace", "moveToWell", "pickUpTip",
                         "dropTip", "home", "moveToAddressableArea", "moveToAddressableAreaForDropTip", "touchTip"),
    "gripperMovement": ("moveLabware",),
}  # fmt: skip
"""Defined errors of the robot's software (8.2 to 10.1), and the commands they come from."""
RESUMABLE: dict[tuple[str, str], tuple[Choice, ...]] = {
    ("tipPhysicallyMissing", "pickUpTip"): (AGAIN, SKIP),
    ("tipPhysicallyAttached", "dropTip"): (AGAIN, SKIP),
    ("tipPhysicallyAttached", "dropTipInPlace"): (AGAIN, SKIP),
    ("liquidNotFound", "liquidProbe"): (AGAIN, SKIP),
}
"""Error and command to the ways on that leave robot and record in one state; none of these commands moves liquid."""
PAGE = 200
LOOKS = 60
"""Looks at a command sent in recovery that has not ended, one per `LOOK_SECONDS`."""
LOOK_SECONDS = 1.0
_RESUME = "resume-from-recovery"


def policy(error_recovery: ErrorRecovery) -> dict[str, Any] | None:
    """Body of `PUT /runs/{id}/errorRecoveryPolicy`, or None when the robot's own way is wanted."""
    if error_recovery == "ask":
        return None
    rules = [
        {"matchCriteria": {"command": {"commandType": kind, "error": {"errorType": error}}}, "ifMatch": "failRun"}
        for error, kinds in RECOVERABLE.items()
        for kind in kinds
    ]
    return {"policyRules": rules}


def checked_policy(error_recovery: ErrorRecovery, resumes: Sequence[str], where: str) -> frozenset[str]:
    """The errors a bench lets people resume from.

    Raises:
        BenchError: `error_recovery` is unknown, an error is none that can be resumed from, or nobody would be asked.
    """
    if error_recovery not in {"ask", "fail"}:
        raise BenchError(f"error_recovery is '{error_recovery}'", where=where, remedy="write ask or fail")
    known = sorted({error for error, _ in RESUMABLE})
    for name in resumes:
        if name not in known:
            told = "can be recovered from on the robot's screen only" if name in RECOVERABLE else "is no error"
            raise BenchError(f"resumes: '{name}' {told}", where=where, remedy=f"use some of: {', '.join(known)}")
    if resumes and error_recovery == "fail":
        raise BenchError(
            "resumes names errors, but with error_recovery: fail nobody is asked",
            where=where,
            remedy="write error_recovery: ask, or leave resumes out",
        )
    return frozenset(resumes)


async def recovery_of(client: RobotClient, run: Json, resumes: frozenset[str]) -> Recovery | None:
    """What a run waits behind, None when it does not wait; reads all commands, which disturbs no robot at rest.

    Raises:
        DeviceUnreachableError: no answer.
    """
    if run["status"] != "awaiting-recovery":
        return None
    items, links = await _commands(client, run["id"])
    link = ((links.get("currentlyRecoveringFrom") or {}).get("meta") or {}).get("commandId")
    failed = next((one for one in reversed(items) if one["id"] == link or (not link and _has_failed(one))), None)
    if failed is None:
        return None
    error = failed.get("error") or {}
    kind, command = str(error.get("errorType", "")), str(failed["commandType"])
    open_ways = RESUMABLE.get((kind, command), ()) if kind in resumes else ()
    return Recovery(
        command_id=failed["id"],
        command=command,
        error_kind=kind,
        told="; ".join(dict.fromkeys((str(error.get("detail", "")), *_innermost(error)))),
        step=_step_before(items, failed),
        place=_place(failed, run),
        choices=(*open_ways, SCREEN, STOP),
    )


async def recover(client: RobotClient, run: Json, seen: Recovery, way: Way) -> str | None:
    """Do what `again` asks for and tell the action that lets the run go on; None when none is to be sent.

    A command sent in recovery is never sent twice: after an unclear answer, and before the first, the robot's own list
    tells whether it is there.

    Raises:
        DeviceError: the run does not wait behind this command (any more), or the way is not open.
        DeviceUnreachableError: no answer.
    """
    if way not in {one.key for one in seen.choices}:
        raise _refused(client, f"'{way}' is not open after {seen.error_kind} of {seen.command}")
    if way not in {"again", "skip"}:
        return None
    items, links = await _commands(client, run["id"])
    link = ((links.get("currentlyRecoveringFrom") or {}).get("meta") or {}).get("commandId", seen.command_id)
    if run["status"] != "awaiting-recovery" or link != seen.command_id:
        raise _refused(client, f"the run no longer waits behind this error: it is {run['status']}")
    if way == "skip":
        return f"{_RESUME}-assuming-false-positive"
    done = await _done_again(client, run["id"], next(one for one in items if one["id"] == seen.command_id), items)
    return _RESUME if done else None


async def _done_again(client: RobotClient, run_id: str, failed: Json, items: Sequence[Json]) -> bool:
    """Whether a failed command has now been done once more; a second failure leaves the run waiting."""
    mine = [one for one in items if one.get("failedCommandId") == failed["id"]]
    if any(one["status"] == "succeeded" and one["commandType"] == failed["commandType"] for one in mine):
        return True  # before an interruption of ours
    fix = {key: failed[key] for key in ("commandType", "params")}
    fix |= {"intent": "fixit", "failedCommandId": failed["id"]}
    known = {one["id"] for one in items}
    try:
        await client.post(f"/runs/{run_id}/commands?waitUntilComplete=true", fix)
    except UNCLEAR:
        if not await _sent_since(client, run_id, known, failed["id"]):
            raise
    for _ in range(LOOKS):
        mine = await _sent_since(client, run_id, known, failed["id"])
        if mine and mine[-1]["status"] not in {"queued", "running"}:
            return bool(mine[-1]["status"] == "succeeded")
        await asyncio.sleep(LOOK_SECONDS)
    raise DeviceError(
        f"{failed['commandType']} was sent once more and has not ended within {LOOKS * LOOK_SECONDS:g} s",
        where=client.name,
        remedy="look at the robot and its screen; it is not sent again",
    )


async def _sent_since(client: RobotClient, run_id: str, known: set[str], failed_id: str) -> list[Json]:
    items, _ = await _commands(client, run_id)
    return [one for one in items if one["id"] not in known and one.get("failedCommandId") == failed_id]


async def _commands(client: RobotClient, run_id: str) -> tuple[list[Json], Json]:
    found: list[Json] = []
    while True:
        page = await client.get(f"/runs/{run_id}/commands", cursor=len(found), pageLength=PAGE)
        found.extend(page["data"])
        if not page["data"] or len(found) >= page["meta"]["totalLength"]:
            return found, page.get("links") or {}


def _innermost(error: Json) -> list[str]:
    return [told.partition(": ")[2] for told in leaf_errors([error])]


def _has_failed(item: Json) -> bool:
    return item["status"] == "failed" and item.get("intent") != "setup"


def _step_before(items: Sequence[Json], failed: Json) -> int | None:
    step = None
    for item in items:
        if item["commandType"] in {"comment", "waitForResume", "pause"}:
            step = announced_step((item.get("params") or {}).get("message")) or step
        if item["id"] == failed["id"]:
            break
    return step


def _place(failed: Json, run: Json) -> str:
    """Labware, slot and well of a command, as its run names them."""
    params = failed.get("params") or {}
    item = next((one for one in run.get("labware") or () if one["id"] == params.get("labwareId")), None)
    if item is None:
        return str(params.get("wellName") or "")
    location = item.get("location")
    slot = location.get("slotName") or location.get("addressableAreaName") if isinstance(location, dict) else None
    name = item.get("displayName") or item.get("loadName") or ""
    return " ".join(filter(None, (name, f"in slot {slot}," if slot else "", str(params.get("wellName") or ""))))


def _refused(client: RobotClient, told: str) -> DeviceError:
    return DeviceError(told, where=client.name, remedy="look at the robot's screen; nothing was sent for this answer")
