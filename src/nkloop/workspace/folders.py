"""Finding and making workspaces."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nkloop
from nkloop.errors import WorkspaceError
from nkloop.frozen import FrozenModel

FOLDERS = ("recipes", "protocols", "labware", "devices", "flows")
"""What makes a folder a workspace."""
_FILES = ("prefect.yaml",)
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc", ".nkloop", ".*")


class Workspace(FrozenModel):
    """A folder with the top-level folders of nkloop; the repository is one."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> Workspace:
        """The workspace a path lies in: the path itself or the nearest folder above it.

        Raises:
            WorkspaceError: neither it nor any folder above is a workspace.
        """
        place = start.resolve()
        for folder in (place, *place.parents):
            if all((folder / name).is_dir() for name in FOLDERS):
                return cls(root=folder)
        raise WorkspaceError(
            f"neither this folder nor one above it has the folders {', '.join(FOLDERS)}",
            where=str(start),
            remedy="go to a workspace, or make one with: nkloop init DIR",
        )

    @classmethod
    def create(cls, folder: Path) -> Workspace:
        """Make a workspace with everything that ships with nkloop in a new or empty folder.

        Raises:
            WorkspaceError: the folder is not empty or cannot be written; nothing half done is left behind.
        """
        # Resolved first: `new/../full` must be seen as `full`, and no `new` be made on the way.
        source, target = shipped(), folder.resolve()
        try:
            if target.is_dir() and any(target.iterdir()):
                raise WorkspaceError(
                    "the folder is not empty", where=str(folder), remedy="name a new or an empty folder"
                )
            if target.exists() and not target.is_dir():
                raise WorkspaceError("this is a file, not a folder", where=str(folder), remedy="name a new folder")
            with _all_or_nothing(target) as made:
                _fill(target, source, made)
        except OSError as error:
            raise WorkspaceError(
                f"cannot be written: {error.strerror or error}", where=str(folder), remedy="name a folder you may write"
            ) from error
        return cls(root=target)

    @property
    def recipes(self) -> Path:
        """Culture recipes."""
        return self.root / "recipes"

    @property
    def protocols(self) -> Path:
        """Robot protocols and their example worklists."""
        return self.root / "protocols"

    @property
    def labware(self) -> Path:
        """Labware catalogue and custom definitions."""
        return self.root / "labware"

    @property
    def devices(self) -> Path:
        """Bench files and lot lists."""
        return self.root / "devices"

    @property
    def flows(self) -> Path:
        """Prefect flows."""
        return self.root / "flows"

    @property
    def methods(self) -> Path:
        """A lab's own assay methods; the folder need not exist."""
        return self.root / "assays" / "methods"

    @property
    def state(self) -> Path:
        """What nkloop itself writes: database, caches, reports. Made by whoever writes there first."""
        return self.root / ".nkloop"


def shipped() -> Path:
    """The folder with the workspace that ships with nkloop: in the wheel, or the checkout it runs from.

    Raises:
        WorkspaceError: neither is there; the installation is broken.
    """
    package = Path(nkloop.__file__).resolve().parent
    for folder in (package / "_workspace", package.parent.parent):
        if all((folder / name).is_dir() for name in FOLDERS):
            return folder
    raise WorkspaceError(
        f"the folders {', '.join(FOLDERS)} that ship with nkloop are missing",
        where=str(package),
        remedy="install nkloop again",
    )


@contextmanager
def _all_or_nothing(target: Path) -> Iterator[list[Path]]:
    """Make `target`; when the block does not end well, remove what it put on the list and the folders made here."""
    missing = [folder for folder in (target, *target.parents) if not folder.exists()]
    made: list[Path] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        yield made
    except BaseException:  # an interrupt must leave nothing behind either
        for entry in made:
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        with suppress(OSError):  # not made yet, or somebody else has put something there: it stays
            for folder in missing:
                if folder.exists():
                    folder.rmdir()
        raise


def _fill(target: Path, source: Path, made: list[Path]) -> None:
    """Copy aside first and move into place last, so that a half copied folder is never taken for a workspace.

    What it makes goes on `made` at once.
    """
    draft = Path(tempfile.mkdtemp(dir=target, prefix=".nkloop-init-"))
    made.append(draft)
    for name in FOLDERS:
        shutil.copytree(source / name, draft / name, ignore=_NOT_COPIED)
    for name in _FILES:
        if (source / name).is_file():
            shutil.copy2(source / name, draft / name)
    for entry in sorted(draft.iterdir()):
        if (target / entry.name).exists():
            raise FileExistsError(errno.EEXIST, f"{entry.name} has appeared there meanwhile")
        entry.rename(target / entry.name)
        made.append(target / entry.name)
    draft.rmdir()
