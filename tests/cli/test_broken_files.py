"""Every broken recipe, lot list, table and worklist through the command a person would use for it.

What each must be told is beside the files and compared word by word where they are read; here the whole way counts:
exit code 1, the same words on the screen, no traceback, nothing written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nkloop.runs.verification import Verifier
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import Verdict, Worklist
from nkloop.workspace import Workspace

Nkloop = Callable[..., Any]
TESTS = Path(__file__).parents[1]
DOSING = ("plan", "dosing", "--recipe", "ucb-nk", "--stage", "expansion_i", "--vessel", "plate-24", "--donors", "U1,U2")
Case = tuple[tuple[str | Path, ...], str]
"""A command and what it must say."""


def recipes() -> Iterator[Case]:
    for path in sorted((TESTS / "recipes" / "broken").glob("*.yaml")):
        told = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# refused: ")
        yield ("recipe", "import", path), told


def lot_lists() -> Iterator[Case]:
    folder = TESTS / "inventory" / "broken"
    for name, messages in json.loads((folder / "messages.json").read_text(encoding="utf-8")).items():
        yield ("lots", "import", folder / name, "--by", "Ada"), messages[0].partition(": ")[2]


def tables(kind: str, *command: str) -> Iterator[Case]:
    folder = TESTS / "worklists" / "broken_arms"
    text = (folder / "expected.txt").read_text(encoding="utf-8")
    for name, told in re.findall(r"^\[(.+?)\]\n(.*?)(?=\n\[|\Z)", text, re.M | re.S):
        if name.startswith(kind):
            yield (*DOSING, *command, folder / name, "--csv", "out.csv", "--map", "map.csv"), told.splitlines()[0]


KINDS = {
    "recipes": (recipes, 40),
    "lot lists": (lot_lists, 40),
    "arm tables": (lambda: tables("arms/", "--arms"), 25),
    "tables of what is present": (lambda: tables("present/", "--present"), 10),
}


@pytest.fixture
def by_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worklists that can be read are checked by the ledger alone, which is what refuses them."""

    async def verify(self: Verifier, worklist: Worklist) -> Verdict:
        check = check_ledger(worklist, self._catalogue, self._deck)
        return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(check,))

    monkeypatch.setattr(Verifier, "verify", verify)


def files_of(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if ".nkloop" not in path.parts or path.name == "records.db"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_file_is_refused_and_nothing_is_written(
    nkloop: Nkloop, workspace: Workspace, by_ledger: None, kind: str
) -> None:
    cases, least = KINDS[kind]
    before, n_refused = files_of(workspace.root), 0
    for command, told in cases():
        ended = nkloop(*command)
        said = ended.out + ended.err
        assert ended.code == 1, command
        assert " ".join(told.split()) in " ".join(said.split()), (command, said)
        assert "Traceback" not in said, command
        assert files_of(workspace.root) == before, command
        n_refused += 1
    assert n_refused >= least


def test_broken_worklists_are_refused_by_check(nkloop: Nkloop, workspace: Workspace, by_ledger: None) -> None:
    folder = TESTS / "worklists" / "broken"
    wanted = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    before = files_of(workspace.root)
    ended = nkloop("check", "--json", *(folder / name for name in wanted))
    assert (ended.code, ended.err) == (1, "")
    told = {Path(item["path"]).name: item for item in ended.json["items"]}
    assert set(told) == set(wanted)
    assert len(told) >= 40
    for name, lines in wanted.items():
        said = " ".join(f"{one['rule']} {one['message']}" for one in told[name]["problems"])
        rule, _, message = lines[0].partition(" ")
        assert not told[name]["passed"], name
        assert rule in said, name
        assert message.split(": ", 1)[1] in said, name
    assert files_of(workspace.root) == before
