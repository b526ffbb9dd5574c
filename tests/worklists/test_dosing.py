from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.quantities import Amount
from nkloop.recipes.models import Criterion, ErrorLimits
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.dosing_request import arm_factor, arm_ingredients
from nkloop.worklists.error_rules import error_problems
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.medium import plan_medium
from nkloop.worklists.plans import DonorTube, DosingRequest
from nkloop.worklists.positions import assign_positions, feedings
from nkloop.worklists.uncertainty import predict

TODAY, USE_UNTIL = date(2026, 11, 23), date(2026, 12, 1)
PLATE = "corning_24_wellplate_3.4ml_flat"
DONORS = ("U1", "U2")


@pytest.fixture(scope="module")
def base(recipe, stocks, deck, catalogue):
    planned = plan_medium(
        recipe,
        "grow",
        Amount(80, "mL"),
        stocks,
        deck,
        catalogue,
        omit=("SCF", "IL-2"),
        use_until=USE_UNTIL,
        today=TODAY,
        destination_barcode="M-1",
    )
    return planned.source


@pytest.fixture
def request_of(recipe, arms, base, catalogue):
    def make(add_ul=500.0, *, arms=arms, donors=DONORS, tubes=(), wells=None, **more):
        given = {k: more.pop(k) for k in ("remove_ul", "seed_ul", "present_ul", "mixed_wells") if k in more}
        positions = assign_positions(arms, donors, catalogue[PLATE], seed=3)
        fields = {
            "name": "feed",
            "recipe": recipe,
            "stage_id": "grow",
            "arms": tuple(arms),
            "plate_barcode": "P-1",
            "wells": wells or feedings(positions, add_ul=add_ul, **given),
            "base": base,
            "donors": tuple(tubes),
            "use_until": USE_UNTIL,
            "seed": 3,
        }
        return DosingRequest(**{**fields, **more})

    return make


@pytest.fixture
def plan(stocks, deck, catalogue):
    return lambda request, bench=deck: plan_dosing(request, stocks, bench, catalogue)


def seeding(request_of):
    tubes = [DonorTube(donor=donor, cells_per_ul=1000) for donor in DONORS]
    return request_of(900.0, seed_ul=100.0, tubes=tubes)


@pytest.mark.parametrize(("entry", "named"), [((), "cells"), (("cd34_percent",), "CD34+ cells")])
def test_cells_are_named_after_the_stage_and_brought_with_volume_and_density(plan, request_of, recipe, entry, named):
    request = seeding(request_of)
    criteria = tuple(Criterion(quantity=one, low=50, source="estimate") for one in entry)
    stages = tuple(stage.model_copy(update={"entry": criteria}) for stage in recipe.stages)
    worklist = plan(request.model_copy(update={"recipe": recipe.model_copy(update={"stages": stages})})).worklist
    (told,) = (s.operator.instruction for s in worklist.steps if s.operator and s.operator.labware == ("donors",))
    slot = worklist.item("donors").slot
    # three wells of 100 µL each, 15 % more and the dead volume of the tube
    tubes = f"A1 {named} U1, 375 µL at 1e6 cells/mL; B1 {named} U2, 375 µL"
    assert f"with {named} on the deck, mixed gently: slot {slot}: {tubes}" in told
    assert worklist.item("donors").label == f"{named[0].upper()}{named[1:]}, one tube per donor"


def test_each_arm_gets_the_recipe_times_its_factors(plan, request_of, catalogue, deck):
    planned = plan(request_of(present_ul=1000, remove_ul=500))
    found = {arm.arm: {row.component: row for row in arm.rows} for arm in planned.arms}
    assert found["reference"]["SCF"].expected == pytest.approx(25, rel=5e-3)
    assert found["arm-1-1"]["SCF"].expected == pytest.approx(100, rel=5e-3)
    assert found["arm-1-1"]["IL-2"].expected == pytest.approx(250, rel=5e-3)
    assert found["arm-1-2"]["IL-2"].expected == pytest.approx(2000, rel=5e-3)
    for rows in found.values():
        assert rows["IL-7"].expected == pytest.approx(25, rel=0.01)
        assert rows["serum"].expected == pytest.approx(10, rel=0.01)
    assert check_ledger(planned.worklist, catalogue, deck).passed


