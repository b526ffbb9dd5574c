"""Holds what the journal says against what physically happened."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from crash_lab.places import Places
from crash_lab.procedures import Lab, Procedure
from nkloop.records import Records
from nkloop.records.models import RunRecord, StepRecord
from nkloop.runs.stock_use import taken_by
from nkloop.worklists.models import Step, Worklist
from nkloop.workspace import Workspace

OVER = {"succeeded", "failed", "stopped", "interrupted"}
NOT_STARTED = "not started"
TOLERANCE_UL = 0.01
"""The stock counts whole nanolitres."""
SLACK, SLACK_UL = 0.04, 3.0
"""Share of all that passes through a well, and µL: errors of pipettes, films in tips, evaporation."""


@dataclass
class Physical:
    """What took physical effect."""

    begun: Counter[str] = field(default_factory=Counter)
    """Device run to how often it was begun."""
    done: dict[str, dict[int, Counter[str]]] = field(default_factory=dict)
    """Device run, step, planned command to how often it took effect."""


def read_physical(places: Places) -> Physical:
    """Read the hidden record of the world."""
    found = Physical()
    lines = places.physical.read_text(encoding="utf-8").splitlines() if places.physical.exists() else []
    for line in lines:
        told = json.loads(line)
        if "begin" in told:
            found.begun[told["begin"]] += 1
            continue
        steps = found.done.setdefault(told["run"], {})
        steps.setdefault(told["step"] or 0, Counter())[told["planned"]] += 1
    return found


def judge(lab: Lab, places: Places, procedure: Procedure) -> list[str]:
    """Everything that is not as it must be, one sentence each; empty when all is right."""
    workspace = Workspace(root=places.folder)
    records = Records.open(workspace.state)
    try:
        problems = list(_database_problems(workspace))
        problems += records.audit.verify_chain()
        physical = read_physical(places)
        runs = records.journal.runs()
        for run in runs:
            problems += _run_problems(run, physical, procedure)
        if runs:
            problems += _well_problems(lab, places, records, runs[-1])
        problems += strangers(runs, physical)
        problems += twice(runs, physical)
        problems += _stock_problems(lab, records, runs)
        problems += _lock_problems(records)
    finally:
        records.close()
    return [str(problem) for problem in problems]


def _database_problems(workspace: Workspace) -> Iterator[str]:
    if not (workspace.state / "records.db").exists():
        return  # a server's business
    with sqlite3.connect(workspace.state / "records.db") as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()
    if verdict != "ok":
        yield f"the database is damaged: {verdict}"
    if broken:
        yield f"rows without what they belong to: {broken}"


def _run_problems(run: RunRecord, physical: Physical, procedure: Procedure) -> Iterator[str]:
    if run.state not in OVER:
        yield f"{run.id} is still {run.state}"
    done = physical.done.get(run.device_run_id or "", {})
    if physical.begun[run.device_run_id or ""] > 1:
        yield f"{run.id} was begun {physical.begun[run.device_run_id or '']} times"
    planned = procedure.planned
    for step in run.steps:
        yield from step_problems(run, step, done.get(step.number, Counter()), planned[step.number])


def step_problems(run: RunRecord, step: StepRecord, did: Counter[str], planned: Counter[str]) -> Iterator[str]:
    """What the journal says of a step against the commands of it that took physical effect."""
    where = f"{run.id} step {step.number} is {step.event} ({step.detail})"
    if any(count > planned[command] for command, count in did.items()):
        yield f"{where}, but a command of it was executed more often than planned"
    if step.event == "done" and did != planned:
        yield f"{where}, but {did.total()} of {planned.total()} commands took effect"
    elif _kind(step) == "nothing" and did:
        yield f"{where}, but {did.total()} commands took effect"


def _lock_problems(records: Records) -> Iterator[str]:
    for one in records.claims.holders():
        if one.released_at is None:
            yield f"{one.device} is still held by {one.holder}"


def _well_problems(lab: Lab, places: Places, records: Records, run: RunRecord) -> Iterator[str]:
    """What is in the wells is what the journal's steps say; where steps are unknown, between the possibilities."""
    worklist = records.journal.worklist(run.worklist_hash)
    if not places.contents.exists() or not run.steps:
        return
    true = json.loads(places.contents.read_text(encoding="utf-8"))
    events = {step.number: _kind(step) for step in run.steps}
    if set(events.values()) == {"nothing"} and run.device_run_id is None:
        return  # the deck may not even have been loaded
    bounds = _bounds(lab, worklist, events)
    passed = _passed(lab, worklist)
    shown = places.possible()
    for item in worklist.deck:
        held = true.get(item.barcode or f"slot {item.slot}", {})
        for (nickname, well), (low, high) in bounds.items():
            if nickname != item.nickname:
                continue
            volume = held.get(well, {"volume_ul": 0.0})["volume_ul"]
            slack = SLACK_UL + SLACK * passed[nickname, well]
            if not low - slack <= volume <= high + slack:
                yield f"{run.id}: {nickname} {well} holds {volume:.0f} µL, the journal says {low:.0f} to {high:.0f} µL"
            low, high = shown.get((nickname, well), (low, high))
            if not low - slack <= volume <= high + slack:
                yield f"{run.id}: {nickname} {well} holds {volume:.0f} µL, shown were {low:.0f} to {high:.0f} µL"


