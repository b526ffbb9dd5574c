"""What an Opentrons analysis says, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from nkloop.errors import Problem
from nkloop.frozen import FrozenModel

Json = dict[str, Any]

_AT_LINE = re.compile(r"^(?:(?P<kind>\w+) )?\[line (?P<line>\d+)\]: (?P<text>.*)$", re.DOTALL)
_OURS = re.compile(r"(?P<where>worklist line \d+, column \w+): (?P<message>.*)\. Remedy: (?P<remedy>.*)$", re.DOTALL)
_IN_FILE = re.compile(r"^(?P<text>.*) \([\w.]+, line (?P<line>\d+)\)$", re.DOTALL)
_PREFIX = re.compile(r"^Error \d+ [A-Z_]+ \(\w+\): (?:PythonException: )?")
_STEP = re.compile(r"^step (\d+):")

REMEDIES = {
    "InvalidAspirateVolumeError": "split the transfer or take a tip that holds the volume",
    "InvalidDispenseVolumeError": "dispense no more than was aspirated",
    "TipNotAttachedError": "name a fresh tip in the step",
    "OutOfTipsError": "add a tip rack",
    "LocationIsOccupiedError": "give each labware a slot of its own; A3 is the trash bin",
    "IncompatibleAddressableAreaError": "use a slot that is free of modules and fixtures",
    "DeckConflictError": "give each labware a slot of its own; A3 is the trash bin",
    "LabwareDefinitionDoesNotExistError": "check load name, namespace and version; add custom definitions",
    "FileNotFoundError": "check load name, namespace and version; add custom definitions",
    "APIVersionError": "raise apiLevel in the protocol or leave the feature out",
    "RuntimeParameterRequired": "give the protocol its worklist CSV",
    "ParameterValueError": "keep run-time parameters within their bounds",
    "PartialTipMovementNotAllowedError": "leave the neighbouring slots low enough for the pipette",
    "ProtocolFilesInvalidError": "correct the file so that it is one valid Opentrons protocol",
}
"""What to do, by the Opentrons error type."""


class Analysis(FrozenModel):
    """The outcome of one analysis. Commands and loaded items keep the shape Opentrons gives them (camelCase)."""

    result: Literal["ok", "not-ok", "parameter-value-required", "invalid"]
    """`invalid`: the file was refused before it ran."""
    robot_type: str = ""
    """`OT-3 Standard` is a Flex."""
    errors: tuple[dict[str, str], ...] = ()
    """Each with `message`, `where`, `remedy`."""
    commands: tuple[Json, ...] = ()
    """In order, with `params` and `result`, without labware definitions."""
    labware: tuple[Json, ...] = ()
    pipettes: tuple[Json, ...] = ()
    modules: tuple[Json, ...] = ()
    liquids: tuple[Json, ...] = ()
    run_time_parameters: tuple[Json, ...] = ()

    @classmethod
    def from_worker(cls, answer: Json, protocol: str) -> Analysis:
        """Build from what the worker sends; `protocol` is the file name errors are told with."""
        told = problems_of(answer.get("errors", ()), answer.get("commands", ()), protocol)
        return cls(
            result=answer["result"],
            robot_type=answer.get("robotType", ""),
            errors=tuple({"message": p.message, "where": p.where, "remedy": p.remedy} for p in told),
            commands=answer.get("commands", ()),
            labware=answer.get("labware", ()),
            pipettes=answer.get("pipettes", ()),
            modules=answer.get("modules", ()),
            liquids=answer.get("liquids", ()),
            run_time_parameters=answer.get("runTimeParameters", ()),
        )

    @property
    def is_ok(self) -> bool:
        """True when the protocol runs through."""
        return self.result == "ok"


def problems_of(errors: Sequence[Json], commands: Sequence[Json], protocol: str) -> tuple[Problem, ...]:
    """Opentrons errors as problems: where (worklist line, or protocol line and step), message with code, remedy."""
    return tuple(_problem(error, _last_step(commands), protocol) for error in errors)


def _problem(error: Json, step: str, protocol: str) -> Problem:
    tree = list(_walk(error))
    ours = next((found for cause in tree if (found := _OURS.search(cause.get("detail", "")))), None)
    if ours:
        return Problem(ours["message"], ours["where"], ours["remedy"])
    detail = error.get("detail", "unknown error")
    at_line = _AT_LINE.match(detail) or _IN_FILE.match(detail)
    place = f"{protocol}:{at_line['line']}" if at_line else protocol
    text = " ".join(_PREFIX.sub("", at_line["text"] if at_line else detail).split()).rstrip(".")
    # The deepest cause is the most telling one; 4000 says only that something failed.
    kind = next((kind for cause in reversed(tree) for kind in _kinds(cause) if kind in REMEDIES), "")
    code = next((code for cause in reversed(tree) if (code := cause.get("errorCode", "4000")) != "4000"), "")
    return Problem(
        text[:1000] + (f" (Opentrons error {code})" if code else ""),
        f"{place}, {step}" if step else place,
        REMEDIES.get(kind, "correct the protocol or the worklist at this place"),
    )


def _kinds(error: Json) -> tuple[str, str, str]:
    """Names an error goes by: its own, that of the Python exception it wraps, that in front of its line."""
    at_line = _AT_LINE.match(error.get("detail", ""))
    named = (at_line["kind"] or "") if at_line else ""
    return error.get("errorType", ""), error.get("errorInfo", {}).get("class", ""), named


def _walk(error: Json) -> Iterator[Json]:
    yield error
    for cause in error.get("wrappedErrors", ()):
        yield from _walk(cause)


def _last_step(commands: Sequence[Json]) -> str:
    for command in reversed(commands):
        said = (
            _STEP.match(command.get("params", {}).get("message", "")) if command["commandType"] == "comment" else None
        )
        if said:
            return f"step {said[1]}"
    return ""
