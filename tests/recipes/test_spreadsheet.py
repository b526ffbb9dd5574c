"""A recipe as a table: what is written comes back exactly, and every bad row is named."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.assays.table_cells import read_grid
from nkloop.errors import RecipeError
from nkloop.recipes import Recipe
from nkloop.recipes.spreadsheet import BLOCKS, COLUMNS, csv_text, recipe_from_table, table_rows, xlsx_bytes

FOLDER = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_table_reads_back_exactly(any_recipe: Recipe, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"r.{ending}"
    path.write_bytes(xlsx_bytes(any_recipe) if ending == "xlsx" else csv_text(any_recipe).encode())
    grid = read_grid(path)
    again = recipe_from_table(grid.source, grid.header, grid.rows)
    assert again == any_recipe
    assert again.content_hash == any_recipe.content_hash


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    title=st.text(alphabet=st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=40).filter(str.strip),
    day=st.floats(min_value=0.5, max_value=8.75),
    fold=st.floats(min_value=1, max_value=1e6),
)
def test_any_title_and_number_survives_the_table(recipe: Recipe, title: str, day: float, fold: float) -> None:
    stage = recipe.stages[0]
    sample = stage.sampling[0].model_copy(update={"day": day})
    expected = stage.expected[0].model_copy(update={"low": 0.0, "high": fold})
    stage = stage.model_copy(
        update={"sampling": (sample,), "controls": (), "expected": (expected,), "entry": (), "exit": ()}
    )
    changed = recipe.model_copy(update={"title": title, "stages": (stage, *recipe.stages[1:])})
    rows = [tuple(row) for row in csv.reader(io.StringIO(csv_text(changed)))]
    again = recipe_from_table("t.csv", rows[0], list(enumerate(rows[1:], start=2)))
    assert again == changed


def broken(recipe: Recipe, edit: dict[str, str], where: tuple[str, str, str]) -> list[tuple[int, tuple[object, ...]]]:
    rows = [list(row) for row in table_rows(recipe)]
    for row in rows:
        if (row[0], row[2], row[3]) == where:
            for name, value in edit.items():
                row[COLUMNS.index(name)] = value
            break
    return [(line, tuple(row)) for line, row in enumerate(rows, start=2)]


SCF = ("ingredient", "SCF", "amount")


@pytest.mark.parametrize(
    ("edit", "where", "match"),
    [
        pytest.param(
            {"value": "25"}, SCF, r"t.csv:\d+:5: stages.expansion_i.*SCF.amount: 25 is not an amount", id="no_unit"
        ),
        pytest.param({"value": "2,5 ng/mL"}, SCF, r"t.csv:\d+:5: .*comma between digits", id="comma"),
        pytest.param({"value": "25 pg/mL"}, SCF, r"t.csv:\d+:5: .*outside its plausible range", id="slip"),
        pytest.param({"source": "me"}, SCF, r"t.csv:\d+:6: .*unknown source 'me'", id="source"),
        pytest.param(
            {"block": "ingredints"}, SCF, r"t.csv:\d+:1: block 'ingredints' is not known.*mean 'ingredient'", id="block"
        ),
        pytest.param({"stage": ""}, SCF, r"t.csv:\d+:2: a row of block ingredient names no stage", id="stage"),
        pytest.param({"item": ""}, SCF, r"t.csv:\d+:3: .*names no item", id="item"),
        pytest.param({"field": ""}, SCF, r"t.csv:\d+:4: the row names no field", id="field"),
        pytest.param({"field": "amnt"}, SCF, r"t.csv:\d+:5: .*field 'amnt' is not known here", id="unknown_field"),
        pytest.param({"item": "Flt3L"}, SCF, r"amount stands twice for the same item", id="twice"),
        pytest.param({"value": ""}, SCF, r"field 'amount' is missing", id="empty"),
    ],
)
def test_a_broken_row_is_named(recipe: Recipe, edit: dict[str, str], where: tuple[str, str, str], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        recipe_from_table("t.csv", COLUMNS, broken(recipe, edit, where))


def test_a_table_without_its_columns_is_refused() -> None:
    with pytest.raises(RecipeError, match="column block, stage, item, field, value is missing"):
        recipe_from_table("t.csv", ("a", "b"), [])


def test_the_table_page_names_every_block() -> None:
    page = (FOLDER.parent / "docs" / "reference" / "recipe-table.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*BLOCKS, *COLUMNS))
