"""Growth and differentiation of cord blood CD34+ cells to NK cells in one well: the hidden truth of the bench.

No other package may import this module: where the best recipe lies is what the loop has to find out.
Rates are per day at 37 °C, concentrations in ng/mL (IL-2 in IU/mL) as they really are in the well at that moment.
The constants are made up to reproduce published outcomes of the staged process (about 2,000 NK cells per CD34+
after 35 days, about 90 % CD56+CD3-), not fitted to data.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp

from nkloop.virtual.components import CULTURE_KINDS, kind_and_owner, role_of
from nkloop.virtual.donors import DonorTraits

STEP_HOURS = 6.0
"""Longest step of integration."""

_BEST = {"scf": 24.0, "flt3l": 24.0, "tpo": 10.0, "il7": 11.0, "il15": 16.0, "il2": 170.0}
"""Concentration of the strongest response. Less starves the cells, more exhausts or misleads them."""
_WIDTH = {"scf": 0.50, "flt3l": 0.50, "tpo": 0.40, "il7": 0.40, "il15": 0.42, "il2": 0.30}
"""How steeply the response falls on both sides of the best concentration (0.5 halves it at about 6-fold)."""
_HALF_LIFE_HOURS = {
    "scf": 72.0, "flt3l": 96.0, "tpo": 72.0, "il7": 72.0, "il15": 60.0, "il2": 48.0, "gmcsf": 48.0, "gcsf": 36.0,
    "il6": 48.0, "lif": 48.0, "mip1a": 48.0, "il12": 48.0, "il4": 48.0, "heparin": 96.0,
}  # fmt: skip
_HELPERS = {"gmcsf": 0.004, "gcsf": 0.1, "il6": 0.02, "lif": 0.02, "mip1a": 0.08}
"""Half-saturating concentrations of the low-dose cocktail."""
CROWDED_PER_ML = 3.0e6
"""Density at which crowding has halved growth."""
SOUR_UM = 22_000.0
"""Lactate at which growth is halved, a stand-in for everything that spends a medium."""
LACTATE_PMOL_PER_CELL_DAY = 0.9
LDH_PER_DONOR_CELL = 0.2
"""LDH of a cord-derived cell, in units of one tumour cell."""


def respond(concentration: float, best: float, width: float) -> float:
    """Substrate-inhibition response, 1 at `best`: (1+2a)x/(a+x+a x²) with x the concentration over the best one."""
    x = concentration / best
    return (1 + 2 * width) * x / (width + x + width * x * x)


def saturate(concentration: float, half: float) -> float:
    """Hill response of order one."""
    return concentration / (concentration + half)


def grow(
    amounts: dict[str, float],
    volume_ul: float,
    hours: float,
    donor_of: Callable[[str], DonorTraits],
    vigour: float = 1.0,
) -> None:
    """Advance the culture cells of one well in place; `vigour` is the growth factor of this very well."""
    done = 0.0
    while done < hours:
        step = min(STEP_HOURS, hours - done)
        _step(amounts, volume_ul, step / 24, donor_of, vigour)
        decay_cytokines(amounts, step)
        done += step


def decay_cytokines(amounts: dict[str, float], hours: float) -> None:
    """Let dissolved cytokines decay as at 37 °C."""
    for key in amounts:
        half_life = _HALF_LIFE_HOURS.get(role_of(key))
        if half_life:
            amounts[key] *= 0.5 ** (hours / half_life)


def _step(
    amounts: dict[str, float], volume_ul: float, days: float, donor_of: Callable[[str], DonorTraits], vigour: float
) -> None:
    levels: dict[str, float] = {}
    owners: dict[str, None] = {}
    living = 0.0
    for key, amount in amounts.items():
        kind, owner = kind_and_owner(key)
        if not kind:
            role = role_of(key)
            levels[role] = levels.get(role, 0.0) + amount / volume_ul
        elif kind in CULTURE_KINDS:
            owners[owner] = None
            living += amount
    room = _room(levels, living / volume_ul * 1000)
    for owner in owners:
        _advance_donor(amounts, owner, levels, room, days, donor_of(owner), vigour)
    amounts["lactate"] = amounts.get("lactate", 0.0) + living * LACTATE_PMOL_PER_CELL_DAY * days


def _room(levels: dict[str, float], per_ml: float) -> float:
    """How far density, spent medium and serum let the cells grow, 0 to 1."""
    crowding = 1 / (1 + (per_ml / CROWDED_PER_ML) ** 8)
    spent = 1 / (1 + (levels.get("lactate", 0.0) / SOUR_UM) ** 3)
    serum = 0.15 + 0.85 * saturate(levels.get("serum", 0.0), 0.004)
    return crowding * spent * serum


def _advance_donor(
    amounts: dict[str, float],
    owner: str,
    levels: dict[str, float],
    room: float,
    days: float,
    donor: DonorTraits,
    vigour: float,
) -> None:
    ng = {role: level * 1000 for role, level in levels.items()}
    best = {**_BEST, "il15": _BEST["il15"] * donor.il15_need}
    scf, flt, tpo, il7, il15, il2 = (respond(ng.get(r, 0.0), best[r], _WIDTH[r]) for r in _BEST)
    gm, gcsf = ng.get("gmcsf", 0.0), ng.get("gcsf", 0.0)
    help_ = 1.0 + sum(0.012 * saturate(ng.get(role, 0.0), half) for role, half in _HELPERS.items())
    help_ += 0.02 * saturate(ng.get("heparin", 0.0), 8_000.0)
    pace = room * donor.growth * vigour * help_

    cd34, prog, nk, myeloid, other = (amounts.get(f"{kind}:{owner}", 0.0) for kind in CULTURE_KINDS)
    early = 0.22 * scf + 0.22 * flt + 0.32 * scf * flt + 0.16 * tpo + 0.08 * il7
    middle = 0.28 * scf + 0.17 * flt + 0.20 * il7 + 0.15 * scf * il7 + 0.20 * il15
    late = 0.32 * il15 + 0.14 * il2 + 0.12 * il7 + 0.12 * scf + 0.30 * il15 * (0.6 * il2 + 0.4 * il7)

    # Without its survival factors a population dies within days.
    fed_early = saturate(ng.get("scf", 0.0) + ng.get("flt3l", 0.0) + ng.get("tpo", 0.0), 2.0)
    fed_middle = saturate(ng.get("scf", 0.0) + ng.get("il7", 0.0) + ng.get("il15", 0.0), 2.0)
    fed_late = saturate(ng.get("il15", 0.0) + ng.get("il2", 0.0) / 150 + 0.1 * ng.get("il7", 0.0), 1.5)
    squeezed = 0.15 * (1 - room) ** 2
    frailty = donor.frailty

    divert = 0.006 * donor.contaminants + 1.2 * saturate(gm, 3.0) + 0.3 * saturate(gcsf, 30.0)
    stray = 0.036 * donor.contaminants * (1.5 - 0.5 * il7) * (1.7 - 0.9 * il15)
    mature = 0.010 + 0.26 * il15 * (0.6 + 0.4 * il7)

    cd34, lost_c = _change(cd34, 0.46 * early * pace, (0.05 + 0.50 * (1 - fed_early) ** 2 + squeezed) * frailty, days)
    prog, lost_p = _change(prog, 0.45 * middle * pace, (0.05 + 0.45 * (1 - fed_middle) ** 2 + squeezed) * frailty, days)
    nk_before = nk
    nk, lost_n = _change(nk, 0.287 * late * pace, (0.045 + 0.50 * (1 - fed_late) ** 2 + squeezed) * frailty, days)
    myeloid, lost_m = _change(myeloid, (0.10 + 0.55 * saturate(gm, 1.0)) * pace, 0.08 * frailty, days)
    other, lost_o = _change(other, 0.22 * pace, 0.06 * frailty, days)

    founders = _part(cd34, 0.16 + 0.06 * flt, days)
    cd34_to_myeloid = _part(cd34 - founders, 0.25 * saturate(gm, 3.0), days)
    to_nk, to_other, to_myeloid = _part(prog, mature, days), _part(prog, stray, days), _part(prog, divert, days)
    values = (
        cd34 - founders - cd34_to_myeloid,
        # Commitment is a matter of the founders, so it scales what arises from them.
        prog + founders * donor.commitment - to_nk - to_other - to_myeloid,
        nk + to_nk,
        myeloid + to_myeloid + cd34_to_myeloid,
        other + to_other,
    )
    for kind, value in zip(CULTURE_KINDS, values, strict=True):
        amounts[f"{kind}:{owner}"] = max(0.0, value)
    _bury(amounts, owner, lost_c + lost_p + lost_n + lost_m + lost_o, days)
    _prime(amounts, owner, nk_before, nk, to_nk, (il15, il2, ng.get("il2", 0.0) / best["il2"]), donor, days)


def _change(cells: float, growth: float, death: float, days: float) -> tuple[float, float]:
    """Cells after growth and death, and how many died."""
    if cells <= 0:
        return 0.0, 0.0
    after = cells * exp((growth - death) * days)
    return after, 0.5 * (cells + after) * death * days


def _part(cells: float, rate: float, days: float) -> float:
    return cells * (1 - exp(-rate * days))


def _bury(amounts: dict[str, float], owner: str, died: float, days: float) -> None:
    """Dying cells leak half of their LDH, falling apart the other half."""
    key = f"dead:{owner}"
    dead = amounts.get(key, 0.0) + died
    gone = _part(dead, 0.40, days)
    amounts[key] = dead - gone
    amounts["ldh"] = amounts.get("ldh", 0.0) + 0.5 * LDH_PER_DONOR_CELL * (died + gone)


def _prime(
    amounts: dict[str, float],
    owner: str,
    nk_before: float,
    nk_after: float,
    newborn: float,
    signal: tuple[float, float, float],
    donor: DonorTraits,
    days: float,
) -> None:
    """NK cells move towards the potency their cytokines teach them; too much IL-2 exhausts them."""
    il15, il2, il2_excess = signal
    taught = (0.15 + 0.60 * il15 * il15 + 0.30 * il15 * il2) * (1 - 0.35 * saturate(il2_excess, 9.0)) * donor.potency
    key = f"lytic:{owner}"
    carried = amounts.get(key, 0.0) * (nk_after / nk_before if nk_before > 0 else 0.0) + newborn * 0.5 * taught
    wanted = (nk_after + newborn) * taught
    amounts[key] = max(0.0, carried + (wanted - carried) * (1 - exp(-days / 5.0)))
