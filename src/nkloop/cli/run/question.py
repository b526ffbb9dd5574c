"""The question a person is asked after an interruption: unknown steps, wells with both possibilities, what to type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from nkloop.runs.deciding import Question

_MOST = 24
"""Rows of a table on a screen; all of them are in `--json`."""


def print_question(console: Console, asked: Question, command: str) -> None:
    """Show what nobody knows and the commands a person may answer with."""
    steps = Table(
        "step", "what", "tip from", "why nobody knows", title="Steps of unknown outcome", title_justify="left"
    )
    for step in asked.steps[:_MOST]:
        drawn = " (its liquid was drawn)" if step.is_drawn else ""
        steps.add_row(str(step.number), escape(step.sentence) + drawn, step.tip, escape(step.why))
    console.print(steps)
    wells = Table("labware", "well", "may hold", title="Wells that depend on them", title_justify="left")
    for well in asked.wells[:_MOST]:
        name = f"{well.labware} ({well.barcode})" if well.barcode else well.labware
        ways = "\n".join(f"{one.volume_ul:g} µL {_held(one.per_ul)}if {one.when}" for one in well.contents)
        wells.add_row(escape(name), well.well, escape(ways))
    console.print(wells)
    if len(asked.steps) > _MOST or len(asked.wells) > _MOST:
        console.print(f"{len(asked.steps)} steps and {len(asked.wells)} wells in all; every one with --json.")
    console.print("A step may also have drawn its liquid and not given it; look at the tips in the trash.")
    if asked.left:
        console.print(f"Certainly not done: {len(asked.left)} further steps.")
    start = f"{command} reconcile {asked.run.id} --decide"
    who = '--by NAME --reason "WHY"'
    numbers = ",".join(str(step.number) for step in asked.steps[:4]) + (",…" if len(asked.steps) > 4 else "")
    console.print("[bold]Nothing else runs on this bench or with these plates before one of these:[/]")
    for line in (
        f"{start} continue --happened {numbers} {who}     you saw that they happened: only the rest is done",
        f"{start} continue --not-happened {numbers} {who}     you saw that they did not: they are done as well",
        f"{start} repair {who}     you cannot see it: a correction right in every possibility, where there is one",
        f"{start} discard {who}     the wells above are thrown away; or name some with --well plate:B3",
    ):
        console.print(f"  {escape(line)}", soft_wrap=True)


def _held(per_ul: dict[str, float]) -> str:
    """The components that are not the bulk, per mL."""
    minor = sorted((value, name) for name, value in per_ul.items() if 0 < value < 1)
    shown = ", ".join(f"{name} {value * 1000:.3g}/mL" for value, name in minor[:3])
    return f"({shown}) " if shown else ""
