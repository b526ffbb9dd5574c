"""Thawing and warming as steps of the worklist, and the CSV that carries them."""

from __future__ import annotations

import pytest

from nkloop.worklists.csv_format import carried, from_csv, to_csv
from nkloop.worklists.models import DeckItem, Filling, Limits, Liquid, LotFacts, Step, Worklist
from nkloop.worklists.operator_tasks import thawed_in_run, thaws_in_a_run, with_preparation
from nkloop.worklists.temperature_rules import (
    cold_arrivals,
    storage_celsius,
    temperature_problems,
    warming_minutes,
)

TUBES = "opentrons_24_tuberack_nest_1.5ml_snapcap"
PLATE = "corning_24_wellplate_3.4ml_flat"


def facts(name, storage, **more):
    return LotFacts(id=f"LOT-{name}", component=name, expires="2027-01-01", on_hand_ul=1e6, storage=storage, **more)


def liquid(name):
    return Liquid(name=name, per_ul={name: 1}, lot=f"LOT-{name}")


def feeding(*, storage="4 °C", medium_ul=500.0, present_ul=500.0, volume_ul=1000.0):
    """Medium from a tube into a well with cells."""
    steps = [
        Step(number=1, action="transfer", labware="stock", well="A1", to_labware="tubes", to_well="A1",
             volume_ul=20, tip="tips:A1", dispense_at="rim"),
        Step(number=2, action="transfer", labware="tubes", well="A1", to_labware="culture", to_well="A1",
             volume_ul=medium_ul, tip="tips:B1", tip_policy="new: no tip is held"),
    ]  # fmt: skip
    return Worklist(
        name="feeding",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="tubes", slot="A1", load_name=TUBES),
            DeckItem(nickname="stock", slot="B1", load_name=TUBES, temperature_c=4),
            DeckItem(nickname="culture", slot="C1", load_name=PLATE, barcode="P"),
            DeckItem(nickname="tips", slot="D1", load_name="opentrons_flex_96_filtertiprack_1000ul"),
        ),
        fillings=(
            Filling(labware="tubes", well="A1", volume_ul=volume_ul, liquid=liquid("medium")),
            Filling(labware="stock", well="A1", volume_ul=100, liquid=liquid("IL-2")),
            Filling(labware="culture", well="A1", volume_ul=present_ul, liquid=Liquid(name="cells", per_ul={"m": 1})),
        ),
        steps=tuple(steps),
        lots=(facts("medium", storage), facts("IL-2", "-80 °C", keep_cold=True)),
        limits=Limits(cells_in=("culture",)),
        trash_slot="C3",
    )  # fmt: skip


def test_cold_medium_is_warmed_and_frozen_stocks_are_thawed_together(catalogue):
    made = with_preparation(feeding(), catalogue, warm_to_c=37)
    thaw, warm = (step.operator for step in made.steps[:2])
    assert (thaw.kind, thaw.labware, thaw.temperature_c) == ("thaw", ("stock",), 4)
    assert (warm.kind, warm.labware, warm.temperature_c, warm.minutes) == ("warm", ("tubes",), 37, 15)
    assert ". Then wipe it dry and bring it to slot " in warm.instruction
    # thawing is begun first, for what it takes longer; together they take as long as the longer
    assert thaw.minutes + warm.minutes == 20
    assert [step.number for step in made.steps] == [1, 2, 3, 4]
    assert not list(temperature_problems(made, {}, catalogue))


def test_a_large_frozen_container_thaws_overnight_however_little_is_taken_of_it(catalogue):
    made = feeding()
    large = facts("medium", "-20 °C").model_copy(update={"container_ul": 40_000})
    assert not thaws_in_a_run(large, 400)
    assert thaws_in_a_run(large.model_copy(update={"container_ul": 1_000}), 400)
    assert thaws_in_a_run(large.model_copy(update={"keep_cold": True}), 400)
    stocks = [large if one.component == "medium" else one for one in made.lots]
    assert thawed_in_run(made.model_copy(update={"lots": tuple(stocks)})) == ("LOT-IL-2",)


@pytest.mark.parametrize(
    ("change", "share"),
    [
        pytest.param({}, 0.5, id="half of the well"),
        pytest.param({"present_ul": 1500.0}, 0.25, id="a quarter"),
        pytest.param({"medium_ul": 50.0, "present_ul": 1500.0}, None, id="a tenth does no harm"),
        pytest.param({"storage": "20 °C"}, None, id="from the shelf"),
        pytest.param({"storage": "2–8 °C"}, 0.5, id="a range of a fridge"),
    ],
)
def test_a_share_of_cold_medium_is_told(catalogue, change, share):
    found = [round(one.share, 2) for one in cold_arrivals(feeding(**change), {}, catalogue)]
    assert found == pytest.approx([] if share is None else [share], abs=0.02)


def test_the_rule_names_the_liquid_the_well_and_the_time(catalogue):
    (problem,) = temperature_problems(feeding(), {}, catalogue)
    assert (problem.rule, problem.where) == ("V072", "step 2")
    assert "medium in tubes comes cold into culture A1" in problem.message
    assert problem.remedy == "let a person warm it for 15 min before"


def test_the_csv_keeps_tasks_tips_and_trash(catalogue):
    made = with_preparation(feeding(), catalogue)
    again = from_csv(to_csv(made), name=made.name, procedure=made.procedure)
    assert again == carried(made)
    assert [step.operator.kind for step in again.steps if step.operator] == ["thaw", "warm"]
    assert (again.steps[1].operator.minutes, again.trash_slot) == (15, "C3")
    assert again.steps[-1].tip_policy == "new: no tip is held"


def test_storages_and_volumes_as_people_write_them():
    assert [storage_celsius(one) for one in ("-80 °C", "−20 °C", "4 °C", "2-8 °C", "dark")] == [-80, -20, 4, 2, None]
    assert [warming_minutes(one) for one in (500, 2000, 2001, 60_000)] == [15, 15, 30, 60]
