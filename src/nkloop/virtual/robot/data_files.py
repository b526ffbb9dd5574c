"""CSV files on the robot; the robot keeps a limited number and deletes the oldest unused one without a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from nkloop.virtual.robot.refusals import file_not_found, unexpected_file_format

MAX_DATA_FILES = 50


@dataclass(frozen=True)
class DataFile:
    """One stored file."""

    id: str
    name: str
    content: bytes
    created_at: str

    def shown(self) -> dict[str, str]:
        """The file as `/dataFiles` lists it."""
        return {"id": self.id, "name": self.name, "source": "uploaded", "createdAt": self.created_at}


class DataFiles:
    """The files, oldest first."""

    def __init__(self, now: Callable[[], str], in_use: Callable[[], set[str]]) -> None:
        self._now = now
        self._in_use = in_use
        self._files: dict[str, DataFile] = {}

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
            if (known.name, known.content) == (name, content):
                return known, False
        self._make_room()
        file = DataFile(str(uuid4()), name, content, self._now())
        self._files[file.id] = file
        return file, True

    def _make_room(self) -> None:
        overshoot = len(self._files) + 1 - MAX_DATA_FILES
        used = self._in_use()
        for file_id in [known for known in self._files if known not in used][: max(overshoot, 0)]:
            del self._files[file_id]
