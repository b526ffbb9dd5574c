"""Protocol files, their hashes and what is known of their review."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nkloop.errors import WorklistError, WorkspaceError
from nkloop.worklists.models import DeckItem, Step, Worklist
from nkloop.worklists.protocol_files import (
    REGISTER,
    list_protocols,
    load_register,
    protocol_path,
    review_of,
    sha256_of,
)

SHIPPED = Path(__file__).parents[2] / "protocols"


@pytest.fixture
def protocols(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "protocols", ignore=shutil.ignore_patterns("__pycache__", "*.csv"))
    return tmp_path / "protocols"


def worklist(slot: str) -> Worklist:
    item = DeckItem(nickname="plate", slot=slot, load_name="nest_1_reservoir_195ml")
    step = Step(number=1, action="delay", seconds=1)
    return Worklist(name="w", procedure="cytokine_dosing", pipettes={}, deck=(item,), fillings=(), steps=(step,))


def test_every_shipped_protocol_is_listed_with_its_present_hash() -> None:
    register = {one.file: one.sha256 for one in load_register(SHIPPED / REGISTER).protocols}
    there = {path.relative_to(SHIPPED).as_posix(): sha256_of(path) for path in SHIPPED.rglob("*.py")}
    assert register == there, "run `nkloop protocol update`"


@pytest.mark.parametrize(("slot", "name"), [("B2", "cytokine_dosing.py"), ("7", "ot2/cytokine_dosing.py")])
def test_slots_tell_the_robot_and_its_file(slot: str, name: str) -> None:
    assert protocol_path(SHIPPED, worklist(slot)) == SHIPPED / name


def test_a_missing_protocol_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="there is no protocol for cytokine_dosing on this robot"):
        protocol_path(tmp_path, worklist("7"))


def test_a_changed_protocol_is_refused_until_it_is_listed_again(protocols: Path) -> None:
    path = protocols / "ot2" / "cytokine_dosing.py"
    register = protocols / REGISTER
    text = register.read_text().replace('"reviewed_by": null', '"reviewed_by": "A. Person"', 1)
    register.write_text(text)
    assert review_of(protocols, protocols / "cytokine_dosing.py") == ("listed hash, reviewed by A. Person", ())
    path.write_text(path.read_text() + "# changed\n")
    _, (told,) = review_of(protocols, path)
    assert "has changed since it was listed" in told.message
    assert list_protocols(protocols) == ("ot2/cytokine_dosing.py",)
    assert review_of(protocols, path) == ("listed hash, not yet reviewed by a person", ())
    assert "reviewed by A. Person" in review_of(protocols, protocols / "cytokine_dosing.py")[0]
    first = protocols / "cytokine_dosing.py"
    first.write_text(first.read_text() + "# changed\n")
    list_protocols(protocols)
    assert review_of(protocols, first)[0] == "listed hash, not yet reviewed by a person", "a change loses the reviewer"


def test_a_protocol_that_is_not_listed_and_a_broken_register_are_told(protocols: Path) -> None:
    (protocols / REGISTER).write_text("protocols: []\n")
    _, (told,) = review_of(protocols, protocols / "cytokine_dosing.py")
    assert "is not listed" in told.message
    (protocols / REGISTER).write_text("protocols:\n- {file: a.py, sha256: short}\n")
    with pytest.raises(WorklistError, match="sha256"):
        review_of(protocols, protocols / "cytokine_dosing.py")
