"""What a decision left, a worklist and a place in a launch are taken up once, whoever else wants them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.models import Context, JournalEvent, RunDecision, RunState, StepEvent
from nkloop.worklists.models import Verdict, Worklist


class Lab:
    """A worklist, what was left of it, and short words for what is done with them."""

    def __init__(self, records: Records, worklist: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime):
        self.records, self.worklist, self.at = records, worklist, at
        self._verdict = make_verdict

    def opened(self, worklist: Worklist, bench: str = "lab", known: Any = None, **context: Any) -> str:
        """A run that was opened."""
        return self.records.journal.create_run(
            worklist,
            self._verdict(worklist),
            bench=bench,
            device="flex",
            at=self.at,
            context=Context(**context),
            known=known,
        )

    def ended(self, run_id: str, *events: StepEvent, state: RunState = "interrupted") -> str:
        """The same run, ended so."""
        told = [JournalEvent(number=n, event=one, at=self.at) for n, one in enumerate(events, start=1)]
        self.records.journal.append_events(run_id, told)
        self.records.journal.set_run_state(run_id, state, ended_at=self.at)
        return run_id

    def rest(self, run_id: str, name: str = "rest") -> Worklist:
        """What is left of a run."""
        return self.worklist.model_copy(update={"name": f"{name} of {run_id}", "steps": self.worklist.steps[:2]})

    def decide(self, run_id: str, kind: Any = "continue", left: Worklist | None = None) -> None:
        """A decision, with what is left to be done."""
        made = RunDecision(run_id=run_id, decision=kind, by="Ada", reason="levels were read", at=self.at)
        self.records.decisions.add(made, follow_up=left)

    def cut(self, *events: StepEvent, **context: Any) -> tuple[str, Worklist]:
        """A run that was cut and decided about, and what that left."""
        run_id = self.ended(self.opened(self.worklist, **context), *(events or ("done", "failed", "failed")))
        left = self.rest(run_id)
        self.decide(run_id, left=left)
        return run_id, left


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def lab(
    request: pytest.FixtureRequest, worklist: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime
) -> Iterator[Lab]:
    records: Records = request.getfixturevalue("records" if request.param == "sqlite" else "postgres")
    records.migrate()
    made = Lab(records, worklist, make_verdict, at)
    yield made
    assert records.audit.verify_chain() == ()


def test_what_was_left_is_run_once_and_again_only_when_the_first_moved_nothing(lab: Lab) -> None:
    run_id, left = lab.cut()
    first = lab.opened(left, parent=run_id)
    with pytest.raises(RecordError, match=rf"{run_id} has been followed by {first} \(planned\)"):
        lab.opened(left, parent=run_id)
    lab.ended(first, "intended", "intended", state="failed")
    second = lab.ended(lab.opened(left, parent=run_id), "done", "done", state="succeeded")
    for again in (lambda: lab.opened(left, parent=run_id), lambda: lab.opened(left, known=[first, second])):
        with pytest.raises(RecordError, match=rf"{run_id} has been followed by {second} \(succeeded\)"):
            again()


def test_what_was_left_is_listed_as_waiting_while_it_may_be_run(lab: Lab) -> None:
    waiting = lab.records.decisions.left_to_run
    run_id, left = lab.cut()
    assert waiting() == (run_id,)
    first = lab.opened(left)
    assert waiting() == ()
    lab.ended(first, "failed", "failed")
    assert waiting() == (run_id,)
    lab.ended(lab.opened(left), "done", "done", state="succeeded")
    assert waiting() == ()


def test_a_worklist_that_was_left_is_known_for_what_it_is_without_a_word(lab: Lab) -> None:
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
    lab: Lab, kind: str | None, told: str
) -> None:
    run_id = lab.ended(lab.opened(lab.worklist), "done", "failed", "failed")
    if kind is not None:
        lab.decide(run_id, kind, lab.rest(run_id) if kind == "continue" else None)
    with pytest.raises(RecordError, match=rf"was begun already, as {run_id}.*{told}; to begin anew .* say --again"):
        lab.opened(lab.worklist, known=())


@pytest.mark.parametrize("kind", ["continue", "discard"])
def test_only_what_was_decided_last_is_run(lab: Lab, kind: str) -> None:
    run_id, left = lab.cut()
    lab.decide(run_id, kind, lab.rest(run_id, "other rest") if kind == "continue" else None)
    with pytest.raises(RecordError, match=rf"'rest of {run_id}' is not what was last decided.*{kind}, by Ada"):
        lab.opened(left, parent=run_id)


def test_nothing_is_decided_about_what_another_has_taken_up(lab: Lab) -> None:
    run_id, left = lab.cut()
    lab.opened(left, parent=run_id)
    for kind in ("continue", "discard"):
        with pytest.raises(RecordError, match="has been followed by run-0002"):
            lab.decide(run_id, kind)


def test_a_rest_of_a_rest_that_moved_nothing_and_the_first_rest_exclude_each_other(lab: Lab) -> None:
    run_id, left = lab.cut()
    first = lab.ended(lab.opened(left, parent=run_id), "failed", "failed")
    of_rest = lab.rest(first)
    lab.decide(first, left=of_rest)
    second = lab.ended(lab.opened(left, parent=run_id), "done", "unknown")
    with pytest.raises(RecordError, match=rf"{first} has been followed by {second}"):
        lab.opened(of_rest, parent=first)
    lab.decide(second, left=(after := lab.rest(second)))
    assert lab.records.journal.run(lab.opened(after)).parent == second


def test_a_rest_of_a_rest_falls_with_the_decision_it_stands_on(lab: Lab) -> None:
    run_id, left = lab.cut()
    first = lab.ended(lab.opened(left, parent=run_id), "failed", "failed")
    lab.decide(first, left=(of_rest := lab.rest(first)))
    lab.decide(run_id, "discard")
    with pytest.raises(RecordError, match=rf"last decided about run {run_id}; decided already: discard, by Ada"):
        lab.opened(of_rest, parent=first)


def test_what_was_left_stands_on_its_own_bench(lab: Lab) -> None:
    """A rehearsal on a simulated bench must not pass for the dose."""
    run_id, left = lab.cut()
    with pytest.raises(RecordError, match=r"was on bench lab: .*not on virtual.*--bench lab"):
        lab.opened(left, bench="virtual", parent=run_id)


def test_a_worklist_is_run_once_unless_it_is_meant_besides_what_is_known(lab: Lab) -> None:
    first = lab.ended(lab.opened(lab.worklist, known=()), "done", "done", "done", state="succeeded")
    with pytest.raises(RecordError, match=rf"was run already, as {first}.*--again"):
        lab.opened(lab.worklist, known=())
    assert lab.opened(lab.worklist, bench="other lab", known=())
    second = lab.opened(lab.worklist, known=[first])
    with pytest.raises(RecordError, match=rf"was begun already, as {second}: at least 0 of 0 steps"):
        lab.opened(lab.worklist, known=[first])


def test_a_worklist_whose_rest_did_everything_is_not_run_again(lab: Lab) -> None:
    """The first run moved nothing, so that only those which continue it tell that it was done."""
    run_id, left = lab.cut("failed", "failed", "failed")
    done = lab.ended(lab.opened(left, parent=run_id), "done", "done", state="succeeded")
    for known in ((), [run_id]):
        with pytest.raises(RecordError, match=rf"was run already, as {done}"):
            lab.opened(lab.worklist, known=known)


def test_a_run_that_moved_nothing_leaves_nothing_once_its_worklist_was_run_by_another(lab: Lab) -> None:
    run_id, left = lab.cut("failed", "failed", "failed")
    other = lab.opened(lab.worklist, known=())
    with pytest.raises(RecordError, match=rf"its worklist was run by another, {other} \(planned\)"):
        lab.opened(left, parent=run_id)
    with pytest.raises(RecordError, match="its worklist was run by another"):
        lab.decide(run_id, left=left)


def test_after_a_repetition_it_is_decided_again_whether_the_rest_is_due(lab: Lab) -> None:
    lab.worklist = without_barcode(lab.worklist)
    run_id, left = lab.cut()
    other = lab.opened(lab.worklist, known=[run_id])
    with pytest.raises(RecordError, match=rf"begun once more, {other} .*decide again"):
        lab.opened(left, parent=run_id)
    lab.decide(run_id, left=left)
    assert lab.opened(left, parent=run_id)


def without_barcode(worklist: Worklist) -> Worklist:
    return worklist.model_copy(update={"deck": tuple(i.model_copy(update={"barcode": ""}) for i in worklist.deck)})


@pytest.mark.parametrize(
    ("done", "told"),
    [
        pytest.param({"well": "A2"}, "B1 was given liquid", id="target_given_to"),
        pytest.param({"well": "B1", "to_well": "C3"}, "B1 was drawn from", id="target_drained"),
        pytest.param({"to_well": "C3"}, "A1 was drawn from", id="source_emptied"),
        pytest.param({"well": "A2", "to_well": "A1"}, "A1 was given liquid", id="source_given_to"),
        pytest.param({"action": "mix", "to_labware": "", "to_well": ""}, "A1 was mixed", id="source_mixed"),
        pytest.param({"well": "A2", "to_well": "A1", "channels": 2}, "A1 was given liquid", id="by_two_channels"),
        pytest.param({"well": "A2", "to_well": "C1", "channels": 2}, "", id="rows_below"),
        pytest.param({"well": "A2", "to_well": "C3"}, "", id="other_wells"),
    ],
)
def test_wells_that_another_run_has_changed_since_are_no_longer_as_they_were_left(
    lab: Lab, done: dict[str, Any], told: str
) -> None:
    """The rest draws from A1 and gives into B1."""
    run_id, left = lab.cut()
    steps = tuple(step.model_copy(update=done) for step in lab.worklist.steps)
    next_day = lab.worklist.model_copy(update={"name": "day 4", "steps": steps})
    other = lab.ended(lab.opened(next_day, known=()), "done", "failed", "failed")
    if not told:
        assert lab.opened(left, parent=run_id)
        return
    with pytest.raises(RecordError, match=rf"P-1 {told} since.*{other}"):
        lab.opened(left, parent=run_id)
    with pytest.raises(RecordError, match=rf"P-1 {told} since.*{other}"):
        lab.decide(run_id, left=left)
    lab.decide(run_id, "discard")


def test_a_place_in_a_launch_is_taken_up_once(lab: Lab) -> None:
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


def test_of_processes_that_want_the_same_rest_at_once_one_gets_it(lab: Lab) -> None:
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
