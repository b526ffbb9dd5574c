"""`nkloop plan dosing`: cytokine variants dosed to culture plates, or prepared in dose tubes for closed bags."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, write_file
from nkloop.cli.plan.answer import CsvOption, LotsOption, MaxBiasOption, MaxCvOption, answer, error_limits
from nkloop.cli.plan.own_stock import planned_with_own
from nkloop.cli.plan.papers import LabelsOption, SheetOption
from nkloop.cli.plan.reserving import HOLD, HoldOption, ReserveByOption, ReserveOption, reservation

if TYPE_CHECKING:
    from nkloop.cli.plan.planned import Planned
    from nkloop.drivers.bench_file import BenchFile
    from nkloop.feedback.models import Arm
    from nkloop.inventory import Inventory
    from nkloop.labware import Catalogue
    from nkloop.recipes.models import Recipe
    from nkloop.worklists.bag_plans import DoseTubeFilling
    from nkloop.worklists.dosing_assembly import Wanted
    from nkloop.worklists.positions import OuterWells
    from nkloop.worklists.stage_day import Action
    from nkloop.workspace import Workspace


@dataclass(frozen=True)
class _Asked:
    """The options as they were typed."""

    recipe: str
    stage: str
    vessel: str
    donors: tuple[str, ...]
    arms: Path | None
    factorial: str | None
    generators: tuple[str, ...]
    campaign: str | None
    day: float | None
    action: str | None
    step: str | None
    volume: str | None
    present: Path | None
    hours: float
    replicates: int
    outer: str
    cells_out: float | None
    plate: str
    dose: str
    from_vessel: str
    tube: str
    seed: int
    max_cv: float | None
    max_bias: float | None
    lots: Path | None
    bench: str


def dosing(
    recipe: Annotated[str, typer.Option("--recipe", help="File name in recipes/ without .yaml.")],
    stage: Annotated[str, typer.Option("--stage", help="Stage of the recipe, for example expansion_i.")],
    vessel: Annotated[
        str, typer.Option("--vessel", help="plate-6 to plate-96, bag, bioreactor, or a vessel of labware/bags.yaml.")
    ],
    donors: Annotated[str, typer.Option("--donors", help="Cord units, separated by commas: U1,U2.")],
    arms: Annotated[Path | None, typer.Option("--arms", help="Arm table, CSV or XLSX.")] = None,
    factorial: Annotated[
        str | None, typer.Option("--factorial", help="Levels of a factorial: SCF=x0.5,x2;IL-7=x0.5,x2.")
    ] = None,
    generator: Annotated[
        list[str] | None,
        typer.Option("--generator", help="Makes a fraction of it: IL-7=SCF*TPO; may be given several times."),
    ] = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="Campaign in the records; its last round gives the arms.")
    ] = None,
    day: Annotated[
        float | None, typer.Option("--day", help="Day of the culture; the stage's first by default.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Option("--action", help="seed, exchange, top-up, dilute, split or transfer; else by what is there."),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option("--step", help="Process step that adds something, such as vector, instead of a dose."),
    ] = None,
    volume: Annotated[str | None, typer.Option("--volume", help='Volume of a vessel afterwards: "1.5 mL".')] = None,
    present: Annotated[Path | None, typer.Option("--present", help="Table of what the vessels hold.")] = None,
    hours: Annotated[float, typer.Option("--hours", min=0, help="Hours since what is present was measured.")] = 0.0,
    replicates: Annotated[int, typer.Option("--replicates", min=1, help="Wells of each arm and donor.")] = 1,
    outer: Annotated[str, typer.Option("--outer", help="Wells at the edge: use, medium or avoid.")] = "use",
    cells_out: Annotated[
        float | None,
        typer.Option("--cells-out", min=1, help="Longest time of cells outside the incubator, in minutes; else 60."),
    ] = None,
    plate: Annotated[str, typer.Option("--plate", help="Barcode of the culture plate.")] = "culture-1",
    dose: Annotated[str, typer.Option("--dose", help="Volume a dose tube brings into a bag.")] = "5 mL",
    from_vessel: Annotated[
        str, typer.Option("--from-vessel", help="What a transfer takes cultures out of: bag, or a vessel by name.")
    ] = "bag",
    tube: Annotated[str, typer.Option("--tube", help="Dose tube of labware/bags.yaml.")] = "dose-15",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the positions; the same gives the same.")] = 1,
    position_map: Annotated[Path | None, typer.Option("--map", help="Write which well holds what to this CSV.")] = None,
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
    """Plan a dose of cytokine variants: arm media or dose tubes, positions, final concentrations and the verdict."""
    import asyncio

    from nkloop.labware import Catalogue

    found = find_workspace(workspace)
    wish = reservation(found, bench, reserve, by, hold, lots)
    catalogue = Catalogue.load(found.labware)
    units = tuple(dict.fromkeys(one.strip() for one in donors.split(",") if one.strip()))
    asked = _Asked(
        recipe, stage, vessel, units, arms, factorial, tuple(generator or ()), campaign, day, action, step, volume,
        present, hours, replicates, outer, cells_out, plate, dose, from_vessel, tube, seed, max_cv,
        max_bias, lots, bench,
    )  # fmt: skip
    planned, map_text = asyncio.run(_planned(found, catalogue, asked))
    answer(planned, catalogue, csv=csv, json_output=json_output, sheet=sheet, labels=labels, reserve=wish)
    if position_map is not None:
        write_file(position_map, map_text)


async def _planned(found: Workspace, catalogue: Catalogue, asked: _Asked) -> tuple[Planned, str]:
    from datetime import UTC, datetime

    from nkloop.drivers.bench import load_bench_file
    from nkloop.recipes import find_recipe
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import lots_for

    file = load_bench_file(bench_path(found, asked.bench))
    inventory = lots_for(found, asked.bench, lots=asked.lots)
    recipe = find_recipe(found.recipes, asked.recipe)
    until = (datetime.now(UTC) + timedelta(days=1)).date()
    wanted, notes = _wanted(found, recipe, asked, until, file)
    is_plate = asked.vessel.startswith("plate")
    make = _plan_step if asked.step is not None else _plan_plate if is_plate else _plan_bags
    (planned, text), _, own = planned_with_own(
        found,
        asked.bench,
        inventory,
        lambda stock: make(found, catalogue, file, stock, wanted, asked),
        lambda made: made[0].parts,
    )
    notes = (*notes, *own)
    if asked.step is None:
        notes = (*notes, *_steps_of_day(wanted, asked), *_base_notes(wanted, planned, asked))
    from nkloop.cli.plan.planned import verified

    verdicts = await verified(planned.parts, found, catalogue, file)
    unverified = [i.component for i in recipe.stage(asked.stage).medium.ingredients if i.verified_by is None]
    told = (f"published values nobody has verified yet: {', '.join(unverified)}",) if unverified else ()
    warnings = (*planned.warnings, *told)
    return replace(planned, verdicts=verdicts, notes=(*notes, *planned.notes), warnings=warnings), text


def _wanted(
    found: Workspace, recipe: Recipe, asked: _Asked, use_until: Any, file: BenchFile
) -> tuple[Wanted, tuple[str, ...]]:
    from nkloop.errors import PlanError
    from nkloop.worklists.allowed_errors import limits_sentence
    from nkloop.worklists.dosing_assembly import Wanted
    from nkloop.worklists.dosing_request import stage_of

    stage = stage_of(recipe, asked.stage, "stage")
    arms, notes = _arms(found, recipe, asked)
    if not asked.donors:
        raise PlanError("no donor is named", where="donors", remedy="write --donors U1,U2")
    wanted = Wanted(
        recipe=recipe,
        stage=stage,
        arms=arms,
        donors=asked.donors,
        use_until=use_until,
        seed=asked.seed,
        name=f"dose {stage.id}, day {stage.start_day if asked.day is None else asked.day:g}",
        hours_since_dose=asked.hours,
        error_limits=error_limits(recipe.error_limits, file.deck, asked.max_cv, asked.max_bias),
    )
    return wanted, (*notes, limits_sentence(wanted.error_limits or recipe.error_limits, recipe.error_limits, file.deck))


def _arms(found: Workspace, recipe: Recipe, asked: _Asked) -> tuple[tuple[Arm, ...], tuple[str, ...]]:
    from nkloop.errors import PlanError
    from nkloop.worklists.arm_table import read_arm_table
    from nkloop.worklists.arms import complete_arms, factorial_arms

    ways = [way for way in (asked.arms, asked.factorial, asked.campaign) if way is not None]
    if len(ways) > 1:
        raise PlanError("arms are given in two ways", where="arms", remedy="use one of --arms, --factorial, --campaign")
    if asked.arms is not None:
        return read_arm_table(asked.arms, recipe, asked.stage), ()
    if asked.factorial is not None:
        arms, design = factorial_arms(recipe, asked.stage, asked.factorial, asked.generators)
        return arms, (f"Arms: {design.sentence}, and the reference{_controls(arms)}.",)
    if asked.campaign is not None:
        return _campaign_arms(found, asked.campaign, recipe)
    arms = complete_arms(recipe, asked.stage, ())
    return arms, (f"Arms: the reference{_controls(arms) or ' alone'}.",)


def _controls(arms: tuple[Arm, ...]) -> str:
    """The recipe's own controls among the arms, as the end of a sentence."""
    names = [arm.name for arm in arms if arm.origin == "control"]
    return f", with {', '.join(names)} of the recipe beside it" if names else ""


