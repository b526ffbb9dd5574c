"""Loewe additivity and zero interaction potency through the `synergy` library: advice beside the primary figures."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from nkloop.assays.combination import CombinationData
from nkloop.assays.combination_models import Advisory
from nkloop.assays.fitting.solver import Array

LEAST_DOSES = 4
"""Doses above 0 of each agent alone that its curve needs."""
_MEANING = {
    "loewe": "excess over Loewe additivity in percent effect: above 0 more than additive",
    "zip": "excess over zero interaction potency in percent effect: above 0 more than expected",
}


def loewe(data: CombinationData) -> Advisory:
    """Excess over Loewe additivity of every dose pair; over the better agent where additivity is not defined."""
    from synergy.combination.loewe import Loewe

    return _advice("loewe", Loewe(mode="delta_hsa"), data)


def zip_excess(data: CombinationData) -> Advisory:
    """Excess over zero interaction potency (Yadav 2015) of every dose pair."""
    from synergy.combination.zero_interaction_potency import ZIP

    return _advice("zip", ZIP(), data)


def _advice(name: str, model: Any, data: CombinationData) -> Advisory:
    for agent, alone in (("a", data.dose_a[data.dose_b == 0]), ("b", data.dose_b[data.dose_a == 0])):
        doses = np.unique(alone[alone > 0]).size
        if doses < LEAST_DOSES:
            reason = f"agent {agent} has {doses} doses alone, its curve needs {LEAST_DOSES}"
            return Advisory(available=False, reason=reason, meaning=_MEANING[name])
    pairs = np.array(data.pairs)
    mean = np.array([data.cell(a, b).mean() for a, b in pairs]) / 100.0
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            # the library speaks of surviving fractions
            model.fit(pairs[:, 0], pairs[:, 1], 1.0 - mean)
            values = np.asarray(model.synergy, dtype=float)
    except Exception as error:  # noqa: BLE001  the library raises whatever its optimisers raise; advice may fail
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Advisory(available=False, reason=f"the fit failed: {said}", meaning=_MEANING[name])
    return _told(name, pairs, values)


def _told(name: str, pairs: Array, values: Array) -> Advisory:
    together = (pairs > 0).all(axis=1)
    shown = 100.0 * values  # the library speaks of shares
    cells = tuple(
        (float(a), float(b), float(v) if np.isfinite(v) else None)
        for (a, b), v in zip(pairs[together], shown[together], strict=True)
    )
    numbers = [v for _, _, v in cells if v is not None]
    if not numbers:
        return Advisory(available=False, reason="no dose pair has a value", meaning=_MEANING[name], cells=cells)
    return Advisory(available=True, meaning=_MEANING[name], cells=cells, mean=float(np.mean(numbers)))
