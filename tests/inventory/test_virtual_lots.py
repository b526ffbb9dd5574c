"""The lot list of the virtual bench covers what the shipped recipes and the killing assay need."""

from datetime import date
from pathlib import Path

import pytest

from nkloop.inventory import Inventory
from nkloop.quantities import Kind
from nkloop.recipes import load_recipe

ROOT = Path(__file__).parents[2]
LOTS = ROOT / "devices" / "lots" / "virtual.yaml"
ASSAY = ["assay medium", "LDH lysis buffer 10x", "LDH substrate", "LDH stop solution", "PBS"]
LIQUIDS = ["GBGM", "human serum", *ASSAY]
CYTOKINES = ["SCF", "Flt3L", "TPO", "IL-7", "IL-15", "IL-2", "GM-CSF", "G-CSF", "IL-6", "LIF", "MIP-1a"]


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return Inventory.load(LOTS)


def test_it_lists_what_is_needed(inventory: Inventory) -> None:
    recipes = [load_recipe(path) for path in sorted((ROOT / "recipes").glob("*.yaml"))]
    dosed = {entry.component for recipe in recipes for stage in recipe.stages for entry in stage.medium.ingredients}
    assert dosed <= set(inventory.components)
    assert set(LIQUIDS) <= set(inventory.components)


@pytest.mark.parametrize("component", LIQUIDS)
def test_liquids_are_themselves(inventory: Inventory, component: str) -> None:
    chosen = inventory.choose(component, 100_000.0, date(2027, 6, 30))
    assert chosen.strength(Kind.FRACTION) == 1.0


@pytest.mark.parametrize("component", CYTOKINES)
def test_cytokines_are_stocks_of_100_micrograms_per_millilitre(inventory: Inventory, component: str) -> None:
    chosen = inventory.choose(component, 1000.0, date(2027, 6, 30))
    assert chosen.strength(Kind.MASS_CONCENTRATION) == 100.0
    assert chosen.is_frozen
    assert chosen.max_freeze_thaws == 1


def test_interleukin_2_has_a_certificate(inventory: Inventory) -> None:
    assert inventory.choose("IL-2", 1.0, date(2027, 6, 30)).strength(Kind.ACTIVITY_CONCENTRATION) == pytest.approx(1640)


def test_every_lot_has_a_price_and_says_that_it_is_an_estimate(inventory: Inventory) -> None:
    assert all(lot.price_eur and "estimate" in lot.note for lot in inventory.lots)
    assert all("unverified" in lot.catalogue_number for lot in inventory.lots)
    assert all(date(2027, 1, 1) <= lot.expires <= date(2028, 12, 31) for lot in inventory.lots)


@pytest.mark.parametrize("component", ["IL-4", "IL-1b", "TNFa"])
def test_a_carrier_is_at_hand_for_what_is_diluted_in_one(inventory: Inventory, component: str) -> None:
    carrier = inventory.choose(component, 1.0, date(2027, 6, 30)).diluent
    assert carrier == "HSA buffer"
    assert inventory.choose(carrier, 1000.0, date(2027, 6, 30)).strength(Kind.FRACTION) == 1.0