def _campaign_arms(found: Workspace, campaign: str, recipe: Recipe) -> tuple[tuple[Arm, ...], tuple[str, ...]]:
    from nkloop.errors import PlanError
    from nkloop.records import Records

    records = Records.open(found.state)
    try:
        entry, rounds = records.campaigns.campaign(campaign), records.campaigns.rounds(campaign)
    finally:
        records.close()
    if entry.recipe_revision != recipe.revision_id:
        raise PlanError(
            f"campaign {campaign} is about {entry.recipe_revision}, the recipe is {recipe.revision_id}",
            where="campaign",
            remedy="name the recipe of the campaign",
        )
    if not rounds:
        raise PlanError(f"campaign {campaign} has no round yet", where="campaign", remedy="begin a round first")
    from nkloop.worklists.recipe_arms import with_controls

    return with_controls(recipe, rounds[-1].arms), (f"Arms: round {rounds[-1].number} of campaign {campaign}.",)


def _steps_of_day(wanted: Wanted, asked: _Asked) -> tuple[str, ...]:
    """What else the recipe does on the day, which this plan does not."""
    day = wanted.stage.start_day if asked.day is None else asked.day
    steps = [step for step in wanted.stage.process if step.day == day]
    if not steps:
        return ()
    added = [step.id for step in steps if step.kind == "add"]
    more = f"; plan {', '.join(added)} with --step" if added else ""
    return (f"Day {day:g} also has: {', '.join(step.title for step in steps)}{more}.",)


