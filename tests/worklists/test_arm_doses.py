"""Cocktails and carriers of arm media: composition rebuilt move by move, cost, fallbacks and limits."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.quantities import Amount
from nkloop.recipes.models import CarryOverLimit, ErrorLimits
from nkloop.worklists.accuracy import volume_error
from nkloop.worklists.arm_doses import RIM_UL, ArmDosePlanner
from nkloop.worklists.chain_cost import CostModel
from nkloop.worklists.cocktails import Dose
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.plans import DosingRequest, MediumSource, WellFeeding

ADDED = ("SCF", "IL-2", "IL-7", "IL-6")
BASE = {"base": 0.9, "serum": 0.1, "heparin": 25.0, "GM-CSF": 1e-5}
WELLS = [f"{row}{column}" for column in range(1, 7) for row in "ABCD"]
SAME = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def arms_of(factors):
    names = ["reference", *(f"arm-1-{n}" for n in range(1, len(factors)))]
    return tuple(
        Arm.model_validate(
            {
                "name": name,
                "factors": {"SCF@grow": scf, "IL-2@grow": il2},
                "origin": "reference" if name == "reference" else "exploration",
            }
        )
        for name, (scf, il2) in zip(names, factors, strict=True)
    )


@pytest.fixture
def request_of(recipe):
    def make(factors, *, add_ul=(1500.0,), of=recipe, **more):
        arms = arms_of(factors)
        volumes = [add_ul[n % len(add_ul)] for n in range(len(arms))]
        fields = {
            "name": "feed",
            "recipe": of,
            "stage_id": "grow",
            "arms": arms,
            "plate_barcode": "P-1",
            "wells": tuple(
                WellFeeding(arm=arm.name, donor="U1", well=well, add_ul=volume)
                for arm, well, volume in zip(arms, WELLS, volumes, strict=False)
            ),
            "base": MediumSource(
                barcode="M-1", load_name="nest_1_reservoir_195ml", well="A1", per_ul=BASE, volume_ul=170_000
            ),
            "components": ADDED,
            "use_until": date(2026, 12, 1),
        }
        return DosingRequest.model_validate({**fields, **more})

    return make


@pytest.fixture
def plan(stocks, deck, catalogue):
    return lambda request, inventory=stocks: plan_dosing(request, inventory, deck, catalogue)


def wells_of(worklist, catalogue, *, chance=None, deck=None, n=1):
    """Volume and amounts of every well, followed here move by move; with `chance` every move is off at random."""
    kinds = {item.nickname: catalogue[item.load_name] for item in worklist.deck}
    volume, amount = {}, {}
    for filling in worklist.fillings:
        spot = filling.labware, filling.well
        volume[spot] = np.full(n, filling.volume_ul)
        amount[spot] = {name: np.full(n, filling.volume_ul * c) for name, c in filling.liquid.per_ul.items()}
    for step in worklist.steps:
        if step.action != "transfer":
            continue
        sources = kinds[step.labware].reached(step.well, step.channels)
        targets = kinds[step.to_labware].reached(step.to_well, step.channels)
        for source, target in zip(sources, targets, strict=True):
            one, other = (step.labware, source), (step.to_labware, target)
            moved = np.full(n, step.volume_ul)
            if chance is not None:
                moved = moved * (1 + volume_error(deck.pipette(1), step.volume_ul).random * chance.standard_normal(n))
            share = moved / volume[one]
            volume[one] = volume[one] - moved
            volume[other] = volume.get(other, 0.0) + moved
            held = amount.setdefault(other, {})
            for name, whole in list(amount[one].items()):
                held[name] = held.get(name, 0.0) + whole * share
                amount[one][name] = whole * (1 - share)
    return {spot: {name: a / volume[spot] for name, a in some.items()} for spot, some in amount.items()}


def shares_a_cocktail(planned):
    return any(step.comment == "mix the cocktail" for part in planned.parts for step in part.worklist.steps)


FACTORS = st.sampled_from([0.25, 0.5, 1.0, 1.0, 1.0, 2.0])


@settings(max_examples=5, **SAME)
@given(
    others=st.lists(st.tuples(FACTORS, FACTORS), min_size=1, max_size=7),
    volumes=st.lists(st.sampled_from([700.0, 1000.0, 1500.0]), min_size=1, max_size=3),
)
def test_every_arm_is_on_target_however_its_components_came_there(
    plan, request_of, recipe, catalogue, deck, others, volumes
):
    request = request_of([(1.0, 1.0), *others], add_ul=volumes)
    planned = plan(request)
    reached = {}
    for part in planned.parts:
        assert check_ledger(part.worklist, catalogue, deck).passed
        reached |= wells_of(part.worklist, catalogue)
    wanted = {i.component: i.amount.of(i.component).canonical for i in recipe.stage("grow").medium.additives}
    for well, arm in zip(request.wells, request.arms, strict=True):
        held = reached["culture", well.well]
        for name in ADDED:
            factor = arm.factors.get(f"{name}@grow", 1.0)
            assert held[name][0] == pytest.approx(wanted[name] * factor, rel=5e-3), (arm.name, name)
        assert held["serum"][0] == pytest.approx(0.1, rel=0.05)


def test_the_errors_told_are_those_of_simulated_pipetting(plan, request_of, catalogue, deck):
    planned = plan(request_of([(1.0, 1.0), (2.0, 1.0), (1.0, 2.0), (0.5, 1.0)] * 2))
    assert shares_a_cocktail(planned)
    chance = np.random.default_rng(4)
    seen = wells_of(planned.worklist, catalogue, chance=chance, deck=deck, n=4000)
    for arm in planned.arms:
        for row in arm.rows:
            if row.component in ADDED:
                values = seen["arms", arm.well][row.component]
                # what feeds the wells is drawn from the tube: a share of it leaves, its concentration stays
                assert 100 * values.std() / values.mean() == pytest.approx(row.cv_percent, rel=0.06), row


def test_what_all_arms_share_is_mixed_once_and_dosed_together(plan, request_of, catalogue):
    planned = plan(request_of([(1.0, 1.0), *((2.0, 1.0), (0.5, 1.0)) * 6][:7]))
    (told,) = [note for note in planned.notes if "are mixed once" in note]
    assert "dosed together to 7 of 7 tubes" in told
    assert {"IL-2", "IL-7", "IL-6"} == set(told.partition(" are mixed")[0].split(", "))
    steps = planned.worklist.steps
    doses = [s for s in steps if s.to_labware == "arms" and s.comment.startswith("cocktail of")]
    assert len(doses) == 7
    assert [bool(s.tip) for s in doses] == [True] + [False] * 6
    assert all(s.dispense_at == "rim" for s in doses)
    assert not any(s.to_labware == "arms" and s.comment.startswith("IL-7 for") for s in steps)


def test_an_arm_with_another_dose_gets_its_members_one_by_one(plan, request_of):
    planned = plan(request_of([(1.0, 1.0)] * 7 + [(2.0, 0.5)]))
    cocktails = [s for s in planned.worklist.steps if s.to_labware == "arms" and s.comment.startswith("cocktail of")]
    singles = [s for s in planned.worklist.steps if s.to_labware == "arms" and s.comment.startswith("SCF for")]
    if any("SCF" in s.comment for s in cocktails):
        assert (len(cocktails), len(singles)) == (7, 1)
    else:
        assert (len(cocktails), len(singles)) == (8, 8)


def test_arms_that_share_nothing_have_no_cocktail(plan, request_of):
    assert not shares_a_cocktail(plan(request_of([(1.0, 1.0)])))


def dose(name, amounts, diluent="base"):
    limits = tuple(300.0 for _ in amounts)
    return Dose(name, 100.0, tuple(amounts), limits, CostModel(rim_ul=RIM_UL), diluent)


@settings(max_examples=15, **SAME)
@given(
    n=st.integers(2, 24),
    tables=st.lists(
        st.lists(st.sampled_from([0.5, 1.0, 1.0, 1.0, 2.0]), min_size=24, max_size=24), min_size=2, max_size=5
    ),
)
def test_a_cocktail_is_taken_only_where_it_costs_less(n, tables):
    doses = [dose(f"c{k}", [37.5 * factor for factor in table[:n]]) for k, table in enumerate(tables)]
    planner = ArmDosePlanner((1500.0,) * n, 5.0, 1400.0, 30.0)
    alone, shared = planner.plan(doses, may_share=False), planner.plan(doses)

    def eur(made):
        """Stock at 1 EUR/µL; 0.15 a tip, 0.20 a tube, 0.50 a minute, 0.4 min a move or mix (docs/decisions/0018)."""
        stock = sum(chain.stock_ul for chain in made.chains.values())
        tubes = sum(len(chain.dilutions) for chain in made.chains.values()) + len(made.cocktails)
        given = [one.volumes_ul for one in (*made.chains.values(), *made.cocktails)]
        doses = sum(volume > 0 for volumes in given for volume in volumes)
        tips = sum(any(volumes) for volumes in given) + 2 * tubes
        return stock + 0.2 * (doses + 3 * tubes) + 0.2 * tubes + 0.15 * tips

    assert eur(shared) < eur(alone) if shared.cocktails else shared == alone
    for index in range(n):
        for k, table in enumerate(tables):
            chain = shared.chains[f"c{k}"]
            given = chain.volumes_ul[index] * chain.per_ul
            for one in shared.cocktails:
                if f"c{k}" in one.components:
                    given += one.volumes_ul[index] * chain.volumes_ul[-1] * chain.per_ul / one.total_ul
            assert given == pytest.approx(37.5 * table[index], rel=5e-3)
    for one in shared.cocktails:
        drawn = sum(one.volumes_ul)
        assert drawn + 30 <= one.total_ul
        assert all(volume == 0 or volume >= RIM_UL for volume in one.volumes_ul)


def test_components_with_different_diluents_never_share(plan):
    doses = [dose("a", [37.5] * 8), dose("b", [37.5] * 8, "HSA buffer")]
    assert ArmDosePlanner((1500.0,) * 8, 5.0, 1400.0, 30.0).plan(doses).cocktails == ()


def buffered(lots, **more):
    return [lot.model_copy(update=more) if lot.component == "IL-7" else lot for lot in lots]


def test_a_dose_is_diluted_in_the_carrier_of_its_lot(plan, request_of, lots, lot_of, stocks_of, catalogue):
    inventory = stocks_of((*buffered(lots, diluent="HSA buffer"), lot_of("HSA buffer", "100 % v/v")))
    planned = plan(request_of([(1.0, 1.0), (2.0, 1.0), (1.0, 2.0)]), inventory)
    worklist = planned.worklist
    stands = next(f for f in worklist.fillings if f.liquid.name == "HSA buffer")
    poured = [s for s in worklist.steps if s.comment == "diluent for IL-7"]
    assert poured
    assert {(s.labware, s.well) for s in poured} == {(stands.labware, stands.well)}
    assert any(note.startswith("IL-7 is pre-diluted") and note.endswith("in HSA buffer.") for note in planned.notes)
    assert "HSA buffer" in {use.component for use in planned.lots}
    for spot, held in wells_of(worklist, catalogue).items():
        if spot[0] == "culture":
            assert 0 < held["HSA buffer"][0] <= 0.021
            assert held["IL-7"][0] == pytest.approx(0.025, rel=5e-3)


def test_mixtures_too_small_for_their_carriers_are_made_with_base_medium(plan, request_of, lots, lot_of, stocks_of):
    small = [
        lot.model_copy(update={"diluent": "HSA buffer"}) if lot.component in {"IL-7", "IL-6"} else lot for lot in lots
    ]
    inventory = stocks_of((*small, lot_of("HSA buffer", "100 % v/v")))
    planned = plan(request_of([(1.0, 1.0), (2.0, 1.0)], add_ul=(250.0,)), inventory)
    assert any("too small for doses in a carrier" in note for note in planned.notes)
    assert "HSA buffer" not in {use.component for use in planned.lots}


def test_base_medium_stands_in_for_a_carrier_that_is_not_there_and_that_is_said(plan, request_of, lots, stocks_of):
    planned = plan(request_of([(1.0, 1.0), (2.0, 1.0)]), stocks_of(buffered(lots, diluent="HSA buffer")))
    assert any("IL-7 would be diluted in HSA buffer, as the certificate says; no lot of it can be used" in note
               for note in planned.notes)  # fmt: skip
    assert any(
        note.startswith("IL-7 is pre-diluted") and note.endswith("in the prepared base medium.")
        for note in planned.notes
    )


@pytest.mark.parametrize(
    ("limit", "refused"), [pytest.param("0.1 % v/v", False, id="within"), pytest.param("0.01 % v/v", True, id="beyond")]
)
def test_what_stock_buffers_bring_into_an_arm_is_limited(plan, request_of, recipe, lots, stocks_of, limit, refused):
    limits = (CarryOverLimit(substance="DMSO", limit=limit, source="s"),)
    limited = recipe.model_copy(update={"carry_over": limits})
    inventory = stocks_of(buffered(lots, buffer={"DMSO": Amount.parse("100 % v/v")}))
    request = request_of([(1.0, 1.0), (2.0, 1.0)], of=limited)
    if refused:
        with pytest.raises(PlanError, match=r"A1 \(reference/U1\): DMSO would be 0.025 % v/v .* from lot LOT-IL-7"):
            plan(request, inventory)
    else:
        known = request.model_copy(update={"base": request.base.model_copy(update={"brought": ()})})
        assert plan(known, inventory).warnings == ()


def test_chains_are_chosen_again_when_the_cheapest_are_too_inaccurate(plan, request_of):
    factors = [(1.0, 1.0), (2.0, 1.0), (1.0, 2.0)]
    cheapest = plan(request_of(factors))
    worst = max(row.bias_percent for arm in cheapest.arms for row in arm.rows if row.bias_percent is not None)
    limits = ErrorLimits(cv_percent=5, bias_percent=worst - 1.5)
    better = plan(request_of(factors, error_limits=limits))
    told = [row.bias_percent for arm in better.arms for row in arm.rows if row.bias_percent is not None]
    assert max(told) <= limits.bias_percent
    with pytest.raises(PlanError, match=r"(?s)systematic error.* is allowed"):
        plan(request_of(factors, error_limits=ErrorLimits(cv_percent=5, bias_percent=0.2)))
