"""How `nkloop run` works: bench, summary, runs one after another, outcome."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import typer

from nkloop.cli.common import command_name
from nkloop.cli.run.chosen_parts import chosen, numbers_left, part_command, require_choice, times_done
from nkloop.cli.run.display import RunDisplay, show_end, summary
from nkloop.cli.run.earlier import require_earlier
from nkloop.runs.typed_steps import spans

if TYPE_CHECKING:
    from pathlib import Path

    from nkloop.cli.run.source import Source
    from nkloop.drivers.bench_file import BenchFile
    from nkloop.records.models import Context, RunRecord
    from nkloop.runs.reconcile import Reconciled
    from nkloop.runs.session import Session
    from nkloop.worklists.models import Verdict
    from nkloop.worklists.parts import Part
    from nkloop.workspace import Workspace

VIRTUAL_URL = "NKLOOP_VIRTUAL_URL"
"""Environment variable with the address of a virtual bench that is already there."""


@dataclass(frozen=True)
class Order:
    """What the person asked for."""

    worklist: str
    bench: str
    procedure: str
    is_allowed: bool
    is_again: bool
    wait_seconds: float
    quiet: bool
    plan: Path | None = None
    """JSON of the plan that a CSV was written by."""
    part: str = ""
    """Parts of a plan, as they were typed; empty for all of them."""
    batch: str = ""
    """The culture it is for; empty where the plan tells it, or nobody."""


@dataclass
class Outcome:
    """What became of it."""

    reconciled: tuple[Reconciled, ...] = ()
    runs: list[RunRecord] = field(default_factory=list)
    succeeded: bool = False

    def plain(self) -> dict[str, Any]:
        """As plain data for `--json`."""
        return {
            "succeeded": self.succeeded,
            "reconciled": [{"run": one.run.id, "told": one.told} for one in self.reconciled],
            "runs": [run.model_dump(mode="json") for run in self.runs],
        }


@dataclass
class Begun:
    """What tells the run of this command from others when the command ends before its outcome is told."""

    known: frozenset[str] | None = None
    """Runs there were before; None while no worklist is to be run yet."""
    hashes: frozenset[str] = frozenset()
    """Worklists this command runs."""


@contextmanager
def virtual_bench(workspace: Workspace, file: BenchFile, *, quiet: bool) -> Iterator[None]:
    """Have the virtual bench of a simulated bench file there, unless its address is in the environment already.

    Raises:
        BenchError: it does not start.
    """
    if not file.simulated or os.environ.get(VIRTUAL_URL):
        yield
        return
    from nkloop.virtual.shared import is_there, shared_bench

    if not quiet and not is_there(workspace.state, file.name):
        typer.echo(f"Starting the virtual bench {file.name} ...", err=True)
    with shared_bench(workspace.root, workspace.state, bench=file.name) as os.environ[VIRTUAL_URL]:
        try:
            yield
        finally:
            os.environ.pop(VIRTUAL_URL, None)


@asynccontextmanager
async def bench_opened(workspace: Workspace, bench: str, *, quiet: bool) -> AsyncIterator[Session]:
    """A session on a bench; a simulated one is started for as long, unless its address is in the environment.

    The virtual bench keeps wells, tips, time and its robot's memory in the state folder, so that the next command
    finds everything as this one left it.

    Raises:
        NkloopError: the bench file is wrong, or its virtual bench does not start.
    """
    from nkloop.drivers.bench import load_bench_file
    from nkloop.runs.session import bench_path, open_session

    file = load_bench_file(bench_path(workspace, bench))
    with virtual_bench(workspace, file, quiet=quiet):
        async with open_session(workspace.root, bench) as session:
            yield session


async def carry_out(order: Order, workspace: Workspace, begun: Begun) -> Outcome:
    """Verify, show and, when allowed, run.

    Raises:
        NkloopError: nothing was sent: a worklist was refused, the bench is not ready or held, a decision is missing.
    """
    from nkloop.cli.run.source import source_of
    from nkloop.drivers.bench import load_bench_file
    from nkloop.records import Records
    from nkloop.runs.session import bench_path
    from nkloop.worklists.verification import require

    records = Records.open(workspace.state)
    try:
        source = source_of(order.worklist, order.procedure, records, order.bench, order.plan)
    finally:
        records.close()
    source = replace(source, parts=chosen(source.parts, order.part), context=_of_batch(source, order))
    file = load_bench_file(bench_path(workspace, order.bench))
    if not file.simulated and not order.is_allowed:
        await _shown_only(source, file, order, workspace)
        return Outcome()
    outcome = Outcome()
    async with bench_opened(workspace, order.bench, quiet=order.quiet) as session:
        parts = await _planned(session, source.parts)
        _require_lots(parts)
        known = _meant_besides(session, order)
        require_choice(
            parts,
            order,
            lambda digest: _refuse_run(session, digest, (), source.context, is_part=True),
            lambda digest: times_done(session.records, digest, session.bench_file.name, source.context.batch),
        )
        _refuse_repetition(session, parts, known, source.context)
        if session.bench_file.simulated:
            # on a real bench a person may have made it by hand, and holds it when asked to load it
            require_earlier([part.worklist for part in parts], session.records, session.bench_file.name, source.base)
        verdicts = [await session.verifier.verify(part.worklist) for part in parts]
        if not order.quiet:
            summary(parts, verdicts, session.bench_file, source.told)
        for part, verdict in zip(parts, verdicts, strict=True):
            require(verdict, part.worklist)
        begun.hashes = frozenset(part.worklist.content_hash for part in parts)
        begun.known = frozenset(session.records.journal.run_ids())
        await _run_all(session, parts, verdicts, source.context, known, order, outcome)
    return outcome


def _of_batch(source: Source, order: Order) -> Context:
    """What the runs belong to, with the batch that the person names.

    Raises:
        RecordError: the plan, or the run that is continued, is of another batch.
    """
    from nkloop.errors import RecordError
    from nkloop.records.lineage import is_of_another

    context = source.context
    if is_of_another(context.batch, order.batch or None):
        raise RecordError(
            f"{source.told} is of batch {context.batch}, and --batch says {order.batch}",
            where="--batch",
            remedy="leave --batch out, or plan it for that batch: `nkloop plan dosing … --batch`",
        )
    return context.model_copy(update={"batch": context.batch or order.batch or None})


async def _shown_only(source: Source, file: BenchFile, order: Order, workspace: Workspace) -> None:
    """Verify and show what would be run; the bench is not even asked for its address.

    Raises:
        VerificationError: a check refused a worklist.
    """
    from nkloop.cli.plan.planned import verified
    from nkloop.labware import Catalogue
    from nkloop.worklists.verification import require

    worklists = [part.worklist for part in source.parts]
    verdicts = await verified(worklists, workspace, Catalogue.load(workspace.labware), file)
    if not order.quiet:
        summary(source.parts, verdicts, file, source.told)
    for worklist, verdict in zip(worklists, verdicts, strict=True):
        require(verdict, worklist)
    told = f"Nothing was sent: {order.bench} is a REAL bench. To run it, say the same again with --yes."
    typer.secho(told, err=True)


async def _planned(session: Session, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Worklists read from a CSV as a plan has reserved them, with their lots, targets and barcodes."""
    from nkloop.runs.reserved_plans import as_planned

    at = await session.bench.clock.now()
    return tuple(
        part.model_copy(update={"worklist": as_planned(session.records, session.bench_file.name, part.worklist, at)})
        for part in parts
    )


