"""What people said of their own steps: it counts more than what a device tells, which only waited for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from nkloop.drivers.interfaces import OperatorAnswer, announced_step
from nkloop.errors import NobodyToAskError, OperatorRefusedError
from nkloop.records import Records
from nkloop.records.models import JournalEvent, OperatorAction, RunRecord, StepRecord
from nkloop.runs.doubts import NOTHING
from nkloop.runs.launches import has_moved
from nkloop.worklists.models import Worklist

_DECLINED = re.compile(r"(?P<who>.+?) declined: (?P<why>.+)", re.DOTALL)
_DECLINED_BY = "declined by"


def declined_step(
    message: str,
    error: OperatorRefusedError,
    worklist: Worklist,
    *,
    at: datetime,
    device: str,
    said: OperatorAnswer | None = None,
) -> tuple[JournalEvent, ...]:
    """The outcome of an announced step that a person declined; none when nobody gave an answer, or to no step.

    A task in which people move liquid may have been begun before it was declined: it is unknown until they say that
    nothing was moved.

    Args:
        message: of the pause.
        error: the refusal.
        worklist: of the run.
        at: time of the bench.
        device: name of the device that waits.
        said: what a person says was done of it, a choice of `doubts.DECLINED`.
    """
    number, told = announced_step(message), _DECLINED.fullmatch(error.problems[0].message)
    if number is None or told is None:
        return ()
    is_open = any(step.number == number and step.moves for step in worklist.steps)
    is_open = is_open and (said is None or said.choice != NOTHING)
    more = f"; {said.confirmed_by} chose '{said.choice}': {said.note}" if said is not None else ""
    detail = f"{_DECLINED_BY} {told['who']}: {told['why']}{more}"
    return (JournalEvent(number=number, event="unknown" if is_open else "failed", at=at, device=device, detail=detail),)


def with_answers(run_id: str, events: Iterable[JournalEvent], records: Records) -> tuple[JournalEvent, ...]:
    """Outcomes as people know them: a step they confirmed is done, one they declined stays as they left it.

    What they chose after an error stands with the outcome of the step that failed.
    """
    run = records.journal.run(run_id)
    worklist = records.journal.worklist(run.worklist_hash)
    pauses = {step.number for step in worklist.steps if step.action == "pause"}
    actions = records.journal.actions(run_id)
    # a choice after an error says how the device goes on, not that the task is done
    said = [*_not_taken(run_id, worklist, records), *(action for action in actions if not action.choice)]
    confirmed = {action.step: action for action in said if action.step in pauses}
    chosen = {action.step: action for action in actions if action.choice}
    declined = {step.number for step in run.steps if step.number in pauses and _is_declined(step)}
    # a device driven step by step has told its steps before, those that were cut as well
    given = tuple(events)
    told = {event.number for event in given}
    late = [step for step in run.steps if step.number in confirmed and step.event != "done" and step.number not in told]
    kept = [_confirmed(confirmed[step.number], step.number, run, at=step.at) for step in late]
    for event in given:
        if (action := confirmed.get(event.number)) is not None and event.event != "done":
            kept.append(_confirmed(action, event.number, run, at=event.at))
        elif event.number not in declined:
            kept.append(_with_choice(event, chosen.get(event.number)))
    return tuple(kept)


def _is_declined(step: StepRecord) -> bool:
    return step.event == "failed" or (step.event == "unknown" and step.detail.startswith(_DECLINED_BY))


def close_confirmed(run_id: str, records: Records) -> None:
    """Write that steps of a run that is over are done which somebody has confirmed, whoever was killed before that."""
    run = records.journal.run(run_id)
    open_steps = {step.number for step in run.steps if step.event != "done"} if run.is_over else set()
    if not open_steps:
        return
    worklist = records.journal.worklist(run.worklist_hash)
    actions = {action.step: action for action in records.journal.actions(run_id) if not action.choice}
    actions = {**{action.step: action for action in _not_taken(run_id, worklist, records)}, **actions}
    found = [(number, actions[number]) for number in sorted(open_steps & actions.keys())]
    records.journal.add_confirmed(run_id, [_confirmed(one, number, run, at=one.at) for number, one in found])


def _not_taken(run_id: str, worklist: Worklist, records: Records) -> Iterator[OperatorAction]:
    """Tasks with moves that were confirmed on the list of requests when the program that asked had ended."""
    moving = {step.number for step in worklist.steps if step.moves}
    for one in records.requests.of_run(run_id) if moving else ():
        number = announced_step(one.title.removeprefix(f"{worklist.name}, "))
        if one.is_untaken and not one.choice and number in moving and one.answered_at is not None:
            yield OperatorAction(
                run_id=run_id, step=number, at=one.answered_at, confirmed_by=one.answered_by, title=one.title,
                instruction=one.title, note=one.note,
            )  # fmt: skip


def _confirmed(action: OperatorAction, number: int, run: RunRecord, *, at: datetime) -> JournalEvent:
    told = f"confirmed by {action.confirmed_by}"
    return JournalEvent(number=number, event="done", at=at, device=run.device, detail=told)


def _with_choice(event: JournalEvent, chosen: OperatorAction | None) -> JournalEvent:
    if chosen is None:
        return event
    told = f"{chosen.confirmed_by} chose '{chosen.choice}': {chosen.note}"
    return event.model_copy(update={"detail": "; ".join(filter(None, (event.detail, told)))})


def point_to_decision(error: BaseException, run: RunRecord) -> None:
    """Make the remedy of a refusal in the middle of a run the one that works: a run that may have moved something is
    not begun once more, it is reconciled."""
    if isinstance(error, NobodyToAskError) and not run.is_over:
        told = (
            f"answer in a terminal, with `nkloop reconcile {run.id}`; until then the run stays as it is on {run.device}"
        )
        error.problems = tuple(replace(problem, remedy=told) for problem in error.problems)
    elif isinstance(error, OperatorRefusedError):
        is_untouched = run.is_over and not has_moved(run)
        remedy = (
            "settle it, then start the same again" if is_untouched else f"settle it, then `nkloop reconcile {run.id}`"
        )
        error.problems = tuple(replace(problem, remedy=remedy) for problem in error.problems)
