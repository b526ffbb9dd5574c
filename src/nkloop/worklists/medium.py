"""Plans a medium batch: base, serum, additives, cytokines with their pre-dilutions, in that order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from nkloop.errors import PlanError
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Ingredient, Medium, Recipe
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import Spot, Supply, WorklistBuilder
from nkloop.worklists.composition import composition_rows, refuse_off_target
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.dilution import Chain, plan_chain
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.lots import Stocks, lot_uses, with_lots
from nkloop.worklists.models import Target, Worklist
from nkloop.worklists.plans import MediumPlan, MediumSource
from nkloop.worklists.stock_deck import BASE_TROUGH, StockDeck, add_by_chain
from nkloop.worklists.strength import stock_liquid, stock_per_ul
from nkloop.worklists.uncertainty import predict

TUBES_50 = "opentrons_6_tuberack_nest_50ml_conical"
TUBE_LIMIT_UL = 45_000
TOLERANCE_PERCENT = 5.0
_BULK_UL = 8_000
"""From here on eight channels pour the base."""
_ORDER = {"serum": 0, "supplement": 1, "anticoagulant": 2, "small_molecule": 3, "cytokine": 4}


def plan_medium(
    recipe: Recipe,
    stage_id: str,
    volume: Amount,
    inventory: Stocks,
    deck: BenchDeck,
    catalogue: LabwareLookup,
    *,
    omit: Collection[str] = (),
    use_until: date,
    today: date,
    destination_barcode: str,
) -> MediumPlan:
    """Plan the complete medium of a stage.

    Args:
        volume: what can be drawn afterwards; the dead volume of the vessel is prepared in addition.
        omit: components left out because the arms of a campaign add them.
        use_until: last day the medium is used; lots must be valid until then.
        destination_barcode: identity of the vessel, which outlives the run.

    Raises:
        PlanError: unknown stage, a volume outside what vessels and pipettes do, or a unit that cannot be converted.
        ShortageError: no valid lot holds enough of a component.
    """
    medium = _medium(recipe, stage_id, omit)
    _check_volume(volume)
    if use_until < today:
        raise PlanError(f"last day of use {use_until} is before today {today}", remedy="choose a later last day of use")
    ingredients = _ordered(recipe, medium, omit)
    name = f"{recipe.id} {stage_id} {volume} {today}"

    def plan(lots: dict[str, Lot]) -> tuple[Worklist, _Layout]:
        return _plan(name, recipe, medium, ingredients, volume.canonical, lots, deck, catalogue, destination_barcode)

    names = [medium.base.component, *(i.component for i in ingredients)]
    worklist, layout, lots = with_lots(names, inventory, use_until, plan)
    contents = follow(worklist, catalogue).well(*layout.spot)
    errors = predict(worklist, catalogue, deck, [layout.spot])[layout.spot]
    rows = composition_rows((medium.base, *ingredients), contents.per_ul, destination_barcode, errors)
    refuse_off_target(name, rows, TOLERANCE_PERCENT)
    source = MediumSource(
        barcode=destination_barcode,
        load_name=layout.load_name,
        well=layout.spot[1],
        per_ul=contents.per_ul,
        volume_ul=round(contents.volume_ul, 3),
    )
    warnings = _warnings((medium.base, *ingredients), omit)
    return MediumPlan(
        worklist=worklist,
        composition=rows,
        lots=lot_uses(worklist, lots, catalogue),
        warnings=warnings,
        source=source,
    )


def _medium(recipe: Recipe, stage_id: str, omit: Collection[str]) -> Medium:
    try:
        medium = recipe.stage(stage_id).medium
    except KeyError:
        raise PlanError(
            f"{recipe.id} has no stage '{stage_id}'", where="stage", remedy=f"use {', '.join(recipe.stage_ids)}"
        ) from None
    additives = {i.component for i in medium.additives}
    unknown = sorted(set(omit) - additives)
    if unknown:
        raise PlanError(
            f"cannot leave out {', '.join(unknown)}: not an additive of stage {stage_id}",
            where="omit",
            remedy=f"choose from {', '.join(sorted(additives))}",
        )
    return medium


def _check_volume(volume: Amount) -> None:
    if volume.kind is not Kind.VOLUME or volume.magnitude <= 0:
        raise PlanError(f"{volume} is not a volume above 0", where="volume", remedy="write for example 100 mL")


def _ordered(recipe: Recipe, medium: Medium, omit: Collection[str]) -> tuple[Ingredient, ...]:
    """Serum, additives, then cytokines with the smallest concentration first."""
    roles = {component.name: component.role for component in recipe.components}

    def key(ingredient: Ingredient) -> tuple[int, bool, float]:
        activity = ingredient.amount.kind is Kind.ACTIVITY_CONCENTRATION
        role = roles.get(ingredient.component, "cytokine")
        return _ORDER.get(role, 1), activity, ingredient.amount.of(ingredient.component).canonical

    return tuple(sorted((i for i in medium.additives if i.component not in omit), key=key))


class _Layout:
    """Where the medium ends up."""

    def __init__(self, spot: Spot, load_name: str) -> None:
        self.spot, self.load_name = spot, load_name


def _plan(
    name: str,
    recipe: Recipe,
    medium: Medium,
    ingredients: Sequence[Ingredient],
    volume: float,
    lots: dict[str, Lot],
    deck: BenchDeck,
    catalogue: LabwareLookup,
    barcode: str,
) -> tuple[Worklist, _Layout]:
    builder = WorklistBuilder(name, "medium_preparation", deck, catalogue)
    layout, total = _vessel(builder, volume, barcode)
    base_name = medium.base.component
    chains = {i.component: _chain(builder, i, lots[i.component], total, base_name) for i in ingredients}
    base_ul = round(total - sum(sum(chain.volumes_ul) for chain in chains.values()), 2)
    if base_ul < builder.minimum_ul():
        raise PlanError(
            f"additives alone make {total - base_ul:g} of {total:g} µL", where=name, remedy="use stronger stocks"
        )
    base_liquid = stock_liquid(lots[base_name], medium.base.amount, base_name)
    builder.place("base", BASE_TROUGH, f"Base medium {base_name}")
    base = builder.supply("base", ("A1",), base_liquid)
    stocks = StockDeck(builder, base_name)
    for ingredient in ingredients:
        chain, lot = chains[ingredient.component], lots[ingredient.component]
        stocks.add(stock_liquid(lot, ingredient.amount, base_name), chain)
    _pour(builder, base, layout.spot, base_ul)
    stocks.prepare(base)
    for ingredient in ingredients:
        add_by_chain(builder, stocks, ingredient.component, [layout.spot], f"add {ingredient.component}")
    eight = builder.kind(layout.spot[0]).kind == "trough" and deck.pipette(8) is not None
    builder.mix(layout.spot, 10, channels=8 if eight else 1, comment="mix the finished medium")
    targets = [
        Target(
            labware=layout.spot[0],
            well=layout.spot[1],
            component=i.component,
            per_ul=i.amount.of(i.component).canonical,
            tolerance_percent=TOLERANCE_PERCENT,
        )
        for i in ingredients
    ]
    return builder.build(targets=targets, recipe_revision=recipe.revision_id), layout


def _vessel(builder: WorklistBuilder, volume: float, barcode: str) -> tuple[_Layout, float]:
    """Tube or trough for the medium, and the volume to prepare: what is asked plus the dead volume."""
    tube, trough = builder.type_of(TUBES_50), builder.type_of(BASE_TROUGH)
    load_name, label = TUBES_50, "Finished medium (50 mL tube)"
    if volume + tube.dead_volume_ul > min(TUBE_LIMIT_UL, tube.working_volume_ul):
        load_name, label = BASE_TROUGH, "Finished medium (trough)"
    kind = builder.type_of(load_name)
    total = round(volume + kind.dead_volume_ul, 2)
    if total > trough.working_volume_ul:
        most = (trough.working_volume_ul - trough.dead_volume_ul) / 1000
        raise PlanError(
            f"{volume / 1000:g} mL is more than the largest vessel gives ({most:g} mL)",
            where="volume",
            remedy="prepare several batches",
        )
    builder.place("medium", load_name, label, barcode=barcode)
    return _Layout(("medium", "A1"), load_name), total


def _chain(builder: WorklistBuilder, ingredient: Ingredient, lot: Lot, total: float, base: str) -> Chain:
    tube = builder.type_of(StockDeck.TUBES)
    amount = ingredient.amount.of(ingredient.component).canonical * total
    return plan_chain(
        ingredient.component,
        stock_per_ul(lot, ingredient.amount),
        [amount],
        minimum_ul=builder.minimum_ul(),
        tube_ul=tube.working_volume_ul,
        dead_ul=tube.dead_volume_ul,
        limits_ul=[total],
    )


def _pour(builder: WorklistBuilder, base: Supply, spot: Spot, volume: float) -> None:
    """Base first, into the empty vessel, so one tip or column serves all of it."""
    trough = builder.kind(spot[0]).kind == "trough"
    if trough and volume >= _BULK_UL and builder.deck.pipette(8) is not None:
        builder.transfer(base, spot, volume / 8, channels=8, comment="base medium")
    else:
        builder.transfer(base, spot, volume, comment="base medium")


def _warnings(ingredients: Sequence[Ingredient], omit: Collection[str]) -> tuple[str, ...]:
    told = []
    if omit:
        told.append(f"left out, to be added by the arms: {', '.join(sorted(omit))}")
    unverified = [i.component for i in ingredients if i.verified_by is None]
    if unverified:
        told.append(f"published values nobody has verified yet: {', '.join(unverified)}")
    return tuple(told)