def _require_lots(parts: tuple[Part, ...]) -> None:
    """Refuse what would have people load liquids of which nobody knows the lot; a culture is known by its plate.

    Raises:
        VerificationError: a filling names no lot, as in every worklist read from a CSV that no plan has reserved.
    """
    from nkloop.errors import VerificationError

    for part in parts:
        cultures = part.worklist.limits.cells_in
        nameless = [one for one in part.worklist.fillings if not one.liquid.lot and one.labware not in cultures]
        if nameless:
            first = nameless[0]
            raise VerificationError(
                f"{len(nameless)} of {len(part.worklist.fillings)} liquids name no lot, the first is "
                f"{first.liquid.name} in {first.labware} {first.well}: nobody could tell what to put there",
                where=part.worklist.name,
                remedy="a CSV carries no lots, its plan does: write both with `nkloop plan … --csv FILE.csv`, then "
                "`nkloop run FILE.csv` with the plan it was written with beside it, FILE.plan.json; a CSV whose plan "
                "was made with --reserve runs alone",
            )


def _meant_besides(session: Session, order: Order) -> frozenset[str]:
    """Runs that `--again` is said of: those that are over by now. One that ends while this order waits is not meant."""
    return frozenset(session.records.journal.run_ids(is_over=True) if order.is_again else ())


