"""One source for the interpreter in every protocol."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from nkloop.errors import WorklistError
from nkloop.worklists.interpreter_block import END, START, check_protocols_in_sync, interpreter_block, sync_protocols

PROTOCOLS = Path(__file__).parents[2] / "protocols"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROTOCOLS, tmp_path / "protocols"))


def test_a_copy_that_was_edited_is_told_with_its_line_and_mended(folder: Path) -> None:
    path = folder / "cytokine_dosing.py"
    sound = path.read_text()
    path.write_text(sound.replace("LEVEL_SHARE = 0.8", "LEVEL_SHARE = 2.0"))
    line = sound[: sound.index(START)].count("\n") + 1
    (problem,) = check_protocols_in_sync(folder)
    assert problem.where == f"{path}:{line}"
    assert "differs from its source" in problem.message
    assert sync_protocols(folder) == (path,)
    assert path.read_text() == sound
    assert sync_protocols(folder) == ()


def test_a_protocol_without_the_interpreter_is_told(folder: Path) -> None:
    (folder / "alone.py").write_text("def run(ctx): ...\n")
    (problem,) = check_protocols_in_sync(folder)
    assert problem.where.endswith("alone.py")
    assert "has no worklist interpreter" in problem.message


def test_one_marker_alone_is_refused(folder: Path) -> None:
    path = folder / "cytokine_dosing.py"
    path.write_text(path.read_text().replace(END, ""))
    with pytest.raises(WorklistError, match=r"cytokine_dosing\.py: the markers .* do not match"):
        sync_protocols(folder)


def test_the_block_uses_nothing_a_robot_does_not_have() -> None:
    block = interpreter_block()
    assert set(re.findall(r"^\s*(?:import|from) (\S+)", block, re.MULTILINE)) <= {"opentrons.protocol_api"}
    head = (PROTOCOLS / "medium_preparation.py").read_text().partition(START)[0]
    assert set(re.findall(r"^(?:import|from) (\w+)", head, re.MULTILINE)) == {"__future__", "csv", "io", "typing"}
