"""`nkloop plan cytotoxicity`: killing-assay plates out of a layout or a table of effector samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace
from nkloop.cli.plan.answer import CsvOption, LotsOption, MaxBiasOption, MaxCvOption, answer, error_limits
from nkloop.cli.plan.bench_clock import bench_now
from nkloop.cli.plan.own_stock import planned_with_own, usable
from nkloop.cli.plan.papers import LabelsOption, SheetOption
from nkloop.cli.plan.reserving import HOLD, HoldOption, ReserveByOption, ReserveOption, reservation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from nkloop.assays.designs import CellDemand
    from nkloop.assays.models import PlateLayout
    from nkloop.cli.plan.planned import Planned
    from nkloop.drivers.bench_file import BenchFile
    from nkloop.labware import Catalogue
    from nkloop.recipes.models import ErrorLimits, Recipe
    from nkloop.worklists.bench_deck import BenchDeck
    from nkloop.worklists.plans import CytotoxicityPlan
    from nkloop.workspace import Workspace


def cytotoxicity(
    layout: Annotated[
        Path | None, typer.Option("--layout", help="Layout: CSV or XLSX of nkloop design, or JSON.")
    ] = None,
    arms: Annotated[
        Path | None,
        typer.Option("--arms", help="Table of effector samples: arm, donor, viability, purity; cells as cells/µL."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Recipe of the effectors: its controls must be tested, its error limits hold."),
    ] = None,
    target_line: Annotated[str, typer.Option("--target-line", help="Tumour line of the panel.")] = "K-562",
    replicates: Annotated[int, typer.Option("--replicates", min=1, help="Wells per sample and E:T.")] = 2,
    plate: Annotated[str, typer.Option("--plate", help="Label of the plates; they are numbered -1, -2.")] = "killing",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the columns.")] = 1,
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
    """Plan killing-assay plates: cells per well when the contact begins, what each sample needs, and the verdict."""
    import asyncio

    from nkloop.errors import PlanError
    from nkloop.labware import Catalogue
    from nkloop.recipes import find_recipe

    if (layout is None) == (arms is None):
        raise PlanError("name either a layout or a table of samples", where="layout", remedy="use --layout or --arms")
    found = find_workspace(workspace)
    wish = reservation(found, bench, reserve, by, hold, lots)
    catalogue = Catalogue.load(found.labware)
    layouts, densities = (
        (_read_layouts(layout), {})
        if layout is not None
        else _laid_out(arms or Path(), target_line, replicates, plate, seed)
    )
    of_recipe = None if recipe is None else find_recipe(found.recipes, recipe)
    limits = (max_cv, max_bias)
    planned = asyncio.run(_planned(found, catalogue, layouts, densities, lots, bench, of_recipe, limits))
    planned = usable(found, bench, planned)
    answer(planned, catalogue, csv=csv, json_output=json_output, sheet=sheet, labels=labels, reserve=wish)


def _read_layouts(path: Path) -> tuple[PlateLayout, ...]:
    from pydantic import ValidationError

    from nkloop.assays.layouts import read_layouts
    from nkloop.assays.models import PlateLayout
    from nkloop.errors import PlanError, Problem

    if path.suffix.lower() != ".json":
        return read_layouts(path)
    try:
        return (PlateLayout.model_validate_json(path.read_text(encoding="utf-8")),)
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"cannot be read: {error}", where=str(path), remedy="give a layout as JSON") from error
    except ValidationError as error:
        raise PlanError.from_problems(
            Problem(one["msg"], f"{path.name}: {'.'.join(map(str, one['loc']))}", "correct the layout")
            for one in error.errors()
        ) from error


def _laid_out(
    arms: Path, target_line: str, replicates: int, plate: str, seed: int
) -> tuple[tuple[PlateLayout, ...], dict[str, float]]:
    from nkloop.assays.models import EffectorSample
    from nkloop.assays.tables import Column, raise_all, read_table
    from nkloop.errors import Problem
    from nkloop.runs.killing import AssayDesign, lay_out_plates
    from nkloop.worklists.donor_names import HOW, name_fault

    columns = [
        Column("arm", "text"),
        Column("donor", "text"),
        Column("viability", synonyms=("viability_percent",)),
        Column("purity", synonyms=("purity_percent",)),
        Column("cells", required=False, filled=False),
    ]
    table = read_table(arms, columns)
    problems: list[Problem] = []
    samples: dict[str, EffectorSample] = {}
    densities: dict[str, float] = {}
    for row in table.rows:
        name = f"{row.text('arm')}/{row.text('donor')}"
        for column in ("arm", "donor"):
            if fault := name_fault(row.text(column)):
                problems.append(Problem(f"{fault} of a sample", table.where(row, column), HOW))
        for column in ("viability", "purity"):
            if not 0 < row.number(column) <= 100:
                told = f"{row.number(column):g} is outside 0 to 100 %"
                problems.append(Problem(told, table.where(row, column), "write a percentage above 0"))
        if row.cells.get("cells") is not None and row.number("cells") <= 0:
            problems.append(
                Problem(f"{row.number('cells'):g} cells/µL is not above 0", table.where(row, "cells"), "count again")
            )
        if name in samples:
            problems.append(Problem(f"sample {name} stands twice", table.where(row, "arm"), "name each once"))
        if problems:
            continue
        samples[name] = EffectorSample(
            name=name,
            arm=row.text("arm"),
            donor=row.text("donor"),
            viability_percent=row.number("viability"),
            purity_percent=row.number("purity"),
        )
        if row.cells.get("cells") is not None:
            densities[name] = row.number("cells")
    raise_all(problems)
    design = AssayDesign(target_line=target_line, replicates=replicates, seed=seed)
    return lay_out_plates(tuple(samples.values()), design, plate), densities


async def _planned(
    found: Workspace,
    catalogue: Catalogue,
    layouts: tuple[PlateLayout, ...],
    densities: dict[str, float],
    lots: Path | None,
    bench: str,
    recipe: Recipe | None,
    asked: tuple[float | None, float | None],
) -> Planned:
    from nkloop.cli.plan.planned import Planned, protocol_of, verified
    from nkloop.drivers.bench import load_bench_file
    from nkloop.recipes.models import ErrorLimits
    from nkloop.runs.cell_needs import cells_to_prepare, plan_samples
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import planning_lots
    from nkloop.runs.stock_use import containers_of, take_out
    from nkloop.worklists.contact_rows import contact_rows
    from nkloop.worklists.duration import estimate_minutes
    from nkloop.worklists.lots import summed_uses

    path = bench_path(found, bench)
    file = load_bench_file(path)
    now = bench_now(found, bench)
    _require_reader_and_lines(layouts, file, path, now.date())
    inventory = planning_lots(found, bench, lots=lots, at=now)
    of_recipe = recipe.error_limits if recipe else ErrorLimits()
    errors = error_limits(of_recipe, file.deck, *asked)
    plans, inventory, own = planned_with_own(
        found,
        bench,
        inventory,
        lambda stock: [
            plan_samples(one, stock, file.deck, catalogue, densities=densities, errors=errors, recipe=recipe, at=now)
            for one in layouts
        ],
        lambda made: [part.worklist for one in made for part in one.parts],
    )
    parts = tuple(part.worklist for plan in plans for part in plan.parts)
    uses = summed_uses([plan.lots for plan in plans])
    cost = inventory.cost({lot.lot: lot.volume_ul for lot in uses})
    needs, cells = _needs(layouts, plans), cells_to_prepare(layouts, plans)
    limits_told = _limits_note(errors, of_recipe, file.deck, has_recipe=recipe is not None)
    return Planned(
        title=parts[0].name.partition(", part ")[0] if len(plans) == 1 else f"{len(plans)} killing-assay plates",
        parts=parts,
        composition=tuple(
            row
            for layout, plan in zip(layouts, plans, strict=True)
            for row in contact_rows(plan.parts[0].worklist, layout, catalogue, file.deck)
        ),
        lots=uses,
        warnings=(*(told for plan in plans for told in plan.warnings), *_warnings(layouts, recipe)),
        notes=(*_notes(needs, cells, plans), *own, limits_told),
        verdicts=await verified(parts, found, catalogue, file),
        protocol=protocol_of(parts, found),
        robot_minutes=tuple(estimate_minutes(part, file.deck) for part in parts),
        price_eur=None if cost.without_price else round(cost.eur, 2),
        take_out=take_out(inventory, parts),
        containers=containers_of(inventory, parts),
        deck=file.deck,
        simulated=file.simulated,
        bench=file.name,
        more={
            "effectors": needs,
            "cells_to_prepare": [one.model_dump(mode="json") for one in cells],
            "layouts": [layout.model_dump(mode="json") for layout in layouts],
            "targets_ul": [plan.targets_ul for plan in plans],
            "dispense_order": [list(plan.dispense_order) for plan in plans],
        },
    )


def _require_reader_and_lines(layouts: tuple[PlateLayout, ...], file: BenchFile, path: Path, today: date) -> None:
    """Refuse plates the bench's reader cannot read, and lines its stock does not have in order."""
    from nkloop.assays.panel import check_lines, load_line_stock
    from nkloop.runs.killing import require_reader

    for layout in layouts:
        require_reader(layout, file)
    lines = None if file.lines is None else load_line_stock((path.parent / file.lines).resolve())
    check_lines((line for layout in layouts for line in layout.lines), lines, today)


