"""What several commands share: options, the workspace, JSON output."""

from __future__ import annotations

import json
import os
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nkloop.assays.methods import Method
    from nkloop.workspace import Workspace

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]
WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", help="Folder with recipes, protocols, labware, devices and flows; or one inside it."),
]
BenchOption = Annotated[str, typer.Option("--bench", help="Bench to use: a file name in devices/ without .yaml.")]
_OF_A_WORKSPACE = frozenset(
    {"run", "runs", "reconcile", "report", "lots", "operator", "plan", "protocol", "recipe", "inbox", "bench", "check"}
)
"""Commands that take `--workspace`."""
_asked = Path()
"""Where this command was told to look for its workspace."""
OutOption = Annotated[Path | None, typer.Option("--out", help="Write to this file instead of the screen.")]


def find_workspace(start: Path) -> Workspace:
    """The workspace that holds `start`.

    Raises:
        WorkspaceError: there is none.
    """
    from nkloop.workspace import Workspace

    look_in(start)
    return Workspace.find(start)


def look_in(start: Path) -> None:
    """Remember where a command looks for its workspace, for `elsewhere`."""
    global _asked
    _asked = start


def elsewhere() -> str:
    """What a command has to be given besides, to be about the workspace of this one; empty where it is found anyway."""
    from nkloop.errors import WorkspaceError
    from nkloop.workspace import Workspace

    if _asked == Path():
        return ""
    here: Path | None = None
    with suppress(WorkspaceError):
        here = Workspace.find(Path()).root
    try:
        root = Workspace.find(_asked).root
    except WorkspaceError:
        return ""
    return "" if root == here else f" --workspace {shlex.quote(str(root))}"


def as_typed(text: str) -> str:
    """A text whose commands in backticks can be typed as they stand: as this program was called, for its workspace."""

    def typed(found: re.Match[str]) -> str:
        words, *more = found[1].partition(" > ")
        takes_it = words.partition(" ")[0] in _OF_A_WORKSPACE and "--workspace" not in words
        return f"`{command_name()} {words}{elsewhere() if takes_it else ''}{''.join(more)}`"

    return re.sub(r"`nkloop ([^`]+)`", typed, text)


def seen_from_here(text: str) -> str:
    """A text whose paths below the current folder begin there, as people type them."""
    here = str(Path.cwd())
    return text if here == "/" else re.sub(rf"(?<![\w./-]){re.escape(here)}/", "", text)


def find_method(name: str, start: Path) -> Method:
    """An assay method: of the package, or of the workspace that holds `start`.

    Raises:
        AssayError: there is no such method, or a method file is wrong.
    """
    from nkloop.assays.methods import method_named
    from nkloop.errors import WorkspaceError

    try:
        folder = find_workspace(start).methods
    except WorkspaceError:
        # a file in hand can be worked on anywhere; only a lab's own methods need its workspace
        folder = None
    return method_named(name, folder)


def named_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Names out of options that take several, separated by commas or given one by one; each once."""
    return tuple(dict.fromkeys(name for text in texts for part in text.split(",") if (name := part.strip())))


def on_one_line(text: str) -> str:
    """A name that others gave, with line breaks and control characters written out."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def required_text(value: str, option: str, what: str) -> str:
    """A text a person must give, for the records.

    Raises:
        RecordError: it is empty.
    """
    from nkloop.errors import RecordError

    if value.strip():
        return value.strip()
    raise RecordError("it is empty", where=option, remedy=f"write {what}")


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file a person asked for, its folder too.

    Raises:
        WorkspaceError: it cannot be written.
    """
    from nkloop.errors import WorkspaceError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise WorkspaceError(
            f"cannot be written: {error.strerror or error}", where=str(path), remedy="name a file you may write"
        ) from error


def give_schema(text: str, out: Path | None, *, beside: str) -> None:
    """Write a JSON Schema to a file, or show it; tell the line by which an editor finds it from a file `beside` it.

    Raises:
        WorkspaceError: it cannot be written.
    """
    if out is None:
        typer.echo(text, nl=False)
        return
    write_file(out, text)
    typer.echo(
        f"Schema written to {out}. First line of {beside} beside it:\n# yaml-language-server: $schema={out.name}"
    )


def command_name() -> str:
    """How this program was called, for advice that can be typed as it stands."""
    return "uv run nkloop" if "UV_RUN_RECURSION_DEPTH" in os.environ else "nkloop"


def as_json(value: Any) -> str:
    """A plain value as JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)


def print_json(value: Any) -> None:
    """Print a plain value as JSON."""
    print(as_json(value))


def plan_beside(table: Path) -> Path:
    """Where the plan stands that a table for the robot was written by: `medium.csv` has `medium.plan.json`."""
    return table.with_suffix(".plan.json")
