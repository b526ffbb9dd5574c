"""What was planned on wells as a run left them is not run when another run has changed them meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from nkloop.errors import RecordError
from nkloop.records import Records, kept_plans
from nkloop.records.models import Context, RunDecision, RunState, StepEvent, StepRuling
from nkloop.worklists.models import DeckItem, Filling, Liquid, PlannedOn, Verdict, Worklist

MEDIUM = Liquid(name="medium", per_ul={"b": 1.0})


class Lab:
    """Feeds of a plate that a run has filled."""

    def __init__(self, records: Records, like: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime):
        self.records, self.at, self._like, self._verdict = records, at, like, make_verdict
        self.run(self.feed("fill", present=False))

    def feed(self, name: str, *wells: str, present: bool = True, plate: str = "P-1") -> Worklist:
        """Medium into three wells, in which something is already."""
        wells = wells or ("A1", "B1", "C1")
        deck = (
            DeckItem(nickname="bottle", slot="D2", load_name="bottle", barcode="M-1"),
            DeckItem(nickname="plate", slot="D3", load_name="corning_96_wellplate_360ul_flat", barcode=plate),
        )
        first = self._like.steps[0].model_copy(update={"labware": "bottle", "well": "A1", "to_labware": "plate"})
        steps = tuple(
            first.model_copy(update={"number": number, "to_well": well}) for number, well in enumerate(wells, start=1)
        )
        held = (Filling(labware="plate", well=well, volume_ul=100, liquid=MEDIUM) for well in wells if present)
        bottle = Filling(labware="bottle", well="A1", volume_ul=900, liquid=MEDIUM)
        changed = {"name": name, "deck": deck, "steps": steps, "fillings": (bottle, *held)}
        return self._like.model_copy(update=changed)

    def planned(self, *worklists: Worklist) -> tuple[Worklist, ...]:
        """Parts of a plan that is made now."""
        return self.records.vessels.planned_on(worklists, "lab")

    def run(self, worklist: Worklist, event: StepEvent = "done", state: RunState = "succeeded", **where: Any) -> str:
        """A run of which every step ended so."""
        journal = self.records.journal
        run_id = journal.create_run(
            worklist, self._verdict(worklist), bench=where.pop("bench", "lab"), device="flex", at=self.at,
            context=Context(**where),
        )  # fmt: skip
        journal.append_event(run_id, [step.number for step in worklist.steps], event, at=self.at, device="flex")
        journal.set_run_state(run_id, state, ended_at=None if state == "running" else self.at)
        return run_id


@pytest.fixture
def lab(everywhere: Records, worklist: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime) -> Lab:
    return Lab(everywhere, worklist, make_verdict, at)


def test_a_plan_tells_the_last_run_that_changed_what_it_gives_into(lab: Lab) -> None:
    new, standing = lab.planned(lab.feed("new", plate="P-2", present=False), lab.feed("feed", "B1", "A1", "D1"))
    assert new.planned_on == ()
    assert standing.planned_on == (PlannedOn(barcode="P-1", run="run-0001", wells=("A1", "B1", "D1")),)
    assert standing.content_hash == lab.feed("feed", "B1", "A1", "D1").content_hash, "it is the same work"


def test_of_two_feeds_that_were_planned_beside_each_other_only_one_is_run(lab: Lab) -> None:
    (one,), (other,) = lab.planned(lab.feed("feed")), lab.planned(lab.feed("the same again", "C1", "D1"))
    lab.run(one)
    told = (
        "the same again: planned on what P-1 held after run-0001; C1 was changed since, by run-0002 (feed). Remedy: "
        "look at it: `nkloop run show run-0002`; if that was not this very work, plan anew on what P-1 holds now"
    )
    with pytest.raises(RecordError, match=re.escape(told)):
        lab.run(other)
    (anew,) = lab.planned(other)
    lab.run(anew)


def test_two_launches_of_one_plan_are_not_both_run(lab: Lab) -> None:
    (feed,) = lab.planned(lab.feed("feed"))
    lab.run(feed, occurrence="launch-1/feed")
    with pytest.raises(RecordError, match="A1, B1, C1 held something already, given by run-0002"):
        lab.run(feed, occurrence="launch-2/feed")


@pytest.mark.parametrize(
    ("event", "state", "told"),
    [
        pytest.param("done", "succeeded", "were changed", id="done"),
        pytest.param("unknown", "interrupted", "were changed", id="unknown"),
        pytest.param("intended", "running", "were taken up", id="under way"),
        pytest.param("failed", "failed", "", id="nothing moved"),
    ],
)
def test_what_another_run_did_or_is_about_to_do_counts(lab: Lab, event: StepEvent, state: RunState, told: str) -> None:
    (feed,) = lab.planned(lab.feed("feed"))
    lab.run(lab.planned(lab.feed("another"))[0], event, state)
    if not told:
        lab.run(feed)
        return
    with pytest.raises(RecordError, match=told):
        lab.run(feed)


@pytest.mark.parametrize("was_filled", [True, False])
def test_a_plan_does_not_count_on_a_run_that_is_under_way(lab: Lab, was_filled: bool) -> None:
    """Another person plans the same feed while this one waits for a thaw."""
    plate = "P-1" if was_filled else "P-2"
    lab.run(lab.feed("feed", plate=plate), "sent", "running")
    (beside,) = lab.planned(lab.feed("the same feed", plate=plate))
    assert [one.run for one in beside.planned_on] == ["run-0001" if was_filled else ""]
    then = "after run-0001" if was_filled else "before"
    with pytest.raises(RecordError, match=rf"planned on what {plate} held {then}; A1, B1, C1 were taken up since"):
        lab.run(beside)


def test_what_people_deny_has_changed_nothing(lab: Lab) -> None:
    (feed,) = lab.planned(lab.feed("feed"))
    cut = lab.run(lab.planned(lab.feed("another"))[0], "unknown", "interrupted")
    denied = tuple(StepRuling(number=number, happened=False) for number in (1, 2, 3))
    lab.records.decisions.add(
        RunDecision(run_id=cut, at=lab.at, by="Ada", decision="continue", reason="dry tips", rulings=denied)
    )
    lab.run(feed)


def test_other_wells_another_plate_and_another_bench_are_no_matter(lab: Lab) -> None:
    (feed,) = lab.planned(lab.feed("feed"))
    lab.run(lab.feed("others", "A2", "B2", "C2"))
    lab.run(lab.feed("another plate", plate="P-2"))
    lab.run(lab.feed("elsewhere"), bench="virtual")
    lab.run(feed)


def test_parts_of_a_plan_that_give_into_the_same_wells_follow_each_other(lab: Lab) -> None:
    first, second = lab.planned(lab.feed("part 1"), lab.feed("part 2"))
    assert second.planned_on == ()
    lab.run(first)
    lab.run(second)


def test_the_plan_kept_last_counts_although_the_clock_was_set_back(
    everywhere: Records, worklist: Worklist, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        offset = timedelta(days=1)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + cls.offset

    monkeypatch.setattr(kept_plans, "datetime", Ahead)
    everywhere.plans.keep("launch", "feeding", worklist)
    monkeypatch.setattr(Ahead, "offset", timedelta())
    everywhere.plans.keep("launch", "feeding", worklist.model_copy(update={"name": "planned anew"}))
    last = everywhere.plans.last("launch", "feeding", Worklist)
    assert last is not None
    assert last.name == "planned anew"
