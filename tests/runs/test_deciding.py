"""A decision about unknown steps: asked, kept, verified, and refused where it would be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nkloop.errors import PlanError, RecordError, StepUnknownError, VerificationError
from nkloop.records import Records
from nkloop.records.models import JournalEvent, RunDecision, StepRuling
from nkloop.runs.asking import question
from nkloop.runs.contents import known_contents
from nkloop.runs.deciding import follow_up_of
from nkloop.runs.outcomes import NOT_GIVEN
from nkloop.runs.run_facts import run_facts
from nkloop.runs.unfinished import told_of_unfinished, unfinished_vessels
from nkloop.runs.ways import fates_of
from nkloop.worklists.models import (
    Step,
    Verdict,
    Worklist,
)

from .conftest import AT
from .cut_dosing import CATALOGUE, CUT, DECK, decided, dose, dosing, journal, passes, refuses

Journalled = Callable[..., str]


@pytest.fixture
def cut_run(records: Records, journalled: Journalled) -> str:
    run_id = journalled(dosing(), "planned")
    records.journal.append_events(run_id, CUT)
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


async def test_the_question_names_step_tip_and_wells(records: Records, cut_run: str) -> None:
    asked = question(cut_run, records, CATALOGUE, DECK)
    (step,) = asked.steps
    assert (step.number, step.sentence, step.tip) == (2, "50 µL from tubes A1 to plate B1", "tips:A1")
    assert [(well.labware, well.well) for well in asked.wells] == [("plate", "B1"), ("tubes", "A1")]
    assert asked.left == (3, 4)
    assert asked.no_repair == "plate B1: IL-15 would be off its target by -48.7 %"


async def test_continuing_keeps_who_why_and_the_worklist(records: Records, cut_run: str) -> None:
    made = await decided(records, cut_run, "continue", not_happened=[2])
    run = records.journal.run(cut_run)
    assert run.decision is not None
    assert (run.decision.by, run.decision.reason, run.needs_decision) == ("Ada", "power cut at 18:00", False)
    worklist, context = follow_up_of(cut_run, records)
    assert worklist == made.follow_up
    assert (context.parent, worklist.n_transfers) == (cut_run, 2)
    assert records.audit.verify_chain() == ()
    assert records.audit.entries()[-1].who == "Ada"


async def test_what_the_device_says_was_drawn_cannot_have_been_nothing(
    records: Records, journalled: Journalled
) -> None:
    """A dry tip is what a given dose leaves as well: to give it once more would be the second dose."""
    run_id = journalled(dosing(), "planned")
    records.journal.append_events(run_id, journal((1, "done"), (2, "unknown"), (3, "intended"), moved={2: (0.0,)}))
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    with pytest.raises(PlanError, match=r"step 2 .*drew its liquid.*--happened 2.*--drawn 2"):
        await decided(records, run_id, "continue", not_happened=[2])
    assert records.journal.run(run_id).decision is None
    lost = await decided(records, run_id, "continue", drawn=[2])
    assert lost.follow_up is not None
    assert lost.follow_up.n_transfers == 2


def not_given(records: Records, journalled: Journalled, moved: tuple[float, ...] = ()) -> str:
    """A run whose second dose ended before the device began to give."""
    run_id = journalled(dosing(), "planned")
    detail = f"aspirate: overpressure; how much was drawn is not told; {NOT_GIVEN}"
    cut = JournalEvent(number=2, event="unknown", at=AT, detail=detail, moved_ul=moved)
    records.journal.append_events(run_id, [CUT[0], cut, *CUT[2:]])
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


async def test_what_its_device_never_began_to_give_has_not_arrived(records: Records, journalled: Journalled) -> None:
    run_id = not_given(records, journalled)
    asked = question(run_id, records, CATALOGUE, DECK)
    assert [(well.labware, well.well, well.volumes_ul) for well in asked.wells] == [("tubes", "A1", (400, 450))]
    assert [(one.kind, one.said) for one in asked.offers if not one.refused] == [
        ("repair", {}), ("discard", {}), ("continue", {"not_happened": (2,)}), ("continue", {"drawn": (2,)}),
    ]  # fmt: skip
    for word in ("happened", "given", "cut_in_mix"):
        with pytest.raises(PlanError, match=r"step 2 .*list of commands says so.*--drawn 2.*--not-happened 2"):
            await decided(records, run_id, "continue", **{word: [2]})
    made = [
        await decided(records, run_id, "continue", not_happened=[2]),
        await decided(records, run_id, "continue", drawn=[2], instead_of=1),
        await decided(records, run_id, "repair", instead_of=2),
    ]
    for one in made:
        assert one.follow_up is not None
        assert [step.volume_ul for step in one.follow_up.steps if step.action == "transfer"] == [50, 50]
        assert {(f.labware, f.well): f.volume_ul for f in one.follow_up.fillings}["plate", "B1"] == 950


async def test_what_was_drawn_and_never_given_is_missing_in_its_source(
    records: Records, journalled: Journalled
) -> None:
    run_id = not_given(records, journalled, (0.0,))
    asked = question(run_id, records, CATALOGUE, DECK)
    assert asked.wells == ()
    assert [(one.kind, one.said) for one in asked.offers if one.kind != "discard"] == [
        ("repair", {}), ("continue", {"drawn": (2,)}),
    ]  # fmt: skip
    assert [one.when for one in asked.offers if one.kind == "discard"] == [
        "nothing more of it is done; what its wells hold is known, throw some away with --well plate:B3"
    ]
    with pytest.raises(PlanError, match=r"drew its liquid and had not begun to give.*--drawn 2"):
        await decided(records, run_id, "continue", not_happened=[2])
    for number, kind in enumerate(("repair", "continue")):
        said = {"drawn": [2]} if kind == "continue" else {}
        made = await decided(records, run_id, kind, instead_of=number, **said)
        assert made.follow_up is not None
        assert {(f.labware, f.well): f.volume_ul for f in made.follow_up.fillings}["tubes", "A1"] == 400


async def test_what_was_lost_with_the_tip_is_kept_and_told(records: Records, cut_run: str) -> None:
    made = await decided(records, cut_run, "continue", drawn=[2])
    run = records.journal.run(cut_run)
    assert run.decision is not None
    assert run.decision.rulings == (StepRuling(number=2, happened=False, is_drawn=True),)
    assert made.follow_up is not None
    assert {(f.labware, f.well): f.volume_ul for f in made.follow_up.fillings}["tubes", "A1"] == 400
    facts = run_facts(cut_run, records, CATALOGUE)
    assert "step 2 drew its liquid and lost it" in facts.decisions[0]
    assert {(w.labware, w.well): w.sentence for w in facts.wells}["tubes", "A1"] == "400 µL"
    assert records.audit.verify_chain() == ()


def mixed(volume: float = 50) -> Worklist:
    """The dosing with a mix after each dose."""
    worklist = dosing(volume)
    steps = [
        step.model_copy(update={"mix_after": 3, "mix_volume_ul": 80.0, "dispense_at": "level"})
        if step.action == "transfer"
        else step
        for step in worklist.steps
    ]
    return worklist.model_copy(update={"steps": tuple(steps)})


@pytest.fixture
def cut_in_mix(records: Records, journalled: Journalled) -> str:
    """The last dose was cut; only a pause would follow."""
    run_id = journalled(mixed(), "planned")
    records.journal.append_events(run_id, journal((1, "done"), (2, "done"), (3, "unknown"), (4, "failed")))
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


@pytest.mark.parametrize(
    ("said", "held_ul", "word"),
    [
        pytest.param("given", 1000, "step 3 gave its liquid and was not mixed", id="tip_empty"),
        pytest.param("cut_in_mix", 920, "step 3 gave its liquid and was cut in its mix", id="mix_in_the_tip"),
    ],
)
async def test_a_dose_that_was_given_and_not_mixed_is_only_mixed(
    records: Records, cut_in_mix: str, said: str, held_ul: float, word: str
) -> None:
    made = await decided(records, cut_in_mix, "continue", **{said: [3]})
    rest = made.follow_up
    assert rest is not None
    assert [(step.action, step.labware, step.well) for step in rest.steps] == [
        ("mix", "plate", "C1"),
        ("pause", "", ""),
    ]
    held = {(one.labware, one.well): one.volume_ul for one in rest.fillings}
    assert (held["plate", "C1"], held["tubes", "A1"]) == (held_ul, 350)
    assert word in run_facts(cut_in_mix, records, CATALOGUE).decisions[0]
    contents = known_contents(records, CATALOGUE, DECK, "P-1")
    assert contents.wells["C1"].volume_ul == pytest.approx(held_ul)


async def test_a_dose_that_does_not_mix_cannot_have_been_cut_in_its_mix(records: Records, cut_run: str) -> None:
    with pytest.raises(PlanError, match=r"step 2 .* mixes nothing after it has given.*--happened 2"):
        await decided(records, cut_run, "continue", cut_in_mix=[2])


async def test_a_follow_up_that_a_check_refuses_leaves_the_question_open(records: Records, cut_run: str) -> None:
    with pytest.raises(VerificationError, match="too late"):
        await decided(records, cut_run, "continue", happened=[2], verify=refuses)
    assert records.journal.run(cut_run).needs_decision


async def test_discarding_marks_every_well_in_doubt_and_later_plans_know(records: Records, cut_run: str) -> None:
    with pytest.raises(StepUnknownError, match="nobody knows what P-1 holds"):
        known_contents(records, CATALOGUE, DECK, "P-1")
    await decided(records, cut_run, "discard")
    assert [(one.barcode, one.well) for one in records.decisions.discarded("P-1")] == [("P-1", "B1")]
    held = known_contents(records, CATALOGUE, DECK, "P-1")
    assert {well: round(c.volume_ul) for well, c in held.wells.items()} == {"A1": 1000, "C1": 950}
    assert held.discarded == {"B1"}
    worklist = records.journal.worklist(records.journal.run(cut_run).worklist_hash)
    with pytest.raises(RecordError, match=f"P-1 B1: was discarded after {cut_run} by .*a barcode of its own"):
        records.decisions.require_usable((worklist,))
    fresh = tuple(item.model_copy(update={"barcode": None}) for item in worklist.deck)
    records.decisions.require_usable((worklist.model_copy(update={"deck": fresh}),))


async def test_discarding_a_source_names_the_vessels_behind_it_with_what_they_hold_and_lack(
    records: Records, cut_run: str
) -> None:
    made = await decided(records, cut_run, "discard", wells=[("tubes", "A1")])
    told = told_of_unfinished(made.unfinished)
    assert told == [
        "Unfinished because of that, and not discarded:",
        "  plate (P-1) B1: 950 µL to 1 mL, nobody knows, lacks 50 µL (step 2)",
        "  plate (P-1) C1: 950 µL, lacks 50 µL (step 3)",
        "To finish them, make a new plan (nkloop plan dosing): it starts from what they hold now.",
        "Where nobody knows what a well holds, no plan starts from it: measure it, or discard it as well.",
    ]


def test_what_no_plan_finishes_is_to_be_made_anew() -> None:
    worklist = dosing().model_copy(update={"procedure": "medium_preparation"})
    found = unfinished_vessels(worklist, fates_of(worklist, journal((1, "failed"))), [], CATALOGUE, DECK)
    *_, told = told_of_unfinished(found)
    assert told.startswith("No plan finishes them: plan the whole anew (nkloop plan medium)")


def test_a_dilution_on_its_way_is_no_vessel_to_be_finished_and_alike_wells_are_told_together() -> None:
    worklist = dosing()
    *doses, shake = worklist.steps
    again = [step.model_copy(update={"number": n}) for n, step in enumerate(doses, 2)]
    fill = doses[0].model_copy(update={"number": 1, "labware": "tubes", "well": "B1", "to_labware": "tubes"})
    steps = (fill.model_copy(update={"to_well": "A1"}), *again, shake.model_copy(update={"number": 5}))
    worklist = worklist.model_copy(update={"steps": steps})
    fates = fates_of(worklist, journal((1, "failed")))
    (found,) = unfinished_vessels(worklist, fates, [], CATALOGUE, DECK)
    assert found.sentence == "plate (P-1) A1, B1, C1: 950 µL, lack each 50 µL (step 2-4)"
    assert unfinished_vessels(worklist, fates, [("plate", well) for well in found.wells], CATALOGUE, DECK) == ()


def test_who_asks_for_the_rest_of_an_undecided_run_is_sent_to_its_question(records: Records, cut_run: str) -> None:
    with pytest.raises(RecordError) as refused:
        follow_up_of(cut_run, records)
    assert [one.remedy for one in refused.value.problems] == [f"nkloop reconcile {cut_run}"]


async def test_a_task_nobody_did_and_no_worklist_asks_for_is_told(records: Records, journalled: Journalled) -> None:
    run_id = journalled(dosing(), "planned")
    records.journal.append_events(run_id, journal((1, "done"), (2, "done"), (3, "done"), (4, "unknown")))
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    made = await decided(records, run_id, "continue", not_happened=[4])
    (task,) = made.by_hand
    assert (made.follow_up, task.startswith("step 4: ")) == (None, True)
    with pytest.raises(RecordError, match=r"it was decided: continue.*--decide continue --instead-of 1 --by NAME"):
        follow_up_of(run_id, records)
    assert (await decided(records, run_id, "continue", happened=[4], instead_of=1)).by_hand == ()


@pytest.mark.parametrize("kind", ["continue", "repair"])
async def test_where_only_a_mix_is_left_it_is_done(records: Records, journalled: Journalled, kind: str) -> None:
    mix = Step(number=4, action="mix", labware="plate", well="C1", volume_ul=100, mix_before=3, tip="tips:B1")
    worklist = dosing()
    run_id = journalled(worklist.model_copy(update={"steps": (*worklist.steps[:3], mix)}), "planned")
    records.journal.append_events(run_id, journal((1, "done"), (2, "done"), (3, "done"), (4, "failed")))
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    made = (await decided(records, run_id, kind)).follow_up
    assert made is not None
    assert [(step.action, step.labware, step.well) for step in made.steps] == [("mix", "plate", "C1")]


def with_barcode_of_tubes(worklist: Worklist) -> Worklist:
    deck = [item.model_copy(update={"barcode": "T-1"}) if item.nickname == "tubes" else item for item in worklist.deck]
    return worklist.model_copy(update={"deck": tuple(deck)})


@pytest.fixture
def drawn(records: Records, journalled: Journalled) -> Callable[[float], str]:
    """A run of which the third dose is left, after which another run drew so much from its tube."""

    def cut(volume: float) -> str:
        worklist = with_barcode_of_tubes(dosing())
        run_id = journalled(worklist, "planned")
        records.journal.append_events(run_id, journal((1, "done"), (2, "failed"), (3, "failed"), (4, "failed")))
        records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
        fresh = [item.model_copy(update={"barcode": f"{item.barcode}-2"}) if item.nickname == "plate" else item
                 for item in worklist.deck]  # fmt: skip
        steps = (dose(1, "A1", volume, "tips:A1"),)
        journalled(worklist.model_copy(update={"name": "other", "deck": tuple(fresh), "steps": steps, "targets": ()}))
        return run_id

    return cut


async def test_what_others_have_drawn_from_a_source_is_taken_off_before_the_rest_is_verified(
    records: Records, drawn: Callable[[float], str]
) -> None:
    """450 µL were left; a check sees what is run, and what is run is what was checked."""
    run_id, seen = drawn(200), list[Worklist]()

    async def noting(worklist: Worklist) -> Verdict:
        seen.append(worklist)
        return await passes(worklist)

    made = await decided(records, run_id, "continue", verify=noting)
    rest, context = follow_up_of(run_id, records)
    assert [one.volume_ul for one in rest.fillings if one.labware == "tubes"] == [250]
    assert (seen, made.follow_up, context.parent) == ([rest], rest, run_id)


async def test_where_others_have_drawn_too_much_the_wells_that_are_no_longer_reached_are_named(
    records: Records, drawn: Callable[[float], str]
) -> None:
    dead = CATALOGUE["opentrons_24_tuberack_nest_1.5ml_snapcap"].dead_volume_ul
    run_id = drawn(450 - dead - 70)
    with pytest.raises(PlanError, match=rf"tubes A1 holds {dead + 70:g} µL, 30 µL less than .*--well plate:C1"):
        await decided(records, run_id, "continue")
    made = await decided(records, run_id, "continue", wells=[("plate", "C1")])
    assert made.follow_up is not None
    assert [step.to_well for step in made.follow_up.steps if step.action == "transfer"] == ["B1"]
    assert follow_up_of(run_id, records)[0] == made.follow_up


async def test_vessels_are_told_apart_only_from_those_of_a_run_there_is(records: Records, cut_run: str) -> None:
    with pytest.raises(RecordError, match="run-0099 is not recorded"):
        await decided(records, cut_run, "continue", happened=[2], apart=["run-0099"])
    await decided(records, cut_run, "continue", happened=[2], apart=[cut_run], carried_to="FLX-2")
    told = run_facts(cut_run, records, CATALOGUE).decisions[0]
    assert "carried over to the device with serial number FLX-2; vessels of run-0001 are others" in told


async def test_what_was_discarded_is_never_continued(records: Records, cut_run: str) -> None:
    await decided(records, cut_run, "discard")
    told = r"decided already: discard, by Ada, at 20\d\d-.* UTC \(power cut at 18:00\)"
    for kind in ("continue", "repair", "discard"):
        with pytest.raises(RecordError, match=told):
            await decided(records, cut_run, kind, happened=[2])
    with pytest.raises(RecordError, match=told):
        follow_up_of(cut_run, records)
    late = RunDecision(run_id=cut_run, decision="continue", by="Bo", reason="decided at the same moment", at=AT)
    with pytest.raises(RecordError, match=told):
        records.decisions.add(late)
    assert [one.decision for one in records.decisions.of_run(cut_run)] == ["discard"]


async def test_a_decision_made_while_the_device_told_more_is_refused(records: Records, cut_run: str) -> None:
    async def told_meanwhile(worklist: Worklist) -> Verdict:
        records.journal.judge_anew(cut_run, journal((2, "done")), "interrupted", error="")
        return await passes(worklist)

    with pytest.raises(RecordError, match=r"has told more while this was decided.*decide anew"):
        await decided(records, cut_run, "continue", not_happened=[2], verify=told_meanwhile)
    assert records.decisions.of_run(cut_run) == ()


async def test_what_people_said_counts_in_the_contents(records: Records, cut_run: str) -> None:
    await decided(records, cut_run, "continue", happened=[2])
    held = known_contents(records, CATALOGUE, DECK, "P-1")
    assert {well: round(c.volume_ul) for well, c in held.wells.items()} == {"A1": 1000, "B1": 1000, "C1": 950}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param({"happened": [3]}, "step 3 of run-0001 is not unknown.*unknown outcome: 2", id="known_step"),
        pytest.param({"happened": [2], "not_happened": [2]}, "step 2 is said to have happened and not", id="both"),
        pytest.param(
            {"drawn": [2], "not_happened": [2]}, "not happened and drawn its liquid and lost it", id="drawn_not"
        ),
        pytest.param({"drawn": [3]}, "step 3 of run-0001 is not unknown", id="drawn_known"),
        pytest.param({"wells": [("plate", "Z9")], "happened": [2]}, "no well Z9 of 'plate'", id="no_such_well"),
    ],
)
async def test_a_slip_of_the_keyboard_is_refused(records: Records, cut_run: str, more: Any, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        await decided(records, cut_run, "continue", **more)
    assert records.journal.run(cut_run).needs_decision


async def test_a_pause_draws_nothing(records: Records, journalled: Journalled) -> None:
    run_id = journalled(dosing(), "planned")
    records.journal.append_events(run_id, journal((1, "done"), (2, "done"), (3, "done"), (4, "unknown")))
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    with pytest.raises(PlanError, match=r"step 4 \(Rock the plate ten times.\) moves no liquid.*--happened 4"):
        await decided(records, run_id, "continue", drawn=[4])


async def test_a_run_that_was_followed_is_not_decided_again(
    records: Records, cut_run: str, journalled: Journalled
) -> None:
    made = await decided(records, cut_run, "continue", happened=[2])
    assert made.follow_up is not None
    later = journalled(made.follow_up, parent=cut_run)
    for again in (decided(records, cut_run, "discard"), decided(records, cut_run, "repair")):
        with pytest.raises(RecordError, match=rf"{cut_run} has been followed by {later}"):
            await again
    with pytest.raises(RecordError, match="has been followed"):
        follow_up_of(cut_run, records)


async def test_of_two_who_are_asked_the_same_the_second_does_not_replace_what_the_first_decided(
    records: Records, cut_run: str
) -> None:
    """A page that was opened before, a question in another terminal."""

    async def meanwhile(worklist: Worklist) -> Verdict:
        between = RunDecision(run_id=cut_run, decision="continue", by="Cy", reason="looked at it", at=AT)
        records.decisions.add(between)
        return await passes(worklist)

    with pytest.raises(RecordError, match="decision 1 is to be replaced, and nobody has decided yet"):
        await decided(records, cut_run, "continue", happened=[2], instead_of=1)
    await decided(records, cut_run, "continue", happened=[2])
    for kind, said in (("continue", {"not_happened": [2]}), ("discard", {})):
        with pytest.raises(RecordError, match=r"decided already: continue, by Ada, .*--instead-of 1"):
            await decided(records, cut_run, kind, by="Bo", **said)
    await decided(records, cut_run, "continue", by="Bo", not_happened=[2], instead_of=1)
    with pytest.raises(RecordError, match=r"decided already: continue, by Cy, .*--instead-of 3"):
        await decided(records, cut_run, "continue", happened=[2], instead_of=2, verify=meanwhile)
    assert [one.by for one in records.decisions.of_run(cut_run)] == ["Ada", "Bo", "Cy"]


async def test_a_run_that_is_open_is_asked_for_first(records: Records, journalled: Journalled, tmp_path: Path) -> None:
    run_id = journalled(dosing(), "running", "sent")
    with pytest.raises(RecordError, match=rf"{run_id} is running in the records.*nkloop reconcile {run_id}"):
        await decided(records, run_id, "discard")
