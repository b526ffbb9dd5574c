"""What the base medium is off itself goes into the predicted errors of whatever gets it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import hypot
from pathlib import Path

import pytest

from nkloop.errors import PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.recipes.models import ErrorLimits
from nkloop.worklists.arms import complete_arms
from nkloop.worklists.bag_doses import plan_bag_doses
from nkloop.worklists.base_errors import ASSUMED, in_vessel
from nkloop.worklists.base_medium import BaseMaker, order_of
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.dosing_assembly import (
    Wanted,
    bag_request,
    base_of,
    plate_positions,
    plate_request,
    with_enough_base,
)
from nkloop.worklists.error_rules import error_problems
from nkloop.worklists.medium import plan_media
from nkloop.worklists.models import PreparedErrors, Uncertainty
from nkloop.worklists.plans import MediumSource
from nkloop.worklists.uncertainty import predict

TODAY = date(2026, 11, 25)
LOT = "prepared:M-1:A1"
TIP = "tips_1000:A1"
ONE = Uncertainty(cv_percent=3.0, bias_percent=8.0)


@pytest.fixture
def wanted(recipe):
    return Wanted(
        recipe=recipe,
        stage=recipe.stage("grow"),
        arms=complete_arms(recipe, "grow", [("half", {"SCF": 0.5}, "2")]),
        donors=("U1", "U2"),
        use_until=date(2026, 12, 1),
        seed=1,
        name="dose",
        components=("SCF", "IL-2", "IL-7"),
        in_base=("IL-2", "IL-7"),
        suspended_in="base",
    )


@pytest.fixture
def base(wanted, stocks, deck, catalogue):
    needed = base_of(wanted, 40_000)
    order = order_of(needed, wanted.stage, ["SCF"], 0.0, catalogue)
    maker = BaseMaker(needed, order, wanted.recipe, stocks, deck, catalogue, TODAY)
    return maker.as_ordered(wanted.recipe.error_limits)


@pytest.fixture
def plan(wanted, stocks, deck, catalogue):
    def make(base, like=None, **more):
        positions = plate_positions(wanted, "plate-24", catalogue, replicates=1, outer="use")
        request = plate_request(
            wanted, "plate-24", positions, catalogue, base, action="seed", volume_ul=None, outer="use", barcode="P-1",
            cells_out_minutes=60,
        ).model_copy(update=more)  # fmt: skip
        return plan_dosing(request, stocks, deck, catalogue, like=like)

    return make


def of_lot(worklist, lot):
    """The same with the water of a lot that holds a component of its own."""
    fillings = tuple(
        one.model_copy(update={"liquid": one.liquid.model_copy(update={"lot": lot, "per_ul": {"serum": 0.5}})})
        if one.labware == "water"
        else one
        for one in worklist.fillings
    )
    known = (PreparedErrors(lots=(LOT,), errors={"serum": ONE}),)
    return worklist.model_copy(update={"fillings": fillings, "prepared": known})


def test_a_prepared_liquid_passes_its_error_on_whole_however_often_it_is_drawn(worklist_of, transfer, catalogue, deck):
    moves = (
        transfer("water:A1", "tubes:B1", 400, TIP),
        transfer("water:A1", "plate:A1", 100, TIP),
        transfer("tubes:B1", "plate:A1", 50, TIP),
    )
    worklist = of_lot(worklist_of(*moves), LOT)
    for spot in (("tubes", "B1"), ("plate", "A1")):
        told = predict(worklist, catalogue, deck)[spot]["serum"]
        assert (told.cv_percent, told.bias_percent) == pytest.approx((3.0, 8.0))


def test_its_error_adds_to_that_of_a_dilution_and_other_lots_have_none(worklist_of, transfer, catalogue, deck):
    moves = transfer("water:A1", "plate:A1", 100, TIP), transfer("tubes:A1", "plate:A1", 50, TIP)
    with_error, exact = (
        predict(of_lot(worklist_of(*moves), lot), catalogue, deck)["plate", "A1"]["serum"] for lot in (LOT, "LOT-1")
    )
    assert exact.cv_percent > 0
    assert with_error.cv_percent == pytest.approx(hypot(exact.cv_percent, 3.0))
    assert with_error.bias_percent == pytest.approx(exact.bias_percent + 8.0)


def test_a_vessel_gets_the_batch_once_from_tube_and_by_hand():
    base = MediumSource(
        barcode="M-1", load_name="tube", well="A1", per_ul={"serum": 0.1}, volume_ul=1, errors={"serum": ONE}
    )
    tube = {"serum": Uncertainty(cv_percent=5.0, bias_percent=9.0)}  # 4 % and 1 % of its own
    held = {"serum": 0.1 * 60 + 0.05 * 40}  # 40 of 100 µL were there, at half the concentration
    told = in_vessel(base, 40, ({"serum": 0.1}, 20), tube, held)["serum"]
    assert told.cv_percent == pytest.approx(hypot(4 * 2 / 8, 3 * 6 / 8))
    assert told.bias_percent == pytest.approx(1 * 2 / 8 + 8 * 6 / 8)


def test_every_component_of_every_well_has_an_error_and_wells_share_that_of_the_base(plan, base, deck, catalogue):
    assert base.errors_from == "of its own plan, with the lots at hand"
    planned = plan(base)
    assert all(row.cv_percent is not None and row.bias_percent is not None for row in planned.composition)
    brought = [row for row in planned.composition if row.basis == "undosed"]
    assert {"IL-2", "IL-7", "serum"} <= {row.component for row in brought}
    for row in brought:
        own = base.errors[row.component]
        assert own.cv_percent - 0.01 <= row.cv_percent <= own.cv_percent + 0.2
        assert own.bias_percent - 0.01 <= row.bias_percent <= own.bias_percent + 0.5
    assert planned.worklist.prepared[0].lots == (base.lot, "donor:U1", "donor:U2")
    assert any("off by them together" in note for note in planned.notes)
    exact = plan(base.model_copy(update={"errors": {}}))
    assert {row.cv_percent for row in exact.composition if row.basis == "undosed"} == {None}
    assert any("are not known" in note for note in exact.notes)


def test_what_the_base_brings_is_held_to_the_limits(plan, base, deck, catalogue):
    most = max(one.bias_percent for one in base.errors.values())
    with pytest.raises(PlanError, match=r"the base medium alone is predicted to be off by .* lower --max-bias"):
        plan(base, error_limits=ErrorLimits(bias_percent=most - 0.1))
    worklist = plan(base).worklist
    assert error_problems(worklist, catalogue, deck) == []
    tight = worklist.limits.model_copy(update={"bias_percent": most - 0.1})
    problems = error_problems(worklist.model_copy(update={"limits": tight}), catalogue, deck)
    assert {one.rule for one in problems} == {"V062"}


def test_a_base_for_doses_leaves_them_room(wanted, base, stocks, deck, catalogue):
    order = order_of(base, wanted.stage, ["SCF"], 0.0, catalogue)
    most = max(one.bias_percent for one in base.errors.values())

    def bias(**order_of_it):
        made = plan_media(
            wanted.recipe, [order.model_copy(update=order_of_it)], stocks, deck, catalogue, use_until=TODAY,
            today=TODAY, limits=ErrorLimits(bias_percent=most + 0.01),
        )  # fmt: skip
        return max(row.bias_percent for row in made.composition if row.component != "SCF")

    assert bias() < most + 0.01 - 0.2 < bias(omit=())


def test_bags_have_the_error_of_the_batch_by_hand_too(wanted, base, stocks, deck, catalogue):
    bags = BagCatalogue.load(Path(__file__).parents[2] / "labware")
    request = bag_request(
        wanted, "bag", bags, base, action="seed", volume_ul=40_000, dose_ul=5000, tube="dose-15",
        prepared=datetime(2026, 11, 25, 9, tzinfo=UTC),
    )  # fmt: skip
    planned = plan_bag_doses(request, stocks, deck, catalogue, bags)
    for row in planned.composition:
        assert row.cv_percent is not None
        if row.basis == "undosed":
            assert row.bias_percent == pytest.approx(base.errors[row.component].bias_percent, abs=0.2)
    assert any("what people run in counts as measured exactly" in note for note in planned.notes)
    with pytest.raises(PlanError, match="the base medium alone is predicted to be off"):
        plan_bag_doses(
            request.model_copy(update={"error_limits": ErrorLimits(bias_percent=9)}), stocks, deck, catalogue, bags
        )


def test_a_base_that_cannot_be_planned_is_taken_as_made_elsewhere(wanted, plan, lots, stocks_of, deck, catalogue):
    needed = base_of(wanted, 40_000)
    order = order_of(needed, wanted.stage, ["SCF"], 0.0, catalogue)
    few = stocks_of([lot for lot in lots if lot.component != "serum"])
    limits = wanted.recipe.error_limits
    elsewhere = BaseMaker(needed, order, wanted.recipe, few, deck, catalogue, TODAY).as_ordered(limits)
    assert set(elsewhere.errors.values()) == {ASSUMED}
    assert any(
        "assumed: 3 % CV and 5 % systematic error each, because it cannot" in one for one in plan(elsewhere).notes
    )


@pytest.fixture
def dose(wanted, plan, stocks, deck, catalogue):
    """Doses with the base medium as it is ordered; the way the command does it without records."""

    def make(limits, can_be_better=True):
        def known(base, by_hand_ul, within):
            order = order_of(base, wanted.stage, ["SCF"], by_hand_ul, catalogue)
            maker = BaseMaker(base, order, wanted.recipe, stocks, deck, catalogue, TODAY)
            made = maker.ordered(ErrorLimits(bias_percent=40), within)
            return made if within is None or can_be_better else None

        return with_enough_base(wanted, catalogue, lambda base, like: plan(base, error_limits=limits, like=like), known)

    return make


def test_a_base_that_is_off_too_much_is_ordered_better_and_larger_where_that_takes_more(dose):
    limits = ErrorLimits(bias_percent=6)
    planned = dose(limits)
    assert planned.base_within.bias_percent < limits.bias_percent
    assert planned.base_within.cv_percent == limits.cv_percent
    assert max(row.bias_percent for row in planned.composition) <= limits.bias_percent
    poured, loose = (
        next(one.volume_ul for one in made.worklist.fillings if one.labware == "base")
        for made in (planned, dose(ErrorLimits(bias_percent=40)))
    )
    assert loose < poured < 1.2 * loose


def test_a_base_that_no_volume_makes_accurate_enough_is_refused(dose):
    with pytest.raises(PlanError, match=r"no base medium of up to 44.5 mL, which its vessel holds, .* --max-bias"):
        dose(ErrorLimits(bias_percent=6), can_be_better=False)
