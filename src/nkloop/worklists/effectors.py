"""Serial dilution of one effector sample in the deep-well block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nkloop.assays.models import LayoutWell
from nkloop.errors import PlanError
from nkloop.labware.models import LabwareType
from nkloop.worklists.plans import EffectorTube

OVERAGE = 0.10
"""Share of each dilution made in addition to what the assay wells take."""


@dataclass(frozen=True)
class SeriesStep:
    """One dilution: `take_ul` of the one before (first: the tube) into `medium_ul`."""

    ratio: float
    well: str
    take_ul: float
    medium_ul: float
    serves: tuple[str, ...]
    """Assay wells, in plate order."""


@dataclass
class Series:
    """All dilutions of one sample, highest E:T first."""

    sample: str
    steps: tuple[SeriesStep, ...]
    tube: tuple[str, str] = ("", "")

    @property
    def key(self) -> str:
        """Component name of the cells."""
        return f"effector:{self.sample}"

    @property
    def take_ul(self) -> float:
        """Volume taken out of the sample's tube."""
        return self.steps[0].take_ul


def plan_series(
    tube: EffectorTube,
    wells: Sequence[LayoutWell],
    index: int,
    targets_per_well: float,
    effector_ul: float,
    block: LabwareType,
    minimum_ul: float,
) -> Series:
    """Volumes of a series, from the lowest E:T back to the tube.

    Args:
        tube: the sample and its density.
        wells: assay wells that take this sample, each with its nominal E:T.
        index: number of the sample, which gives its row in the block.
        targets_per_well: target cells in one well.
        effector_ul: volume each well takes.
        block: the deep-well block.
        minimum_ul: smallest volume the pipette moves reliably.

    Raises:
        PlanError: the sample is too thin, or a dilution does not fit a well.
    """
    serves: dict[float, list[str]] = {}
    for well in wells:
        if well.nominal_ratio is None:
            raise PlanError(
                f"well {well.well} of {tube.sample} has no E:T", where=tube.sample, remedy="lay the plate out anew"
            )
        serves.setdefault(well.nominal_ratio, []).append(well.well)
    ratios = sorted(serves, reverse=True)
    densities = [ratio * targets_per_well / effector_ul for ratio in ratios]
    if tube.cells_per_ul < densities[0] * 0.999:
        raise PlanError(
            f"{tube.sample} has {tube.cells_per_ul:g} cells/µL, E:T {ratios[0]:g} needs {densities[0]:g} cells/µL",
            where=tube.sample,
            remedy="concentrate the effectors, lower the highest E:T, or use fewer targets per well",
        )
    names = _wells(tube.sample, index, len(ratios), block)
    steps: list[SeriesStep] = []
    onward = 0.0
    before = [tube.cells_per_ul, *densities]
    for number in range(len(ratios) - 1, -1, -1):
        ratio = ratios[number]
        used = len(serves[ratio]) * effector_ul * (1 + OVERAGE) + block.dead_volume_ul + onward
        share = min(1.0, densities[number] / before[number])
        # Neither the cells nor the medium may fall below what the pipette does; a density within 1 % is taken as it is.
        total = max(used, minimum_ul / share)
        if 0 < total * (1 - share) < minimum_ul:
            total = minimum_ul / (1 - share) if share < 0.99 else total
        take = round(total * share, 2)
        medium = round(total - take, 2)
        if medium < minimum_ul:
            take, medium = round(total, 2), 0.0
        if total > block.working_volume_ul:
            raise PlanError(
                f"the E:T {ratio:g} dilution of {tube.sample} needs {total:.0f} µL, a well holds "
                f"{block.working_volume_ul:g} µL",
                where=tube.sample,
                remedy="use fewer replicates on the plate",
            )
        steps.append(SeriesStep(ratio, names[number], take, medium, tuple(sorted(serves[ratio], key=_plate_order))))
        onward = take
    return Series(tube.sample, tuple(reversed(steps)))


def _wells(sample: str, index: int, number: int, block: LabwareType) -> list[str]:
    """A row per sample; two samples share a row when each has at most half of it."""
    per_row = max(1, block.columns // number) if number <= block.columns else 0
    if not per_row or index >= block.rows * per_row:
        raise PlanError(
            f"no room for {number} dilutions of {sample} in the block",
            where=sample,
            remedy="use fewer samples or ratios",
        )
    row, bank = index % block.rows, index // block.rows
    return [f"{'ABCDEFGHIJKLMNOP'[row]}{bank * number + column}" for column in range(1, number + 1)]


def _plate_order(well: str) -> tuple[int, str]:
    return int(well[1:]), well[0]
