"""A plan goes by the clock of its bench, as its run does: that of a virtual bench may be ahead of the computer's."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nkloop.cli.plan.bench_clock import bench_now
from nkloop.errors import BenchError
from nkloop.runs.stock import opened
from nkloop.virtual.book import last_time
from nkloop.virtual.clock_world import START
from nkloop.virtual.shared import book_of
from nkloop.worklists.models import Worklist
from nkloop.workspace import Workspace

Nkloop = Callable[..., Any]
AHEAD = timedelta(days=6)


@pytest.fixture
def there(workspace: Workspace) -> datetime:
    """The time of the virtual bench: somebody has waited six days there."""
    there = datetime.now(UTC) + AHEAD
    book = book_of(workspace.state, "virtual")
    book.parent.mkdir(parents=True)
    book.write_text(json.dumps({"act": "wait", "t": 0.0, "until": there.isoformat()}) + "\n")
    return there


def test_a_plan_counts_from_the_day_of_its_bench_and_says_so(
    nkloop: Nkloop, workspace: Workspace, by_ledger: None, there: datetime
) -> None:
    asked = ("plan", "medium", "ucb-nk", "--stage", "expansion_i", "--volume", "50 mL", "--json")
    plan = nkloop(*asked).json
    worklist = Worklist.model_validate(plan["parts"][0]["worklist"])
    assert f"{there:%Y-%m-%d}" in worklist.name
    assert worklist.use_until is not None
    assert worklist.use_until >= there.date()
    (told,) = [one for one in plan["warnings"] if "clock" in one]
    assert told.startswith(f"the clock of virtual bench virtual is at {there:%Y-%m-%d %H:%M} UTC, 5 d 23 h ahead of")
    file = workspace.devices / "virtual.yaml"
    text = file.read_text(encoding="utf-8").replace("simulated: true", "simulated: false")
    file.write_text(text.replace("poll_seconds: 0.03", "poll_seconds: 2"), encoding="utf-8")
    plan = nkloop(*asked).json
    assert not [one for one in plan["warnings"] if "clock" in one], "rehearsals of a real bench do not count"


def test_what_a_plan_reserves_is_held_by_the_clock_of_its_bench(
    nkloop: Nkloop, workspace: Workspace, by_ledger: None, there: datetime
) -> None:
    """By the computer's, it would have run out before the run could take it over."""
    assert nkloop("lots", "import", workspace.devices / "lots" / "virtual.yaml", "--by", "Ada").code == 0
    asked = ("plan", "medium", "ucb-nk", "--stage", "expansion_i", "--volume", "50 mL", "--reserve", "monday")
    assert nkloop(*asked, "--by", "Ada", "--hold", "1 d").code == 0
    with opened(workspace) as records:
        (held,) = records.stock.reservations("virtual", at=there + timedelta(hours=1))
    assert held.name == "monday"
    assert "reserved as 'monday' by Ada" in nkloop(*asked[:-2]).out


def test_a_bench_that_is_not_ahead_or_was_never_started_goes_by_this_computer(
    workspace: Workspace, there: datetime
) -> None:
    assert bench_now(workspace, "virtual") == there
    book = book_of(workspace.state, "virtual")
    book.write_text(json.dumps({"act": "look", "t": 60.0}) + "\n")
    assert datetime.now(UTC) - bench_now(workspace, "virtual") < timedelta(minutes=1)
    book.unlink()
    assert datetime.now(UTC) - bench_now(workspace, "virtual") < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ('{"act": "look", "t": 5.0}\n', 5.0),
        ('{"act": "look", "t": 5.0}\n{"act": "look", "t": 7', 5.0),
        ('{"act": "look", "t": 5.0}\n{"act": "deck", "t": 9.0, "x": "' + 200_000 * "x" + '"}\n', 9.0),
        ('{"act": "wait", "t": 5.0, "until": "2026-01-05T08:01:00Z"}\n', 60.0),
    ],
    ids=["empty", "one line", "last line cut", "long line", "wait"],
)
def test_the_time_of_a_world_is_read_from_the_end_of_its_book(tmp_path: Path, text: str, seconds: float | None) -> None:
    book = tmp_path / "world.jsonl"
    book.write_text(text)
    assert last_time(book) == (None if seconds is None else START + timedelta(seconds=seconds))


def test_a_book_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "world.jsonl").write_text("nothing\n")
    with pytest.raises(BenchError, match="no entry of a world's book"):
        last_time(tmp_path / "world.jsonl")
