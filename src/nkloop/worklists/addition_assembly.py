"""From what a person says to the request of an addition, and its table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from nkloop.errors import PlanError, Problem
from nkloop.worklists.addition_plans import AdditionPlan, AdditionRequest, AdditionVessel
from nkloop.worklists.dosing_assembly import PLATES, Wanted, bag_names
from nkloop.worklists.plans import CulturePosition


def addition_request(
    wanted: Wanted,
    step_id: str,
    *,
    vessel: str,
    positions: Sequence[CulturePosition],
    barcode: str,
    tube: str,
    dose_ul: float,
    cells_out_minutes: float,
) -> AdditionRequest:
    """The request for one process step.

    Args:
        wanted: recipe, stage, arms, donors and what the vessels hold.
        step_id: the process step.
        vessel: kind of plate or bag as people name it.
        positions: wells of a plate; none for bags.
        barcode: of the plate.
        tube: dose tube, for bags.
        dose_ul: volume a tube brings into its bag.
        cells_out_minutes: longest time of cells outside the incubator.

    Raises:
        PlanError: a vessel has no cell count; every one is named.
    """
    problems: list[Problem] = []
    vessels = tuple(_vessels(wanted, positions, problems))
    if problems:
        raise PlanError.from_problems(problems)
    return AdditionRequest(
        name=f"{step_id} {wanted.stage.id}",
        recipe=wanted.recipe,
        stage_id=wanted.stage.id,
        step_id=step_id,
        arms=wanted.arms,
        vessels=vessels,
        plate_barcode=barcode if positions else "",
        plate_load_name=PLATES[vessel] if positions else "",
        tube=tube,
        dose_ul=dose_ul,
        use_until=wanted.use_until,
        cells_out_minutes=cells_out_minutes,
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
        yield AdditionVessel(
            vessel=name, arm=arm, donor=donor, volume_ul=held.volume_ul, cells_per_ul=held.cells_per_ul
        )


def additions_csv(plan: AdditionPlan) -> str:
    """What every vessel gets, one line each; vessels whose arm leaves the step out get 0 µL."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["part", "vessel", "arm", "donor", "cells", "wanted", "unit", "stock_ul", "volume_ul", "tube"])
    for one in plan.additions:
        told = [one.part, one.vessel, one.arm, one.donor, f"{one.cells:.6g}", one.wanted, one.unit]
        writer.writerow([*told, f"{one.stock_ul:.6g}", one.volume_ul, one.tube])
    for vessel in plan.without:
        writer.writerow(["", vessel, "", "", "", 0, "", 0, 0, ""])
    return out.getvalue()
