"""The run report."""

from __future__ import annotations

from types import ModuleType

import pytest

from nkloop.reports import run_html
from nkloop.reports.run_view import load_rows, ranges, step_rows, step_sentence, wells_text
from nkloop.worklists.models import OperatorTask, Step

SPIN = OperatorTask(kind="centrifuge", instruction="Spin", minutes=4, force_g=1250)
SECTIONS = ("outcome", "checks", "deck", "people", "lots", "steps")


@pytest.mark.parametrize("procedure", ["medium_preparation", "cytokine_dosing", "cytotoxicity_assay"])
def test_every_section_is_present(tell: ModuleType, procedure: str) -> None:
    html = run_html(tell.run(procedure, 1, "ucb-nk@0"))
    assert [name for name in SECTIONS if f'<section id="{name}"' not in html] == []
    assert "No step has an unknown outcome" in html
    assert "SIMULATED BENCH" in html


def test_bench_of_unknown_kind_is_not_called_simulated(tell: ModuleType) -> None:
    story = tell.run("cytokine_dosing", 1, "ucb-nk@0").model_copy(update={"simulated": None})
    html = run_html(story)
    assert "SIMULATED" not in html
    assert "whether it is simulated is not recorded" in html
    assert "not recorded" not in run_html(story.model_copy(update={"simulated": False}))


def test_recipe_values_that_nobody_has_verified_are_named(tell: ModuleType) -> None:
    story = tell.run("cytokine_dosing", 1, "ucb-nk@0")
    assert "Unverified values" not in run_html(story)
    html = run_html(story.model_copy(update={"worklist": story.worklist.model_copy(update={"unverified": ("SCF",)})}))
    assert "<dt>Unverified values</dt><dd>SCF</dd>" in html


def test_unknown_steps_stand_out_and_later_steps_were_not_reached(tell: ModuleType) -> None:
    html = run_html(tell.run("cytotoxicity_assay", 1, "ucb-nk@0", state="interrupted", unknown=(4, 5)))
    assert "2 steps of unknown outcome: 4–5." in html
    assert "Do not repeat and do not continue" in html
    assert html.count("not reached") == 5
    assert "the robot stopped answering" in html


def test_what_was_decided_of_unknown_steps_takes_the_place_of_the_warning(tell: ModuleType) -> None:
    story = tell.run("cytotoxicity_assay", 1, "ucb-nk@0", state="interrupted", unknown=(4, 5))
    told = {"decisions": ("Ada: continue; step 4-5 happened",), "follow_ups": ("run-0005 (succeeded)",)}
    html = run_html(story.model_copy(update=told))
    assert "Do not repeat" not in html
    assert "2 steps of unknown outcome: 4–5." in html
    assert "<li>Ada: continue; step 4-5 happened</li>" in html
    assert "Went on as run-0005 (succeeded)." in html


def test_run_without_checks_or_actions(tell: ModuleType) -> None:
    story = tell.run("cytokine_dosing", 1, "ucb-nk@0")
    story = story.model_copy(
        update={
            "verdict": story.verdict.model_copy(update={"checks": ()}),
            "record": story.record.model_copy(update={"operator_actions": (), "steps": (), "started_at": None}),
            "worklist": story.worklist.model_copy(update={"fillings": ()}),
        }
    )
    html = run_html(story)
    assert html.count("○ not run") == 3
    assert "This worklist is not verified" in html
    assert "Nobody confirmed anything" in html
    assert "No liquid is loaded by hand" in html
    assert "No lot was loaded" in html


def test_equal_story_gives_equal_page(tell: ModuleType) -> None:
    story = tell.run("medium_preparation", 1, "ucb-nk@0")
    assert run_html(story) == run_html(story)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        pytest.param(
            {"action": "transfer", "labware": "medium", "well": "A1", "to_labware": "assay", "to_well": "B2",
             "volume_ul": 100, "channels": 8, "mix_before": 3},
            "8 × 100 µL from Media and reagents A1 to Assay plate, U-bottom B2 (mix 3 times before)",
            id="transfer",
        ),
        pytest.param(
            {"action": "mix", "labware": "medium", "well": "A1", "volume_ul": 80},
            "Mix 80 µL in Media and reagents A1",
            id="mix",
        ),
        pytest.param({"action": "shake", "seconds": 90, "rpm": 500}, "Shake 90 s at 500 rpm", id="shake"),
        pytest.param({"action": "delay", "seconds": 600}, "Wait 10 min", id="delay"),
        pytest.param(
            {"action": "pause", "operator": SPIN},
            "Pause: Spin (4.0 min, 1250 × g)",
            id="pause",
        ),
        pytest.param(
            {"action": "mix", "labware": "gone", "well": "A1", "volume_ul": 80},
            "Mix 80 µL in gone A1",
            id="no_such_labware",
        ),
    ],
)  # fmt: skip
def test_step_in_words(tell: ModuleType, step: dict[str, object], said: str) -> None:
    worklist = tell.worklist("cytotoxicity_assay", 1, "ucb-nk@0")
    assert step_sentence(Step.model_validate({"number": 1, **step}), worklist) == said


@pytest.mark.parametrize(
    ("numbers", "said"), [((), ""), ((3,), "3"), ((1, 2, 3, 7, 9, 10), "1–3, 7, 9–10"), ((5, 4, 4), "4–5")]
)
def test_ranges(numbers: tuple[int, ...], said: str) -> None:
    assert ranges(numbers) == said


def test_many_wells_are_told_by_their_ends() -> None:
    wells = [f"A{n}" for n in range(1, 13)]
    assert wells_text(wells) == "A1 … A12 (12 wells)"
    assert wells_text(wells[:2]) == "A1, A2"


def test_once_is_told_in_the_singular(tell: ModuleType) -> None:
    worklist = tell.worklist("cytotoxicity_assay", 1, "ucb-nk@0")
    step = next(s for s in worklist.steps if s.action == "transfer").model_copy(update={"mix_after": 1})
    assert step_sentence(step, worklist).endswith("(mix 1 time after)")


def test_a_step_ended_when_the_device_says(tell: ModuleType) -> None:
    story = tell.run("cytokine_dosing", 1, "ucb-nk@0")
    first, second, *rest = story.record.steps
    timed = first.model_copy(update={"detail": "device time 2026-03-02T23:07:35.123+02:00"})
    untimed = second.model_copy(update={"detail": "device time not told"})
    record = story.record.model_copy(update={"steps": (timed, untimed, *rest)})
    rows = step_rows(story.model_copy(update={"record": record}), None)
    assert [row.at for row in rows[:2]] == ["21:07:35", f"{second.at:%H:%M:%S}"]


def test_wells_of_different_volumes_are_told_apart(tell: ModuleType) -> None:
    worklist = tell.worklist("cytotoxicity_assay", 1, "ucb-nk@0")
    cells = next(f for f in worklist.fillings if f.liquid.name == "K-562")
    fillings = [
        cells.model_copy(update={"well": w, "volume_ul": v}) for w, v in (("A3", 9000), ("A4", 9000), ("A5", 500))
    ]
    rows = load_rows(worklist.model_copy(update={"fillings": tuple(fillings)}), None)
    assert [(row.wells, row.volume) for row in rows] == [("A3, A4", "9 mL"), ("A5", "500 µL")]