@pytest.mark.parametrize(
    ("volume", "tubes", "total"),
    [
        pytest.param(500, "nest_96_wellplate_2ml_deep", 2 * 500 * 1.04 + 30, id="deep wells for little"),
        pytest.param(900, "opentrons_15_tuberack_nest_15ml_conical", 2 * 900 * 1.15 + 200, id="tubes for more"),
    ],
)
def test_arm_media_are_made_a_little_larger_in_the_smallest_vessel_that_takes_them(
    plan, request_of, volume, tubes, total
):
    planned = plan(request_of(present_ul=1000, remove_ul=volume, add_ul=volume))
    assert [arm.volume_ul for arm in planned.arms] == pytest.approx([total] * 3, abs=10)
    assert planned.worklist.item("arms").load_name == tubes


def test_removal_comes_before_addition_and_no_tip_is_used_twice(plan, request_of):
    planned = plan(request_of(present_ul=1000, remove_ul=500))
    steps = planned.worklist.steps
    for well in {well.well for well in planned.after}:
        removed = next(s.number for s in steps if s.labware == "culture" and s.well == well)
        added = next(s.number for s in steps if s.to_labware == "culture" and s.to_well == well)
        assert removed < added
    touching = [s for s in steps if "culture" in {s.labware, s.to_labware}]
    assert all(step.tip for step in touching)
    assert all(step.flow_factor == 0.4 for step in touching)


def test_settled_supernatant_or_a_split(plan, request_of):
    settled = plan(request_of(present_ul=1000, remove_ul=500))
    split = plan(request_of(present_ul=1000, remove_ul=500, mixed_wells=("A1",)))
    removals = {s.well: s for s in split.worklist.steps if s.labware == "culture"}
    assert removals["A1"].mix_before == 5
    assert removals["A1"].mix_volume_ul == 700
    assert removals["B1"].mix_before == 0
    assert "cells leave with the spent medium (split): A1" in split.warnings
    assert settled.warnings == ()


def test_the_wells_after_the_event_keep_what_was_not_removed(plan, request_of, arms, catalogue):
    position = assign_positions(arms, DONORS, catalogue[PLATE], 3)[0]
    feeding = feedings([position], add_ul=500, remove_ul=600, present_ul=1000)[0]
    known = feeding.model_copy(update={"present_per_ul": {"IL-7": 0.01, "donor:U1": 50.0}})
    planned = plan(request_of(wells=(known,)))
    after = planned.after[0]
    assert after.volume_ul == pytest.approx(900)
    assert after.per_ul["donor:U1"] == pytest.approx(50 * 400 / 900)
    fresh = {row.component: row for arm in planned.arms for row in arm.rows}["IL-7"].expected * 1e-3
    assert after.per_ul["IL-7"] == pytest.approx((0.01 * 400 + fresh * 500) / 900)


def test_seeding_fills_first_and_mixes_cells_before_every_draw(plan, request_of, catalogue, deck):
    planned = plan(seeding(request_of))
    steps = planned.worklist.steps
    seeds = [step for step in steps if step.labware == "donors"]
    assert len(seeds) == 6
    assert all(step.mix_before == 5 and step.mix_volume_ul > 0 for step in seeds)
    assert len({step.tip for step in seeds}) == 6
    assert [step.well for step in seeds] == sorted(step.well for step in seeds)
    for state in planned.after:
        assert state.volume_ul == pytest.approx(1000)
        assert sum(v for k, v in state.per_ul.items() if k.startswith("donor:")) == pytest.approx(100)
    lots = {filling.liquid.lot for filling in planned.worklist.fillings}
    assert {"donor:U1", "donor:U2", "prepared:M-1:A1"} <= lots
    diluted, off = planned.warnings
    assert diluted.startswith("seeding dilutes the arm medium in the well by up to 10 %")
    assert "--aim vessel makes up for it" in diluted
    assert "heparin 22.5 instead of 25 µg/mL" in off
    assert "Remedy: a smaller volume of a denser cell suspension" in off
    assert check_ledger(planned.worklist, catalogue, deck).passed


def test_empty_wells_of_an_arm_share_the_tip_that_mixed_its_medium(plan, request_of):
    planned = plan(seeding(request_of))
    fills = [step for step in planned.worklist.steps if step.labware == "arms" and step.to_labware == "culture"]
    assert len(fills) == 6
    assert not any(step.tip for step in fills)


