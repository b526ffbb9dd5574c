"""Tips, robot time and stock of 24 arms × 8 cytokines, against one single-channel transfer with a new tip per dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from nkloop.drivers.bench import load_bench_file
from nkloop.feedback.models import Arm
from nkloop.inventory import Inventory
from nkloop.inventory.models import Lot
from nkloop.labware import Catalogue
from nkloop.recipes import load_recipe
from nkloop.recipes.models import Ingredient, Recipe, VariedComponent
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import Spot, Supply, WorklistBuilder
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.dosing_event import BASE, CULTURE
from nkloop.worklists.dosing_request import targets_of, varied_ingredients
from nkloop.worklists.duration import estimate_minutes
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.mixtures import Made, Mixture, MixtureMaker
from nkloop.worklists.models import Liquid, Target, Worklist
from nkloop.worklists.plans import DosingPlan, DosingRequest, MediumSource, WellFeeding
from nkloop.worklists.positions import assign_positions
from nkloop.worklists.stock_deck import StockDeck
from nkloop.worklists.strength import stock_per_ul
from nkloop.workspace import Workspace
from stopwatch import show_machine, show_ratio

STAGE, PLATE, TROUGH = "expansion_i", "corning_24_wellplate_3.4ml_flat", "nest_1_reservoir_195ml"
DOSES = dict.fromkeys(("SCF", "Flt3L", "TPO", "IL-7", "IL-15", "IL-6", "LIF"), "25 ng/mL") | {"IL-2": "1000 IU/mL"}
"""Eight cytokines at doses of the ng/mL range; some are not in this stage's medium and stand in for others."""
N_ARMS, WELL_UL = 24, 1500.0
SOME = 3
"""As many components as a revision may change."""
USE_UNTIL = date(2026, 12, 1)


def main() -> None:
    """Plan the same feedings twice and print the ratios: arms that vary all cytokines, and arms that share most.

    What the arms share is dosed, then brought by the base medium, against one transfer and tip per dose of all eight.
    """
    show_machine()
    compare(len(DOSES))
    compare(SOME)
    compare(SOME, in_base=tuple(DOSES)[SOME:])


def compare(n_varied: int, in_base: tuple[str, ...] = ()) -> None:
    """Arms that vary so many cytokines, ours against one transfer and tip per dose."""
    workspace = Workspace.find(Path(__file__))
    file = load_bench_file(workspace.devices / "virtual.yaml")
    inventory = Inventory.load(workspace.devices / file.lots)
    catalogue = Catalogue.load(workspace.labware)
    whole = _request(load_recipe(workspace.recipes / "ucb-nk.yaml"), catalogue, n_varied)
    request = _with_base(whole, in_base)
    plan = plan_dosing(request, inventory, file.deck, catalogue)
    lots = {name: next(lot for lot in inventory.lots if lot.component == name) for name in DOSES}
    lots |= {use.component: next(lot for lot in inventory.lots if lot.id == use.lot) for use in plan.lots}
    plain = one_tip_per_dose(whole, lots, file.deck, catalogue)
    ours = [part.worklist for part in plan.parts]
    for worklist in (plain, *ours):
        assert check_ledger(worklist, catalogue, file.deck).passed, worklist.name
    tips = sum(step.channels for one in ours for step in one.steps if step.tip)
    plain_tips = sum(step.channels for step in plain.steps if step.tip)
    minutes = sum(estimate_minutes(one, file.deck) for one in ours)
    varied = f"{n_varied} of them varied, {len(in_base)} in the base medium, parts: {len(ours)}"
    print(f"{N_ARMS} arms x {len(DOSES)} cytokines in {N_ARMS} wells of {WELL_UL:g} µL, {varied}")
    for note in (one for one in plan.notes if "are mixed once" in one):
        print(note)
    print(f"tips: {tips} against {plain_tips}")
    show_ratio("  tips", plain_tips, tips, wanted=3)
    plain_minutes = estimate_minutes(plain, file.deck)
    print(f"robot time: {minutes:.1f} min against {plain_minutes:.1f} min")
    show_ratio("  robot time", plain_minutes, minutes, wanted=2)
    _show_stock(request, plan, lots, catalogue)


def _request(recipe: Recipe, catalogue: Catalogue, n_varied: int) -> DosingRequest:
    changed = with_eight(recipe)
    chance = np.random.default_rng(1)
    keys = [f"{name}@{STAGE}" for name in DOSES]
    arms = [Arm(name="reference", factors=dict.fromkeys(keys, 1.0), origin="reference")]
    for number in range(1, N_ARMS):
        some = {key: float(chance.choice([0.5, 0.71, 1.0, 1.41, 2.0])) for key in keys[:n_varied]}
        factors = dict.fromkeys(keys, 1.0) | some
        arms.append(Arm(name=f"arm-1-{number}", factors=factors, origin="exploration"))
    positions = assign_positions(arms, ("U1",), catalogue[PLATE], 1)
    medium = changed.stage(STAGE).medium
    base = {i.component: i.amount.of(i.component).canonical for i in medium.ingredients if i.component not in DOSES}
    return DosingRequest(
        name="24 arms",
        recipe=changed,
        stage_id=STAGE,
        arms=tuple(arms),
        plate_barcode="P-1",
        plate_load_name=PLATE,
        wells=tuple(WellFeeding(**p.model_dump(), add_ul=WELL_UL) for p in positions),
        base=MediumSource(barcode="M-1", load_name=TROUGH, well="A1", per_ul=base, volume_ul=80_000),
        use_until=USE_UNTIL,
        seed=1,
    )


