"""What people are asked during a run, and the record of their answers."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Collection, Mapping

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import DeviceState, LotToScan, OperatorAnswer, OperatorRequest, announced_step
from nkloop.drivers.withdrawing import Moot, QuestionWithdrawn, answered_unless
from nkloop.errors import OperatorRefusedError
from nkloop.records import Records
from nkloop.records.models import OperatorAction, OperatorRemark
from nkloop.reports.sheet_preparation import beforehand
from nkloop.reports.task_picture import task_svg
from nkloop.runs.answers import close_confirmed
from nkloop.runs.beside import give_incubator
from nkloop.runs.doubts import CUT_IN_LEFT, CUT_IN_PAUSE, DECLINED, TOLD_BY_HAND, Doubt
from nkloop.runs.errands import errands_of
from nkloop.runs.hanging_tips import hanging_tips
from nkloop.runs.holding import device_held
from nkloop.runs.listed import confirmed, on_list
from nkloop.runs.lot_scans import book_scanned, later_lots, lots_to_scan
from nkloop.worklists.arrivals import brought_by, labware_brought_later, left_by
from nkloop.worklists.models import OperatorTask, Step, Worklist

logger = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
"""Shortest pause between two looks whether a question that waits is settled at the device."""
_CUT = " …"
"""End of a title that leaves out a part of the instruction."""
_LEFT = "task left by a run"


async def load_deck(worklist: Worklist, bench: Bench, records: Records, run_id: str) -> None:
    """Have the deck loaded as the worklist says, barcodes checked; what was scanned is what the run holds of the stock.

    Raises:
        OperatorRefusedError: the operator declined or put something else there.
    """
    task = OperatorTask(
        kind="confirm",
        instruction=f"{_loading(worklist)}, check lots and volumes, scan the barcodes.{_begun_before(worklist)}"
        + hanging_tips(bench, records, run_id),
        labware=tuple(item.nickname for item in worklist.deck),
    )
    later = labware_brought_later(worklist)
    barcodes = barcodes_of(worklist, tuple(nickname for nickname in task.labware if nickname not in later))
    request = OperatorRequest(
        title=f"Load the deck: {worklist.name}",
        task=task,
        worklist=worklist,
        barcodes=barcodes,
        lots=lots_to_scan(worklist, records, bench.name),
        later_lots=(*later_lots(worklist, records, bench.name), *_labware_to_scan(later, worklist)),
        picture=task_svg(task, worklist, is_loading=True, catalogue=bench.catalogue),
        run_id=run_id,
    )
    answer = await answered(request, bench, records, step=None)
    book_scanned(answer, worklist, records, bench.name)


def _begun_before(worklist: Worklist) -> str:
    told = beforehand(worklist)
    return f" Begun beforehand, else begin it now and confirm when it is over: {told}" if told else ""


def _labware_to_scan(later: Mapping[str, int], worklist: Worklist) -> tuple[LotToScan, ...]:
    """Labware of a later step, so that one that is scanned too early is sent back as a lot is."""
    items = [(worklist.item(nickname), step) for nickname, step in later.items()]
    return tuple(
        LotToScan(lot=item.barcode, component=item.label or item.nickname, step=step)
        for item, step in items
        if item.barcode
    )


def _loading(worklist: Worklist) -> str:
    left = dict.fromkeys(filter(None, map(left_by, worklist.fillings)))
    later = any(brought_by(filling, worklist) is not None for filling in worklist.fillings)
    but = ", except what a later step brings" if later else ""
    if left:
        return f"Leave on the deck what {' and '.join(left)} left there, load the rest of what is listed{but}"
    return f"Load the deck as listed{but}"


async def change_deck(task: OperatorTask, worklist: Worklist, bench: Bench, records: Records, run_id: str) -> None:
    """Have the deck changed between two parts of a plan; the answer is kept with the run of the part before.

    Raises:
        OperatorRefusedError: the operator declined.
    """
    request = OperatorRequest(
        title=f"Change the deck: {worklist.name}",
        task=task,
        worklist=worklist,
        picture=task_svg(task, worklist, is_loading=True, catalogue=bench.catalogue),
        run_id=run_id,
    )
    await ask(request, bench, records, step=None)


async def answer_pause(
    message: str,
    worklist: Worklist,
    bench: Bench,
    records: Records,
    run_id: str,
    *,
    moot: Moot,
    was_asked: Collection[int] = (),
) -> None:
    """Have the task of the announced step done; a task already confirmed in this run is not asked again.

    Args:
        message: of the pause.
        worklist: of the run.
        bench: the bench it is on.
        records: where answers are kept.
        run_id: the run.
        moot: tells when nobody needs it done any longer.
        was_asked: steps that somebody was asked to do by a program that has ended.

    Raises:
        OperatorRefusedError: the operator declined.
        QuestionWithdrawn: `moot` told that nobody needs it done any longer.
    """
    number = announced_step(message)
    step = next((step for step in worklist.steps if step.number == number), None)
    is_doubted = number in was_asked and step is not None and bool(step.moves)
    doubt = CUT_IN_PAUSE if is_doubted else None
    await _answer(step, number, message, worklist, bench, records, run_id, moot, doubt)


async def done_of_declined(
    message: str,
    error: OperatorRefusedError,
    worklist: Worklist,
    bench: Bench,
    records: Records,
    run_id: str,
    *,
    moot: Moot,
) -> OperatorAnswer | None:
    """What a person says was done of a task with moves before it was declined; None when nobody says anything."""
    request = OperatorRequest(
        title=f"{worklist.name}, step {announced_step(message)} was declined: what was done of it?",
        task=OperatorTask(kind="confirm", instruction=f"{error.problems[0].message}. What was done of this? {message}"),
        choices=DECLINED,
        run_id=run_id,
    )
    try:
        return await answered(request, bench, records, step=None, moot=moot)
    except (OperatorRefusedError, QuestionWithdrawn):
        return None


def left_title(number: int, run_id: str) -> str:
    """How the request for a task begins that a run left to people, after the name of its worklist."""
    return f"step {number}, left by {run_id}"


async def do_left_task(
    step: Step, worklist: Worklist, bench: Bench, records: Records, run_id: str, *, was_told: bool = False
) -> None:
    """Have a task done that a run was cut before, when the robot has nothing left to do in it; the step is done then.

    That it is asked is kept first, where people move liquid in it: who is cut here once more does not move it twice.

    Args:
        step: the task.
        worklist: of the run.
        bench: the bench it was on.
        records: where answers are kept.
        run_id: the run.
        was_told: whether a person has been told already to do it by hand.

    Raises:
        OperatorRefusedError: the operator declined, or cannot tell whether it was done.
        DeviceHeldError: somebody else holds the bench.
    """
    told = f"{left_title(step.number, run_id)}: {step.operator.instruction if step.operator else step.comment}"
    kept = f"{run_id}, step {step.number}"
    was_asked = bool(step.moves) and records.plans.last(_LEFT, kept, OperatorTask) is not None
    doubt = CUT_IN_LEFT if was_asked else TOLD_BY_HAND if was_told else None
    async with device_held(bench, records, f"a task left by {run_id}"):
        try:
            await _answer(step, step.number, told, worklist, bench, records, run_id, None, doubt, kept)
        finally:  # what was confirmed just as something else ended the question is done as well
            close_confirmed(run_id, records)


async def _answer(
    step: Step | None,
    number: int | None,
    message: str,
    worklist: Worklist,
    bench: Bench,
    records: Records,
    run_id: str,
    moot: Moot | None,
    doubt: Doubt | None,
    kept: str = "",
) -> None:
    done = (action.step for action in records.journal.actions(run_id) if not action.choice)
    if step is not None and step.number in done:
        return
    task = OperatorTask(kind="confirm", instruction=message or "The run is paused.")
    if step is not None and step.operator is not None:
        task = step.operator
    title = f"{worklist.name}, {textwrap.shorten(message, 90, placeholder=_CUT)}" if step else f"{worklist.name}: pause"
    barcodes = barcodes_of(worklist, task.labware)
    picture = task_svg(task, worklist, catalogue=bench.catalogue)
    errands = errands_of(run_id, step, worklist, records)
    lots = () if step is None else lots_to_scan(worklist, records, bench.name, step=step.number)
    request = OperatorRequest(
        title=title, task=task, barcodes=barcodes, lots=lots, picture=picture, run_id=run_id, errands=errands
    )
    if doubt is not None and on_list(_counted(request, records), bench, records, step=number) is None:
        left = await _left_of(request, doubt, bench, records, step=number, moot=moot)
        if left is None:
            return
        request = left
    if kept and task.moves:
        records.plans.keep(_LEFT, kept, task)
    book_scanned(await answered(request, bench, records, step=number, moot=moot), worklist, records, bench.name)


async def _left_of(
    request: OperatorRequest, doubt: Doubt, bench: Bench, records: Records, *, step: int | None, moot: Moot | None
) -> OperatorRequest | None:
    """What is left of a task that somebody may have done, or begun, before it is asked for here; None when nothing is.

    Raises:
        OperatorRefusedError: the person cannot tell, so that it is to be weighed and decided.
        QuestionWithdrawn: `moot` told that nobody needs the answer any longer.
    """
    told = f"{doubt.why}: {request.task.instruction} Nobody has confirmed it. Look, weigh."
    asked = OperatorRequest(
        title=f"{request.title}: was it done?",
        task=OperatorTask(kind="confirm", instruction=told),
        choices=doubt.choices,
        run_id=request.run_id,
    )
    answer = await answered(asked, bench, records, step=None, moot=moot)
    if answer.choice == "stop":
        raise OperatorRefusedError(
            f"{answer.confirmed_by} cannot tell whether it was done",
            where=request.title,
            remedy=doubt.remedy,
        )
    if answer.choice == "done":
        _note(request, answer.model_copy(update={"choice": ""}), records, step)
        return None
    if answer.choice == "part":
        told = f"Part of this was done before ({answer.note}). Do only the rest of it: {request.task.instruction}"
        request = request.model_copy(update={"task": request.task.model_copy(update={"instruction": told})})
    return request


async def clear_obstacle(
    state: DeviceState, worklist: Worklist, bench: Bench, records: Records, run_id: str, *, moot: Moot
) -> None:
    """Have somebody look at a robot that waits for no step of ours: open door, recovery, a pause made by hand.

    Raises:
        OperatorRefusedError: the operator declined.
        QuestionWithdrawn: `moot` told that the robot waits no more.
    """
    reasons = f" ({'; '.join(state.errors)})" if state.errors else ""
    instruction = {
        "blocked-by-open-door": "Close the front door and the top window of the robot.",
        "awaiting-recovery-blocked-by-open-door": "Close the front door and the top window of the robot; "
        f"then you are asked how to recover{reasons}.",
        "paused": "The run was paused by hand. Confirm when it may go on.",
    }.get(state.status, f"The robot waits for recovery{reasons}. Resolve it on its screen, then confirm.")
    task = OperatorTask(kind="confirm", instruction=instruction)
    request = OperatorRequest(
        title=f"{worklist.name}: the robot is {state.status}",
        task=task,
        run_id=run_id,
        closes_door=state.status.endswith("blocked-by-open-door"),
    )
    await ask(request, bench, records, step=None, moot=moot)


async def ask(
    request: OperatorRequest, bench: Bench, records: Records, *, step: int | None, moot: Moot | None = None
) -> None:
    """Have a task done and record who confirmed it.

    Raises:
        OperatorRefusedError: the operator declined.
        QuestionWithdrawn: `moot` told that nobody needs the answer any longer.
    """
    await answered(request, bench, records, step=step, moot=moot)


async def answered(
    request: OperatorRequest, bench: Bench, records: Records, *, step: int | None, moot: Moot | None = None
) -> OperatorAnswer:
    """Ask, record the answer with its choice, return it. What was confirmed on the list of requests is not asked again.

    Raises:
        OperatorRefusedError: the operator declined.
        QuestionWithdrawn: `moot` told that nobody needs the answer any longer; that is recorded.
    """
    if not request.picture:
        request = request.model_copy(update={"picture": task_svg(request.task)})
    request = _counted(request, records)
    give_incubator(bench, records)

    def note(answer: OperatorAnswer) -> None:
        _note(request, answer, records, step)

    listed = on_list(request, bench, records, step=step)
    if listed is not None and listed.state == "confirmed" and not request.choices:
        note(answer := await confirmed(listed, request, bench))
        records.requests.taken(listed.id)
        return answer
    answer = await _performed(request, bench, records, moot, note)
    note(answer)
    return answer


def _counted(request: OperatorRequest, records: Records) -> OperatorRequest:
    """The request with how often the same was asked and settled before."""
    before = [action.title for action in records.journal.actions(request.run_id)]
    before += [one.title for one in records.journal.remarks(request.run_id) if one.kind == "withdrawn"]
    return request.model_copy(update={"occurrence": before.count(request.title)})


def _note(request: OperatorRequest, answer: OperatorAnswer, records: Records, step: int | None) -> None:
    note = f" ({answer.note})" if answer.note else ""
    did = f"chose '{answer.choice}'" if answer.choice else "confirmed"
    told = f"{request.title}: {request.task.instruction}" if request.title.endswith(_CUT) else request.title
    logger.info("%s %s: %s%s", answer.confirmed_by, did, told, note)
    if answer.early:
        why = f"{answer.early}; {answer.note}" if answer.note else answer.early
        deviation = OperatorRemark(
            run_id=request.run_id,
            at=answer.at,
            kind="shortened",
            who=answer.confirmed_by,
            title=request.title,
            told=why,
        )
        records.journal.add_remark(deviation)
    scanned = f"scanned: {' '.join(answer.scanned)}" if answer.scanned else ""
    records.journal.add_action(
        OperatorAction(
            run_id=request.run_id,
            step=step,
            at=answer.at,
            confirmed_by=answer.confirmed_by,
            title=request.title,
            instruction=request.task.instruction,
            note="; ".join(filter(None, (answer.note, scanned))),
            choice=answer.choice or None,
        )
    )


async def _performed(
    request: OperatorRequest,
    bench: Bench,
    records: Records,
    moot: Moot | None,
    keep: Callable[[OperatorAnswer], None],
) -> OperatorAnswer:
    asking = bench.operator.perform(request)
    if moot is None:
        return await asking
    try:
        return await answered_unless(moot, asking, max(bench.liquid_handler.poll_seconds, LOOK_SECONDS), keep)
    except QuestionWithdrawn as reason:
        logger.info("withdrawn: %s: %s", request.title, reason)
        at, title = await bench.clock.now(), request.title
        records.journal.add_remark(
            OperatorRemark(run_id=request.run_id, at=at, kind="withdrawn", title=title, told=str(reason))
        )
        raise


def barcodes_of(worklist: Worklist, nicknames: tuple[str, ...]) -> dict[str, str]:
    """Barcodes of the labware named that has one."""
    return {item.nickname: item.barcode for item in worklist.deck if item.nickname in nicknames and item.barcode}
