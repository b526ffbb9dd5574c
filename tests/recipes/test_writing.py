"""Writing into a recipe file keeps its comments; tables and schema carry the whole recipe."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from nkloop.quantities import Amount
from nkloop.recipes import Recipe, apply_factors, load_recipe, save_recipe
from nkloop.recipes.compare import compare
from nkloop.recipes.description import described
from nkloop.recipes.files import parent_file
from nkloop.recipes.measured import QUANTITIES
from nkloop.recipes.models import Quantity
from nkloop.recipes.schema import FILE_NAME, recipe_schema, schema_text
from nkloop.recipes.writing import SCHEMA_LINE, rewritten, to_yaml
from nkloop.yamlfile import load_yaml

FOLDER = Path(__file__).parents[2] / "recipes"
EDITS = [
    ("component: TPO, amount: 25 ng/mL", "component: TPO, amount: 30 ng/mL"),
    ("shelf_life: 7 d", "shelf_life: 5 d"),
    ("low: 10, high: 60", "low: 12, high: 50"),
    ("day: 6, volume: 0.3 mL", "day: 6, volume: 0.4 mL"),
    ("every: 3.5 d", "every: 3 d"),
    ("max_step_factor: 2", "max_step_factor: 3"),
]


def comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)


def test_a_proposed_revision_keeps_every_comment_of_its_parent(recipe: Recipe, tmp_path: Path) -> None:
    parent = tmp_path / "ucb-nk.yaml"
    parent.write_text((FOLDER / "ucb-nk.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    child = apply_factors(recipe, {"TPO@expansion_i": 1.5}, reason="more cells", source="campaign-1")
    save_recipe(child, tmp_path / "child.yaml", like=parent_file(tmp_path, child))
    text = (tmp_path / "child.yaml").read_text(encoding="utf-8")
    assert load_recipe(tmp_path / "child.yaml") == child
    assert comments(text) == comments(parent.read_text(encoding="utf-8"))
    changed = set(text.splitlines()) - set(parent.read_text(encoding="utf-8").splitlines())
    assert "        - {component: TPO, amount: 37.5 ng/mL, source: campaign-1, verified_by: null}" in changed
    assert len(changed) < 12


@pytest.mark.parametrize(("old", "new"), EDITS, ids=[new for _, new in EDITS])
def test_a_changed_value_is_the_only_changed_line(
    recipe: Recipe, shipped_text: str, tmp_path: Path, old: str, new: str
) -> None:
    edited = tmp_path / "edited.yaml"
    edited.write_text(shipped_text.replace(old, new, 1), encoding="utf-8")
    wanted = load_recipe(edited)
    assert wanted != recipe
    assert rewritten(shipped_text, recipe, wanted) == edited.read_text(encoding="utf-8")


def test_entries_come_and_go_with_the_comments_of_their_neighbours(recipe: Recipe, shipped_text: str) -> None:
    stage = recipe.stages[0]
    fewer = tuple(i for i in stage.medium.additives if i.component not in {"LIF", "TPO"})
    extra = stage.medium.additives[-1].model_copy(update={"component": "IL-15", "amount": Amount(20, "ng/mL")})
    medium = stage.medium.model_copy(update={"additives": (*fewer, extra)})
    changed = recipe.model_copy(update={"stages": (stage.model_copy(update={"medium": medium}), *recipe.stages[1:])})
    text = rewritten(shipped_text, recipe, changed)
    assert "# high-dose cytokines" in text
    assert "- {component: IL-15, amount: 20 ng/mL, source: spanholtz-2011, verified_by: null}" in text
    assert set(comments(shipped_text)) - set(comments(text)) == set()


def test_a_recipe_written_anew_reads_back(any_recipe: Recipe, tmp_path: Path) -> None:
    save_recipe(any_recipe, tmp_path / "r.yaml")
    assert load_recipe(tmp_path / "r.yaml") == any_recipe
    assert to_yaml(any_recipe).startswith(f"# {SCHEMA_LINE}\n")


def test_the_shipped_schema_is_the_one_of_the_model() -> None:
    assert (FOLDER / FILE_NAME).read_text(encoding="utf-8") == schema_text()
    Draft7Validator.check_schema(recipe_schema())


def test_an_editor_accepts_the_shipped_recipes_and_knows_its_schema(any_recipe: Recipe) -> None:
    path = FOLDER / f"{any_recipe.id}.yaml"
    data, _ = load_yaml(path)
    Draft7Validator(recipe_schema()).validate(data)
    assert path.read_text(encoding="utf-8").startswith(f"# {SCHEMA_LINE}\n")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("product",), "B", id="product"),
        pytest.param(("colour",), "red", id="unknown_field"),
        pytest.param(("stages", 0, "seeding_density"), "1e5 cells", id="wrong_kind"),
        pytest.param(("stages", 0, "medium", "base", "amount"), "90", id="no_unit"),
        pytest.param(("stages", 0, "medium", "additives", 0, "amount"), "1000 U/mL", id="bare_u"),
        pytest.param(("stages", 0, "medium", "additives", 0, "amount"), "2,5 ng/mL", id="comma"),
        pytest.param(("stages", 0, "vessel", "kind"), "bucket", id="vessel"),
        pytest.param(("stages", 0, "vessel", "volume"), ["1 mL"], id="one_sided_range"),
        pytest.param(("stages", 0, "expected", 0, "quantity"), "fold", id="quantity"),
        pytest.param(("stages", 0, "start_day"), "first", id="day"),
        pytest.param(("stages", 0, "sampling", 0, "measures"), [], id="measures_nothing"),
        pytest.param(("components", 0, "role"), "poison", id="role"),
    ],
)
def test_an_editor_marks_what_is_broken(path: tuple[Any, ...], value: Any) -> None:
    data, _ = load_yaml(FOLDER / "ucb-nk.yaml")
    inside = data
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    found = list(Draft7Validator(recipe_schema()).iter_errors(data))
    assert found
    assert any(
        tuple(error.absolute_path)[: len(path) - 1] == path[:-1][: len(tuple(error.absolute_path))] for error in found
    )


def test_the_schema_explains_fields_and_offers_words() -> None:
    definitions = recipe_schema()["definitions"]
    assert "people take" not in json.dumps(definitions)
    assert definitions["Ingredient"]["properties"]["amount"]["description"].startswith("Final concentration")
    assert "bag" in definitions["Vessel"]["properties"]["kind"]["enum"]
    assert definitions["Medium"]["properties"]["shelf_life"]["default"] == "7 d"


def test_every_quantity_has_a_title_and_a_unit() -> None:
    assert set(QUANTITIES) == set(Quantity.__args__)  # type: ignore[attr-defined]


def test_a_diff_tells_stages_fields_and_factors(recipe: Recipe) -> None:
    dc = load_recipe(FOLDER / "ucb-dc.yaml")
    found = compare(recipe, dc)
    assert found.stages_added == ("expansion", "maturation")
    assert found.stages_removed == ("expansion_i", "expansion_ii")
    gm_csf = next(row for row in found.amounts if (row.stage, row.component) == ("differentiation", "GM-CSF"))
    assert gm_csf.factor == pytest.approx(1e4)
    fields = {field.field: field for field in found.fields}
    assert fields["differentiation.seeding_density"].factor == pytest.approx(0.2)
    assert fields["differentiation.vessel.kind"].after == "bag"
    assert fields["differentiation.refresh.every"].before == "3.5 d"
    assert not any(name.startswith(("expansion_i.", "maturation.")) for name in fields)


def test_a_diff_tells_limits_steps_and_arms(recipe: Recipe) -> None:
    fields = {f.field: f for f in compare(recipe, load_recipe(FOLDER / "ucb-nk-transduced.yaml")).fields}
    assert "amount 5 TU/cell" in (fields["expansion_ii.process.vector"].after or "")
    assert fields["arms.untransduced"].before is None
    assert fields["differentiation.exit.vector_copies_per_cell"].after is not None
    assert compare(recipe, recipe).is_empty


def test_the_whole_recipe_is_described(any_recipe: Recipe) -> None:
    text = described(any_recipe)
    for stage in any_recipe.stages:
        assert stage.vessel.words in text
        assert all(component.component in text for component in stage.medium.ingredients)
        assert all(control.action in text for control in stage.controls)
    assert all(arm.title in text for arm in any_recipe.arms)
    assert "values are unverified" in text
