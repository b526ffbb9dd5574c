"""Holding a device beside the robot while it is driven: reader, counter, incubator, each under a name of its own.

A robot that pipettes for hours does not keep its neighbours from working, and benches that share a reader take turns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from nkloop.drivers.bench import Bench
from nkloop.drivers.bench_file import BenchFile
from nkloop.drivers.incubating import IncubatingOperator
from nkloop.drivers.interfaces import Fenced
from nkloop.records import Records
from nkloop.runs.holding import name_held

Beside = Literal["plate_reader", "cell_counter", "incubator"]
BESIDE: tuple[Beside, ...] = ("plate_reader", "cell_counter", "incubator")
WAIT_SECONDS = 24 * 3600.0
"""Longest wait for a device that somebody else holds; he may wait for a person over night."""


def lock_of(file: BenchFile, device: Beside) -> str:
    """Name under which a device is held: the `lock` of the bench file, or one of this bench alone."""
    spec = getattr(file, device)
    return (spec.lock if spec is not None else "") or f"{file.name}: {device.replace('_', ' ')}"


@asynccontextmanager
async def beside_held(
    bench: Bench, device: Beside, records: Records, purpose: str, *, wait_seconds: float = 0.0
) -> AsyncIterator[None]:
    """Hold a device beside the robot; nothing is held for one that a person drives.

    Args:
        bench: whose device it is.
        device: which one.
        records: where the claim is kept.
        purpose: what for, as the next person who wants it reads it.
        wait_seconds: how long to wait for somebody else to finish; who that is stands in the log.

    Raises:
        DeviceHeldError: somebody else holds it; it says who.
    """
    driven = _driven(bench, device)
    if not isinstance(driven, Fenced):
        yield
        return
    async with name_held(lock_of(bench.file, device), driven, records, purpose, wait_seconds=wait_seconds):
        yield


def give_incubator(bench: Bench, records: Records) -> None:
    """Let the incubator of a bench, where it has one, be held for every plate that goes in or out."""
    operator = bench.operator
    if isinstance(operator, IncubatingOperator):
        operator.held = lambda purpose: beside_held(bench, "incubator", records, purpose, wait_seconds=WAIT_SECONDS)


def _driven(bench: Bench, device: Beside) -> object:
    if device == "incubator":
        return bench.operator.storage if isinstance(bench.operator, IncubatingOperator) else None
    return getattr(bench, device)
