from __future__ import annotations

import asyncio

import pytest

from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot import tracking as pylabrobot_tracking
from nkloop.drivers.pylabrobot.tracking import check_tracking
from nkloop.labware.models import LabwareType
from nkloop.worklists import rules
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist


def labware(load_name, kind, rows, columns, working, dead):
    return LabwareType(
        load_name=load_name,
        namespace="opentrons",
        version=1,
        title=load_name,
        kind=kind,
        rows=rows,
        columns=columns,
        well_volume_ul=working,
        working_volume_ul=working,
        dead_volume_ul=dead,
        manufacturer="test",
        catalogue_number="test",
        provenance="test",
    )


CATALOGUE = {
    kind.load_name: kind
    for kind in (
        labware("tips", "tip_rack", 8, 12, 200, 0),
        labware("trough", "trough", 1, 12, 14_000, 500),
        labware("plate", "plate", 8, 12, 300, 10),
    )
}


def move(source, target, volume, tip="", **more):
    (labware_, _, well), (to_labware, _, to_well) = source.partition(":"), target.partition(":")
    places = {"labware": labware_, "well": well, "to_labware": to_labware, "to_well": to_well}
    return {"action": "transfer", **places, "volume_ul": volume, "tip": tip, **more}


def worklist(*steps, filled=10_000.0):
    water = Liquid(name="water", per_ul={"water": 1.0})
    return Worklist(
        name="test",
        procedure="medium_preparation",
        pipettes={"left": "flex_1channel_1000", "right": "flex_8channel_1000"},
        deck=tuple(
            DeckItem(nickname=name, slot=slot, load_name=name)
            for name, slot in (("tips", "A1"), ("trough", "B1"), ("plate", "B2"))
        ),
        fillings=(Filling(labware="trough", well="A1", volume_ul=filled, liquid=water),),
        steps=tuple(Step.model_validate({"number": n, **step}) for n, step in enumerate(steps, start=1)),
    )


PAUSE = {"action": "pause", "operator": {"kind": "confirm", "instruction": "look"}}
GOOD = (
    move("trough:A1", "plate:A1", 100, "tips:A1", channels=8, mix_after=2, mix_volume_ul=50),
    move("plate:A1", "plate:A2", 50, "tips:A12", mix_before=1, mix_volume_ul=20),
    {"action": "mix", "labware": "plate", "well": "A2", "volume_ul": 30, "mix_before": 3},
    PAUSE,
    {"action": "delay", "seconds": 5},
    move("trough:A1", "plate:A3", 100, "tips:A2", channels=8),
)


def told(*steps, **more):
    return [f"{p['where']}: {p['message']}" for p in check_tracking(worklist(*steps, **more), CATALOGUE).problems]


def test_a_good_worklist_passes_without_a_word(capsys):
    result = check_tracking(worklist(*GOOD), CATALOGUE)
    assert result.problems == ()
    assert result.passed
    assert result.check == "pylabrobot tracking"
    assert capsys.readouterr().out == ""


FIRST = move("trough:A1", "plate:A1", 100, "tips:A1")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (move("plate:A1", "plate:A2", 150, "tips:B1"), "step 2: TooLittleLiquidError"),
        (move("trough:A1", "plate:A1", 200, "tips:B1", mix_after=1, mix_volume_ul=301), "step 2: TooLittle"),
        (move("trough:A1", "plate:A2", 201, "tips:B1"), "step 2: TooLittleVolumeError"),
        (move("trough:A1", "plate:A2", 100, "tips:A1"), "step 2: NoTipError"),
        (move("trough:A1", "plate:A2", 100, "tips:A2", channels=8), None),
        (move("trough:A1", "plate:A2", 100, channels=8), "step 2: NoTipError"),
        (move("trough:A1", "plate:A2", 100, "tips:A1", channels=8), "step 2: NoTipError"),
        (move("trough:A1", "plate:A2", 100, "other:A1"), "step 2: labware 'other' is not on the deck"),
        (move("trough:A1", "plate:A2", 100, "plate:A1"), "step 2: 'plate' is not a tip rack"),
        (move("trough:A1", "plate:Z1", 100), "step 2: plate has no well Z1"),
        (move("trough:A1", "plate:B1", 100, "tips:A2", channels=8), "step 2: 8 channels do not fit well B1"),
    ],
)
def test_what_pylabrobot_refuses_is_told_with_the_step(second, message):
    found = told(FIRST, second)
    if message is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(message)


