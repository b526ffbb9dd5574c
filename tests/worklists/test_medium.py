from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError, ShortageError
from nkloop.quantities import Amount
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.medium import plan_medium

TODAY, USE_UNTIL = date(2026, 11, 23), date(2026, 12, 1)


@pytest.fixture
def plan(recipe, stocks, deck, catalogue):
    def make(volume="100 mL", *, of=recipe, stage="grow", inventory=stocks, bench=deck, **more):
        dates = {"use_until": USE_UNTIL, "today": TODAY, "destination_barcode": "M-1"}
        return plan_medium(of, stage, Amount.parse(volume), inventory, bench, catalogue, **{**dates, **more})

    return make


def contents(planned, catalogue):
    return follow(planned.worklist, catalogue).well("medium", "A1")


def test_composition_is_that_of_the_recipe_read_from_the_ledger(plan, catalogue, deck):
    planned = plan()
    rows = {row.component: row for row in planned.composition}
    assert rows["SCF"].target == 25
    assert rows["SCF"].unit == "ng/mL"
    assert rows["GM-CSF"].expected == pytest.approx(10, rel=1e-3)
    assert rows["IL-2"].expected == pytest.approx(1000, rel=1e-3)
    assert rows["IL-2"].unit == "IU/mL"
    assert all(abs(row.deviation_percent) < 1 for row in planned.composition)
    assert rows["SCF"].expected == pytest.approx(1e3 * contents(planned, catalogue).per_ul["SCF"])
    assert check_ledger(planned.worklist, catalogue, deck).passed


@pytest.mark.parametrize(
    ("volume", "load_name", "dead"),
    [
        ("5 mL", "opentrons_6_tuberack_nest_50ml_conical", 500),
        ("44 mL", "opentrons_6_tuberack_nest_50ml_conical", 500),
        ("60 mL", "nest_1_reservoir_195ml", 5000),
        ("150 mL", "nest_1_reservoir_195ml", 5000),
    ],
)
def test_the_whole_volume_asked_for_can_be_drawn(plan, catalogue, volume, load_name, dead):
    planned = plan(volume)
    assert planned.source.load_name == load_name
    asked = Amount.parse(volume).to("µL")
    assert contents(planned, catalogue).volume_ul == pytest.approx(asked + dead, abs=0.1)
    assert planned.source.volume_ul == pytest.approx(asked + dead, abs=0.1)
    assert planned.worklist.item("medium").barcode == "M-1"


def test_large_volumes_are_poured_with_eight_channels(plan):
    steps = plan("150 mL").worklist.steps
    base = [step for step in steps if step.labware == "base" and step.to_labware == "medium"]
    assert {step.channels for step in base} == {8}
    assert sum(step.volume_ul * 8 for step in base) > 130_000


def test_order_is_base_serum_heparin_then_cytokines_with_the_low_doses_first(plan):
    into = [step.comment for step in plan().worklist.steps if step.to_labware == "medium"]
    order = list(dict.fromkeys(into))
    assert order == [
        "base medium",
        "add serum",
        "add heparin",
        "add GM-CSF",
        "add IL-6",
        "add SCF",
        "add IL-7",
        "add IL-2",
    ]
    assert plan().worklist.steps[-1].action == "mix"


def test_low_doses_get_their_pre_dilutions_and_no_transfer_is_below_the_minimum(plan):
    worklist = plan().worklist
    assert min(step.volume_ul for step in worklist.steps) >= 5
    into_dilutions = [s for s in worklist.steps if s.to_labware == "dilutions" and s.labware != "base"]
    assert [s.comment for s in into_dilutions if "GM-CSF" in s.comment] == ["GM-CSF: dilute 1:100"] * 2
    assert not any("SCF:" in s.comment for s in into_dilutions)


def test_every_component_has_a_tip_of_its_own(plan):
    steps = [s for s in plan().worklist.steps if s.comment.startswith("add ")]
    assert all(step.tip for step in steps)
    assert len({step.tip for step in steps}) == len(steps)
    assert all("tips" in step.tip for step in steps)


def test_stocks_stand_cold_on_the_module(plan):
    stocks = plan().worklist.item("stocks")
    assert (stocks.slot, stocks.module, stocks.temperature_c) == ("C1", "temperatureModuleV2", 4)


