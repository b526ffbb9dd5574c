"""What people call the quality figures of a plate."""

from __future__ import annotations

_TITLES = {
    "signal_window": "signal window",
    "z_prime": "Z'",
    "robust_z_prime": "robust Z'",
    "ssmd": "SSMD",
    "robust_ssmd": "robust SSMD",
    "signal_range": "signal range [fold]",
    "edge_effect": "edge effect [%]",
    "row_drift": "row drift [%]",
    "column_drift": "column drift [%]",
    "stagger": "dispense stagger [% of contact]",
    "westgard": "Westgard rules broken",
    "target_events": "targets counted, fewest",
    "read_settings": "settings not told by the file",
    "spontaneous_to_maximum": "spontaneous / maximum [%]",
    "contact_time": "contact time [min]",
    "saturation": "saturated wells",
    "replicate_cv": "replicate CV [%]",
    "replicate_cv_low_signal": "replicate CV, low signal [%]",
    "monotonicity": "monotonicity (Spearman)",
    "lysis_range": "wells far outside 0-100 %",
    "reference_effector": "reference effector [SD]",
}


def quality_title(name: str) -> str:
    """The figure as a person reads it, with its unit; a name without a title is shown as it is."""
    figure, _, line = name.partition(":")
    title = _TITLES.get(figure, figure.replace("_", " "))
    return f"{title}, {line}" if line else title
