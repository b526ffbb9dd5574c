"""The loop: campaign, designs within limits, model, proposals, approval."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nkloop.feedback.approval import approve, reject
    from nkloop.feedback.campaign import Campaign
    from nkloop.feedback.envelope import Envelope
    from nkloop.feedback.expansion import cumulative_fold
    from nkloop.feedback.score import observe, score_of

__all__ = ["Campaign", "Envelope", "approve", "cumulative_fold", "observe", "reject", "score_of"]

_HOME = {
    "approve": "approval",
    "reject": "approval",
    "Campaign": "campaign",
    "Envelope": "envelope",
    "cumulative_fold": "expansion",
    "observe": "score",
    "score_of": "score",
}


def __getattr__(name: str) -> Any:
    """Load the public names when first used: the models alone must not import scipy."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
