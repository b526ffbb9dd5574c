"""Reader files of plates whose truth is known, for every method."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from nkloop.assays.methods import Method, method_named
from nkloop.assays.models import LayoutWell, PlateLayout
from nkloop.assays.readings import Frame, PlateReading

Lysis = Callable[[LayoutWell, float], float]
SCALE = {"absorbance": 1.0, "fluorescence": 20_000.0, "time-resolved fluorescence": 50_000.0, "luminescence": 80_000.0}
SPONTANEOUS, MEDIUM, REAGENT, PER_EFFECTOR = 0.15, 0.10, 0.12, 0.02
"""Shares of the scale: leak of untreated targets, medium, medium with lysis reagent, effectors at 1:1."""
TIMES = (-60.0, 0.0, 120.0, 240.0, 360.0, 480.0)


def curve(well: LayoutWell, ratio: float) -> float:
    """100 % lysis at high E:T, half of it at 1.5:1."""
    return 100.0 / (1 + (1.5 / ratio) ** 1.2) if ratio > 0 else 0.0


def killed(layout: PlateLayout, well: LayoutWell, lysis: Lysis) -> float | None:
    """Share of targets lysed in a well; None without targets."""
    samples = {s.name: s for s in (*layout.samples, *([layout.reference] if layout.reference else []))}
    if well.role in {"spontaneous", "maximum"}:
        return 1.0 if well.role == "maximum" else 0.0
    if well.role in {"experimental", "reference_effector", "treated_target"}:
        ratio = samples[well.sample].true_ratio(well.nominal_ratio or 0) if well.sample else 0.0
        return lysis(well, ratio) / 100
    return None


def end_point(layout: PlateLayout, lysis: Lysis = curve, *, noise: float = 0.0, seed: int = 1) -> dict[str, float]:
    """Signal of every well for release and loss methods; `noise` is a share of the scale."""
    method = method_named(layout.method)
    chance = np.random.default_rng(seed)
    scale = SCALE[method.read.mode]
    values = {}
    for well in layout.wells:
        share = killed(layout, well, lysis)
        if share is None:
            targets = REAGENT - MEDIUM if well.role == "volume_correction" else 0.0
        elif method.formula == "release":
            targets = SPONTANEOUS + (1 - SPONTANEOUS) * share
            targets += REAGENT - MEDIUM if well.role == "maximum" and method.terms.volume_correction else 0.0
        else:
            targets = 1 - share
        alone = PER_EFFECTOR * (well.nominal_ratio or 0.0) if method.terms.effector_only else 0.0
        values[well.well] = float(scale * (MEDIUM + targets + alone + noise * chance.standard_normal()))
    return values


def reading(layout: PlateLayout, values: dict[str, float] | None = None, **changes: Any) -> PlateReading:
    """A file of the right plate, mode and wavelengths; `changes` replace what it tells."""
    method = method_named(layout.method)
    if "frames" not in changes:
        changes["frames"] = (Frame(values=end_point(layout) if values is None else values),)
    told = {
        "file": "read.csv",
        "file_sha256": "0" * 64,
        "format": "generic grid",
        "plate_wells": layout.plate_wells,
        "barcode": layout.barcode,
        "read_at": datetime(2026, 3, 1, 13, 0, tzinfo=UTC),
        **settings(method),
    }
    return PlateReading.model_validate({**told, **changes})


def settings(method: Method) -> dict[str, Any]:
    """What a file of this method tells of the read."""
    names = ("mode", "wavelength_nm", "reference_wavelength_nm", "excitation_nm", "emission_nm")
    return {name: getattr(method.read, name) for name in names}


def counts(
    layout: PlateLayout, lysis: Lysis = curve, *, targets: float = 8000, dead: float = 0.05
) -> tuple[Frame, Frame]:
    """Dead and living targets a cytometer counts in every well with targets; `dead` of them without effectors."""
    shares = {w.well: killed(layout, w, lysis) for w in layout.wells}
    gone = {well: dead + (1 - dead) * share for well, share in shares.items() if share is not None}
    return (
        Frame(quantity="dead_targets", values={well: targets * share for well, share in gone.items()}),
        Frame(quantity="live_targets", values={well: targets * (1 - share) for well, share in gone.items()}),
    )


def course(layout: PlateLayout, lysis: Lysis = curve) -> tuple[Frame, ...]:
    """A kinetic read: targets double in 8 h, killing goes on evenly until the last time; wells are seeded unequally."""
    frames = []
    for time in TIMES:
        values = {}
        for number, well in enumerate(layout.wells):
            share = killed(layout, well, lysis)
            seeded = 1.0 + 0.1 * (number % 5)
            progress = max(time, 0.0) / TIMES[-1]
            lost = 0.0 if share is None else (share if well.role == "maximum" and time > 0 else share * progress)
            values[well.well] = 0.0 if share is None else seeded * 2 ** (time / 480) * (1 - lost)
        frames.append(Frame(minutes=time, values=values))
    return tuple(frames)
