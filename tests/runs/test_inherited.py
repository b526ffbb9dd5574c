"""A correction that is cut itself: what was unknown before it still is."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from nkloop.errors import PlanError
from nkloop.records import Records
from nkloop.records.models import JournalEvent
from nkloop.runs.asking import question
from nkloop.runs.follow_up import repaired
from nkloop.runs.inherited import starts_of
from nkloop.runs.ways import MOST_WAYS, fates_of
from nkloop.worklists.models import Step, Target, Worklist

from .conftest import AT, Journalled
from .cut_dosing import CATALOGUE, CUT, DECK, decided, dosing, journal

HELD, PER_UL = 18.0, 0.2
"""ng of IL-15 in a well of 1000 µL, and ng in a µL of its tube."""
TARGET = 20 / 1010
SPOTS = (("plate", "A1"), ("tubes", "A1"))
FIRST_CUT = journal((1, "unknown"), (2, "failed"))


def small_doses(tolerance: float) -> Worklist:
    """Two wells with most of their IL-15 in them; 10 µL bring the rest."""
    base = dosing()
    medium, *_, tube = base.fillings
    per_ul = {"base": 1.0, "IL-15": HELD / 1000}
    held = medium.model_copy(
        update={"volume_ul": 1000.0, "liquid": medium.liquid.model_copy(update={"per_ul": per_ul})}
    )
    stock = tube.liquid.model_copy(update={"per_ul": {"base": 1.0, "IL-15": PER_UL}})
    fillings = (held, held.model_copy(update={"well": "B1"}), tube.model_copy(update={"liquid": stock}))
    steps = tuple(
        Step(
            number=n, action="transfer", labware="tubes", well="A1", to_labware="plate", to_well=well, volume_ul=10,
            tip=f"tips:{well}", dispense_at="rim",
        )
        for n, well in enumerate(("A1", "B1"), start=1)
    )  # fmt: skip
    targets = tuple(
        Target(labware="plate", well=well, component="IL-15", per_ul=TARGET, tolerance_percent=tolerance)
        for well in ("A1", "B1")
    )
    return base.model_copy(update={"fillings": fillings, "steps": steps, "targets": targets})


def cut(records: Records, journalled: Journalled, worklist: Worklist, events: list[JournalEvent], **more: Any) -> str:
    run_id = journalled(worklist, "planned", **more)
    records.journal.append_events(run_id, events)
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


async def cut_correction(records: Records, journalled: Journalled, worklist: Worklist) -> tuple[Worklist, str]:
    """A run that was cut, its correction, and the run of that, cut in its first step."""
    run_id = cut(records, journalled, worklist, FIRST_CUT)
    correction = (await decided(records, run_id, "repair")).follow_up
    assert correction is not None
    return correction, cut(records, journalled, correction, FIRST_CUT, parent=run_id)


def given(made: Worklist) -> float:
    return sum(step.volume_ul for step in made.steps if step.to_well == "A1")


async def test_a_second_correction_that_does_not_fit_what_was_unknown_before_is_refused(
    records: Records, journalled: Journalled
) -> None:
    """It fits what the first one started from by its worklist, the middle; the well was 9.1 % off with 6 % allowed."""
    _, run_id = await cut_correction(records, journalled, small_doses(6.0))
    with pytest.raises(PlanError, match=r"plate A1: IL-15 would be off its target by -9\.1 %"):
        await decided(records, run_id, "repair")
    assert "plate A1: IL-15 would be off" in question(run_id, records, CATALOGUE, DECK).no_repair
    assert (await decided(records, run_id, "continue", happened=[1])).follow_up is not None


async def test_a_second_correction_is_within_tolerance_whatever_happened_in_either_run(
    records: Records, journalled: Journalled
) -> None:
    first, run_id = await cut_correction(records, journalled, small_doses(12.0))
    second = (await decided(records, run_id, "repair")).follow_up
    assert second is not None
    for before, then in product((0.0, 10.0), (0.0, given(first))):
        volume = before + then + given(second)
        assert (HELD + PER_UL * volume) / (1000 + volume) == pytest.approx(TARGET, rel=0.12)


async def test_what_a_correction_began_with_stays_unknown_through_a_rest_that_is_known(
    records: Records, journalled: Journalled
) -> None:
    correction, run_id = await cut_correction(records, journalled, small_doses(12.0))
    rest = (await decided(records, run_id, "continue", not_happened=[1])).follow_up
    assert rest is not None
    rest_id = cut(records, journalled, rest, journal((1, "failed"), (2, "failed")), parent=run_id)
    run = records.journal.run(rest_id)
    starts = starts_of(run, records, CATALOGUE, DECK)
    wells = {spot: [f.volume_ul for s in starts for f in s.fillings if (f.labware, f.well) == spot] for spot in SPOTS}
    # not, drawn and lost, done; the correction gave nothing
    assert wells == {("plate", "A1"): [1000, 1000, 1010], ("tubes", "A1"): [500, 490, 490]}
    middle = {(f.labware, f.well): f.volume_ul for f in rest.fillings}
    assert [middle[spot] for spot in SPOTS] == [1005, 495]
    assert given(rest) == given(correction) == 5


async def test_a_rest_of_a_run_that_is_known_has_one_start(records: Records, journalled: Journalled) -> None:
    run_id = cut(records, journalled, dosing(), CUT)
    rest = (await decided(records, run_id, "continue", happened=[2])).follow_up
    assert rest is not None
    rest_id = journalled(rest, "interrupted", "failed", parent=run_id)
    assert starts_of(records.journal.run(rest_id), records, CATALOGUE, DECK) == (rest,)


def test_more_ways_than_are_followed_are_no_correction() -> None:
    worklist = small_doses(6.0)
    starts = (worklist,) * (MOST_WAYS + 1)
    with pytest.raises(PlanError, match="with those of the runs before it, may have gone in 1203 ways"):
        repaired("run-2", worklist, fates_of(worklist, FIRST_CUT), CATALOGUE, DECK, starts=starts)
