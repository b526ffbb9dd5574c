"""What is truly in a lot, a cord unit, a tumour line or a reference effector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from nkloop.inventory.models import Lot
from nkloop.quantities import Kind
from nkloop.virtual.chance import bounded_normal, stream
from nkloop.virtual.components import role_of

LABEL_CV = 0.03
"""Spread of true content over certificate value between lots."""
COUNTING_CV = 0.08
"""Error of a manual count that sets a cell density."""
SERUM_LDH_PER_UL = 60.0
"""LDH of pure serum, in units of one tumour cell."""
ASSAY_MEDIUM_SERUM = 0.05
"""Serum share of assay medium as bought."""
THAWED_VIABILITY, LINE_VIABILITY = 0.90, 0.96
REFERENCE_VIABILITY, REFERENCE_PURITY, REFERENCE_POTENCY = 0.88, 0.92, 0.95
"""Cryopreserved peripheral-blood NK cells, the same quality at every thaw within a few percent."""


class Stocks:
    """True content of what comes out of the fridge."""

    def __init__(self, lots: Iterable[Lot], seed: int) -> None:
        self._lots = {lot.id: lot for lot in lots}
        self._seed = seed

    def __contains__(self, lot_id: object) -> bool:
        return lot_id in self._lots

    def per_ul(self, lot_id: str) -> dict[str, float]:
        """True content of one µL of a lot, in canonical units, by component and carrier."""
        lot = self._lots[lot_id]
        role = role_of(lot.component)
        if lot.concentration.kind is Kind.FRACTION:
            share = lot.concentration.canonical
            content = {lot.component: share}
        else:
            label_error = LABEL_CV * bounded_normal(stream(self._seed, "lot", lot.id))
            content = {lot.component: _strength(lot) * (1 + label_error), lot.carrier: 1.0}
            share = 0.0
        serum = {"serum": 1.0, "assay_medium": ASSAY_MEDIUM_SERUM}.get(role, 0.0) * share
        if serum:
            content["ldh"] = SERUM_LDH_PER_UL * serum
        return content


def _strength(lot: Lot) -> float:
    """Content per µL; biology counts IL-2 in IU and everything else in mass, whatever the label says."""
    amount, activity = lot.concentration.canonical, lot.specific_activity
    if activity is None:
        return amount
    is_mass, wants_activity = lot.concentration.kind is Kind.MASS_CONCENTRATION, role_of(lot.component) == "il2"
    # IU/mg times ng/µL is 1e-6 IU/µL
    if is_mass and wants_activity:
        return amount * activity.canonical * 1e-6
    if not is_mass and not wants_activity:
        return amount / activity.canonical * 1e6
    return amount


def fresh_cells(
    source: str, name: str, intended_per_ul: float, volume_ul: float, random: np.random.Generator
) -> dict[str, float]:
    """Cells of a cord unit (`donor`), a tumour line (`line`) or a reference effector at a density set by a count.

    A sample that was grown elsewhere (`sample`) kills as a reference effector does: nobody knows better here.
    """
    n_cells = intended_per_ul * volume_ul * (1 + COUNTING_CV * bounded_normal(random))
    wobble = 0.015 * bounded_normal(random)
    if source == "donor":
        alive = THAWED_VIABILITY + wobble
        return {f"cd34:{name}": n_cells * alive, f"dead:{name}": n_cells * (1 - alive)}
    if source == "line":
        alive = min(0.99, LINE_VIABILITY + wobble)
        return {f"target:{name}": n_cells * alive, f"lysed:{name}": n_cells * (1 - alive)}
    alive, pure = REFERENCE_VIABILITY + wobble, REFERENCE_PURITY + 0.3 * wobble
    nk = n_cells * alive * pure
    return {
        f"nk:{name}": nk,
        f"other:{name}": n_cells * alive * (1 - pure),
        f"dead:{name}": n_cells * (1 - alive),
        f"lytic:{name}": nk * REFERENCE_POTENCY,
    }


def suspended(cells: Mapping[str, float], carrier_per_ul: Mapping[str, float], volume_ul: float) -> dict[str, float]:
    """Cells in their carrier; a serum-bearing carrier brings its LDH."""
    amounts = {name: share * volume_ul for name, share in carrier_per_ul.items()}
    serum = sum(
        amount * {"serum": 1.0, "assay_medium": ASSAY_MEDIUM_SERUM}.get(role_of(name), 0.0)
        for name, amount in amounts.items()
    )
    if serum:
        amounts["ldh"] = amounts.get("ldh", 0.0) + serum * SERUM_LDH_PER_UL
    amounts.update(cells)
    return amounts