def _base_notes(wanted: Wanted, planned: Planned, asked: _Asked) -> tuple[str, ...]:
    """Which base medium has to stand there, what it must lack, and the command that plans it."""
    import shlex

    from nkloop.worklists.dosing_event import BASE
    from nkloop.worklists.dosing_request import added_ingredients

    poured = [f for f in planned.parts[0].fillings if f.labware == BASE]
    if not poured:
        return ()
    names = [i.component for i in added_ingredients(wanted.recipe, wanted.stage, wanted.components, wanted.name)]
    volume = f"{poured[0].volume_ul / 1000:.4g} mL"
    words = ["nkloop", "plan", "medium", asked.recipe, "--stage", wanted.stage.id, "--volume", volume]
    words += [word for name in names for word in ("--leave-out", name)]
    words += [] if asked.bench == "virtual" else ["--bench", asked.bench]
    return (
        f"Base medium: {volume} of {wanted.stage.id} without {', '.join(names)}, which the arms add. "
        f"Plan it with: {shlex.join(words)}",
    )


def _plan_step(
    found: Workspace,
    catalogue: Catalogue,
    file: BenchFile,
    inventory: Inventory,
    wanted: Wanted,
    asked: _Asked,
) -> tuple[Planned, str]:
    """A process step of the recipe that adds something, for the vessels of the arms that go through it."""
    from nkloop.errors import PlanError
    from nkloop.labware.bags import BagCatalogue
    from nkloop.worklists.addition_assembly import addition_request, additions_csv
    from nkloop.worklists.additions import plan_addition
    from nkloop.worklists.dosing_assembly import bag_names, plate_positions
    from nkloop.worklists.models import CELLS_OUT_MINUTES
    from nkloop.worklists.present_table import read_present

    is_plate = asked.vessel.startswith("plate")
    if not is_plate:
        _refuse_of_plates(asked)
    if asked.present is None:
        raise PlanError(
            f"step {asked.step} needs the cell counts of the vessels", where="present", remedy="give --present TABLE"
        )
    positions = (
        plate_positions(wanted, asked.vessel, catalogue, replicates=asked.replicates, outer=_outer(asked.outer))
        if is_plate
        else ()
    )
    names = [one.well for one in positions] if is_plate else bag_names(wanted)
    wanted = replace(wanted, present=read_present(asked.present, (), names, "well" if is_plate else "bag"))
    request = addition_request(
        wanted,
        asked.step or "",
        vessel=asked.vessel,
        positions=positions,
        barcode=asked.plate,
        tube=asked.tube,
        dose_ul=_volume(asked.dose) or 0.0,
        cells_out_minutes=CELLS_OUT_MINUTES if asked.cells_out is None else asked.cells_out,
    )
    plan = plan_addition(request, inventory, file.deck, catalogue, BagCatalogue.load(found.labware))
    rows = [one.model_dump(mode="json") for one in plan.additions]
    more = {"additions": rows, "without": list(plan.without)}
    return _answer_of(found, file, inventory, plan, (), more), additions_csv(plan)


