"""Dose tubes for closed bags: volumes, what really reaches the bag, labels, and the bounds of bags and tubes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import LabwareError, PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.recipes.models import ErrorLimits
from nkloop.worklists.bag_doses import plan_bag_doses
from nkloop.worklists.bag_plans import BagDosingRequest, BagFeeding, tubes_csv
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.plans import MediumSource

ROOT = Path(__file__).parents[2]
TROUGH = "nest_1_reservoir_195ml"
BASE = {"base": 0.9, "serum": 0.1, "heparin": 25.0, "IL-7": 0.025, "GM-CSF": 1e-5, "IL-6": 5e-5}
LOST_UL = 200 + 400
"""Dead volume of the 15 mL tube and of its line."""


@pytest.fixture(scope="module")
def bags():
    return BagCatalogue.load(ROOT / "labware")


@pytest.fixture(scope="module")
def request_of(recipe, arms):
    def make(*some, **more):
        fields = {
            "name": "dose day 3",
            "recipe": recipe,
            "stage_id": "grow",
            "arms": arms,
            "bags": some,
            "base": MediumSource(barcode="M-1", load_name=TROUGH, well="A1", per_ul=BASE, volume_ul=175_000),
            "prepared": datetime(2026, 11, 25, 9, tzinfo=UTC),
            "use_until": date(2026, 11, 26),
        }
        return BagDosingRequest(**{**fields, **more})

    return make


@pytest.fixture(scope="module")
def plan(stocks, deck, catalogue, bags):
    return lambda request: plan_bag_doses(request, stocks, deck, catalogue, bags)


def bag(name="B-1", arm="reference", *, held=None, **more):
    fields = {"kind": "bag-500", "present_ul": 100_000, **more}
    return BagFeeding(bag=name, arm=arm, donor="U1", present_per_ul=held or {}, **fields)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(present=st.integers(60, 200), share=st.floats(0, 0.5), left=st.floats(0, 1), medium=st.integers(0, 60))
def test_bags_end_on_target_with_what_really_reaches_them(plan, request_of, catalogue, present, share, left, medium):
    held = {**BASE, "SCF": 0.025 * left, "IL-2": 1.0 * left}
    one = bag(held=held, present_ul=1000 * present, drain_ul=round(200 * present * share), medium_ul=1000 * medium)
    planned = plan(request_of(one))
    (tube,), (part,) = planned.tubes, planned.parts
    # recomputed from the ledger's tube, independent of the planner's own answer
    inside = follow(part.worklist, catalogue).well(tube.rack, tube.well)
    assert inside.volume_ul == pytest.approx(tube.fill_ul, abs=0.1)
    delivered = inside.volume_ul - LOST_UL
    assert delivered == pytest.approx(tube.delivered_ul, abs=0.1)
    assert delivered >= 5000 - 1e-6
    final = one.present_ul - one.drain_ul + one.medium_ul + delivered
    assert final == pytest.approx(tube.final_ul, abs=0.1)
    for name, target in (("SCF", 0.025), ("IL-2", 1.0)):
        amount = held[name] * (one.present_ul - one.drain_ul) + inside.per_ul.get(name, 0.0) * delivered
        assert amount / final == pytest.approx(target, rel=0.05)
    rows = {row.component: row for row in planned.composition}
    assert {name: row.target for name, row in rows.items() if row.basis == "dosed"} == {"SCF": 25, "IL-2": 1000}
    # what is not dosed is on target before and after, whatever is drained and run in
    beside = [row for row in planned.composition if row.basis == "undosed"]
    assert {row.component for row in beside} == {"serum", "heparin", "IL-7", "GM-CSF", "IL-6"}
    assert all(abs(row.deviation_percent) < 0.5 for row in beside)


def test_every_bag_has_a_labelled_tube_and_a_weld_step(plan, request_of, deck, catalogue):
    planned = plan(request_of(bag("B-1"), bag("B-2", "arm-1-1"), bag("B-3", "arm-1-2", drain_ul=20_000)))
    (part,) = planned.parts
    assert check_ledger(part.worklist, catalogue, deck).passed
    welds = [step.operator for step in part.worklist.steps if step.operator and step.operator.kind == "weld"]
    assert [next(name for name in ("B-1", "B-2", "B-3") if name in one.instruction) for one in welds] == [
        "B-1",
        "B-2",
        "B-3",
    ]
    assert welds[2].instruction.startswith("Cap and label the tube in doses C1, check its label against bag B-3")
    first = planned.tubes[0]
    assert first.label.batch == "B-1 reference/U1"
    assert first.label.content == "5.6 mL: SCF 525 ng/mL, IL-2 21000 IU/mL"
    assert (first.label.prepared.hour, first.label.expires) == (9, date(2026, 11, 26))
    assert tubes_csv(planned.tubes).splitlines()[1].startswith("1,doses,A1,B-1,reference,U1,5600.0,5000.0,105000.0,B-1")


def test_what_people_run_into_many_large_bags_is_told_in_litres(plan, request_of):
    held = {**BASE, "SCF": 0.025, "IL-2": 1.0}
    large = {"kind": "bioreactor-2000", "present_ul": 900_000, "medium_ul": 900_000, "held": held}
    planned = plan(request_of(*(bag(f"B-{n}", **large) for n in range(12))))
    assert "Base medium people run in: 10.8 L in all." in planned.notes


def test_more_bags_than_one_deck_holds_are_prepared_in_parts(plan, request_of, deck, stocks, catalogue, bags):
    from nkloop.worklists.bench_deck import ModuleSpec

    free = [f"{row}{column}" for row in "ABCD" for column in "123"]
    taken = {"A3", "C1", "D1", *free[:5]}
    blocked = tuple(ModuleSpec(slot=slot, load_name="magneticBlockV1") for slot in free if slot not in taken)
    small = deck.model_copy(update={"modules": (*deck.modules, *blocked)})
    many = [bag(f"B-{n}") for n in range(20)]
    planned = plan_bag_doses(request_of(*many), stocks, small, catalogue, bags)
    assert len(planned.parts) > 1
    assert [tube.bag for tube in planned.tubes] == [one.bag for one in many]
    assert planned.parts[1].before is not None
    assert all(check_ledger(part.worklist, catalogue, small).passed for part in planned.parts)


@pytest.mark.parametrize(
    ("one", "more", "message"),
    [
        pytest.param(
            bag(present_ul=298_000),
            {},
            "the bag would hold 303 mL, Gas-permeable culture bag, medium takes 300 mL",
            id="full",
        ),
        pytest.param(
            bag(drain_ul=99_000, medium_ul=90_000),
            {},
            "draining would leave 1 mL, 2 mL cannot be drained out of Gas-permeable culture bag, medium",
            id="drained",
        ),
        pytest.param(bag(present_ul=20_000), {}, "the bag would hold 25 mL, .* needs 50 mL", id="too little"),
        pytest.param(bag(kind="bag-7"), {}, "there is no bag 'bag-7'", id="unknown bag"),
        pytest.param(bag(arm="arm-9"), {}, "arm 'arm-9' is not in the request", id="unknown arm"),
        pytest.param(
            bag(), {"dose_ul": 14_000}, "a dose of 14 mL needs 14.6 mL in the tube, .* holds 14 mL", id="tube"
        ),
        pytest.param(bag(), {"tube": "dose-7"}, "there is no dose tube 'dose-7'", id="unknown tube"),
        pytest.param(
            bag(held={"SCF": 0.1}),
            {},
            "SCF would be 3.81 times its target for reference without any fresh SCF",
            id="rest",
        ),
    ],
)
def test_a_bag_that_cannot_be_dosed_is_told(plan, request_of, one, more, message):
    with pytest.raises(PlanError, match=message):
        plan(request_of(one, **more))


def test_a_bag_named_twice_is_told_once(plan, request_of):
    with pytest.raises(PlanError, match="the bag is dosed twice") as told:
        plan(request_of(bag(), bag()))
    (problem,) = told.value.problems
    assert problem.where.endswith(", bag B-1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("bags: []\ndose_tubes: []\n", "bags", id="none"),
        pytest.param(
            "bags:\n  - {name: a, title: A, lowest_ml: 9, capacity_ml: 5, manufacturer: m, catalogue_number: c, "
            "provenance: p}\ndose_tubes:\n  - {name: t, title: T, rack: r, line_dead_ul: 1, provenance: p}\n",
            "lowest_ml 9 is not below capacity_ml 5",
            id="range",
        ),
    ],
)
def test_a_wrong_bag_file_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "bags.yaml").write_text(text)
    with pytest.raises(LabwareError, match=message) as told:
        BagCatalogue.load(tmp_path)
    assert all("bags.yaml:" in problem.where for problem in told.value.problems)


def test_a_dose_too_small_for_its_stock_names_the_one_that_is_large_enough(plan, request_of, arms):
    strong = (arms[0].model_copy(update={"factors": {"SCF@grow": 40.0, "IL-2@grow": 1.0}}),)
    with pytest.raises(
        PlanError, match=r"µL of SCF would go into its dose tube, at most .*--dose of at least"
    ) as refused:
        plan(request_of(bag(present_ul=100_000), arms=strong, dose_ul=200))
    least = float(str(refused.value).split("--dose of at least ")[1].split(" mL")[0])
    assert plan(request_of(bag(present_ul=100_000), arms=strong, dose_ul=1000 * least)).tubes


def test_a_dose_tube_beyond_the_predicted_error_asked_for_is_refused(plan, request_of):
    with pytest.raises(PlanError, match=r"predicted systematic error of .* is [0-9.]+ %, at most 0\.5 % is allowed"):
        plan(request_of(bag(), error_limits=ErrorLimits(bias_percent=0.5)))
    (part,) = plan(request_of(bag())).parts
    assert (part.worklist.limits.cv_percent, part.worklist.limits.bias_percent) == (5, 12)
