"""What the person sees while the demo runs, and the tables at its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nkloop.cli.live import LiveDisplay

if TYPE_CHECKING:
    from nkloop.runs.session import Progress


class DemoDisplay(LiveDisplay):
    """A live block of a few lines: what is going on, how far the robot is, how much was done."""

    def __init__(self, *, quiet: bool) -> None:
        self._started = time.monotonic()
        self._phase = ""
        self._progress: Progress | None = None
        super().__init__(quiet=quiet, per_second=6)

    def phase(self, words: str) -> None:
        """Say what is going on before a session exists."""
        self._phase = words

    def show(self, progress: Progress) -> None:
        """Take the progress of the session; the live block redraws itself."""
        self._progress = progress

    def drawn(self) -> Group:
        """The lines."""
        seconds = time.monotonic() - self._started
        progress = self._progress
        phase = progress.phase if progress else self._phase
        lines: list[Any] = [Text.assemble((f"{seconds:5.0f} s  ", "dim"), (self.waits_for or phase, "bold"))]
        if progress:
            day = f"culture day {progress.day:g} · " if progress.day is not None else ""
            done = f"{day}robot runs: {progress.runs_done} · {progress.transfers_done} transfers"
            lines.append(Text(f"         {done}", style="dim"))
            if progress.total:
                bar = Table.grid(padding=(0, 1))
                bar.add_row("        ", ProgressBar(progress.total, progress.current, width=40))
                bar.columns[0].no_wrap = True
                lines.append(bar)
        return Group(*lines)


def show_outcome(outcome: Mapping[str, Any]) -> None:
    """Print arms against the reference, the proposed revision and where the report is."""
    console = Console()
    console.print(_arms_table(outcome["summaries"]))
    console.print(_changes_table(outcome["changes"], outcome["summary"]["revision"]))
    summary = outcome["summary"]
    verdicts = [plate["verdict"] for plate in summary["plates"]]
    counted = ", ".join(f"{verdicts.count(kind)} {kind}" for kind in ("accepted", "flagged", "rejected"))
    console.print(
        f"Robot runs: {summary['robot_runs']}, transfers: {summary['transfers']}, "
        f"steps of unknown outcome: {summary['unknown_steps']}, plates: {counted}."
    )
    console.print(f"Report: {summary['report']}", soft_wrap=True)
    console.print("The bench and its biology are simulated; the recipe's published values are not validated values.")


def _arms_table(summaries: list[Mapping[str, Any]]) -> Table:
    """One line per arm, the reference of each round first, then the best; fits a terminal of 80 columns."""
    title = "Arms against the reference of the same round and donors"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("round", "arm", "fold", "CD56+ %", "killing", "score", "Δ score", "95 % CI"):
        table.add_column(heading, justify="left" if heading == "arm" else "right", no_wrap=True)
    ranked = sorted(summaries, key=lambda row: (row["round"], row["arm"] != "reference", -row["score"]))
    for row in ranked:
        low, high = row["delta_low"], row["delta_high"]
        is_reference = row["arm"] == "reference"
        table.add_row(
            str(row["round"]),
            row["arm"],
            f"{10 ** row['log10_fold']:.0f}×",
            f"{row['purity_percent']:.0f}",
            f"{row['potency']:.2f}",
            f"{row['score']:.2f}",
            "" if is_reference else f"{row['delta']:+.2f}",
            "" if is_reference or low is None or high is None else f"{low:+.2f} to {high:+.2f}",
            style="bold" if is_reference else "" if row["feasible"] else "dim",
        )
    return table


def _changes_table(changes: list[Mapping[str, Any]], revision: Mapping[str, Any]) -> Table:
    if revision["id"] is None:
        title = f"No improvement: nothing within the limits is expected to beat {revision['parent']}, which stays"
        return Table("stage", "component", "before", "after", "factor", title=title, title_justify="left")
    title = f"Proposed revision {revision['id']} of {revision['parent']}: {revision['status']}, waiting for approval"
    table = Table("stage", "component", "before", "after", "factor", title=title, title_justify="left")
    for change in changes:
        cells = (change["stage"], change["component"], change["before"], change["after"], f"{change['factor']:.2f}")
        table.add_row(*cells)
    if not changes:
        table.add_row("no change", "", "", "", "")
    return table