def test_a_removal_alone_needs_no_base_medium(plan, request_of):
    planned = plan(request_of(0.0, present_ul=1000, remove_ul=300))
    assert {item.nickname for item in planned.worklist.deck} == {"culture", "waste", "tips_1000"}
    assert planned.arms == ()
    assert all(state.volume_ul == pytest.approx(700) for state in planned.after)


def test_base_left_is_what_was_not_drawn(plan, request_of, base, catalogue):
    planned = plan(request_of(present_ul=1000, remove_ul=500))
    held = follow(planned.worklist, catalogue).well("base", "A1").volume_ul
    assert planned.base_left_ul == pytest.approx(held)
    assert planned.base_left_ul < base.volume_ul - 3000


def test_a_stage_in_which_nothing_is_varied_gets_plain_base_medium(
    plan, request_of, recipe, arms, deck, stocks, catalogue
):
    loop = recipe.loop.model_copy(
        update={"vary": tuple(one.model_copy(update={"stages": ("other",)}) for one in recipe.loop.vary)}
    )
    plain = recipe.model_copy(update={"loop": loop})
    dates = {"use_until": USE_UNTIL, "today": TODAY, "destination_barcode": "M-2"}
    complete = plan_medium(plain, "grow", Amount(80, "mL"), stocks, deck, catalogue, **dates).source
    elsewhere = [
        arm.model_copy(update={"factors": {key.replace("grow", "other"): f for key, f in arm.factors.items()}})
        for arm in arms
    ]
    planned = plan(request_of(recipe=plain, base=complete, arms=elsewhere, present_ul=1000, remove_ul=500))
    assert not any(step.to_labware == "dilutions" for step in planned.worklist.steps)
    assert all(abs(row.deviation_percent) < 1 for arm in planned.arms for row in arm.rows)


def many(number):
    rest = [
        Arm(name=f"arm-1-{n}", factors={"SCF@grow": 0.25 + 3.75 * n / number}, origin="exploration")
        for n in range(1, number)
    ]
    return (Arm(name="reference", factors={}, origin="reference"), *rest)


def test_a_full_plate_fits(plan, request_of):
    planned = plan(request_of(present_ul=1000, remove_ul=500, arms=many(12), donors=DONORS))
    assert len(planned.after) == 24


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"stage_id": "nowhere"}, "test has no stage 'nowhere'"),
        ({"present_ul": 500, "remove_ul": 490}, "removing 490 of 500 µL leaves less than 20 µL"),
        ({"present_ul": 1800}, "would hold 2300 µL, its working volume is 2000"),
        ({"seed_ul": 100}, "no tube of donor U1"),
        ({"components": ("serum",)}, "arms cannot add serum: not a dissolved additive"),
        ({"components": ("unheard of",)}, "arms cannot add unheard of"),
        ({"components": ("SCF", "IL-2", "IL-7")}, "the base medium M-1 already holds IL-7"),
    ],
)
def test_bad_requests_are_refused_with_the_remedy(plan, request_of, more, message):
    with pytest.raises(PlanError, match=message) as caught:
        plan(request_of(**more))
    assert all(problem.remedy for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("add_ul", "seed_ul", "message", "remedy"),
    [
        (36, 4, "4 of the 40 µL are cell suspension, at least 5 µL can be pipetted", "--volume of at least 50 µL"),
        (2200, 200, "the well would hold 2400 µL, its working volume is 2000 µL", "--volume of at most 2000 µL"),
    ],
)
def test_a_new_culture_too_small_or_too_large_names_the_volume_that_fits(
    plan, request_of, add_ul, seed_ul, message, remedy
):
    tubes = [DonorTube(donor=donor, cells_per_ul=1000) for donor in DONORS]
    with pytest.raises(PlanError) as refused:
        plan(request_of(add_ul, seed_ul=seed_ul, tubes=tubes))
    (problem,) = refused.value.problems
    assert (problem.message, problem.remedy) == (message, f"{remedy}, or a plate of larger wells")


