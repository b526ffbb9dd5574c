"""Everything the records know of one run, in the order and words a person wants it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from nkloop.frozen import FrozenModel
from nkloop.quantities.display import volume_told
from nkloop.records import Records
from nkloop.records.models import JournalEvent, RunDecision, RunRecord
from nkloop.runs.answers import close_confirmed
from nkloop.runs.possible import PossibleWell, possible_wells, reached_wells, replay, sentence
from nkloop.runs.standing import Standing, standing_of
from nkloop.runs.typed_steps import spans
from nkloop.runs.vessels import vessels_after
from nkloop.runs.ways import Fate, fates_of
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Step, Worklist


class Moment(FrozenModel):
    """One line of a timeline."""

    at: datetime
    what: str


class HeldWell(FrozenModel):
    """What a well, or a closed vessel beside the robot, held after the run."""

    labware: str
    well: str
    """Empty for a closed vessel."""
    barcode: str | None
    sentence: str
    """Its volume, or the least and most it may have; of a run that is over also why that is not known."""


class RunFacts(FrozenModel):
    """One run."""

    run: RunRecord
    standing: Standing | None
    """Who works on it; None when it is over."""
    timeline: tuple[Moment, ...]
    wells: tuple[HeldWell, ...]
    """Wells the steps reached."""
    deviations: tuple[str, ...]
    """Steps that were not done as planned, scans that were refused, questions withdrawn; one sentence each."""
    decisions: tuple[str, ...]
    files: tuple[str, ...]
    follow_ups: tuple[str, ...]
    """Runs that continue or repair this one."""


def run_facts(run_id: str, records: Records, catalogue: LabwareLookup) -> RunFacts:
    """Gather what is recorded of a run.

    Raises:
        RecordError: the run is not recorded.
    """
    close_confirmed(run_id, records)
    run = records.journal.run(run_id)
    worklist = records.journal.worklist(run.worklist_hash)
    events = records.journal.events(run_id)
    decisions = records.decisions.of_run(run_id)
    fates = fates_of(worklist, events, decisions[-1].rulings if decisions else ())
    standing = standing_of(run, records)
    return RunFacts(
        run=run,
        standing=standing,
        timeline=tuple(sorted(_moments(run, events, decisions, records), key=lambda moment: moment.at)),
        wells=tuple(_wells(worklist, fates, catalogue, standing)),
        deviations=(
            *_deviations(worklist, events, is_over=run.is_over),
            *(one.sentence for one in records.journal.remarks(run_id) if one.is_deviation),
        ),
        decisions=tuple(decision_sentence(one) for one in decisions),
        files=tuple(f"{file.path} ({file.n_bytes} bytes, SHA-256 {file.sha256[:12]})" for file in run.files),
        follow_ups=tuple(one.id for one in records.journal.follow_ups(run_id)),
    )


def _moments(
    run: RunRecord, events: Sequence[JournalEvent], decisions: Sequence[RunDecision], records: Records
) -> Iterator[Moment]:
    if run.created_at is not None:
        yield Moment(at=run.created_at, what="run opened")
    for (at, event), group in groupby(events, key=lambda event: (event.at, event.event)):
        yield Moment(at=at, what=f"step {spans([one.number for one in group])} {event}")
    for action in records.journal.actions(run.id):
        did = f"chose '{action.choice}', because {action.note}" if action.choice else "confirmed"
        yield Moment(at=action.at, what=f"{action.confirmed_by} {did}: {action.title}")
    remarks = records.journal.remarks(run.id)
    withdrawn = {remark.told for remark in remarks if remark.kind == "withdrawn"}
    for remark in remarks:
        by = f" of {remark.who}" if remark.who else ""
        yield Moment(at=remark.at, what=f"{remark.kind}{by}: {remark.title}: {remark.told}")
    for asked in records.requests.of_run(run.id):
        if asked.answered_at is not None and asked.state != "confirmed" and asked.note not in withdrawn:
            by = f" by {asked.answered_by}" if asked.answered_by else ""
            why = f": {asked.note}" if asked.note else ""
            yield Moment(at=asked.answered_at, what=f"{asked.state}{by}: {asked.title}{why}")
    if run.ended_at is not None:
        yield Moment(at=run.ended_at, what=f"run {run.state}{f': {run.error}' if run.error else ''}")
    for decision in decisions:
        yield Moment(at=decision.at, what=f"{decision.by} decided: {decision.decision}")


def _wells(
    worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup, standing: Standing | None
) -> Iterator[HeldWell]:
    barcodes = {item.nickname: item.barcode for item in worklist.deck}
    why = "nobody knows" if standing is None else ""
    unsure = {(one.labware, one.well): _unsure(one, why) for one in possible_wells(worklist, fates, catalogue)}
    ledger = replay(worklist, fates, catalogue)
    reached = dict.fromkeys(
        spot
        for fate in fates
        if fate.what != "not"
        for is_target in (False, True)
        for spot in reached_wells(fate.step, worklist, catalogue, is_target=is_target)
    )
    vessels = {vessel.name: vessel.sentence for vessel in vessels_after(worklist, fates, catalogue)}
    for nickname, well in reached:
        emptied = vessels.pop(f"{nickname}:{well}", "")
        told = emptied or unsure.get((nickname, well)) or volume_told(ledger.volume_ul(nickname, well))
        yield HeldWell(labware=nickname, well=well, barcode=barcodes.get(nickname), sentence=told)
    for name, told in vessels.items():
        nickname, _, well = name.rpartition(":")
        yield HeldWell(labware=nickname or name, well=well if nickname else "", barcode=None, sentence=told)


def _unsure(well: PossibleWell, why: str) -> str:
    volumes = " to ".join(dict.fromkeys(map(volume_told, well.volumes_ul)))
    if well.doubt:
        return f"{volumes}; concentration not known: {well.doubt}"
    return f"{volumes}, {why}" if why else volumes


def _deviations(worklist: Worklist, events: Sequence[JournalEvent], *, is_over: bool) -> Iterator[str]:
    """Steps that were not done as planned; those a run that is not over has not come to are none."""
    last = {event.number: event for event in events}
    if not is_over:
        last = {number: event for number, event in last.items() if event.event in {"done", "failed", "unknown"}}
        worklist = worklist.model_copy(update={"steps": tuple(s for s in worklist.steps if s.number in last)})
    for why, group in groupby(worklist.steps, key=lambda step: _not_begun(last.get(step.number))):
        numbers = [step.number for step in group]
        if why:
            yield f"step{'s' if len(numbers) > 1 else ''} {spans(numbers)} {why}"
    begun = [(step, last[step.number]) for step in worklist.steps if not _not_begun(last.get(step.number))]
    yield from _unended([(step, event) for step, event in begun if event.event != "done"])
    for step, event in begun:
        if event.event == "done" and event.moved_ul and abs(event.moved_ul[0] - step.volume_ul) > 1e-3:
            yield f"step {step.number} moved {event.moved_ul[0]:g} µL instead of {step.volume_ul:g} µL"


def _unended(steps: Sequence[tuple[Step, JournalEvent]]) -> Iterator[str]:
    """Steps that failed or whose end is unknown; those with the same reason in one sentence."""
    alike: dict[tuple[str, str, tuple[float, ...]], list[Step]] = {}
    for step, event in steps:
        alike.setdefault((event.event, event.detail, tuple(event.moved_ul or ())[:1]), []).append(step)
    for (outcome, detail, given), some in alike.items():
        moved = f"; certainly given: {given[0]:g} µL, perhaps more" if given else ""
        many = len(some) > 1
        why = detail or ("nobody saw their end" if many else "nobody saw its end")
        if many:
            between = "; …; " if len(some) > 2 else "; "
            ends = between.join(f"step {step.number}: {sentence(step)}" for step in (some[0], some[-1]))
            yield f"steps {spans([step.number for step in some])} {outcome}: {why}{moved} ({ends})"
        else:
            told = sentence(some[0]).rstrip(".")
            yield f"step {some[0].number} {outcome}: {told}; {why}{moved}"


def _not_begun(event: JournalEvent | None) -> str:
    """Why a step certainly did not begin; empty when it may have."""
    if event is None or event.event == "intended":
        return "never sent"
    return event.detail if event.event == "failed" and event.detail.startswith("not started") else ""


def decision_sentence(one: RunDecision) -> str:
    """Who decided what, when and why, with what was said of each step: one line of a batch record."""
    by_word: dict[str, list[int]] = {}
    for ruling in one.rulings:
        by_word.setdefault(ruling.word, []).append(ruling.number)
    rulings = "; ".join(f"step {spans(numbers)} {word}" for word, numbers in by_word.items())
    wells = ", ".join(f"{labware} {well}" for labware, well in one.wells)
    parts = [f"{one.by}, {one.at:%Y-%m-%d %H:%M} UTC: {one.decision}: {one.reason}", rulings]
    parts += [f"discarded {wells}"] if wells else []
    parts += [f"the deck was carried over to the device with serial number {one.carried_to}"] if one.carried_to else []
    parts += [f"vessels of {', '.join(one.apart)} are others of the same names"] if one.apart else []
    parts += [f"worklist {one.follow_up[:12]} is to be run"] if one.follow_up else []
    return "; ".join(part for part in parts if part)