def _passed(lab: Lab, worklist: Worklist) -> dict[tuple[str, str], float]:
    """µL that pass through each well when every step is done: filled in, brought, taken."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for filling in worklist.fillings:
        found[filling.labware, filling.well] += filling.volume_ul
    for step in worklist.steps:
        for name, well, moved in _moves(lab, worklist, step):
            found[name, well] += abs(moved)
    return found


def _moves(lab: Lab, worklist: Worklist, step: Step) -> Iterator[tuple[str, str, float]]:
    """Labware, well and µL brought (or, negative, taken) by every channel of a transfer."""
    if step.action != "transfer":
        return
    kinds = {item.nickname: lab.catalogue[item.load_name] for item in worklist.deck}
    for name, well, moved in (
        (step.labware, step.well, -step.volume_ul),
        (step.to_labware, step.to_well, step.volume_ul),
    ):
        for reached in kinds[name].reached(well, step.channels):
            yield name, reached, moved


def _kind(step: StepRecord) -> str:
    if step.event == "done":
        return "done"
    did_not_begin = step.event == "failed" and step.detail.startswith(NOT_STARTED)
    return "nothing" if did_not_begin or step.event == "intended" else "unclear"


def _bounds(lab: Lab, worklist: Worklist, events: dict[int, str]) -> dict[tuple[str, str], tuple[float, float]]:
    """Least and most of every well: without what unclear steps may have brought, without what they may have taken."""
    low: dict[tuple[str, str], float] = defaultdict(float)
    high: dict[tuple[str, str], float] = defaultdict(float)
    for filling in worklist.fillings:
        low[filling.labware, filling.well] += filling.volume_ul
        high[filling.labware, filling.well] += filling.volume_ul
    for step in worklist.steps:
        event = events.get(step.number, "nothing")
        for name, well, moved in _moves(lab, worklist, step) if event != "nothing" else ():
            low[name, well] += moved if event == "done" or moved < 0 else 0.0
            high[name, well] += moved if event == "done" or moved > 0 else 0.0
    return {place: (low[place], high[place]) for place in {**low, **high}}


def _stock_problems(lab: Lab, records: Records, runs: tuple[RunRecord, ...]) -> Iterator[str]:
    """What a run with a loaded deck took is posted, once, and nothing stays reserved for it."""
    bench = lab.bench.name
    for held in records.stock.reservations(bench) if runs else ():
        yield f"'{held.name}' is still reserved although its run is over"
    for run in runs:
        posted: Counter[str] = Counter()
        for use in records.stock.used_by(run.id):
            posted[use.lot] += use.taken_ul
        if not run.steps:
            continue
        worklist = records.journal.worklist(run.worklist_hash)
        taken = taken_by(worklist, run, lab.inventory, lab.catalogue, lab.bench.deck)
        for lot, amount in taken.items():
            if abs(posted[lot] - amount.drawn_ul) > TOLERANCE_UL:
                yield f"{run.id} drew {amount.drawn_ul:g} µL of {lot}, posted are {posted[lot]:g} µL"


def strangers(runs: tuple[RunRecord, ...], physical: Physical) -> Iterator[str]:
    """Runs of which the robot executed something and the journal knows nothing."""
    known = {run.device_run_id for run in runs}
    for device_run, steps in physical.done.items():
        if device_run not in known and any(steps.values()):
            yield f"the robot executed run {device_run}, of which the journal knows nothing"


def twice(runs: tuple[RunRecord, ...], physical: Physical) -> Iterator[str]:
    """Steps of one worklist that were executed in more than one of its runs."""
    by_worklist: dict[str, Counter[int]] = {}
    for run in runs:
        executed = {step for step, did in physical.done.get(run.device_run_id or "", {}).items() if step and did}
        by_worklist.setdefault(run.worklist_hash, Counter()).update(executed)
    for counts in by_worklist.values():
        twice = sorted(step for step, count in counts.items() if count > 1)
        if twice:
            yield f"steps {twice} were executed in two runs"
