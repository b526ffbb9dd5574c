"""How long steps take, from the bench's speeds."""

from __future__ import annotations

import pytest

from nkloop.worklists.bench_deck import BenchDeck, PipetteAccuracy, PipetteSpec, RobotSpeeds
from nkloop.worklists.duration import estimate_minutes, start_seconds, step_durations
from nkloop.worklists.models import DeckItem, OperatorTask, Step, Worklist

SPEEDS = RobotSpeeds(pick_up_s=6, drop_s=4, travel_s=2, start_s=30, flow_ul_s={"flex_1channel_1000": 100})


def deck(speeds: RobotSpeeds = SPEEDS) -> BenchDeck:
    accuracy = (PipetteAccuracy(volume_ul=5, systematic_percent=1, random_cv_percent=1),)
    pipettes = tuple(
        PipetteSpec(
            mount=mount,
            load_name=f"flex_{channels}channel_1000",
            channels=channels,
            min_volume_ul=5,
            max_volume_ul=1000,
            accuracy=accuracy,
            source="test",
        )
        for mount, channels in (("left", 1), ("right", 8))
    )
    return BenchDeck.model_validate({"model": "flex", "pipettes": pipettes, "speeds": speeds})


def worklist(*steps: Step) -> Worklist:
    return Worklist(
        name="w",
        procedure="medium_preparation",
        pipettes={"left": "flex_1channel_1000", "right": "flex_8channel_1000"},
        deck=(
            DeckItem(
                nickname="stocks",
                slot="C1",
                load_name="opentrons_24_aluminumblock_nest_1.5ml_snapcap",
                module="temperatureModuleV2",
                temperature_c=4,
            ),
        ),
        fillings=(),
        steps=steps,
    )


def transfer(number: int, **fields: object) -> Step:
    spot = {"labware": "stocks", "well": "A1", "to_labware": "stocks", "to_well": "B1", "volume_ul": 100.0}
    return Step.model_validate({"number": number, "action": "transfer", **spot, **fields})


def test_a_transfer_takes_its_tip_its_ways_and_its_flow() -> None:
    first, second, kept = step_durations(
        worklist(transfer(1, tip="t:A1"), transfer(2, tip="t:B1"), transfer(3, flow_factor=0.5)), deck()
    )
    assert first.robot_s == pytest.approx(6 + 2 * 2 + 200 / 100)
    assert second.robot_s == pytest.approx(first.robot_s + 4), "the old tip is dropped"
    assert kept.robot_s == pytest.approx(2 * 2 + 200 / 50), "half the flow, no tip"


def test_a_mix_draws_and_returns_in_place() -> None:
    mixing = Step(number=1, action="mix", labware="stocks", well="A1", volume_ul=50, mix_before=10)
    (only,) = step_durations(worklist(mixing), deck())
    assert only.robot_s == pytest.approx(2 + 10 * 2 * 50 / 100)


def test_people_and_waiting_stand_apart() -> None:
    task = OperatorTask(kind="incubate", instruction="37 °C", minutes=240)
    pause = Step(number=2, action="pause", operator=task)
    plan = worklist(transfer(1, tip="t:A1"), pause, Step(number=3, action="delay", seconds=90))
    first, stop, delay = step_durations(plan, deck())
    assert (stop.robot_s, stop.waiting_s, stop.is_hands_on) == (4, 240 * 60, True)
    assert (delay.robot_s, delay.waiting_s, delay.is_hands_on) == (0, 90, False)
    start = start_seconds(plan, deck())
    assert start == 30 + 600, "the cold block waits"
    assert estimate_minutes(plan, deck()) == pytest.approx((start + first.robot_s + 4 + 90) / 60, abs=0.01)


def test_a_pipette_without_a_stated_flow_takes_two_seconds_for_its_volume() -> None:
    plan = worklist(transfer(1, tip="t:A1"))
    (only,) = step_durations(plan, deck(RobotSpeeds(pick_up_s=0, travel_s=0)))
    assert only.robot_s == pytest.approx(2 * 100 / 500)
