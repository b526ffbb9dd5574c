"""Components of a lot list that are written otherwise than a recipe writes them, so that no plan would find the lot."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from nkloop.errors import Problem, RecipeError
from nkloop.inventory import Inventory
from nkloop.recipes import load_recipe
from nkloop.recipes.files import recipe_files
from nkloop.worklists.plans import CytotoxicityRequest
from nkloop.workspace import Workspace
from nkloop.yamlfile import load_yaml

_ASSAY_LIQUIDS = ("assay_medium", "lysis_buffer", "substrate", "stop_solution")
_WORD = re.compile(r"[a-z]{5,}")
"""A word of a language; of short names and acronyms a neighbour is another substance, as M-CSF is of GM-CSF."""
_NEAR = 0.8


def misspelt_components(listed: Inventory, path: Path, workspace: Workspace) -> tuple[Problem, ...]:
    """A problem for each lot whose component no recipe and no assay has, and which is a slip of one they have.

    Args:
        listed: as it was read.
        path: its file, for the lines.
        workspace: whose recipes are looked at; one that cannot be read is told where it is checked itself.
    """
    known = known_components(workspace)
    found = []
    for index, lot in enumerate(listed.lots):
        meant = meant_component(lot.component, known)
        if meant:
            told = f"component '{lot.component}' is in no recipe, so no plan takes lot {lot.id}"
            found.append(Problem(told, _where(path, index, lot.id), f"did you mean '{meant}'?"))
    return tuple(found)


def known_components(workspace: Workspace) -> frozenset[str]:
    """Names of what the recipes of a workspace and the killing assay take out of lots."""
    names = {str(CytotoxicityRequest.model_fields[name].default) for name in _ASSAY_LIQUIDS}
    for path in recipe_files(workspace.recipes):
        try:
            names.update(component.name for component in load_recipe(path).components)
        except RecipeError:
            continue
    return frozenset(names)


def meant_component(name: str, known: Iterable[str]) -> str:
    """The known name of which another one is a slip; empty when it is known, or may be a substance of its own."""
    names = sorted(known)
    return "" if name in names else next((one for one in names if _same_letters(name, one) or _slip(name, one)), "")


def _same_letters(name: str, known: str) -> bool:
    """Whether two names differ in case, blanks, hyphens or the order of letters alone."""
    if re.findall(r"\d+", name) != re.findall(r"\d+", known):
        return False
    letters = [re.sub(r"[^a-z0-9]", "", one.lower()) for one in (name, known)]
    return letters[0] == letters[1] or (len(letters[0]) > 2 and sorted(letters[0]) == sorted(letters[1]))


def _slip(name: str, known: str) -> bool:
    """Whether two names of as many words differ in one word of a language, and there by little."""
    pairs = list(zip(name.lower().split(), known.lower().split(), strict=False))
    other = [(one, two) for one, two in pairs if one != two]
    if len(name.split()) != len(known.split()) or len(other) != 1:
        return False
    one, two = other[0]
    near = difflib.SequenceMatcher(None, one, two).ratio() >= _NEAR
    return near and bool(_WORD.fullmatch(one) and _WORD.fullmatch(two))


def _where(path: Path, index: int, lot_id: str) -> str:
    if path.suffix.lower() not in {".yaml", ".yml"}:
        return f"{path}: lot {lot_id}"
    return f"{load_yaml(path)[1].where(('lots', index, 'component'))}: lots.{lot_id}.component"
