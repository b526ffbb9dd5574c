"""Holds what the journal says against what physically happened."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from crash_lab.hidden import SAME_UL, VOLUME, Act, Physical, Spot, composed, imagined, net_of, place_of, read_physical
from crash_lab.places import Places
from crash_lab.procedures import Lab, Procedure
from nkloop.records import Records
from nkloop.records.models import RunRecord, StepRecord, StepRuling
from nkloop.runs.launches import has_moved
from nkloop.runs.outcomes import MIXING_FIRST, NOT_GIVEN
from nkloop.worklists.models import Step, Worklist
from nkloop.workspace import Workspace

OVER = {"succeeded", "failed", "stopped", "interrupted"}
NOT_STARTED = "not started"
TOLERANCE_UL = 0.01
"""The stock counts whole nanolitres."""
ROUNDING = 0.001
"""Share by which rounding to whole nanolitres may shift a target."""
SLACK, SLACK_UL = 0.04, 3.0
"""Share of all that passes through a well, and µL: errors of pipettes, films in tips, evaporation."""


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
            problems += _run_problems(run, physical)
        if runs:
            problems += _well_problems(lab, places, records, runs)
        problems += strangers(runs, physical)
        problems += twice(runs, physical)
        moved = [(records.journal.worklist(run.worklist_hash), run) for run in runs if has_moved(run)]
        problems += chain_problems(lab, procedure.worklist, moved, physical)
        problems += dict.fromkeys(repair_problems(lab, procedure.worklist, moved, physical))
        problems += _stock_problems(procedure.bench.name, records, runs, physical)
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


def _run_problems(run: RunRecord, physical: Physical) -> Iterator[str]:
    if run.state not in OVER:
        yield f"{run.id} is still {run.state}"
    done = physical.done.get(run.device_run_id or "", {})
    if physical.begun[run.device_run_id or ""] > 1:
        yield f"{run.id} was begun {physical.begun[run.device_run_id or '']} times"
    for step in run.steps:
        planned = physical.planned_of(run, step.number)
        yield from step_problems(run, step, done.get(step.number, Counter()), planned)


def step_problems(run: RunRecord, step: StepRecord, did: Counter[str], planned: Counter[str]) -> Iterator[str]:
    """What the journal says of a step against the commands of it that took physical effect."""
    where = f"{run.id} step {step.number} is {step.event} ({step.detail})"
    if any(count > planned[command] for command, count in did.items()):
        yield f"{where}, but a command of it was executed more often than planned"
    # what a person did at a pause is done, also when the robot died before it went on
    if step.event == "done" and did != planned and not step.detail.startswith("confirmed by "):
        yield f"{where}, but {did.total()} of {planned.total()} commands took effect"
    elif _kind(step) == "nothing" and did:
        yield f"{where}, but {did.total()} commands took effect"


def _lock_problems(records: Records) -> Iterator[str]:
    for one in records.claims.holders():
        if one.released_at is None:
            yield f"{one.device} is still held by {one.holder}"


def _well_problems(lab: Lab, places: Places, records: Records, runs: tuple[RunRecord, ...]) -> Iterator[str]:
    """What is in the wells is what the journal's steps say; where steps are unknown, between the possibilities."""
    chain = [run for run in runs if has_moved(run)] or list(runs[-1:])
    worklist = records.journal.worklist(chain[0].worklist_hash)
    if not places.contents.exists() or not chain[0].steps:
        return
    true = json.loads(places.contents.read_text(encoding="utf-8"))
    if chain[-1].device_run_id is None and all(_kind(step) == "nothing" for step in chain[-1].steps):
        return  # the deck may not even have been loaded
    bounds = _bounds(lab, worklist, [(records.journal.worklist(run.worklist_hash), run) for run in chain])
    passed = _passed(lab, worklist)
    shown, last = places.possible(chain[-1].id), chain[-1].id
    for item in worklist.deck:
        held = true.get(place_of(item), {})
        for (nickname, well), (low, high) in bounds.items():
            if nickname != item.nickname:
                continue
            volume = held.get(well, {"volume_ul": 0.0})["volume_ul"]
            slack = SLACK_UL + SLACK * passed[nickname, well]
            if not low - slack <= volume <= high + slack:
                yield f"{last}: {nickname} {well} holds {volume:.0f} µL, the journal says {low:.0f} to {high:.0f} µL"
            low, high = shown.get((nickname, well), (low, high))
            if not low - slack <= volume <= high + slack:
                yield f"{last}: {nickname} {well} holds {volume:.0f} µL, shown were {low:.0f} to {high:.0f} µL"


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


