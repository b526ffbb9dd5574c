"""What a design asks of the laboratory: cells, and the time to give them to the plate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nkloop.assays.designs.models import CellDemand, Dispensing
from nkloop.assays.layouts.build import WITH_TARGETS
from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout

VOLUME_UL = 100.0
"""Effectors or targets per well."""
OVERAGE = 1.1
"""Cells prepared for every cell dispensed."""
DEAD_VOLUME_UL = {"effector": 200.0, "target": 3000.0}
"""What stays in a tube of effectors and in a trough of targets."""


def demand(layouts: Sequence[PlateLayout]) -> tuple[CellDemand, ...]:
    """Cells of every effector preparation and every line over all plates."""
    viable = {one.name: one.viability_percent for layout in layouts for one in _preparations(layout)}
    effectors: dict[str, list[float]] = {}
    targets: dict[str, list[float]] = {}
    for layout in layouts:
        for well in layout.wells:
            if well.sample is not None and well.nominal_ratio is not None:
                effectors.setdefault(well.sample, []).append(well.nominal_ratio * layout.targets_per_well)
            if well.role in WITH_TARGETS:
                targets.setdefault(layout.line_of(well), []).append(layout.targets_per_well)
    needs = [_needed(name, "effector", cells, viable.get(name, 100.0)) for name, cells in effectors.items()]
    return (*needs, *(_needed(name, "target", cells, 100.0) for name, cells in targets.items()))


def _preparations(layout: PlateLayout) -> tuple[EffectorSample, ...]:
    return layout.samples if layout.reference is None else (*layout.samples, layout.reference)


def _needed(name: str, role: Literal["effector", "target"], cells: Sequence[float], viable: float) -> CellDemand:
    """Dead volume is counted at the highest concentration: the tube the dilutions are made from."""
    left_over = DEAD_VOLUME_UL[role] / VOLUME_UL * max(cells)
    needed = OVERAGE * sum(cells) + left_over
    return CellDemand(
        name=name,
        role=role,
        wells=len(cells),
        cells_in_wells=sum(cells),
        cells_needed=needed,
        viable_needed=needed * viable / 100,
        beyond=f"{100 * (OVERAGE - 1):.0f} % overage and {DEAD_VOLUME_UL[role]:g} µL that stay behind, by hand",
    )


def stagger(wells: Sequence[LayoutWell], dispensing: Dispensing) -> float:
    """Minutes between the first and the last stroke that gives effectors to a plate.

    Eight channels serve up to eight wells of one column at once; on a 384-well plate a column takes two strokes.
    """
    columns: dict[str, int] = {}
    for well in wells:
        if well.sample is not None:
            columns[well.well[1:]] = columns.get(well.well[1:], 0) + 1
    strokes = sum(-(-count // dispensing.channels) for count in columns.values())
    return max(strokes - 1, 0) * dispensing.seconds / 60
