"""What a cell counter and a flow cytometer say of a well."""

from __future__ import annotations

import numpy as np

from nkloop.assays.measurements import CellCount
from nkloop.virtual.components import CULTURE_KINDS
from nkloop.virtual.containers import Well

COUNT_CV = 0.08
VIABILITY_SD = 1.5
PURITY_SD = 2.0
"""Points of percent."""
VOLUME_CV = 0.01
DIGITS = 6


def count_cells(barcode: str, name: str, well: Well, random: np.random.Generator) -> tuple[CellCount, float]:
    """Count one well; also the ratio of counted to true cells, which a harvest inherits."""
    living, dead = well.cells(*CULTURE_KINDS), well.cells("dead")
    volume_ml = well.volume_ul / 1000
    error, viability, purity, share34, sampled = random.standard_normal(5).clip(-2.5, 2.5)
    if living <= 0 or volume_ml <= 0:
        return _nothing(barcode, name, volume_ml), 1.0
    true_viability = living / (living + dead)
    shown_viability = float(np.clip(100 * true_viability + VIABILITY_SD * viability, 0, 100))
    viable_per_ml = living / volume_ml * float(1 + COUNT_CV * error)
    shown = CellCount(
        barcode=barcode,
        well=name,
        viable_per_ml=_round(viable_per_ml),
        viability_percent=round(shown_viability, 1),
        purity_percent=round(_percent(well.cells("nk") / living, PURITY_SD * purity), 1),
        cd34_percent=round(_percent(well.cells("cd34") / living, PURITY_SD * share34), 1),
        volume_ml=round(volume_ml * float(1 + VOLUME_CV * sampled), 4),
    )
    counted_per_ml = viable_per_ml / max(shown_viability / 100, 0.01)
    return shown, counted_per_ml / ((living + dead) / volume_ml)


def _percent(share: float, error: float) -> float:
    """A share measured by flow cytometry; the error shrinks near 0 and 100 %."""
    room = min(1.0, 4 * share * (1 - share) + 0.1)
    return float(np.clip(100 * share + error * room, 0, 100))


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _nothing(barcode: str, name: str, volume_ml: float) -> CellCount:
    return CellCount(
        barcode=barcode,
        well=name,
        viable_per_ml=0,
        viability_percent=0,
        purity_percent=0,
        volume_ml=max(0.0, volume_ml),
    )
