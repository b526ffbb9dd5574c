from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError, ShortageError
from nkloop.quantities import Amount
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.models import CarryOverLimit
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.medium import plan_media, plan_medium
from nkloop.worklists.plans import MediumOrder

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
        ("1 mL", "opentrons_24_tuberack_nest_1.5ml_snapcap", 30),
        ("5 mL", "opentrons_15_tuberack_nest_15ml_conical", 200),
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
    *_, last, put_away = plan().worklist.steps
    assert last.action == "mix"
    assert (put_away.operator.kind, put_away.operator.temperature_c) == ("store", 4)
    assert put_away.operator.labware == ("medium",)


def test_low_doses_get_their_pre_dilutions_and_no_transfer_is_below_the_minimum(plan):
    worklist = plan().worklist
    assert min(step.volume_ul for step in worklist.steps if step.action != "pause") >= 5
    into_dilutions = [s for s in worklist.steps if s.to_labware == "dilutions" and s.labware != "base"]
    assert [s.comment for s in into_dilutions if "GM-CSF" in s.comment] == ["GM-CSF: dilute 1:100"] * 2
    assert not any("SCF:" in s.comment for s in into_dilutions)


def test_every_component_has_a_tip_of_its_own(plan):
    steps = [s for s in plan().worklist.steps if s.comment.startswith("add ")]
    small = [s for s in steps if s.dispense_at == "level"]
    assert all(step.tip for step in small)
    assert len({step.tip for step in small}) == len(small)
    assert {s.comment for s in steps if s.tip} == {s.comment for s in steps}


def test_bulk_volumes_drop_from_the_rim_with_one_tip(plan):
    serum = [s for s in plan().worklist.steps if s.comment == "add serum"]
    assert {s.dispense_at for s in serum} == {"rim"}
    assert [bool(s.tip) for s in serum] == [True] + [False] * (len(serum) - 1)


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
        ({"volume": "0.5 mL"}, r"0.5 mL is outside what is planned, 1 mL to 2 L"),
        ({"volume": "2.1 L"}, r"2.1 L is outside what is planned, 1 mL to 2 L"),
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


# several media, large volumes, carriers, buffers


@pytest.fixture
def together(recipe, stocks, deck, catalogue):
    def make(*volumes, of=recipe, inventory=stocks, bench=deck, **more):
        orders = [
            MediumOrder(stage_id="grow", volume=Amount.parse(volume), barcode=f"M-{n}")
            for n, volume in enumerate(volumes, start=1)
        ]
        return plan_media(of, orders, inventory, bench, catalogue, use_until=USE_UNTIL, today=TODAY, **more)

    return make


def test_media_prepared_together_share_stocks_and_pre_dilutions(plan, together):
    both, alone = together("40 mL", "20 mL"), [plan("40 mL"), plan("20 mL")]
    assert [source.barcode for source in both.sources] == ["M-1", "M-2"]
    drawn = {use.component: use.drawn_ul for use in both.lots}
    apart = [{use.component: use.drawn_ul for use in one.lots} for one in alone]
    assert drawn["GM-CSF"] == 5
    assert apart[0]["GM-CSF"] + apart[1]["GM-CSF"] == 10
    assert len(both.worklist.steps) < sum(len(one.worklist.steps) for one in alone)
    for barcode in ("M-1", "M-2"):
        rows = {row.component: row for row in both.composition if row.destination == barcode}
        assert all(abs(row.deviation_percent) < 1 for row in rows.values())


def test_low_doses_of_several_media_are_mixed_once_and_given_together(together, recipe_of, stocks_of, lots, lot_of):
    more = {"G-CSF": "250 pg/mL", "LIF": "50 pg/mL", "MIP-1a": "200 pg/mL"}
    inventory = stocks_of((*lots, *(lot_of(name, "100 µg/mL") for name in more)))
    planned = together(*["30 mL"] * 4, of=recipe_of(**more), inventory=inventory)
    steps = planned.worklist.steps
    doses = [s for s in steps if s.comment.startswith("add the cocktail of")]
    assert len(doses) == 4
    assert doses[0].comment == "add the cocktail of GM-CSF, IL-6, LIF, MIP-1a, G-CSF"
    assert sum(s.comment == "mix the cocktail" for s in steps) == 1
    assert not any(s.comment == "add GM-CSF" for s in steps)
    assert any("are mixed once, as" in note for note in planned.notes)
    assert all(abs(row.deviation_percent) < 1 for row in planned.composition)


