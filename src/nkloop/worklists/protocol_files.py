"""Which protocol file runs a worklist, and what is known of its review.

`protocols/` holds the files of a Flex, `protocols/ot2/` those of an OT-2; both carry the same interpreter block.
`protocols/REVIEWED.yaml` lists every file with the hash of the content somebody looked at last.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

from pydantic import Field

from nkloop.errors import Problem, WorklistError, WorkspaceError
from nkloop.frozen import FrozenModel
from nkloop.worklists.models import Robot, Worklist
from nkloop.yamlfile import validate_yaml

REGISTER = "REVIEWED.yaml"
_FOLDERS: dict[Robot, str] = {"flex": "", "ot2": "ot2"}
_HEAD = """# The protocol files and the hash (SHA-256) of the content that was looked at last. `nkloop check` refuses a
# file that differs from its line. Whoever has read a file and tried it on a robot with water writes name and day here.
"""


class ReviewedProtocol(FrozenModel):
    """One protocol file as it was listed."""

    file: str
    """Path below `protocols/`."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    reviewed_by: str | None = None
    """Who read it and tried it on a robot; None until a person did."""
    reviewed_on: date | None = None


class ReviewRegister(FrozenModel):
    """`protocols/REVIEWED.yaml`."""

    protocols: tuple[ReviewedProtocol, ...]


def takes_protocol(worklist: Worklist) -> bool:
    """Whether a file runs it; devices that PyLabRobot drives are sent every step instead."""
    return worklist.robot in _FOLDERS


def protocol_path(protocols: Path, worklist: Worklist) -> Path:
    """File that runs a worklist on its robot.

    Raises:
        WorkspaceError: the workspace has none.
    """
    if not takes_protocol(worklist):
        raise WorkspaceError(
            f"a {worklist.robot} takes no protocol file",
            where=worklist.name,
            remedy="its driver sends every step itself",
        )
    path = protocols / _FOLDERS[worklist.robot] / f"{worklist.procedure}.py"
    if not path.is_file():
        raise WorkspaceError(
            f"there is no protocol for {worklist.procedure} on this robot",
            where=str(path),
            remedy="copy the file of another procedure there, name its ACTIONS and LABWARE at its head, then list it "
            "with `nkloop protocol update`",
        )
    return path


def protocol_name(protocols: Path, path: Path) -> str:
    """Name of a protocol as the register and plans tell it: its path below `protocols/`."""
    return path.relative_to(protocols).as_posix()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, so that a run keeps exactly what it was verified with.

    Raises:
        WorkspaceError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WorkspaceError(
            f"cannot be read: {error.strerror or error}", where=str(path), remedy="restore the protocol file"
        ) from error


def review_of(protocols: Path, path: Path) -> tuple[str, tuple[Problem, ...]]:
    """What the register says of a file, in one phrase, and what is wrong with it.

    Raises:
        WorklistError: the register cannot be read.
    """
    name, register = protocol_name(protocols, path), protocols / REGISTER
    known = {one.file: one for one in load_register(register).protocols}
    remedy = "read the file and try it with water, then list it with `nkloop protocol update`"
    if name not in known:
        return "review", (Problem("is not listed among the reviewed protocols", f"{register}: {name}", remedy),)
    one = known[name]
    if one.sha256 != sha256_of(path):
        told = f"has changed since {one.reviewed_by or 'it was listed'} (listed {one.sha256[:12]})"
        return "review", (Problem(told, str(path), remedy),)
    reviewer = f"reviewed by {one.reviewed_by}" if one.reviewed_by else "not yet reviewed by a person"
    return f"listed hash, {reviewer}", ()


def load_register(path: Path) -> ReviewRegister:
    """Read the register; none at all lists nothing.

    Raises:
        WorklistError: it is not a register.
    """
    if not path.is_file():
        return ReviewRegister(protocols=())
    return validate_yaml(ReviewRegister, path, WorklistError)


def entries_now(protocols: Path) -> tuple[ReviewedProtocol, ...]:
    """An entry with its present hash for every protocol; a file that has changed since it was listed has no reviewer.

    Raises:
        WorklistError: the register cannot be read.
        WorkspaceError: a protocol cannot be read.
    """
    known = {(one.file, one.sha256): one for one in load_register(protocols / REGISTER).protocols}
    found = ((protocol_name(protocols, path), sha256_of(path)) for path in sorted(protocols.rglob("*.py")))
    return tuple(known.get(one) or ReviewedProtocol(file=one[0], sha256=one[1]) for one in found)


def list_protocols(protocols: Path) -> tuple[str, ...]:
    """List every protocol with its present hash; a changed file loses its reviewer. Returns the changed names.

    Raises:
        WorklistError: the register cannot be read.
        WorkspaceError: a protocol cannot be read.
    """
    known = load_register(protocols / REGISTER).protocols
    listed = entries_now(protocols)
    rows = (json.dumps(one.model_dump(mode="json"), ensure_ascii=False) for one in listed)
    text = _HEAD + "protocols:\n" + "".join(f"  - {row}\n" for row in rows)
    (protocols / REGISTER).write_text(text, encoding="utf-8")
    return tuple(one.file for one in listed if one not in known)
