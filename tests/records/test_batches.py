"""Bags have names, and names recur: by the batch of their runs they are told apart, and it is told where nobody can."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.records.since import moved_of

from .test_since import feeding


@pytest.fixture
def bags(lab: Any) -> Any:
    """The same plan for a bag that every batch has."""
    lab.worklist = feeding(lab.worklist, "day 3")
    return lab


def test_the_same_plan_for_another_batch_is_no_repetition(bags: Any) -> None:
    first = bags.ended(bags.opened(bags.worklist, known=(), batch="A"), "done", "done", "done", state="succeeded")
    assert bags.records.journal.run(first).batch == "A"
    for batch in ("A", None):
        with pytest.raises(RecordError, match=f"was run already, as {first}"):
            bags.opened(bags.worklist, known=(), batch=batch)
        with pytest.raises(RecordError, match=f"was run already, as {first}"):
            bags.records.journal.require_first(bags.worklist.content_hash, "lab", (), batch=batch)
    bags.records.journal.require_first(bags.worklist.content_hash, "lab", (), batch="B")
    assert bags.opened(bags.worklist, known=(), batch="B")


def test_a_rest_is_of_the_batch_of_its_run_whoever_begins_it(bags: Any) -> None:
    run_id = bags.ended(bags.opened(bags.worklist, batch="A"), "done", "failed", "failed")
    bags.decide(run_id, left=(left := bags.rest(run_id)))
    bags.ended(bags.opened(bags.worklist, known=(), batch="B"), "done", "done", "done", state="succeeded")
    with pytest.raises(RecordError, match=f"run {run_id} is of batch A, what continues it is not of batch B"):
        bags.opened(left, parent=run_id, batch="B")
    rest = bags.opened(left)
    assert (bags.records.journal.run(rest).parent, bags.records.journal.run(rest).batch) == (run_id, "A")


@pytest.mark.parametrize(
    ("earlier", "batch", "told"),
    [
        (
            "A",
            "B",
            "U1-reference was used by run-0001 (day 3) of batch A; this plan is for batch B: write the batch on",
        ),
        ("A", None, "U1-reference was used by run-0001 (day 3) of batch A: where these are other .*, say --batch"),
        (None, "B", "U1-reference was used by run-0001 (day 3), which names no batch; this plan is for batch B"),
        ("A", "A", ""),
        (None, None, ""),
    ],
)
def test_bags_whose_names_another_batch_has_used_are_told_of(
    bags: Any, earlier: str | None, batch: str | None, told: str
) -> None:
    bags.ended(bags.opened(bags.worklist, batch=earlier), "done", "failed", "failed")
    bags.ended(bags.opened(feeding(bags.worklist, "declined"), batch="C"), "failed", "failed", "failed")
    plan = [feeding(bags.worklist, "day 6"), feeding(bags.worklist, "day 6, part 2", bag="U2-reference")]
    found = bags.records.vessels.used_names(plan, batch)
    assert len(found) == bool(told)
    head, _, tail = told.partition(".*")
    assert not told or (found[0].startswith(head) and tail in found[0])


def test_a_bag_that_begins_anew_under_a_used_name_is_told_of_without_any_batch(bags: Any) -> None:
    bags.ended(bags.opened(bags.worklist), "done", "done", "done", state="succeeded")
    (told,) = bags.records.vessels.used_names([feeding(bags.worklist, "seeding", held_ul=0)], None)
    assert told.startswith("U1-reference was used by run-0001 (day 3), which names no batch: where these are other")


def test_runs_before_the_last_that_used_the_names_are_not_looked_at(bags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in ("day 3", "day 6"):
        bags.ended(bags.opened(feeding(bags.worklist, day), batch="A"), "done", "done", "done", state="succeeded")
    read: list[str] = []

    def noted(connection: sa.Connection, run_id: str) -> set[int]:
        read.append(run_id)
        return moved_of(connection, run_id)

    monkeypatch.setattr("nkloop.records.vessel_names.moved_of", noted)
    (told,) = bags.records.vessels.used_names([feeding(bags.worklist, "day 9")], "B")
    assert told.startswith("U1-reference was used by run-0002 (day 6) of batch A")
    assert read == ["run-0002"]
