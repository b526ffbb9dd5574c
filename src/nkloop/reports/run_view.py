"""A run as rows of a page: sentences for steps, marks for checks, what was loaded where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from nkloop.frozen import FrozenModel
from nkloop.reports.cultures import CULTURES, is_culture
from nkloop.reports.deck_map import LabwareTitles, item_title, title_in_use
from nkloop.reports.lots import lot_words
from nkloop.reports.models import RunStory
from nkloop.reports.numbers import count, duration, length, moment, plain, volume
from nkloop.worklists.models import READER_ACTIONS, CheckResult, Step, Worklist

PROCEDURES = {
    "medium_preparation": "Medium preparation",
    "cytokine_dosing": "Dosing of cultures",
    "cytotoxicity_assay": "Cytotoxicity assay",
    "plate_reading": "Plate read on the deck of the robot",
}
CHECKS = {
    "ledger": "Ledger of contents",
    "opentrons analysis": "Opentrons analysis",
    "device simulation": "Simulation of the device",
    "pylabrobot tracking": "PyLabRobot tracking",
}
"""How the checks of a worklist are called on a page, in their order."""
SECOND = {"device simulation": "opentrons analysis"}
"""Check of a device that is no Opentrons robot to the one that it stands for."""
EVENT_WORDS = {
    "intended": "not started",
    "sent": "sent, outcome not seen",
    "seen": "seen to begin, outcome not seen",
    "done": "done",
    "failed": "failed",
    "unknown": "unknown",
}

_DEVICE_TIME = re.compile(r"device time (\S+)")


class CheckMark(FrozenModel):
    """One check of one run: `passed`, `failed` or `not run`, with its time."""

    name: str
    outcome: str
    time: str
    problems: tuple[str, ...]


class StepRow(FrozenModel):
    """One worklist step with what happened to it."""

    number: int
    text: str
    tip: str
    event: str
    at: str
    detail: str
    is_unknown: bool
    is_failed: bool


class LoadRow(FrozenModel):
    """One liquid in one labware."""

    slot: str
    labware: str
    wells: str
    liquid: str
    lot: str
    volume: str
    """Volume of each well."""


class RunRow(FrozenModel):
    """One run in a table of runs."""

    name: str
    procedure: str
    started: str
    took: str
    steps: str
    transfers: int
    state: str
    is_ended_well: bool
    unknown: str
    n_unknown: int
    is_decided: bool
    """Whether a person has decided what is to become of it."""
    checks: tuple[CheckMark, ...]
    is_verified: bool
    actions: tuple[str, ...]
    remarks: tuple[str, ...]
    error: str


def run_row(story: RunStory) -> RunRow:
    """The line of a run in a table of runs."""
    record = story.record
    done = sum(step.event == "done" for step in record.steps)
    return RunRow(
        name=record.name,
        procedure=procedure_title(record.procedure),
        started=moment(record.started_at),
        took=length(record.started_at, record.ended_at),
        steps=f"{done} of {len(story.worklist.steps)}",
        transfers=record.n_transfers,
        state=record.state,
        is_ended_well=record.state == "succeeded",
        unknown=ranges(record.unknown_steps),
        n_unknown=len(record.unknown_steps),
        is_decided=record.decision is not None,
        checks=check_marks(story),
        is_verified=story.verdict.passed,
        actions=record.operator_actions,
        remarks=story.remarks,
        error=record.error,
    )


def check_marks(story: RunStory) -> tuple[CheckMark, ...]:
    """The three independent checks in their order, then any other; one that did not run is named as such."""
    found: dict[str, CheckResult] = {check.check: check for check in story.verdict.checks}
    absent = {SECOND[name] if name in found else name for name in SECOND}
    names = [*(name for name in CHECKS if name not in absent), *(name for name in found if name not in CHECKS)]
    return tuple(_mark(name, found.get(name)) for name in names)


def procedure_title(procedure: str) -> str:
    """The procedure in words."""
    return PROCEDURES.get(procedure, procedure.replace("_", " ").capitalize())


def step_rows(story: RunStory, catalogue: LabwareTitles | None) -> tuple[StepRow, ...]:
    """Every step of the worklist with its last event."""
    last = {record.number: record for record in story.record.steps}
    rows = []
    for step in story.worklist.steps:
        record = last.get(step.number)
        rows.append(
            StepRow(
                number=step.number,
                text=step_sentence(step, story.worklist, catalogue),
                tip=_tip_text(step.tip, story.worklist, catalogue),
                event=EVENT_WORDS[record.event] if record else "not reached",
                at=(device_time(record.detail) or f"{record.at:%H:%M:%S}") if record else "",
                detail=record.detail if record else "",
                is_unknown=step.number in story.record.unknown_steps,
                is_failed=record is not None and record.event == "failed",
            )
        )
    return tuple(rows)


def device_time(detail: str) -> str:
    """Time of day, UTC, the device itself gave for the end of a step; empty when its detail carries none.

    The journal's own time is when the outcome was noted, which is the same for all steps of a run.
    """
    found = _DEVICE_TIME.search(detail)
    if found is None:
        return ""
    with suppress(ValueError):
        at = datetime.fromisoformat(found[1])
        return f"{at if at.tzinfo is None else at.astimezone(UTC):%H:%M:%S}"
    return ""


def step_sentence(step: Step, worklist: Worklist, catalogue: LabwareTitles | None = None) -> str:
    """A step in words, places by their labels."""

    def place(nickname: str, well: str) -> str:
        return _place(nickname, well, worklist, catalogue)

    each = f"{step.channels} × " if step.channels > 1 else ""
    if step.action == "transfer":
        mixes = ((step.mix_before, "before"), (step.mix_after, "after"))
        mixing = [f"mix {count(n, 'time')} {when}" for n, when in mixes if n]
        told = f" ({', '.join(mixing)})" if mixing else ""
        source, goal = place(step.labware, step.well), place(step.to_labware, step.to_well)
        return f"{each}{volume(step.volume_ul)} from {source} to {goal}{told}"
    if step.action == "mix":
        return f"Mix {each}{volume(step.volume_ul)} in {place(step.labware, step.well)}"
    if step.action == "shake":
        return f"Shake {duration(step.seconds / 60)} at {step.rpm} rpm"
    if step.action == "delay":
        return f"Wait {duration(step.seconds / 60)}"
    if step.action in READER_ACTIONS:
        return step.comment.capitalize()
    return f"Pause: {pause_sentence(step)}"


def pause_sentence(step: Step) -> str:
    """What a person does during a pause, with time and conditions."""
    task = step.operator
    if task is None:
        return step.comment
    conditions = [duration(task.minutes)] if task.minutes else []
    conditions += [f"{plain(task.temperature_c)} °C"] if task.temperature_c is not None else []
    conditions += [f"{plain(task.force_g, 4)} × g"] if task.force_g else []
    return f"{task.instruction} ({', '.join(conditions)})" if conditions else task.instruction


def load_rows(worklist: Worklist, catalogue: LabwareTitles | None) -> tuple[LoadRow, ...]:
    """What is put on the deck, wells of the same liquid, lot and volume together."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for filling in worklist.fillings:
        # the cultures of a plate come with it, however many arms and donors they are of
        name = CULTURES if is_culture(filling, worklist) else filling.liquid.name
        key = (filling.labware, name, filling.liquid.lot or "", volume(filling.volume_ul))
        groups.setdefault(key, []).append(filling.well)
    items = {item.nickname: item for item in worklist.deck}
    rows = []
    # as a person goes through the deck: slot by slot, and in each down the columns
    inside = sorted(groups.items(), key=lambda group: _down_the_columns(group[1][0]))
    for (nickname, liquid, lot, each), wells in inside:
        item = items.get(nickname)
        rows.append(
            LoadRow(
                slot=item.slot if item else "",
                labware=item_title(item, catalogue) if item else nickname,
                wells=wells_text(wells),
                liquid=liquid,
                lot=lot_words(lot),
                volume=each,
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.slot, row.labware)))


