"""Requests on the list of `nkloop operator` while the same is asked elsewhere: what was confirmed there is done, and
nothing stands in two places.

Who asks by the list finds its answers by himself. A page or a terminal knows nothing of it, and the list outlives the
program that asked.
"""

from __future__ import annotations

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import AsksByList, CatchesUp, OperatorAnswer, OperatorRequest
from nkloop.drivers.operators import request_key
from nkloop.drivers.timing import too_early
from nkloop.records import Records
from nkloop.records.requests import AskedRequest

_ELSEWHERE = "it is asked for elsewhere now"


def asks_by_list(bench: Bench) -> bool:
    """Whether a question to the operator of a bench would stand on the list now."""
    return isinstance(bench.operator, AsksByList) and bench.operator.by_list


def on_list(
    request: OperatorRequest, bench: Bench, records: Records, *, step: int | None = None
) -> AskedRequest | None:
    """What stands on the list of this very request, so that nobody asks as if it were new; None when nothing does.

    A confirmation is given whoever asks. What waits or was declined there is given only to who asks by the list and
    finds it by asking; else it is taken off. What was asked of the rest of a step is of the same step.

    Args:
        request: what is asked.
        bench: whose operator asks it.
        records: with the list.
        step: worklist step that the request is the task of.
    """
    key, found = request_key(request), None
    for one in _standing(request, step, records):
        is_found_by_asking = asks_by_list(bench) and one.key == key
        if one.state == "open" and not is_found_by_asking:
            records.requests.withdraw(one.id, _ELSEWHERE)
        now = records.requests.get(one.id)  # it may just have been confirmed
        if is_found_by_asking or (now.state == "confirmed" and not request.choices):
            found = now
        elif now.state != "withdrawn":
            records.requests.taken(now.id)
    return found


async def confirmed(one: AskedRequest, request: OperatorRequest, bench: Bench) -> OperatorAnswer:
    """The answer that a confirmation on the list is, after it has happened in a simulated operator's world, too."""
    scanned, at = tuple(one.scanned.split()), one.answered_at or one.asked_at
    early = too_early(request.task, one.asked_at, at)
    answer = OperatorAnswer(confirmed_by=one.answered_by, at=at, note=one.note, scanned=scanned, early=early)
    return await bench.operator.catch_up(request, answer) if isinstance(bench.operator, CatchesUp) else answer


def _standing(request: OperatorRequest, step: int | None, records: Records) -> tuple[AskedRequest, ...]:
    """Requests with its key, or of the task of the same step, that are open or whose answer nobody has taken."""
    key = request_key(request)
    is_task = step is not None and not request.choices
    return tuple(
        one
        for one in records.requests.of_run(request.run_id or "")
        if (one.key == key or (is_task and one.title == request.title))
        and (one.state == "open" or (one.state in {"confirmed", "declined"} and one.taken_at is None))
    )
