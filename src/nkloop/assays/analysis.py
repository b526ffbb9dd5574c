"""From raw signals of one plate to lysis, quality, curves and a verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from nkloop.assays.checks import UNREAD, check_layout, normal_well, signals_of
from nkloop.assays.curves import fit_curve
from nkloop.assays.lysis import control_signals, lysis_of_wells
from nkloop.assays.methods import Method, method_named
from nkloop.assays.models import AssayResult, CurveFit, EffectorSample, PlateLayout, QualityMeasure, WellLysis
from nkloop.assays.quality import (
    control_measures,
    lysis_measures,
    reference_measure,
    replicate_groups,
    replicate_measure,
    saturation_measure,
    verdict_of,
)


def analyse(
    layout: PlateLayout,
    values: Mapping[str, float] | Iterable[tuple[str, float]],
    *,
    saturated: Collection[str] = (),
    method: Method | None = None,
    reference_history: Sequence[float] = (),
) -> AssayResult:
    """Analyse one plate.

    `values` maps wells to raw signals (reference wavelength already subtracted), `saturated` names the wells at the
    reader's limit, `method` replaces the one the layout names, `reference_history` holds the mean reference lysis (%)
    of earlier plates with the same target line, oldest first. A plate whose controls leave no signal window is
    rejected and has neither lysis nor curves, because no number could be right.

    Raises:
        AssayError: the layout lacks controls, uses a well twice or cannot give lysis values.
        ReadingError: the values do not fit the layout.
    """
    method = method or method_named(layout.method)
    check_layout(layout, method)
    signals = signals_of(layout, values)
    full = {normal_well(well) for well in saturated}
    used = [w.well for w in layout.wells if w.role not in UNREAD]
    over = {well for well in used if signals[well] > method.read.highest_linear}
    controls = control_signals(layout, signals)
    quality = [*control_measures(layout, signals, controls, method), saturation_measure(layout, full, over)]
    lysis: tuple[WellLysis, ...] = ()
    curves: tuple[CurveFit, ...] = ()
    if controls.window > 0:
        groups = replicate_groups(layout, signals, controls, method)
        scattered = {w: g.cv_percent for g in groups if g.is_scattered for w in g.wells}
        lysis = lysis_of_wells(layout, signals, controls, saturated=full, nonlinear=over, scattered=scattered)
        reference = reference_measure(lysis, layout, reference_history, method)
        quality += [replicate_measure(groups, method), *lysis_measures(layout, lysis, method)]
        quality += [reference] if reference is not None else []
        curves = tuple(_curve(layout, sample, lysis) for sample in layout.samples)
    return _result(layout, signals, quality, lysis, curves)


def _curve(layout: PlateLayout, sample: EffectorSample, lysis: Sequence[WellLysis]) -> CurveFit:
    wells = [w for w in lysis if w.sample == sample.name]
    alone = len(layout.with_role("effector_only", sample.name)) / len({w.nominal_ratio for w in wells})
    return fit_curve(
        sample.name,
        [w.true_ratio for w in wells],
        [w.lysis_percent for w in wells],
        effector_replicates=max(round(alone), 1),
    )


def _result(
    layout: PlateLayout,
    signals: dict[str, float],
    quality: Sequence[QualityMeasure],
    lysis: tuple[WellLysis, ...],
    curves: tuple[CurveFit, ...],
) -> AssayResult:
    verdict, reasons = verdict_of(quality)
    return AssayResult.model_validate(
        {
            "barcode": layout.barcode,
            "method": layout.method,
            "target_line": layout.target_line,
            "verdict": verdict,
            "reasons": reasons,
            "z_prime": next(m.value for m in quality if m.name == "z_prime"),
            "quality": tuple(quality),
            "lysis": lysis,
            "curves": curves,
            "layout": layout,
            "signals": signals,
        }
    )
