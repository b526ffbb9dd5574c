"""Holds what the journal says of plates read on the deck of a robot against what it did and what the reader saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from crash_lab.hidden import Physical, read_physical
from crash_lab.judge import OVER, _database_problems, _lock_problems, strangers
from crash_lab.places import Places
from nkloop.assays.measurements import Reading
from nkloop.records import Records
from nkloop.records.models import RunRecord, StepRecord
from nkloop.runs.late_files import SETTLED
from nkloop.worklists.plate_reading import MEASURE
from nkloop.workspace import Workspace

ANNOUNCED = "comment"
"""Command that only says which step comes."""
ROUNDING = 1e-3


def judge_readings(places: Places, barcode: str) -> list[str]:
    """Everything that is not as it must be once a plate has been read, one sentence each; empty when all is right."""
    workspace = Workspace(root=places.folder)
    records = Records.open(workspace.state)
    try:
        runs, physical = records.journal.runs(), read_physical(places)
        problems = [*_database_problems(workspace), *map(str, records.audit.verify_chain())]
        for run in runs:
            problems += run_problems(run, physical)
        problems += strangers(runs, physical)
        problems += reading_problems(runs, records.results.readings(), physical, barcode)
        problems += _lock_problems(records)
    finally:
        records.close()
    return problems


def run_problems(run: RunRecord, physical: Physical) -> Iterator[str]:
    """A run against the commands of it that took effect."""
    if run.state not in OVER:
        yield f"{run.id} is still {run.state}"
    device_run = run.device_run_id or ""
    if physical.begun[device_run] > 1:
        yield f"{run.id} was begun {physical.begun[device_run]} times"
    for step in run.steps:
        did = physical.done.get(device_run, {}).get(step.number, Counter())
        if any(count > 1 for count in did.values()):
            yield f"{run.id} step {step.number}: a command of it was executed more than once"
        acts = [act for act in physical.of(run) if act.step == step.number and act.kind != ANNOUNCED]
        yield from step_problems(run.id, step, len(acts))


def step_problems(run_id: str, step: StepRecord, n_acts: int) -> Iterator[str]:
    """What the journal says of a step against the number of things that lid, reader or plate did in it."""
    where = f"{run_id} step {step.number} is {step.event} ({step.detail})"
    # what a person did at a pause is done, also when the robot died before it went on
    if step.event == "done" and not n_acts and not step.detail.startswith("confirmed by "):
        yield f"{where}, but nothing took effect"
    if step.event in {"failed", "intended"} and n_acts:
        yield f"{where}, but {n_acts} commands took effect"
    if step.event in {"sent", "seen"}:
        yield f"{where}, and nobody has said what became of it"


def reading_problems(
    runs: Sequence[RunRecord], readings: Sequence[Reading], physical: Physical, barcode: str
) -> Iterator[str]:
    """One reading of the plate, as the reader saw it; what was measured and known is not measured again."""
    if [one.barcode for one in readings] != [barcode]:
        yield f"readings of {[one.barcode for one in readings]} are kept instead of one of {barcode}"
    for reading in readings:
        seen = [_less_reference(reading, values) for values in physical.measured]
        if not any(_is_same(reading.values, values) for values in seen):
            yield f"the reading of {reading.barcode} is none of the {len(seen)} that the reader made"
    known = [run.id for run in runs if _is_measured(run) and not _is_lost(run)]
    if len(known) > 1:
        yield f"the plate was measured again although its reading was known: {', '.join(known)}"


def _is_measured(run: RunRecord) -> bool:
    return any(step.number == MEASURE and step.event == "done" for step in run.steps)


def _is_lost(run: RunRecord) -> bool:
    """Whether the robot was asked for the values again, and had lost them with its power."""
    return {file.name for file in run.files} == {SETTLED}


def _less_reference(reading: Reading, seen: dict[str, dict[str, float]]) -> dict[str, float]:
    """What the reader saw at the wavelengths of a reading."""
    reference = seen.get(str(reading.reference_wavelength_nm), {})
    return {well: value - reference.get(well, 0.0) for well, value in seen[str(reading.wavelength_nm)].items()}


def _is_same(kept: dict[str, float], seen: dict[str, float]) -> bool:
    return kept.keys() == seen.keys() and all(abs(kept[well] - seen[well]) <= ROUNDING for well in kept)
