"""Are the pipettes calibrated? A Flex tells it with its instruments, an OT-2 in lists of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nkloop.drivers.interfaces import Finding

Json = dict[str, Any]
_REMEDY = "calibrate it on the robot's screen or in the Opentrons App"


def check_flex(instruments: Iterable[Json], mounts: Iterable[str]) -> Iterable[Finding]:
    """A Flex pipette that was calibrated has a date; one that never was has offsets of zero and none."""
    by_mount = {item.get("mount"): item for item in instruments if item.get("instrumentType") == "pipette"}
    for mount in mounts:
        offset = (by_mount.get(mount, {}).get("data") or {}).get("calibratedOffset")
        if offset is None:
            continue  # no pipette there, which is told already, or one that tells nothing
        yield _finding(mount, offset.get("last_modified"), bad=bool(offset.get("reasonability_check_failures")))


def check_ot2(
    status: Json | None, offsets: Iterable[Json] | None, instruments: Iterable[Json], mounts: Iterable[str]
) -> Iterable[Finding]:
    """The deck of an OT-2 and each of its pipettes, found in the list by serial number and mount."""
    deck = ((status or {}).get("deckCalibration") or {}).get("status")
    if deck is not None:
        ok = deck == "OK"
        remedy = "" if ok else "calibrate the deck in the Opentrons App"
        yield Finding(subject="deck calibration", found=str(deck), ok=ok, remedy=remedy)
    serials = {item.get("mount"): item.get("serialNumber") for item in instruments}
    known = {(item.get("mount"), item.get("pipette")): item for item in offsets or ()}
    for mount in mounts:
        if offsets is None or serials.get(mount) is None:
            continue
        item = known.get((mount, serials[mount]), {})
        yield _finding(mount, item.get("lastModified"), bad=bool((item.get("status") or {}).get("markedBad")))


def _finding(mount: str, when: Any, *, bad: bool) -> Finding:
    ok = bool(when) and not bad
    found = f"on {str(when)[:10]}" if when else "never"
    found = f"{found}, but marked as bad" if bad else found
    return Finding(subject=f"{mount} pipette calibration", found=found, ok=ok, remedy="" if ok else _REMEDY)
