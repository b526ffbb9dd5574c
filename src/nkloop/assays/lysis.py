"""Lysis per well from raw signals. Values below 0 or above 100 % are data: kept and flagged, never clipped.

Release and loss are one formula, 100 (E − S) / (M − S): S is the signal of targets alone and M that of no living
target, whichever of the two is higher. E loses the share of the effectors first when the method says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

from nkloop.assays.methods import Method
from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout, WellLysis, WellRole
from nkloop.errors import AssayError

NO_LIVING_TARGET = {"flow": 100.0, "loss": 0.0, "kinetic": 0.0, "release": 0.0}
"""Signal without a living target where a plate has no maximum wells: 100 % dead, or nothing left."""
TARGETS_AND_SOMETHING: tuple[WellRole, ...] = ("experimental", "reference_effector", "treated_target")
"""Roles that have a lysis."""


@dataclass(frozen=True)
class ControlSignals:
    """Mean raw signals of the controls of one target line on one plate, in the reader's unit."""

    spontaneous: float
    maximum: float
    background: float
    volume_correction: float
    direction: int = 1
    """1 when lysis raises the signal, -1 when it lowers it."""

    @property
    def net_spontaneous(self) -> float:
        """Signal of untreated targets above medium."""
        return self.spontaneous - self.background

    @property
    def net_maximum(self) -> float:
        """Signal of fully lysed targets above medium with lysis reagent."""
        return self.maximum - self.volume_correction

    @property
    def window(self) -> float:
        """Signal between no lysis and full lysis in the direction of the method; at or below 0 no lysis is computed."""
        return self.direction * (self.net_maximum - self.net_spontaneous)

    @property
    def highest(self) -> float:
        """The larger of the two net controls: the scale of the signals."""
        return max(self.net_maximum, self.net_spontaneous)


def control_signals(
    layout: PlateLayout, signals: Mapping[str, float], method: Method, line: str | None = None
) -> ControlSignals:
    """Mean of each control over its wells; medium wells that name no line serve every line.

    A control the method does not correct for counts as medium, and medium as 0 without medium wells.
    """
    line = line or layout.target_line

    def mean(role: WellRole) -> float | None:
        wells = layout.with_role(role, line=line) or layout.with_role(role)
        values = [signals[w.well] for w in wells if w.well in signals]
        return fmean(values) if values else None

    background = mean("background") if method.terms.medium_background else 0.0
    base = 0.0 if background is None else background
    corrected = mean("volume_correction") if method.terms.volume_correction else None
    untouched, lysed = mean("spontaneous"), mean("maximum")
    if untouched is None:
        raise AssayError(f"line {line} has no spontaneous wells", remedy="add targets alone of every line")
    return ControlSignals(
        spontaneous=untouched,
        maximum=NO_LIVING_TARGET[method.formula] + base if lysed is None else lysed,
        background=base,
        volume_correction=base if corrected is None else corrected,
        direction=method.direction,
    )


def window_error(layout: PlateLayout, signals: Mapping[str, float], method: Method, line: str) -> float:
    """Relative standard error of the signal window of a line, from the scatter of its control wells; 0 without any."""
    roles: tuple[WellRole, ...] = ("spontaneous", "maximum")
    roles += ("background",) if method.terms.volume_correction else ()
    roles += ("volume_correction",) if method.terms.volume_correction else ()
    variance = 0.0
    for role in roles:
        wells = layout.with_role(role, line=line) or layout.with_role(role)
        values = [signals[w.well] for w in wells if w.well in signals]
        variance += stdev(values) ** 2 / len(values) if len(values) > 1 else 0.0
    window = control_signals(layout, signals, method, line).window
    return float(variance**0.5 / window) if window > 0 else 0.0


def lysis_percent(experimental: float, alone: float, controls: ControlSignals) -> float:
    """Lysis in % of one well: 100 [(E−bg) − (Es−bg) − (S−bg)] / [(M−vc) − (S−bg)].

    `alone` is the mean raw signal of the same effectors at the same E:T without targets, or the background when the
    method takes no effector signal off.
    """
    return 100.0 * controls.direction * (experimental - alone - controls.net_spontaneous) / controls.window


def effector_signal(
    layout: PlateLayout, signals: Mapping[str, float], well: LayoutWell, method: Method, background: float
) -> float:
    """Mean effector-only signal that belongs to a well; the background when the method takes none off.

    The reference effector has no effector-only wells on the canonical map; it borrows the mean of all samples at the
    same nominal E:T, which is good enough to compare the reference with its own history.
    """
    if not method.terms.effector_only or well.nominal_ratio is None:
        return background
    same = [w for w in layout.with_role("effector_only") if w.nominal_ratio == well.nominal_ratio and w.well in signals]
    own = [w for w in same if w.sample == well.sample]
    treated = [w for w in own if w.treatment == well.treatment and w.dose == well.dose]
    wells = treated or own or same
    if not wells:
        raise AssayError(
            f"well {well.well} has no effector-only well at its E:T left",
            where=f"plate {layout.barcode}",
            remedy="keep at least one effector-only well per E:T",
        )
    return fmean(signals[w.well] for w in wells)


def lysis_of_wells(
    layout: PlateLayout,
    signals: Mapping[str, float],
    controls: Mapping[str, ControlSignals],
    method: Method,
    *,
    saturated: Collection[str] = (),
    nonlinear: Collection[str] = (),
    scattered: Mapping[str, float] | None = None,
    notes: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[WellLysis, ...]:
    """Lysis of every well that has one and a signal, with true E:T and flags.

    Args:
        layout: what is where.
        signals: raw signal per well; a well without one is left out.
        controls: controls by target line.
        method: how the signal becomes lysis.
        saturated: wells at the reader's limit.
        nonlinear: wells beyond the linear range.
        scattered: wells to the coefficient of variation (%) of their replicate group when it is beyond its limit.
        notes: wells to what else must be said of them.
    """
    samples = {s.name: s for s in (*layout.samples, *([layout.reference] if layout.reference else []))}
    result = []
    for role in TARGETS_AND_SOMETHING:
        for well in layout.with_role(role):
            line = layout.line_of(well)
            if well.well not in signals or line not in controls:
                continue
            own = controls[line]
            alone = effector_signal(layout, signals, well, method, own.background)
            value = lysis_percent(signals[well.well], alone, own)
            flags = _flags(value, well, saturated, nonlinear)
            if scattered and well.well in scattered:
                flags.append(f"replicates scatter, CV {scattered[well.well]:.0f} %")
            flags += (notes or {}).get(well.well, ())
            result.append(_told(well, line, samples, value, flags))
    return tuple(result)


def _told(
    well: LayoutWell, line: str, samples: Mapping[str, EffectorSample], value: float, flags: list[str]
) -> WellLysis:
    nominal = well.nominal_ratio or 0.0
    sample = samples[well.sample] if well.sample is not None else None
    return WellLysis(
        well=well.well,
        sample="" if sample is None else sample.name,
        nominal_ratio=nominal,
        true_ratio=0.0 if sample is None else sample.true_ratio(nominal),
        lysis_percent=value,
        flags=tuple(flags),
        target_line=line,
        treatment=well.treatment or "",
        dose=well.dose,
    )


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
