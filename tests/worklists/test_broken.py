"""Broken worklist files, each with the whole of what it must be told; none ends with a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.errors import NkloopError
from nkloop.labware import Catalogue
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.procedure_check import procedure_problems

ROOT = Path(__file__).parents[2]
BROKEN = Path(__file__).parent / "broken"
TOLD = json.loads((BROKEN / "told.json").read_text(encoding="utf-8"))
UNREADABLE = [name for name, lines in TOLD.items() if lines[0].startswith(("V020", "V036", "V09"))]


@pytest.fixture(scope="module")
def shop():
    return Catalogue.load(ROOT / "labware"), load_bench_file(ROOT / "devices" / "virtual.yaml").deck


def told_of(path, shop):
    """What reading, naming and the ledger say of a file."""
    try:
        worklist = from_csv(path.read_text(encoding="utf-8"), name=path.stem, procedure=path.name.partition(".")[0])
    except NkloopError as error:
        return [f"{p.rule} {p.where}: {p.message}" for p in error.problems]
    misnamed = [f"{p.rule} {p.where}: {p.message}" for p in procedure_problems(worklist)]
    found = check_ledger(worklist, *shop).problems
    return misnamed or [f"{p['rule']} {p['where']}: {p['message']}" for p in found]


@pytest.mark.parametrize("name", sorted(TOLD))
def test_a_broken_file_is_told_exactly_this(shop, name):
    assert told_of(BROKEN / name, shop) == TOLD[name]


def test_the_file_they_were_made_from_is_sound(shop):
    assert told_of(BROKEN / "medium_preparation.valid.csv", shop) == []
    assert len(TOLD) >= 20
    on_disk = {path.name for path in BROKEN.glob("*.csv")}
    assert on_disk == {*TOLD, "medium_preparation.valid.csv", "medium_preparation.not_text.csv"}


@pytest.mark.slow
def test_check_refuses_what_cannot_be_read_with_rule_line_and_remedy():
    names = [*UNREADABLE, "medium_preparation.not_text.csv"]
    command = ["check", "--json", *(str(BROKEN / name) for name in names)]
    ended = subprocess.run(
        [sys.executable, "-c", "from nkloop.cli import main; main()", *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    items = json.loads(ended.stdout)["items"]
    assert [Path(item["path"]).name for item in items] == names
    for item in items:
        assert not item["passed"]
        assert all(p["rule"] and p["remedy"] and item["path"] in p["where"] for p in item["problems"]), item
    shown = [p["message"] for item in items for p in item["problems"]]
    assert any("belongs to medium_preparation, the file is named after cytotoxicity_assay" in m for m in shown)
