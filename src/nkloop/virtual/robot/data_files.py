"""CSV files on the robot; the robot keeps a limited number and deletes the oldest unused one without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from nkloop.virtual.robot.memory import Memory
from nkloop.virtual.robot.refusals import file_not_found, unexpected_file_format

MAX_DATA_FILES = 50


@dataclass(frozen=True)
class DataFile:
    """One stored file."""

    id: str
    name: str
    content: bytes
    created_at: str
    source: str = "uploaded"
    """`uploaded`, or `generated` by a run."""

    def shown(self) -> dict[str, str]:
        """The file as `/dataFiles` lists it."""
        return {"id": self.id, "name": self.name, "source": self.source, "createdAt": self.created_at}


class DataFiles:
    """The files, oldest first."""

    def __init__(self, now: Callable[[], str], in_use: Callable[[], set[str]], memory: Memory) -> None:
        self._now = now
        self._in_use = in_use
        self._memory = memory
        self._files = {row["id"]: _from_row(row) for row in memory.recall("file")}

    def all(self) -> list[DataFile]:
        """Every file kept."""
        return list(self._files.values())

    def get(self, file_id: str, *, status: int = 404) -> DataFile:
        """Look a file up.

        Raises:
            Refusal: there is none, answered with `status`.
        """
        if file_id not in self._files:
            raise file_not_found(file_id, status)
        return self._files[file_id]

    def add(self, name: str, content: bytes) -> tuple[DataFile, bool]:
        """Store a file; the same name and content give the file stored before and False.

        Raises:
            Refusal: the name does not end in `.csv`.
        """
        if not name.lower().endswith(".csv"):
            raise unexpected_file_format()
        for known in self._files.values():
            if (known.name, known.content, known.source) == (name, content, "uploaded"):
                return known, False
        return self._store(name, content, "uploaded"), True

    def generate(self, name: str, content: bytes) -> DataFile:
        """Store a file that a run has made."""
        return self._store(name, content, "generated")

    def remove(self, file_ids: Iterable[str]) -> None:
        """Delete files, without a word."""
        for file_id in file_ids:
            if self._files.pop(file_id, None) is not None:
                self._memory.drop("file", file_id)

    def _store(self, name: str, content: bytes, source: str) -> DataFile:
        self._make_room()
        file = DataFile(str(uuid4()), name, content, self._now(), source)
        self._files[file.id] = file
        row = {"id": file.id, "name": name, "content": content.decode("latin-1"), "at": file.created_at}
        self._memory.keep("file", file.id, {**row, "source": source})
        return file

    def _make_room(self) -> None:
        overshoot = len(self._files) + 1 - MAX_DATA_FILES
        used = self._in_use()
        self.remove([known for known in self._files if known not in used][: max(overshoot, 0)])


def _from_row(row: dict[str, Any]) -> DataFile:
    return DataFile(row["id"], row["name"], row["content"].encode("latin-1"), row["at"], row["source"])
