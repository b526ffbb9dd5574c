"""What all arms have alike comes with the base medium where every vessel stays on target, else it is dosed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.arms import complete_arms
from nkloop.worklists.constants import choose, constants_of, dosed_into_media, settled_by
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.dosing_assembly import Wanted, bag_request, base_of, plate_positions, plate_request
from nkloop.worklists.duration import estimate_minutes
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.medium_contents import medium_per_ul
from nkloop.worklists.present_table import Present

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bags():
    return BagCatalogue.load(ROOT / "labware")


@pytest.fixture
def wanted(recipe):
    return Wanted(
        recipe=recipe,
        stage=recipe.stage("grow"),
        arms=complete_arms(recipe, "grow", [("none", {"SCF": 0.0}, "2"), ("half", {"SCF": 0.5}, "3")]),
        donors=("U1", "U2"),
        use_until=date(2026, 12, 1),
        seed=1,
        name="dose",
        components=("SCF", "IL-2", "IL-7"),
    )


@pytest.fixture
def request_of(catalogue):
    def make(wanted, action="seed"):
        positions = plate_positions(wanted, "plate-24", catalogue, replicates=1, outer="use")
        if action != "seed":
            wanted = replace(wanted, present={one.well: wanted.present["any"] for one in positions})
        return plate_request(
            wanted, "plate-24", positions, catalogue, base_of(wanted, 40_000), action=action, volume_ul=None,
            outer="use", barcode="P-1", cells_out_minutes=60,
        )  # fmt: skip

    return make


def all_in_base(wanted):
    return replace(wanted, in_base=constants_of(wanted))


def test_constants_are_what_no_arm_changes(wanted):
    assert set(constants_of(wanted)) == {"IL-2", "IL-7"}
    with pytest.raises(PlanError, match="arms differ in SCF, which they would not be given"):
        _ = replace(wanted, in_base=("SCF",)).added


@pytest.mark.parametrize(
    ("suspended", "in_base"),
    [pytest.param("base", {"IL-2", "IL-7"}, id="base"), pytest.param("none", set(), id="thinned by the suspension")],
)
def test_new_wells_get_constants_with_the_base_where_that_is_on_target(wanted, request_of, suspended, in_base):
    wanted = replace(wanted, suspended_in=suspended)
    choice = choose(wanted, "auto", request_of(all_in_base(wanted)))
    assert set(choice.in_base) == in_base
    assert choice.dosed == ({} if in_base else pytest.approx({"IL-2": 10, "IL-7": 10}, abs=0.2))
    (told,) = choice.notes()
    assert ("the base medium brings them" in told) == bool(in_base)
    forced = choose(wanted, "base", request_of(all_in_base(wanted)))
    assert set(forced.in_base) == {"IL-2", "IL-7"}
    assert choose(wanted, "dose", request_of(all_in_base(wanted))).in_base == ()


def test_what_was_used_up_is_dosed_and_what_was_not_comes_with_the_base(wanted, recipe, request_of):
    held = {**medium_per_ul(recipe.stage("grow")), "IL-2": 0.2}
    wanted = replace(wanted, present={"any": Present(volume_ul=1000, per_ul=held)})
    choice = choose(wanted, "auto", request_of(all_in_base(wanted), "exchange"))
    assert choice.in_base == ("IL-7",)
    assert choice.dosed == pytest.approx({"IL-2": 40})
    assert len(tuple(choice.notes())) == 2


def test_where_the_fresh_medium_is_the_aim_a_dose_makes_up_for_nothing(wanted, recipe, request_of):
    request = request_of(all_in_base(wanted)).model_copy(update={"aim": "medium"})
    assert set(choose(wanted, "auto", request).in_base) == {"IL-2", "IL-7"}
    assert choose(wanted, "dose", request).in_base == ()
    by_ways = {asked: set(dosed_into_media(recipe, "grow", wanted.arms, asked)) for asked in ("auto", "base", "dose")}
    assert by_ways == {"auto": {"SCF"}, "base": {"SCF"}, "dose": {"SCF", "IL-2"}}


def test_a_base_medium_that_stands_there_decides_by_what_it_holds(wanted):
    base = base_of(replace(wanted, in_base=("IL-7",)), 40_000)
    settled, told = settled_by(wanted, "auto", base)
    assert settled.in_base == ("IL-7",)
    assert "IL-7: the same in all arms, so the base medium brings them" in told[0]
    for asked, message in (("dose", "holds IL-7, which shall be dosed"), ("base", "lacks IL-2, which it shall bring")):
        with pytest.raises(PlanError, match=f"base medium base-grow {message}"):
            settled_by(wanted, asked, base)


def test_bags_keep_a_dose(wanted, recipe, bags):
    def request(wanted):
        return bag_request(
            wanted, "bag", bags, base_of(wanted, 100_000), action="seed", volume_ul=100_000, dose_ul=5000,
            tube="dose-15", prepared=datetime(2026, 11, 25, 9, tzinfo=UTC),
        )  # fmt: skip

    assert set(choose(wanted, "auto", request(all_in_base(wanted))).in_base) == {"IL-2", "IL-7"}
    alone = replace(wanted, arms=complete_arms(recipe, "grow", ()))
    assert choose(alone, "auto", request(all_in_base(alone))).in_base == ()
    with pytest.raises(PlanError, match="no dose is left to prepare"):
        choose(alone, "base", request(all_in_base(alone)))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(factors=st.lists(st.sampled_from([0.0, 0.5, 2.0, 4.0]), min_size=1, max_size=4, unique=True))
def test_wells_are_alike_either_way_with_fewer_tips_and_less_time(
    wanted, recipe, request_of, stocks, deck, catalogue, factors
):
    arms = complete_arms(recipe, "grow", [(f"arm-{n}", {"SCF": f}, str(n)) for n, f in enumerate(factors)])
    wanted = replace(wanted, arms=arms, suspended_in="base")
    tips, minutes = [], []
    for some in (wanted, all_in_base(wanted)):
        plan = plan_dosing(request_of(some), stocks, deck, catalogue)
        worklist = plan.worklist
        assert check_ledger(worklist, catalogue, deck).passed
        for row in plan.composition:
            assert row.expected == pytest.approx(row.target, rel=0.02)
        assert {row.component for row in plan.composition} >= {"SCF", "IL-2", "IL-7", "serum", "heparin"}
        ledger = follow(worklist, catalogue)
        filled = sum(one.volume_ul * one.liquid.per_ul.get("IL-7", 0.0) for one in worklist.fillings)
        assert sum(held.amounts.get("IL-7", 0.0) for _, _, held in ledger.wells()) == pytest.approx(filled, rel=1e-9)
        tips.append(sum(step.channels for step in worklist.steps if step.tip))
        minutes.append(estimate_minutes(worklist, deck))
    assert tips[1] < tips[0]
    assert minutes[1] < minutes[0]
