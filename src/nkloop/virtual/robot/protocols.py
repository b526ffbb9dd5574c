"""Protocols on the robot; it keeps five that no run refers to and deletes the oldest without a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from nkloop.virtual.robot.analyses import Analyser, AnalysisRecord
from nkloop.virtual.robot.data_files import DataFiles
from nkloop.virtual.robot.memory import Memory
from nkloop.virtual.robot.models import RobotModel
from nkloop.virtual.robot.parameters import Parameter, ParameterError, with_values
from nkloop.virtual.robot.protocol_source import ProtocolSource, read_protocol
from nkloop.virtual.robot.refusals import analysis_not_found, protocol_not_found, protocol_used

MAX_UNUSED_PROTOCOLS = 5
MAX_ANALYSES = 5
Values = Mapping[str, Any]
FileIds = Mapping[str, str]


@dataclass
class ProtocolRecord:
    """One protocol with its analyses, oldest first."""

    id: str
    created_at: str
    source: ProtocolSource
    key: str | None
    robot_type: str
    analyses: list[AnalysisRecord] = field(default_factory=list)

    def shown(self, started: AnalysisRecord | None = None) -> dict[str, Any]:
        """The protocol as `/protocols` lists it; the analysis just started tells its parameters."""
        return {
            "id": self.id,
            "createdAt": self.created_at,
            "files": self.source.files,
            "protocolType": "python",
            "robotType": self.robot_type,
            "metadata": self.source.metadata,
            "analyses": [],
            "analysisSummaries": self.summaries(started),
            "key": self.key,
            "protocolKind": "standard",
        }

    def summaries(self, started: AnalysisRecord | None = None) -> list[dict[str, Any]]:
        """Short forms of the analyses."""
        return [record.summary(with_parameters=record is started) for record in self.analyses]

    def analysis(self, analysis_id: str) -> AnalysisRecord:
        """Look an analysis up.

        Raises:
            Refusal: there is none.
        """
        for record in self.analyses:
            if record.id == analysis_id:
                return record
        raise analysis_not_found(analysis_id)


class Protocols:
    """The protocols, oldest first."""

    def __init__(
        self,
        analyser: Analyser,
        files: DataFiles,
        now: Callable[[], str],
        in_use: Callable[[], set[str]],
        memory: Memory,
        model: RobotModel,
    ) -> None:
        self._analyser = analyser
        self._files = files
        self._now = now
        self._in_use = in_use
        self._memory = memory
        self._model = model
        self._protocols = {row["id"]: self._recalled(row) for row in memory.recall("protocol")}

    def all(self) -> list[ProtocolRecord]:
        """Every protocol kept."""
        return list(self._protocols.values())

    def get(self, protocol_id: str) -> ProtocolRecord:
        """Look a protocol up.

        Raises:
            Refusal: there is none.
        """
        if protocol_id not in self._protocols:
            raise protocol_not_found(protocol_id)
        return self._protocols[protocol_id]

    def add(
        self, source: ProtocolSource, key: str | None, values: Values, files: FileIds
    ) -> tuple[ProtocolRecord, AnalysisRecord | None, bool]:
        """Store and analyse; known content gives the protocol stored before, analysed only for other parameters.

        Returns: the protocol, the analysis started now if any, whether the protocol is new.

        Raises:
            Refusal: a data file that is not on the robot.
        """
        for known in self._protocols.values():
            if known.source.content_hash == source.content_hash:
                return known, self.analyse(known, values, files)[0], False
        self.named_files(files)
        self._make_room()
        protocol = ProtocolRecord(str(uuid4()), self._now(), source, key, self._model.robot_type)
        self._protocols[protocol.id] = protocol
        uploads = [(name, content.decode("latin-1")) for name, content in source.uploads]
        row = {"id": protocol.id, "at": protocol.created_at, "uploads": uploads, "key": key}
        self._memory.keep("protocol", protocol.id, row)
        return protocol, self.analyse(protocol, values, files)[0], True

    def analyse(
        self, protocol: ProtocolRecord, values: Values, files: FileIds, *, is_forced: bool = False
    ) -> tuple[AnalysisRecord | None, bool]:
        """Analyse unless the newest analysis had the same parameters.

        Returns: the analysis started now if any, and whether it is under way (wrong parameters complete at once).

        Raises:
            Refusal: a data file that is not on the robot.
        """
        try:
            parameters = self.parameters(protocol, values, files)
        except ParameterError as error:
            record = self._analyser.refused(list(protocol.source.parameters), error.kind, str(error))
            self._keep(protocol, record)
            return record, False
        if not is_forced and protocol.analyses and protocol.analyses[-1].parameters == parameters:
            return None, False
        record = self._analyser.start(protocol.source, parameters)
        self._keep(protocol, record)
        return record, True

    def analysis_for(self, protocol: ProtocolRecord, parameters: list[Parameter]) -> AnalysisRecord:
        """The analysis a run with these parameters follows; made now if the protocol has none."""
        for record in reversed(protocol.analyses):
            if record.parameters == parameters:
                return record
        record = self._analyser.start(protocol.source, parameters)
        self._keep(protocol, record)
        return record

    def parameters(self, protocol: ProtocolRecord, values: Values, files: FileIds) -> list[Parameter]:
        """The parameters of the protocol as a client set them.

        Raises:
            ParameterError: unknown parameter, wrong type or out of bounds.
            Refusal: a data file that is not on the robot.
        """
        return with_values(protocol.source.parameters, values, self.named_files(files))

    def named_files(self, files: FileIds) -> dict[str, dict[str, str]]:
        """Variable name to `{id, name}` of its data file.

        Raises:
            Refusal: a data file that is not on the robot.
        """
        found = {name: self._files.get(file_id, status=422) for name, file_id in files.items()}
        return {name: {"id": file.id, "name": file.name} for name, file in found.items()}

    def remove(self, protocol_id: str) -> None:
        """Delete a protocol.

        Raises:
            Refusal: there is none, or a run refers to it.
        """
        self.get(protocol_id)
        if protocol_id in self._in_use():
            raise protocol_used(protocol_id)
        self._forget(protocol_id)

    def _keep(self, protocol: ProtocolRecord, record: AnalysisRecord) -> None:
        protocol.analyses = [*protocol.analyses, record][-MAX_ANALYSES:]

    def _make_room(self) -> None:
        used = self._in_use()
        unused = [known for known in self._protocols if known not in used]
        for protocol_id in unused[: max(len(unused) + 1 - MAX_UNUSED_PROTOCOLS, 0)]:
            self._forget(protocol_id)

    def _forget(self, protocol_id: str) -> None:
        del self._protocols[protocol_id]
        self._memory.drop("protocol", protocol_id)

    def _recalled(self, row: dict[str, Any]) -> ProtocolRecord:
        """A protocol from before the power was off; its analyses are made anew when they are asked for."""
        source = read_protocol([(name, text.encode("latin-1")) for name, text in row["uploads"]], self._model)
        return ProtocolRecord(row["id"], row["at"], source, row["key"], self._model.robot_type)
