"""What is not dosed: rows for the stage's own components and for what is carried along, and when they are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.worklists.dose import blended
from nkloop.worklists.medium_contents import medium_per_ul, stage_held, suspension_per_ul
from nkloop.worklists.undosed import carried_note, carried_warnings, undosed_rows, undosed_warnings


@pytest.fixture
def two_stages(recipe):
    """`grow`, then `rest` without heparin and with half the serum."""
    grow = recipe.stage("grow")
    kept = tuple(i for i in grow.medium.additives if i.component != "heparin")
    medium = grow.medium.model_copy(update={"additives": kept})
    rest = grow.model_copy(update={"id": "rest", "start_day": 9, "end_day": 14, "medium": medium})
    return recipe.model_copy(update={"stages": (grow, rest)})


def rows_of(recipe, per_ul, stage="grow", destination="A1"):
    return undosed_rows(recipe, recipe.stage(stage), {"SCF", "IL-2"}, per_ul, destination)


def test_what_is_off_is_told_once_for_its_worst_vessel(recipe):
    full = medium_per_ul(recipe.stage("grow"))
    rows = [
        row
        for well, share in (("A1", 0.92), ("B1", 0.9), ("C1", 0.96))
        for row in rows_of(recipe, {**full, "heparin": share * full["heparin"]}, destination=well)
    ]
    assert {row.basis for row in rows} == {"undosed"}
    (told,) = undosed_warnings(rows, 5.0, "why", "drain more")
    assert told == "off target and not dosed: heparin 22.5 instead of 25 µg/mL in B1; why. Remedy: drain more"
    assert undosed_warnings(rows_of(recipe, full), 5.0, "why", "drain more") == ()


def test_what_only_the_stage_before_has_is_carried(two_stages):
    grow, rest = two_stages.stages
    held = blended(((medium_per_ul(grow), 250.0), (medium_per_ul(rest), 750.0)))
    rows = rows_of(two_stages, held, "rest")
    (carried,) = [row for row in rows if row.basis == "carried"]
    assert (carried.component, carried.target, carried.deviation_percent) == ("heparin", 0, None)
    assert carried.expected == pytest.approx(6.25)
    (told,) = carried_warnings(rows, rest, grow)
    assert "medium of grow brings what stage rest has not: heparin 6.25 µg/mL (25 % of it) in A1" in told
    assert carried_warnings(rows, rest, None) == ()
    little = rows_of(two_stages, blended(((medium_per_ul(grow), 4.0), (medium_per_ul(rest), 96.0))), "rest")
    assert [row.basis for row in little].count("carried") == 1
    assert carried_warnings(little, rest, grow) == ()
    assert carried_note([0.25, 0.1], grow)[0].startswith("10 to 25 % of the volume afterwards is medium of grow")
    assert carried_note([0.25], None) == carried_note([0.0], grow) == ()


@given(st.lists(st.tuples(st.dictionaries(st.sampled_from("abc"), st.floats(0, 10)), st.floats(0.1, 100)), min_size=1))
def test_putting_liquids_together_loses_nothing(parts):
    held, whole = blended(parts), sum(volume for _, volume in parts)
    for name in "abc":
        amount = sum(per_ul.get(name, 0.0) * volume for per_ul, volume in parts)
        assert held.get(name, 0.0) * whole == pytest.approx(amount)


def test_the_stage_before_is_in_the_vessels_on_the_first_day_only(two_stages):
    grow, rest = two_stages.stages
    assert stage_held(two_stages, rest, 9, None) is grow
    assert stage_held(two_stages, rest, 11, None) is rest
    assert stage_held(two_stages, grow, 0, None) is grow
    assert stage_held(two_stages, rest, 9, "rest") is rest
    with pytest.raises(PlanError, match="test has no stage 'other'"):
        stage_held(two_stages, rest, 9, "other")


def test_a_suspension_is_base_medium_base_liquid_or_a_complete_medium(recipe):
    grow, without = recipe.stage("grow"), ("SCF",)
    assert suspension_per_ul(recipe, grow, "none", without) == {"base": 1.0}
    assert "SCF" not in suspension_per_ul(recipe, grow, "base", without)
    assert suspension_per_ul(recipe, grow, "grow", without) == medium_per_ul(grow)
    with pytest.raises(PlanError, match="cells cannot be suspended in 'water'"):
        suspension_per_ul(recipe, grow, "water", without)
