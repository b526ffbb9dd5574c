"""A campaign on the published recipe, and a world whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nkloop.feedback import Campaign, observe
from nkloop.feedback.designs import to_point
from nkloop.feedback.models import Observation, Round
from nkloop.recipes import load_recipe
from nkloop.recipes.models import Recipe

Truth = Callable[[np.ndarray], float]
Measure = Callable[..., list[Observation]]


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe(Path(__file__).parents[2] / "recipes" / "ucb-nk.yaml")


@pytest.fixture
def campaign(recipe: Recipe) -> Campaign:
    return Campaign(recipe, n_arms=6, seed=1, name="test")


@pytest.fixture(scope="session")
def measure() -> Measure:
    """`measure(campaign, round, truth, seed, noise)`: one observation per arm and donor, donors spread by SD 0.5."""

    def observed(
        campaign: Campaign,
        made: Round,
        truth: Truth = lambda x: 0.0,
        *,
        seed: int = 0,
        noise: float = 0.1,
        viability: Truth = lambda x: 90.0,
    ) -> list[Observation]:
        chance = np.random.default_rng([seed, made.number])
        rows = []
        for donor in made.donors:
            level = 3.0 + 0.5 * chance.standard_normal()
            for arm in made.arms:
                x = to_point(campaign.envelope, arm.factors)
                rows.append(
                    observe(
                        campaign.recipe,
                        round_number=made.number,
                        arm=arm.name,
                        donor=donor,
                        factors=arm.factors,
                        log10_fold=level + truth(x) + noise * chance.standard_normal(),
                        viability_percent=viability(x),
                        purity_percent=90,
                        potency=0.5,
                        plate=f"plate-{made.number}-{donor}",
                        plate_verdict="accepted",
                    )
                )
        return rows

    return observed
