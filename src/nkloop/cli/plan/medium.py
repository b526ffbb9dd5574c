"""`nkloop plan medium`: batches of complete or base medium, of one stage or of several at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, named_in
from nkloop.cli.plan.answer import CsvOption, LotsOption, MaxBiasOption, MaxCvOption, answer, error_limits
from nkloop.cli.plan.bench_clock import bench_now
from nkloop.cli.plan.own_stock import free_barcode, planned_with_own, usable
from nkloop.cli.plan.papers import LabelsOption, SheetOption
from nkloop.cli.plan.reserving import HOLD, HoldOption, ReserveByOption, ReserveOption, reservation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nkloop.cli.plan.planned import Planned
    from nkloop.drivers.bench_file import BenchFile
    from nkloop.inventory import Inventory
    from nkloop.labware import Catalogue
    from nkloop.quantities import Amount
    from nkloop.recipes.models import ErrorLimits, Recipe
    from nkloop.worklists.plans import MediumOrder, MediumPlan
    from nkloop.workspace import Workspace


def medium(
    recipe: Annotated[str | None, typer.Argument(help="File name in recipes/ without .yaml; or give --recipe.")] = None,
    recipe_option: Annotated[
        str | None, typer.Option("--recipe", help="File name in recipes/ without .yaml.", show_default=False)
    ] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", help="Stage of the recipe, for example expansion_i; several are prepared together."),
    ] = None,
    volume: Annotated[
        list[str] | None,
        typer.Option("--volume", help='Volume that can be used, with unit: "100 mL"; one for all, or one per stage.'),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", help="Components the arms add later: SCF,IL-7; may be given several times."),
    ] = None,
    barcode: Annotated[
        str | None,
        typer.Option(
            "--barcode", help="Barcode of the vessel; else medium- and the stage, with .2, .3 once it is used."
        ),
    ] = None,
    container: Annotated[
        str | None, typer.Option("--container", help="tube-1.5, tube-15, tube-50 or trough; else the smallest.")
    ] = None,
    max_cv: MaxCvOption = None,
    max_bias: MaxBiasOption = None,
    lots: LotsOption = None,
    csv: CsvOption = None,
    sheet: SheetOption = None,
    labels: LabelsOption = None,
    reserve: ReserveOption = None,
    by: ReserveByOption = "",
    hold: HoldOption = HOLD,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Plan batches of medium: transfers, expected composition and errors, lots, and the verdict of the three checks."""
    import asyncio

    from nkloop.drivers.bench import load_bench_file
    from nkloop.labware import Catalogue
    from nkloop.recipes import find_recipe
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import planning_lots
    from nkloop.worklists.parts import worklists_of

    found = find_workspace(workspace)
    wish = reservation(found, bench, reserve, by, hold, lots)
    name = _one_recipe(recipe, recipe_option)
    orders = _vessel(found, _orders(stage or [], volume or [], named_in(leave_out or ())), barcode, container)
    catalogue = Catalogue.load(found.labware)
    file = load_bench_file(bench_path(found, bench))
    inventory = planning_lots(found, bench, lots=lots, at=bench_now(found, bench))
    asked = find_recipe(found.recipes, name)
    limits = error_limits(asked.error_limits, file.deck, max_cv, max_bias)
    plan, inventory, own = planned_with_own(
        found,
        bench,
        inventory,
        lambda stock: _plan(asked, orders, limits, stock, file, catalogue, bench_now(found, bench).date()),
        lambda made: worklists_of(made.parts),
    )
    planned = asyncio.run(_verified(plan, found, catalogue, file, inventory))
    planned = replace(planned, notes=(*planned.notes, *_shared_notes(asked, limits, file), *own))
    planned = usable(found, bench, planned)
    answer(planned, catalogue, csv=csv, json_output=json_output, sheet=sheet, labels=labels, reserve=wish)


def _shared_notes(recipe: Recipe, limits: ErrorLimits, file: BenchFile) -> tuple[str, ...]:
    """Limits that hold, and the arms of the recipe that the medium serves."""
    from nkloop.worklists.allowed_errors import limits_sentence

    ways = ", ".join(way.title for way in recipe.arms)
    told = (f"The medium is the same for all arms of the recipe: {ways}.",) if ways else ()
    return (*told, limits_sentence(limits, recipe.error_limits, file.deck))


def _one_recipe(argument: str | None, option: str | None) -> str:
    from nkloop.errors import PlanError

    if argument is not None and option is not None and argument != option:
        raise PlanError(
            f"two recipes are named, '{argument}' and '{option}'", where="--recipe", remedy="name the recipe once"
        )
    name = argument or option
    if not name:
        raise PlanError("no recipe is named", where="--recipe", remedy="name one, for example: plan medium ucb-nk")
    return name


