"""Components are told in the units their recipe or plan asks for, a vector by its titre."""

from __future__ import annotations

from pathlib import Path

from nkloop.quantities import Kind
from nkloop.recipes import load_recipe
from nkloop.worklists.component_kinds import kinds_of_recipe, kinds_of_rows
from nkloop.worklists.composition import composition_row

ROOT = Path(__file__).parents[2]


def test_a_recipe_tells_what_its_components_are_measured_in():
    kinds = kinds_of_recipe(load_recipe(ROOT / "recipes" / "ucb-nk-transduced.yaml"))
    assert kinds["SCF"] is Kind.MASS_CONCENTRATION
    assert kinds["IL-2"] is Kind.ACTIVITY_CONCENTRATION
    assert kinds["human serum"] is Kind.FRACTION
    # asked for per cell, held by a liquid as a titre
    assert kinds["CAR vector"] is Kind.TITRE


def test_rows_of_a_plan_tell_the_same():
    units = {"CAR vector": "TU/cell", "IL-2": "IU/mL", "SCF": "ng/mL"}
    rows = [
        composition_row("A1", name, target=1, expected=1, unit=unit, share=1, error=None)
        for name, unit in units.items()
    ]
    assert kinds_of_rows(rows) == {
        "CAR vector": Kind.TITRE, "IL-2": Kind.ACTIVITY_CONCENTRATION, "SCF": Kind.MASS_CONCENTRATION,
    }  # fmt: skip