def _plan_plate(
    found: Workspace,
    catalogue: Catalogue,
    file: BenchFile,
    inventory: Inventory,
    wanted: Wanted,
    asked: _Asked,
) -> tuple[Planned, str]:
    from nkloop.worklists.dosing import plan_dosing
    from nkloop.worklists.dosing_assembly import plate_positions, plate_request, with_enough_base
    from nkloop.worklists.models import CELLS_OUT_MINUTES
    from nkloop.worklists.positions import map_csv

    outer = _outer(asked.outer)
    positions = plate_positions(wanted, asked.vessel, catalogue, replicates=asked.replicates, outer=outer)
    wanted = _with_present(wanted, asked, [one.well for one in positions], "well")
    action = _action(wanted, asked)
    plan = with_enough_base(
        wanted,
        catalogue,
        lambda base: plan_dosing(
            plate_request(
                wanted,
                asked.vessel,
                positions,
                catalogue,
                base,
                action=action,
                volume_ul=_volume(asked.volume),
                outer=outer,
                barcode=asked.plate,
                cells_out_minutes=CELLS_OUT_MINUTES if asked.cells_out is None else asked.cells_out,
            ),
            inventory,
            file.deck,
            catalogue,
        ),
    )
    notes = (
        f"{action}: {len(positions)} wells, {len(wanted.arms)} arms, donors as blocks, seed {wanted.seed}.",
        f"Cells are outside the incubator for about {plan.cells_out_minutes:.0f} min at a time "
        f"(limit {plan.parts[0].worklist.limits.cells_out_minutes:g} min).",
    )
    rows = [{**one.model_dump(), "seed": wanted.seed} for one in positions]
    made = _answer_of(found, file, inventory, plan, notes, {"positions": rows})
    return made, map_csv(positions, plate=asked.plate, seed=wanted.seed, outer=outer)


def _plan_bags(
    found: Workspace,
    catalogue: Catalogue,
    file: BenchFile,
    inventory: Inventory,
    wanted: Wanted,
    asked: _Asked,
) -> tuple[Planned, str]:
    from datetime import UTC, datetime

    from nkloop.labware.bags import BagCatalogue
    from nkloop.worklists.bag_doses import plan_bag_doses
    from nkloop.worklists.bag_plans import tubes_csv
    from nkloop.worklists.dosing_assembly import bag_names, bag_request, with_enough_base
    from nkloop.worklists.models import CELLS_OUT_MINUTES

    _refuse_of_plates(asked)
    bags = BagCatalogue.load(found.labware)
    wanted = _with_present(wanted, asked, bag_names(wanted), "bag")
    action = _action(wanted, asked)
    prepared = datetime.now(UTC).replace(second=0, microsecond=0)
    plan = with_enough_base(
        wanted,
        catalogue,
        lambda base: plan_bag_doses(
            bag_request(
                wanted,
                asked.vessel,
                bags,
                base,
                action=action,
                volume_ul=_volume(asked.volume),
                dose_ul=_volume(asked.dose) or 0.0,
                tube=asked.tube,
                prepared=prepared,
                from_vessel=asked.from_vessel,
                cells_out_minutes=CELLS_OUT_MINUTES if asked.cells_out is None else asked.cells_out,
            ),
            inventory,
            file.deck,
            catalogue,
            bags,
        ),
    )
    limit = plan.parts[0].worklist.limits.cells_out_minutes
    minutes = f"{plan.cells_out_minutes:.0f} min (limit {limit:g} min)"
    out = f"The cells of a vessel are outside the incubator for about {minutes}."
    notes = (f"{action}: {len(plan.tubes)} vessels.", out, *_tube_notes(plan.tubes, len(plan.parts)))
    tubes = [one.model_dump(mode="json") for one in plan.tubes]
    made = _answer_of(found, file, inventory, plan, notes, {"tubes": tubes, "base_by_hand_ul": plan.base_by_hand_ul})
    return replace(made, tubes=plan.tubes, vessel_labels=plan.vessel_labels), tubes_csv(plan.tubes)


