"""What other runs have done since to the wells and vessels that a rest needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nkloop.errors import RecordError
from nkloop.records.models import JournalEvent, StepRuling
from nkloop.worklists.models import SUSPENSION, OperatorTask, Step, Vessel, VesselMove, Worklist


@pytest.mark.usefixtures("vessels_of_old")
@pytest.mark.parametrize(
    ("done", "told"),
    [
        pytest.param({"well": "A2"}, "B1 was given liquid", id="target_given_to"),
        pytest.param({"well": "B1", "to_well": "C3"}, "B1 was drawn from", id="target_drained"),
        pytest.param({"well": "A2", "to_well": "A1"}, "A1 was given liquid", id="source_given_to"),
        pytest.param({"action": "mix", "to_labware": "", "to_well": ""}, "A1 was mixed", id="source_mixed"),
        pytest.param({"well": "A2", "to_well": "A1", "channels": 2}, "A1 was given liquid", id="by_two_channels"),
        pytest.param({"well": "A2", "to_well": "C1", "channels": 2}, "", id="rows_below"),
        pytest.param({"well": "A2", "to_well": "C3"}, "", id="other_wells"),
    ],
)
def test_wells_that_another_run_has_changed_since_are_no_longer_as_they_were_left(
    lab: Any, done: dict[str, Any], told: str
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


def drawing(worklist: Worklist, volume: float, name: str = "other dose") -> Worklist:
    """A dose out of the same well into another, once."""
    step = worklist.steps[0].model_copy(update={"to_well": "C3" if name == "one" else "C4", "volume_ul": volume})
    return worklist.model_copy(update={"name": name, "steps": (step,)})


def test_what_others_have_drawn_from_a_source_is_taken_off_and_the_rest_goes_on(lab: Any) -> None:
    """A1 held 900 µL."""
    run_id, left = lab.cut()
    for name in ("one", "two"):
        lab.ended(lab.opened(drawing(lab.worklist, 100, name)), "done", state="succeeded")
    assert lab.left_to_run() == (run_id,)
    with pytest.raises(
        RecordError, match=rf"others? .*drawn since .*counts on more than is there.*nkloop run {run_id}"
    ):
        lab.opened(left, parent=run_id)
    now = lab.records.decisions.left_of(run_id)
    assert [(one.well, one.volume_ul) for one in now.fillings] == [("A1", 700)]
    assert now.model_copy(update={"fillings": left.fillings}) == left
    first = lab.ended(lab.opened(now, parent=run_id), "failed", "failed")
    lab.ended(lab.opened(now, known=()), "done", "done", state="succeeded")
    assert lab.records.journal.run("run-0005").parent == run_id
    assert lab.records.journal.run(first).parent == run_id


def test_a_rest_that_was_lowered_is_known_by_what_it_says_a_run_has_left(lab: Any) -> None:
    """Nobody has run it yet, and no decision has made just this one."""
    (filling,) = lab.worklist.fillings
    run_id = lab.ended(lab.opened(lab.worklist), "done", "failed", "failed")
    liquid = filling.liquid.model_copy(update={"lot": f"left:{run_id}:plate A1"})
    left = lab.rest(run_id).model_copy(update={"fillings": (filling.model_copy(update={"liquid": liquid}),)})
    lab.decide(run_id, left=left)
    lab.ended(lab.opened(drawing(lab.worklist, 100)), "done", state="succeeded")
    now = lab.records.decisions.left_of(run_id)
    assert lab.records.journal.run(lab.opened(now, known=())).parent == run_id


@pytest.mark.parametrize(
    ("happened", "held"), [(None, 800), (False, 900)], ids=["nobody_knows", "seen_not_to_have_happened"]
)
def test_a_draw_that_nobody_saw_counts_until_somebody_says_that_it_did_not_happen(
    lab: Any, happened: bool | None, held: float
) -> None:
    run_id, _ = lab.cut()
    other = lab.ended(lab.opened(drawing(lab.worklist, 100)), "unknown")
    lab.decide(other, "discard", rulings=(StepRuling(number=1, happened=happened),))
    assert [one.volume_ul for one in lab.records.decisions.left_of(run_id).fillings] == [held]


@pytest.mark.parametrize("drawn", [885, 950])
def test_a_source_others_have_drawn_too_much_from_asks_for_a_new_decision_which_counts_from_there(
    lab: Any, drawn: float
) -> None:
    run_id, left = lab.cut()
    lab.ended(lab.opened(drawing(lab.worklist, drawn)), "done", state="succeeded")
    told = rf"P-1 A1 held 900 µL .* {max(900 - drawn, 0)} µL are left, and 20 µL are needed.*decide anew"
    with pytest.raises(RecordError, match=told):
        lab.records.decisions.left_of(run_id)
    with pytest.raises(RecordError, match=told):
        lab.opened(left, parent=run_id)
    if drawn < 890:
        lab.decide(run_id, left=(less := left.model_copy(update={"name": "less", "steps": left.steps[:1]})))
        now = lab.records.decisions.left_of(run_id)
        assert now.steps == less.steps
        assert lab.opened(now, parent=run_id)


@pytest.mark.usefixtures("vessels_of_old")
def test_a_rest_that_is_blocked_stays_listed_with_its_reason_until_somebody_decides_anew(lab: Any) -> None:
    run_id, left = lab.cut()
    other = lab.opened(drawing(lab.worklist, 885))
    (waits,) = lab.records.decisions.rests()
    assert waits.run_id == run_id
    assert "wait for its end" in str(waits.blocked)
    lab.ended(other, "done", state="succeeded")
    (short,) = lab.records.decisions.rests()
    assert "15 µL are left, and 20 µL are needed" in str(short.blocked)
    assert lab.left_to_run() == ()
    lab.decide(run_id, left=left.model_copy(update={"name": "less", "steps": left.steps[:1]}))
    assert lab.records.decisions.rests() == ((run_id, 2, None),)
    assert lab.records.decisions.rest_of(run_id) == (run_id, 2, None)
    again = lab.ended(lab.opened(lab.worklist, known=[run_id]), "done", "done", "done", state="succeeded")
    (done,) = lab.records.decisions.rests()
    assert f"its worklist was begun once more, {again}" in str(done.blocked)
    lab.decide(run_id, "discard")
    assert lab.records.decisions.rests() == ()


def test_a_source_that_a_run_under_way_draws_from_is_waited_for(lab: Any) -> None:
    run_id, left = lab.cut()
    other = lab.opened(drawing(lab.worklist, 100))
    with pytest.raises(RecordError, match=rf"A1 is to be drawn from by a run that is not over, {other} .*wait"):
        lab.opened(left, parent=run_id)
    lab.ended(other, "failed")
    assert lab.opened(left, parent=run_id)


def feeding(worklist: Worklist, name: str, *, held_ul: float = 1000, bag: str = "U1-reference") -> Worklist:
    """A person welds a dose to a bag, twice."""
    kind = {"title": "bag", "lowest_ul": 1, "capacity_ul": 1e6, "end_ul": 1e3}
    task = OperatorTask(kind="weld", instruction="x", moves=(VesselMove(to_vessel=bag, volume_ul=10),))
    steps = tuple(Step(number=number, action="pause", operator=task) for number in (1, 2, 3))
    vessels = (Vessel(name=bag, volume_ul=held_ul, **kind),)
    return worklist.model_copy(update={"deck": ()}).model_copy(
        update={"name": name, "steps": steps, "vessels": vessels}
    )


def test_a_bag_that_another_run_has_changed_since_is_no_longer_as_it_was_left(lab: Any) -> None:
    lab.worklist = feeding(lab.worklist, "day 3")
    run_id, left = lab.cut()
    lab.ended(lab.opened(feeding(lab.worklist, "other bag", bag="U2-reference")), "done", state="succeeded")
    assert lab.records.decisions.left_of(run_id) == left
    other = lab.ended(lab.opened(feeding(lab.worklist, "day 6")), "done", state="succeeded")
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: lab.opened(left, parent=run_id),
        lambda: lab.decide(run_id, left=left),
    )
    for again in attempts:
        with pytest.raises(RecordError, match=rf"vessel U1-reference was given liquid since.*--other-vessels {other}"):
            again()
    lab.decide(run_id, left=left, apart=(other,))
    lab.decide(run_id, left=left)
    assert lab.opened(left, parent=run_id), "what was said of that bag holds for later decisions"


def test_a_task_that_did_not_happen_in_its_run_counts_when_it_was_done_by_hand_since(lab: Any) -> None:
    lab.worklist = feeding(lab.worklist, "day 3")
    run_id, left = lab.cut()
    other = lab.ended(lab.opened(feeding(lab.worklist, "day 6")), "unknown")
    lab.decide(other, rulings=tuple(StepRuling(number=number, happened=False) for number in (1, 2, 3)))
    assert lab.records.decisions.left_of(run_id) == left
    lab.records.journal.add_confirmed(other, [JournalEvent(number=1, event="done", at=lab.at, device="flex")])
    with pytest.raises(RecordError, match="U1-reference was given liquid since"):
        lab.records.decisions.left_of(run_id)


def test_a_bag_that_a_run_under_way_is_to_change_is_waited_for_or_said_to_be_another(lab: Any) -> None:
    lab.worklist = feeding(lab.worklist, "day 3")
    run_id, left = lab.cut()
    other = lab.opened(feeding(lab.worklist, "batch 2, day 9"), bench="other bench")
    with pytest.raises(RecordError, match=rf"wait for its end.*--other-vessels {other} --instead-of 1`$"):
        lab.opened(left, parent=run_id)
    lab.decide(run_id, left=left, apart=(other,))
    assert lab.opened(left, parent=run_id)


def test_a_run_opened_earlier_counts_with_what_it_has_done_since(lab: Any) -> None:
    """Another bench, the same bag: first it is under way, then it has done its last two steps after the run began."""
    lab.worklist = feeding(lab.worklist, "day 3")
    earlier = lab.opened(feeding(lab.worklist, "other cytokines"), bench="other bench")
    lab.records.journal.append_event(earlier, [1], "done", at=lab.at, device="flex")
    run_id = lab.ended(lab.opened(lab.worklist), "done", "failed", "failed")
    left = lab.rest(run_id)
    with pytest.raises(RecordError, match=rf"U1-reference is to be given liquid by a run that is not over, {earlier}"):
        lab.decide(run_id, left=left)
    lab.ended(earlier, "done", "done", "failed", state="failed")
    with pytest.raises(RecordError, match=rf"U1-reference was given liquid since, .*{earlier}"):
        lab.decide(run_id, left=left)


def test_what_a_device_tells_later_of_a_run_that_was_over_before_is_no_later_change(lab: Any) -> None:
    lab.worklist = feeding(lab.worklist, "day 3")
    lost = lab.opened(feeding(lab.worklist, "other cytokines"), bench="other bench")
    lab.records.journal.append_event(lost, [1, 2, 3], "sent", at=lab.at, device="flex")
    lab.ended(lost, "done", "unknown", "unknown")
    run_id, left = lab.cut()
    told = [JournalEvent(number=number, event="done", at=lab.at, device="flex") for number in (2, 3)]
    lab.records.journal.judge_anew(lost, told, "interrupted", error="")
    assert lab.opened(left, parent=run_id)


def test_what_people_do_later_of_a_run_that_was_over_before_is_a_change(lab: Any) -> None:
    """Its task was left, and is done by hand after the run that is to be continued began."""
    lab.worklist = feeding(lab.worklist, "day 3")
    earlier = lab.ended(lab.opened(feeding(lab.worklist, "day 2"), bench="other bench"), "done", "failed", "failed")
    run_id, left = lab.cut()
    lab.records.journal.add_confirmed(earlier, [JournalEvent(number=2, event="done", at=lab.at, device="Ada")])
    with pytest.raises(RecordError, match=rf"U1-reference was given liquid since, .*{earlier}"):
        lab.opened(left, parent=run_id)


@pytest.mark.parametrize(
    ("held_ul", "mine", "other"),
    [
        pytest.param(0, {}, {}, id="new_bag"),
        pytest.param(1000, {"batch": "B-7"}, {"batch": "B-8"}, id="other_batch"),
    ],
)
def test_a_bag_of_the_same_name_in_another_batch_is_another_bag(
    lab: Any, held_ul: float, mine: dict[str, str], other: dict[str, str]
) -> None:
    lab.worklist = feeding(lab.worklist, "day 3")
    run_id, left = lab.cut(**mine)
    lab.ended(lab.opened(feeding(lab.worklist, "next", held_ul=held_ul), **other), "done", state="succeeded")
    assert lab.opened(left, parent=run_id)


def test_a_bag_that_was_to_be_filled_and_is_filled_by_another_run_is_not_filled_again(lab: Any) -> None:
    """Also when the run had filled it in part, which its rest knows."""
    lab.worklist = feeding(lab.worklist, "seeding", held_ul=0)
    run_id = lab.ended(lab.opened(lab.worklist), "done", "failed", "failed")
    (bag,) = lab.worklist.vessels
    filled = bag.model_copy(update={"volume_ul": 10.0})
    lab.decide(run_id, left=(left := lab.rest(run_id).model_copy(update={"vessels": (filled,)})))
    lab.ended(lab.opened(feeding(lab.worklist, "seeding anew", held_ul=0)), "done", state="succeeded")
    with pytest.raises(RecordError, match="vessel U1-reference was given liquid since"):
        lab.opened(left, parent=run_id)


def test_a_suspension_is_of_the_run_that_makes_it(lab: Any) -> None:
    made = Vessel(name="cells-U1", title=f"{SUSPENSION} U1", lowest_ul=1, capacity_ul=1e3, volume_ul=1e3, end_ul=1)
    lab.worklist = feeding(lab.worklist, "seeding", bag="cells-U1").model_copy(update={"vessels": (made,)})
    run_id, left = lab.cut()
    lab.ended(lab.opened(lab.worklist.model_copy(update={"name": "other"})), "done", state="succeeded")
    assert lab.opened(left, parent=run_id)
