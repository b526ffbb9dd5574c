"""A decision about unknown steps: what the wells may hold, and a worklist that is right whatever happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nkloop.drivers.bench import load_bench_file
from nkloop.errors import PlanError, RecordError, StepUnknownError, VerificationError
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.records.models import JournalEvent, RunDecision, StepEvent, StepRuling
from nkloop.runs.asking import question
from nkloop.runs.contents import known_contents
from nkloop.runs.deciding import Decided, decide, follow_up_of
from nkloop.runs.follow_up import continued, repaired
from nkloop.runs.outcomes import NOT_GIVEN
from nkloop.runs.possible import possible_wells, replay
from nkloop.runs.run_facts import run_facts
from nkloop.runs.typed_steps import wells_of
from nkloop.runs.unfinished import told_of_unfinished, unfinished_vessels
from nkloop.runs.ways import How, fates_of
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.models import (
    CheckResult,
    DeckItem,
    Filling,
    Liquid,
    OperatorTask,
    Step,
    Target,
    Verdict,
    Worklist,
)

from .conftest import AT, ROOT

CATALOGUE = Catalogue.load(ROOT / "labware")
DECK = load_bench_file(ROOT / "devices" / "virtual.yaml").deck
Journalled = Callable[..., str]


def dose(number: int, well: str, volume: float = 50, tip: str = "") -> Step:
    return Step(
        number=number, action="transfer", labware="tubes", well="A1", to_labware="plate", to_well=well,
        volume_ul=volume, tip=tip, dispense_at="rim", comment=f"IL-15 into {well}",
    )  # fmt: skip


def dosing(volume: float = 50, tolerance: float = 5.0) -> Worklist:
    """IL-15 from one tube into three wells with one tip, then mixed by hand."""
    wells = ("A1", "B1", "C1")
    shake = OperatorTask(kind="confirm", instruction="Rock the plate ten times.", labware=("plate",))
    steps = [dose(n, well, volume, "tips:A1" if n == 1 else "") for n, well in enumerate(wells, start=1)]
    medium = Liquid(name="medium", per_ul={"base": 1.0})
    cytokine = Liquid(name="IL-15", per_ul={"base": 1.0, "IL-15": 0.4}, lot="IL15-A")
    reached = 0.4 * volume / (950 + volume)
    return Worklist(
        name="dose day 3",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="plate", slot="D2", load_name="corning_24_wellplate_3.4ml_flat", barcode="P-1"),
            DeckItem(nickname="tubes", slot="D3", load_name="opentrons_24_tuberack_nest_1.5ml_snapcap"),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul"),
        ),
        fillings=(
            *(Filling(labware="plate", well=well, volume_ul=950, liquid=medium) for well in wells),
            Filling(labware="tubes", well="A1", volume_ul=500, liquid=cytokine),
        ),
        steps=(*steps, Step(number=4, action="pause", operator=shake)),
        targets=tuple(
            Target(labware="plate", well=well, component="IL-15", per_ul=reached, tolerance_percent=tolerance)
            for well in wells
        ),
    )


def journal(*events: tuple[int, StepEvent], moved: dict[int, tuple[float, ...]] | None = None) -> list[JournalEvent]:
    told = moved or {}
    return [JournalEvent(number=n, event=e, at=AT, moved_ul=told.get(n, ())) for n, e in events]


CUT = journal((1, "done"), (2, "unknown"), (3, "failed"), (4, "failed"))
"""The run was cut in the second dose."""


def test_both_possibilities_of_a_well_are_shown() -> None:
    wells = {(w.labware, w.well): w for w in possible_wells(dosing(), fates_of(dosing(), CUT), CATALOGUE, DECK)}
    assert set(wells) == {("plate", "B1"), ("tubes", "A1")}
    dosed = wells["plate", "B1"]
    assert dosed.barcode == "P-1"
    assert dosed.volumes_ul == (950, 1000)
    assert [(one.when, one.per_ul.get("IL-15", 0.0)) for one in dosed.contents] == [
        ("step 2 did not happen", 0.0),
        ("step 2 happened", pytest.approx(0.02)),
    ]
    assert wells["tubes", "A1"].volumes_ul == (400, 450)


def test_a_device_that_forgot_everything_leaves_as_many_possibilities_as_steps() -> None:
    fates = fates_of(dosing(), journal((1, "unknown"), (2, "unknown"), (3, "unknown"), (4, "unknown")))
    wells = {(w.labware, w.well): w for w in possible_wells(dosing(), fates, CATALOGUE, DECK)}
    assert [one.volume_ul for one in wells["tubes", "A1"].contents] == [500, 450, 400, 350]
    assert [one.volume_ul for one in wells["plate", "C1"].contents] == [950, 1000]
    assert wells["plate", "C1"].contents[1].when == "step 3 was the last that happened"


def test_what_was_drawn_and_not_given_is_gone_from_its_source() -> None:
    told = journal((1, "done"), (2, "failed"), (3, "failed"), (4, "failed"), moved={2: (0.0,)})
    ledger = replay(dosing(), fates_of(dosing(), told), CATALOGUE, DECK)
    assert ledger.well("tubes", "A1").volume_ul == 400
    assert ledger.well("plate", "B1").volume_ul == 950


def test_the_rest_starts_from_the_contents_now_with_a_fresh_tip() -> None:
    made = continued("run-7", dosing(), fates_of(dosing(), CUT, [StepRuling(number=2, happened=True)]), CATALOGUE, DECK)
    assert made.name == "dose day 3, rest of run-7"
    assert [(s.number, s.action, s.to_well, s.tip) for s in made.steps] == [
        (1, "transfer", "C1", "tips:B1"),
        (2, "pause", "", ""),
    ]
    held = {(f.labware, f.well): f for f in made.fillings}
    assert held["tubes", "A1"].volume_ul == 400
    assert held["tubes", "A1"].liquid.lot == "left:run-7:IL15-A", "the stock is not charged twice"
    assert held["plate", "B1"].liquid.per_ul["IL-15"] == pytest.approx(0.02)
    assert held["plate", "C1"].liquid.name == "medium"
    assert check_ledger(made, CATALOGUE, DECK).problems == ()


def test_what_did_not_happen_is_done_again_and_drawn_liquid_is_missing() -> None:
    told = journal((1, "done"), (2, "unknown"), (3, "failed"), (4, "failed"), moved={2: (0.0,)})
    made = continued(
        "run-7", dosing(), fates_of(dosing(), told, [StepRuling(number=2, happened=False)]), CATALOGUE, DECK
    )
    assert [s.to_well for s in made.steps if s.action == "transfer"] == ["B1", "C1"]
    assert {(f.labware, f.well): f.volume_ul for f in made.fillings}["tubes", "A1"] == 400
    assert check_ledger(made, CATALOGUE, DECK).problems == ()


def test_what_a_person_saw_to_be_lost_with_the_tip_is_missing_in_its_source() -> None:
    """The same for a device that tells nothing of the draw, as one that has lost its memory."""
    fates = fates_of(dosing(), CUT, [StepRuling(number=2, happened=False, is_drawn=True)])
    made = continued("run-7", dosing(), fates, CATALOGUE, DECK)
    assert [s.to_well for s in made.steps if s.action == "transfer"] == ["B1", "C1"]
    assert {(f.labware, f.well): f.volume_ul for f in made.fillings}["tubes", "A1"] == 400
    assert follow(made, CATALOGUE, DECK).well("tubes", "A1").volume_ul == 300
    assert check_ledger(made, CATALOGUE, DECK).problems == ()


def tight(volume_ul: float) -> Worklist:
    """The dosing out of a tube with little to spare."""
    worklist = dosing()
    fillings = [f.model_copy(update={"volume_ul": volume_ul}) if f.labware == "tubes" else f for f in worklist.fillings]
    return worklist.model_copy(update={"fillings": tuple(fillings)})


def test_a_source_that_would_run_dry_is_named_with_what_is_missing_and_what_to_leave_out() -> None:
    worklist = tight(150 + CATALOGUE["opentrons_24_tuberack_nest_1.5ml_snapcap"].dead_volume_ul + 20)
    assert check_ledger(worklist, CATALOGUE, DECK).problems == ()
    fates = fates_of(worklist, CUT, [StepRuling(number=2, happened=False)])
    continued("run-7", worklist, fates, CATALOGUE, DECK)  # nothing was drawn: there is enough
    lost = fates_of(worklist, CUT, [StepRuling(number=2, happened=False, is_drawn=True)])
    with pytest.raises(PlanError) as refused:
        continued("run-7", worklist, lost, CATALOGUE, DECK)
    told = str(refused.value)
    assert "tubes A1 holds" in told
    assert "30 µL less than the rest draws from it" in told
    assert "with --well plate:C1, and give that anew from a fresh container; or --decide discard" in told
    made = continued("run-7", worklist, lost, CATALOGUE, DECK, without=[("plate", "C1")])
    assert [s.to_well for s in made.steps if s.action == "transfer"] == ["B1"]
    assert check_ledger(made, CATALOGUE, DECK).problems == ()


def test_what_is_to_be_left_out_is_named_with_all_that_hangs_on_it_and_can_be_typed_as_it_stands() -> None:
    """A tube feeds a well, then a dilution that is mixed and given to two wells; the first dose is lost."""
    diluted = [
        dose(1, "C1", tip="tips:A1"),
        dose(2, "B1", tip="tips:B1").model_copy(update={"to_labware": "tubes"}),
        Step(number=3, action="mix", labware="tubes", well="B1", volume_ul=20, mix_before=3, tip="tips:C1"),
        *(dose(n, well, 10).model_copy(update={"well": "B1"}) for n, well in ((4, "A1"), (5, "B1"))),
    ]
    dead = CATALOGUE["opentrons_24_tuberack_nest_1.5ml_snapcap"].dead_volume_ul
    worklist = tight(100 + dead + 20).model_copy(update={"steps": tuple(diluted), "targets": ()})
    told = journal((1, "unknown"), *((n, "failed") for n in range(2, 6)))
    lost = fates_of(worklist, told, [StepRuling(number=1, happened=False, is_drawn=True)])
    with pytest.raises(PlanError) as refused:
        continued("run-7", worklist, lost, CATALOGUE, DECK)
    wells = wells_of(re.findall(r"--well (\S+?:[\w-]+)", str(refused.value)))
    assert wells == (("tubes", "B1"), ("plate", "A1"), ("plate", "B1"))
    made = continued("run-7", worklist, lost, CATALOGUE, DECK, without=wells)
    assert [(step.action, step.to_well) for step in made.steps] == [("transfer", "C1")]
    with pytest.raises(PlanError, match=r"--well plate:A1-B1$"):
        continued("run-7", worklist, lost, CATALOGUE, DECK, without=wells[:1])


def test_a_mix_that_took_its_liquid_along_cannot_be_done_again_with_what_is_left() -> None:
    """300 µL of 450 µL went with the tip; nothing that is left out brings them back."""
    worklist = dosing()
    mix = Step(number=1, action="mix", labware="tubes", well="A1", volume_ul=300, mix_before=5, tip="tips:A1")
    shifted = [step.model_copy(update={"number": step.number + 1}) for step in worklist.steps]
    worklist = worklist.model_copy(update={"steps": (mix, *shifted)})
    told = journal((1, "unknown"), *((n, "failed") for n in range(2, 6)))
    lost = fates_of(worklist, told, [StepRuling(number=1, happened=False, is_drawn=True)])
    with pytest.raises(
        PlanError, match=r"tubes A1 holds 200 µL, \d+ µL less than the rest mixes.*--decide discard"
    ) as refused:
        continued("run-7", worklist, lost, CATALOGUE, DECK)
    assert "--well" not in str(refused.value)


def test_without_a_word_about_an_unknown_step_nothing_is_continued() -> None:
    with pytest.raises(PlanError, match=r"nobody has said whether step 2 happened.*--happened"):
        continued("run-7", dosing(), fates_of(dosing(), CUT), CATALOGUE, DECK)


def test_discarded_wells_are_left_out_and_never_drawn_from() -> None:
    fates = fates_of(dosing(), CUT, [StepRuling(number=2, happened=True)])
    with pytest.raises(PlanError, match="no transfer is left"):
        continued("run-7", dosing(), fates, CATALOGUE, DECK, without=[("plate", "C1")])
    with pytest.raises(PlanError, match="step 3 draws from tubes A1, which is discarded"):
        continued("run-7", dosing(), fates, CATALOGUE, DECK, without=[("tubes", "A1")])


def test_a_column_is_mixed_though_one_of_its_wells_is_discarded() -> None:
    """The other seven are to be mixed, and a channel touches no well but its own."""
    water = Liquid(name="water", per_ul={"base": 1.0})
    column = [("plate", f"{row}3") for row in "ABCDEFGH"]
    mix = Step(number=1, action="mix", labware="plate", well="A3", volume_ul=50, mix_before=3, channels=8)
    worklist = Worklist(
        name="mix", procedure="cytotoxicity_assay", pipettes={"left": "flex_8channel_1000"},
        deck=(DeckItem(nickname="plate", slot="D2", load_name="corning_96_wellplate_360ul_flat", barcode="P-1"),
              DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul")),
        fillings=tuple(Filling(labware=p, well=w, volume_ul=100, liquid=water) for p, w in column), steps=(mix,),
    )  # fmt: skip
    failed = fates_of(worklist, journal((1, "failed")))
    (kept,) = continued("run-7", worklist, failed, CATALOGUE, DECK, without=[("plate", "B3")]).steps
    assert (kept.action, kept.well, kept.channels) == ("mix", "A3", 8)
    with pytest.raises(PlanError, match="no transfer is left"):
        continued("run-7", worklist, failed, CATALOGUE, DECK, without=column)


def test_an_addition_that_fits_both_possibilities_repairs() -> None:
    """A tolerance of 60 % covers half a dose either way."""
    worklist = dosing(tolerance=60)
    fates = fates_of(worklist, CUT)
    made = repaired("run-7", worklist, fates, CATALOGUE, DECK)
    assert [(s.to_well, s.volume_ul) for s in made.steps if s.action == "transfer"] == [("B1", 25), ("C1", 50)]
    hows: tuple[How, ...] = ("not", "drawn", "done")
    for how in hows:
        ledger = replay(worklist, fates, CATALOGUE, DECK, how={2: how})
        for step in made.steps:
            ledger.apply(step)
        reached = ledger.well("plate", "B1").per_ul["IL-15"]
        assert reached == pytest.approx(0.02, rel=0.6)


def test_where_no_addition_fits_both_it_is_refused_with_the_well() -> None:
    with pytest.raises(PlanError) as refused:
        repaired("run-7", dosing(), fates_of(dosing(), CUT), CATALOGUE, DECK)
    told = str(refused.value)
    assert "plate B1: IL-15 would be off its target by -48.7 %" in told
    assert "no addition is right in every possibility" in told
    assert "C1" not in told


def test_a_last_step_that_no_addition_fits_is_refused_with_what_its_well_would_hold() -> None:
    """Adding nothing leaves no transfer; that is not the reason why it cannot be repaired."""
    worklist = dosing()
    last = worklist.model_copy(update={"steps": worklist.steps[:2], "targets": worklist.targets[:2]})
    with pytest.raises(PlanError, match="no addition is right in every possibility"):
        repaired("run-7", last, fates_of(last, CUT), CATALOGUE, DECK)


def test_a_well_without_a_target_and_too_many_unknowns_are_not_repaired() -> None:
    aimless = dosing().model_copy(update={"targets": ()})
    with pytest.raises(PlanError, match="nothing says what plate B1 shall hold"):
        repaired("run-7", aimless, fates_of(aimless, CUT), CATALOGUE, DECK)
    many = aimless.model_copy(update={"steps": tuple(dose(n, "A1", tip=f"tips:A{n}") for n in range(1, 13 + 1))})
    with pytest.raises(PlanError, match="13 steps are unknown, more than 12"):
        repaired("run-7", many, fates_of(many, journal(*((n, "unknown") for n in range(1, 14)))), CATALOGUE, DECK)


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


@given(
    cut=st.integers(1, 3), happened=st.booleans(), drawn=st.sampled_from(["", "device", "person"]),
    volume=st.integers(5, 110).map(float),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_continued_wherever_it_was_cut_every_well_ends_as_planned(
    cut: int, happened: bool, drawn: str, volume: float
) -> None:
    """Whatever step was cut and whatever is said of it: run and rest together reach the plan."""
    worklist = dosing(volume)
    told = journal(
        *((n, "done") for n in range(1, cut)),
        (cut, "unknown"),
        *((n, "failed") for n in range(cut + 1, 5)),
        moved={cut: (0.0,)} if drawn == "device" else None,
    )
    saw_a_tip = drawn == "person" and not happened
    fates = fates_of(worklist, told, [StepRuling(number=cut, happened=happened, is_drawn=saw_a_tip)])
    if cut == 3 and happened:
        with pytest.raises(PlanError, match="no transfer is left"):
            continued("run-1", worklist, fates, CATALOGUE, DECK)
        return
    made = continued("run-1", worklist, fates, CATALOGUE, DECK)
    planned, reached = follow(worklist, CATALOGUE, DECK), follow(made, CATALOGUE, DECK)
    for well in ("A1", "B1", "C1"):
        want, got = planned.well("plate", well), reached.well("plate", well)
        assert got.volume_ul == pytest.approx(want.volume_ul, abs=0.01)
        assert got.per_ul["IL-15"] == pytest.approx(want.per_ul["IL-15"], rel=1e-3)
    lost = volume if drawn and not happened else 0.0
    assert reached.well("tubes", "A1").volume_ul == pytest.approx(500 - 3 * volume - lost, abs=0.01)


async def passes(worklist: Worklist) -> Verdict:
    return Verdict(
        worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(check_ledger(worklist, CATALOGUE, DECK),)
    )


async def refuses(worklist: Worklist) -> Verdict:
    problem = {"message": "too late", "where": "step 1", "remedy": "go home", "rule": "V001"}
    failed = CheckResult(check="ledger", passed=False, seconds=0, problems=(problem,))
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(failed,))


@pytest.fixture
def cut_run(records: Records, journalled: Journalled) -> str:
    run_id = journalled(dosing(), "planned")
    records.journal.append_events(run_id, CUT)
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


async def decided(records: Records, run_id: str, kind: Any, **more: Any) -> Decided:
    told: dict[str, Any] = {"by": "Ada", "reason": "power cut at 18:00", "at": AT, "verify": passes}
    return await decide(run_id, kind, records=records, catalogue=CATALOGUE, deck=DECK, **(told | more))


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
