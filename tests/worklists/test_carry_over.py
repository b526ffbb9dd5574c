"""What stock buffers bring into a vessel: those of the dose and those of the base medium together."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from nkloop.errors import PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.quantities import Amount
from nkloop.recipes.models import CarryOverLimit
from nkloop.worklists.arms import complete_arms
from nkloop.worklists.bag_doses import plan_bag_doses
from nkloop.worklists.base_medium import BaseMaker, order_of
from nkloop.worklists.carry_over import brought_in, summed
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.dosing_assembly import Wanted, bag_request, base_of, plate_positions, plate_request
from nkloop.worklists.medium import plan_media

TODAY = date(2026, 11, 25)
DMSO = {"DMSO": Amount.parse("10 % v/v")}


@pytest.fixture
def stocked(lots, stocks_of):
    """Stocks of what is dosed (SCF) and of what the base medium brings (IL-7), both in 10 % DMSO."""
    return stocks_of([
        one.model_copy(update={"buffer": DMSO}) if one.component in {"SCF", "IL-7"} else one for one in lots
    ])  # fmt: skip


@pytest.fixture
def wanted(recipe):
    def make(limit):
        limits = (CarryOverLimit(substance="DMSO", limit=limit, source="s"),)
        of = recipe.model_copy(update={"carry_over": limits})
        return Wanted(
            recipe=of, stage=of.stage("grow"), arms=complete_arms(of, "grow", [("half", {"SCF": 0.5}, "2")]),
            donors=("U1",), use_until=date(2026, 12, 1), seed=1, name="dose", components=("SCF", "IL-2", "IL-7"),
            in_base=("IL-2", "IL-7"), suspended_in="base",
        )  # fmt: skip

    return make


@pytest.fixture
def base(wanted, stocked, deck, catalogue):
    def make(limit):
        needed = base_of(wanted(limit), 40_000)
        order = order_of(needed, wanted(limit).stage, ["SCF"], 0.0, catalogue)
        of, limits = wanted(limit).recipe, wanted(limit).recipe.error_limits
        return BaseMaker(needed, order, of, stocked, deck, catalogue, TODAY).as_ordered(limits)

    return make


@pytest.fixture
def plates(wanted, stocked, deck, catalogue):
    def plan(limit, base):
        positions = plate_positions(wanted(limit), "plate-24", catalogue, replicates=1, outer="use")
        request = plate_request(
            wanted(limit), "plate-24", positions, catalogue, base, action="seed", volume_ul=None, outer="use",
            barcode="P-1", cells_out_minutes=60,
        )  # fmt: skip
        return plan_dosing(request, stocked, deck, catalogue)

    return plan


@pytest.fixture
def closed(wanted, stocked, deck, catalogue):
    def plan(limit, base):
        bags = BagCatalogue.load(Path(__file__).parents[2] / "labware")
        request = bag_request(
            wanted(limit), "bag", bags, base, action="seed", volume_ul=40_000, dose_ul=5000, tube="dose-15",
            prepared=datetime(2026, 11, 25, 9, tzinfo=UTC),
        )  # fmt: skip
        return plan_bag_doses(request, stocked, deck, catalogue, bags)

    return plan


@pytest.mark.parametrize(("vessels", "where"), [("plates", r"A\d \(reference/U1\)"), ("closed", "bag U1-reference")])
def test_base_and_dose_are_judged_together(request, base, vessels, where):
    plan = request.getfixturevalue(vessels)
    brought = summed(base("1 % v/v").brought)["DMSO"]["LOT-IL-7"].to("% v/v")
    alone = 25e-9 / 100e-6 * 10  # 25 ng/mL out of 100 µg/mL in 10 % DMSO
    assert brought == pytest.approx(alone, rel=0.02)
    assert plan("1 % v/v", base("1 % v/v")).warnings == ()
    told = rf"{where}: DMSO would be 0.005\d* % v/v .*from lot LOT-SCF.*from lot LOT-IL-7"
    with pytest.raises(PlanError, match=told):
        plan(f"{1.2 * alone} % v/v", base("1 % v/v"))


@pytest.mark.parametrize("vessels", ["plates", "closed"])
def test_a_base_of_unknown_stocks_is_said(request, base, vessels):
    made_elsewhere = base("1 % v/v").model_copy(update={"brought": None})
    (told,) = request.getfixturevalue(vessels)("1 % v/v", made_elsewhere).warnings
    assert told.startswith(f"what stock buffers brought into base medium {made_elsewhere.barcode} is not known")


def test_what_a_run_brought_is_found_from_what_it_took(wanted, stocked, stocks_of, base, deck, catalogue):
    needed = base_of(wanted("1 % v/v"), 40_000)
    order = order_of(needed, wanted("1 % v/v").stage, ["SCF"], 0.0, catalogue)
    made = plan_media(wanted("1 % v/v").recipe, [order], stocked, deck, catalogue, use_until=TODAY, today=TODAY)
    source = made.sources[0]
    spot = next((i.nickname, source.well) for i in made.worklist.deck if i.barcode == source.barcode)
    found = brought_in(made.worklist, spot, stocked, catalogue)
    assert found is not None
    assert [(one.component, one.lot, one.substance) for one in found] == [("IL-7", "LOT-IL-7", "DMSO")]
    assert found[0].amount.canonical == pytest.approx(source.brought[0].amount.canonical)
    few = stocks_of([lot for lot in stocked.lots if lot.component != "IL-7"])
    assert brought_in(made.worklist, spot, few, catalogue) is None
