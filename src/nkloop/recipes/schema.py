"""The JSON Schema of a recipe file, so that an editor completes, explains and checks while somebody writes."""

from __future__ import annotations

from typing import Any

from nkloop.recipes.models import Recipe
from nkloop.yamlfile.schema import as_text, editor_schema

FILE_NAME = "recipe.schema.json"
"""Name beside the recipes; their first line points to it."""


def recipe_schema() -> dict[str, Any]:
    """The schema of a recipe file; what spans several fields is told by `nkloop check`."""
    return editor_schema(Recipe, "Culture recipe")


def schema_text() -> str:
    """The schema as the text of its file."""
    return as_text(recipe_schema())