def _orders(stages: Sequence[str], volumes: Sequence[str], omit: tuple[str, ...]) -> tuple[MediumOrder, ...]:
    """One medium per stage; one volume serves all stages, and several volumes one stage.

    Raises:
        PlanError: none is given, or their numbers do not go together.
        QuantityError: a volume cannot be read.
    """
    from nkloop.errors import PlanError
    from nkloop.worklists.plans import MediumOrder

    for given, option, example in ((stages, "--stage", "expansion_i"), (volumes, "--volume", '"100 mL"')):
        if not given:
            raise PlanError(f"no {option[2:]} is given", where=option, remedy=f"add {option} {example}")
    number = max(len(stages), len(volumes))
    if len(stages) not in {1, number} or len(volumes) not in {1, number}:
        raise PlanError(
            f"{len(stages)} stages and {len(volumes)} volumes do not go together",
            where="--volume",
            remedy="give one volume for all stages, or one for each in the same order",
        )
    amounts = [_volume(text) for text in volumes] * (number if len(volumes) == 1 else 1)
    names = list(stages) * (number if len(stages) == 1 else 1)
    seen: Counter[str] = Counter()
    orders = []
    for stage, amount in zip(names, amounts, strict=True):
        seen[stage] += 1
        suffix = f"-{chr(ord('a') + seen[stage] - 1)}" if names.count(stage) > 1 else ""
        orders.append(MediumOrder(stage_id=stage, volume=amount, omit=omit, barcode=f"medium-{stage}{suffix}"))
    return tuple(orders)


def _vessel(
    found: Workspace, orders: tuple[MediumOrder, ...], barcode: str | None, container: str | None
) -> tuple[MediumOrder, ...]:
    """The orders with the container and the barcode that were asked for, else with barcodes that are free.

    Raises:
        PlanError: the container is not known, or one barcode is given for several media.
    """
    from nkloop.errors import PlanError
    from nkloop.worklists.medium_vessels import CONTAINERS

    if barcode is not None and (not barcode.strip() or len(orders) > 1):
        told = "the barcode is empty" if not barcode.strip() else f"{len(orders)} media cannot share '{barcode}'"
        raise PlanError(told, where="--barcode", remedy="give one barcode for one medium, or leave it out")
    if container is not None and container not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise PlanError(f"there is no container '{container}'", where="--container", remedy=f"use one of: {known}")
    load_name = CONTAINERS[container] if container else ""
    return tuple(
        one.model_copy(update={"barcode": barcode or free_barcode(found, one.barcode), "load_name": load_name})
        for one in orders
    )


def _volume(text: str) -> Amount:
    from dataclasses import replace

    from nkloop.errors import QuantityError
    from nkloop.quantities import Amount

    try:
        return Amount.parse(text)
    except QuantityError as error:
        problems = (
            replace(one, where="--volume", remedy=one.remedy.replace("25 ng/mL", '"100 mL"')) for one in error.problems
        )
        raise QuantityError.from_problems(problems) from error


def _plan(
    recipe: Recipe,
    orders: Sequence[MediumOrder],
    limits: ErrorLimits,
    inventory: Inventory,
    file: BenchFile,
    catalogue: Catalogue,
    today: date,
) -> MediumPlan:
    from nkloop.runs.media import shelf_life
    from nkloop.worklists.medium import plan_media

    return plan_media(
        recipe,
        orders,
        inventory,
        file.deck,
        catalogue,
        use_until=today + max(shelf_life(recipe, order.stage_id) for order in orders),
        today=today,
        limits=limits,
    )


async def _verified(
    plan: MediumPlan, found: Workspace, catalogue: Catalogue, file: BenchFile, inventory: Inventory
) -> Planned:
    from nkloop.cli.plan.planned import Planned, protocol_of, verified
    from nkloop.runs.costs import plan_cost
    from nkloop.runs.stock_use import containers_of, take_out
    from nkloop.worklists.duration import estimate_minutes
    from nkloop.worklists.parts import between_notes

    parts = tuple(part.worklist for part in plan.parts)
    cost = plan_cost(inventory, plan.lots)
    return Planned(
        title=parts[0].name,
        parts=parts,
        composition=plan.composition,
        lots=plan.lots,
        warnings=plan.warnings,
        notes=(*plan.notes, *between_notes(plan.parts)),
        verdicts=await verified(parts, found, catalogue, file),
        protocol=protocol_of(parts, found),
        robot_minutes=tuple(estimate_minutes(part, file.deck) for part in parts),
        price_eur=None if cost.without_price else round(cost.eur, 2),
        unpriced=cost.without_price,
        take_out=take_out(inventory, parts),
        containers=containers_of(inventory, parts),
        deck=file.deck,
        simulated=file.simulated,
        bench=file.name,
    )
