"""`nkloop recipe schema`, `import` and `export`: recipes between editors, spreadsheets and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nkloop.cli.common import (
    JsonFlag,
    OutOption,
    WorkspaceOption,
    find_workspace,
    give_schema,
    print_json,
    write_file,
)
from nkloop.cli.recipe.loading import Name, load


def schema(out: OutOption = None) -> None:
    """Write the JSON Schema with which an editor completes and checks a recipe file."""
    from nkloop.recipes.schema import schema_text

    give_schema(schema_text(), out, beside="a recipe")


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX, YAML or JSON of a recipe.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the file in recipes/; the recipe's id if not given.")
    ] = None,
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of a workbook; the first if not given.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over a recipe of that name; its comments stay.")
    ] = False,
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Check a recipe from a spreadsheet or a YAML file and write it into recipes/."""
    from nkloop.errors import RecipeError
    from nkloop.recipes import load_recipe, save_recipe
    from nkloop.recipes.spreadsheet import recipe_from_table

    is_yaml = file.suffix.lower() in {".yaml", ".yml"}
    is_text = is_yaml or file.suffix.lower() == ".json"  # JSON is YAML too
    recipe = load_recipe(file) if is_text else recipe_from_table(*_grid(file, sheet))
    path = find_workspace(workspace).recipes / f"{name or recipe.id}.yaml"
    if path.exists() and not replace:
        raise RecipeError(
            f"there is a recipe {path.name} already", where=str(path), remedy="use --name NAME, or --replace"
        )
    save_recipe(recipe, path, like=path if path.exists() else file if is_yaml else None)
    if json_output:
        print_json({"revision": recipe.revision_id, "file": str(path)})
    else:
        typer.echo(f"{recipe.revision_id} written to {path}")


def export(
    name: Name,
    out: Annotated[Path | None, typer.Option("--out", help="File: .csv, .xlsx, .yaml or .json.")] = None,
    form: Annotated[
        Literal["csv", "xlsx", "yaml", "json"] | None,
        typer.Option("--format", help="Taken from the file's ending if not given."),
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write a recipe as a table (CSV, XLSX) or as text (YAML, JSON); `import` reads the same content back."""
    import json

    from nkloop.errors import RecipeError
    from nkloop.recipes.spreadsheet import csv_text, xlsx_bytes
    from nkloop.recipes.writing import to_yaml

    recipe = load(name, workspace)
    ending = form or (out.suffix.lower().removeprefix(".") if out else "csv")
    if ending == "xlsx":
        if out is None:
            raise RecipeError(
                "a workbook cannot be shown on the screen", where="--out", remedy="name a file with --out"
            )
        write_file(out, xlsx_bytes(recipe))
    else:
        written = {
            "csv": lambda: csv_text(recipe),
            "yaml": lambda: to_yaml(recipe),
            "yml": lambda: to_yaml(recipe),
            "json": lambda: json.dumps(recipe.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n",
        }
        if ending not in written:
            raise RecipeError(
                f"'{ending}' is no format", where="--out", remedy="end the file in .csv, .xlsx, .yaml or .json"
            )
        if out is None:
            typer.echo(written[ending](), nl=False)
            return
        write_file(out, written[ending]())
    typer.echo(f"{recipe.revision_id} written to {out}")


def _grid(file: Path, sheet: str | None) -> tuple[str, tuple[str, ...], tuple[tuple[int, tuple[object, ...]], ...]]:
    from nkloop.assays.table_cells import read_grid

    grid = read_grid(file, sheet)
    return grid.source, grid.header, grid.rows
