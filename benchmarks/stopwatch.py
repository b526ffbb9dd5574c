"""What the benchmarks share: a stopwatch, and lines that say on which machine and how far from what is wanted."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Awaitable, Callable


def seconds(job: Callable[[], object]) -> float:
    """Wall time of one call in s."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def processor_seconds(job: Callable[[], object]) -> float:
    """Processor time of one call in s, which other work on the machine changes little."""
    started = time.process_time()
    job()
    return time.process_time() - started


async def seconds_async(job: Awaitable[object]) -> float:
    """Wall time of one awaited job in s."""
    started = time.perf_counter()
    await job
    return time.perf_counter() - started


def show_machine() -> None:
    """Print cores, load and Python; a figure without its load says little."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, Python {platform.python_version()}")


def show_ratio(what: str, slow: float, fast: float, *, wanted: float | None = None) -> None:
    """Print how many times faster, and what is wanted where something is."""
    aim = "" if wanted is None else f" (wanted: at least {wanted:g}; {'met' if slow / fast >= wanted else 'NOT MET'})"
    print(f"{what}: {slow / fast:.1f} times faster{aim}")


def show_budget(what: str, used: float, budget: float) -> None:
    """Print a time in s and which share of its budget it takes."""
    met = "met" if used <= budget else "NOT MET"
    print(f"{what}: {used:.2f} s, {used / budget:.2f} of the {budget:g} s allowed ({met})")
