"""What the robot still knows after its power was off: one SQLite file of documents, or nothing at all."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Literal

Kind = Literal["file", "protocol", "run", "setting"]
Document = dict[str, Any]


class Memory:
    """Documents by kind and id, in the order in which they were first remembered.

    Every change is handed to the operating system before the call returns, so that it outlives a killed process; it
    is not forced to the disk, because nothing here has to outlive the computer.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open or create the file; None remembers nothing beyond this process."""
        self._connection: sqlite3.Connection | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS documents"
                " (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL,"
                " UNIQUE (kind, id))"
            )

    def keep(self, kind: Kind, identifier: str, document: Document) -> None:
        """Remember a document in place of the one remembered before under its id."""
        if self._connection is not None:
            self._connection.execute(
                "INSERT INTO documents (kind, id, document) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document",
                (kind, identifier, json.dumps(document, separators=(",", ":"))),
            )

    def drop(self, kind: Kind, identifier: str) -> None:
        """Forget a document; nothing happens when it was never remembered."""
        if self._connection is not None:
            self._connection.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, identifier))

    def recall(self, kind: Kind) -> list[Document]:
        """Every document of a kind, oldest first."""
        if self._connection is None:
            return []
        rows = self._connection.execute("SELECT document FROM documents WHERE kind = ? ORDER BY number", (kind,))
        return [json.loads(text) for (text,) in rows]

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
