"""What a decision left, a worklist and a place in a launch are taken up once, whoever else wants them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from nkloop.errors import RecordError
from nkloop.records import claims, processes
from nkloop.records.models import IN_ORDER, JournalEvent
from nkloop.records.processes import this_process
from nkloop.worklists.models import PlannedOn


def test_what_was_left_is_run_once_and_again_only_when_the_first_moved_nothing(lab: Any) -> None:
    run_id, left = lab.cut()
    first = lab.opened(left, parent=run_id)
    with pytest.raises(RecordError, match=rf"{run_id} has been followed by {first} \(planned\)"):
        lab.opened(left, parent=run_id)
    lab.ended(first, "intended", "intended", state="failed")
    second = lab.ended(lab.opened(left, parent=run_id), "done", "done", state="succeeded")
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: lab.opened(left, parent=run_id),
        lambda: lab.opened(left, known=[first, second]),
    )
    for again in attempts:
        with pytest.raises(RecordError, match=rf"{run_id} has been followed by {second} \(succeeded\)"):
            again()


def test_of_a_run_whose_follower_was_cut_it_is_told_how_the_rest_of_that_one_is_done(lab: Any) -> None:
    run_id, left = lab.cut()
    second = lab.opened(left, parent=run_id)

    def remedy() -> str:
        with pytest.raises(RecordError, match=f"{run_id} has been followed by {second}") as refused:
            lab.opened(left, parent=run_id)
        return refused.value.problems[0].remedy

    assert remedy() == f"look at {second}: `nkloop run show {second}`"
    lab.ended(second, "done", "unknown")
    assert remedy() == f"to do the rest: `nkloop reconcile {second}`"
    lab.decide(second, left=lab.rest(second))
    assert remedy() == f"to do the rest: `nkloop run {second}`"
    lab.decide(second, "discard")
    assert remedy() == f"look at {second}: `nkloop run show {second}`"


def test_what_was_left_is_listed_as_waiting_while_it_may_be_run(lab: Any) -> None:
    waiting = lab.left_to_run
    run_id, left = lab.cut()
    assert waiting() == (run_id,)
    first = lab.opened(left)
    assert waiting() == ()
    lab.ended(first, "failed", "failed")
    assert waiting() == (run_id,)
    lab.ended(lab.opened(left), "done", "done", state="succeeded")
    assert waiting() == ()


def test_a_worklist_that_was_left_is_known_for_what_it_is_without_a_word(lab: Any) -> None:
    run_id, left = lab.cut()
    first = lab.opened(left, known=())
    assert lab.records.journal.run(first).parent == run_id


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (None, "were done. Remedy: to do the rest: `nkloop reconcile run-0001`"),
        ("continue", "decided already: continue, by Ada.*Remedy: to do the rest: `nkloop run run-0001`"),
        ("discard", "decided already: discard, by Ada.*Remedy: nothing is left to be run of it"),
    ],
)
def test_a_worklist_begun_before_is_refused_with_what_was_decided_about_it(
    lab: Any, kind: str | None, told: str
) -> None:
    run_id = lab.ended(lab.opened(lab.worklist), "done", "failed", "failed")
    if kind is not None:
        lab.decide(run_id, kind, lab.rest(run_id) if kind == "continue" else None)
    with pytest.raises(RecordError, match=rf"was begun already, as {run_id}.*{told}; to begin anew, plan it anew"):
        lab.opened(lab.worklist, known=())


@pytest.mark.parametrize("kind", ["continue", "discard"])
def test_only_what_was_decided_last_is_run(lab: Any, kind: str) -> None:
    run_id, left = lab.cut()
    lab.decide(run_id, kind, lab.rest(run_id, "other rest") if kind == "continue" else None)
    with pytest.raises(RecordError, match=rf"'rest of {run_id}' is not what was last decided.*{kind}, by Ada"):
        lab.opened(left, parent=run_id)


def test_nothing_is_decided_about_what_another_has_taken_up(lab: Any) -> None:
    run_id, left = lab.cut()
    lab.opened(left, parent=run_id)
    for kind in ("continue", "discard"):
        with pytest.raises(RecordError, match="has been followed by run-0002"):
            lab.decide(run_id, kind)


def test_a_rest_of_a_rest_that_moved_nothing_and_the_first_rest_exclude_each_other(lab: Any) -> None:
    run_id, left = lab.cut()
    first = lab.ended(lab.opened(left, parent=run_id), "failed", "failed")
    of_rest = lab.rest(first)
    lab.decide(first, left=of_rest)
    second = lab.ended(lab.opened(left, parent=run_id), "done", "unknown")
    with pytest.raises(RecordError, match=rf"{first} has been followed by {second}"):
        lab.opened(of_rest, parent=first)
    lab.decide(second, left=(after := lab.rest(second)))
    assert lab.records.journal.run(lab.opened(after)).parent == second


def test_a_rest_of_a_rest_falls_with_the_decision_it_stands_on(lab: Any) -> None:
    run_id, left = lab.cut()
    first = lab.ended(lab.opened(left, parent=run_id), "failed", "failed")
    lab.decide(first, left=(of_rest := lab.rest(first)))
    lab.decide(run_id, "discard")
    with pytest.raises(RecordError, match=rf"last decided about run {run_id}; decided already: discard, by Ada"):
        lab.opened(of_rest, parent=first)


def test_what_was_left_stands_on_its_own_bench(lab: Any) -> None:
    """A rehearsal on a simulated bench must not pass for the dose."""
    run_id, left = lab.cut()
    with pytest.raises(RecordError, match=r"was on bench lab: .*not on virtual.*--bench lab"):
        lab.opened(left, bench="virtual", parent=run_id)


@pytest.mark.usefixtures("vessels_of_old")
def test_a_worklist_is_run_once_unless_it_is_meant_besides_what_is_known(lab: Any) -> None:
    first = lab.ended(lab.opened(lab.worklist, known=()), "done", "done", "done", state="succeeded")
    with pytest.raises(RecordError, match=rf"was run already, as {first}.*to have it once more, plan it anew"):
        lab.opened(lab.worklist, known=())
    assert lab.opened(lab.worklist, bench="other lab", known=())
    second = lab.opened(lab.worklist, known=[first])
    with pytest.raises(RecordError, match=rf"was begun already, as {second}: at least 0 of 3 steps"):
        lab.opened(lab.worklist, known=[first])


@pytest.mark.parametrize("told_by", ["fillings", "plan"])
@pytest.mark.parametrize("state", ["succeeded", "interrupted", "running"])
def test_a_feed_that_was_begun_or_done_is_never_sent_to_be_planned_anew(lab: Any, told_by: str, state: str) -> None:
    into = "A1" if told_by == "fillings" else "B1"
    steps = tuple(one.model_copy(update={"well": "C1", "to_well": into}) for one in lab.worklist.steps)
    before = (PlannedOn(barcode="P-1", run="run-0000", wells=("B1",)),) if told_by == "plan" else ()
    feed = lab.worklist.model_copy(update={"steps": steps, "planned_on": before})
    run_id = lab.opened(feed)
    if state != "running":
        events = ["done"] * 3 if state == "succeeded" else ["done", "failed", "failed"]
        lab.ended(run_id, *events, state=state)
    with pytest.raises(RecordError) as refused:
        lab.opened(feed, known=())
    (problem,) = refused.value.problems
    begun = f"to do the rest: `nkloop reconcile {run_id}`"
    assert problem.remedy == (
        f"{'it was done: do nothing' if state == 'succeeded' else begun}; the next feed is planned from what the "
        "wells hold now; this one planned anew would feed the same plate a second time"
    )


def test_a_worklist_that_another_process_runs_is_told_with_its_holder_and_nothing_else_is_offered(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        parent = this_process()._replace(pid=os.getppid(), started=processes._started(os.getppid()))
        elsewhere.setattr(claims, "this_process", lambda: parent)
        claim = lab.records.claims.claim(("flex-01",), "assay")
    run_id = lab.opened(lab.worklist, claim=claim, known=())
    lab.records.journal.append_event(run_id, [1, 2, 3], "sent", at=lab.at, device="flex", claim=claim)
    lab.records.journal.append_events(
        run_id, [JournalEvent(number=2, event="seen", at=lab.at, detail=IN_ORDER)], claim=claim
    )
    with pytest.raises(RecordError) as told:
        lab.opened(lab.worklist, known=())
    (problem,) = told.value.problems
    assert f"is being run now, as {run_id}: at least 1 of 3 steps are done, and flex-01 is held by assay (process " in (
        problem.message
    )
    assert problem.remedy == f"wait until it has ended, then see what it did: `nkloop run show {run_id}`"
    lab.records.claims.release(claim)
    with pytest.raises(
        RecordError, match=rf"was begun already, as {run_id}: at least 1 of 3 .* it is not over"
    ) as told:
        lab.opened(lab.worklist, known=())
    assert "--again" not in str(told.value)


def test_a_worklist_whose_rest_did_everything_is_not_run_again(lab: Any) -> None:
    """The first run moved nothing, so that only those which continue it tell that it was done."""
    run_id, left = lab.cut("failed", "failed", "failed")
    done = lab.ended(lab.opened(left, parent=run_id), "done", "done", state="succeeded")
    for known in ((), [run_id]):
        with pytest.raises(RecordError, match=rf"was run already, as {done}"):
            lab.opened(lab.worklist, known=known)


def test_a_run_that_moved_nothing_leaves_nothing_once_its_worklist_was_run_by_another(lab: Any) -> None:
    run_id, left = lab.cut("failed", "failed", "failed")
    other = lab.opened(lab.worklist, known=())
    with pytest.raises(RecordError, match=rf"its worklist was run by another, {other} \(planned\)"):
        lab.opened(left, parent=run_id)
    with pytest.raises(RecordError, match="its worklist was run by another"):
        lab.decide(run_id, left=left)


def test_after_a_repetition_it_is_decided_again_whether_the_rest_is_due(lab: Any) -> None:
    lab.worklist = lab.without_barcode(lab.worklist)
    run_id, left = lab.cut()
    other = lab.opened(lab.worklist, known=[run_id])
    with pytest.raises(RecordError, match=rf"begun once more, {other} .*decide again"):
        lab.opened(left, parent=run_id)
    lab.decide(run_id, left=left)
    assert lab.opened(left, parent=run_id)


def test_what_was_left_stands_on_the_deck_of_its_own_robot_until_it_is_carried_over(lab: Any) -> None:
    run_id, left = lab.cut(serial="R-1")
    with pytest.raises(RecordError, match=r"with serial number R-1, but R-2 answers on bench lab.*--robot-replaced"):
        lab.opened(left, parent=run_id, serial="R-2")
    lab.decide(run_id, left=left, carried_to="R-2")
    with pytest.raises(RecordError, match="serial number R-1, but R-3 answers"):
        lab.opened(left, parent=run_id, serial="R-3")
    assert lab.opened(left, parent=run_id, serial="R-2")
    told = lab.records.decisions.of_run(run_id)[-1]
    assert (told.carried_to, told.by, told.reason) == ("R-2", "Ada", "levels were read")


def test_a_deck_that_was_carried_over_stays_there_for_later_decisions(lab: Any) -> None:
    run_id, left = lab.cut(serial="R-1")
    lab.decide(run_id, left=left, carried_to="R-2")
    lab.decide(run_id, left=left)
    lab.ended(lab.opened(left, parent=run_id, serial="R-2"), "failed", "failed")
    lab.decide(run_id, left=left, carried_to="R-3")
    assert lab.opened(left, parent=run_id, serial="R-3")


@pytest.mark.parametrize("serials", [("R-1", "R-1"), ("R-1", None), (None, "R-2")])
def test_a_robot_that_tells_no_serial_number_is_taken_for_the_same(lab: Any, serials: tuple[str, str]) -> None:
    run_id, left = lab.cut(serial=serials[0])
    assert lab.opened(left, parent=run_id, serial=serials[1])


def test_two_that_continued_the_same_run_in_older_records_may_both_be_discarded(lab: Any) -> None:
    """Each stands in the way of the other, and both in the way of whatever comes next on their devices."""
    run_id, left = lab.cut()
    first = lab.ended(lab.opened(left, parent=run_id), "failed", "failed")
    second = lab.ended(lab.opened(left, parent=run_id), "done", "unknown")
    late = JournalEvent(number=2, event="unknown", at=lab.at)
    lab.records.journal.judge_anew(first, [late], "interrupted", error="")  # as two versions ago both could be begun
    assert all(lab.records.journal.run(one).needs_decision for one in (first, second))
    for one in (first, second):
        with pytest.raises(RecordError, match="has been followed by"):
            lab.decide(one, left=lab.rest(one))
        lab.records.decisions.require_open(one, "discard")
        lab.decide(one, "discard", wells=(("plate", "B1"),))
    assert not any(lab.records.journal.run(one).needs_decision for one in (first, second))


@pytest.mark.usefixtures("vessels_of_old")
def test_a_place_in_a_launch_is_taken_up_once(lab: Any) -> None:
    place = "flow-1/a/1"
    run_id, left = lab.cut("failed", "failed", "failed", occurrence=place)
    done = lab.opened(left, parent=run_id)
    for parent in (None, run_id):
        with pytest.raises(RecordError, match=done):
            lab.opened(lab.worklist, occurrence=place, parent=parent)
    lab.ended(done, "done", "failed")
    lab.decide(done, left=(after := lab.rest(done)))
    assert lab.opened(after, occurrence=place, parent=done)
    assert lab.opened(lab.worklist, occurrence="flow-2/a/1")


RIVAL = """
import sys
from datetime import UTC, datetime
from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.models import Context
from nkloop.worklists.models import Verdict, Worklist
records = Records(sys.argv[1])
worklist = Worklist.model_validate_json(sys.argv[2])
verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=())
print("ready", flush=True)
sys.stdin.readline()
try:
    print(records.journal.create_run(
        worklist, verdict, bench="lab", device="flex", at=datetime.now(UTC), context=Context(parent=sys.argv[3])
    ))
except RecordError as error:
    print("refused", error.problems[0].message)
"""


def test_of_processes_that_want_the_same_rest_at_once_one_gets_it(lab: Any) -> None:
    run_id, left = lab.cut()
    url = lab.records._database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", RIVAL, url, json.dumps(left.model_dump(mode="json")), run_id]
    rivals = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    told = sorted(rival.communicate(timeout=60)[0].strip() for rival in rivals)
    assert "run-0002" in told
    assert told[0].startswith(f"refused run {run_id} has been followed by run-0002")
