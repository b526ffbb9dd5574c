"""Recipe files: YAML in, YAML out."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

from nkloop.errors import Problem, RecipeError
from nkloop.recipes.checks import find_problems
from nkloop.recipes.models import Recipe
from nkloop.yamlfile import validate_yaml
from nkloop.yamlfile.problems import did_you_mean

_ONE_LINE = frozenset({"components", "additives", "expected", "vary", "base", "refresh"})
"""Blocks that are written on one line, or one line per entry."""
_LAST = ("source", "verified_by")


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe file.

    Raises:
        RecipeError: with every problem of the file, each with line, column, value, bound and remedy.
    """
    return validate_yaml(Recipe, path, RecipeError, check=find_problems)


def recipe_files(folder: Path) -> tuple[Path, ...]:
    """The recipe files of a folder, by name."""
    return tuple(sorted(p for p in folder.glob("*.y*ml") if p.suffix in {".yaml", ".yml"} and p.is_file()))


def list_recipes(folder: Path) -> tuple[Recipe, ...]:
    """All recipes of a folder, by file name.

    Raises:
        RecipeError: with every problem of every file that does not describe a recipe.
    """
    recipes: list[Recipe] = []
    problems: list[Problem] = []
    for path in recipe_files(folder):
        try:
            recipes.append(load_recipe(path))
        except RecipeError as error:
            problems += error.problems
    if problems:
        raise RecipeError.from_problems(problems)
    return tuple(recipes)


def find_recipe(folder: Path, name: str) -> Recipe:
    """Load a recipe by the name of its file without ending.

    Raises:
        RecipeError: there is no such file, or it does not describe a recipe.
    """
    files = {path.stem: path for path in recipe_files(folder)}
    if name not in files:
        raise RecipeError(
            f"no recipe '{name}', there are: {', '.join(files) or 'none'}",
            where=str(folder),
            remedy=did_you_mean(name, files) or "name a file of this folder without its ending",
        )
    return load_recipe(files[name])


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as YAML in the order of the model; the file is complete or untouched.

    Raises:
        RecipeError: the file cannot be written.
    """
    text = to_yaml(recipe)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(draft).chmod(0o644)
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise RecipeError(
            f"cannot be written: {error.strerror or error}", where=str(path), remedy="check the folder"
        ) from error


def to_yaml(recipe: Recipe) -> str:
    """The YAML text of a recipe."""
    from ruamel.yaml import YAML  # needed only when a file is written

    yaml = YAML()
    yaml.width = 240
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = _laid_out(recipe.model_dump(mode="json"))
    data.yaml_set_start_comment(
        f"Culture recipe {recipe.revision_id}: revision {recipe.revision.number}, {recipe.revision.status}.\n"
        "Values without verified_by are copies that nobody has checked against their source."
    )
    for block in ("sources", "components", "stages", "loop", "revision"):
        data.yaml_set_comment_before_after_key(block, before="\n")
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def _laid_out(value: Any) -> Any:
    """Plain data as ruamel containers; lists of plain values and short blocks on one line, whole floats as integers."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, dict):
        ordered = sorted(value, key=lambda key: key in _LAST)  # stable: the value first, then where it is from
        block = CommentedMap((key, _laid_out(value[key])) for key in ordered)
        for key in _ONE_LINE & value.keys():
            inner = block[key]
            for entry in inner if isinstance(inner, list) else (inner,):
                if isinstance(entry, CommentedMap):
                    entry.fa.set_flow_style()
        return block
    if isinstance(value, list):
        items = CommentedSeq(_laid_out(item) for item in value)
        if all(not isinstance(item, dict | list) for item in value):
            items.fa.set_flow_style()
        return items
    return int(value) if isinstance(value, float) and value.is_integer() else value
