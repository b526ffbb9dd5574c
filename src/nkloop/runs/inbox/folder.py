"""The watched folder: which files are whole, and where they go afterwards."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nkloop.errors import WorkspaceError

DONE = "done"
"""Folder inside the watched one for files that were recorded."""
QUARANTINE = "quarantine"
"""Folder inside the watched one for files that were put aside, each beside its reason."""
_REASON_SUFFIX = ".reason.txt"
_UNFINISHED = re.compile(
    r"^[.~]|^~\$|\.(tmp|temp|part|partial|crdownload|download|filepart|swp|lock|lck|bak)$|~$|\.reason\.txt$|^thumbs\.db$|"
    r"^desktop\.ini$",
    re.IGNORECASE,
)
"""Names that programs give to files they have not finished, and files that are none of a reader's."""


@dataclass
class QuietFiles:
    """Tells files that somebody is still writing from whole ones, by looking at them again and again."""

    folder: Path
    quiet_seconds: float
    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[tuple[int, int, int], float]] = field(default_factory=dict)
    """Name to (size, time of change, inode) and since when it has been so."""

    def look(self) -> tuple[Path, ...]:
        """Files that have been as they are for the quiet time, oldest first; made by rename or written in place.

        Raises:
            WorkspaceError: the folder cannot be read, for example because a network share is gone.
        """
        now, found, whole = self.clock(), {}, []
        for entry, state in self._entries():
            known, since = self._seen.get(entry.name, (None, now))
            since = since if known == state else now
            found[entry.name] = (state, since)
            if now - since >= self.quiet_seconds and state[0] > 0 and self._may_be_opened(entry):
                whole.append((state[1], entry))
        self._seen = found
        return tuple(path for _, path in sorted(whole, key=lambda item: (item[0], item[1].name)))

    @property
    def waiting(self) -> bool:
        """Whether a file was seen that is not yet known to be whole."""
        now = self.clock()
        return any(now - since < self.quiet_seconds for _, since in self._seen.values())

    def _entries(self) -> list[tuple[Path, tuple[int, int, int]]]:
        entries = []
        try:
            with os.scandir(self.folder) as listing:
                for item in listing:
                    if _UNFINISHED.search(item.name) or not item.is_file(follow_symlinks=False):
                        continue
                    try:
                        told = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # renamed or taken by another inbox between the listing and the look
                    entries.append((Path(item.path), (told.st_size, told.st_mtime_ns, told.st_ino)))
        except OSError as error:
            raise WorkspaceError(
                f"the inbox cannot be read: {error.strerror or error}",
                where=str(self.folder),
                remedy="make the folder, mount the share, and give this user the right to read and write in it",
            ) from error
        return entries

    def _may_be_opened(self, path: Path) -> bool:
        """False while a program holds the file (a lock of the share, an open workbook)."""
        if (path.parent / f"~${path.name}").exists() or (path.parent / f".~lock.{path.name}#").exists():
            return False
        try:
            with path.open("rb"):
                return True
        except OSError:
            return False


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Size, time of change and inode of a file; None when it is gone. The same stamp means the same content."""
    try:
        told = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return told.st_size, told.st_mtime_ns, told.st_ino


def file_away(path: Path, inbox: Path, place: str, reason: str = "") -> str:
    """Move a file into a folder of the inbox; the reason is written first, so that no file lies there without one.

    Returns:
        Where it is now, relative to the inbox; empty when another inbox has moved it meanwhile.

    Raises:
        WorkspaceError: it cannot be moved.
    """
    folder = inbox / place
    try:
        folder.mkdir(exist_ok=True)
        target = _free(folder, path.name)
        note = reason_of(target)
        if reason:
            draft = note.with_name(f".{note.name}.{os.getpid()}")
            draft.write_text(reason.rstrip() + "\n", encoding="utf-8")
            draft.replace(note)
        try:
            path.rename(target)
        except FileNotFoundError:
            note.unlink(missing_ok=True)
            return ""
        reason_of(path).unlink(missing_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"cannot be moved to {place}: {error.strerror or error}",
            where=str(path),
            remedy="give this user the right to write in the inbox and its folders",
        ) from error
    return f"{place}/{target.name}"


def reason_of(path: Path) -> Path:
    """The text beside a file in quarantine."""
    return path.with_name(path.name + _REASON_SUFFIX)


def _free(folder: Path, name: str) -> Path:
    """A name in the folder that no other file has."""
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path
