"""Keeps the interpreter in every protocol file equal to its one source, `robot_interpreter.py`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from nkloop.errors import Problem, WorklistError

START = "# >>> worklist interpreter"
END = "# <<< worklist interpreter"


def interpreter_block() -> str:
    """The text between the marker lines, both included, without a final line break."""
    source = files("nkloop.worklists").joinpath("robot_interpreter.py").read_text(encoding="utf-8")
    return _split(source, "robot_interpreter.py")[1]


def sync_protocols(folder: Path) -> tuple[Path, ...]:
    """Write the block into every protocol of a folder and below that has the markers; return the files that changed.

    Raises:
        WorklistError: a file has one marker without the other.
    """
    changed = []
    for path, text in _marked(folder):
        before, _, after = _split(text, str(path))
        renewed = before + interpreter_block() + after
        if renewed != text:
            path.write_text(renewed, encoding="utf-8")
            changed.append(path)
    return tuple(changed)


def check_protocols_in_sync(folder: Path) -> tuple[Problem, ...]:
    """One problem for each protocol of a folder whose block differs from the source or is missing.

    Raises:
        WorklistError: a file has one marker without the other.
    """
    wanted = interpreter_block()
    marked = dict(_marked(folder))
    problems = [
        Problem(
            "has no worklist interpreter",
            str(path),
            f"add the lines '{START}' and '{END}', then run `nkloop protocol update`",
        )
        for path in sorted(folder.rglob("*.py"))
        if path not in marked
    ]
    for path, text in marked.items():
        if _split(text, str(path))[1] != wanted:
            line = text[: text.index(START)].count("\n") + 1
            remedy = "run `nkloop protocol update`"
            problems.append(Problem("the worklist interpreter differs from its source", f"{path}:{line}", remedy))
    return tuple(problems)


def _marked(folder: Path) -> list[tuple[Path, str]]:
    texts = [(path, path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))]
    return [(path, text) for path, text in texts if START in text or END in text]


def _split(text: str, where: str) -> tuple[str, str, str]:
    start, end = text.find(START), text.find(END)
    if start < 0 or end < start:
        raise WorklistError(
            "the markers of the worklist interpreter do not match", where=where, remedy=f"write '{START}' and '{END}'"
        )
    end += len(END)
    return text[:start], text[start:end], text[end:]
