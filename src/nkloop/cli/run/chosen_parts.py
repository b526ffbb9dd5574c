"""Which parts of a plan are run: those a person names, and none that was run before unless it is named."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nkloop.cli.common import command_name
from nkloop.errors import Problem, RecordError
from nkloop.runs.typed_steps import numbers_of, spans
from nkloop.worklists.parts import Part, in_order

if TYPE_CHECKING:
    from nkloop.cli.run.playing import Order

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


def require_choice(parts: Sequence[Part], order: Order, refuse: Refuse) -> None:
    """Refuse a plan of which some parts were run before and others were not, until a person names the parts.

    Raises:
        RecordError: every part that was run, and the commands for the others, for a rest, and for all.
    """
    if order.part or len(parts) == 1:
        return
    taken = {number: told for number, part in enumerate(parts, start=1) if (told := _taken(part, refuse))}
    left = [number for number in range(1, len(parts) + 1) if number not in taken]
    if not taken or not left:
        return
    raise RecordError.from_problems(
        [
            *taken.values(),
            Problem(
                f"part {spans(left)} of {len(parts)} was not run yet",
                order.worklist,
                f"`{part_command(order, left)}`; those that were run are only run once more when you name them, "
                f"with --again: --part 1-{len(parts)} for all",
            ),
        ]
    )


def part_command(order: Order, numbers: Sequence[int]) -> str:
    """The command that runs parts of what was ordered, and nothing else of it."""
    yes = " --yes" if order.is_allowed else ""
    return f"{command_name()} run {shlex.quote(order.worklist)} --bench {order.bench} --part {spans(numbers)}{yes}"


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