def _with_base(request: DosingRequest, in_base: tuple[str, ...]) -> DosingRequest:
    """The request with a base medium that brings some of the cytokines."""
    medium = request.recipe.stage(STAGE).medium
    more = {i.component: i.amount.of(i.component).canonical for i in medium.ingredients if i.component in in_base}
    base = request.base.model_copy(update={"per_ul": {**request.base.per_ul, **more}})
    return request.model_copy(update={"base": base, "in_base": in_base})


def with_eight(recipe: Recipe) -> Recipe:
    """The recipe with eight cytokines in one stage, all of them varied."""
    stage = recipe.stage(STAGE)
    source = stage.medium.base.source
    kept = [i for i in stage.medium.additives if i.component not in DOSES]
    doses = [
        Ingredient.model_validate({"component": name, "amount": amount, "source": source})
        for name, amount in DOSES.items()
    ]
    medium = stage.medium.model_copy(update={"additives": (*kept, *doses)})
    stages = tuple(s.model_copy(update={"medium": medium}) if s.id == STAGE else s for s in recipe.stages)
    vary = tuple(VariedComponent(component=name, stages=(STAGE,)) for name in DOSES)
    loop = recipe.loop.model_copy(update={"vary": vary, "max_components_changed": len(DOSES)})
    return recipe.model_copy(update={"stages": stages, "loop": loop})


class _NewTipPerDose(MixtureMaker):
    """The same tubes and dilutions; every pour and every dose is one transfer with a new tip, mixed."""

    def _pour_base(self, volumes: Sequence[float]) -> None:
        for made, volume in zip(self.made, volumes, strict=True):
            self.builder.transfer(self.base, made.spot, volume, comment=f"base for {made.mixture.name}")

    def _dose(self, stocks: StockDeck, component: str) -> None:
        for source, volumes in stocks.give(component):
            self._give(source, volumes, component)

    def _give(self, source: Spot | Supply, volumes: Sequence[float], component: str) -> None:
        for made, volume in zip(self.made, volumes, strict=True):
            if volume > 0:
                self.builder.transfer(source, made.spot, volume, each_fresh=True, mix_after=2, comment=component)


def one_tip_per_dose(
    request: DosingRequest, lots: Mapping[str, Lot], deck: BenchDeck, catalogue: Catalogue
) -> Worklist:
    """What a person would write without thinking of tips: one transfer with a new tip for each dose."""
    builder = WorklistBuilder("one tip per dose", "cytokine_dosing", deck, catalogue)
    builder.place(CULTURE, request.plate_load_name, "Culture plate", barcode=request.plate_barcode)
    builder.place(BASE, request.base.load_name, "Base medium", barcode=request.base.barcode)
    liquid = Liquid(name="base medium", per_ul=request.base.per_ul, lot="prepared:M-1:A1")
    builder.fill((BASE, "A1"), request.base.volume_ul, liquid)
    ingredients = varied_ingredients(request)
    arms = {arm.name: arm for arm in request.arms}
    base = request.recipe.stage(STAGE).medium.base.component
    maker = _NewTipPerDose(builder, (BASE, "A1"), base, ingredients, lots, may_share=False)
    mixtures = [
        Mixture(w.arm, w.arm, targets_of(request.recipe, STAGE, arms[w.arm], ingredients), w.add_ul)
        for w in request.wells
    ]
    maker.place(mixtures, nickname="arms", label="Arm media", kinds=("nest_96_wellplate_2ml_deep",))
    maker.make(request.base.volume_ul, request.base.barcode)
    for made, well in zip(maker.made, request.wells, strict=True):
        builder.mix(made.spot, 10, comment=f"mix {well.arm}")
        builder.transfer(made.spot, (CULTURE, well.well), well.add_ul, fresh=False, comment=f"feed {well.well}")
    return builder.build(
        targets=[_target(made, name, per_ul) for made in maker.made for name, per_ul in made.mixture.per_ul.items()]
    )


def _target(made: Made, component: str, per_ul: float) -> Target:
    return Target(labware=made.spot[0], well=made.spot[1], component=component, per_ul=per_ul)


def _show_stock(request: DosingRequest, plan: DosingPlan, lots: Mapping[str, Lot], catalogue: Catalogue) -> None:
    """Stock put on the deck against 1.2 times what the wells hold at the end plus the dead volume of its tube."""
    dead = catalogue["opentrons_24_aluminumblock_nest_1.5ml_snapcap"].dead_volume_ul
    wanted = {i.component: i.amount for i in varied_ingredients(request)}
    worst = 0.0
    for use in plan.lots:
        amount = sum(state.per_ul[use.component] * state.volume_ul for state in plan.after)
        needed = amount / stock_per_ul(lots[use.component], wanted[use.component])
        share = (use.volume_ul - dead) / needed
        worst = max(worst, share)
        print(f"stock of {use.component}: {use.volume_ul:g} µL on deck, {dead:g} of them dead, {needed:.2f} needed")
    print(f"stock beyond the dead volume, at most {worst:.2f} times what is needed (wanted at most 1.2)")


if __name__ == "__main__":
    main()