def _mixes(lab: Lab, worklist: Worklist, step: Step) -> Iterator[tuple[str, str, float]]:
    """Labware, well and µL that every channel of a mix has in its tip at a time."""
    yield from _mixes_before(lab, worklist, step)
    yield from _mixes_after(lab, worklist, step)


def _mixes_before(lab: Lab, worklist: Worklist, step: Step) -> Iterator[tuple[str, str, float]]:
    """The same of a step that only mixes, and of the source of a transfer that mixes it before its draw."""
    kinds = {item.nickname: lab.catalogue[item.load_name] for item in worklist.deck}
    for is_mixed, name, well, mixed in (
        (step.action == "mix", step.labware, step.well, step.volume_ul),
        (step.action == "transfer" and step.mix_before, step.labware, step.well, step.mix_volume_ul),
    ):
        for reached in kinds[name].reached(well, step.channels) if is_mixed else ():
            yield name, reached, mixed


def _mixes_after(lab: Lab, worklist: Worklist, step: Step) -> Iterator[tuple[str, str, float]]:
    """The same of the wells a transfer has given to, where it mixes them."""
    if step.action == "transfer" and step.mix_after:
        kind = lab.catalogue[worklist.item(step.to_labware).load_name]
        for reached in kind.reached(step.to_well, step.channels):
            yield step.to_labware, reached, step.mix_volume_ul


def _kind(step: StepRecord) -> str:
    if step.event == "done":
        return "done"
    did_not_begin = step.event == "failed" and step.detail.startswith(NOT_STARTED)
    return "nothing" if did_not_begin or step.event == "intended" else "unclear"


