"""Files copied out of devices: kept below the state folder, named and hashed in the database."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.database import Database
from nkloop.records.models import SavedFile

FOLDER = "device-files"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class DeviceFiles:
    """Writes a file first and its row second, so that a row always has its file."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self.folder = folder
        """Paths of saved files are below this one."""

    def save(self, run_id: str, files: Sequence[tuple[str, str, bytes]]) -> tuple[SavedFile, ...]:
        """Keep files of a run: name, media type, content. A file that is kept already is not kept twice.

        Raises:
            RecordError: the folder cannot be written, or the database refused.
        """
        kept = {(row.name, row.sha256) for row in self.of_run(run_id)}
        for name, media_type, content in files:
            digest = hashlib.sha256(content).hexdigest()
            if (name, digest) in kept:
                continue
            path = self._written(run_id, name, digest, content)
            row = {"run_id": run_id, "name": name, "sha256": digest, "path": path, "media_type": media_type}
            with self._database.writing() as connection:
                values = {**row, "n_bytes": len(content), "saved_at": datetime.now(UTC)}
                write(connection, schema.device_files, values, action="device file saved")
            kept.add((name, digest))
        return self.of_run(run_id)

    def of_run(self, run_id: str) -> tuple[SavedFile, ...]:
        """Files of a run in the order they were saved."""
        table = schema.device_files
        columns = [column for column in table.c if column.name not in {"id", "run_id"}]
        query = sa.select(*columns).where(table.c.run_id == run_id).order_by(table.c.id)
        with self._database.reading() as connection:
            return tuple(SavedFile.model_validate(dict(row)) for row in connection.execute(query).mappings())

    def content(self, file: SavedFile) -> bytes:
        """A saved file as the device gave it.

        Raises:
            RecordError: it is gone, or was changed since.
        """
        path = self.folder / file.path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise RecordError(
                f"the file was changed: its hash is {found[:12]}, the records say {file.sha256[:12]}",
                where=str(path),
                remedy="restore it from a backup",
            )
        return content

    def _written(self, run_id: str, name: str, digest: str, content: bytes) -> str:
        safe = _UNSAFE.sub("_", Path(name).name).strip(".") or "file"
        relative = Path(FOLDER) / run_id / f"{digest[:12]}-{safe}"
        path = self.folder / relative
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{os.getpid()}")
            with partial.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except OSError as error:
            raise RecordError(
                f"cannot be written: {error.strerror or error}", where=str(path), remedy="free space, check rights"
            ) from error
        return str(relative)
