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
        with pytest.raises(
            RecordError, match=rf"T-1 \(Medium\) was filled before, by {run_id} \(medium\).*--plate T-1\.2"
        ):
            refuse()
    assert len(lab.records.journal.run_ids()) == 1
    lab.run(lab.medium("other medium", trough="T-2"))


def test_a_vessel_counts_as_filled_also_by_a_run_that_was_cut_unless_it_moved_nothing(lab: Lab) -> None:
    lab.run(lab.medium("declined"), "intended", "intended", "intended")
    lab.run(lab.medium("cut"), "done", "unknown", "failed")
    with pytest.raises(RecordError, match="filled before, by run-0002"):
        lab.run(lab.medium("other"))


def test_a_rest_fills_it_on_and_the_whole_is_not_done_again(lab: Lab) -> None:
    """Also who says that he means it (`known`) has no second vessel of this barcode."""
    whole = lab.medium()
    run_id = lab.run(whole, "done", "failed", "failed")
    rest = lab.medium("rest", steps=whole.steps[:2])
    decided = RunDecision(run_id=run_id, decision="continue", by="Ada", reason="levels were read", at=lab.at)
    lab.records.decisions.add(decided, follow_up=rest)
    lab.run(rest, "done", "done", parent=run_id)
    known = lab.records.journal.run_ids()
    for refuse in (lambda: lab.records.vessels.require_unused(whole, "lab"), lambda: lab.run(whole, known=known)):
        with pytest.raises(RecordError, match=r"T-1 \(Medium\) was filled before, by run-0002 \(rest\)"):
            refuse()
    assert lab.run(lab.medium(trough=""), known=known)


@pytest.mark.parametrize(
    ("procedure", "remedy"),
    [
        ("medium_preparation", "nkloop plan medium` with --barcode T-1.3, or without"),
        ("cytokine_dosing", "contents by now are in --present, .* for a fresh plate .* with --plate T-1.3"),
        ("cytotoxicity_assay", "take a fresh plate .* another --plate, such as T-1.3"),
    ],
)
def test_the_remedy_names_the_options_of_the_procedure_and_a_free_barcode(
    lab: Lab, procedure: str, remedy: str
) -> None:
    lab.run(lab.medium())
    lab.records.vessels.give("T-1.2")
    with pytest.raises(RecordError, match=remedy):
        lab.run(lab.medium("planned anew", procedure=procedure))


WATER = Liquid(name="water", per_ul={"water": 1.0})


def plate(lab: Lab, name: str, moves: str, held: str = "", barcode: str = "P-7", **more: Any) -> Worklist:
    """`B1>B2 B1>B3`: 100 µL each, into a plate in whose `held` wells 100 µL stand; from `D1` it comes out of a tub."""
    deck = (
        DeckItem(nickname="tub", slot="D1", load_name="nest_1_reservoir_195ml"),
        DeckItem(nickname="plate", slot="D2", load_name="corning_24_wellplate_3.4ml_flat", barcode=barcode),
    )
    steps = []
    for number, (source, target) in enumerate((move.split(">") for move in moves.split()), start=1):
        labware = {"labware": "tub", "well": "A1"} if source == "D1" else {"labware": "plate", "well": source}
        where = {**labware, "to_labware": "plate", "to_well": target, "volume_ul": 100.0, "number": number}
        steps.append(lab.medium().steps[0].model_copy(update=where))
    fillings = [Filling(labware="tub", well="A1", volume_ul=90_000, liquid=WATER)]
    fillings += [Filling(labware="plate", well=well, volume_ul=100, liquid=WATER) for well in held.split()]
    changed = {"name": name, "deck": deck, "steps": tuple(steps), "fillings": tuple(fillings), **more}
    return lab.medium().model_copy(update={"procedure": "cytokine_dosing", **changed})


def test_wells_of_a_partly_filled_plate_that_are_empty_on_paper_were_never_filled(lab: Lab) -> None:
    lab.run(plate(lab, "seeded", "D1>A1 D1>A2 D1>A3"), "done", "done", "unknown")
    with pytest.raises(RecordError, match=r"P-7 \(plate\) A2, A3 held something already, given by run-0001 \(seeded\)"):
        lab.run(plate(lab, "fed", "D1>A1 D1>A2 D1>A3 D1>A4", held="A1"))
    assert lab.run(plate(lab, "fed", "D1>A1 D1>A2 D1>A4", held="A1 A2"))


def test_a_well_that_a_run_has_drawn_empty_is_empty(lab: Lab) -> None:
    lab.run(plate(lab, "seeded", "D1>A1 D1>A2"), "done", "done", "failed")
    lab.run(plate(lab, "moved", "A1>B1", held="A1 A2"), "done", "failed", "failed")
    assert lab.run(plate(lab, "seeded again", "D1>A1", held="A2 B1"))
    with pytest.raises(RecordError, match=r"P-7 \(plate\) A1 held something already, given by run-0003"):
        lab.run(plate(lab, "once more", "D1>A1", held="A2 B1 B2"))


def test_a_feed_is_planned_anew_for_what_stands_there_then(lab: Lab) -> None:
    feed = plate(lab, "fed", "D1>A1", held="A1")
    lab.run(feed)
    with pytest.raises(RecordError, match=r"A1 held something already, given by run-0001 \(fed\): the worklist does"):
        lab.run(feed, known=["run-0001"])


def test_a_feed_of_what_stands_there_reads_no_earlier_worklist(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plate that is fed for weeks has many runs, and a worklist of each takes a tenth of a second to read."""
    lab.run(plate(lab, "seeded", "D1>A1 D1>A2 D1>A3"))
    read: list[str] = []
    monkeypatch.setattr("nkloop.records.vessels.worklist_of", lambda _, digest: read.append(digest))
    assert lab.run(plate(lab, "fed", "D1>A1 D1>A2", held="A1 A2"))
    assert read == []


def test_a_reservoir_is_topped_up_with_eight_channels(lab: Lab) -> None:
    trough = {"pipettes": {"left": "flex_8channel_1000"}}
    deck = (
        DeckItem(nickname="tub", slot="D1", load_name="nest_1_reservoir_195ml"),
        DeckItem(nickname="plate", slot="D2", load_name="nest_12_reservoir_15ml", barcode="R-1"),
    )
    first = plate(lab, "first", "D1>A1", **trough, deck=deck)
    first = first.model_copy(update={"steps": tuple(one.model_copy(update={"channels": 8}) for one in first.steps)})
    lab.run(first)
    stands = Filling(labware="plate", well="A1", volume_ul=800, liquid=WATER)
    assert lab.run(first.model_copy(update={"name": "top-up", "fillings": (*first.fillings, stands)}))


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
