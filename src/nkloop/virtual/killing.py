"""NK cells against tumour cells in an assay well, and the LDH that comes out of everything that dies.

The hazard of a target depends on the true E:T in the well: h = h_max * e^n / (e^n + E50^n), with e the killing
capacity (NK cells times potency) per target, dead ones counted in, so that lysis saturates with time (half of it
within 2 h at high E:T) and with E:T. Constants reproduce published orders of magnitude (K-562 40 to 90 % at 10:1 in
4 h, A549 low), not a data set. LDH is counted in units of one tumour cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import exp

from nkloop.virtual.biology import LDH_PER_DONOR_CELL
from nkloop.virtual.components import CULTURE_KINDS, kind_and_owner, role_of

STEP_HOURS = 0.25
"""Longest step of integration within a day."""
SETTLED_HOURS = 24.0
"""Longest step after a day alone: killing is over by then, and plates forgotten for weeks need not cost seconds."""
SLOPE = 1.15
POTENCY_EXPONENT = 0.5
LDH_HALF_LIFE_HOURS = 9.0
"""Decay of released LDH at 37 °C (assay maker's figure)."""
SPONTANEOUS_PER_HOUR = 0.014
DEAD_LEAK_PER_HOUR = 0.10
"""Corpses left from before the wash give off what LDH they still hold."""
LYSIS_COMPLETE = 0.055
"""Volume share of ten-fold lysis buffer that lyses everything; 20 µL in 200 µL are 0.09."""
LYSIS_NONE = 0.010
LYSIS_PER_HOUR = 9.0


@dataclass(frozen=True)
class LineTraits:
    """How a tumour line takes NK cells."""

    hazard: float
    """Largest hazard per hour."""
    e50: float
    """Killing capacity per target at half of the largest hazard."""


_LINES = {
    "k562": LineTraits(0.44, 2.0), "hl60": LineTraits(0.26, 4.0), "kg1": LineTraits(0.26, 4.0),
    "kg1a": LineTraits(0.24, 5.0), "thp1": LineTraits(0.25, 4.5), "molm13": LineTraits(0.30, 3.5),
    "mv411": LineTraits(0.30, 3.0), "rpmi8226": LineTraits(0.26, 4.0), "u266b1": LineTraits(0.24, 4.5),
    "ncih929": LineTraits(0.24, 4.5), "mm1s": LineTraits(0.26, 4.0), "sw480": LineTraits(0.34, 2.0),
    "ht29": LineTraits(0.28, 2.6), "colo320": LineTraits(0.34, 2.0), "hct116": LineTraits(0.28, 3.0),
    "hela": LineTraits(0.28, 3.0), "siha": LineTraits(0.26, 3.5), "caski": LineTraits(0.26, 3.5),
    "c33a": LineTraits(0.28, 3.0), "a431": LineTraits(0.26, 4.0), "fadu": LineTraits(0.20, 5.5),
    "cal27": LineTraits(0.20, 5.5), "scc25": LineTraits(0.20, 5.5), "a549": LineTraits(0.12, 8.0),
    "ncih460": LineTraits(0.16, 7.0), "ncih1975": LineTraits(0.16, 7.0), "mcf7": LineTraits(0.17, 6.0),
    "mdamb231": LineTraits(0.20, 5.0), "skbr3": LineTraits(0.20, 5.0), "raji": LineTraits(0.14, 7.0),
}  # fmt: skip
_UNLISTED = LineTraits(0.22, 4.5)


@cache
def line_traits(line: str) -> LineTraits:
    """Traits of a tumour line by name; a label behind `+` (`K-562+calcein`) does not matter."""
    return _LINES.get(re.sub(r"[^a-z0-9]", "", line.partition("+")[0].lower()), _UNLISTED)


def hazard(line: str, capacity_per_target: float, potency: float = 1.0) -> float:
    """Hazard of a target per hour at 37 °C.

    Args:
        line: tumour line.
        capacity_per_target: NK cells times potency, per target.
        potency: mean potency of the NK cells; weak ones are slower even when there are plenty.
    """
    if capacity_per_target <= 0:
        return 0.0
    traits = line_traits(line)
    return traits.hazard * float(potency**POTENCY_EXPONENT) / (1 + float((traits.e50 / capacity_per_target) ** SLOPE))


def kill(amounts: dict[str, float], volume_ul: float, hours: float, pace: float = 1.0) -> None:
    """Advance targets, corpses and LDH of one well in place.

    `pace` slows everything alive against 37 °C; detergent does not mind the temperature.
    """
    lysis = lysis_rate(amounts, volume_ul)
    if not lysis and not any(key.startswith("target:") for key in amounts):
        decay_ldh(amounts, hours * pace)
        return
    done = 0.0
    while done < hours:
        step = min(STEP_HOURS if done < SETTLED_HOURS else SETTLED_HOURS, hours - done)
        _kill_targets(amounts, step, lysis, pace)
        _leak_corpses(amounts, step * pace)
        if lysis:
            _lyse_donor_cells(amounts, step, lysis)
        decay_ldh(amounts, step * pace)
        done += step


def lysis_rate(amounts: dict[str, float], volume_ul: float) -> float:
    """Rate per hour at which detergent lyses every cell; too little of it lyses only slowly."""
    if volume_ul <= 0:
        return 0.0
    share = sum(amount for key, amount in amounts.items() if role_of(key) == "lysis") / volume_ul
    reached = min(1.0, max(0.0, (share - LYSIS_NONE) / (LYSIS_COMPLETE - LYSIS_NONE)))
    return LYSIS_PER_HOUR * reached**2


def _kill_targets(amounts: dict[str, float], hours: float, lysis: float, pace: float) -> None:
    lines = [owner for kind, owner in map(kind_and_owner, amounts) if kind == "target"]
    if not lines:
        return
    capacity = sum(amount for key, amount in amounts.items() if key.startswith("lytic:"))
    killers = sum(amount for key, amount in amounts.items() if key.startswith("nk:"))
    potency = capacity / killers if killers > 0 else 0.0
    everyone = sum(amount for key, amount in amounts.items() if key.startswith(("target:", "lysed:")))
    for line in lines:
        alive = amounts[f"target:{line}"]
        threat = hazard(line, capacity / everyone, potency) if everyone > 0 else 0.0
        died = alive * (1 - exp(-((threat + SPONTANEOUS_PER_HOUR) * pace + lysis) * hours))
        amounts[f"target:{line}"] = alive - died
        amounts[f"lysed:{line}"] = amounts.get(f"lysed:{line}", 0.0) + died
        amounts["ldh"] = amounts.get("ldh", 0.0) + died
        if line.endswith("+calcein"):
            amounts["calcein"] = amounts.get("calcein", 0.0) + died


def _leak_corpses(amounts: dict[str, float], hours: float) -> None:
    dead = sum(amount for key, amount in amounts.items() if key.startswith("dead:"))
    if dead > 0:
        leaked = 0.5 * LDH_PER_DONOR_CELL * dead * (1 - exp(-DEAD_LEAK_PER_HOUR * hours))
        amounts["ldh"] = amounts.get("ldh", 0.0) + leaked


def _lyse_donor_cells(amounts: dict[str, float], hours: float, lysis: float) -> None:
    part = 1 - exp(-lysis * hours)
    released = 0.0
    for key in amounts:
        kind, _ = kind_and_owner(key)
        if kind in CULTURE_KINDS:
            released += LDH_PER_DONOR_CELL * amounts[key] * part
        elif kind == "dead":
            released += 0.5 * LDH_PER_DONOR_CELL * amounts[key] * part
        elif kind != "lytic":
            continue
        amounts[key] *= 1 - part
    amounts["ldh"] = amounts.get("ldh", 0.0) + released


def decay_ldh(amounts: dict[str, float], hours: float) -> None:
    """Let released LDH decay, `hours` at 37 °C."""
    if amounts.get("ldh"):
        amounts["ldh"] *= 0.5 ** (hours / LDH_HALF_LIFE_HOURS)