def _bounds(
    lab: Lab, first: Worklist, chain: Sequence[tuple[Worklist, RunRecord]]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Least and most of every well: without what unclear steps may have brought, without what they may have taken.

    What a person saw counts for what was given and what was drawn. Of the unclear steps of a run one may have been cut
    in its mixing.
    """
    low: dict[tuple[str, str], float] = defaultdict(float)
    high: dict[tuple[str, str], float] = defaultdict(float)
    for filling in first.fillings:
        low[filling.labware, filling.well] += filling.volume_ul
        high[filling.labware, filling.well] += filling.volume_ul
    for worklist, run in chain:
        said = {one.number: _said(one) for one in (run.decision.rulings if run.decision else ())}
        events = {step.number: said.get(step.number) or _kind(step) for step in run.steps}
        cut: dict[tuple[str, str], float] = defaultdict(float)
        for step in worklist.steps:
            event = events.get(step.number, "nothing")
            for name, well, moved in _moves(lab, worklist, step) if event not in {"nothing", "cut first"} else ():
                is_done = event in {"done", "given", "cut"}
                low[name, well] += moved if is_done or moved < 0 else 0.0
                high[name, well] += moved if is_done or (moved < 0) == (event == "drawn") else 0.0
            for name, well, mixed in _mixes_after(lab, worklist, step) if event == "cut" else ():
                low[name, well] -= mixed
                high[name, well] -= mixed
            for name, well, mixed in _mixes_before(lab, worklist, step) if event == "cut first" else ():
                low[name, well] -= mixed
                high[name, well] -= mixed
            for name, well, mixed in _mixes(lab, worklist, step):
                if event == "unclear":
                    cut[name, well] = min(cut[name, well], -mixed)
                elif event == "drawn" and step.action == "mix":
                    low[name, well] -= mixed
                    high[name, well] -= mixed
        for place, mixed in cut.items():
            low[place] += mixed
    return {place: (low[place], high[place]) for place in {**low, **high}}


def _said(ruling: StepRuling) -> str:
    """What a person said of a step; empty when nothing."""
    if ruling.is_cut_first:
        return "cut first"
    if ruling.is_given:
        return "cut" if ruling.is_drawn else "given"
    return "drawn" if ruling.is_drawn else {True: "done", False: "nothing", None: ""}[ruling.happened]


def chain_problems(
    lab: Lab, worklist: Worklist, runs: Sequence[tuple[Worklist, RunRecord]], physical: Physical
) -> Iterator[str]:
    """What a run and those that carried it on gave to every well together, against the plan of the first.

    Whoever continues gives every well its plan once, but for what went with the tip out of a mix; whoever repairs gives
    no more than the plan and what was unknown. Once the last has succeeded, every target holds.
    """
    chain = [run for _, run in runs]
    decided = {run.decision.decision for run in chain if run.decision}
    names = {item.nickname: place_of(item) for item in worklist.deck}
    planned, unclear = _planned(lab, worklist, names), 0.0
    given: dict[Spot, float] = defaultdict(float)
    drawn: dict[Spot, float] = defaultdict(float)
    lost: dict[Spot, float] = defaultdict(float)
    short = _lost_in_mixes(lab, runs, names)
    for run in chain:
        for step, net in net_of(physical.of(run)).items():
            is_lost = sum(net.values()) < -SAME_UL
            unclear += sum(max(0.0, moved) for moved in net.values()) if step in run.unknown_steps else 0.0
            for spot, moved in net.items():
                (given if moved > 0 else drawn)[spot] += abs(moved)
                lost[spot] += abs(moved) if is_lost and moved < 0 else 0.0
    is_whole = bool(chain) and chain[-1].state == "succeeded"
    more = unclear if "repair" in decided else 0.0
    for spot in {*given, *drawn, *planned}:
        gives, draws = planned.get(spot, (0.0, 0.0))
        told = f"{spot[0]} {spot[1]} was given {given[spot]:g} µL over {len(chain)} runs, planned are {gives:g} µL"
        if given[spot] > gives + more + SAME_UL:
            yield f"{told}: more than once"
        elif is_whole and "repair" not in decided and given[spot] < gives - short[spot] - SAME_UL:
            yield f"{told}: not whole"
        if drawn[spot] > draws + lost[spot] + more + SAME_UL:
            yield f"{drawn[spot]:g} µL were drawn from {spot[0]} {spot[1]}, planned are {draws:g} µL"
    if is_whole:
        yield from missed_targets(worklist, names, physical.acts)


def _lost_in_mixes(
    lab: Lab, moved: Sequence[tuple[Worklist, RunRecord]], names: Mapping[str, str]
) -> Mapping[Spot, float]:
    """µL of what was given to each well that a person saw to have gone with the tip out of the mix after it."""
    found: dict[Spot, float] = defaultdict(float)
    for worklist, run in moved:
        said = {one.number: _said(one) for one in (run.decision.rulings if run.decision else ())}
        for step in worklist.steps:
            for name, well, mixed in _mixes_after(lab, worklist, step) if said.get(step.number) == "cut" else ():
                found[names[name], well] += min(mixed, step.volume_ul)
    return found


def _planned(lab: Lab, worklist: Worklist, names: Mapping[str, str]) -> dict[Spot, tuple[float, float]]:
    """Spot, µL given and µL drawn when every step is done once."""
    found: dict[Spot, tuple[float, float]] = {}
    for step in worklist.steps:
        for name, well, moved in _moves(lab, worklist, step):
            gives, draws = found.get((names[name], well), (0.0, 0.0))
            found[names[name], well] = (gives + max(0.0, moved), draws + max(0.0, -moved))
    return found


def repair_problems(
    lab: Lab, first: Worklist, chain: Sequence[tuple[Worklist, RunRecord]], physical: Physical
) -> Iterator[str]:
    """Targets that would be missed after a repair had the unknown steps gone in another way than they did."""
    names = {item.nickname: place_of(item) for item in first.deck}
    for (worklist, run), (_, later) in pairwise(chain):
        if run.decision is None or run.decision.decision != "repair" or later.state != "succeeded":
            continue
        ruled = {one.number for one in run.decision.rulings if one.happened is not None}
        ruled |= {step.number for step in run.steps if MIXING_FIRST in step.detail or NOT_GIVEN in step.detail}
        unknown = [step for step in worklist.steps if step.number in set(run.unknown_steps) - ruled]
        steps = [(step.number, _acts_of(lab, worklist, run, step, names)) for step in unknown]
        for acts in imagined(physical.acts, run.device_run_id or "", steps):
            for missed in missed_targets(first, names, acts):
                yield f"{run.id} was repaired, but had its unknown steps {run.unknown_steps} gone otherwise, {missed}"


def _acts_of(lab: Lab, worklist: Worklist, run: RunRecord, step: Step, names: Mapping[str, str]) -> list[Act]:
    """What a transfer does when it happens."""
    moved = list(_moves(lab, worklist, step))
    drawn = tuple((names[name], well) for name, well, ul in moved if ul < 0)
    given = tuple((names[name], well) for name, well, ul in moved if ul > 0)
    told = (run.device_run_id or "", step.number)
    did = (("aspirate", drawn), ("dispense", given))
    return [Act(*told, kind, "imagined", step.volume_ul, spots) for kind, spots in did]


def missed_targets(worklist: Worklist, names: Mapping[str, str], acts: Iterable[Act]) -> Iterator[str]:
    """Targets that do not hold after all these acts, by our own mixing."""
    wells = composed(worklist, acts)
    for target in worklist.targets:
        held = wells[names[target.labware], target.well]
        per_ul = held.get(target.component, 0.0) / max(held.get(VOLUME, 0.0), SAME_UL)
        if abs(per_ul - target.per_ul) > target.per_ul * (target.tolerance_percent / 100 + ROUNDING):
            yield (
                f"{target.labware} {target.well} holds {per_ul:g} of {target.component} per µL, "
                f"{target.per_ul:g} ± {target.tolerance_percent:g} % were promised"
            )


def _stock_problems(bench: str, records: Records, runs: tuple[RunRecord, ...], physical: Physical) -> Iterator[str]:
    """What a run with a loaded deck truly drew is posted, once, and nothing stays reserved for it.

    What steps of unknown outcome drew is thrown away with what is left on the deck and not posted as drawn.
    """
    for held in records.stock.reservations(bench) if runs else ():
        yield f"'{held.name}' is still reserved although its run is over"
    for run in runs:
        posted: Counter[str] = Counter()
        for use in records.stock.used_by(run.id):
            posted[use.lot] += use.taken_ul
        if not run.steps:
            continue
        worklist = records.journal.worklist(run.worklist_hash)
        done = {step.number for step in run.steps if step.event == "done"}
        for lot, drawn in _drawn(worklist, net_of(act for act in physical.of(run) if act.step in done)).items():
            if abs(posted[lot] - drawn) > TOLERANCE_UL:
                yield f"{run.id} drew {drawn:g} µL of {lot}, posted are {posted[lot]:g} µL"


def _drawn(worklist: Worklist, net: Mapping[int, Mapping[Spot, float]]) -> Counter[str]:
    """µL that left the containers of every lot of the stock."""
    names = {item.nickname: place_of(item) for item in worklist.deck}
    found: Counter[str] = Counter()
    for filling in worklist.fillings:
        lot = filling.liquid.lot or ""
        if ":" not in lot:
            spot = (names[filling.labware], filling.well)
            found[lot] -= sum(moved.get(spot, 0.0) for moved in net.values())  # type: ignore[assignment]
    return found


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