def test_wells_of_unknown_arms_and_wells_fed_twice(plan, request_of, arms, catalogue):
    wells = feedings(assign_positions(arms, ("U1",), catalogue[PLATE], 1), add_ul=500)
    strange = wells[0].model_copy(update={"arm": "arm-9"})
    with pytest.raises(PlanError, match=r"arm 'arm-9' is not in the request, which has \w.*or add the arm to those"):
        plan(request_of(wells=(strange,)))
    with pytest.raises(PlanError, match="the well is fed twice"):
        plan(request_of(wells=(wells[0], wells[0])))


def test_too_little_base_medium_says_how_much_is_needed(plan, request_of, base):
    little = base.model_copy(update={"volume_ul": 6000.0})
    with pytest.raises(PlanError, match=r"µL of base medium, M-1 gives 1000 µL.*prepare \d\.\d mL or more"):
        plan(request_of(base=little, present_ul=1000, remove_ul=500))


def test_doses_that_thin_the_rest_too_far_are_named_with_what_each_takes(plan, request_of, arms):
    high = Arm(name="arm-1-1", factors={"SCF@grow": 250, "IL-2@grow": 4}, origin="exploration")
    with pytest.raises(PlanError) as refused:
        plan(request_of(arms=(high,)))
    (problem,) = refused.value.problems
    assert problem.where == "medium of arm-1-1"
    # 6.25 µg/mL out of 100 µg/mL, and 4000 IU/mL out of 1640 IU/µL
    assert problem.message == (
        "doses take 6.5 % of it (SCF 6.26 %, IL-2 0.25 %) and leave base 6.77 % below its target and 5 more "
        "components, too; 5 % are allowed"
    )
    assert problem.remedy == "a stronger stock or a lower dose"


def test_factors_apply_to_varied_components_only(request_of, arms):
    request = request_of()
    assert arm_factor(request.recipe, request.stage_id, arms[1], "SCF") == 4
    assert arm_factor(request.recipe, request.stage_id, arms[1], "IL-7") == 1
    amounts = {i.component: i.amount for i in arm_ingredients(request, arms[1])}
    assert amounts["SCF"] == Amount(100, "ng/mL")
    assert amounts["IL-7"] == Amount(25, "ng/mL")


@given(
    factors=st.lists(
        st.tuples(st.floats(min_value=0.25, max_value=4), st.floats(min_value=0.25, max_value=4)),
        min_size=2,
        max_size=7,
    ),
    add=st.floats(min_value=200, max_value=1000),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_factors_come_out_within_tolerance(plan, request_of, factors, add):
    arms = [
        Arm(name=f"arm-1-{n}", factors={"SCF@grow": scf, "IL-2@grow": il2}, origin="exploration")
        for n, (scf, il2) in enumerate(factors)
    ]
    planned = plan(request_of(round(add, 1), present_ul=1000, remove_ul=500, arms=arms))
    for arm in planned.arms:
        assert all(abs(row.deviation_percent) < 2 for row in arm.rows)


def test_a_dose_beyond_the_predicted_error_asked_for_is_refused(request_of, stocks, deck, catalogue):
    with pytest.raises(PlanError, match=r"predicted CV of .* is [0-9.]+ %, at most 0\.3 % is allowed"):
        plan_dosing(request_of(error_limits=ErrorLimits(cv_percent=0.3)), stocks, deck, catalogue)


def test_worklists_of_doses_carry_the_limits_of_the_recipe(request_of, recipe, stocks, deck, catalogue):
    strict = recipe.model_copy(update={"error_limits": ErrorLimits(cv_percent=4, bias_percent=12.5)})
    worklist = plan_dosing(request_of(recipe=strict), stocks, deck, catalogue).worklist
    assert (worklist.limits.cv_percent, worklist.limits.bias_percent) == (4, 12.5)
    predicted = predict(worklist, catalogue, deck, {(one.labware, one.well) for one in worklist.targets})
    largest = max(error.cv_percent for spot in predicted.values() for error in spot.values())
    edge = worklist.limits.model_copy(update={"cv_percent": round(largest, 2)})
    assert error_problems(worklist.model_copy(update={"limits": edge}), catalogue, deck) == []
    tighter = worklist.limits.model_copy(update={"cv_percent": 0.3})
    problems = error_problems(worklist.model_copy(update={"limits": tighter}), catalogue, deck)
    assert {problem.rule for problem in problems} == {"V062"}
    assert all("at most 0.3 %" in problem.message for problem in problems)
