"""What a person at the robot sees: the summary before a run, a progress line during it, its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nkloop.cli.common import elsewhere
from nkloop.cli.live import LiveDisplay
from nkloop.errors import Problem
from nkloop.runs.typed_steps import spans

if TYPE_CHECKING:
    from nkloop.drivers.bench_file import BenchFile
    from nkloop.drivers.interfaces import Finding
    from nkloop.records.models import RunRecord
    from nkloop.runs.following import RunProgress
    from nkloop.runs.reconcile import Reconciled
    from nkloop.worklists.models import Verdict, Worklist
    from nkloop.worklists.parts import Part

_BAR = 30


def summary(parts: Sequence[Part], verdicts: Sequence[Verdict], bench: BenchFile, source: str) -> None:
    """What is about to be run, where, and what the checks say."""
    console = Console()
    kind = "simulated" if bench.simulated else "REAL"
    console.print(f"Bench [bold]{escape(bench.name)}[/] ({kind}): {escape(bench.title)}")
    console.print(f"From {escape(source)}")
    table = Table("part", "worklist", "steps", "transfers", "pauses", "checks")
    for number, (part, verdict) in enumerate(zip(parts, verdicts, strict=True), start=1):
        pauses = sum(step.action == "pause" for step in part.worklist.steps)
        passed = "[green]passed[/]" if verdict.passed else "[red]REFUSED[/]"
        one = part.worklist
        table.add_row(str(number), escape(one.name), str(len(one.steps)), str(one.n_transfers), str(pauses), passed)
    console.print(table)
    for verdict in verdicts:
        for check in verdict.checks:
            for told in check.warnings:
                console.print(f"[yellow]warning:[/] {escape(str(Problem(**told)))}", soft_wrap=True)


class RunDisplay(LiveDisplay):
    """One line that tells how far the robot is; nothing when the command is quiet or nobody looks."""

    def __init__(self, *, quiet: bool) -> None:
        self._name, self._line = "", ""
        super().__init__(quiet=quiet, per_second=4)

    def drawn(self) -> Text:
        """The line, cut where the terminal ends."""
        return Text(self.waits_for or self._line, no_wrap=True, overflow="ellipsis")

    def begin(self, worklist: Worklist) -> None:
        """A run begins."""
        self._name, self._line = worklist.name, f"{worklist.name}: the bench is checked, then the deck is loaded"

    def found(self, one: Finding) -> None:
        """What the run is made with besides its worklist, such as labware offsets."""
        if not self._quiet:
            self._console.print(f"{self._name}: {one.subject}: {one.found}", markup=False, soft_wrap=True)

    def progress(self, seen: RunProgress) -> None:
        """The robot has come so far."""
        share = seen.current / seen.total if seen.total else 0.0
        bar = ("#" * round(_BAR * share)).ljust(_BAR, ".")
        phrase = seen.phrase.removeprefix(f"step {seen.current}: ")
        self._line = f"{self._name or seen.run_id} [{bar}] step {seen.current} of {seen.total}: {phrase}"

    def told(self, found: Sequence[Reconciled]) -> None:
        """Runs an interruption had left open."""
        for one in found if not self._quiet else ():
            self._console.print(f"{one.run.id} ({escape(one.run.name)}) was left open: {escape(one.told)}")


def show_end(run: RunRecord, command: str) -> None:
    """How a run ended, and what to do when it did not end well."""
    console = Console()
    colour = "green" if run.state == "succeeded" else "red"
    counts: dict[str, int] = {}
    for step in run.steps:
        counts[step.event] = counts.get(step.event, 0) + 1
    steps = ", ".join(f"{number} {event}" for event, number in sorted(counts.items())) or "none"
    console.print(f"[{colour}]{run.id} {run.state}[/]: {escape(run.name)}; steps: {steps}", soft_wrap=True)
    if run.error:
        console.print(f"  {escape(run.error)}", soft_wrap=True)
    console.print(f"  {escape(next_word(run, command))}", soft_wrap=True)


def next_word(run: RunRecord, command: str) -> str:
    """How a run stands in one sentence, and the command that comes next."""
    from nkloop.runs.launches import has_moved

    decide = f"Next: {command} reconcile {run.id}{elsewhere()}"
    unknown, n = run.open_steps, len(run.open_steps)
    if not run.is_over:
        return f"{run.id} is not over: it is {run.state} in the records, ask its device. {decide}"
    if run.needs_decision:
        steps = f"{n} step{'s' if n > 1 else ''} of unknown outcome ({spans(unknown)})"
        return f"{run.id} is {run.state}: {steps}. Look at the deck. {decide}"
    if run.state == "succeeded":
        return f"What happened: {command} run show {run.id}{elsewhere()}"
    if not has_moved(run):
        again = "When the cause is mended, give the same command again"
        return f"{run.id} is {run.state}: nothing was moved, nothing to decide. {again}"
    done = sum(step.event == "done" for step in run.steps)
    begun = f", {spans(run.begun_steps)} in part" if run.begun_steps else ""
    told = f"{done} of {len(run.steps)} steps were done{begun}, the others certainly not"
    return f"{run.id} is {run.state}: {told}. {decide}"