def test_left_out_components_are_absent_and_said(plan, catalogue):
    planned = plan(omit=("SCF", "IL-2"))
    held = contents(planned, catalogue).amounts
    assert "SCF" not in held
    assert "IL-2" not in held
    assert "left out, to be added by the arms: IL-2, SCF" in planned.warnings
    assert {row.component for row in planned.composition}.isdisjoint({"SCF", "IL-2"})


def test_unverified_values_are_said(plan):
    assert any(text.startswith("published values nobody has verified yet: base, serum") for text in plan().warnings)


def test_lots_say_what_stands_on_the_deck_and_what_is_drawn(plan):
    planned = plan()
    used = {use.component: use for use in planned.lots}
    assert used["SCF"].lot == "LOT-SCF"
    assert used["SCF"].volume_ul == pytest.approx(used["SCF"].drawn_ul + 30, abs=1)
    assert used["base"].drawn_ul > 90_000
    assert all(use.drawn_ul < use.volume_ul for use in planned.lots)


def test_another_lot_is_taken_when_the_first_does_not_hold_enough(plan, lots, lot_of, stocks_of):
    small = lot_of("SCF", "10 µg/mL", "40 µL", id="LOT-SCF-SMALL")
    planned = plan(inventory=stocks_of((small, *lots)))
    assert {use.component: use.lot for use in planned.lots}["SCF"] == "LOT-SCF"
    assert {row.component: row for row in planned.composition}["SCF"].expected == pytest.approx(25, rel=1e-3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"stage": "nowhere"}, "test has no stage 'nowhere'.*use grow"),
        ({"volume": "0 mL"}, "0 mL is not a volume above 0"),
        ({"volume": "-5 mL"}, "-5 mL is not a volume above 0"),
        ({"volume": "5 mg"}, "5 mg is not a volume above 0"),
        ({"volume": "1 L"}, r"1000 mL is more than the largest vessel gives \(175 mL\)"),
        ({"omit": ("base",)}, "cannot leave out base: not an additive of stage grow"),
        ({"use_until": date(2026, 1, 1)}, "last day of use 2026-01-01 is before today 2026-11-23"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_remedy(plan, more, message):
    with pytest.raises(PlanError, match=message) as caught:
        plan(**more)
    assert all(problem.remedy for problem in caught.value.problems)


def test_a_missing_lot_is_a_shortage(plan, lots, stocks_of):
    with pytest.raises(ShortageError, match="no lot of SCF"):
        plan(inventory=stocks_of([lot for lot in lots if lot.component != "SCF"]))


def test_activity_from_a_lot_without_certificate_is_refused(plan, lots, lot_of, stocks_of):
    bare = [lot for lot in lots if lot.component != "IL-2"] + [lot_of("IL-2", "100 µg/mL")]
    with pytest.raises(PlanError, match=r"IL-2 is wanted in IU/mL.*certificate"):
        plan(inventory=stocks_of(bare))


def test_a_bench_without_the_cold_module_is_refused(plan, deck):
    with pytest.raises(PlanError, match="the bench has no temperatureModuleV2"):
        plan(bench=deck.model_copy(update={"modules": ()}))


def test_a_bench_without_eight_channels_pours_with_one(plan, deck, catalogue):
    single = deck.model_copy(update={"pipettes": deck.pipettes[:1]})
    planned = plan("60 mL", bench=single)
    assert {step.channels for step in planned.worklist.steps} == {1}
    assert contents(planned, catalogue).volume_ul == pytest.approx(65_000, abs=0.1)


@given(
    volume=st.floats(min_value=5, max_value=150),
    scf=st.floats(min_value=1e-3, max_value=500),
    il6=st.floats(min_value=5, max_value=5000),
    il2=st.floats(min_value=10, max_value=20_000),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_recipe_comes_out_as_written(plan, recipe_of, catalogue, volume, scf, il6, il2):
    of = recipe_of(SCF=f"{scf:.6g} ng/mL", **{"IL-6": f"{il6:.6g} pg/mL", "IL-2": f"{il2:.6g} IU/mL"})
    planned = plan(f"{volume:.4g} mL", of=of)
    additives = [row for row in planned.composition if row.component != "base"]
    assert all(abs(row.deviation_percent) < 0.5 for row in additives)
    volumes = [step.volume_ul for step in planned.worklist.steps if step.action == "transfer"]
    assert min(volumes) >= 5
    assert max(volumes) <= 1000
    assert contents(planned, catalogue).volume_ul == pytest.approx(planned.source.volume_ul)
