"""The recipe that ships is the published one, says so, and keeps its hash however it is written."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import RecipeError
from nkloop.quantities import Amount
from nkloop.recipes import Recipe, check_recipe, find_recipe, list_recipes, load_recipe, recipe_files, save_recipe
from nkloop.recipes.writing import to_yaml


def test_stages_follow_the_published_days(recipe: Recipe) -> None:
    assert [(s.id, s.start_day, s.end_day) for s in recipe.stages] == [
        ("expansion_i", 0, 9),
        ("expansion_ii", 9, 14),
        ("differentiation", 14, 35),
    ]
    assert [s.feeding_days() for s in recipe.stages] == [(0, 3, 6), (9, 12), (14, 17.5, 21, 24.5, 28, 31.5)]


@pytest.mark.parametrize(
    ("stage", "component", "amount"),
    [
        ("expansion_i", "TPO", "25 ng/mL"),
        ("expansion_i", "heparin", "25 µg/mL"),
        ("expansion_i", "GM-CSF", "10 pg/mL"),
        ("expansion_i", "MIP-1a", "200 pg/mL"),
        ("expansion_i", "IL-15", None),
        ("expansion_ii", "TPO", None),
        ("expansion_ii", "IL-15", "20 ng/mL"),
        ("differentiation", "GBGM", "98 % v/v"),
        ("differentiation", "human serum", "2 % v/v"),
        ("differentiation", "IL-2", "1000 IU/mL"),
        ("differentiation", "SCF", "20 ng/mL"),
        ("differentiation", "heparin", None),
    ],
)
def test_amounts_are_the_published_ones(recipe: Recipe, stage: str, component: str, amount: str | None) -> None:
    found = recipe.stage(stage).medium.amount_of(component)
    assert found == (Amount.parse(amount, substance=component) if amount else None)


def test_nothing_claims_to_be_verified(recipe: Recipe) -> None:
    ingredients = [i for s in recipe.stages for i in s.medium.ingredients]
    assert len(ingredients) == 33
    assert all(i.verified_by is None for i in ingredients)
    assert all("unverified" in source.note for source in recipe.sources.values())


def test_the_loop_has_at_most_eight_factors_inside_its_bounds(recipe: Recipe) -> None:
    assert [entry.key for entry in recipe.loop.vary] == [
        "SCF@expansion_i+expansion_ii",
        "Flt3L@expansion_i+expansion_ii",
        "TPO@expansion_i",
        "IL-7@expansion_i+expansion_ii",
        "SCF@differentiation",
        "IL-7@differentiation",
        "IL-15@expansion_ii+differentiation",
        "IL-2@differentiation",
    ]
    assert {(e.lowest_factor, e.highest_factor) for e in recipe.loop.vary} == {(0.25, 4.0)}
    assert (recipe.loop.max_step_factor, recipe.loop.max_components_changed) == (2.0, 3)


def test_a_saved_recipe_reads_back_with_its_hash(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "new" / "copy.yaml"
    save_recipe(recipe, path)
    again = load_recipe(path)
    assert again == recipe
    assert again.content_hash == recipe.content_hash
    assert [p.name for p in path.parent.iterdir()] == ["copy.yaml"]
    assert to_yaml(again) == path.read_text(encoding="utf-8")
    assert "- {component: SCF, amount: 25 ng/mL, source: spanholtz-2011, verified_by: null}" in to_yaml(again)


def test_formatting_does_not_change_the_hash(recipe: Recipe, shipped_text: str, tmp_path: Path) -> None:
    rewritten = "\n".join(line for line in shipped_text.splitlines() if not line.lstrip().startswith("#"))
    rewritten = rewritten.replace("25 ng/mL", '"25.0 ng/ml"').replace("10 % v/v", "10% v/v").replace("1e5", "100000")
    path = tmp_path / "other.yaml"
    path.write_text(rewritten.replace("µg", "ug").replace("status: published", "status: approved"), encoding="utf-8")
    again = load_recipe(path)
    assert again.content_hash == recipe.content_hash
    assert again.revision.status == "approved"


def test_a_changed_amount_changes_the_hash(recipe: Recipe, shipped_text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(shipped_text.replace("component: TPO, amount: 25 ng/mL", "component: TPO, amount: 26 ng/mL"))
    assert load_recipe(path).content_hash != recipe.content_hash


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=80))
def test_any_title_survives_the_file(tmp_path: Path, title: str) -> None:
    changed = load_recipe(Path(__file__).with_name("small.yaml")).model_copy(update={"title": title})
    save_recipe(changed, tmp_path / "r.yaml")
    assert load_recipe(tmp_path / "r.yaml") == changed


def test_recipes_are_found_by_name(recipe: Recipe, tmp_path: Path) -> None:
    save_recipe(recipe, tmp_path / "ucb-nk.yaml")
    (tmp_path / "notes.txt").write_text("no recipe")
    assert [p.name for p in recipe_files(tmp_path)] == ["ucb-nk.yaml"]
    assert list_recipes(tmp_path) == (recipe,)
    assert find_recipe(tmp_path, "ucb-nk") == recipe
    with pytest.raises(RecipeError, match=r"no recipe 'ucb-kn', there are: ucb-nk. Remedy: did you mean 'ucb-nk'"):
        find_recipe(tmp_path, "ucb-kn")


def test_a_folder_tells_the_problems_of_all_its_files(recipe: Recipe, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save_recipe(recipe, tmp_path / f"{name}.yaml")
    (tmp_path / "a.yaml").write_text("")
    (tmp_path / "c.yaml").write_text("- 1")
    with pytest.raises(RecipeError, match=r"a.yaml:1:1: the file is empty(.|\n)*c.yaml:1:1: the file holds a list"):
        list_recipes(tmp_path)


def test_a_recipe_that_cannot_be_written_says_so(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecipeError, match="cannot be written"):
        save_recipe(recipe, tmp_path / "file" / "r.yaml")


def test_a_recipe_in_memory_is_checked_too(recipe: Recipe) -> None:
    assert check_recipe(recipe) == ()
    fewer = recipe.model_copy(update={"components": tuple(c for c in recipe.components if c.name != "IL-2")})
    problems = check_recipe(fewer)
    assert {p.where for p in problems} == {
        "stages.differentiation.medium.additives.IL-2.component",
        "loop.vary.IL-2.component",
    }
    assert all("unknown component 'IL-2'" in p.message for p in problems)
