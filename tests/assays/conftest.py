"""Plates whose truth is known: signals computed from a chosen killing curve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nkloop.assays import lay_out
from nkloop.assays.models import EffectorSample, PlateLayout

BACKGROUND, VOLUME_CORRECTION = 0.10, 0.12
SPONTANEOUS, WINDOW = 0.15, 1.50
"""Net spontaneous signal, and net maximum minus net spontaneous."""
EFFECTOR_PER_RATIO = 0.02


def sample(name: str = "arm-1/U1", purity: float = 80.0, viability: float = 90.0) -> EffectorSample:
    arm, _, donor = name.partition("/")
    return EffectorSample(name=name, arm=arm, donor=donor or "U1", viability_percent=viability, purity_percent=purity)


REFERENCE = sample("reference/pool", 95.0, 95.0)


def curve(ratio: float, top: float = 100.0, midpoint: float = 1.5, slope: float = 1.2) -> float:
    return top / (1 + (midpoint / ratio) ** slope)


def signals(
    layout: PlateLayout, lysis: Callable[[float], float] = curve, noise: float = 0.0, seed: int = 1
) -> dict[str, float]:
    """Signal of every well; `noise` is the standard deviation in signal units."""
    chance = np.random.default_rng(seed)
    known = {s.name: s for s in (*layout.samples, *([layout.reference] if layout.reference else []))}
    values = {}
    for well in layout.wells:
        alone = EFFECTOR_PER_RATIO * (well.nominal_ratio or 0.0)
        net = {
            "experimental": SPONTANEOUS,
            "reference_effector": SPONTANEOUS,
            "treated_target": SPONTANEOUS,
            "effector_only": 0.0,
            "spontaneous": SPONTANEOUS,
            "maximum": SPONTANEOUS + WINDOW + VOLUME_CORRECTION - BACKGROUND,
            "volume_correction": VOLUME_CORRECTION - BACKGROUND,
        }.get(well.role, 0.0)
        if well.role in {"experimental", "reference_effector"} and well.sample and well.nominal_ratio:
            net += WINDOW * lysis(known[well.sample].true_ratio(well.nominal_ratio)) / 100
        values[well.well] = BACKGROUND + net + alone + noise * chance.standard_normal()
    return values


Read = Callable[..., dict[str, float]]


@pytest.fixture
def read() -> Read:
    """`read(layout, lysis=curve, noise=0.0, seed=1)`: signals of a plate whose truth is known."""
    return signals


@pytest.fixture
def plate() -> PlateLayout:
    """One canonical plate: one sample in triplicate, a reference effector, outer ring of medium."""
    (layout,) = lay_out([sample()], reference=REFERENCE, method="ldh", target_line="K-562", barcodes=["P1"])
    return layout


@pytest.fixture
def pair() -> PlateLayout:
    """Two samples in duplicate with one effector-only replicate."""
    (layout,) = lay_out(
        [sample("arm-1/U1"), sample("arm-2/U1", 60.0, 85.0)],
        reference=REFERENCE,
        method="ldh",
        target_line="K-562",
        barcodes=["P1"],
        replicates=2,
        effector_replicates=1,
    )
    return layout