def _refuse_of_plates(asked: _Asked) -> None:
    """Refuse options that mean something for plates only."""
    from nkloop.errors import PlanError

    given = {
        "--replicates": (asked.replicates != 1, "name the cord unit of each bag in --donors"),
        "--outer": (asked.outer != "use", "leave it out"),
        "--plate": (asked.plate != "culture-1", "leave it out: bags are named after donor and arm"),
    }
    for option, (is_given, remedy) in given.items():
        if is_given:
            raise PlanError(f"{option} is about wells of a plate, {asked.vessel} has none", where=option, remedy=remedy)


def _tube_notes(tubes: tuple[DoseTubeFilling, ...], n_parts: int) -> tuple[str, ...]:
    """One sentence per tube, and once what stands on all their labels."""
    if not tubes:
        return ()
    label = tubes[0].label
    common = f"Labels: {label.step}; prepared {label.prepared:%Y-%m-%d %H:%M}, use by {label.expires}."
    return (*(_tube_note(one, n_parts) for one in tubes), common)


def _tube_note(tube: DoseTubeFilling, n_parts: int) -> str:
    part = f", part {tube.part}" if n_parts > 1 else ""
    return (
        f"Tube {tube.well} ({tube.rack}{part}) for {tube.label.batch}: {tube.label.content}; "
        f"{tube.delivered_ul / 1000:.4g} mL of it reach the vessel, which then holds {tube.final_ul / 1000:.4g} mL."
    )


def _answer_of(
    found: Workspace, file: BenchFile, inventory: Inventory, plan: Any, notes: tuple[str, ...], more: dict[str, Any]
) -> Planned:
    from nkloop.cli.plan.planned import Planned, protocol_of
    from nkloop.runs.costs import plan_cost
    from nkloop.runs.stock_use import take_out
    from nkloop.worklists.duration import estimate_minutes
    from nkloop.worklists.parts import between_notes

    parts = tuple(part.worklist for part in plan.parts)
    cost = plan_cost(inventory, plan.lots)
    return Planned(
        title=parts[0].name if len(parts) == 1 else parts[0].name.rpartition(", part")[0],
        parts=parts,
        composition=plan.composition,
        lots=plan.lots,
        warnings=plan.warnings,
        notes=(*notes, *plan.notes, *between_notes(plan.parts)),
        verdicts=(),
        protocol=protocol_of(parts, found),
        robot_minutes=tuple(estimate_minutes(part, file.deck) for part in parts),
        price_eur=None if cost.without_price else round(cost.eur, 2),
        unpriced=cost.without_price,
        take_out=take_out(inventory, parts),
        deck=file.deck,
        simulated=file.simulated,
        more=more,
    )


def _with_present(wanted: Wanted, asked: _Asked, vessels: Any, kind: str) -> Wanted:
    from nkloop.worklists.dosing_request import added_ingredients
    from nkloop.worklists.present_table import read_present

    if asked.present is None:
        return wanted
    added = added_ingredients(wanted.recipe, wanted.stage, wanted.components, wanted.name)
    return replace(wanted, present=read_present(asked.present, added, vessels, kind))


def _action(wanted: Wanted, asked: _Asked) -> Action:
    from typing import cast, get_args

    from nkloop.errors import PlanError
    from nkloop.worklists.stage_day import Action, action_of_day

    day = wanted.stage.start_day if asked.day is None else asked.day
    by_day = action_of_day(wanted.stage, day, has_contents=bool(wanted.present))
    if asked.action is None:
        return by_day
    if asked.action not in get_args(Action):
        known = ", ".join(get_args(Action))
        raise PlanError(f"there is no action '{asked.action}'", where="action", remedy=f"use one of: {known}")
    return cast("Action", asked.action)


def _outer(text: str) -> OuterWells:
    from typing import cast, get_args

    from nkloop.errors import PlanError
    from nkloop.worklists.positions import OuterWells

    if text not in get_args(OuterWells):
        raise PlanError(f"'{text}' is no policy for outer wells", where="outer", remedy="use use, medium or avoid")
    return cast("OuterWells", text)


def _volume(text: str | None) -> float | None:
    from nkloop.errors import PlanError
    from nkloop.quantities import Amount, Kind

    if text is None:
        return None
    amount = Amount.parse(text)
    if amount.kind is not Kind.VOLUME or amount.canonical <= 0:
        raise PlanError(f"'{text}' is not a volume above 0", where="volume", remedy='write it like "1.5 mL"')
    return amount.canonical
