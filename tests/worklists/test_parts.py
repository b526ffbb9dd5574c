"""Plans that are more than one robot run."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.worklists.cells_back import cells_back_told
from nkloop.worklists.cells_out import CellsOutError, busy_minutes
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.models import Limits, OperatorTask, Worklist
from nkloop.worklists.parts import Part, between_notes, cuts, fewest_parts
from nkloop.worklists.plans import DonorTube, DosingRequest, MediumSource, WellFeeding
from nkloop.worklists.temperature_rules import temperature_problems
from nkloop.worklists.time_rules import time_problems

PLATE, TROUGH = "corning_24_wellplate_3.4ml_flat", "nest_1_reservoir_195ml"
BASE = {"base": 0.9, "serum": 0.1, "heparin": 25.0, "IL-7": 0.025, "GM-CSF": 1e-5, "IL-6": 5e-5}


@given(n=st.integers(1, 60), parts=st.integers(1, 60))
def test_cuts_keep_order_and_sizes(n, parts):
    made = cuts(range(n), min(parts, n))
    assert [item for part in made for item in part] == list(range(n))
    sizes = [len(part) for part in made]
    assert max(sizes) - min(sizes) <= 1


def test_the_fewest_parts_that_fit_are_taken():
    def plan(parts):
        if any(len(part) > 3 for part in parts):
            raise KeyError
        return parts

    assert [len(part) for part in fewest_parts("abcdefgh", plan, KeyError)] == [3, 3, 2]


def many(n: int) -> tuple[Arm, ...]:
    rest = [
        Arm(name=f"arm-1-{k}", factors={"SCF@grow": 1 + k / (n + 1), "IL-2@grow": 1.0}, origin="exploration")
        for k in range(1, n)
    ]
    return (Arm(name="reference", factors={}, origin="reference"), *rest)


@pytest.fixture(scope="module")
def request_of(recipe):
    def make(arms, wells, **more):
        fields = {
            "name": "feed P-1",
            "recipe": recipe,
            "stage_id": "grow",
            "arms": arms,
            "plate_barcode": "P-1",
            "wells": tuple(wells),
            "base": MediumSource(barcode="M-1", load_name=TROUGH, well="A1", per_ul=BASE, volume_ul=175_000),
            "use_until": date(2026, 12, 1),
        }
        return DosingRequest(**{**fields, **more})

    return make


def fed(arms, **volumes):
    names = [f"{row}{column}" for column in range(1, 7) for row in "ABCD"]
    return [WellFeeding(well=w, arm=arm.name, donor="U1", **volumes) for w, arm in zip(names, arms, strict=False)]


def small(deck, n_slots):
    """The bench with modules on all but `n_slots` of its slots."""
    from nkloop.worklists.bench_deck import ModuleSpec

    taken = {"A3", "C1", "D1"}
    free = [f"{row}{column}" for row in "ABCD" for column in "123" if f"{row}{column}" not in taken]
    blocked = tuple(ModuleSpec(slot=slot, load_name="magneticBlockV1") for slot in free[n_slots:])
    return deck.model_copy(update={"modules": (*deck.modules, *blocked)})


def test_more_arms_than_one_rack_holds_take_two_racks(request_of, stocks, deck, catalogue):
    arms = many(16)
    planned = plan_dosing(request_of(arms, fed(arms, add_ul=1900)), stocks, deck, catalogue)
    (part,) = planned.parts
    assert part.before is None
    racks = [item.load_name for item in part.worklist.deck if item.nickname.startswith("arms")]
    assert racks == ["opentrons_15_tuberack_nest_15ml_conical"] * 2


def test_a_small_deck_gets_parts_that_hand_on_plate_and_base_medium(request_of, stocks, deck, catalogue):
    arms = many(24)
    tubes = (DonorTube(donor="U1", cells_per_ul=1000),)
    request = request_of(arms, fed(arms, add_ul=1850, seed_ul=100), donors=tubes)
    bench = small(deck, 8)
    planned = plan_dosing(request, stocks, bench, catalogue)
    assert len(planned.parts) == 2
    first, second = planned.parts
    assert first.worklist.name == "feed P-1, part 1 of 2"
    assert first.before is None
    told = second.before.instruction
    assert "Take off: " in told
    assert "Put on: " in told
    assert "Back into the incubator until the run asks for it: Culture plate P-1 (A1)" in told
    assert "Leave where it is: Base medium" in told
    for part in planned.parts:
        assert check_ledger(part.worklist, catalogue, bench).passed
    # the second part begins with what the first one left, and ends with the whole plate
    last = follow(second.worklist, catalogue)
    assert len([1 for name, _, held in last.wells() if name == "culture" and held.volume_ul > 1900]) == 24
    left = follow(first.worklist, catalogue).well("base", "A1").volume_ul
    (base,) = [f.volume_ul for f in second.worklist.fillings if f.labware == "base"]
    assert base == pytest.approx(left)
    assert planned.base_left_ul == pytest.approx(last.well("base", "A1").volume_ul)
    assert len(planned.after) == len(planned.arms) == 24
    with pytest.raises(PlanError, match="the plan has 2 parts, one worklist was asked for"):
        _ = planned.worklist


def test_parts_take_their_stocks_from_one_lot_that_holds_enough_for_all(
    request_of, stocks_of, lots, lot_of, deck, catalogue
):
    arms = many(24)
    request = request_of(arms, fed(arms, add_ul=1900))
    bench = small(deck, 5)
    total = {use.component: use.volume_ul for use in plan_dosing(request, stocks_of(lots), bench, catalogue).lots}
    others = [lot for lot in lots if lot.component != "SCF"]
    little = lot_of("SCF", "100 µg/mL", f"{0.7 * total['SCF']} µL", id="LITTLE", carrier="PBS with albumin")
    plenty = lot_of("SCF", "100 µg/mL", "1 mL", id="PLENTY", carrier="PBS with albumin")
    planned = plan_dosing(request, stocks_of([little, plenty, *others]), bench, catalogue)
    assert len(planned.parts) > 1
    assert [use.lot for use in planned.lots if use.component == "SCF"] == ["PLENTY"]


def test_cells_that_would_stay_out_too_long_are_fed_in_parts(request_of, stocks, deck, catalogue):
    arms = many(12)
    wells = fed(arms, add_ul=500, present_ul=1000, remove_ul=500)
    whole = plan_dosing(request_of(arms, wells), stocks, deck, catalogue)
    assert len(whole.parts) == 1
    limit = 0.7 * whole.cells_out_minutes
    cut = plan_dosing(request_of(arms, wells, cells_out_minutes=limit), stocks, deck, catalogue)
    assert len(cut.parts) == 2
    assert cut.cells_out_minutes <= limit
    with pytest.raises(CellsOutError, match=r"outside the incubator for about \d+ min, at most 0.1 min"):
        plan_dosing(request_of(arms, wells, cells_out_minutes=0.1), stocks, deck, catalogue)


def test_mixes_that_would_stand_warm_too_long_are_made_in_parts(request_of, stocks, deck, catalogue):
    arms = many(4)
    request = request_of(arms, fed(arms, add_ul=500, present_ul=1000, remove_ul=500), cells_out_minutes=9000)
    assert len(plan_dosing(request, stocks, deck, catalogue).parts) == 1
    slow = deck.model_copy(update={"speeds": deck.speeds.model_copy(update={"travel_s": 330.0})})
    cut = plan_dosing(request, stocks, slow, catalogue)
    assert len(cut.parts) > 1
    for part in cut.parts:
        assert not list(temperature_problems(part.worklist, busy_minutes(part.worklist, slow), catalogue))


def test_cultures_leave_the_incubator_when_their_media_are_ready(request_of, stocks, deck, catalogue):
    arms = many(3)
    steps = plan_dosing(
        request_of(arms, fed(arms, add_ul=500, present_ul=1000, remove_ul=500)), stocks, deck, catalogue
    ).worklist.steps
    kinds = {s.operator.kind: s.number for s in steps if s.action == "pause"}
    assert list(kinds) == ["warm", "thaw", "confirm"]
    pause = kinds["confirm"]
    assert all("culture" not in {s.labware, s.to_labware} for s in steps if s.number < pause)
    assert "out of the incubator" in steps[pause - 1].comment


def test_a_plate_with_cells_waits_in_the_incubator_for_its_part(request_of, stocks, deck, catalogue):
    arms = many(12)
    wells = fed(arms, add_ul=500, present_ul=1000, remove_ul=500)
    limit = 0.7 * plan_dosing(request_of(arms, wells), stocks, deck, catalogue).cells_out_minutes
    cut = plan_dosing(request_of(arms, wells, cells_out_minutes=limit), stocks, deck, catalogue)
    assert cells_back_told(cut.parts[-1].worklist).startswith("Afterwards: P-1 back into the incubator at once")
    told = cut.parts[1].before.instruction
    assert "Back into the incubator until the run asks for it: Culture plate P-1" in told
    assert "Leave where it is: Culture plate" not in told
    for part in cut.parts:
        assert part.worklist.limits.cells_in == ("culture",)
        assert part.worklist.limits.cells_out_minutes == limit
        fetched = next(s.number for s in part.worklist.steps if s.action == "pause" and "culture" in s.operator.labware)
        touched = min(s.number for s in part.worklist.steps if "culture" in (s.labware, s.to_labware))
        assert fetched < touched
        assert not list(time_problems(part.worklist, busy_minutes(part.worklist, deck)))
        strict = part.worklist.model_copy(update={"limits": Limits(cells_out_minutes=0.5, cells_in=("culture",))})
        assert [p.rule for p in time_problems(strict, busy_minutes(strict, deck))] == ["V070"]


def test_what_is_the_same_before_several_parts_is_said_once():
    def part(name, instruction):
        worklist = Worklist.model_construct(name=name)
        told = None if instruction is None else OperatorTask(kind="confirm", instruction=f"{name}. {instruction}")
        return Part.model_construct(worklist=worklist, before=told)

    parts = [part("a", None), part("b", "Take off: tips."), part("c", "Take off: tips."), part("d", "Put on: waste.")]
    assert between_notes(parts) == ("Before parts 2 and 3: Take off: tips.", "Before part 4: Put on: waste.")
    assert between_notes([*parts[:3], part("d", "Take off: tips.")]) == ("Before parts 2 to 4: Take off: tips.",)
    assert between_notes(parts[:1]) == ()
