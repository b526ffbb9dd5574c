"""A plan as a person reads it on a terminal, the same for every procedure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nkloop.cli.common import as_typed, command_name, elsewhere, plan_beside

if TYPE_CHECKING:
    from rich.console import Console

    from nkloop.cli.plan.planned import Planned
    from nkloop.worklists.plans import CompositionRow


def show(planned: Planned, files: tuple[Path, ...], csv: Path | None = None) -> None:
    """Print what the plan gives, what it takes, and whether it may be run.

    Args:
        files: worklists written for the robot; empty when none was asked for.
        csv: the name that was asked for.
    """
    from rich.console import Console

    console = Console()
    _show_composition(console, planned)
    _show_lots(console, planned)
    for told in planned.take_out:
        console.print(f"Take out {told}", soft_wrap=True, highlight=False)
    _show_work(console, planned)
    for note in planned.notes:
        console.print(f"- {as_typed(note)}", soft_wrap=True, highlight=False)
    for warning in planned.warnings:
        console.print(f"[yellow]warning:[/] {as_typed(warning)}", soft_wrap=True)
    _show_reserved(console, planned)
    _show_verdict(console, planned)
    _show_files(console, planned, files, csv)


def _show_composition(console: Console, planned: Planned) -> None:
    from rich.table import Column, Table

    from nkloop.reports.tables import alike, reasons

    table = Table(
        Column("component", overflow="fold"),
        "target",
        "expected",
        "off",
        "CV",
        "bias up to",
        title=planned.title,
        title_justify="left",
    )
    vessels = alike(planned.composition, _cells)
    for names, rows in vessels:
        if len(vessels) > 1 or len(names) > 1:
            table.add_section()
            table.add_row(f"[bold]{', '.join(names)}[/]")
        for row in rows:
            table.add_row(*row)
    console.print(table)
    for told in reasons(planned.composition):
        console.print(told, soft_wrap=True, highlight=False, markup=False)


def _cells(row: CompositionRow) -> tuple[str, ...]:
    from nkloop.quantities.display import number
    from nkloop.reports.tables import BASIS

    return (
        row.component if row.basis == "dosed" else f"{row.component} ({BASIS[row.basis]})",
        f"{number(row.target, 6)} {row.unit}",
        f"{number(row.expected, 4)} {row.unit}",
        "" if row.deviation_percent is None else f"{row.deviation_percent:+.2f} %",
        *_errors(row),
    )


def _errors(row: CompositionRow) -> tuple[str, str]:
    """CV and bias; nothing of what is not there, or carried along from the medium before."""
    if row.expected == 0 or row.basis == "carried":
        return "", ""
    return _percent(row.cv_percent), _percent(row.bias_percent)


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f} %"


def _show_lots(console: Console, planned: Planned) -> None:
    from rich.table import Column, Table

    from nkloop.cli.plan.document import expiry
    from nkloop.reports.numbers import volume

    taken = Table(
        Column("lot", overflow="fold"),
        "component",
        "expires",
        "put on deck",
        "drawn",
        title="Lots",
        title_justify="left",
    )
    for lot in planned.lots:
        expires = expiry(planned, lot.lot) or "not known"
        taken.add_row(lot.lot, lot.component, expires, volume(lot.volume_ul), volume(lot.drawn_ul))
    console.print(taken)


def _show_work(console: Console, planned: Planned) -> None:
    from nkloop.cli.plan.document import tips

    for number, part in enumerate(planned.parts, 1):
        minutes = planned.robot_minutes[number - 1]
        time = "" if minutes is None else f", about {minutes:.0f} min of robot time"
        named = f"Part {number} of {len(planned.parts)}: " if len(planned.parts) > 1 else ""
        console.print(f"{named}{len(part.steps)} steps, {part.n_transfers} transfers{time}.")
    used = ", ".join(f"{count} {name}" for name, count in tips(planned.parts).items())
    console.print(f"Tips: {used}.")
    if planned.price_eur is not None:
        console.print(f"What leaves the lots costs {planned.price_eur:.2f} EUR.")
    elif planned.unpriced:
        console.print(f"What leaves the lots has no known cost: no price of {', '.join(planned.unpriced)}.")


def _show_reserved(console: Console, planned: Planned) -> None:
    held = planned.reserved
    if held is None:
        return
    lots = ", ".join(pick.lot.id for pick in held.picks)
    told = f"Reserved for {held.name} until {held.until:%Y-%m-%d %H:%M} UTC: {lots}."
    console.print(told, soft_wrap=True, highlight=False, markup=False)


def _show_verdict(console: Console, planned: Planned) -> None:
    from rich.markup import escape

    from nkloop.errors import Problem

    for verdict in planned.verdicts:
        for check in verdict.checks:
            mark = "[green]passed[/]" if check.passed else "[red]FAILED[/]"
            console.print(f"{mark} {check.check} ({check.seconds:.2f} s)")
            for problem in check.problems:
                told = f"  {problem['rule']} {problem['where']}: {problem['message']}. Remedy: {problem['remedy']}"
                console.print(told, soft_wrap=True)
            for note in check.warnings:
                console.print(f"[yellow]warning:[/] {escape(str(Problem(**note)))}", soft_wrap=True)


def _show_files(console: Console, planned: Planned, files: tuple[Path, ...], csv: Path | None) -> None:
    """What was written, and the command that runs it."""
    if not planned.passed:
        console.print("[red]Refused; no worklist was written.[/]")
        return
    if planned.is_spent:
        if files:
            console.print(f"Written: {', '.join(map(str, files))}", soft_wrap=True)
        console.print("[red]It cannot be run as it is:[/] see the warnings.")
        return
    name = csv or Path("FILE.csv")
    bench = "" if planned.bench in {"", "virtual"} else f" --bench {planned.bench}"
    what = name if len(planned.parts) == 1 else plan_beside(name)
    run = f"{command_name()} run {what}{bench}{elsewhere()}"
    if files:
        console.print(f"Worklist for the robot: {', '.join(map(str, files))}", soft_wrap=True)
        console.print(f"To run it: {run}", soft_wrap=True)
    else:
        console.print(f"To run it: the same command with --csv {name}, then: {run}", soft_wrap=True)