def _down_the_columns(well: str) -> tuple[int, str]:
    """`A2` after `B1`."""
    return int(well[1:]) if well[1:].isdigit() else 0, well[:1]


def wells_text(wells: Sequence[str], most: int = 8) -> str:
    """A few well names, or the first and last with their number."""
    if len(wells) <= most:
        return ", ".join(wells)
    return f"{wells[0]} … {wells[-1]} ({len(wells)} wells)"


def ranges(numbers: Sequence[int]) -> str:
    """`1, 4–6` of step numbers."""
    parts: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in parts)


def _place(nickname: str, well: str, worklist: Worklist, catalogue: LabwareTitles | None) -> str:
    known = {item.nickname: item for item in worklist.deck}
    title = title_in_use(known[nickname], catalogue) if nickname in known else nickname
    return f"{title} {well}".strip()


def _tip_text(tip: str, worklist: Worklist, catalogue: LabwareTitles | None) -> str:
    rack, _, well = tip.partition(":")
    return _place(rack, well, worklist, catalogue) if tip else ""


def _mark(name: str, check: CheckResult | None) -> CheckMark:
    title = CHECKS.get(name, name.capitalize())
    if check is None:
        return CheckMark(name=title, outcome="not run", time="", problems=())
    problems = tuple(
        ": ".join(part for part in (p.get("rule", ""), p.get("where", ""), p.get("message", "")) if part)
        + (f". Remedy: {p['remedy']}" if p.get("remedy") else "")
        for p in check.problems
    )
    outcome, time = ("passed" if check.passed else "failed"), duration(check.seconds / 60)
    return CheckMark(name=title, outcome=outcome, time=time, problems=problems)
