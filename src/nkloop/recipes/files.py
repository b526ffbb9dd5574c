"""Recipe files: YAML in, YAML out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from nkloop.errors import Problem, RecipeError
from nkloop.recipes.checks import find_problems
from nkloop.recipes.models import Recipe
from nkloop.recipes.writing import rewritten, to_yaml
from nkloop.yamlfile import load_yaml, validate_yaml
from nkloop.yamlfile.problems import did_you_mean


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


def save_recipe(recipe: Recipe, path: Path, *, like: Path | None = None) -> None:
    """Write a recipe as YAML; the file is complete or untouched.

    Comments, order and layout of `like` (a recipe file; the file itself when it is there) stay, and only what differs
    is written anew.

    Raises:
        RecipeError: the file cannot be written.
    """
    text = _text_like(recipe, like or path)
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


def parent_file(folder: Path, recipe: Recipe) -> Path | None:
    """The file of a folder that holds the parent revision, else the one named after the recipe, if there is one."""
    named = None
    for path in recipe_files(folder):
        try:
            found = load_recipe(path)
        except RecipeError:
            continue  # a broken neighbour is told by whoever reads it
        if found.revision_id == recipe.revision.parent:
            return path
        if path.stem == recipe.id:
            named = path
    return named


def twin_problems(path: Path, recipe: Recipe) -> tuple[Problem, ...]:
    """Another file of the folder that holds the same revision of the same recipe, as a copy with its id unchanged does.

    Told of the file that is not named after its recipe. Files of other revisions may share an id.
    """
    if path.stem in {recipe.id, f"{recipe.id}-r{recipe.revision.number}"}:
        return ()
    for other in recipe_files(path.parent):
        if other.name == path.name:
            continue
        try:
            found = load_recipe(other)
        except RecipeError:
            continue  # a broken neighbour is told by whoever reads it
        if (found.id, found.revision.number) == (recipe.id, recipe.revision.number):
            line, column = load_yaml(path)[1].of(("id",))
            told = f"revision {recipe.revision.number} of recipe '{recipe.id}' is in {other.name} as well"
            remedy = f"give this one an id of its own, such as {path.stem}, or remove one of them"
            return (Problem(told, f"{path}:{line}:{column}: id", remedy),)
    return ()


def _text_like(recipe: Recipe, model: Path) -> str:
    try:
        old = load_recipe(model)
        text = rewritten(model.read_text(encoding="utf-8-sig"), old, recipe)
    except (RecipeError, OSError):
        return to_yaml(recipe)  # nothing readable to keep comments of
    return text
