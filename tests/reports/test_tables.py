"""Rows of the tables flows show: rounded numbers, units in the column names, nothing nested."""

from __future__ import annotations

import pytest

from nkloop.reports.models import CampaignStory
from nkloop.reports.tables import (
    Row,
    arm_rows,
    composition_rows,
    effector_rows,
    is_wide,
    observation_rows,
    reasons,
    rounded,
    rows_as_list,
    well_rows,
)
from nkloop.worklists.plans import CompositionRow, EffectorNeed, WellState

ROW = CompositionRow(
    component="IL-15",
    target=20.0,
    expected=20.012345,
    unit="ng/mL",
    deviation_percent=0.061725,
    cv_percent=1.5,
    why="rounded",
)


def is_flat(rows: list[Row]) -> bool:
    return all(isinstance(value, str | int | float) for row in rows for value in row.values())


def test_numbers_have_four_digits() -> None:
    assert rounded({"a": 1234.567, "b": 0.000123456, "c": 123456, "d": "x", "e": None}) == {
        "a": 1235.0, "b": 0.0001235, "c": 123456, "d": "x", "e": None,
    }  # fmt: skip


def test_a_composition_says_its_unit() -> None:
    (row,) = composition_rows([ROW])
    assert row == {
        "component": "IL-15", "target": 20.0, "expected": 20.01, "unit": "ng/mL", "deviation [%]": 0.06173,
        "CV [%]": 1.5, "bias up to [%]": None, "why": "rounded",
    }  # fmt: skip


def test_vessels_that_hold_the_same_stand_together() -> None:
    thin = ROW.model_copy(update={"expected": 18.0, "deviation_percent": -10.0, "basis": "undosed", "why": "thinned"})
    wells = [one.model_copy(update={"destination": well}) for well, one in (("A1", ROW), ("A2", thin), ("A3", ROW))]
    first, second = composition_rows(wells)
    assert (first["in"], second["in"]) == ("A1, A3", "A2")
    assert (first["note"], second["note"]) == ("", "not dosed")


def test_a_reason_is_told_once_with_how_far_each_component_goes_at_most() -> None:
    far = ROW.model_copy(update={"deviation_percent": -10.0})
    other = ROW.model_copy(update={"component": "IL-2", "why": "thinned"})
    assert reasons([ROW, far, other]) == [
        "Off target, because rounded: IL-15 -10.00 %.", "Off target, because thinned: IL-2 +0.06 %.",
    ]  # fmt: skip


def test_a_table_that_a_page_would_cut_off_is_told_in_lines() -> None:
    medium = {**composition_rows([ROW])[0], "recipe value": "unverified"}
    del medium["why"]
    assert not is_wide([medium])
    wide = {"well": "A1", "volume [µL]": 1500.0, **{f"factor-{n} [ng/mL]": 25.5 for n in range(8)}, "note": ""}
    assert is_wide([wide])
    (line,) = rows_as_list([wide]).splitlines()
    assert line.startswith("- **A1**: volume 1500 µL, factor-0 25.5 ng/mL, ")
    assert line.endswith("factor-7 25.5 ng/mL")
    assert not is_wide([])


def test_a_culture_plate_has_a_column_for_every_component(story: CampaignStory) -> None:
    wells = [
        WellState(well="A1", volume_ul=1500.04, per_ul={"GBGM": 0.9, "IL-15": 0.0201234, "IL-2": 1.0, "donor:U1": 100}),
        WellState(well="B1", volume_ul=1500, per_ul={"GBGM": 0.9, "PBS": 0.001}),
    ]
    first, second = well_rows(wells, story.recipe)
    assert first == {
        "well": "A1", "volume [µL]": 1500.0, "GBGM [% v/v]": 90.0, "IL-15 [ng/mL]": 20.12, "IL-2 [IU/mL]": 1000.0,
        "donor:U1 [cells/mL]": 1e5, "PBS [% v/v]": 0.0,
    }  # fmt: skip
    assert list(second) == list(first)
    assert second["PBS [% v/v]"] == pytest.approx(0.1)
    kept = well_rows(wells, story.recipe, {"IL-15": "pg/mL", "GBGM": "% v/v", "IL-2": "IU/mL"})[0]
    assert (kept["IL-15 [pg/mL]"], kept["GBGM [% v/v]"], kept["IL-2 [IU/mL]"]) == pytest.approx((20120, 90, 1000))


def test_arms_are_told_by_component_and_stage(story: CampaignStory) -> None:
    rows = arm_rows(story.rounds[1], story.recipe)
    assert [row["arm"] for row in rows] == [arm.name for arm in story.rounds[1].arms]
    assert "IL-7, Expansion I + Expansion II [×]" in rows[0]
    assert {row["origin"] for row in rows} == {"reference", "optimiser"}


def test_observations_are_flat_and_in_units(story: CampaignStory) -> None:
    rows = observation_rows(story.observations)
    assert is_flat(rows)
    seen = story.observations[0]
    assert rows[0]["fold expansion"] == pytest.approx(10**seen.log10_fold, rel=1e-3)
    assert rows[0]["viability [%]"] == float(f"{seen.viability_percent:.4g}")
    assert rows[0]["plate"] == f"{seen.plate} ({seen.plate_verdict})"
    assert {row["keeps limits"] for row in rows} == {"yes", "no"}


def test_effectors_are_told_with_volume_and_cells() -> None:
    need = EffectorNeed(sample="arm-1/U1", volume_ul=612.3456, cells=1224691.2)
    assert effector_rows([need]) == [{"sample": "arm-1/U1", "volume [µL]": 612.3, "cells": 1225000.0}]
