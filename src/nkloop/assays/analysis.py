"""From raw signals of one plate to lysis, quality, curves and a verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nkloop.assays.checks import UNREAD, check_layout, normal_well, signals_of
from nkloop.assays.curves import fit_curve
from nkloop.assays.effects import effects_of, matrix_of
from nkloop.assays.lysis import ControlSignals, control_signals, lysis_of_wells, window_error
from nkloop.assays.lytic import LyticQuestion
from nkloop.assays.methods import Method, method_named
from nkloop.assays.models import (
    AssayResult,
    CurveFit,
    Effect,
    EffectorSample,
    Exclusion,
    KillingOverTime,
    PlateLayout,
    QualityMeasure,
    ReadingOrigin,
    WellLysis,
)
from nkloop.assays.quality import (
    control_measures,
    lysis_measures,
    position_measures,
    reference_measures,
    replicate_groups,
    replicate_measure,
    saturation_measure,
    verdict_of,
)
from nkloop.errors import AssayError, NkloopError


@dataclass(frozen=True)
class ReadAs:
    """What a reading adds to the bare signals."""

    saturated: frozenset[str] = frozenset()
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Wells to what must be said of them."""
    measures: tuple[QualityMeasure, ...] = ()
    """Quality figures of the reading itself."""
    kinetics: tuple[KillingOverTime, ...] = ()
    origin: ReadingOrigin | None = None


def analyse(
    layout: PlateLayout,
    values: Mapping[str, float] | Iterable[tuple[str, float]],
    *,
    saturated: Collection[str] = (),
    method: Method | None = None,
    reference_history: Sequence[float] = (),
    exclusions: Sequence[Exclusion] = (),
    read_as: ReadAs | None = None,
    lytic: LyticQuestion | None = None,
) -> AssayResult:
    """Analyse one plate.

    A plate whose controls leave no signal window is rejected and has neither lysis nor curves, because no number could
    be right. With exclusions the result says so, and carries the result with every well in `all_wells`.

    Args:
        layout: what is where.
        values: raw signal per well, reference wavelength already subtracted.
        saturated: wells at the reader's limit.
        method: replaces the method the layout names.
        reference_history: mean reference lysis (%) of earlier plates with the same target line, oldest first.
        exclusions: wells a person left out, each with reason and name.
        read_as: what a reading says beside its signals.
        lytic: how lytic units are counted; at 50 % lysis of the targets of a well when not given.

    Raises:
        AssayError: the layout lacks controls, uses a well twice or cannot give lysis values.
        ReadingError: the values do not fit the layout.
    """
    method = method or method_named(layout.method)
    pairs = tuple(values.items() if isinstance(values, Mapping) else values)
    seen = read_as or ReadAs(saturated=frozenset(normal_well(well) for well in saturated))
    if not exclusions:
        return _analysed(layout, layout, pairs, method, reference_history, seen, lytic)
    _check_exclusions(layout, exclusions)
    out = {e.well for e in exclusions}
    kept = layout.model_copy(update={"wells": tuple(w for w in layout.wells if w.well not in out)})
    result = _analysed(kept, layout, pairs, method, reference_history, seen, lytic)
    update: dict[str, object] = {"exclusions": tuple(exclusions)}
    try:
        update["all_wells"] = _analysed(layout, layout, pairs, method, reference_history, seen, lytic)
    except NkloopError as error:
        update["all_wells_reason"] = error.problems[0].message
    return result.model_copy(update=update)


def _check_exclusions(layout: PlateLayout, exclusions: Sequence[Exclusion]) -> None:
    used = {w.well for w in layout.wells if w.role not in UNREAD}
    foreign = [e.well for e in exclusions if e.well not in used]
    if foreign:
        raise AssayError(
            f"{', '.join(foreign)} cannot be excluded, the layout has nothing to read there",
            where=f"layout of plate {layout.barcode}",
            remedy="name a well that holds a sample or a control",
        )
    empty = [e.well for e in exclusions if not e.reason.strip() or not e.by.strip()]
    if empty:
        raise AssayError(
            f"{', '.join(empty)} is excluded without a reason or without a name",
            remedy="say why and who decides",
        )


