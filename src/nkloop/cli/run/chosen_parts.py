"""Which parts of a plan are run: those a person names, and none that was run before unless it is named."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nkloop.cli.common import command_name, elsewhere
from nkloop.errors import Problem, RecordError
from nkloop.records.lineage import is_of_another
from nkloop.records.touched import feeds_standing, fills_vessels
from nkloop.runs.typed_steps import numbers_of, spans
from nkloop.worklists.parts import Part, in_order

if TYPE_CHECKING:
    from nkloop.cli.run.playing import Order
    from nkloop.records import Records
    from nkloop.records.models import RunRecord

TimesDone = Callable[[str], int]
"""`times_done` of the worklist of a hash."""
Refuse = Callable[[str], None]
"""Raises `RecordError` where the worklist of this hash was run, wholly or in part."""


def chosen(parts: tuple[Part, ...], typed: str) -> tuple[Part, ...]:
    """Parts named as `2` or `1-2,4`, in the order of the plan, with what is changed on the deck between them; all of
    them when none is named.

    Raises:
        RecordError: there is no such part, or what was typed names none.
    """
    if not typed:
        return parts
    numbers = _numbers(typed)
    if not numbers or numbers[0] < 1 or numbers[-1] > len(parts):
        raise RecordError(
            f"'{typed}' names no parts of what is to be run, which has {len(parts)}",
            where="--part",
            remedy="write numbers and ranges, as 2 or 1-2,4" if len(parts) > 1 else "leave --part out",
        )
    some = [parts[number - 1].worklist for number in numbers]
    made = in_order(some)
    return tuple(part.model_copy(update={"worklist": worklist}) for part, worklist in zip(made, some, strict=True))


def require_choice(parts: Sequence[Part], order: Order, refuse: Refuse, times_done: TimesDone) -> None:
    """Refuse a plan of which some parts were run, or run to their end, more often than others, until a person names
    the parts.

    Raises:
        RecordError: every part that was run, and the commands for the others, for a rest, and for all.
    """
    if order.part or len(parts) == 1:
        return
    taken = {number: told for number, part in enumerate(parts, start=1) if (told := _taken(part, refuse))}
    left = [number for number in range(1, len(parts) + 1) if number not in taken]
    if not taken:
        return
    if not left:
        _require_as_often(parts, order, times_done)
        return
    others = f"are only run once more when you name them, with --again: --part 1-{len(parts)} for all"
    if any(fills_vessels(part.worklist) for part in parts):
        others = "are only run once more by a plan made anew, which takes vessels of its own"
    if any(feeds_standing(part.worklist) for part in parts):
        others = "are done: planned anew they would feed the same plate a second time"
    remedy = f"`{part_command(order, left)}`; those that were run {others}"
    not_yet = Problem(f"part {spans(left)} of {len(parts)} was not run yet", order.worklist, remedy)
    raise RecordError.from_problems([*taken.values(), not_yet])


def _require_as_often(parts: Sequence[Part], order: Order, times_done: TimesDone) -> None:
    """Refuse to repeat a plan whose last repetition stopped on its way: its first parts would be done once more."""
    times = {number: times_done(part.worklist.content_hash) for number, part in enumerate(parts, start=1)}
    most = max(times.values())
    if not order.is_again or (behind := [number for number, n in times.items() if n < most]) == []:
        return
    raise RecordError(
        f"part {spans(behind)} of {len(parts)} was done to the end less often than the others "
        f"({', '.join(f'part {number}: {n} times' for number, n in times.items())}): the last time stopped on its way",
        where=order.worklist,
        remedy=f"go on with what was cut (`nkloop runs --open`), or repeat `{part_command(order, behind)} "
        f"--again`; --part 1-{len(parts)} does all of them once more",
    )


def times_done(records: Records, worklist_hash: str, bench: str, batch: str | None = None) -> int:
    """How often a worklist was done to its end on a bench, by one run or with the runs that continue it.

    What was done for another batch is not counted.
    """
    journal = records.journal

    def came_to_end(run: RunRecord) -> bool:
        return run.state == "succeeded" or any(map(came_to_end, journal.follow_ups(run.id)))

    mine = [run for run in journal.by_hash(worklist_hash) if not is_of_another(run.batch, batch)]
    runs = [run for run in mine if run.bench == bench and run.parent is None]
    return sum(map(came_to_end, runs))


def part_command(order: Order, numbers: Sequence[int]) -> str:
    """The command that runs parts of what was ordered, and nothing else of it."""
    batch = f" --batch {shlex.quote(order.batch)}" if order.batch else ""
    yes = " --yes" if order.is_allowed else ""
    what = f"{shlex.quote(order.worklist)} --bench {order.bench} --part {spans(numbers)}{batch}{yes}"
    return f"{command_name()} run {what}{elsewhere()}"


def numbers_left(order: Order, n_parts: int, n_begun: int) -> list[int]:
    """Numbers, in the plan, of the parts behind those that were begun."""
    numbers = _numbers(order.part) if order.part else list(range(1, n_parts + 1))
    return numbers[n_begun:]


def _numbers(typed: str) -> list[int]:
    return sorted(numbers_of(typed))


def _taken(part: Part, refuse: Refuse) -> Problem | None:
    """What is told of a part that was run before; None of one that was not."""
    try:
        refuse(part.worklist.content_hash)
    except RecordError as error:
        return error.problems[0]
    return None
