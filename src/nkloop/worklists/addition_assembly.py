"""From what a person says to the request of an addition, and its table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime

from nkloop.errors import PlanError, Problem
from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.addition_plans import AdditionPlan, AdditionRequest, AdditionVessel
from nkloop.worklists.dosing_assembly import Wanted, bag_names
from nkloop.worklists.held_bags import held_in
from nkloop.worklists.models import THAWED_MINUTES
from nkloop.worklists.plans import CulturePosition
from nkloop.worklists.recipe_arms import process_step


def addition_request(
    wanted: Wanted,
    step_id: str,
    *,
    vessel: str,
    positions: Sequence[CulturePosition],
    plate_load_name: str,
    barcode: str,
    tube: str,
    dose_ul: float,
    cells_out_minutes: float,
    bags: BagCatalogue,
    prepared: datetime,
    thawed_minutes: float = THAWED_MINUTES,
    day: float | None = None,
) -> AdditionRequest:
    """The request for one process step.

    Args:
        wanted: recipe, stage, arms, donors and what the vessels hold.
        step_id: the process step.
        vessel: kind of bag as people name it; not used for a plate.
        positions: wells of a plate; none for bags.
        plate_load_name: its labware; empty for bags.
        barcode: of the plate.
        tube: dose tube, for bags.
        dose_ul: volume a tube brings into its bag.
        cells_out_minutes: longest time of cells outside the incubator.
        bags: kinds of closed vessels.
        prepared: time on the labels of dose tubes.
        thawed_minutes: longest time from the freezer to the last culture.
        day: day that was asked for; None takes that of the step.

    Raises:
        PlanError: a vessel has no cell count (every one is named), the step belongs to another day, or no closed
            vessel of that name or for what is in it is known.
    """
    problems: list[Problem] = []
    found = tuple(_vessels(wanted, positions, problems))
    if problems:
        raise PlanError.from_problems(problems)
    if not positions:
        kinds = {
            held.label or name: held_in(bags, vessel, held.label or name, held).name
            for name, held in wanted.present.items()
        }
        found = tuple(one.model_copy(update={"kind": kinds[one.vessel]}) for one in found)
    step = process_step(wanted.recipe, wanted.stage.id, step_id)
    own_day = step.day
    if day is not None and day != own_day:
        raise PlanError(
            f"step {step_id} belongs to day {own_day:g}, day {day:g} was asked for",
            where="day",
            remedy="leave --day out, or change the day of the step in a revision of the recipe",
        )
    return AdditionRequest(
        name=f"{step.title}, {wanted.stage.id}, day {own_day:g}",
        recipe=wanted.recipe,
        stage_id=wanted.stage.id,
        step_id=step_id,
        arms=wanted.arms,
        vessels=found,
        plate_barcode=barcode if positions else "",
        plate_load_name=plate_load_name,
        tube=tube,
        dose_ul=dose_ul,
        use_until=wanted.use_until,
        cells_out_minutes=cells_out_minutes,
        thawed_minutes=thawed_minutes,
        prepared=prepared,
        seed=wanted.seed,
        error_limits=wanted.error_limits,
    )


def _vessels(wanted: Wanted, positions: Sequence[CulturePosition], problems: list[Problem]) -> Iterator[AdditionVessel]:
    named = [(one.well, one.arm, one.donor) for one in positions]
    if not positions:
        order = ((donor, arm.name) for donor in wanted.donors for arm in wanted.arms)
        named = [(name, arm, donor) for name, (donor, arm) in zip(bag_names(wanted), order, strict=True)]
    for name, arm, donor in named:
        held = wanted.present[name]
        if not held.cells_per_ul:
            problems.append(Problem("has no cell count above 0", f"vessel {name}", "count it; fill the column cells"))
            continue
        named_as = {"vessel": held.label or name, "arm": arm, "donor": donor}
        yield AdditionVessel(**named_as, volume_ul=held.volume_ul, cells_per_ul=held.cells_per_ul)


def additions_csv(plan: AdditionPlan) -> str:
    """What every vessel gets, one line each: the component, or as a control its carrier alone."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["part", "vessel", "arm", "donor", "cells", "wanted", "unit", "liquid", "stock_ul", "volume_ul"]
    writer.writerow([*head, "thinned_percent", "tube"])
    for one in plan.additions:
        told = [one.part, one.vessel, one.arm, one.donor, f"{one.cells:.0f}", one.wanted, one.unit]
        given = [one.liquid, f"{one.stock_ul:.6g}", one.volume_ul, one.thinned_percent, one.tube]
        writer.writerow([*told, *given])
    return out.getvalue()
