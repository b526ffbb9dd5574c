"""What media, arms, batches and plans cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.feedback import Envelope
from nkloop.feedback.models import Arm
from nkloop.inventory import Inventory
from nkloop.quantities import Amount
from nkloop.recipes.models import Recipe
from nkloop.runs.costs import arm_cost, batch_cost, cost_factor, medium_cost, plan_cost
from nkloop.runs.session import Session
from nkloop.worklists.lots import LotUse

IL15 = "IL-15@expansion_ii+differentiation"
TPO = "TPO@expansion_i"


def arm(recipe: Recipe, **factors: float) -> Arm:
    return Arm(name="arm-1-1", factors=Envelope.of(recipe).complete(factors), origin="exploration")


def test_the_reference_costs_one(recipe: Recipe, session: Session) -> None:
    assert cost_factor(recipe, arm(recipe), session.inventory) == pytest.approx(1.0)


def test_everything_doubled_costs_two(recipe: Recipe, session: Session) -> None:
    doubled = {entry.key: 2.0 for entry in recipe.loop.vary}
    assert cost_factor(recipe, arm(recipe, **doubled), session.inventory) == pytest.approx(2.0)


@given(factor=st.floats(0.25, 4))
def test_a_component_counts_with_its_price_amount_and_stages(recipe: Recipe, factor: float) -> None:
    """With equal prices per mg the share of a component is its share of the mass over all stages."""
    inventory = equal_prices(("TPO", "IL-15"))
    tpo, il15 = 25.0, 20.0 + 20.0
    expected = (tpo + factor * il15) / (tpo + il15)
    assert cost_factor(recipe, arm(recipe, **{IL15: factor}), inventory) == pytest.approx(expected)


def test_components_without_a_price_do_not_count(recipe: Recipe) -> None:
    assert cost_factor(recipe, arm(recipe, **{IL15: 4.0}), equal_prices(("TPO",))) == pytest.approx(1.0)
    assert cost_factor(recipe, arm(recipe, **{TPO: 4.0}), equal_prices(("TPO",))) == pytest.approx(4.0)
    assert cost_factor(recipe, arm(recipe, **{TPO: 4.0}), equal_prices(())) == 1.0


def test_an_activity_without_a_certificate_has_no_price(recipe: Recipe, session: Session) -> None:
    il2 = "IL-2@differentiation"
    without = equal_prices(("IL-2", "TPO"))
    assert cost_factor(recipe, arm(recipe, **{il2: 4.0}), without) == pytest.approx(1.0)
    assert cost_factor(recipe, arm(recipe, **{il2: 4.0}), session.inventory) > 1.0


def test_a_medium_costs_what_its_components_do(recipe: Recipe) -> None:
    """100 mL with 25 ng/mL of TPO hold 2.5 µg; 100 µg of the lot cost 1000 EUR."""
    cost = medium_cost(recipe, "expansion_i", Amount(100, "mL"), equal_prices(("TPO",)))
    assert cost.eur_per_component == {"TPO": pytest.approx(25.0)}
    assert {"GBGM", "SCF", "IL-7"} <= set(cost.without_price)
    assert "TPO" not in cost.without_price
    assert cost.cost_eur == pytest.approx(25.0)


def test_a_shipped_medium_has_all_its_prices(recipe: Recipe, session: Session) -> None:
    cost = medium_cost(recipe, "expansion_i", Amount(1, "L"), session.inventory)
    assert cost.without_price == ()
    assert cost.eur_per_component["SCF"] == pytest.approx(250)


def test_an_arm_costs_more_only_where_it_is_varied(recipe: Recipe) -> None:
    prices = equal_prices(("TPO", "IL-15"))
    volumes = {"expansion_i": Amount(10, "mL"), "expansion_ii": Amount(10, "mL")}
    plain, varied = (arm_cost(recipe, arm(recipe, **{TPO: factor}), volumes, prices) for factor in (1.0, 3.0))
    assert plain == batch_cost(recipe, volumes, prices)
    assert varied.eur_per_component["TPO"] == pytest.approx(3 * plain.eur_per_component["TPO"])
    assert varied.eur_per_component["IL-15"] == pytest.approx(plain.eur_per_component["IL-15"])
    assert varied.volume_ul == 20_000


def test_a_plan_costs_what_leaves_its_lots() -> None:
    uses = [
        LotUse(component="TPO", lot="LOT-TPO", volume_ul=60, drawn_ul=25),
        LotUse(component="TPO", lot="LOT-TPO", volume_ul=40, drawn_ul=5),
    ]
    assert plan_cost(equal_prices(("TPO",)), uses).eur == pytest.approx(100)


def equal_prices(components: tuple[str, ...]) -> Inventory:
    lots = [
        {
            "id": f"LOT-{name}", "component": name, "lot_number": "1", "supplier": "test", "concentration": "100 µg/mL",
            "volume": "1 mL", "expires": "2027-01-01", "price_eur": 1000,
        }
        for name in components
    ]  # fmt: skip
    return Inventory.model_validate({"lots": lots})
