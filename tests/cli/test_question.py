"""The question after an interruption fits a screen and speaks in the units of the bench."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from nkloop.cli.run.display import next_word
from nkloop.cli.run.question import print_question
from nkloop.quantities.units import Kind
from nkloop.records.models import RunRecord, StepRecord
from nkloop.runs.asking import Question
from nkloop.runs.offers import candidates
from nkloop.runs.open_steps import OpenStep
from nkloop.runs.possible import PossibleContents, PossibleWell
from nkloop.runs.strengths import told
from nkloop.runs.typed_steps import numbers_of, spans
from nkloop.runs.vessels import HeldVessel, PossibleVolume

AT = datetime(2026, 11, 23, tzinfo=UTC)
KINDS = {"IL-15": Kind.MASS_CONCENTRATION, "IL-2": Kind.ACTIVITY_CONCENTRATION, "human serum": Kind.FRACTION}


def asked(n_steps: int) -> Question:
    run = RunRecord(
        id="run-0007", name="feed", procedure="cytokine_dosing", bench="flex", device="flex", device_run_id="d",
        worklist_hash="a" * 64, recipe_revision=None, state="interrupted", started_at=AT, ended_at=AT,
        n_transfers=n_steps, steps=tuple(StepRecord(number=n, event="unknown", at=AT) for n in range(1, n_steps + 1)),
    )  # fmt: skip
    steps = tuple(
        OpenStep(
            number=n, sentence=f"50 µL from tubes A1 to plate A{n}", alike="50 µL from tubes A1", target=f"plate A{n}",
            why="the robot lost power", tip="tips:A1", is_drawn=False,
        )
        for n in range(1, n_steps + 1)
    )  # fmt: skip
    ways = tuple(
        PossibleContents(when=f"step {n} was the last", volume_ul=500 - 50 * n, per_ul={"IL-15": 0.01, "base": 0.99})
        for n in range(n_steps + 1)
    )
    well = PossibleWell(labware="tubes", well="A1", barcode=None, contents=ways)
    return Question(run=run, steps=steps, wells=(well,), left=(65, 66))


def page(question: Question, *, whole: bool = False, refused: dict[str, str] | None = None) -> str:
    """The page with every answer that is worth a thought; those of a kind, or first word, that is refused say why."""
    offers = []
    for one in candidates(question.steps, has_wells=bool(question.wells), has_vessels=bool(question.vessels)):
        names = {one.kind, next(iter(one.said), "")}
        why = next((told for name, told in (refused or {}).items() if name in names), "")
        offers.append(one.model_copy(update={"refused": why}))
    question = question.model_copy(update={"offers": tuple(offers)})
    console = Console(record=True, width=100, file=None, quiet=False)
    with console.capture() as shown:
        print_question(console, question, "nkloop", KINDS, whole=whole)
    return shown.get()


def test_a_correction_that_is_not_right_either_way_is_not_offered() -> None:
    assert "repair --by NAME" in page(asked(2))
    told = "plate B1: IL-15 would be off its target by -50.0 %"
    text = page(asked(2), refused={"repair": told})
    assert f"no correction is offered: {told}. Say of some what you saw" in text
    assert "repair --by NAME" not in text


def test_a_lost_tip_that_leaves_too_little_is_told_before_it_is_typed() -> None:
    assert "cannot be done" not in page(asked(2))
    told = "tubes A1 holds 40 µL, 20 µL less than the rest draws"
    text = page(asked(2), refused={"drawn": told})
    assert f"that cannot be done, {told}." in text
    assert "continue --drawn" not in text
    assert "continue --drawn 1 --not-happened 2 --by NAME" in page(asked(2))


def test_a_dose_that_certainly_arrived_is_not_offered_to_be_done_again() -> None:
    one = asked(1)
    step = one.steps[0].model_copy(update={"is_drawn": True, "is_given": True, "mixes": True})
    text = page(one.model_copy(update={"steps": (step,)}))
    assert "(its liquid was given)" in text
    assert "continue --given 1 --by NAME" in text
    assert "--drawn" not in text
    assert "lost it with the tip" not in text


def test_sixty_four_unknown_steps_fit_a_screen() -> None:
    text = page(asked(64), refused={"repair": "64 steps are unknown, at most 12 can be corrected"})
    assert len(text.splitlines()) < 40
    assert text.count("the robot lost power") == 1
    assert "64 x 50 µL from tubes A1 to plate A1, plate A2, plate A3, plate A4 and 60 more" in " ".join(
        text.replace("│", " ").split()
    )
    assert "--happened 1-64 " in text
    assert "63 possibilities between, -2.7 mL to 500 µL" in text
    assert "IL-15 10 ng/mL" in text
    assert "(65-66)" in text
    assert "--decide repair" not in text, "what would be refused is not offered"
    assert "64 steps are unknown, at most 12 can be corrected" in text
    assert "--decide repair" in page(asked(12))
    assert "continue --drawn 1 --not-happened 2-64 " in text
    assert "continue --drawn 1 --by NAME" in page(asked(1))


def test_what_a_tired_person_types_first_is_right_either_way() -> None:
    text = page(asked(2))
    answers = ("--decide repair", "--decide discard", "--not-happened 1-2", "--happened 1-2")
    order = [text.index(answer) for answer in answers]
    assert order == sorted(order)
    assert "... 1 possibility between, 400 µL to 500 µL" in text


def test_a_task_without_liquid_is_asked_about_alone() -> None:
    question = asked(1)
    (step,) = question.steps
    task = step.model_copy(update={"tip": "", "sentence": "Close and label T-9", "target": ""})
    text = page(question.model_copy(update={"steps": (task,), "wells": ()}))
    assert "No well depends on them." in text
    assert not any(word in text for word in ("repair", "discard", "the tips in the trash"))
    assert "you saw that it did not happen: people do that themselves" in text


def test_what_the_eye_cannot_judge_is_told_with_the_bound_and_its_reason() -> None:
    question = asked(2)
    assert "judged by eye" not in page(question)
    first, second = question.steps
    little = (first.model_copy(update={"level_mm": 0.14}), second.model_copy(update={"level_mm": 1.4}))
    text = " ".join(page(question.model_copy(update={"steps": little})).split())
    assert "Too little to be judged by eye: step 1 changes a level by 0.1 mm at most; below about 1 mm" in text


def test_of_a_reading_a_person_is_asked_for_lid_and_plate_only() -> None:
    run = asked(1).run.model_copy(update={"procedure": "plate_reading", "name": "Read plate P-1 at 450 nm"})
    step = OpenStep(
        number=5, sentence="close the lid over the plate", alike="", target="", why="nobody saw the lid", tip="",
        is_drawn=False,
    )  # fmt: skip
    text = " ".join(page(Question(run=run, steps=(step,), wells=(), left=())).split())
    assert "to read the plate again does no harm" in text
    assert "look whether the lid lies on the reader or beside it, and where the plate is" in text
    assert "reconcile run-0007 --decide continue --by NAME" in text
    assert "--drawn" not in text
    assert "Wells" not in text


def test_a_step_that_mixes_may_have_been_cut_there() -> None:
    question = asked(2)
    assert "--given" not in page(question)
    mixing = tuple(step.model_copy(update={"mixes": True}) for step in question.steps)
    text = " ".join(page(question.model_copy(update={"steps": mixing})).split())
    assert "continue --given 1 --not-happened 2 --by NAME" in text
    assert "continue --cut-in-mix 1 --not-happened 2 --by NAME" in text


def test_all_of_it_is_shown_when_asked_for() -> None:
    assert page(asked(8), whole=True).count("was the last") == 9


@pytest.mark.parametrize(
    ("per_ul", "words"),
    [
        pytest.param({"base": 0.95, "human serum": 0.05}, "human serum 5 % v/v", id="share"),
        pytest.param({"base": 1.0, "IL-15": 0.01, "IL-2": 1.0}, "IL-15 10 ng/mL, IL-2 1000 IU/mL", id="units"),
        pytest.param({"effector:U1": 2000.0, "base": 1.0}, "effector:U1 2000000 cells/mL", id="cells"),
        pytest.param({"base": 1.0}, "", id="base_alone"),
        pytest.param({}, "", id="empty"),
    ],
)
def test_contents_are_told_in_the_units_of_the_bench(per_ul: dict[str, float], words: str) -> None:
    assert told(per_ul, KINDS) == words.replace("2000000", "2e6")


def test_spans_are_read_back_as_they_are_written() -> None:
    for numbers in ((), (1,), (1, 2, 3, 7), (2, 4, 5)):
        assert numbers_of(spans(numbers)) == numbers
    assert spans((1, 2, 3, 7)) == "1-3,7"


def test_the_last_words_name_the_run_and_the_next_command() -> None:
    run = asked(54).run
    told = (
        "run-0007 is interrupted: 54 steps of unknown outcome (1-54). Look at the deck. Next: nkloop reconcile run-0007"
    )
    assert next_word(run, "nkloop") == told
    unmoved = run.model_copy(update={"steps": ()})
    assert "run-0007 is interrupted: nothing was moved, nothing to decide" in next_word(unmoved, "nkloop")
    open_run = run.model_copy(update={"state": "running"})
    assert "is not over" in next_word(open_run, "nkloop")


def test_no_correction_is_offered_for_a_well_of_unknown_concentration() -> None:
    question = asked(1)
    assert "reconcile run-0007 --decide repair" in page(question)
    why = "step 1 may not have mixed tubes A1 before it was drawn from"
    wells = (question.wells[0].model_copy(update={"doubt": why}),)
    doubted = question.model_copy(update={"wells": wells})
    refused = dict.fromkeys(("repair", "drawn", "not_happened"), "the concentration of tubes A1 is not known")
    shown = " ".join(page(doubted, refused=refused).replace("│", " ").split())
    assert "concentration not known" in shown
    assert "that cannot be done" not in shown, "it is told once"
    assert "no correction is offered" in shown
    assert "--decide repair" not in shown
    assert "--decide discard" in shown
    assert "--happened 1 " in shown


def test_a_task_in_which_people_move_liquid_is_weighed_and_may_have_been_done_in_part() -> None:
    fill = OpenStep(
        number=5, sentence="Run 20 mL in.", alike="", target="", why="cut", tip="", is_drawn=False, by_hand_ul=2e4
    )
    ways = tuple(PossibleVolume(when=f"step 5 {how}", volume_ul=ul) for how, ul in (("did not", 1e4), ("did", 3e4)))
    bag = HeldVessel(name="bag-1", title="culture bag", volumes=ways)
    text = page(asked(1).model_copy(update={"steps": (fill,), "wells": (), "vessels": (bag,)}))
    assert (
        "bag-1 (culture bag): 10 mL if step 5 did not; or 30 mL if step 5 did; or anything between. Weigh it." in text
    )
    assert "No well depends on them" not in text
    assert "--decide repair" not in text
    for answer in ("--happened 5 ", "--not-happened 5 ", "--moved '5=VOLUME mL' "):
        assert f"continue {answer}" in text
    assert "people are asked for it again" in text


def test_steps_behind_a_pause_nobody_was_asked_to_end_take_one_line() -> None:
    question = asked(2).model_copy(update={"held": tuple(range(57, 101)), "held_at": "step 57 (Incubate the plate)"})
    text = " ".join(page(question).split())
    assert "Step 57-100 cannot have happened by itself: the robot waits at step 57 (Incubate the plate)" in text
    assert "only if somebody went on at the robot's own screen, say so with --happened" in text
    assert "--happened 1-2 --by" in text


def test_a_step_cut_before_its_draw_is_asked_about_the_liquid_of_that_mix_only() -> None:
    one = asked(1)
    step = one.steps[0].model_copy(update={"mixes_first": True, "mixes": True, "is_cut_first": True})
    text = " ".join(page(one.model_copy(update={"steps": (step,)})).split())
    for command in ("repair", "discard", "continue --not-happened 1", "continue --cut-in-first-mix 1"):
        assert f"--decide {command} --by NAME" in text
    assert not any(word in text for word in ("--drawn", "--happened", "--given", "--cut-in-mix"))


def test_what_lies_before_the_step_that_was_cut_has_happened() -> None:
    """Nobody gives with a tip that was not picked up: steps are worked in their order."""
    question = asked(3)
    steps = tuple(step.model_copy(update={"mixes": step.number == 2}) for step in question.steps)
    assert "continue --given 2 --happened 1 --not-happened 3 " in page(question.model_copy(update={"steps": steps}))
    passed = tuple(step.model_copy(update={"is_passed": True}) for step in steps)
    assert "continue --given 2 --not-happened 1,3 " in page(question.model_copy(update={"steps": passed}))
