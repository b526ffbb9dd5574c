"""Lysis per well from raw signals. Values below 0 or above 100 % are data: kept and flagged, never clipped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean

from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout, WellLysis, WellRole
from nkloop.errors import AssayError


@dataclass(frozen=True)
class ControlSignals:
    """Mean raw signals of the controls of one plate, in the reader's unit."""

    spontaneous: float
    maximum: float
    background: float
    volume_correction: float

    @property
    def net_spontaneous(self) -> float:
        """Signal of untreated targets above medium."""
        return self.spontaneous - self.background

    @property
    def net_maximum(self) -> float:
        """Signal of fully lysed targets above medium with lysis buffer."""
        return self.maximum - self.volume_correction

    @property
    def window(self) -> float:
        """Signal between no lysis and full lysis; at or below 0 no lysis can be computed."""
        return self.net_maximum - self.net_spontaneous


def control_signals(layout: PlateLayout, signals: Mapping[str, float]) -> ControlSignals:
    """Mean of each control over its wells."""

    def mean(role: WellRole) -> float:
        return fmean(signals[w.well] for w in layout.with_role(role))

    return ControlSignals(mean("spontaneous"), mean("maximum"), mean("background"), mean("volume_correction"))


def ldh_lysis(experimental: float, effector_only: float, controls: ControlSignals) -> float:
    """Lysis in % of one well: 100 [(E-bg) - (Es-bg) - (S-bg)] / [(M-vc) - (S-bg)] (LDH release, CytoTox 96 type).

    `effector_only` is the mean raw signal of the same effectors at the same E:T without targets.
    """
    return 100.0 * (experimental - effector_only - controls.net_spontaneous) / controls.window


def effector_signal(layout: PlateLayout, signals: Mapping[str, float], well: LayoutWell) -> float:
    """Mean effector-only signal that belongs to a well.

    The reference effector has no effector-only wells on the canonical map; it borrows the mean of all samples at the
    same nominal E:T, which is good enough to compare the reference with its own history.
    """
    own = [w for w in layout.with_role("effector_only", well.sample) if w.nominal_ratio == well.nominal_ratio]
    wells = own or [w for w in layout.with_role("effector_only") if w.nominal_ratio == well.nominal_ratio]
    return fmean(signals[w.well] for w in wells)


def lysis_of_wells(
    layout: PlateLayout,
    signals: Mapping[str, float],
    controls: ControlSignals,
    *,
    saturated: Collection[str] = (),
    nonlinear: Collection[str] = (),
    scattered: Mapping[str, float] | None = None,
) -> tuple[WellLysis, ...]:
    """Lysis of every experimental and reference well, with true E:T and flags.

    `scattered` maps wells to the coefficient of variation (%) of their replicate group when it is beyond its limit.
    """
    samples = {s.name: s for s in (*layout.samples, *([layout.reference] if layout.reference else []))}
    result = []
    for well in (*layout.with_role("experimental"), *layout.with_role("reference_effector")):
        sample, ratio = _identity(well, samples)
        value = ldh_lysis(signals[well.well], effector_signal(layout, signals, well), controls)
        flags = _flags(value, well, saturated, nonlinear)
        if scattered and well.well in scattered:
            flags.append(f"replicates scatter, CV {scattered[well.well]:.0f} %")
        result.append(
            WellLysis(
                well=well.well,
                sample=sample.name,
                nominal_ratio=ratio,
                true_ratio=sample.true_ratio(ratio),
                lysis_percent=value,
                flags=tuple(flags),
            )
        )
    return tuple(result)


def _identity(well: LayoutWell, samples: Mapping[str, EffectorSample]) -> tuple[EffectorSample, float]:
    if well.sample is None or well.nominal_ratio is None:
        raise AssayError(f"well {well.well} names no sample or no E:T", remedy="complete the layout")
    return samples[well.sample], well.nominal_ratio


def _flags(value: float, well: LayoutWell, saturated: Collection[str], nonlinear: Collection[str]) -> list[str]:
    flags = []
    if value < 0:
        flags.append("below 0 %")
    if value > 100:
        flags.append("above 100 %")
    if well.well in saturated:
        flags.append("saturated")
    elif well.well in nonlinear:
        flags.append("above the linear range")
    return flags
