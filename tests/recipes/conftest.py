"""The shipped recipe, as a file and as text to break."""

from pathlib import Path

import pytest

from nkloop.recipes import Recipe, load_recipe

SHIPPED = Path(__file__).parents[2] / "recipes" / "ucb-nk.yaml"


@pytest.fixture(scope="session")
def shipped_text() -> str:
    return SHIPPED.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe(SHIPPED)


@pytest.fixture(scope="session", params=["ucb-nk", "ucb-dc", "ucb-nk-transduced"])
def any_recipe(request: pytest.FixtureRequest) -> Recipe:
    return load_recipe(SHIPPED.with_stem(request.param))
