"""Requests on the list of `nkloop operator` while the same is asked elsewhere: what was confirmed there is done, and
nothing stands in two places.

Who asks by the list finds its answers by himself. A page or a terminal knows nothing of it, and the list outlives the
program that asked.
"""

from __future__ import annotations

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import AsksByList, CatchesUp, OperatorAnswer, OperatorRequest
from nkloop.drivers.operators import request_key
from nkloop.records import Records
from nkloop.records.requests import AskedRequest

_ELSEWHERE = "it is asked for elsewhere now"


def asks_by_list(bench: Bench) -> bool:
    """Whether a question to the operator of a bench would stand on the list now."""
    return isinstance(bench.operator, AsksByList) and bench.operator.by_list


def on_list(request: OperatorRequest, bench: Bench, records: Records) -> AskedRequest | None:
    """What stands on the list of this very request, so that nobody asks as if it were new; None when nothing does.

    Where it is asked elsewhere now, only its confirmation is given, and whatever else stands of it is taken off.
    """
    standing = _standing(request, records)
    if asks_by_list(bench):
        return next(iter(standing), None)
    found = None
    for one in standing:
        if one.state == "open":
            records.requests.withdraw(one.id, _ELSEWHERE)
        now = records.requests.get(one.id)  # it may just have been confirmed
        if now.state == "confirmed" and not request.choices:
            found = now
        elif now.state != "withdrawn":
            records.requests.taken(now.id)
    return found


async def confirmed(one: AskedRequest, request: OperatorRequest, bench: Bench) -> OperatorAnswer:
    """The answer that a confirmation on the list is, after it has happened in a simulated operator's world, too."""
    scanned, at = tuple(one.scanned.split()), one.answered_at or one.asked_at
    answer = OperatorAnswer(confirmed_by=one.answered_by, at=at, note=one.note, scanned=scanned)
    return await bench.operator.catch_up(request, answer) if isinstance(bench.operator, CatchesUp) else answer


def _standing(request: OperatorRequest, records: Records) -> tuple[AskedRequest, ...]:
    """Requests with its key that are open, or whose answer nobody has taken."""
    key = request_key(request)
    return tuple(
        one
        for one in records.requests.of_run(request.run_id or "")
        if one.key == key and (one.state == "open" or (one.state in {"confirmed", "declined"} and one.taken_at is None))
    )
