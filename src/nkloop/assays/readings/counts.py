"""Files of cell counters: who was counted, how many, how many alive."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from nkloop.assays.readings.allotrope import device_text, file_time
from nkloop.assays.readings.cells import read_rows
from nkloop.assays.readings.files import InstrumentFiles, parsed
from nkloop.assays.readings.programs import PROGRAMS, program_of
from nkloop.errors import Problem, ReadingError
from nkloop.frozen import FrozenModel
from nkloop.quantities.display import number

_PER_ML = {"10^6 cells/mL": 1e6, "cells/mL": 1.0, "10^6 cell/mL": 1e6, "cell/mL": 1.0}
_AGREE_PERCENT = 3.0
"""Viable over total may differ from the viability told by the rounding of a counter's export."""


class SampleCount(FrozenModel):
    """One count of one sample, as the counter's file tells it."""

    sample: str
    viable_per_ml: float = Field(ge=0)
    total_per_ml: float | None = Field(default=None, ge=0)
    viability_percent: float = Field(ge=0, le=100)
    dilution_factor: float | None = None
    """What the counter multiplied by; its densities already hold it."""
    counted_at: datetime | None = None
    instrument: str | None = None
    serial_number: str | None = None
    format: str
    file: str
    file_sha256: str
    notes: tuple[str, ...] = ()


def read_count_file(path: Path) -> tuple[SampleCount, ...]:
    """Every sample of a counter's export; starts the vendor environment.

    Raises:
        ReadingError: the file is missing, of a program that is not known, or holds something that cannot be a count.
    """
    return asyncio.run(_with_own_client(path))


async def read_counts(path: Path, vendor: InstrumentFiles) -> tuple[SampleCount, ...]:
    """Every sample of a counter's export.

    Raises:
        ReadingError: as `read_count_file`.
    """
    data, rows = read_rows(path)
    program = program_of(rows)
    if program is None or program.measures != "cell counts":
        known = ", ".join(p.name for p in PROGRAMS if p.measures == "cell counts")
        told = "it is not known who wrote this file" if program is None else f"this is a file of {program.name}"
        raise ReadingError(told, where=str(path), remedy=f"export the counts from {known}")
    body = (await parsed(path, program, vendor))["cell counting aggregate document"]
    device = body.get("device system document", {})
    origin = {
        "format": program.name,
        "file": path.name,
        "file_sha256": hashlib.sha256(data).hexdigest(),
        "instrument": device_text(device, "model number"),
        "serial_number": device_text(device, "equipment serial number"),
    }
    measured = [
        one
        for entry in body["cell counting document"]
        for one in entry["measurement aggregate document"]["measurement document"]
    ]
    problems = [problem for one in measured for problem in _problems(one, path)]
    if problems:
        raise ReadingError.from_problems(problems)
    return tuple(_count(one, origin) for one in measured)


async def _with_own_client(path: Path) -> tuple[SampleCount, ...]:
    from nkloop.vendor import VendorClient, answers_folder

    async with VendorClient(cache=answers_folder()) as vendor:
        return await read_counts(path, vendor)


def _results(one: Mapping[str, Any]) -> Mapping[str, Any]:
    processed = one["processed data aggregate document"]["processed data document"]
    merged: dict[str, Any] = {}
    for entry in processed:
        merged |= entry
    return merged


def _density(results: Mapping[str, Any], key: str) -> float | None:
    told = results.get(f"{key} cell density (cell counter)")
    # allotropy writes -0.0 for a number it could not read
    if told is None or (told["value"] == 0 and str(told["value"]).startswith("-")):
        return None
    return float(told["value"]) * _PER_ML[str(told["unit"])]


def _problems(one: Mapping[str, Any], path: Path) -> list[Problem]:
    results, name = _results(one), _name(one)
    errors = one.get("error aggregate document", {}).get("error document", ())
    where = f"{path}, sample {name}"
    problems = [Problem(f"the counter reports '{entry['error']}'", where, "count again") for entry in errors]
    viable, total = _density(results, "viable"), _density(results, "total")
    viability = float(results["viability (cell counter)"]["value"])
    if viable is None and not problems:
        problems.append(Problem("there is no viable cell density", where, "export viable cells per mL"))
    if not 0 <= viability <= 100:
        problems.append(Problem(f"viability is {viability:g} %, must be 0 to 100 %", where, "count again"))
    if viable and total and abs(100 * viable / total - viability) > _AGREE_PERCENT:
        text = f"viability is told as {viability:g} %, but {number(viable)} of {number(total)} cells/mL are viable"
        problems.append(Problem(text, where, "look at the file: a column may be shifted"))
    return problems


def _count(one: Mapping[str, Any], origin: Mapping[str, Any]) -> SampleCount:
    results = _results(one)
    told = results.get("data processing document", {}).get("cell density dilution factor")
    counted_at, notes = file_time(one.get("measurement time"))
    return SampleCount.model_validate(
        {
            **origin,
            "sample": _name(one),
            "viable_per_ml": _density(results, "viable"),
            "total_per_ml": _density(results, "total"),
            "viability_percent": results["viability (cell counter)"]["value"],
            "dilution_factor": told["value"] if told else None,
            "counted_at": counted_at,
            "notes": notes,
        }
    )


def _name(one: Mapping[str, Any]) -> str:
    return str(one["sample document"]["sample identifier"])
