"""From what is to be tested to plates, cells and time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nkloop.assays.checks import check_layout
from nkloop.assays.designs.checks import check_request
from nkloop.assays.designs.contents import Unit, units_of, wells_of
from nkloop.assays.designs.models import Design, DesignRequest
from nkloop.assays.designs.needs import demand, stagger
from nkloop.assays.designs.places import placed, places
from nkloop.assays.layout import capacity, lay_out
from nkloop.assays.methods import Method, method_named
from nkloop.assays.models import PlateLayout
from nkloop.errors import AssayError

ROBOT_RATIOS = 6


def design(request: DesignRequest, method: Method | None = None) -> Design:
    """Lay a killing assay out over as many plates as it needs, every plate with all its controls.

    Raises:
        AssayError: the request makes no sense, does not fit a plate, or takes too long to dispense.
    """
    method = method or method_named(request.method)
    check_request(request, method)
    obstacle = robot_obstacle(request)
    if request.arrangement == "columns" and obstacle:
        raise AssayError(
            f"the robot's map cannot hold this design: {obstacle}",
            where="--arrangement",
            remedy="use --arrangement blocks, for hand pipetting",
        )
    use_columns = request.arrangement == "columns" or (request.arrangement == "auto" and not obstacle)
    layouts = _columns(request) if use_columns else _blocks(request, method)
    longest = max(stagger(layout.wells, request.dispensing) for layout in layouts)
    warnings = [*_stagger_warnings(longest, request, method), *_warnings(request)]
    layouts = tuple(
        layout.model_copy(update={"stagger_minutes": stagger(layout.wells, request.dispensing)}) for layout in layouts
    )
    for layout in layouts:
        check_layout(layout, method)
    return Design(
        layouts=layouts,
        demand=demand(layouts),
        stagger_minutes=longest,
        can_run_on_robot=use_columns,
        robot="the map is the one the robot planner knows: plan it with `nkloop plan cytotoxicity`"
        if use_columns
        else f"for hand pipetting, the robot planner cannot plan it yet: {obstacle or 'wells are placed in blocks'}",
        warnings=tuple(warnings),
    )


def robot_obstacle(request: DesignRequest) -> str:
    """Why the robot planner cannot plan this design; empty when it can."""
    if request.kind != "killing":
        return f"it plans killing only, not {request.kind}"
    if request.method != "ldh":
        return f"it plans LDH release only, not {request.method}"
    if request.plate_wells != 96:
        return "it plans plates of 96 wells only"
    if len(request.lines) > 1:
        return "it plans one target line per plate"
    if request.edge != "ring":
        return "it keeps the outer ring for medium"
    if len(request.ratios) > ROBOT_RATIOS:
        return f"it plans at most {ROBOT_RATIOS} E:T"
    try:
        capacity(len(request.ratios), replicates=request.replicates, effector_replicates=request.effector_replicates)
    except AssayError as error:
        return error.problems[0].message
    return ""


def _columns(request: DesignRequest) -> tuple[PlateLayout, ...]:
    per_plate = capacity(
        len(request.ratios), replicates=request.replicates, effector_replicates=request.effector_replicates
    )
    n_plates = -(-len(request.samples) // per_plate)
    return lay_out(
        request.samples,
        reference=request.reference,
        method=request.method,
        target_line=request.lines[0],
        barcodes=[f"{request.name}-{number}" for number in range(1, n_plates + 1)],
        ratios=request.ratios,
        replicates=request.replicates,
        effector_replicates=request.effector_replicates,
        targets_per_well=request.targets_per_well,
        contact_minutes=request.contact_minutes,
        seed=request.seed,
    )


def _blocks(request: DesignRequest, method: Method) -> tuple[PlateLayout, ...]:
    room = len(places(request.plate_wells, request.edge))
    groups: list[list[Unit]] = []
    for unit in units_of(request):
        if groups and _count([*groups[-1], unit], request, method) <= room:
            groups[-1].append(unit)
            continue
        needed = _count([unit], request, method)
        if needed > room:
            raise AssayError(
                f"{unit.title} needs {needed} wells with its controls, a plate of {request.plate_wells} has {room}"
                f"{' beside the ring' if request.edge == 'ring' else ''}",
                where=f"design, kind {request.kind}",
                remedy="use --plate 384, fewer E:T, doses or replicates, or --edge all",
            )
        groups.append([unit])
    return tuple(_plate(number, units, request, method) for number, units in enumerate(groups, start=1))


def _count(units: Sequence[Unit], request: DesignRequest, method: Method) -> int:
    return len(wells_of(units, request, method, several=True))


def _plate(number: int, units: Sequence[Unit], request: DesignRequest, method: Method) -> PlateLayout:
    lines = tuple(dict.fromkeys(line for unit in units for line in unit.lines))
    samples = tuple({s.name: s for unit in units for s in unit.samples}.values())
    wells = wells_of(units, request, method, several=len(lines) > 1)
    chance = None if request.seed is None else random.Random(f"{request.seed}/{number}")
    treatments = {t.treatment.name: t.treatment for unit in units for t in unit.treatments}
    return PlateLayout(
        kind=request.kind,
        plate_wells=request.plate_wells,
        barcode=f"{request.name}-{number}",
        method=request.method,
        target_line=lines[0],
        targets_per_well=request.targets_per_well,
        contact_minutes=request.contact_minutes,
        ratios=request.ratios,
        samples=samples,
        reference=request.reference,
        wells=placed(wells, request.plate_wells, request.edge, chance),
        seed=request.seed,
        treatments=tuple(treatments[name] for name in sorted(treatments)),
        antigen_negative=tuple(sorted(set(request.antigen_negative) & set(lines))),
    )


def _stagger_warnings(minutes: float, request: DesignRequest, method: Method) -> list[str]:
    """Flag a stagger beyond its limit; refuse one that puts the last well outside the contact window.

    Raises:
        AssayError: no well order could keep every well within the window.
    """
    window = method.contact.high_minutes - method.contact.low_minutes
    how = f"{request.dispensing.channels} wells at once, {request.dispensing.seconds:g} s each"
    if minutes > window:
        raise AssayError(
            f"giving effectors takes about {minutes:.0f} min ({how}), the contact window is {window:g} min wide",
            where="dispensing",
            remedy="use 8 channels, a faster stroke or fewer wells per plate",
        )
    limit = method.limit("stagger")
    share = 100 * minutes / request.contact_minutes
    if limit.judge(share) == "pass":
        return []
    return [f"giving effectors takes about {minutes:.1f} min ({how}), {share:.1f} % of the contact, limit {limit.text}"]


def _warnings(request: DesignRequest) -> list[str]:
    found = []
    if request.seed is None:
        found.append("wells are in fixed order; give --seed to randomise them")
    for what, whole in (
        ("purity", [s.name for s in request.samples if s.purity_percent == 100]),
        ("viability", [s.name for s in request.samples if s.viability_percent == 100]),
    ):
        if whole:
            found.append(f"the {what} of {', '.join(whole)} is taken as 100 %: the true E:T counts on it, fill it in")
    if request.reference is None:
        found.append("no reference effector: the assay itself is not watched over time")
    return found
