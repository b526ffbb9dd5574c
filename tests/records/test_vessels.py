"""Barcodes are given once, and a vessel that is empty on paper was never filled before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.models import Context, JournalEvent, RunDecision, StepEvent, StepRuling
from nkloop.worklists.models import DeckItem, Filling, Liquid, Verdict, Worklist


class Lab:
    """Runs that fill a trough from a bottle."""

    def __init__(self, records: Records, worklist: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime):
        self.records, self.at, self._like, self._verdict = records, at, worklist, make_verdict

    def medium(self, name: str = "medium", trough: str = "T-1", **more: Any) -> Worklist:
        """Three portions into a trough nothing is in."""
        deck = (
            DeckItem(nickname="bottle", slot="D2", load_name="bottle"),
            DeckItem(nickname="medium", slot="D3", load_name="trough", label="Medium", barcode=trough),
        )
        steps = tuple(
            one.model_copy(update={"labware": "bottle", "to_labware": "medium", "to_well": "A1"})
            for one in self._like.steps
        )
        fillings = (Filling(labware="bottle", well="A1", volume_ul=900, liquid=Liquid(name="base", per_ul={"b": 1.0})),)
        changed = {"name": name, "deck": deck, "steps": steps, "fillings": fillings, **more}
        return self._like.model_copy(update=changed)

    def run(self, worklist: Worklist, *events: StepEvent, bench: str = "lab", **more: Any) -> str:
        """A run that ended with these events, all done when none is given."""
        place = Context(parent=more.pop("parent", None))
        run_id = self.records.journal.create_run(
            worklist, self._verdict(worklist), bench=bench, device="flex", at=self.at, context=place, **more
        )
        told = [JournalEvent(number=n, event=e, at=self.at) for n, e in enumerate(events or ("done",) * 3, start=1)]
        self.records.journal.append_events(run_id, told)
        self.records.journal.set_run_state(run_id, "interrupted" if events else "succeeded", ended_at=self.at)
        return run_id


@pytest.fixture
def lab(
    everywhere: Records, worklist: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime
) -> Iterator[Lab]:
    yield Lab(everywhere, worklist, make_verdict, at)
    assert everywhere.audit.verify_chain() == ()


def test_a_barcode_is_given_once_however_many_ask_at_once(lab: Lab) -> None:
    with ThreadPoolExecutor(4) as many:
        given = list(many.map(lambda _: lab.records.vessels.give("medium-1"), range(8)))
    assert sorted(given) == ["medium-1", *(f"medium-1.{number}" for number in range(2, 9))]


def test_a_barcode_that_a_run_has_used_is_not_given(lab: Lab) -> None:
    lab.run(lab.medium())
    assert lab.records.vessels.of_series("T-1") == ("T-1", "T-1.2")
    assert lab.records.vessels.give("T-1") == "T-1.2"
    assert lab.records.vessels.give("T") == "T", "a barcode that another one begins with"


def test_a_vessel_that_was_filled_is_not_filled_as_a_new_one(lab: Lab) -> None:
    run_id, other = lab.run(lab.medium()), lab.medium("other medium")
    for refuse in (lambda: lab.records.vessels.require_unused(other, "lab", ()), lambda: lab.run(other)):
        with pytest.raises(RecordError, match=rf"T-1 \(Medium\) was filled before, by {run_id} \(medium\).*of its own"):
            refuse()
    assert len(lab.records.journal.run_ids()) == 1
    lab.run(lab.medium("other medium", trough="T-2"))


def test_a_vessel_counts_as_filled_also_by_a_run_that_was_cut_unless_it_moved_nothing(lab: Lab) -> None:
    lab.run(lab.medium("declined"), "intended", "intended", "intended")
    lab.run(lab.medium("cut"), "done", "unknown", "failed")
    with pytest.raises(RecordError, match="filled before, by run-0002"):
        lab.run(lab.medium("other"))


def test_a_rest_and_what_is_meant_to_be_done_again_fill_it_on(lab: Lab) -> None:
    whole = lab.medium()
    run_id = lab.run(whole, "done", "failed", "failed")
    rest = lab.medium("rest", steps=whole.steps[:2])
    decided = RunDecision(run_id=run_id, decision="continue", by="Ada", reason="levels were read", at=lab.at)
    lab.records.decisions.add(decided, follow_up=rest)
    lab.run(rest, "done", "done", parent=run_id)
    known = lab.records.journal.run_ids()
    lab.records.vessels.require_unused(whole, "lab", (), known)
    lab.run(whole, known=known)
    with pytest.raises(RecordError, match="was filled before"):
        lab.run(lab.medium("another"), known=known)


def test_what_is_given_into_what_stands_there_is_not_refused(lab: Lab) -> None:
    lab.run(lab.medium())
    stands = Filling(labware="medium", well="A1", volume_ul=30, liquid=Liquid(name="medium", per_ul={"b": 1.0}))
    topped_up = lab.medium("top-up")
    lab.run(topped_up.model_copy(update={"fillings": (*topped_up.fillings, stands)}))


def test_a_vessel_of_a_bench_elsewhere_is_another_one(lab: Lab) -> None:
    lab.run(lab.medium(), bench="virtual")
    lab.run(lab.medium("the real one"), bench="lab")


@pytest.mark.parametrize("seen", [{}, {"is_drawn": True}], ids=["nothing_moved", "liquid_lost"])
def test_a_vessel_that_somebody_saw_to_be_empty_is_new(lab: Lab, seen: dict[str, Any]) -> None:
    """Lost liquid may have dripped into it."""
    run_id = lab.run(lab.medium(), "unknown", "failed", "failed")
    ruling = StepRuling(number=1, happened=False, **seen)
    said = RunDecision(run_id=run_id, decision="discard", by="Ada", reason="looked at it", at=lab.at, rulings=(ruling,))
    with pytest.raises(RecordError, match=rf"T-1 \(Medium\) was filled before, by {run_id}"):
        lab.run(lab.medium("planned anew"))
    lab.records.decisions.add(said)
    if not seen:
        assert lab.run(lab.medium("planned anew"))
        return
    with pytest.raises(RecordError, match=rf"T-1 \(Medium\) was filled before, by {run_id}"):
        lab.run(lab.medium("planned anew"))