@pytest.mark.parametrize(("volume", "vessels"), [("400 mL", 3), ("2 L", 12)])
def test_more_than_the_largest_vessel_is_prepared_in_several_each_complete(together, catalogue, volume, vessels):
    planned = together(volume)
    assert len(planned.sources) == vessels
    assert [s.barcode for s in planned.sources][:3] == ["M-1", "M-1-2", "M-1-3"]
    usable = sum(s.volume_ul - 5000 for s in planned.sources)
    assert usable == pytest.approx(Amount.parse(volume).to("µL"), abs=1)
    assert len(planned.composition) == vessels * 8
    assert all(abs(row.deviation_percent) < 1 for row in planned.composition)
    assert any(f"it is made as {vessels} complete media" in note for note in planned.notes)
    if len(planned.parts) > 1:
        assert planned.parts[1].before.instruction.startswith(planned.parts[1].worklist.name)
        with pytest.raises(PlanError, match="one worklist was asked for"):
            _ = planned.worklist
    with pytest.raises(PlanError, match=rf"stands in {vessels} vessels"):
        _ = planned.source


def test_a_stock_is_diluted_in_its_own_carrier(plan, catalogue, lots, lot_of, stocks_of):
    buffered = [lot.model_copy(update={"diluent": "HSA buffer"}) if lot.component == "GM-CSF" else lot for lot in lots]
    planned = plan(inventory=stocks_of((*buffered, lot_of("HSA buffer", "100 % v/v"))))
    hsa = [s for s in planned.worklist.steps if s.comment == "diluent for GM-CSF"]
    stands = next(f for f in planned.worklist.fillings if f.liquid.name == "HSA buffer")
    assert {(s.labware, s.well) for s in hsa} == {(stands.labware, stands.well)}
    assert contents(planned, catalogue).per_ul["HSA buffer"] > 0
    assert "HSA buffer" in {use.component for use in planned.lots}
    assert any("in HSA buffer" in note for note in planned.notes)


def test_base_medium_stands_in_for_a_carrier_that_is_not_there_and_that_is_said(plan, lots, stocks_of):
    buffered = [lot.model_copy(update={"diluent": "HSA buffer"}) if lot.component == "GM-CSF" else lot for lot in lots]
    planned = plan(inventory=stocks_of(buffered))
    assert any("GM-CSF would be diluted in HSA buffer, as the certificate says" in note for note in planned.notes)
    assert any(note.startswith("GM-CSF is pre-diluted") and " in base, " in note for note in planned.notes)


@pytest.mark.parametrize(
    ("buffer", "is_told"),
    [
        pytest.param({"DMSO": "100 % v/v"}, False, id="below the limit"),
        pytest.param({"acetate": "10 mM"}, True, id="no limit in the recipe"),
    ],
)
def test_what_stock_buffers_bring_is_judged_in_the_finished_medium(plan, recipe, lots, stocks_of, buffer, is_told):
    planned = plan(of=with_limit(recipe, "0.1 % v/v"), inventory=stocks_of(buffered(lots, buffer)))
    said = "stock buffers bring acetate into the medium and the recipe sets no limit for it"
    assert (said in planned.warnings) is is_told


def test_too_much_of_a_stock_buffer_is_refused_with_lot_and_bound(plan, recipe, lots, stocks_of):
    inventory = stocks_of(buffered(lots, {"DMSO": "100 % v/v"}))
    message = r"DMSO would be 0.025 % v/v .* at most 0.01 % v/v is allowed \(0.025 % v/v from lot LOT-SCF\)"
    with pytest.raises(PlanError, match=message):
        plan(of=with_limit(recipe, "0.01 % v/v"), inventory=inventory)


