"""What a robot's own analysis of a protocol says, compared with the worklist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nkloop.drivers.interfaces import announced_step
from nkloop.errors import DeviceError, Problem
from nkloop.worklists.models import Worklist

Json = dict[str, Any]
CSV_PARAMETER = "worklist"
"""Variable name of the one CSV parameter every protocol has."""


def leaf_errors(errors: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Words of the innermost errors of a tree; the outer ones only say that something inside failed."""
    for error in errors:
        inner = [str(text) for text in leaf_errors(error.get("wrappedErrors") or ())]
        yield from inner or [f"{error.get('errorType', 'error')}: {error.get('detail', 'no detail')}"]


def require_usable(analysis: Json, worklist: Worklist, *, where: str) -> None:
    """Refuse an analysis that failed or that would not do every step of the worklist, once and in order.

    Raises:
        DeviceError: with one problem per error of the analysis.
    """
    if analysis.get("result") != "ok":
        told = list(dict.fromkeys(leaf_errors(analysis.get("errors") or ())))
        told = told or [f"the analysis ended with '{analysis.get('result')}'"]
        remedy = "correct worklist or protocol; `nkloop check` finds the step"
        raise DeviceError.from_problems(
            Problem(f"the robot's analysis refused: {text}", where, remedy) for text in told
        )
    commands = analysis.get("commands") or ()
    comments = (c["params"].get("message") for c in commands if c.get("commandType") == "comment")
    announced = [number for number in map(announced_step, comments) if number is not None]
    expected = [step.number for step in worklist.steps]
    if announced != expected:
        missing = sorted(set(expected) - set(announced))
        detail = f"misses steps {missing[:10]}" if missing else "announces steps in another order"
        raise DeviceError(
            f"the robot's analysis {detail} of {len(expected)}",
            where=where,
            remedy="upload the protocol file that belongs to this version of the worklist",
        )


def carries_file(analysis: Json, file_id: str) -> bool:
    """True when an analysis (or its summary) was made with this CSV file."""
    for parameter in analysis.get("runTimeParameters") or ():
        if parameter.get("variableName") == CSV_PARAMETER:
            return (parameter.get("file") or {}).get("id") == file_id
    return False