def _needs(layouts: Sequence[PlateLayout], plans: Sequence[CytotoxicityPlan]) -> list[dict[str, Any]]:
    """What each plate needs of each sample."""
    return [
        {"plate": layout.barcode, **need.model_dump(mode="json")}
        for layout, plan in zip(layouts, plans, strict=True)
        for need in plan.effectors
    ]


def _notes(
    needs: Sequence[dict[str, Any]], cells: Sequence[CellDemand], plans: Sequence[CytotoxicityPlan]
) -> Iterator[str]:
    from nkloop.cli.design.display import cells_sentence
    from nkloop.quantities.display import number
    from nkloop.worklists.parts import between_notes

    for need in needs:
        told = f"{need['volume_ul']:g} µL on the deck, {number(need['cells'])} cells, viable or not"
        yield f"{need['plate']}: {need['sample']}: {told}."
    yield from (cells_sentence(one) for one in cells)
    yield f"Counted beyond the wells: {'; '.join(dict.fromkeys(one.beyond for one in cells))}."
    for plan in plans:
        barcode = plan.parts[0].worklist.item("assay").barcode
        yield from (f"{barcode}: {told}" for told in between_notes(plan.parts))


def _limits_note(errors: ErrorLimits, of_recipe: ErrorLimits, deck: BenchDeck, *, has_recipe: bool) -> str:
    from nkloop.worklists.allowed_errors import limits_sentence

    whose = "of the recipe" if has_recipe else "default"
    return limits_sentence(errors, of_recipe, deck, whose_else=whose)


def _warnings(layouts: tuple[PlateLayout, ...], recipe: Recipe | None) -> Iterator[str]:
    """Controls of the recipe that are missing, and which values of the method nobody has verified."""
    from nkloop.assays.methods import method_named
    from nkloop.worklists.recipe_arms import missing_controls

    if recipe is not None:
        samples = [(one.arm, one.donor) for layout in layouts for one in layout.samples]
        yield from missing_controls(recipe, samples)
    for name in dict.fromkeys(layout.method for layout in layouts):
        if open_ones := method_named(name).unverified:
            yield f"values of method {name} nobody has verified yet: {', '.join(open_ones)}"
