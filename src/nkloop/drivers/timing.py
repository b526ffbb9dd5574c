"""Tasks whose time is part of what is asked: a confirmation that comes before it is over says why, whoever asks."""

from __future__ import annotations

from datetime import datetime

from nkloop.worklists.models import OperatorTask

_TIMED = frozenset({"incubate", "centrifuge", "thaw", "warm", "equilibrate", "settle", "store"})
"""The time of every other task is an estimate of how long the handling takes."""
COUNTED = "counted from when this is asked; begun later, confirm later"
"""From when the time of a timed task counts, as people are told beside it."""
_IN_TIME = 0.9
"""A task confirmed after this share of its time counts as done in time."""
EARLY_REMEDY = "confirm when it is over, or say in a note why it was shorter"


def is_timed(task: OperatorTask) -> bool:
    """Whether its time must pass. What equilibrates to no temperature is only brought, and its time an estimate."""
    is_brought = task.kind == "equilibrate" and task.temperature_c is None
    return task.kind in _TIMED and task.minutes > 0 and not is_brought


def too_early(task: OperatorTask, asked_at: datetime, now: datetime) -> str:
    """Why a confirmation comes before the time asked for has passed; empty when it does not."""
    passed = (now - asked_at).total_seconds() / 60
    if not is_timed(task) or passed >= _IN_TIME * task.minutes:
        return ""
    return f"{max(passed, 0.0):.0f} of {task.minutes:g} min have passed since it was asked"
