"""What the journal costs: a durable step against 2 ms and against the disk, a whole run against the robot's time."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from nkloop.drivers.bench import load_bench_file
from nkloop.drivers.bench_file import BenchFile
from nkloop.records import Records
from nkloop.records.models import Claim, Context
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.duration import estimate_minutes
from nkloop.worklists.models import CheckResult, Procedure, Verdict, Worklist
from nkloop.workspace import Workspace
from stopwatch import show_machine

PROCEDURES: tuple[Procedure, ...] = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
WANTED_MS = 2.0
"""Median of a durable step."""
WANTED_SHARE = 0.01
"""Of the robot's time."""
_SYNCS = 200
_PAGE = b"\0" * 4096
"""What SQLite writes at least: one page."""


class Stopwatch:
    """Collects the time of every durable write of a run."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.processor: list[float] = []
        """Processor time of the same, which other work on the machine changes less."""
        self.all: list[float] = []

    @contextmanager
    def write(self, *, is_step: bool = False) -> Iterator[None]:
        """Time one write in s."""
        started, computed = time.perf_counter(), time.process_time()
        yield
        taken = time.perf_counter() - started
        self.all.append(taken)
        if is_step:
            self.steps.append(taken)
            self.processor.append(time.process_time() - computed)


def main() -> None:
    """Print the median of a durable step, and the share of the robot's time a run's journal takes."""
    show_machine()
    workspace = Workspace.find(Path(__file__))
    bench = load_bench_file(workspace.devices / "virtual.yaml")
    steps: list[float] = []
    processor: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        disk = median(_synced_writes(Path(folder)))
        records = Records(f"sqlite:///{folder}/records.db")
        records.migrate()
        for procedure in PROCEDURES:
            text = (workspace.protocols / f"{procedure}.example.csv").read_text(encoding="utf-8")
            worklist = from_csv(text, name=procedure, procedure=procedure)
            robot_s = 60 * estimate_minutes(worklist, bench.deck)
            stepwise = journal_stepwise(records, worklist, bench)
            steps += stepwise.steps
            processor += stepwise.processor
            _show(procedure, stepwise.all, robot_s, "step by step")
            _show(procedure, journal_whole(records, worklist, bench).all, robot_s, "as a whole run")
        records.close()
    _show_steps(steps, processor, disk)


def journal_stepwise(records: Records, worklist: Worklist, bench: BenchFile) -> Stopwatch:
    """Journal a run of a device that this process drives step by step: `sent` and `done` of each are durable alone."""

    def play(run_id: str, claim: Claim, watch: Stopwatch) -> None:
        for step in worklist.steps:
            for event in ("sent", "done"):
                with watch.write(is_step=True):
                    records.journal.append_event(run_id, [step.number], event, at=_now(), device="robot", claim=claim)

    return _journalled(records, worklist, bench, play)


def journal_whole(records: Records, worklist: Worklist, bench: BenchFile) -> Stopwatch:
    """Journal a run that the device holds as a whole: all steps are sent at once and their outcome read at once."""

    def play(run_id: str, claim: Claim, watch: Stopwatch) -> None:
        numbers = [step.number for step in worklist.steps]
        for event in ("sent", "done"):
            with watch.write():
                records.journal.append_event(run_id, numbers, event, at=_now(), device="robot", claim=claim)

    return _journalled(records, worklist, bench, play)


def _journalled(
    records: Records, worklist: Worklist, bench: BenchFile, play: Callable[[str, Claim, Stopwatch], None]
) -> Stopwatch:
    watch, passed = Stopwatch(), CheckResult(check="ledger", passed=True, seconds=0)
    verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(passed,))
    with watch.write():
        claim = records.claims.claim(bench.locks, "journal cost")
    with watch.write():
        run_id = records.journal.create_run(
            worklist, verdict, bench=bench.name, device="robot", at=_now(), context=Context(), claim=claim
        )
    numbers = [step.number for step in worklist.steps]
    with watch.write():
        records.journal.append_event(run_id, numbers, "intended", at=_now(), device="robot", claim=claim)
    for state in ("prepared", "running"):
        with watch.write():
            records.journal.set_run_state(run_id, state, claim=claim)
    play(run_id, claim, watch)
    with watch.write():
        records.journal.set_run_state(run_id, "succeeded", claim=claim)
    with watch.write():
        records.claims.release(claim)
    return watch


def _synced_writes(folder: Path) -> Iterator[float]:
    """Seconds of single pages appended and synced: what durability costs on this disk without any database."""
    with (folder / "page").open("ab", buffering=0) as file:
        for _ in range(_SYNCS):
            started = time.perf_counter()
            file.write(_PAGE)
            os.fsync(file.fileno())
            yield time.perf_counter() - started


def _show(procedure: str, writes: list[float], robot_s: float, how: str) -> None:
    share = sum(writes) / robot_s
    met = "met" if share <= WANTED_SHARE else "NOT MET"
    print(
        f"{procedure}, {how}: {len(writes)} durable writes, {sum(writes):.3f} s of {robot_s / 60:.1f} min robot time, "
        f"{100 * share:.3f} % (wanted: at most {100 * WANTED_SHARE:g} %; {met})"
    )


def _show_steps(steps: list[float], processor: list[float], disk: float) -> None:
    middle, late = 1000 * median(steps), 1000 * quantiles(steps, n=20)[-1]
    met = "met" if middle <= WANTED_MS else "NOT MET"
    print(
        f"a durable step: median {middle:.2f} ms, 95 % below {late:.2f} ms, {len(steps)} writes "
        f"(wanted: median at most {WANTED_MS:g} ms; {met})"
    )
    print(f"processor time of a durable step: median {1000 * median(processor):.2f} ms")
    print(f"one page appended and synced on this disk: median {1000 * disk:.2f} ms, ratio {middle / 1000 / disk:.1f}")


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
