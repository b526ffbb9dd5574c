"""Analyses of the protocols on the robot: pending, then completed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from nkloop.virtual.robot.data_files import DataFiles
from nkloop.virtual.robot.interfaces import Analyse, Analysis, Command
from nkloop.virtual.robot.occurrences import as_occurrence, exception_in_protocol, occurrence
from nkloop.virtual.robot.parameters import Parameter, missing_files
from nkloop.virtual.robot.protocol_source import ProtocolSource


@dataclass(frozen=True)
class EmptyAnalysis:
    """An analysis that ended before the first command."""

    result: str
    errors: tuple[dict[str, Any], ...]
    commands: tuple[Command, ...] = ()
    labware: tuple[dict[str, Any], ...] = ()
    pipettes: tuple[dict[str, Any], ...] = ()
    modules: tuple[dict[str, Any], ...] = ()
    liquids: tuple[dict[str, Any], ...] = ()


@dataclass
class AnalysisRecord:
    """One analysis resource; `outcome` is None while it is pending."""

    id: str
    parameters: list[Parameter]
    robot_type: str
    outcome: Analysis | None = None
    completed_at: str = ""
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def status(self) -> str:
        """`pending` or `completed`."""
        return "completed" if self.outcome else "pending"

    def summary(self, *, with_parameters: bool = False) -> dict[str, Any]:
        """The short form; the answer to the request that started it tells the parameters, too."""
        shown: dict[str, Any] = {"id": self.id, "status": self.status}
        return {**shown, "runTimeParameters": self.parameters} if with_parameters else shown

    def shown(self) -> dict[str, Any]:
        """The full form."""
        if self.outcome is None:
            return self.summary(with_parameters=True)
        return {
            **self.summary(),
            "result": "not-ok" if self.outcome.result == "invalid" else self.outcome.result,
            "robotType": self.robot_type,
            "runTimeParameters": self.parameters,
            "commands": list(self.outcome.commands),
            "labware": list(self.outcome.labware),
            "pipettes": list(self.outcome.pipettes),
            "modules": list(self.outcome.modules),
            "liquids": list(self.outcome.liquids),
            "errors": [as_occurrence(error, self.completed_at) for error in self.outcome.errors],
        }

    async def completed(self) -> Analysis:
        """Wait until it is completed."""
        if self.task is not None:
            await asyncio.shield(self.task)
        assert self.outcome is not None
        return self.outcome


class Analyser:
    """Starts analyses in the background."""

    def __init__(
        self, analyse: Analyse, files: DataFiles, folder: Path, now: Callable[[], str], robot_type: str
    ) -> None:
        self._analyse = analyse
        self._files = files
        self._folder = folder
        self._now = now
        self._robot_type = robot_type
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, source: ProtocolSource, parameters: list[Parameter]) -> AnalysisRecord:
        """Begin to analyse with these parameters; the record is pending until the task is done."""
        record = AnalysisRecord(str(uuid4()), parameters, self._robot_type)
        task = asyncio.create_task(self._work(source, record))
        record.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return record

    def refused(self, parameters: list[Parameter], kind: str, message: str) -> AnalysisRecord:
        """The analysis of a protocol whose parameters are wrong: completed at once, without commands."""
        outcome = EmptyAnalysis("not-ok", (occurrence(kind, message, self._now()),))
        return AnalysisRecord(str(uuid4()), parameters, self._robot_type, outcome, self._now())

    async def close(self) -> None:
        """Abandon what is still pending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, source: ProtocolSource, record: AnalysisRecord) -> None:
        outcome = await self._outcome(source, record.parameters)
        record.completed_at = self._now()
        record.outcome = outcome

    async def _outcome(self, source: ProtocolSource, parameters: list[Parameter]) -> Analysis:
        if missing_files(parameters):
            return EmptyAnalysis("parameter-value-required", (self._value_required(),))
        try:
            return await self._analyse(
                self._stored(source),
                csv=self._csv(parameters),
                labware=source.definitions,
                values=_changed(parameters),
            )
        except Exception as error:  # noqa: BLE001 - an analysis that stays pending would hang every client
            return EmptyAnalysis("not-ok", (occurrence(type(error).__name__, str(error), self._now()),))

    def _value_required(self) -> dict[str, Any]:
        detail = "CSV parameter needs to be set to a file for full analysis or run."
        error = occurrence("RuntimeParameterRequired", detail, self._now(), code="4010")
        return exception_in_protocol(error, "RUNTIME_PARAMETER_VALUE_REQUIRED")

    def _stored(self, source: ProtocolSource) -> Path:
        folder = self._folder / source.content_hash[:16]
        path = folder / Path(source.main[0]).name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.main[1])
        return path

    def _csv(self, parameters: list[Parameter]) -> str:
        files = [one["file"]["id"] for one in parameters if "file" in one]
        return self._files.get(files[0]).content.decode() if files else ""


def _changed(parameters: list[Parameter]) -> dict[str, Any]:
    """Values that differ from the defaults, so that equal runs look equal to the analysis cache."""
    chosen = [one for one in parameters if one["type"] != "csv_file" and one.get("value") != one.get("default")]
    return {one["variableName"]: int(one["value"]) if one["type"] == "int" else one["value"] for one in chosen}
