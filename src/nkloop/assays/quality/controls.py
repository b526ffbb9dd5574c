"""Quality of the controls: window, Z', SSMD, leak, signal range, saturation, and the time of contact."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nkloop.assays.lysis import ControlSignals
from nkloop.assays.methods import Limit, Method
from nkloop.assays.models import PlateLayout, QualityMeasure
from nkloop.assays.quality.measures import finite, judged, listed, measure
from nkloop.assays.quality.statistics import robust_ssmd, robust_z_prime, ssmd, z_prime

LEAST_ROBUST = 5
"""Wells needed before a median absolute deviation says anything."""


def control_measures(
    layout: PlateLayout, signals: Mapping[str, float], controls: Mapping[str, ControlSignals], method: Method
) -> list[QualityMeasure]:
    """Figures of the controls of every line; with several lines each sentence names its line."""
    found: list[QualityMeasure] = []
    for line, own in controls.items():
        measures = _of_line(layout, signals, own, method, line)
        if len(controls) > 1:
            measures = [
                m.model_copy(update={"name": f"{m.name}:{line}", "reason": f"{line}: {m.reason}"}) for m in measures
            ]
        found += measures
    return [*found, *_contact(layout, method)]


def _of_line(
    layout: PlateLayout, signals: Mapping[str, float], controls: ControlSignals, method: Method, line: str
) -> list[QualityMeasure]:
    lysed = [signals[w.well] for w in layout.with_role("maximum", line=line) if w.well in signals]
    untouched = [signals[w.well] for w in layout.with_role("spontaneous", line=line) if w.well in signals]
    found = [_window(controls, method)]
    if len(lysed) >= 2 and len(untouched) >= 2:
        sign = method.direction
        ordered = (lysed, untouched) if sign > 0 else (untouched, lysed)
        no_spread = "the controls have no spread"
        found.append(
            judged(method.limit("z_prime"), z_prime(*ordered), "Z' of maximum against spontaneous is {value:.2f}")
        )
        words = "maximum and spontaneous wells are {value:.1f} standard deviations apart (SSMD)"
        found.append(judged(method.limit("ssmd"), ssmd(*ordered), words, missing=no_spread))
        if min(len(lysed), len(untouched)) >= LEAST_ROBUST:
            words = "robust Z' (medians, MAD) is {value:.2f}"
            found.append(
                judged(
                    method.limit("robust_z_prime"), robust_z_prime(*ordered), words, missing="the medians do not differ"
                )
            )
            words = "maximum and spontaneous wells are {value:.1f} robust standard deviations apart (SSMD with MAD)"
            found.append(judged(method.limit("robust_ssmd"), robust_ssmd(*ordered), words, missing=no_spread))
    if method.direction > 0:
        found.append(_leakage(controls, method.limit("spontaneous_to_maximum")))
    found.append(_range(controls, method.limit("signal_range")))
    return found


def saturation_measure(layout: PlateLayout, saturated: Collection[str], nonlinear: Collection[str]) -> QualityMeasure:
    """Saturated or non-linear wells; a saturated control makes every lysis value wrong."""
    read = [w for w in layout.wells if w.role not in {"medium_ring", "empty"}]
    full = [w for w in read if w.well in saturated]
    over = [w for w in read if w.well in nonlinear and w.well not in saturated]
    names = listed([w.well for w in (*full, *over)])
    controls = sorted({w.role for w in full if w.role in {"maximum", "spontaneous"}})
    if controls:
        consequence = "all lysis values are too high" if controls == ["maximum"] else "no lysis value is right"
        outcome, reason = (
            "reject",
            f"the reader is saturated in {' and '.join(controls)} wells ({names}), so {consequence}",
        )
    elif full or over:
        outcome, reason = "flag", f"signals saturated or beyond the linear range in {names}"
    else:
        outcome, reason = "pass", "no well is saturated or beyond the linear range"
    return QualityMeasure.model_validate(
        {
            "name": "saturation",
            "value": len(full) + len(over),
            "limit": "no well; rejected when a control is saturated",
            "source": "reader range; linear range of the method [unverified]",
            "outcome": outcome,
            "reason": reason,
        }
    )


def _window(controls: ControlSignals, method: Method) -> QualityMeasure:
    unit = "OD" if method.read.mode == "absorbance" else "signal units"
    if controls.window > 0:
        reason = f"lysed and untreated targets are {controls.window:.3g} {unit} apart"
    else:
        side = "above" if method.direction > 0 else "below"
        reason = (
            f"lysed targets do not read {side} untreated ones ({controls.window:.3g}): no lysis can be computed; "
            "controls swapped, wrong filter, wrong method, or no targets"
        )
    return QualityMeasure(
        name="signal_window",
        value=finite(controls.window),
        limit="above 0",
        source="definition of lysis",
        outcome="pass" if controls.window > 0 else "reject",
        reason=reason,
    )


def _leakage(controls: ControlSignals, limit: Limit) -> QualityMeasure:
    share = 100 * controls.net_spontaneous / controls.net_maximum if controls.net_maximum > 0 else None
    if share is not None and share < 0:
        reason = "medium reads above untreated targets; background and spontaneous wells may be swapped"
        return measure(limit.name, share, limit, "flag", reason)
    return judged(limit, share, "untreated targets leak {value:.0f} % of what lysed targets release")


def _range(controls: ControlSignals, limit: Limit) -> QualityMeasure:
    """Raw signal of the higher control over the lower one: how much of the reader's range the plate uses."""
    high, low = max(controls.maximum, controls.spontaneous), min(controls.maximum, controls.spontaneous)
    if low <= 0:
        return judged(limit, None, "", missing="the lower control reads nothing, which is as far as a range goes")
    return judged(limit, high / low, "the higher control reads {value:.1f} times the lower one")


def _contact(layout: PlateLayout, method: Method) -> list[QualityMeasure]:
    window = method.contact
    inside = window.low_minutes <= layout.contact_minutes <= window.high_minutes
    contact = QualityMeasure(
        name="contact_time",
        value=layout.contact_minutes,
        limit=f"{window.low_minutes:g} to {window.high_minutes:g} min",
        source=window.origin,
        outcome="pass" if inside else "flag",
        reason=f"{layout.contact_minutes:g} min of contact" + ("" if inside else f"; {window.reason}"),
    )
    if layout.stagger_minutes is None:
        return [contact]
    share = 100 * layout.stagger_minutes / layout.contact_minutes
    words = f"{layout.stagger_minutes:.3g} min between the first and the last well, {{value:.1f}} % of the contact"
    return [contact, judged(method.limit("stagger"), share, words)]
