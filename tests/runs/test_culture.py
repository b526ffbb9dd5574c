"""Feeding schedules, what a count makes of a feeding, what is kept at splits."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.assays.measurements import CellCount
from nkloop.errors import PlanError
from nkloop.recipes.models import Recipe
from nkloop.runs.culture import (
    CULTURE_VOLUME_UL,
    LARGEST_EXCHANGE,
    SPLIT_ABOVE,
    Culture,
    Feeding,
    donor_tubes,
    exchange,
    feeding_schedule,
    medium_needed_ml,
)
from nkloop.worklists.plans import CulturePosition

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
POSITION = CulturePosition(arm="arm-1-1", donor="U1", well="A1")
LATER = Feeding(day=3, stage_id="expansion_i", is_first_of_stage=False)


def counted(times_seeding: float, recipe: Recipe, well: str = "A1", stage: str = "expansion_i") -> CellCount:
    density = times_seeding * recipe.stage(stage).seeding_density.to("cells/mL")
    return CellCount(
        barcode="P", well=well, viable_per_ml=density, viability_percent=90, purity_percent=50, volume_ml=1.5
    )


def two_wells() -> Culture:
    return Culture("P", (POSITION, POSITION.model_copy(update={"well": "B1"})), START)


@pytest.fixture
def culture() -> Culture:
    return two_wells()


def test_the_published_schedule_feeds_each_stage_at_its_own_interval(recipe: Recipe) -> None:
    days: dict[str, list[float]] = {}
    for feeding in feeding_schedule(recipe):
        days.setdefault(feeding.stage_id, []).append(feeding.day)
    assert days == {
        "expansion_i": [0, 3, 6],
        "expansion_ii": [9, 12],
        "differentiation": [14, 17.5, 21, 24.5, 28, 31.5],
    }


def test_another_interval_still_starts_every_stage_and_skips_a_feeding_just_before_the_next(recipe: Recipe) -> None:
    schedule = feeding_schedule(recipe, 7)
    assert [feeding.day for feeding in schedule] == [0, 7, 9, 14, 21, 28]
    assert [f.day for f in schedule if f.is_first_of_stage] == [stage.start_day for stage in recipe.stages]


@given(every=st.floats(0.5, 60))
def test_feedings_rise_and_stay_inside_their_stage(recipe: Recipe, every: float) -> None:
    schedule = feeding_schedule(recipe, every)
    days = [feeding.day for feeding in schedule]
    assert days == sorted(set(days))
    for feeding in schedule:
        stage = recipe.stage(feeding.stage_id)
        assert stage.start_day <= feeding.day < stage.end_day
    assert sum(feeding.is_first_of_stage for feeding in schedule) == len(recipe.stages)


@pytest.mark.parametrize(
    ("times", "is_first", "mixed", "share"),
    [
        pytest.param(0.5, False, False, 0.5, id="thin: half of the settled medium"),
        pytest.param(SPLIT_ABOVE, False, False, 0.5, id="at the threshold: not yet split"),
        pytest.param(1.6, False, True, 0.5, id="just dense: at least the refresh"),
        pytest.param(4.0, False, True, 0.75, id="dense: back to the seeding density"),
        pytest.param(1000.0, False, True, LARGEST_EXCHANGE, id="very dense: never to the bottom"),
        pytest.param(0.5, True, False, LARGEST_EXCHANGE, id="new stage: as much as can be reached"),
        pytest.param(4.0, True, True, 0.75, id="new stage, dense: the density decides"),
    ],
)
def test_density_decides_between_exchange_and_split(
    recipe: Recipe, times: float, is_first: bool, mixed: bool, share: float
) -> None:
    feeding = exchange(POSITION, counted(times, recipe), recipe.stage("expansion_i"), is_first_of_stage=is_first)
    assert feeding.mixed is mixed
    assert feeding.remove_ul == pytest.approx(share * CULTURE_VOLUME_UL)
    assert feeding.add_ul == feeding.remove_ul
    assert (feeding.arm, feeding.donor, feeding.well, feeding.seed_ul) == ("arm-1-1", "U1", "A1", 0)


@given(times=st.floats(0, 1e5), is_first=st.booleans())
def test_a_feeding_keeps_the_volume_and_leaves_cells(recipe: Recipe, times: float, is_first: bool) -> None:
    feeding = exchange(POSITION, counted(times, recipe), recipe.stage("expansion_i"), is_first_of_stage=is_first)
    assert feeding.add_ul == feeding.remove_ul
    assert 0 < feeding.remove_ul <= LARGEST_EXCHANGE * CULTURE_VOLUME_UL + 0.05
    assert feeding.mixed == (times > SPLIT_ABOVE)


def test_seeding_reaches_the_density_of_the_stage(recipe: Recipe, culture: Culture) -> None:
    stage = recipe.stage("expansion_i")
    wells, tube_density = culture.seeding(stage)
    for well in wells:
        assert well.add_ul + well.seed_ul == CULTURE_VOLUME_UL
        assert well.seed_ul * tube_density / CULTURE_VOLUME_UL == pytest.approx(stage.seeding_density.canonical)
        assert (well.remove_ul, well.mixed) == (0, False)
    assert culture.seeded_per_well == pytest.approx(1.5e5)
    assert culture.kept == {"A1": 1.0, "B1": 1.0}
    assert [(t.donor, t.cells_per_ul) for t in donor_tubes(["U1", "U2"], tube_density)] == [("U1", 1000), ("U2", 1000)]


@given(times=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=12))
def test_cells_kept_and_cells_discarded_are_all_cells(recipe: Recipe, times: list[tuple[float, float]]) -> None:
    """One cell per well, carried through the splits: what is left is the product of the kept fractions."""
    culture = two_wells()
    stage = recipe.stage("expansion_i")
    culture.seeding(stage)
    left, discarded = {"A1": 1.0, "B1": 1.0}, {"A1": 0.0, "B1": 0.0}
    for pair in times:
        counts = {w: counted(value, recipe, w) for w, value in zip(("A1", "B1"), pair, strict=True)}
        for well in culture.feed(counts, stage, LATER):
            share = well.remove_ul / CULTURE_VOLUME_UL if well.mixed else 0.0
            discarded[well.well] += left[well.well] * share
            left[well.well] *= 1 - share
    for name in ("A1", "B1"):
        assert math.isclose(left[name] + discarded[name], 1.0, rel_tol=1e-9)
        assert math.isclose(culture.kept[name], left[name], rel_tol=1e-9)
        assert 0 < culture.kept[name] <= 1


def test_feeding_without_a_count_or_a_seeding_is_refused(recipe: Recipe, culture: Culture) -> None:
    stage = recipe.stage("expansion_i")
    with pytest.raises(PlanError, match="wells A1, B1 of P have no count or were never seeded"):
        culture.feed({w: counted(1, recipe, w) for w in culture.wells}, stage, LATER)
    culture.seeding(stage)
    with pytest.raises(PlanError, match=r"wells B1 of P.*Remedy: seed and count every well"):
        culture.feed({"A1": counted(1, recipe)}, stage, LATER)
    assert culture.kept == {"A1": 1.0, "B1": 1.0}


def test_days_are_counted_from_the_start(culture: Culture) -> None:
    assert culture.time_of(3.5) - START == timedelta(hours=84)


def test_the_base_medium_covers_wells_and_overheads(recipe: Recipe) -> None:
    stage = recipe.stage("expansion_i")
    seeding = medium_needed_ml(recipe, stage, 12, 1, is_seeding=True)
    exchanging = medium_needed_ml(recipe, stage, 12, 1, is_seeding=False)
    assert seeding > 12 * 1.5
    assert 12 * 1.5 * LARGEST_EXCHANGE < exchanging < seeding
    assert medium_needed_ml(recipe, stage, 12, 2, is_seeding=False) > exchanging
