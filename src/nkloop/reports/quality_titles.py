"""What people call the quality figures of a plate."""

from __future__ import annotations

_TITLES = {
    "signal_window": "signal window",
    "z_prime": "Z'",
    "ssmd": "SSMD",
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
    return _TITLES.get(name, name.replace("_", " "))
