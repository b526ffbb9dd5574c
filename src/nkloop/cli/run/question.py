"""The question a person is asked after an interruption: unknown steps, wells with both possibilities, what to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nkloop.cli.common import elsewhere
from nkloop.quantities.display import volume_told
from nkloop.runs.asking import FOREIGN, held_told
from nkloop.runs.eyesight import too_small
from nkloop.runs.offers import others_cut
from nkloop.runs.open_steps import grouped, together
from nkloop.runs.possible import options_for
from nkloop.runs.typed_steps import spans
from nkloop.worklists.models import PLATE_READING

if TYPE_CHECKING:
    from nkloop.quantities.units import Kind
    from nkloop.runs.asking import Question
    from nkloop.runs.offers import Offer
    from nkloop.runs.open_steps import OpenStep
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
    if asked.run.is_foreign:
        console.print(f"{FOREIGN}. [bold]Nothing else runs on this bench or with these plates before one of these:[/]")
        _print_offers(console, asked, f"{command} reconcile {asked.run.id}{elsewhere()} --decide")
        return
    _print_wells(console, asked.wells, kinds, whole, has_vessels=bool(asked.vessels))
    for vessel in asked.vessels:
        console.print(
            f"[bold]{escape(vessel.name)}[/] ({escape(vessel.title)}): {escape(vessel.sentence)}. Weigh it.",
            soft_wrap=True,
        )
    is_liquid = bool(asked.wells) or any(step.tip for step in asked.steps)
    if is_liquid and not all(step.is_given or step.is_cut_first for step in asked.steps):
        console.print("A step may also have drawn its liquid and lost it with the tip; look at the tips in the trash.")
    if blind := too_small({step.number: step.level_mm for step in asked.steps}):
        console.print(f"[bold]{escape(blind)}[/]", soft_wrap=True)
    if asked.left:
        n_left = len(asked.left)
        console.print(f"Certainly not done: {n_left} further step{'s' if n_left > 1 else ''} ({spans(asked.left)}).")
    if asked.held:
        console.print(escape(held_told(asked)), soft_wrap=True)
    console.print("[bold]Nothing else runs on this bench or with these plates before one of these:[/]")
    _print_offers(console, asked, f"{command} reconcile {asked.run.id}{elsewhere()} --decide")


def _print_offers(console: Console, asked: Question, start: str) -> None:
    """The commands that are accepted as they stand, and why other answers are none."""
    n_doubtful = sum(bool(well.doubt) for well in asked.wells)
    if n_doubtful:
        told = f"  no correction is offered: the concentration of {n_doubtful} wells is not known."
        console.print(f"{told} Say of a mix that you saw that it happened, or throw the wells away.", soft_wrap=True)
    elif asked.no_repair:
        told = f"  no correction is offered: {escape(asked.no_repair)}."
        is_told = any(step.fell_short or step.is_cut_first for step in asked.steps)
        how = "as below" if is_told else "with --happened or --not-happened"
        console.print(f"{told} Say of some what you saw, {how}.", soft_wrap=True)
    for offer in asked.offers:
        if not offer.refused:
            console.print(f"  {escape(offer.when)}:", soft_wrap=True)
            console.print(f"    {escape(f'{start} {typed(offer)}')}", soft_wrap=True)
        elif offer.kind != "repair" and not n_doubtful:
            console.print(f"  {escape(offer.when)}: that cannot be done, {escape(offer.refused)}.", soft_wrap=True)
    if not asked.run.is_foreign and (told := others_cut(asked.steps)):
        console.print(f"  {told}", soft_wrap=True)


def typed(offer: Offer) -> str:
    """An answer as it is typed behind `--decide`."""
    parts = [f"--{word.replace('_', '-')} {spans(numbers)}" for word, numbers in offer.said.items()]
    parts = [f"--moved '{offer.part_of}=VOLUME mL'", *parts] if offer.part_of else parts
    wells = [options_for(offer.wells)] if offer.wells else []
    return " ".join([offer.kind, *parts, *wells, '--by NAME --reason "WHY"'])


def _print_steps(console: Console, steps: Sequence[OpenStep], whole: bool) -> None:
    reasons = dict.fromkeys(step.why for step in steps)
    console.print(f"[bold]Steps of unknown outcome: {len(steps)}[/]")
    if len(reasons) == 1:
        console.print(f"Why: {escape(next(iter(reasons)) or 'nobody saw their end')}", soft_wrap=True)
    table = Table("step", "what", "tip from", *(["why"] if len(reasons) > 1 else []))
    groups = grouped(steps)
    for group in groups[: None if whole else _MOST]:
        first = group[0]
        row = [spans([step.number for step in group]), escape(together(group)), first.tip]
        table.add_row(*row, *([escape(first.why)] if len(reasons) > 1 else []))
    console.print(table)
    if not whole and len(groups) > _MOST:
        console.print(f"... and {len(groups) - _MOST} more rows; --all shows them.")


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
