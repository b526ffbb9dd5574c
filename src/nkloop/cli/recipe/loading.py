"""Recipes as commands name them: a file of the workspace, any file, or a revision in the records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import find_workspace

if TYPE_CHECKING:
    from nkloop.recipes.models import Recipe

Name = Annotated[
    str,
    typer.Argument(help="File name in recipes/ without .yaml, a revision id such as ucb-nk@1a2b, or a path to a YAML."),
]


def load(name: str, workspace: Path) -> Recipe:
    """The recipe a person named.

    Raises:
        RecipeError: there is no such recipe, or it is not one.
        RecordError: the revision is not recorded.
    """
    from nkloop.errors import RecipeError
    from nkloop.recipes import load_recipe
    from nkloop.records import Records

    if name.endswith((".yaml", ".yml")):
        return load_recipe(Path(name))
    found = find_workspace(workspace)
    path = found.recipes / f"{name}.yaml"
    if path.is_file():
        return load_recipe(path)
    if "@" not in name:
        known = ", ".join(sorted(p.stem for p in found.recipes.glob("*.yaml"))) or "none"
        raise RecipeError(f"there is no recipe '{name}'", where=str(found.recipes), remedy=f"use one of: {known}")
    records = Records.open(found.state)
    try:
        return records.campaigns.revision(name)
    finally:
        records.close()
