"""Pipettes as they are: systematic and random error by volume, tips that stay wet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nkloop.virtual.chance import stream
from nkloop.virtual.containers import Container, Contents
from nkloop.worklists.bench_deck import PipetteAccuracy, PipetteSpec

FILM_SHARE = 0.001
"""Part of a dispensed volume that stays in the tip and goes with the next liquid."""
CELL_SAMPLING_CV = 0.05
"""Spread of the number of cells in equal draws from a mixed suspension (clumps, not counting statistics)."""


@dataclass
class Tip:
    """A tip on a channel: what it physically holds and how much of that was asked for."""

    contents: Contents = field(default_factory=Contents)
    nominal_ul: float = 0.0
    source: tuple[str, str] | None = None
    """Container identity and well it drew from last."""


@dataclass
class Pipette:
    """A pipette on a mount during a run."""

    mount: str
    channels: int
    error: PipetteError
    active: int = 0
    """Channels in use (nozzle layout); 0 means all."""
    tips: list[Tip] = field(default_factory=list)
    at: tuple[Container, str] | None = None
    """Well the pipette stands at; None over the trash or nowhere."""

    @property
    def n_active(self) -> int:
        """Channels that pick up tips."""
        return self.active or self.channels


class PipetteError:
    """True volume for an asked volume: bias drawn once per world, scatter drawn per transfer and channel."""

    def __init__(self, spec: PipetteSpec, seed: int) -> None:
        self._lines = sorted(spec.accuracy, key=lambda line: line.volume_ul)
        draws = stream(seed, "pipette", spec.mount, spec.load_name).normal(0.0, 0.5, spec.channels).clip(-1, 1)
        # Channels of one pipette share most of their bias.
        self._bias = 0.8 * draws[0] + 0.2 * draws

    def true_volume(self, asked_ul: float, channel: int, random: np.random.Generator) -> float:
        """Volume really moved (µL) when `asked_ul` is asked for."""
        bias = self._bias[channel % len(self._bias)] * self._at(asked_ul, "systematic_percent") / 100
        scatter = random.standard_normal() * self._at(asked_ul, "random_cv_percent") / 100
        return float(max(0.0, asked_ul * (1 + bias + scatter)))

    def _at(self, volume_ul: float, column: str) -> float:
        return interpolate(self._lines, volume_ul, column)


def interpolate(lines: Sequence[PipetteAccuracy], volume_ul: float, column: str) -> float:
    """A column of the specification at a volume: linear in log volume, constant outside."""
    volumes = np.log([line.volume_ul for line in lines])
    values = [float(getattr(line, column)) for line in lines]
    return float(np.interp(np.log(max(volume_ul, 1e-6)), volumes, values))


def pour(tip: Tip, asked_ul: float) -> Contents:
    """Let out of a tip what `asked_ul` of its nominal content physically is; a film stays behind."""
    share = min(1.0, asked_ul / tip.nominal_ul) if tip.nominal_ul > 0 else 1.0
    out = tip.contents.take(tip.contents.volume_ul * share * (1 - FILM_SHARE))
    tip.nominal_ul = max(0.0, tip.nominal_ul - asked_ul)
    return out