def _analysed(
    layout: PlateLayout,
    whole: PlateLayout,
    pairs: Sequence[tuple[str, float]],
    method: Method,
    history: Sequence[float],
    seen: ReadAs,
    lytic: LyticQuestion | None,
) -> AssayResult:
    """The result of the wells of `layout`; it shows the `whole` plate."""
    check_layout(layout, method)
    out = {w.well for w in whole.wells} - {w.well for w in layout.wells}
    given = {normal_well(well) for well, _ in pairs}
    without = out | (seen.saturated - given)
    shown = signals_of(whole, pairs, absent=without)
    signals = {well: value for well, value in shown.items() if well not in out}
    used = [w.well for w in layout.wells if w.role not in UNREAD and w.well in signals]
    linear = method.read.highest_linear
    over = {well for well in used if linear is not None and signals[well] > linear}
    quality = [*seen.measures, saturation_measure(layout, seen.saturated, over)]
    lysis: tuple[WellLysis, ...] = ()
    curves: tuple[CurveFit, ...] = ()
    controls = _controls(layout, signals, method)
    if controls is not None:
        quality = [*control_measures(layout, signals, controls, method), *quality]
        if all(own.window > 0 for own in controls.values()):
            groups = replicate_groups(layout, signals, controls, method)
            scattered = {w: g.cv_percent for g in groups if g.is_scattered for w in g.wells}
            lysis = lysis_of_wells(
                layout,
                signals,
                controls,
                method,
                saturated=seen.saturated,
                nonlinear=over,
                scattered=scattered,
                notes=seen.notes,
            )
            quality += [replicate_measure(groups, method), *lysis_measures(layout, lysis, method)]
            quality += position_measures(layout, signals, method)
            quality += reference_measures(lysis, layout, history, method)
            curves = _curves(layout, lysis, method, lytic)
    errors = {line: window_error(layout, signals, method, line) for line in controls or {}} if lysis else {}
    effects = effects_of(layout, lysis, errors)
    return _result(whole, method, shown, quality, lysis, curves, effects, seen)


def _controls(layout: PlateLayout, signals: Mapping[str, float], method: Method) -> dict[str, ControlSignals] | None:
    """Controls per line; None when over-range wells leave a control without any value."""
    for line in layout.lines:
        for role in ("spontaneous", "maximum"):
            wells = layout.with_role(role, line=line)
            if wells and not any(w.well in signals for w in wells):
                return None
    return {line: control_signals(layout, signals, method, line) for line in layout.lines}


def _curves(
    layout: PlateLayout, lysis: Sequence[WellLysis], method: Method, lytic: LyticQuestion | None
) -> tuple[CurveFit, ...]:
    """A curve for every sample, line and treatment that stands at three E:T or more."""
    found = []
    for sample in layout.samples:
        own = [w for w in lysis if w.sample == sample.name]
        for line, treatment, dose in dict.fromkeys((w.target_line, w.treatment, w.dose) for w in own):
            wells = [w for w in own if (w.target_line, w.treatment, w.dose) == (line, treatment, dose)]
            if len({w.true_ratio for w in wells}) >= 3:
                curve = _curve(layout, sample, wells, method, lytic)
                named = treatment if dose is None else f"{treatment} {dose:g}"
                found.append(curve.model_copy(update={"target_line": line, "treatment": named}))
    return tuple(found)


def _curve(
    layout: PlateLayout,
    sample: EffectorSample,
    wells: Sequence[WellLysis],
    method: Method,
    lytic: LyticQuestion | None,
) -> CurveFit:
    alone = len(layout.with_role("effector_only", sample.name)) / len({w.nominal_ratio for w in wells})
    return fit_curve(
        sample.name,
        [w.true_ratio for w in wells],
        [w.lysis_percent for w in wells],
        effector_replicates=max(round(alone), 1) if method.terms.effector_only else None,
        lytic=lytic,
        targets_per_well=layout.targets_per_well,
    )


def _result(
    layout: PlateLayout,
    method: Method,
    signals: dict[str, float],
    quality: Sequence[QualityMeasure],
    lysis: tuple[WellLysis, ...],
    curves: tuple[CurveFit, ...],
    effects: tuple[Effect, ...],
    seen: ReadAs,
) -> AssayResult:
    verdict, reasons = verdict_of(quality)
    return AssayResult.model_validate(
        {
            "barcode": layout.barcode,
            "method": method.name,
            "target_line": layout.target_line,
            "verdict": verdict,
            "reasons": reasons,
            "z_prime": next((m.value for m in quality if m.name.partition(":")[0] == "z_prime"), None),
            "quality": tuple(quality),
            "lysis": lysis,
            "curves": curves,
            "layout": layout,
            "signals": signals,
            "effects": effects,
            "matrix": matrix_of(layout, lysis),
            "kinetics": seen.kinetics if lysis else (),
            "reading": seen.origin,
        }
    )
