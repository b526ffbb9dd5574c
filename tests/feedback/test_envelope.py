"""Hard bounds hold for everything, whoever chose it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nkloop.errors import FeedbackError
from nkloop.feedback.designs import candidates, first_round, tidy, to_factors, to_point
from nkloop.feedback.envelope import Envelope
from nkloop.quantities import Amount
from nkloop.recipes.models import Recipe


@pytest.fixture(scope="session")
def envelope(recipe: Recipe) -> Envelope:
    return Envelope.of(recipe)


def test_bounds_are_the_tightest_of_range_step_and_plausibility(recipe: Recipe, envelope: Envelope) -> None:
    # bounds 0.25 to 4, step 2: the step is tighter unless a plausible range is tighter still
    for bound in envelope.bounds:
        assert 0.5 <= bound.lowest <= 1 <= bound.highest <= 2
    varied = recipe.loop.vary[0]
    amount = recipe.stage(varied.stages[0]).medium.amount_of(varied.component)
    assert amount is not None
    plausible = (amount.scaled(0.9), amount.scaled(1.25))
    tight = tuple(
        c.model_copy(update={"plausible": plausible}) if c.name == varied.component else c for c in recipe.components
    )
    bound = Envelope.of(recipe.model_copy(update={"components": tight})).bounds[0]
    assert (bound.lowest, bound.highest) == (pytest.approx(0.9045), pytest.approx(1.2437))
    assert bound.highest_because == f"plausible range in {varied.stages[0]}"


def test_a_concentration_at_the_edge_of_plausible_may_stay(recipe: Recipe) -> None:
    varied = recipe.loop.vary[0]
    amounts = [recipe.stage(s).medium.amount_of(varied.component) for s in varied.stages]
    top = max((a for a in amounts if a), key=lambda a: a.canonical)
    tight = tuple(
        c.model_copy(update={"plausible": (Amount(0.001, "pg/mL"), top)}) if c.name == varied.component else c
        for c in recipe.components
    )
    assert Envelope.of(recipe.model_copy(update={"components": tight})).bounds[0].highest == 1.0


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        pytest.param({0: 2.5}, r"factor 2.5 of .+ is above 2 \(max_step_factor\)", id="too_high"),
        pytest.param({0: 0.4}, r"factor 0.4 of .+ is below 0.5 \(max_step_factor\)", id="too_low"),
        pytest.param({0: float("nan")}, "must be a number above 0", id="nan"),
        pytest.param({0: -1.0}, "must be a number above 0", id="negative"),
        pytest.param({0: 1.1, 1: 1.1, 2: 1.1, 3: 1.1}, "4 components changed .+ at most 3", id="too_many"),
    ],
)
def test_factors_outside_are_refused_with_component_value_and_bound(
    factors: dict[int, float], message: str, envelope: Envelope
) -> None:
    with pytest.raises(FeedbackError, match=message) as caught:
        envelope.check({envelope.keys[i]: value for i, value in factors.items()}, where="manual arm")
    assert all(p.where == "manual arm" and p.remedy for p in caught.value.problems)


def test_all_problems_are_named_at_once(envelope: Envelope) -> None:
    with pytest.raises(FeedbackError) as caught:
        envelope.check({"serum@everywhere": 1.0, envelope.keys[0]: 3.0, envelope.keys[1]: 0.1}, where="arm")
    assert len(caught.value.problems) == 3


def test_a_component_varied_where_it_is_not_is_refused(recipe: Recipe) -> None:
    varied = recipe.loop.vary[0].model_copy(update={"component": "IL-2", "stages": ("expansion_i",)})
    loop = recipe.loop.model_copy(update={"vary": (varied,)})
    with pytest.raises(FeedbackError, match="IL-2 is varied in stage expansion_i, whose medium does not contain it"):
        Envelope.of(recipe.model_copy(update={"loop": loop}))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
def test_first_round_is_legal_distinct_and_balanced(seed: int, n: int, envelope: Envelope) -> None:
    points = first_round(envelope, n, np.random.default_rng(seed))
    for point in points:
        envelope.check(to_factors(envelope, point), where="arm")
    assert len({tuple(p) for p in points} | {(0.0,) * points.shape[1]}) == n + 1
    times_changed = (points != 0).sum(axis=0)
    assert times_changed.max() - times_changed.min() <= 1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_candidates_are_legal_and_distinct(seed: int, envelope: Envelope) -> None:
    chance = np.random.default_rng(seed)
    seeds = list(first_round(envelope, 3, chance))
    points = candidates(envelope, seeds, 90, chance)
    assert len(np.unique(points, axis=0)) == len(points)
    for point in points:
        envelope.check(to_factors(envelope, point), where="arm")


@given(values=st.lists(st.floats(-3, 3), min_size=8, max_size=8))
def test_tidy_points_are_stable_and_survive_factors(values: list[float], envelope: Envelope) -> None:
    (point,) = tidy(envelope, np.array([values]))
    assert tidy(envelope, point[None, :])[0] == pytest.approx(point, abs=1e-9)
    assert to_point(envelope, to_factors(envelope, point)) == pytest.approx(point, abs=1e-5)


def test_no_room_for_distinct_arms(recipe: Recipe) -> None:
    vary = (recipe.loop.vary[0].model_copy(update={"lowest_factor": 1.0, "highest_factor": 1.0}),)
    narrow = Envelope.of(recipe.model_copy(update={"loop": recipe.loop.model_copy(update={"vary": vary})}))
    with pytest.raises(FeedbackError, match="no room for 2 distinct arms"):
        first_round(narrow, 2, np.random.default_rng(0))
