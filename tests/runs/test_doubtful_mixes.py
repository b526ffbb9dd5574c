"""Wells that were drawn from after a mix that may not have happened: their concentration is not known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nkloop.errors import PlanError, StepUnknownError
from nkloop.records import Records
from nkloop.records.models import JournalEvent, StepEvent
from nkloop.runs.asking import question
from nkloop.runs.contents import known_contents
from nkloop.runs.possible import possible_wells
from nkloop.runs.run_facts import run_facts
from nkloop.runs.ways import fates_of
from nkloop.worklists.models import (
    Step,
    Worklist,
)

from .conftest import AT
from .cut_dosing import CATALOGUE, DECK, decided, dosing

Journalled = Callable[..., str]

MADE_GOOD = "aspirate: overpressure; the run went on after error recovery"


def diluting(*, mixes_again: bool = False) -> Worklist:
    """IL-15 is diluted in a tube, mixed, and given from there to a plate, which gives some on."""
    moves = [("tubes", "A1", "tubes", "B1"), ("tubes", "B1", "plate", "A1"), ("plate", "A1", "plate", "B1")]
    steps = [
        Step(
            number=1, action="transfer", labware=a, well=b, to_labware=c, to_well=d, volume_ul=50, tip=f"tips:{tip}1"
        )
        for tip, (a, b, c, d) in zip("ACD", moves, strict=True)
    ]  # fmt: skip
    mix = Step(number=1, action="mix", labware="tubes", well="B1", volume_ul=80, mix_before=5, tip="tips:B1")
    steps[1:1] = [mix, mix.model_copy(update={"tip": "tips:E1"})] if mixes_again else [mix]
    numbered = tuple(step.model_copy(update={"number": n}) for n, step in enumerate(steps, start=1))
    return dosing().model_copy(update={"steps": numbered, "targets": ()})


def mix_doubted(worklist: Worklist, detail: str = MADE_GOOD, *, after: StepEvent = "done") -> list[JournalEvent]:
    """The first mix is unknown, as when somebody made it good at the robot's screen; the rest went on."""
    told = [JournalEvent(number=1, event="done", at=AT), JournalEvent(number=2, event="unknown", at=AT, detail=detail)]
    return [*told, *(JournalEvent(number=s.number, event=after, at=AT) for s in worklist.steps[2:])]


@pytest.mark.parametrize(
    ("again", "detail", "after", "doubtful"),
    [
        (False, MADE_GOOD, "done", {("tubes", "B1"), ("plate", "A1"), ("plate", "B1")}),
        (True, MADE_GOOD, "done", set()),  # mixed before anything was drawn
        (False, "the robot lost power", "unknown", set()),  # in order: what was drawn was mixed before
        (False, MADE_GOOD, "failed", set()),  # nothing was drawn
    ],
)
def test_what_is_drawn_from_a_well_that_may_not_be_mixed_makes_its_concentration_unknown(
    again: bool, detail: str, after: StepEvent, doubtful: set[tuple[str, str]]
) -> None:
    worklist = diluting(mixes_again=again)
    fates = fates_of(worklist, mix_doubted(worklist, detail, after=after))
    wells = possible_wells(worklist, fates, CATALOGUE, DECK)
    assert {(one.labware, one.well) for one in wells if one.doubt} == doubtful


async def test_wells_of_unknown_concentration_are_told_refused_and_thrown_away(
    records: Records, journalled: Journalled
) -> None:
    run_id = journalled(diluting(), "planned")
    records.journal.append_events(run_id, mix_doubted(diluting()))
    records.journal.set_run_state(run_id, "failed", ended_at=AT)
    why = "step 2 may not have mixed tubes B1 before it was drawn from"
    asked = {(one.labware, one.well): one.doubt for one in question(run_id, records, CATALOGUE, DECK).wells}
    assert asked == dict.fromkeys([("plate", "A1"), ("plate", "B1"), ("tubes", "B1")], why)
    shown = {(one.labware, one.well): one.sentence for one in run_facts(run_id, records, CATALOGUE).wells}
    assert shown["plate", "B1"] == f"1 mL; concentration not known: {why}"
    with pytest.raises(PlanError, match=rf"concentration of plate A1 is not known: {why}.*--well plate:A1"):
        await decided(records, run_id, "repair")
    with pytest.raises(PlanError, match="step 2 did not mix tubes B1"):
        await decided(records, run_id, "continue", not_happened=[2])
    with pytest.raises(StepUnknownError, match="nobody knows what P-1 holds in A1, B1"):
        known_contents(records, CATALOGUE, DECK, "P-1")
    await decided(records, run_id, "discard")
    held = known_contents(records, CATALOGUE, DECK, "P-1")
    assert (set(held.wells), set(held.discarded)) == ({"C1"}, {"A1", "B1"})


async def test_a_mix_that_somebody_saw_leaves_no_doubt(records: Records, journalled: Journalled) -> None:
    run_id = journalled(diluting(), "planned")
    records.journal.append_events(run_id, mix_doubted(diluting()))
    records.journal.set_run_state(run_id, "failed", ended_at=AT)
    await decided(records, run_id, "continue", happened=[2])
    assert set(known_contents(records, CATALOGUE, DECK, "P-1").wells) == {"A1", "B1", "C1"}
