"""Serial dilution of one effector sample in the deep-well block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nkloop.errors import PlanError
from nkloop.labware.models import LabwareType
from nkloop.worklists.builder import DeckFullError
from nkloop.worklists.plans import EffectorTube
from nkloop.worklists.plate_columns import OVERAGE

FRUGAL = 1.10
"""Most that a series with equal medium in all its wells may take of the tube, compared with the smallest it can."""
THINNEST = 0.99
"""A dilution to a larger share than this is not made: a density within 1 % is taken as it is."""


class PlateTooLargeError(DeckFullError):
    """A plate takes more of a block well or of a sample than there is; a plan without block columns takes less."""


@dataclass(frozen=True, slots=True)
class Level:
    """What one E:T of a sample has to supply."""

    ratio: float
    well: str
    """Block well in which the dilution is made."""
    column_ul: float = 0.0
    """Volume that must be left in it for eight channels, dead volume included."""
    copies: tuple[tuple[str, float], ...] = ()
    """Other block wells that get the same suspension, with their volumes."""
    serves: tuple[str, ...] = ()
    """Assay wells given one by one, in plate order."""


@dataclass(frozen=True, slots=True)
class SeriesStep:
    """One dilution: `take_ul` of the one before (first: the tube) into `medium_ul`."""

    level: Level
    take_ul: float
    medium_ul: float

    @property
    def ratio(self) -> float:
        """Nominal E:T."""
        return self.level.ratio

    @property
    def well(self) -> str:
        """Block well."""
        return self.level.well


@dataclass
class Series:
    """All dilutions of one sample, highest E:T first."""

    sample: str
    steps: tuple[SeriesStep, ...]
    base_ul: float = 0.0
    """Medium that every well of its block column gets at once; 0 when each gets its own volume."""
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
    levels: Sequence[Level],
    targets_per_well: float,
    effector_ul: float,
    block: LabwareType,
    minimum_ul: float,
    *,
    base_ul: float = 0.0,
) -> Series:
    """Volumes of a series, from the lowest E:T back to the tube.

    Args:
        tube: the sample and its density.
        levels: what every E:T has to supply, highest first.
        targets_per_well: target cells in one well.
        effector_ul: volume each well takes.
        block: the deep-well block.
        minimum_ul: smallest volume the pipette moves reliably.
        base_ul: medium eight channels could bring into all wells of the block column at once; it is used when it
            costs at most `FRUGAL` times the cells of the smallest series.

    Raises:
        PlanError: the sample is too thin.
        PlateTooLargeError: a dilution does not fit a well.
    """
    densities = [level.ratio * targets_per_well / effector_ul for level in levels]
    if tube.cells_per_ul < densities[0] * 0.999:
        raise PlanError(
            f"{tube.sample} has {tube.cells_per_ul:g} cells/µL, E:T {levels[0].ratio:g} needs {densities[0]:g} "
            "cells/µL",
            where=tube.sample,
            remedy="concentrate the effectors, lower the highest E:T, or use fewer targets per well",
        )
    before = [tube.cells_per_ul, *densities]
    shares = [min(1.0, density / thicker) for density, thicker in zip(densities, before, strict=False)]
    needs = [_need_ul(level, effector_ul, block.dead_volume_ul) for level in levels]
    frugal = _volumes(needs, shares, minimum_ul)
    equal = _volumes(needs, shares, minimum_ul, base_ul) if base_ul > 0 and max(shares) <= THINNEST else None
    if equal is not None and _fits(equal, block) and equal[0][0] <= FRUGAL * frugal[0][0]:
        chosen, base = equal, base_ul
    else:
        chosen, base = frugal, 0.0
    for level, (take, medium) in zip(reversed(levels), reversed(chosen), strict=True):
        if take + medium > block.working_volume_ul:
            raise PlateTooLargeError(
                f"the E:T {level.ratio:g} dilution of {tube.sample} needs {take + medium:.0f} µL, a well holds "
                f"{block.working_volume_ul:g} µL",
                where=tube.sample,
                remedy="use fewer replicates on the plate",
            )
    steps = tuple(SeriesStep(level, *volumes) for level, volumes in zip(levels, chosen, strict=True))
    return Series(tube.sample, steps, base)


def _need_ul(level: Level, effector_ul: float, dead_ul: float) -> float:
    """What a dilution gives apart from the next one, and what stays behind."""
    singles = len(level.serves) * effector_ul * (1 + OVERAGE)
    return singles + sum(volume for _, volume in level.copies) + (level.column_ul or dead_ul)


def _volumes(
    needs: Sequence[float], shares: Sequence[float], minimum_ul: float, base_ul: float = 0.0
) -> list[tuple[float, float]]:
    """Volume taken from the dilution before and medium of every step, with at least `base_ul` of medium in each."""
    volumes: list[tuple[float, float]] = []
    onward = 0.0
    for need, share in zip(reversed(needs), reversed(shares), strict=True):
        # Neither the cells nor the medium may fall below what the pipette does.
        total = max(need + onward, minimum_ul / share)
        if base_ul:
            total = max(total, base_ul / (1 - share))
            if 0.01 < total * (1 - share) - base_ul < minimum_ul:
                total = (base_ul + minimum_ul) / (1 - share)
        elif 0 < total * (1 - share) < minimum_ul and share < THINNEST:
            total = minimum_ul / (1 - share)
        take = round(total * share, 2)
        medium = round(total - take, 2)
        if base_ul and medium - base_ul < minimum_ul:
            medium = base_ul
        if medium < minimum_ul:
            take, medium = round(total, 2), 0.0
        volumes.append((take, medium))
        onward = take
    return volumes[::-1]


def _fits(volumes: Sequence[tuple[float, float]], block: LabwareType) -> bool:
    return all(take + medium <= block.working_volume_ul for take, medium in volumes)
