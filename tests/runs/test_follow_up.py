"""What the wells of a cut run may hold, and a rest or correction that is right whatever happened."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.records.models import StepRuling
from nkloop.runs.follow_up import continued, repaired
from nkloop.runs.possible import possible_wells, replay
from nkloop.runs.typed_steps import wells_of
from nkloop.runs.ways import How, fates_of
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.models import (
    DeckItem,
    Filling,
    Liquid,
    Step,
    Worklist,
)

from .cut_dosing import CATALOGUE, CUT, DECK, dose, dosing, journal


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