def test_an_overfilled_well_is_told():
    found = told(*(move("trough:A1", "plate:A1", 150, f"tips:{row}1") for row in "ABC"))
    assert found[0].startswith("step 3: TooLittleVolumeError")


def test_a_pause_drops_the_tips():
    assert told(FIRST, PAUSE, move("trough:A1", "plate:A2", 50))[0].startswith("step 3: NoTipError")


def test_a_pipette_that_is_not_there_is_told():
    single = worklist(move("trough:A1", "plate:A1", 10, "tips:A1", channels=8))
    single = single.model_copy(update={"pipettes": {"left": "flex_1channel_1000"}})
    assert check_tracking(single, CATALOGUE).problems[0]["message"] == "no pipette with 8 channels"


@pytest.mark.parametrize("volume", [-5.0, float("nan")])
def test_volumes_pylabrobot_would_accept_are_refused_here(volume):
    good = worklist(FIRST)
    step = good.steps[0].model_copy(update={"volume_ul": volume})
    found = check_tracking(good.model_copy(update={"steps": (step,)}), CATALOGUE).problems
    assert "is not a volume above 0" in found[0]["message"]


def test_unknown_labware_and_wrong_fillings_are_told_before_anything_runs():
    good = worklist(FIRST)
    unknown = good.deck[2].model_copy(update={"load_name": "unheard_of"})
    found = check_tracking(good.model_copy(update={"deck": (*good.deck[:2], unknown)}), CATALOGUE).problems
    assert found[0]["message"] == "labware 'unheard_of' is not known"
    assert told(FIRST, filled=15_000.0) == ["filling trough A1: 15000 µL do not fit (14000 µL)"]
    lost = good.fillings[0].model_copy(update={"labware": "lost"})
    found = check_tracking(good.model_copy(update={"fillings": (lost,)}), CATALOGUE).problems
    assert found[0]["message"] == "labware 'lost' is not on the deck"


def test_a_disagreement_with_the_ledger_names_the_step_and_both_values(monkeypatch):
    class Forgetful(pylabrobot_tracking.Ledger):
        def volume_ul(self, nickname, well):
            return 0.0 if (nickname, well) == ("plate", "A2") else super().volume_ul(nickname, well)

    monkeypatch.setattr(pylabrobot_tracking, "Ledger", Forgetful)
    found = told(FIRST, move("trough:A1", "plate:A2", 50))
    assert found == ["step 2: after it PyLabRobot counts 50 µL in plate A2, the ledger 0 µL"]


def test_v086_is_told_when_the_ledger_counts_otherwise_and_only_then(monkeypatch):
    steps = (FIRST, move("trough:A1", "plate:A2", 50))
    assert check_tracking(worklist(*steps), CATALOGUE).passed
    counted = pylabrobot_tracking.Ledger.volume_ul

    def off_by(ul):
        monkeypatch.setattr(pylabrobot_tracking.Ledger, "volume_ul", lambda *place: counted(*place) + ul)
        return [problem["rule"] for problem in check_tracking(worklist(*steps), CATALOGUE).problems]

    assert off_by(0.0009) == []
    assert off_by(0.002) == [rules.TRACKING_DIFFERS]


@pytest.mark.parametrize("tracked", [True, False])
def test_tracking_is_on_whoever_switched_it_off(tracked):
    resources = adapter.part("resources")
    resources.set_tip_tracking(tracked)
    resources.set_volume_tracking(tracked)
    assert check_tracking(worklist(*GOOD), CATALOGUE).passed
    assert not check_tracking(worklist(move("trough:A1", "plate:A1", 10)), CATALOGUE).passed
    assert (resources.does_tip_tracking(), resources.does_volume_tracking()) == (True, True)


async def test_it_works_inside_a_running_loop_and_several_at_once():
    results = await asyncio.gather(*(asyncio.to_thread(check_tracking, worklist(*GOOD), CATALOGUE) for _ in range(3)))
    assert all(result.passed for result in results)
    assert check_tracking(worklist(*GOOD), CATALOGUE).passed


def test_three_hundred_steps_pass():
    steps = [
        move("trough:A1", f"plate:{row}{column}", 20, "tips:A1" if (row, column) == ("A", 1) else "")
        for _ in range(4)
        for row in "ABCDEFGH"
        for column in range(1, 11)
    ][:300]
    steps = [{**step, "tip": "tips:A1" if n == 0 else ""} for n, step in enumerate(steps)]
    assert check_tracking(worklist(*steps), CATALOGUE).passed
