"""Broken recipe files: the first line of each is the message it must give."""

from pathlib import Path

import pytest

from nkloop.errors import RecipeError
from nkloop.recipes import load_recipe

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))


def test_the_recipe_they_are_made_from_is_sound() -> None:
    assert load_recipe(HERE / "small.yaml").id == "small"


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 25


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_with_its_message(path: Path) -> None:
    wanted = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# refused: ")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert wanted in str(caught.value)
    for problem in caught.value.problems:
        assert problem.where.startswith(f"{path}:")
        assert problem.remedy
