"""From what is in a well to what a plate reader shows."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Literal

import numpy as np

from nkloop.virtual.components import CULTURE_KINDS, role_of

Mode = Literal["absorbance", "fluorescence", "luminescence"]
UPPER_LIMIT: dict[str, float] = {"absorbance": 4.0, "fluorescence": 65_000.0, "luminescence": 1.0e7}
"""Signal at which the reader saturates (OD, counts, counts per second)."""
MULTIPLICATIVE_CV = 0.02
ADDITIVE_OD = 0.003
PLATE_OD = 0.045
"""Empty well of a clear plate at 490 nm."""
OD_PER_UNIT_HOUR = 0.0013
"""Formazan formed per hour by the LDH of one tumour cell with ample substrate, in OD of a 96-well plate."""
AUTO_OD_PER_HOUR = 0.09
"""Formazan from substrate alone."""
SUBSTRATE_HALF = 0.08
"""Volume share of reagent at which the reaction runs at half of its full speed."""
STOP_SHARE = 0.12
"""Volume share of stop solution that halts the reaction."""
_FORMAZAN_PEAK_NM, _FORMAZAN_WIDTH_NM = 492.0, 55.0


def develop(amounts: dict[str, float], volume_ul: float, hours: float) -> None:
    """Let LDH turn substrate into formazan, in place; `hours` at room temperature."""
    if volume_ul <= 0 or hours <= 0:
        return
    shares = {"substrate": 0.0, "stop": 0.0}
    for key, amount in amounts.items():
        role = role_of(key)
        if role in shares:
            shares[role] += amount / volume_ul
    reagent = shares["substrate"]
    if reagent <= 0 or shares["stop"] >= STOP_SHARE:
        return
    speed = reagent / (reagent + SUBSTRATE_HALF) * (1 - shares["stop"] / STOP_SHARE)
    rate = speed * (OD_PER_UNIT_HOUR * amounts.get("ldh", 0.0) + AUTO_OD_PER_HOUR)
    # Reagent for 6 OD at half volume: a strong well bends before the reader saturates.
    most = 6.0 * min(1.0, reagent / 0.5)
    formed = amounts.get("formazan", 0.0)
    amounts["formazan"] = most - (most - formed) * exp(-rate * hours / most) if most > formed else formed


def signal(
    amounts: Mapping[str, float],
    mode: Mode,
    *,
    wavelength_nm: float | None = None,
    excitation_nm: float | None = None,
    emission_nm: float | None = None,
    volume_ul: float = 0.0,
) -> float:
    """Noise-free signal of a well, not cut off at the upper limit: OD, or counts."""
    if mode == "absorbance":
        return _absorbance(amounts, 490.0 if wavelength_nm is None else wavelength_nm)
    if mode == "fluorescence":
        return _fluorescence(amounts, excitation_nm or 485.0, emission_nm or 520.0)
    return _luminescence(amounts, volume_ul)


def measure(true: float, mode: Mode, noise: np.random.Generator) -> float:
    """What the reader shows of a true signal: noise, and nothing above its limit."""
    additive = ADDITIVE_OD if mode == "absorbance" else 8.0
    shown = true * (1 + MULTIPLICATIVE_CV * noise.standard_normal()) + additive * noise.standard_normal()
    return float(min(UPPER_LIMIT[mode], shown if mode == "absorbance" else max(0.0, shown)))


def _absorbance(amounts: Mapping[str, float], wavelength: float) -> float:
    formazan = exp(-(((wavelength - _FORMAZAN_PEAK_NM) / _FORMAZAN_WIDTH_NM) ** 2) / 2)
    # Cells scatter; the plate itself transmits a little better towards red.
    cells = sum(amount for key, amount in amounts.items() if ":" in key and not key.startswith("lytic:"))
    return PLATE_OD - 0.00003 * (wavelength - 490) + formazan * amounts.get("formazan", 0.0) + 4e-7 * cells


def _fluorescence(amounts: Mapping[str, float], excitation: float, emission: float) -> float:
    fit = exp(-(((excitation - 490) / 25) ** 2) / 2 - (((emission - 518) / 20) ** 2) / 2)
    held = sum(amount for key, amount in amounts.items() if key.startswith("target:") and key.endswith("+calcein"))
    return 180.0 + 2.2 * fit * (held + amounts.get("calcein", 0.0))


def _luminescence(amounts: Mapping[str, float], volume_ul: float) -> float:
    def share(role: str) -> float:
        amount = sum(amount for key, amount in amounts.items() if role_of(key) == role)
        return min(1.0, amount / volume_ul / 0.3) if volume_ul > 0 else 0.0

    luciferase = sum(amount for key, amount in amounts.items() if key.startswith("target:") and key.endswith("+luc"))
    starts = tuple(f"{kind}:" for kind in (*CULTURE_KINDS, "target"))
    living = sum(amount for key, amount in amounts.items() if key.startswith(starts))
    return 40.0 + 60.0 * luciferase * share("luciferin") + 25.0 * living * share("atp_reagent")
