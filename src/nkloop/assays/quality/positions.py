"""Does a well read differently because of where it stands? Edge, row drift and column drift of one plate.

Only wells of equal content can tell: each group of replicates is compared with its own mean, and the deviations are
explained by how far down, how far right and whether at the edge a well stands. All three are fitted at once by least
squares, as relative effects (evaporation and pipetting scale what a well gives), so signals of different height count
together:  (y − ȳ) / ȳ = r Δrow + c Δcolumn + e Δedge. Low signals scatter more in relation to their height than high
ones, so the standard errors are those that bear unequal variances (White 1980).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nkloop.assays.methods import Method
from nkloop.assays.models import LayoutWell, PlateLayout, QualityMeasure
from nkloop.assays.quality.measures import judged
from nkloop.assays.quality.wells import label_of

EFFECTS = ("row_drift", "column_drift", "edge_effect")
LEAST_T = 3.5
"""An effect counts as one when it is this many standard errors from 0: clean plates pass (see the tests)."""
LEAST_FREEDOM = 6
LEAST_SIGNAL = 0.05
"""Deviations are related to at least this share of the highest signal: relative to almost nothing they mean nothing."""
LEAST_SPREAD = 1e-3
"""Share of its variation a position keeps within the groups and beside the other two; less cannot be told apart."""
_PLATE = {96: (8, 12), 384: (16, 24)}


@dataclass(frozen=True)
class PositionEffect:
    """How much signal changes with position."""

    name: str
    percent: float | None
    """First to last row or column, or edge against centre, in % of the signal; None when the layout cannot tell."""
    standard_error: float | None = None

    @property
    def t(self) -> float:
        """Effect over its standard error."""
        if self.percent is None or self.standard_error is None:
            return 0.0
        return math.inf if self.standard_error == 0 and self.percent else self.percent / (self.standard_error or 1.0)


def position_effects(layout: PlateLayout, signals: Mapping[str, float]) -> tuple[PositionEffect, ...]:
    """Row drift, column drift and edge effect; an effect the layout cannot show has no percent."""
    design, y = _deviations(layout, signals)
    unknown = tuple(PositionEffect(name, None) for name in EFFECTS)
    if y.size == 0:
        return unknown
    kept = [i for i in range(len(EFFECTS)) if _is_identifiable(design, i)]
    freedom = y.size - len(_groups(layout, signals)) - len(kept)
    if not kept or freedom < LEAST_FREEDOM:
        return unknown
    x = design[:, kept]
    inverse = np.linalg.pinv(x.T @ x)
    estimate = inverse @ x.T @ y
    residual = y - x @ estimate
    spread = inverse @ (x.T * residual**2) @ x @ inverse * (y.size / freedom)
    errors = np.sqrt(np.diag(spread))
    found = {
        EFFECTS[i]: PositionEffect(EFFECTS[i], 100 * float(estimate[k]), 100 * float(errors[k]))
        for k, i in enumerate(kept)
    }
    return tuple(found.get(name, PositionEffect(name, None)) for name in EFFECTS)


def position_measures(layout: PlateLayout, signals: Mapping[str, float], method: Method) -> list[QualityMeasure]:
    """Each effect against its limit; an effect scatter explains is not flagged, however large."""
    found = []
    for effect in position_effects(layout, signals):
        limit = method.limit(effect.name)
        title = effect.name.replace("_", " ")
        if effect.percent is None:
            why = "no replicates of this plate stand so that it could be told"
            found.append(judged(limit, None, "", missing=why))
            continue
        is_real = abs(effect.t) >= LEAST_T
        words = f"{title} is {effect.percent:+.1f} % (standard error {effect.standard_error or 0:.1f})"
        if not is_real and abs(effect.percent) > limit.good:
            words += ", no more than the scatter of the wells explains"
        outcome = "pass" if not is_real else ""
        found.append(judged(limit, abs(effect.percent), words, outcome=outcome))
    return found


def _groups(layout: PlateLayout, signals: Mapping[str, float]) -> list[list[LayoutWell]]:
    groups: dict[str, list[LayoutWell]] = {}
    for well in layout.wells:
        if well.role not in {"medium_ring", "empty"} and well.well in signals:
            key = f"{well.role} {label_of(well, layout.line_of(well))}"
            groups.setdefault(key, []).append(well)
    return [wells for wells in groups.values() if len(wells) >= 2]


def _deviations(layout: PlateLayout, signals: Mapping[str, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions, shape (n, 3), and relative signals, shape (n,), each against the mean of its group."""
    groups = _groups(layout, signals)
    if not groups:
        return np.zeros((0, len(EFFECTS))), np.zeros(0)
    read = [np.array([signals[w.well] for w in wells]) for wells in groups]
    least = LEAST_SIGNAL * max(float(np.abs(y).max()) for y in read)
    values = [(y - y.mean()) / max(abs(float(y.mean())), least) if least > 0 else 0 * y for y in read]
    places = [np.array([_place(w.well, layout.plate_wells) for w in wells]) for wells in groups]
    return np.concatenate([x - x.mean(axis=0) for x in places]), np.concatenate(values)


def _place(well: str, size: int) -> tuple[float, float, float]:
    """Row and column from 0 to 1, and 1 at the edge of the plate."""
    rows, columns = _PLATE[size]
    row, column = ord(well[0]) - ord("A"), int(well[1:]) - 1
    at_edge = row in {0, rows - 1} or column in {0, columns - 1}
    return row / (rows - 1), column / (columns - 1), float(at_edge)


def _is_identifiable(design: NDArray[np.float64], index: int) -> bool:
    """Whether a position varies within the groups beyond what the others explain."""
    column = design[:, index]
    others = np.delete(design, index, axis=1)
    scale = float(np.abs(design).max())
    total = float(column @ column)
    if scale == 0 or total <= (LEAST_SPREAD * scale) ** 2 * column.size:
        return False
    rest = column - others @ np.linalg.lstsq(others, column, rcond=None)[0]
    return float(rest @ rest) > LEAST_SPREAD * total
