"""Refusals on a screen."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.cli.problems import in_lines
from nkloop.cli.run.display import summary
from nkloop.drivers.bench import load_bench_file
from nkloop.errors import Problem
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.models import CheckResult, Verdict
from nkloop.worklists.parts import Part

from .conftest import Nkloop

ROOT = Path(__file__).parents[2]

WORDS = st.lists(st.text("abc-/:", min_size=1, max_size=12), max_size=30).map(" ".join)


def test_a_short_one_stays_on_its_line() -> None:
    assert in_lines(Problem("too much", "plate A1", "give less"), 80) == "error: plate A1: too much. Remedy: give less"


def test_a_long_one_tells_where_what_and_remedy_on_lines_of_their_own() -> None:
    problem = Problem(
        "L-7 is not expected here; still to scan: P-1 (plate), L-15 (IL-15)", "Load the deck: dose", "scan; or no"
    )
    assert in_lines(problem, 60).splitlines() == [
        "error: Load the deck: dose:",
        "  L-7 is not expected here",
        "  still to scan: P-1 (plate), L-15 (IL-15)",
        "  Remedy: scan",
        "    or no",
    ]


@given(message=WORDS.map("a {}".format), where=WORDS, remedy=WORDS, width=st.integers(40, 200))
def test_no_word_is_lost_or_cut_and_lines_fit(message: str, where: str, remedy: str, width: int) -> None:
    problem = Problem(message, where, remedy)
    told = in_lines(problem, width)
    wanted = f"{where} {message} {remedy}".replace(":", "").replace(";", "").split()
    assert told.replace(":", "").split()[:1] == ["error"]
    shown = told.replace(":", "").replace(".", "").split()[1:]
    assert [word for word in shown if word != "Remedy"] == [word for word in wanted if word]
    assert all(len(line) <= width for line in told.splitlines())


def test_a_refusal_of_a_run_is_told_in_lines_as_every_other(nkloop: Nkloop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    refused = nkloop("run", "run-0999")
    assert refused.code == 1
    assert all(len(line) <= 80 for line in refused.err.splitlines())
    assert "\n  Remedy: " in refused.err


def test_a_warning_before_a_run_tells_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem("is not listed", "protocols/x.py", "list it with `nkloop protocol update`")
    check = CheckResult(check="opentrons analysis", passed=True, seconds=0.1, warnings=(asdict(problem),))
    text = (ROOT / "protocols" / "medium_preparation.example.csv").read_text(encoding="utf-8")
    part = Part(worklist=from_csv(text, name="medium", procedure="medium_preparation"))
    summary(
        [part],
        [Verdict(worklist="x", worklist_hash="a" * 64, checks=(check,))],
        load_bench_file(ROOT / "devices" / "virtual.yaml"),
        "plan.json",
    )
    told = " ".join(capsys.readouterr().out.split())
    assert "warning: protocols/x.py: is not listed. Remedy: list it with `nkloop protocol update`" in told
