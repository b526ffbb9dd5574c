"""The question a person is asked after an interruption: unknown steps, wells with both possibilities, what to type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nkloop.cli.common import elsewhere
from nkloop.quantities.display import volume_told
from nkloop.runs.eyesight import too_small
from nkloop.runs.typed_steps import spans
from nkloop.worklists.models import PLATE_READING

if TYPE_CHECKING:
    from nkloop.quantities.units import Kind
    from nkloop.runs.deciding import OpenStep, Question
    from nkloop.runs.possible import PossibleContents, PossibleWell

_MOST = 12
"""Rows of a table unless all are asked for."""


def print_question(console: Console, asked: Question, command: str, kinds: Mapping[str, Kind], *, whole: bool) -> None:
    """Show what nobody knows and the commands a person may answer with.

    Args:
        console: where it is shown.
        asked: the question.
        command: how this program was called.
        kinds: what components are measured in.
        whole: show every row and every possibility.
    """
    _print_steps(console, asked.steps, whole)
    if asked.run.procedure == PLATE_READING:
        console.print("No liquid was moved, and to read the plate again does no harm. The robot is not asked to guess:")
        console.print("look whether the lid lies on the reader or beside it, and where the plate is; put both right.")
        console.print("[bold]Nothing else runs on this bench or with this plate before:[/]")
        answer = f'{command} reconcile {asked.run.id}{elsewhere()} --decide continue --by NAME --reason "WHAT YOU SAW"'
        console.print(f"    {escape(answer)}", soft_wrap=True)
        return
    _print_wells(console, asked.wells, kinds, whole, has_vessels=bool(asked.vessels))
    for vessel in asked.vessels:
        console.print(
            f"[bold]{escape(vessel.name)}[/] ({escape(vessel.title)}): {escape(vessel.sentence)}. Weigh it.",
            soft_wrap=True,
        )
    is_liquid = bool(asked.wells) or any(step.tip for step in asked.steps)
    if is_liquid and not all(step.is_given for step in asked.steps):
        console.print("A step may also have drawn its liquid and lost it with the tip; look at the tips in the trash.")
    if blind := too_small({step.number: step.level_mm for step in asked.steps}):
        console.print(f"[bold]{escape(blind)}[/]", soft_wrap=True)
    if asked.left:
        n_left = len(asked.left)
        console.print(f"Certainly not done: {n_left} further step{'s' if n_left > 1 else ''} ({spans(asked.left)}).")
    start, who = f"{command} reconcile {asked.run.id}{elsewhere()} --decide", '--by NAME --reason "WHY"'
    numbers = spans([step.number for step in asked.steps])
    may_not = spans([step.number for step in asked.steps if not step.is_drawn])
    console.print("[bold]Nothing else runs on this bench or with these plates before one of these:[/]")
    it = "it" if len(asked.steps) == 1 else "they"
    answers = [
        ("you cannot see it: a correction that is right either way, where there is one", f"repair {who}"),
        ("throw away the wells above; or some, with --well plate:B3", f"discard {who}"),
        *_lost(asked.steps, who),
        *_unmixed(asked.steps, who),
    ]
    if not is_liquid:
        answers.clear()
    if may_not:
        done = f"{it} {'is' if it == 'it' else 'are'} done as well" if is_liquid else "people do that themselves"
        if asked.vessels and not is_liquid:
            done = f"people are asked for {it if it == 'it' else 'them'} again"
        answers.append((f"you saw that {it} did not happen: {done}", f"continue --not-happened {may_not} {who}"))
    if n_doubtful := sum(bool(well.doubt) for well in asked.wells):
        told = f"  no correction is offered: the concentration of {n_doubtful} wells is not known."
        console.print(f"{told} Say of a mix that you saw that it happened, or throw the wells away.", soft_wrap=True)
        answers = [(what, line) for what, line in answers if line.startswith("discard")]
    answers += _in_part(asked.steps, who)
    answers.append((f"you saw that {it} happened: only the rest is done", f"continue --happened {numbers} {who}"))
    for what, line in answers:
        if line.startswith("repair") and asked.no_repair:
            told = f"  no correction is offered: {escape(asked.no_repair)}."
            console.print(f"{told} Say of some what you saw, with --happened or --not-happened.", soft_wrap=True)
            continue
        if line.startswith("continue --drawn") and asked.no_drawn:
            what += f"; not all of the rest can be done then: {escape(asked.no_drawn)}"
        console.print(f"  {what}:", soft_wrap=True)
        console.print(f"    {escape(f'{start} {line}')}", soft_wrap=True)


def _lost(steps: Sequence[OpenStep], who: str) -> list[tuple[str, str]]:
    """The answer for a tip that was lost with liquid: at most one step of those that are worked in order."""
    first, rest = _apart(steps, lambda step: bool(step.tip) and not step.is_given)
    if first is None:
        return []
    told = "the first of them had its liquid in the tip" if rest else "its liquid was in the tip, which is gone"
    return [(f"{told}: it is done from what its source has left", f"continue --drawn {first}{rest} {who}")]


def _unmixed(steps: Sequence[OpenStep], who: str) -> list[tuple[str, str]]:
    """The answer for a transfer that had given and was cut before the end of its mix."""
    first, rest = _apart(steps, lambda step: step.mixes)
    if first is None:
        return []
    told = f"{f'step {first} of them' if rest else 'it'} gave its liquid and was cut before its mix had ended"
    told += f": it is mixed (--cut-in-mix {first} instead, when liquid of the mix was in the tip)"
    return [(told, f"continue --given {first}{rest} {who}")]


def _in_part(steps: Sequence[OpenStep], who: str) -> list[tuple[str, str]]:
    """The answer for a task of people in which only a part of the liquid was moved."""
    first, rest = _apart(steps, lambda step: bool(step.by_hand_ul))
    if first is None:
        return []
    told = f"a part of step {first} was moved, as the scale shows: people do only its rest"
    return [(told, f"continue --moved '{first}=VOLUME mL'{rest} {who}")]


def _apart(steps: Sequence[OpenStep], is_meant: Callable[[OpenStep], bool]) -> tuple[int | None, str]:
    """Number of the first step that is meant, if any, and what is to be typed of all others beside it."""
    first = next((step.number for step in steps if is_meant(step)), None)
    others = spans([step.number for step in steps if step.number != first])
    return first, f" --not-happened {others}" if others else ""


def _print_steps(console: Console, steps: Sequence[OpenStep], whole: bool) -> None:
    reasons = dict.fromkeys(step.why for step in steps)
    console.print(f"[bold]Steps of unknown outcome: {len(steps)}[/]")
    if len(reasons) == 1:
        console.print(f"Why: {escape(next(iter(reasons)) or 'nobody saw their end')}", soft_wrap=True)
    table = Table("step", "what", "tip from", *(["why"] if len(reasons) > 1 else []))
    groups = [
        list(group)
        for _, group in groupby(steps, key=lambda step: (step.alike, step.why, step.is_drawn, step.is_given))
    ]
    for group in groups[: None if whole else _MOST]:
        first = group[0]
        row = [spans([step.number for step in group]), escape(_together(group)), first.tip]
        table.add_row(*row, *([escape(first.why)] if len(reasons) > 1 else []))
    console.print(table)
    if not whole and len(groups) > _MOST:
        console.print(f"... and {len(groups) - _MOST} more rows; --all shows them.")


def _together(group: Sequence[OpenStep]) -> str:
    first = group[0]
    drawn = " (its liquid was given)" if first.is_given else " (its liquid was drawn)" if first.is_drawn else ""
    if len(group) == 1:
        return first.sentence + drawn
    targets = list(dict.fromkeys(step.target for step in group if step.target))
    shown = ", ".join(targets[:4]) + (f" and {len(targets) - 4} more" if len(targets) > 4 else "")
    return f"{len(group)} x {first.alike}" + (f" to {shown}" if shown else "") + drawn


def _print_wells(
    console: Console, wells: Sequence[PossibleWell], kinds: Mapping[str, Kind], whole: bool, *, has_vessels: bool
) -> None:
    if not wells:
        if not has_vessels:
            console.print("No well depends on them.")
        return
    console.print(f"[bold]Wells that depend on them: {len(wells)}[/]")
    table = Table("labware", "well", "may hold")
    for well in wells[: None if whole else _MOST]:
        name = f"{well.labware} ({well.barcode})" if well.barcode else well.labware
        table.add_row(escape(name), well.well, escape(_ways(well, kinds, whole)))
    console.print(table)
    if not whole and len(wells) > _MOST:
        console.print(f"... and {len(wells) - _MOST} more wells; --all shows them.")


def _ways(well: PossibleWell, kinds: Mapping[str, Kind], whole: bool) -> str:
    """What happened in none and in all of the steps tell the range; the ways between are counted."""
    ways = well.contents
    if well.doubt:
        volumes = " to ".join(dict.fromkeys(map(volume_told, well.volumes_ul)))
        return f"{volumes}; concentration not known: {well.doubt}"
    if whole or len(ways) <= 2:
        return "\n".join(_way(one, kinds) for one in ways)
    low, high = map(volume_told, well.volumes_ul)
    n_more = len(ways) - 2
    between = f"... {n_more} {'possibility' if n_more == 1 else 'possibilities'} between, {low} to {high}"
    return "\n".join((_way(ways[0], kinds), between, _way(ways[-1], kinds)))


def _way(one: PossibleContents, kinds: Mapping[str, Kind]) -> str:
    from nkloop.runs.strengths import told

    held = told(one.per_ul, kinds)
    return f"{volume_told(one.volume_ul)}{f' ({held})' if held else ''} if {one.when}"
