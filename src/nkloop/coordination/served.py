"""The bench that is being served, and the fields that the forms of several flows have in common."""

from __future__ import annotations

import os
from typing import Any

from pydantic import Field

SERVED_BENCH = "NKLOOP_BENCH"
"""Environment variable with the name of a bench; set by `nkloop serve` and by whoever starts a worker."""


def served_bench() -> str:
    """Name of the bench in `NKLOOP_BENCH`, else `virtual`."""
    return os.environ.get(SERVED_BENCH) or "virtual"


def bench_field() -> Any:
    """Field of a form: the bench, at first the one that is served."""
    return Field(served_bench(), title="Bench", description="File name in devices/ without .yaml", min_length=1)


def reservation_field() -> Any:
    """Field of a form: the reservation of a plan."""
    told = "Name given to `nkloop plan … --reserve`, when this run is another than that plan; else leave it empty"
    return Field("", title="Reservation", description=told, max_length=120)


def batch_field() -> Any:
    """Field of a form: the batch of cells that a run belongs to."""
    told = "Of the cells it is for, as written on their vessels; vessels of one name are told apart by it. May be empty"
    return Field("", title="Batch", description=told, max_length=120)
