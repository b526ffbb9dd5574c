"""The steps of a run sheet: robot work gathered into blocks, every step of a person on a line of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nkloop.frozen import FrozenModel
from nkloop.reports.deck_map import LabwareTitles, title_in_use
from nkloop.reports.numbers import count, duration, plain, volume
from nkloop.worklists.models import Step, Worklist

_MOST = 4


class Block(FrozenModel):
    """Consecutive steps told together."""

    steps: str
    """`12–18`."""
    who: str
    """`robot` or `person`."""
    text: str
    detail: str
    minutes: float | None
    """Estimated time of the robot, or the time a person's task takes; None when nobody knows."""

    @property
    def is_person(self) -> bool:
        """Whether a person acts."""
        return self.who == "person"

    @property
    def time(self) -> str:
        """The time in words."""
        return duration(self.minutes) if self.minutes else ""


def step_blocks(worklist: Worklist, catalogue: LabwareTitles | None, minutes: Mapping[int, float]) -> tuple[Block, ...]:
    """Robot steps between the same two labware together; a mix belongs to the transfers into its labware."""
    gathered: list[list[Step]] = []
    for step in worklist.steps:
        if gathered and _belongs(step, gathered[-1]):
            gathered[-1].append(step)
        else:
            gathered.append([step])
    titles = {item.nickname: title_in_use(item, catalogue) for item in worklist.deck}
    return tuple(_block(steps, titles, minutes) for steps in gathered)


def _belongs(step: Step, block: Sequence[Step]) -> bool:
    first = block[0]
    if step.action == "mix" and first.action in {"transfer", "mix"}:
        return step.labware in {first.to_labware, first.labware if first.action == "mix" else ""}
    return step.action == first.action == "transfer" and (step.labware, step.to_labware) == (
        first.labware,
        first.to_labware,
    )


def _block(steps: Sequence[Step], titles: Mapping[str, str], minutes: Mapping[int, float]) -> Block:
    first, last = steps[0], steps[-1]
    numbers = f"{first.number}" if first is last else f"{first.number}–{last.number}"
    if first.operator is not None:
        task = first.operator
        detail = f"{task.kind.capitalize()} at {plain(task.temperature_c)} °C" if task.temperature_c is not None else ""
        return Block(steps=numbers, who="person", text=task.instruction, detail=detail, minutes=task.minutes)
    known = [minutes[step.number] for step in steps if step.number in minutes]
    took = sum(known) if len(known) == len(steps) else None
    if first.action in {"shake", "delay"}:
        speed = f" at {first.rpm} rpm" if first.action == "shake" else ""
        text = f"{first.action.capitalize()} {duration(first.seconds / 60)}{speed}"
        return Block(steps=numbers, who="robot", text=text, detail=first.comment, minutes=first.seconds / 60)
    return Block(steps=numbers, who="robot", text=_moved(steps, titles), detail=_details(steps), minutes=took)


def _moved(steps: Sequence[Step], titles: Mapping[str, str]) -> str:
    moves = [step for step in steps if step.action == "transfer"]
    if not moves:
        return f"Mix {titles.get(steps[0].labware, steps[0].labware)}"
    total = sum(step.volume_ul * step.channels for step in moves)
    source, target = (titles.get(name, name) for name in (moves[0].labware, moves[0].to_labware))
    number, most = count(len(moves), "transfer"), max(step.channels for step in moves)
    channels = f" with {'up to ' * (most != 8)}{most} channels" if most > 1 else ""
    return f"{source} → {target}: {number}{channels}, {volume(total)} in all"


def _details(steps: Iterable[Step]) -> str:
    """What the steps are for, and why tips are new or kept."""
    seen = tuple(steps)
    told = _shortened([step.comment for step in seen])
    policies = _shortened([step.tip_policy for step in seen])
    return f"{told}{'. ' * bool(told)}Tips {policies}" if policies else told


def _shortened(texts: Iterable[str]) -> str:
    told = list(dict.fromkeys(text for text in texts if text))
    if len(told) <= _MOST:
        return "; ".join(told)
    return f"{'; '.join(told[: _MOST - 1])}; … {told[-1]}"
