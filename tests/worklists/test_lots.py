from __future__ import annotations

from datetime import date

import pytest

from nkloop.errors import PlanError, ShortageError
from nkloop.worklists.lots import lot_uses, with_lots

USE_UNTIL = date(2026, 12, 1)


@pytest.fixture
def lots_of_water(lot_of):
    return lot_of("water", "100 % v/v", "1 mL", id="SMALL"), lot_of("water", "100 % v/v", "20 mL", id="LARGE")


@pytest.fixture
def plan_with(worklist_of, transfer):
    """A plan that puts `volume(lot id)` µL of the chosen lot on the deck."""

    def make(volume):
        seen = []

        def plan(chosen):
            lot = chosen["water"].id
            seen.append(lot)
            worklist = worklist_of(transfer("water:A1", "plate:A1", 50, "tips_50:A1"))
            liquid = worklist.fillings[0].liquid.model_copy(update={"lot": lot})
            filling = worklist.fillings[0].model_copy(update={"liquid": liquid, "volume_ul": volume(lot)})
            return worklist.model_copy(update={"fillings": (filling,)}), None

        return plan, seen

    return make


def test_lots_are_chosen_anew_when_the_plan_needs_more(plan_with, lots_of_water, stocks_of, catalogue):
    plan, seen = plan_with(lambda lot: 2000.0)
    worklist, _, chosen = with_lots(["water"], stocks_of(lots_of_water), USE_UNTIL, plan)
    assert seen == ["SMALL", "LARGE"]
    assert chosen["water"].id == "LARGE"
    (use,) = lot_uses(worklist, chosen, catalogue)
    assert (use.component, use.lot, use.volume_ul, use.drawn_ul) == ("water", "LARGE", 2000, 50)


def test_a_lot_that_serves_is_kept(plan_with, lots_of_water, stocks_of):
    plan, seen = plan_with(lambda lot: 900.0)
    with_lots(["water"], stocks_of(lots_of_water), USE_UNTIL, plan)
    assert seen == ["SMALL"]


def test_lots_that_never_settle_are_told(plan_with, lots_of_water, stocks_of):
    plan, _ = plan_with(lambda lot: 2000.0 if lot == "SMALL" else 600.0)
    with pytest.raises(PlanError, match="no choice of lots settles"):
        with_lots(["water"], stocks_of(lots_of_water), USE_UNTIL, plan)


def test_a_need_no_lot_covers_is_a_shortage(plan_with, lots_of_water, stocks_of):
    plan, _ = plan_with(lambda lot: 50_000.0)
    with pytest.raises(ShortageError, match="no lot of water holds 50000 µL"):
        with_lots(["water"], stocks_of(lots_of_water), USE_UNTIL, plan)
