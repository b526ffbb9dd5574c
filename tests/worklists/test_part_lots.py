"""Lots for all parts of a plan: in the unit that is wanted, and everything that is short told at once."""

from __future__ import annotations

from datetime import date

import pytest

from nkloop.errors import ShortageError
from nkloop.inventory import Inventory
from nkloop.quantities import Amount
from nkloop.worklists.medium import plan_medium
from nkloop.worklists.part_lots import lots_over

TODAY, USE_UNTIL = date(2026, 11, 23), date(2026, 12, 1)


@pytest.fixture
def plan(recipe, deck, catalogue):
    def make(inventory):
        dates = {"use_until": USE_UNTIL, "today": TODAY, "destination_barcode": "M-1"}
        return plan_medium(recipe, "grow", Amount(100, "mL"), inventory, deck, catalogue, **dates)

    return make


def inventory(*lots):
    return Inventory(lots=lots)


@pytest.fixture
def first_to_expire(lot_of):
    """A lot of SCF in a unit nothing converts, which expires before all others."""
    return lot_of("SCF", "1e5 IU/mL", id="IN-IU", expires=date(2026, 12, 2))


def test_a_lot_that_cannot_be_told_in_the_unit_wanted_is_passed_over(plan, lots, first_to_expire):
    planned = plan(inventory=inventory(first_to_expire, *lots))
    assert {use.component: use.lot for use in planned.lots}["SCF"] == "LOT-SCF"


def test_a_unit_that_serves_nothing_is_told_beside_the_other_lots(plan, lots, lot_of, first_to_expire):
    expired = lot_of("SCF", "10 µg/mL", id="OLD", expires=date(2026, 1, 1))
    rest = [lot for lot in lots if lot.component != "SCF"]
    with pytest.raises(ShortageError) as caught:
        plan(inventory=inventory(first_to_expire, expired, *rest))
    told = {problem.where: problem.message for problem in caught.value.problems}
    assert "no lot of SCF can be used" in told["SCF"]
    assert "1e5 IU/mL of SCF cannot be told as mass concentration: give the lot as mass" in told["lot IN-IU"]
    assert "expires 2026-01-01" in told["lot OLD"]


def test_a_missing_lot_and_one_that_holds_too_little_are_told_together(plan, lots, lot_of):
    little = [lot_of(one.component, str(one.concentration), "30 µL", id="LITTLE") for one in lots if "IL-6" in one.id]
    rest = [lot for lot in lots if lot.component not in {"SCF", "IL-6", "base"}]
    with pytest.raises(ShortageError) as caught:
        plan(inventory=inventory(*little, *rest))
    told = {problem.where: problem.message for problem in caught.value.problems}
    assert {"SCF", "base", "IL-6", "lot LITTLE"} <= told.keys()
    assert "no lot of SCF" in told["SCF"]
    assert "no single lot holds" in told["IL-6"]
    assert not any("stand-in" in message for message in told.values())


def test_every_component_that_holds_too_little_is_told(plan, lots):
    with pytest.raises(ShortageError) as caught:
        plan(
            inventory=inventory(
                *(
                    lot.model_copy(update={"volume": Amount(20, "µL")}) if lot.component in {"SCF", "IL-2"} else lot
                    for lot in lots
                )
            )
        )
    assert {"SCF", "IL-2"} <= {problem.where for problem in caught.value.problems}


def test_a_plan_without_shortage_is_made_once_per_choice(lots):
    asked = []

    def plan(stocks):
        asked.append(stocks.choose("SCF", Amount(5, "µL"), USE_UNTIL).id)
        return ()

    assert lots_over(plan, inventory(*lots), USE_UNTIL, lambda made: made) == ()
    assert asked == ["LOT-SCF"]
