"""Every way to feed a plate ends in the same wells; the one that costs least is taken and told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from nkloop.drivers.pylabrobot.tracking import check_tracking
from nkloop.errors import PlanError, ShortageError
from nkloop.feedback.models import Arm
from nkloop.labware import Catalogue
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.feeding_choice import Cost, cheapest, layouts
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.plans import DonorTube, DosingRequest, MediumSource, WellFeeding
from nkloop.worklists.positions import assign_positions

PLATE, PLATE_24 = "corning_96_wellplate_360ul_flat", "corning_24_wellplate_3.4ml_flat"
BASE = {"base": 0.9, "serum": 0.1, "heparin": 25.0, "IL-7": 0.025, "GM-CSF": 1e-5, "IL-6": 5e-5}
WAYS = ("arms", "placed", "columns", "copies")
NEW = {"add_ul": 180.0, "seed_ul": 20.0}
EXCHANGE = {"present_ul": 200.0, "remove_ul": 100.0, "add_ul": 100.0}
OT2 = BenchDeck.model_validate(
    {
        "model": "ot2",
        "pipettes": [
            {"mount": mount, "load_name": name, "channels": n, "min_volume_ul": 20, "max_volume_ul": 300,
             "accuracy": [{"volume_ul": 20, "systematic_percent": 4, "random_cv_percent": 2},
                          {"volume_ul": 300, "systematic_percent": 0.6, "random_cv_percent": 0.3}],
             "source": "test", "verified_by": None}
            for mount, name, n in (("left", "p300_single_gen2", 1), ("right", "p300_multi_gen2", 8))
        ],
        "modules": [{"slot": "3", "load_name": "temperatureModuleV2", "adapter": None}],
        "trash_slot": "12",
        "tips": [{"load_name": "opentrons_96_filtertiprack_200ul", "volume_ul": 200}],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def request_of(recipe, catalogue):
    def make(n_arms, replicates, action, plate=PLATE):
        factors = [0.5 + n / n_arms for n in range(n_arms)]
        arms = [Arm(name=f"a-{n}", factors={"SCF@grow": f}, origin="exploration") for n, f in enumerate(factors)]
        positions = assign_positions(arms, ("U1",), catalogue[plate], 3, replicates=replicates)
        held = {"present_per_ul": {**BASE, "SCF": 0.01, "IL-2": 0.5}} if action is EXCHANGE else {}
        return DosingRequest(
            name="dose",
            recipe=recipe,
            stage_id="grow",
            arms=tuple(arms),
            plate_barcode="P-1",
            plate_load_name=plate,
            wells=tuple(WellFeeding(**p.model_dump(), **action, **held) for p in positions),
            base=MediumSource(
                barcode="M-1", load_name="nest_1_reservoir_195ml", well="A1", per_ul=BASE, volume_ul=100_000
            ),
            donors=(DonorTube(donor="U1", cells_per_ul=1000),),
            use_until=date(2026, 12, 1),
            aim="vessel",
            error_limits=ErrorLimits(cv_percent=5, bias_percent=20),
        )

    return make


@pytest.mark.parametrize("bench", ["flex", "ot2"])
@pytest.mark.parametrize("action", [pytest.param(NEW, id="new"), pytest.param(EXCHANGE, id="exchange")])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_brings_every_well_to_its_target(stocks, deck, request_of, way, action, bench):
    catalogue = Catalogue.load(Path(__file__).resolve().parents[2] / "labware")
    request, bench_deck = request_of(5, 2, action), deck if bench == "flex" else OT2
    planned = plan_dosing(request, stocks, bench_deck, catalogue, ways=(way,))
    worklist = planned.worklist
    assert check_ledger(worklist, catalogue, bench_deck).passed
    assert check_tracking(worklist, catalogue).passed
    ledger = follow(worklist, catalogue)
    assert {ledger.well("culture", well.well).volume_ul for well in request.wells} == {200.0}
    rows = [row for row in planned.composition if row.basis == "dosed"]
    assert max(abs(row.deviation_percent) for row in rows) < 1
    feeds = [s for s in worklist.steps if s.comment.startswith("fresh medium")]
    assert sum(step.channels for step in feeds) == len(request.wells)
    # ten wells are a column and two: eight channels and part of them
    assert {step.channels for step in feeds} == {
        "arms": {1}, "placed": {5, 2, 1}, "columns": {8, 2}, "copies": {8, 2}
    }[way]  # fmt: skip
    if action is EXCHANGE:
        assert all(step.tip for step in feeds)
        drains = [s.channels for s in worklist.steps if s.to_labware == "waste"]
        assert drains == [8, 2]


@pytest.mark.parametrize(
    ("size", "action", "plate", "ways"),
    [
        pytest.param((4, 1), NEW, PLATE, ("arms", "columns"), id="one well an arm"),
        pytest.param((4, 2), NEW, PLATE, ("arms", "placed", "columns"), id="several, empty"),
        pytest.param((4, 2), EXCHANGE, PLATE, WAYS, id="several, with cells"),
        pytest.param((4, 2), EXCHANGE, PLATE_24, ("arms",), id="no eight rows"),
    ],
)
def test_ways_that_may_pay_are_tried(deck, catalogue, request_of, size, action, plate, ways):
    assert layouts(request_of(*size, action, plate), deck, catalogue) == ways


def test_one_channel_feeds_one_by_one(deck, catalogue, request_of):
    one = deck.model_copy(update={"pipettes": tuple(p for p in deck.pipettes if p.channels == 1)})
    assert layouts(request_of(4, 2, EXCHANGE), one, catalogue) == ("arms",)


def test_the_cheapest_way_is_taken_and_the_others_are_told(stocks, deck, catalogue, request_of):
    request = request_of(8, 1, EXCHANGE)
    planned = plan_dosing(request, stocks, deck, catalogue)
    each = {way: plan_dosing(request, stocks, deck, catalogue, ways=(way,)) for way in ("arms", "columns")}
    assert planned.feeding == min(each, key=lambda way: each[way].cost_eur) == "columns"
    assert planned.worklist.steps == each["columns"].worklist.steps
    assert planned.cost_eur == pytest.approx(each["columns"].cost_eur)
    assert planned.cells_out_minutes < each["arms"].cells_out_minutes / 2
    assert planned.compared in planned.notes
    assert f"{each['arms'].cost_eur:.2f} EUR" in planned.compared
    again = plan_dosing(request, stocks, deck, catalogue, like=planned)
    assert (again.feeding, again.compared) == (planned.feeding, planned.compared)


def test_ways_that_are_impossible_are_told_and_the_first_refusal_when_all_are():
    def plan(way):
        if way != "copies":
            raise PlanError(f"no room for {way}")
        return way, Cost(eur=2.0, tips=3, minutes=4.0, cells_out_minutes=0.0)

    made, way, told = cheapest(WAYS, plan)
    assert (made, way) == ("copies", "copies")
    assert "4 min, 3 tips, 2.00 EUR" in told
    assert "cannot be: no room for columns" in told
    with pytest.raises(PlanError, match="no room for arms"):
        cheapest(("arms", "columns"), plan)


def test_ways_of_the_same_cost_are_told_once():
    costs = {"arms": 3.0, "placed": 2.0, "columns": 2.0, "copies": 3.0}
    told = cheapest(WAYS, lambda way: (way, Cost(eur=costs[way], tips=3, minutes=4.0, cells_out_minutes=0.0)))[2]
    assert (told.count("2.00 EUR"), told.count("3.00 EUR")) == (1, 1)
    alike = cheapest(("arms", "placed"), lambda way: (way, Cost(2.0, 3, 4.0, 0.0)))[2]
    assert alike.endswith("4 min, 3 tips, 2.00 EUR.")


def test_a_shortage_in_one_way_leaves_the_others():
    def plan(way):
        if way == "columns":
            raise ShortageError("too little SCF")
        return way, Cost(eur=2.0, tips=3, minutes=4.0, cells_out_minutes=1.0)

    assert cheapest(("arms", "columns"), plan)[1] == "arms"