def test_a_limit_in_another_unit_than_the_buffer_is_refused(plan, recipe, lots, stocks_of):
    with pytest.raises(PlanError, match="DMSO of lot LOT-SCF is given as"):
        plan(of=with_limit(recipe, "1 mM"), inventory=stocks_of(buffered(lots, {"DMSO": "100 % v/v"})))


def buffered(lots, buffer):
    amounts = {name: Amount.parse(text) for name, text in buffer.items()}
    return [lot.model_copy(update={"buffer": amounts}) if lot.component == "SCF" else lot for lot in lots]


def with_limit(recipe, limit):
    limits = (CarryOverLimit(substance="DMSO", limit=limit, source="s"),)
    return recipe.model_copy(update={"carry_over": limits})


def test_every_component_has_a_predicted_error_within_the_limits(plan):
    for row in plan().composition:
        assert 0 <= row.cv_percent <= 5
        assert 0 < row.bias_percent <= 12


def test_errors_beyond_the_limits_asked_for_are_refused(plan):
    with pytest.raises(
        PlanError,
        match=r"no dilution of GM-CSF \(lot LOT-GM-CSF, 100 µg/mL\) is accurate.*; at most 1 % CV and 2 % systematic",
    ):
        plan(limits=ErrorLimits(cv_percent=1, bias_percent=2))


def test_stricter_limits_make_larger_volumes(plan):
    strict, usual = plan(limits=ErrorLimits(bias_percent=9)), plan()
    worst = [max(row.bias_percent for row in one.composition) for one in (strict, usual)]
    assert worst[0] <= 9 < worst[1]
    drawn = [sum(use.drawn_ul for use in one.lots if use.component in {"GM-CSF", "IL-6"}) for one in (strict, usual)]
    assert drawn[0] >= drawn[1]


def test_every_problem_of_a_request_is_told_at_once(together, recipe, stocks, deck, catalogue):
    orders = [
        MediumOrder(stage_id="nowhere", volume=Amount.parse("5 mg"), barcode="M"),
        MediumOrder(stage_id="grow", volume=Amount.parse("5 mL"), omit=("SCF", "water"), barcode="M"),
    ]
    with pytest.raises(PlanError) as caught:
        plan_media(recipe, orders, stocks, deck, catalogue, use_until=USE_UNTIL, today=TODAY)
    told = [problem.message for problem in caught.value.problems]
    assert told == [
        "5 mg is not a volume above 0",
        "test has no stage 'nowhere'",
        "cannot leave out water: not an additive of stage grow",
        "two media have the barcode 'M'",
    ]


@given(
    volume=st.floats(min_value=1, max_value=400),
    scf=st.floats(min_value=1e-3, max_value=500),
    il6=st.floats(min_value=5, max_value=5000),
    il2=st.floats(min_value=10, max_value=20_000),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_recipe_comes_out_as_written(plan, recipe_of, catalogue, volume, scf, il6, il2):
    of = recipe_of(SCF=f"{scf:.6g} ng/mL", **{"IL-6": f"{il6:.6g} pg/mL", "IL-2": f"{il2:.6g} IU/mL"})
    try:
        planned = plan(f"{volume:.4g} mL", of=of)
    except PlanError as error:
        assume(not error.problems[0].message.startswith(("no dilution of", "additives alone")))
        raise
    additives = [row for row in planned.composition if row.component != "base"]
    assert all(abs(row.deviation_percent) < 0.5 for row in additives)
    steps = [step for part in planned.parts for step in part.worklist.steps]
    volumes = [step.volume_ul for step in steps if step.action == "transfer"]
    assert min(volumes) >= 5
    assert max(volumes) <= 1000
    usable = [s.volume_ul - catalogue[s.load_name].dead_volume_ul for s in planned.sources]
    assert sum(usable) == pytest.approx(Amount.parse(f"{volume:.4g} mL").to("µL"), abs=1)