def _refuse_repetition(session: Session, parts: tuple[Part, ...], known: Collection[str], context: Context) -> None:
    """Refuse what was done before on this bench, wholly or in part, unless the person says that it is meant.

    Refused as well is what fills a used vessel as a new one, and what needs wells that were discarded, other than the
    rest of a run, which does without them.

    Asked for all parts before the first one moves; what opens a run asks once more.

    Raises:
        RecordError: it was done, or a well was discarded; the run and what there is to do instead are told.
    """
    from nkloop.runs.holding import devices_of

    bench, vessels = session.bench, session.records.vessels
    for part in parts:
        _refuse_run(session, part.worklist.content_hash, known, context)
        vessels.require_unused(part.worklist, bench.name, devices_of(bench))
    if context.parent is None:
        session.records.decisions.require_usable(part.worklist for part in parts)


def _refuse_run(
    session: Session, worklist_hash: str, known: Collection[str], context: Context, *, is_part: bool = False
) -> None:
    from nkloop.runs.holding import devices_of

    devices, journal = devices_of(session.bench), session.records.journal
    journal.require_first(worklist_hash, session.bench.name, devices, known, batch=context.batch, is_part=is_part)


async def _run_all(
    session: Session,
    parts: tuple[Part, ...],
    verdicts: list[Verdict],
    context: Context,
    known: Collection[str],
    order: Order,
    outcome: Outcome,
) -> None:
    from nkloop.runs.execution import finish_run, play_run, prepare_run
    from nkloop.runs.holding import device_held
    from nkloop.runs.people import change_deck
    from nkloop.runs.recovery import finish_latest, recover
    from nkloop.runs.stock_use import stock_held

    bench, records, name = session.bench, session.records, parts[0].worklist.name
    with RunDisplay(quiet=order.quiet) as display:
        async with device_held(bench, records, name, wait_seconds=order.wait_seconds):
            outcome.reconciled = await recover(session, on_progress=display.progress)
            display.told(outcome.reconciled)
            # what was under way a moment ago, here or of somebody we waited for, may have been this very worklist
            _refuse_repetition(session, parts, known, context)
            for number, (part, verdict) in enumerate(zip(parts, verdicts, strict=True)):
                if part.before is not None and number:
                    await change_deck(part.before, part.worklist, bench, records, outcome.runs[-1].id)
                display.begin(part.worklist)
                async with stock_held(session, part.worklist) as hold:
                    hold.run_id = await prepare_run(
                        part.worklist, verdict, bench, records, context=context, known=known,
                        is_again=order.is_again, on_found=display.found,
                    )  # fmt: skip
                    await play_run(hold.run_id, bench, records, on_progress=display.progress)
                    run = await finish_run(hold.run_id, bench, records)
                await finish_latest(session)
                outcome.runs.append(run)
                if run.state != "succeeded":
                    break
    outcome.succeeded = len(outcome.runs) == len(parts) and all(run.state == "succeeded" for run in outcome.runs)
    if not order.quiet:
        for run in outcome.runs:
            show_end(run, command_name())
        _tell_left(parts, order, outcome)
        _tell_cells(parts, outcome)


def _tell_cells(parts: Sequence[Part], outcome: Outcome) -> None:
    """Cells that the last part has left on the deck; those of parts before went back when the deck was changed."""
    from nkloop.worklists.cells_back import cells_back_told

    if outcome.succeeded and (told := cells_back_told(parts[-1].worklist)):
        typer.secho(told, fg=typer.colors.YELLOW, bold=True)


def _tell_left(parts: Sequence[Part], order: Order, outcome: Outcome) -> None:
    """Name the command for the parts behind one that did not succeed."""
    numbers = numbers_left(order, len(parts), len(outcome.runs))
    if numbers and outcome.runs:
        command = part_command(order, numbers)
        typer.echo(f"Part {spans(numbers)} was not begun. When the one before is finished: {command}")
