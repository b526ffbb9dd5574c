"""A campaign grows the recipe's controls and gives the vector to the others, from counts and what the plate holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.assays.measurements import CellCount
from nkloop.errors import PlanError
from nkloop.quantities import Amount
from nkloop.recipes import load_recipe
from nkloop.recipes.models import Recipe
from nkloop.runs.campaign import begin_round, grown_arms, open_campaign, start_culture
from nkloop.runs.costs import batch_cost, way_cost
from nkloop.runs.culture import PLATE, Culture
from nkloop.runs.process_steps import additions_of, plan_step
from nkloop.runs.session import Session
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist

from .conftest import Journalled

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def transduced() -> Recipe:
    return load_recipe(ROOT / "recipes" / "ucb-nk-transduced.yaml")


def grown(culture: Culture) -> Worklist:
    """A run after which every culture well holds 1.5 mL."""
    medium = Liquid(name="medium", per_ul={"GBGM": 0.9})
    return Worklist(
        name="seed",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(DeckItem(nickname="culture", slot="D2", load_name=PLATE, barcode=culture.barcode),),
        fillings=tuple(Filling(labware="culture", well=w, volume_ul=1500, liquid=medium) for w in culture.wells),
        steps=(Step(number=1, action="delay", seconds=1),),
    )


def count(well: str, viable: float = 6e5) -> CellCount:
    return CellCount(
        barcode="C", well=well, viable_per_ml=viable / 1.5, viability_percent=90, purity_percent=0, volume_ml=1.5
    )


async def culture_of(session: Session, recipe: Recipe) -> tuple[Culture, list[str]]:
    campaign = await open_campaign(session, "car", recipe, n_arms=2, seed=1)
    round_ = await begin_round(session, campaign, ["U1"])
    arms = grown_arms(session, round_)
    assert [arm.name for arm in round_.arms] == ["reference", "arm-1-1"]
    culture = await start_culture(session, "car", round_, 1)
    return culture, [arm.name for arm in arms]


async def test_the_product_gets_the_vector_and_the_control_is_grown_beside_it(
    session: Session, transduced: Recipe, journalled: Journalled
) -> None:
    culture, names = await culture_of(session, transduced)
    assert names == ["reference", "arm-1-1", "untransduced"]
    assert {position.arm for position in culture.positions} == set(names)
    journalled(grown(culture))
    ((stage, step),) = additions_of(transduced)
    assert (stage, step.id, step.day) == ("expansion_ii", "vector", 10)
    round_ = session.records.campaigns.rounds("car")[-1]
    counts = {well: count(well) for well in culture.wells}
    plan = await plan_step(session, transduced, stage, step, culture, counts, grown_arms(session, round_))
    # 6e5 cells × 5 TU/cell of a lot with 1e8 TU/mL
    assert {(one.arm, one.stock_ul) for one in plan.additions} == {
        ("reference", 30.0), ("arm-1-1", 30.0), ("untransduced", 0.0),
    }  # fmt: skip
    assert {one.volume_ul for one in plan.additions} == {30.0}
    (control,) = [p.well for p in culture.positions if p.arm == "untransduced"]
    assert plan.without == (control,)
    with pytest.raises(PlanError, match="has no viable cells counted"):
        await plan_step(session, transduced, stage, step, culture, {}, grown_arms(session, round_))


def test_an_arm_of_the_recipe_costs_its_media_and_its_steps(session: Session, transduced: Recipe) -> None:
    volumes = {"expansion_ii": Amount(300, "mL")}
    product, control = transduced.arms
    inventory = session.inventory
    media = batch_cost(transduced, volumes, inventory)
    with_vector = way_cost(transduced, product, volumes, {"vector": 5e7}, inventory)
    price = next(lot for lot in inventory.lots if lot.component == "CAR vector").cost_eur(1.0)
    assert price is not None
    assert with_vector.cost_eur - media.cost_eur == pytest.approx(5 * 5e7 / 1e5 * price)
    assert way_cost(transduced, control, volumes, {"vector": 5e7}, inventory).cost_eur == pytest.approx(media.cost_eur)
    assert "CAR vector" in way_cost(transduced, product, volumes, {}, inventory).without_price
