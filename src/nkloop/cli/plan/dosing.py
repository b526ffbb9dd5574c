"""`nkloop plan dosing`: cytokine variants dosed to culture plates, or prepared in dose tubes for closed bags."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, write_file
from nkloop.cli.plan.answer import CsvOption, LotsOption, MaxBiasOption, MaxCvOption, answer, error_limits
from nkloop.cli.plan.bench_clock import bench_now
from nkloop.cli.plan.dosing_options import (
    ActionOption,
    AimOption,
    ArmsOption,
    Asked,
    BatchOption,
    CampaignOption,
    CellsOutOption,
    ConstantOption,
    DayOption,
    DonorsOption,
    DoseOption,
    FactorialOption,
    FromStageOption,
    FromVesselOption,
    GeneratorOption,
    HoursOption,
    OuterOption,
    PlateOption,
    PositionMapOption,
    PresentAsToldOption,
    PresentOption,
    RecipeOption,
    ReplicatesOption,
    SeedOption,
    StageOption,
    StepOption,
    SuspendedOption,
    ThawedOption,
    TubeOption,
    VesselOption,
    VolumeOption,
)
from nkloop.cli.plan.own_stock import planned_with_own, usable
from nkloop.cli.plan.papers import LabelsOption, SheetOption
from nkloop.cli.plan.reserving import HOLD, HoldOption, ReserveByOption, ReserveOption, reservation

if TYPE_CHECKING:
    from nkloop.cli.plan.planned import Planned
    from nkloop.drivers.bench_file import BenchFile
    from nkloop.errors import Problem
    from nkloop.feedback.models import Arm
    from nkloop.labware import Catalogue
    from nkloop.recipes.models import Recipe
    from nkloop.worklists.dosing_assembly import Wanted
    from nkloop.workspace import Workspace


def dosing(
    recipe: RecipeOption,
    stage: StageOption,
    vessel: VesselOption,
    donors: DonorsOption,
    arms: ArmsOption = None,
    factorial: FactorialOption = None,
    generator: GeneratorOption = None,
    campaign: CampaignOption = None,
    day: DayOption = None,
    action: ActionOption = None,
    step: StepOption = None,
    volume: VolumeOption = None,
    present: PresentOption = None,
    present_as_told: PresentAsToldOption = None,
    hours: HoursOption = 0.0,
    replicates: ReplicatesOption = 1,
    outer: OuterOption = "use",
    cells_out: CellsOutOption = None,
    thawed: ThawedOption = None,
    plate: PlateOption = "culture-1",
    dose: DoseOption = "5 mL",
    from_vessel: FromVesselOption = "bag",
    from_stage: FromStageOption = None,
    constant: ConstantOption = "auto",
    aim: AimOption = "vessel",
    suspended_in: SuspendedOption = None,
    tube: TubeOption = "dose-15",
    seed: SeedOption = 1,
    position_map: PositionMapOption = None,
    max_cv: MaxCvOption = None,
    max_bias: MaxBiasOption = None,
    lots: LotsOption = None,
    csv: CsvOption = None,
    sheet: SheetOption = None,
    labels: LabelsOption = None,
    batch: BatchOption = "",
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
    asked = Asked(
        recipe, stage, vessel, _listed(donors), arms, factorial, tuple(generator or ()), campaign, day, action, step,
        volume, present, present_as_told, hours, replicates, outer, cells_out, thawed, plate, dose, from_vessel,
        from_stage, constant, aim, suspended_in, tube, seed, max_cv, max_bias, lots, bench,
    )  # fmt: skip
    planned, map_text = asyncio.run(_planned(found, catalogue, asked))
    if batch := batch.strip():
        planned = replace(planned, more={**planned.more, "batch": batch})
    planned = usable(found, bench, planned, batch)
    answer(planned, catalogue, csv=csv, json_output=json_output, sheet=sheet, labels=labels, reserve=wish)
    if position_map is not None:
        write_file(position_map, map_text)


async def _planned(found: Workspace, catalogue: Catalogue, asked: Asked) -> tuple[Planned, str]:
    from nkloop.cli.plan.dosing_plans import Planning
    from nkloop.cli.plan.planned import verified
    from nkloop.drivers.bench import load_bench_file
    from nkloop.errors import PlanError
    from nkloop.recipes import find_recipe
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import planning_lots
    from nkloop.worklists.arm_levels import range_warnings

    file = load_bench_file(bench_path(found, asked.bench))
    inventory = planning_lots(found, asked.bench, lots=asked.lots, at=bench_now(found, asked.bench))
    recipe = find_recipe(found.recipes, asked.recipe)
    until = (bench_now(found, asked.bench) + timedelta(days=1)).date()
    wanted, notes = _wanted(found, recipe, asked, until, file, {lot.component for lot in inventory.lots})
    planning = Planning(found, catalogue, file, asked)
    slips = range_warnings(recipe, asked.stage, wanted.arms)
    try:
        (planned, text), _, own = planned_with_own(
            found,
            asked.bench,
            inventory,
            lambda stock: planning.plan(stock, wanted),
            lambda made: made[0].parts,
        )
    except PlanError as error:
        error.problems = tuple(_with_slips(problem, slips) for problem in error.problems)
        raise
    notes = (*notes, *own)
    if asked.step is None:
        told, base = _base_notes(wanted, planned, asked, catalogue)
        notes = (*notes, *_steps_of_day(wanted, asked), *told)
        planned = replace(planned, more={**planned.more, **base})

    verdicts = await verified(planned.parts, found, catalogue, file)
    unverified = [i.component for i in recipe.stage(asked.stage).medium.ingredients if i.verified_by is None]
    told = (f"published values nobody has verified yet: {', '.join(unverified)}",) if unverified else ()
    warnings = (*slips, *planned.warnings, *told)
    return replace(planned, verdicts=verdicts, notes=(*notes, *planned.notes), warnings=warnings), text


def _with_slips(problem: Problem, slips: tuple[str, ...]) -> Problem:
    """A refusal about a component with what is implausible about it: a slip of its unit is the likely reason."""
    words = f"{problem.where} {problem.message}".replace(",", " ").replace(":", " ").split()
    told = [slip for slip in slips if f" of {problem.where} " in slip or any(f" of {word} " in slip for word in words)]
    return replace(problem, remedy="; or ".join([*told, problem.remedy])) if told else problem


def _listed(donors: str) -> tuple[str, ...]:
    """Names between commas, also those that stand twice."""
    return tuple(name for part in donors.split(",") if (name := part.strip()))


def _wanted(
    found: Workspace, recipe: Recipe, asked: Asked, use_until: Any, file: BenchFile, at_hand: set[str]
) -> tuple[Wanted, tuple[str, ...]]:
    from nkloop.errors import PlanError
    from nkloop.worklists.allowed_errors import limits_sentence
    from nkloop.worklists.donor_names import HOW, name_fault
    from nkloop.worklists.dosing_assembly import Wanted
    from nkloop.worklists.dosing_request import stage_of
    from nkloop.worklists.models import MOST_HOURS

    stage = stage_of(recipe, asked.stage, "stage")
    arms, notes = _arms(found, recipe, asked, at_hand)
    if not asked.donors:
        raise PlanError("no donor is named", where="donors", remedy="write --donors U1,U2")
    if twice := sorted(name for name, times in Counter(asked.donors).items() if times > 1):
        told = f"{', '.join(twice)} stands there more than once, and each donor is one block of positions"
        raise PlanError(told, where="donors", remedy="name each donor once; wells of each arm and donor: --replicates")
    if wrong := [fault for name in asked.donors if (fault := name_fault(name))]:
        raise PlanError(f"{', '.join(wrong)} of a donor", where="donors", remedy=HOW)
    if not 0 <= asked.hours <= MOST_HOURS:
        told = f"{asked.hours:g} h ago is longer than the {MOST_HOURS:g} h a plan can look back"
        raise PlanError(told, where="hours", remedy="count and measure what is present anew, or correct --hours")
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


def _arms(found: Workspace, recipe: Recipe, asked: Asked, at_hand: set[str]) -> tuple[tuple[Arm, ...], tuple[str, ...]]:
    from nkloop.errors import PlanError
    from nkloop.worklists.arm_table import read_arm_table
    from nkloop.worklists.arms import complete_arms, factorial_arms

    ways = [way for way in (asked.arms, asked.factorial, asked.campaign) if way is not None]
    if len(ways) > 1:
        raise PlanError("arms are given in two ways", where="arms", remedy="use one of --arms, --factorial, --campaign")
    if asked.arms is not None:
        arms = read_arm_table(asked.arms, recipe, asked.stage, more=at_hand)
        return arms, _levels(recipe, arms)
    if asked.factorial is not None:
        arms, design = factorial_arms(recipe, asked.stage, asked.factorial, asked.generators, more=at_hand)
        told = f"Arms: {design.sentence}, and the reference{_controls(arms)}."
        return arms, (told, *_levels(recipe, arms))
    if asked.campaign is not None:
        return _campaign_arms(found, asked.campaign, recipe)
    arms = complete_arms(recipe, asked.stage, ())
    return arms, (f"Arms: the reference{_controls(arms) or ' alone'}.",)


def _levels(recipe: Recipe, arms: tuple[Arm, ...]) -> tuple[str, ...]:
    """What stands behind the name of each arm."""
    from nkloop.worklists.arms import REFERENCE, levels_told

    varied = [arm for arm in arms if arm.origin != "control" and arm.name != REFERENCE]
    return tuple(f"{arm.name}: {levels_told(recipe, arm)}." for arm in varied)


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

    arms = with_controls(recipe, rounds[-1].arms)
    return arms, (f"Arms: round {rounds[-1].number} of campaign {campaign}.", *_levels(recipe, arms))


def _steps_of_day(wanted: Wanted, asked: Asked) -> tuple[str, ...]:
    """What else the recipe does on the day, which this plan does not."""
    day = asked.day_in(wanted.stage)
    steps = [step for step in wanted.stage.process if step.day == day]
    if not steps:
        return ()
    added = [step.id for step in steps if step.kind == "add"]
    more = f"; plan {', '.join(added)} with --step, each when the run before it is over" if added else ""
    return (f"Day {day:g} also has: {', '.join(step.title for step in steps)}{more}.",)


def _base_notes(
    wanted: Wanted, planned: Planned, asked: Asked, catalogue: Catalogue
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Which base medium has to stand there and the command that makes it; the same as data for `nkloop run`."""
    import shlex

    from nkloop.worklists.bag_beginnings import prepared_ml
    from nkloop.worklists.base_medium import order_in
    from nkloop.worklists.dosing_event import BASE
    from nkloop.worklists.medium_vessels import container_of

    first, names = planned.parts[0], planned.more["dosed"]
    by_hand = float(planned.more.get("base_by_hand_ul", 0.0))
    order, shares = order_in(first, wanted.stage, names, by_hand, catalogue), ""
    if order is None:
        return (), {}
    on_deck = f"{next(one.volume_ul for one in first.fillings if one.labware == BASE) / 1000:.4g} mL"
    if by_hand:
        for_deck = order.volume.to("mL") - prepared_ml(by_hand)
        shares = (
            f", in one batch ({for_deck:.4g} mL for the deck, {prepared_ml(by_hand):g} mL for people and their lines)"
        )
    words = ["nkloop", "plan", "medium", asked.recipe, "--stage", order.stage_id, "--volume", f"{order.volume}"]
    words += [word for name in order.omit for word in ("--leave-out", name)]
    words += ["--barcode", order.barcode, "--container", container_of(order.load_name)]
    within = planned.more.get("base_within", {})
    limits = {
        "--max-cv": within.get("cv_percent", asked.max_cv),
        "--max-bias": within.get("bias_percent", asked.max_bias),
    }
    given = {**limits, "--lots": asked.lots}
    words += [word for option, value in given.items() if value is not None for word in (option, f"{value}")]
    words += [] if asked.bench == "virtual" else ["--bench", asked.bench]
    lacks = f"without {', '.join(names)}, which the arms add" if names else "complete"
    command = shlex.join(words)
    why = ", as accurate as the vessels need it" if within else ""
    asked_for = f"{order.volume} of {order.stage_id} {lacks}{shares}{why}"
    told = f"Base medium {order.barcode}: {asked_for}. Plan it with: `{command}`"
    known = next(iter(first.prepared), None)
    if known is not None and known.run:
        told = f"Base medium {order.barcode}: {on_deck} of {order.stage_id} {lacks} stand there, made by {known.run}."
    return (told,), {
        "base_medium": {
            "barcode": order.barcode,
            "load_name": order.load_name,
            "command": command,
            "errors": {} if known is None else known.model_dump(mode="json")["errors"],
            "errors_from": "" if known is None else known.origin,
            "prepared_by": "" if known is None else known.run,
        }
    }
