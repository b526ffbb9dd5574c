"""A figure and its limit made into a measure with a sentence, and measures made into a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nkloop.assays.methods import Limit
from nkloop.assays.models import QualityMeasure


def judged(limit: Limit, value: float | None, sentence: str, *, missing: str = "", outcome: str = "") -> QualityMeasure:
    """A measure; `sentence` has a `{value}`.

    Without a value the outcome is a pass and the reason `missing`, or a rejection because the controls do not differ.
    `outcome` overrules the limit.
    """
    if value is None:
        words = f"{limit.name.replace('_', ' ')} is not defined: {missing or 'the controls do not differ'}"
        return measure(limit.name, None, limit, outcome or ("pass" if missing else "reject"), words)
    found = outcome or limit.judge(value)
    reason = sentence.format(value=value)
    return measure(limit.name, value, limit, found, reason if found == "pass" else f"{reason}, limit {limit.text}")


def measure(name: str, value: float | None, limit: Limit, outcome: str, reason: str) -> QualityMeasure:
    """A measure whose limit and source are those of `limit`."""
    return QualityMeasure.model_validate(
        {
            "name": name,
            "value": finite(value),
            "limit": limit.text,
            "source": limit.origin,
            "outcome": outcome,
            "reason": reason,
        }
    )


def finite(value: float | None) -> float | None:
    """None in the place of infinity: models hold finite numbers only."""
    return None if value is None or not math.isfinite(value) else value


def verdict_of(quality: Sequence[QualityMeasure]) -> tuple[str, tuple[str, ...]]:
    """`rejected` when any figure rejects, `flagged` when any flags, else `accepted`; with the reasons, worst first."""
    rejecting = tuple(m.reason for m in quality if m.outcome == "reject")
    flagging = tuple(m.reason for m in quality if m.outcome == "flag")
    verdict = "rejected" if rejecting else "flagged" if flagging else "accepted"
    return verdict, rejecting + flagging


def listed(wells: Sequence[str]) -> str:
    """Up to eight wells by name."""
    shown = ", ".join(wells[:8])
    return shown if len(wells) <= 8 else f"{shown} and {len(wells) - 8} more"
