"""The bench that is being served: what every form of a flow begins with."""

from __future__ import annotations

import os

SERVED_BENCH = "NKLOOP_BENCH"
"""Environment variable with the name of a bench; set by `nkloop serve` and by whoever starts a worker."""


def served_bench() -> str:
    """Name of the bench in `NKLOOP_BENCH`, else `virtual`."""
    return os.environ.get(SERVED_BENCH) or "virtual"
