from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.worklists import dilution
from nkloop.worklists.chain_cost import CostModel, Prices
from nkloop.worklists.dilution import concentration_problems, plan_chain

LIMITS = {"minimum_ul": 5.0, "tube_ul": 1400.0, "dead_ul": 30.0}
STOCK = 100.0
"""100 µg/mL in ng/µL."""
ML_100 = 100_000.0


@pytest.mark.parametrize(
    ("per_ml_pg", "factors", "volume"),
    [(25_000, [], 25.0), (250, [100], 25.0), (50, [100], 5.0), (10, [100, 100], 100.0)],
)
def test_the_published_low_doses_in_100_ml(per_ml_pg, factors, volume):
    amount = per_ml_pg * 1e-6 * ML_100
    chain = plan_chain("x", STOCK, [amount], **LIMITS)
    assert [step.factor for step in chain.dilutions] == factors
    assert chain.volumes_ul == pytest.approx((volume,))
    assert chain.per_ul * sum(chain.volumes_ul) == pytest.approx(amount)


def test_one_dilution_serves_many_destinations():
    amounts = [12.5, 50.0, 200.0, 0.0]
    chain = plan_chain("SCF", STOCK, amounts, **LIMITS)
    assert len(chain.dilutions) == 1
    assert [volume * chain.per_ul for volume in chain.volumes_ul] == pytest.approx(amounts, rel=2e-3)
    assert chain.dilutions[0].total_ul >= sum(chain.volumes_ul) + LIMITS["dead_ul"]


@pytest.mark.parametrize("amount", [0.0005, 1.0, 500.0, 1e5])
def test_factors_that_cannot_serve_are_not_tried(amount, monkeypatch):
    """Four dilutions of seven factors each are 2801 choices; what a beginning shows is not asked of each of them."""
    tried, real = [], dilution._Search.try_factors
    monkeypatch.setattr(
        dilution._Search, "try_factors", lambda self, factors: real(self, tried.append(factors) or factors)
    )
    plan_chain("counted", STOCK, [amount], **LIMITS, limits_ul=[1500.0])
    assert 0 < len(tried) < 300


def test_a_chain_that_is_asked_for_again_is_remembered_for_the_same_costs(deck, monkeypatch):
    searched, real = [], dilution._Search.may_gain
    monkeypatch.setattr(dilution._Search, "may_gain", lambda self, steps: real(self, searched.append(self) or steps))

    def ask(price, component="again"):
        cost = CostModel(deck, Prices(stock=price))
        return plan_chain(component, STOCK, [0.37, 41.3], **LIMITS, cost=cost)

    first = ask(1.25)
    n_steps = len(searched)
    assert n_steps > 0
    assert ask(1.25) == first
    assert len(searched) == n_steps
    ask(2.5)
    ask(1.25, "another")
    assert len(set(searched)) == 3


def test_what_has_no_chain_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(PlanError, match=r"no dilution of SCF \(lot L-9\)"):
            plan_chain("SCF", STOCK, [1e9], **LIMITS, limits_ul=[1500.0], stock="lot L-9")


def test_nothing_wanted_needs_nothing():
    chain = plan_chain("SCF", STOCK, [0.0, 0.0], **LIMITS)
    assert chain.volumes_ul == (0.0, 0.0)
    assert chain.stock_ul == 0


SPAN = [0.01, 100.0]


def test_doses_too_far_apart_for_one_tube_are_drawn_from_several():
    chain = plan_chain("SCF", STOCK, SPAN, **LIMITS, limits_ul=[1000, 10])
    assert len(chain.tapped) == 2
    assert chain.amounts == pytest.approx(SPAN, rel=2e-3)
    assert chain.volumes_ul[1] <= 10
    assert "1 dose from 1:" in chain.drawn_words


@pytest.mark.parametrize(
    ("limits", "tapped"),
    [pytest.param([1000, 10], False, id="one tube for all"), pytest.param([1000, 4.9], True, id="no room for a dose")],
)
def test_doses_that_no_tube_serves_are_refused_with_the_remedy(limits, tapped):
    with pytest.raises(PlanError, match=r"no dilution of SCF .* Remedy: use a stock of another concentration"):
        plan_chain("SCF", STOCK, SPAN, **{**LIMITS, "tube_ul": 500.0}, limits_ul=limits, may_tap=tapped)


@pytest.mark.parametrize(
    ("stock_per_ul", "told"),
    [
        pytest.param(0.1e-3, r"lot L-1, 100 pg/mL\) gives doses of at least 5 µL .*the one destination takes 26.2 mL "
                     r"of it. Remedy: check its strength \(1000 times as much would fit\)", id="slip of the unit"),
        pytest.param(1e-9, r"takes 2620 L of it. Remedy: use a stock of another", id="no slip explains it"),
    ],
)  # fmt: skip
def test_a_stock_too_weak_is_told_with_its_lot_and_volumes(stock_per_ul, told):
    with pytest.raises(PlanError, match=told):
        plan_chain("SCF", stock_per_ul, [2.625], **LIMITS, limits_ul=[1500], stock="lot L-1, 100 pg/mL")


def test_a_destination_takes_no_more_than_its_limit():
    wide = plan_chain("SCF", STOCK, [3.0, 60.0], **LIMITS)
    narrow = plan_chain("SCF", STOCK, [3.0, 60.0], **LIMITS, limits_ul=[100, 200])
    assert sum(narrow.volumes_ul) <= sum(wide.volumes_ul)
    assert narrow.volumes_ul[1] <= 200


@given(
    stock=st.floats(min_value=1, max_value=1000),
    amounts=st.lists(st.floats(min_value=1e-3, max_value=1e4), min_size=1, max_size=8),
)
@settings(max_examples=25, deadline=None)
def test_a_chain_gives_what_is_wanted_with_volumes_a_pipette_can_do(stock, amounts):
    try:
        chain = plan_chain("x", stock, amounts, **LIMITS)
    except PlanError:
        assume(False)
        return
    assert min(chain.volumes_ul) >= 5 - 1e-9
    assert chain.amounts == pytest.approx(amounts, rel=3e-3)
    previous = None
    for level, step in enumerate(chain.dilutions):
        assert step.take_ul >= 5
        assert step.diluent_ul >= 5
        assert step.total_ul <= 1400 + 1e-6
        if previous is not None:
            assert step.take_ul + sum(chain.drawn(level)) + 30 <= previous.total_ul + 1e-6
        previous = step
    if previous is not None:
        assert sum(chain.drawn(len(chain.dilutions))) + 30 <= previous.total_ul + 1e-6


def test_fewest_steps_come_before_least_stock():
    direct = plan_chain("x", STOCK, [500.0], **LIMITS)
    assert direct.dilutions == ()
    assert direct.stock_ul == pytest.approx(5)


def test_a_tenfold_slip_is_named_as_such():
    rows = [("a", 10.0, 100.0), ("b", 10.0, 1.0), ("c", 10.0, 12.0), ("d", 10.0, 10.2), ("e", 10.0, 0.0)]
    told = dict(concentration_problems(rows, 5.0))
    assert "factor of 10: a dilution step or a unit" in told["a"]
    assert "factor of 10" in told["b"]
    assert told["c"] == "c is +20.0 % off target (allowed ± 5 %)"
    assert not list(concentration_problems([("a", 0.1, 0.095), ("b", 1.1, 1.155)], 5))
    assert "d" not in told
    assert told["e"] == "e is absent"
