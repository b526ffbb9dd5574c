"""What a robot's own analysis of a protocol says, compared with the worklist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nkloop.drivers.interfaces import announced_step
from nkloop.errors import DeviceError, Problem
from nkloop.worklists.analysis_check import compare_steps, read_commands
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist

Json = dict[str, Any]
CSV_PARAMETER = "worklist"
"""Variable name of the one CSV parameter every protocol has."""
_MOST = 5


def leaf_errors(errors: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Words of the innermost errors of a tree; the outer ones only say that something inside failed."""
    for error in errors:
        inner = [str(text) for text in leaf_errors(error.get("wrappedErrors") or ())]
        yield from inner or [f"{error.get('errorType', 'error')}: {error.get('detail', 'no detail')}"]


def require_usable(analysis: Json, worklist: Worklist, catalogue: LabwareLookup, *, where: str) -> None:
    """Refuse an analysis that failed, or that would not do what the worklist says, step by step.

    Raises:
        DeviceError: with one problem per error of the analysis, or per step that differs.
    """
    if analysis.get("result") != "ok":
        told = list(dict.fromkeys(leaf_errors(analysis.get("errors") or ())))
        told = told or [f"the analysis ended with '{analysis.get('result')}'"]
        remedy = "correct worklist or protocol; `nkloop check` finds the step"
        raise DeviceError.from_problems(
            Problem(f"the robot's analysis refused: {text}", where, remedy) for text in told
        )
    commands = analysis.get("commands") or ()
    _require_every_step(commands, worklist, where)
    done, problems = read_commands(worklist, commands, catalogue)
    problems = [*problems, *compare_steps(worklist, done)]
    if problems:
        more = [f"{len(problems) - _MOST} more differences"] if len(problems) > _MOST else []
        told = [f"{problem.where}: {problem.message}" for problem in problems[:_MOST]] + more
        remedy = "use the protocol file of this procedure; `nkloop check` compares it with the worklist"
        raise DeviceError.from_problems(
            Problem(f"the robot's analysis differs from the worklist: {text}", where, remedy) for text in told
        )


def _require_every_step(commands: Iterable[Mapping[str, Any]], worklist: Worklist, where: str) -> None:
    """Refuse an analysis that does not announce every step once and in order."""
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


def steps_by_key(commands: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Worklist step of each command by its key, which is the same in an analysis and in every run made like it.

    Commands before the first step, and keys that stand twice, are left out.
    """
    found: dict[str, int] = {}
    twice: set[str] = set()
    step: int | None = None
    for command in commands:
        if command.get("commandType") in {"comment", "waitForResume", "pause"}:
            announced = announced_step((command.get("params") or {}).get("message"))
            step = announced if announced is not None else step
        key = str(command.get("key") or command.get("id"))
        if step is not None and found.setdefault(key, step) != step:
            twice.add(key)
    return {key: number for key, number in found.items() if key not in twice}


def carries_file(analysis: Json, file_id: str) -> bool:
    """True when an analysis (or its summary) was made with this CSV file."""
    for parameter in analysis.get("runTimeParameters") or ():
        if parameter.get("variableName") == CSV_PARAMETER:
            return (parameter.get("file") or {}).get("id") == file_id
    return False
