"""What a day asks of a vessel, in volumes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.worklists.plans import CulturePosition
from nkloop.worklists.present_table import Present
from nkloop.worklists.stage_day import action_of_day, feeding_of

PLACE = CulturePosition(arm="reference", donor="U1", well="A1")


@pytest.fixture(scope="module")
def stage(recipe):
    return recipe.stage("grow")


def held(volume=1500.0, cells=None):
    return Present(volume_ul=volume, per_ul={}, cells_per_ul=cells)


@given(volume=st.floats(500, 1900), ratio=st.floats(1.05, 12))
@pytest.mark.parametrize("action", ["split", "transfer", "dilute"])
def test_thinning_ends_at_the_seeding_density(stage, action, volume, ratio):
    cells = ratio * stage.seeding_density.canonical
    full = 2000.0
    try:
        made = feeding_of(PLACE, action, stage, full, held(volume, cells), "B2")
    except PlanError:
        return
    density = made.kept_ul * cells / made.final_ul
    assert density == pytest.approx(stage.seeding_density.canonical, rel=2e-3)
    assert made.final_ul <= full + 0.2
    assert made.mixed == (action == "split")
    assert made.is_transferred == (action == "transfer")


def test_seeding_fills_an_empty_well_with_a_tenth_of_suspension(stage):
    made = feeding_of(PLACE, "seed", stage, 1500, None)
    assert (made.add_ul, made.seed_ul, made.final_ul) == (1350, 150, 1500)


def test_exchange_keeps_the_volume_and_top_up_restores_it(stage):
    exchange = feeding_of(PLACE, "exchange", stage, 1500, held(1400))
    assert (exchange.remove_ul, exchange.add_ul, exchange.final_ul) == (700, 700, 1400)
    fuller = feeding_of(PLACE, "exchange", stage, 1500, held(1400), exchange_to_ul=1900)
    assert (fuller.remove_ul, fuller.add_ul, fuller.final_ul) == (700, 1200, 1900)
    with pytest.raises(PlanError, match="leaves 700 of 1400 µL, which cannot end at 700 µL"):
        feeding_of(PLACE, "exchange", stage, 1500, held(1400), exchange_to_ul=700)
    top_up = feeding_of(PLACE, "top-up", stage, 1500, held(1400))
    assert (top_up.remove_ul, top_up.add_ul, top_up.final_ul) == (0, 100, 1500)


@pytest.mark.parametrize(
    ("action", "full", "present", "message"),
    [
        pytest.param("exchange", 1500, None, "exchange needs to know what stands there", id="unknown contents"),
        pytest.param("top-up", 1400, held(1400), "topping up to 1400 µL adds nothing", id="full already"),
        pytest.param("split", 1500, held(1500), "split needs a cell count", id="no count"),
        pytest.param("dilute", 2000, held(1500, 90), "are not denser than the 1e\\+?0?5|100000 cells/mL", id="thin"),
        pytest.param("dilute", 2000, held(1500, 200), "gives 3000 µL, at most 2000 µL", id="no room"),
        pytest.param("split", 2000, held(300, 110), "µL of the culture are needed for 2000 µL", id="too few cells"),
    ],
)
def test_what_cannot_be_done_is_told(stage, action, full, present, message):
    with pytest.raises(PlanError, match=message):
        feeding_of(PLACE, action, stage, full, present)


def test_the_day_and_the_contents_say_what_is_done(stage):
    assert action_of_day(stage, 0, has_contents=False) == "seed"
    assert action_of_day(stage, 3, has_contents=True) == "exchange"
    with pytest.raises(PlanError, match="day 12 is outside stage grow, which runs from day 0 to 9"):
        action_of_day(stage, 12, has_contents=True)
