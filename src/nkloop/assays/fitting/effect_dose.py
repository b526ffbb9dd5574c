"""The dose at a level of the curve with its profile-likelihood interval, never beyond what was tested; lytic units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nkloop.assays.curve_models import EffectDose
from nkloop.assays.fitting.batch import BatchFit
from nkloop.assays.fitting.logistic import ANCHOR, SLOPE, Level, logistic, move_anchor
from nkloop.assays.fitting.profile import profile_interval

_REACH = 1.0
"""Decades beyond the tested doses to which the profile is followed: an end further out counts as unbounded."""
_SLACK = 1e-9


@dataclass(frozen=True)
class LyticUnits:
    """One lytic unit is the number of effectors that lyse the stated share of the stated number of targets."""

    targets: float
    """Targets per well."""
    effectors: float = 1e7
    """Number of effectors whose units are counted."""

    def units(self, ratio: float) -> float:
        """Lytic units at an E:T (Bryant et al. 1992): halving the targets doubles them."""
        return self.effectors / (self.targets * ratio)


def figure(value: float) -> str:
    """Three significant digits, trailing zeros kept: `1.50`, `10.0`, `0.313`."""
    return f"{value:#.3g}".rstrip(".")


def effect_dose(fit: BatchFit, level: Level, *, lytic: LyticUnits | None = None) -> EffectDose:
    """Where the first curve of a batch takes a level."""
    _, _, near, far = fit.data.ranges()
    lowest, highest = 10 ** float(near[0]), 10 ** float(far[0])
    said: dict[str, object] = {"level": level.value, "of": "response" if level.is_response else "effect"}
    outside = _outside(fit, level, lowest, highest)
    if outside is not None:
        text, reason = outside
        return EffectDose.model_validate({**said, "determined": False, "text": text, "reason": reason})
    at = float(move_anchor(fit.parameters, level)[0])
    low, high = (float(end[0]) for end in profile_interval(fit, ANCHOR, level=level, reach=_REACH))
    open_ends = [side for side, end in (("lower", low), ("upper", high)) if not np.isfinite(end)]
    if open_ends:
        reason = f"the {' and the '.join(open_ends)} end of the 95 % interval of the dose at {level} is unbounded"
        return EffectDose.model_validate({**said, "determined": False, "text": "not determined", "reason": reason})
    ends = [10**low, 10**high]
    inside = [ends[0] >= lowest * (1 - _SLACK), ends[1] <= highest * (1 + _SLACK)]
    shown = f"{figure(ends[0]) if inside[0] else '< ' + figure(lowest)} to "
    shown += figure(ends[1]) if inside[1] else f"> {figure(highest)}"
    said |= {"determined": True, "estimate": 10**at, "text": f"{figure(10**at)} ({shown})"}
    said |= {"ci_low": ends[0] if inside[0] else None, "ci_high": ends[1] if inside[1] else None}
    if lytic is not None:
        said["lytic_units"] = lytic.units(10**at)
        said["lytic_units_low"] = lytic.units(ends[1]) if inside[1] else None
        said["lytic_units_high"] = lytic.units(ends[0]) if inside[0] else None
    return EffectDose.model_validate(said)


def _outside(fit: BatchFit, level: Level, lowest: float, highest: float) -> tuple[str, str] | None:
    """Text and reason when the level is not taken between the lowest and the highest dose."""
    at = float(move_anchor(fit.parameters, level)[0])
    if np.isfinite(at) and lowest * (1 - _SLACK) <= 10**at <= highest * (1 + _SLACK):
        return None
    values, _ = logistic(fit.parameters, np.log10([[lowest, highest]]))
    first, last = float(values[0, 0]), float(values[0, 1])
    rising = float(fit.parameters[0, SLOPE]) > 0
    if np.isfinite(at):
        beyond = 10**at > highest
    else:
        beyond = (last < level.value) == rising
    if beyond:
        reason = f"the curve is at {last:.3g} at the highest dose {figure(highest)}, the dose at {level} lies above it"
        return f"> {figure(highest)}", reason
    reason = (
        f"the curve is at {first:.3g} at the lowest dose {figure(lowest)} already, the dose at {level} lies below it"
    )
    return f"< {figure(lowest)}", reason
