"""What a flow process does with a worklist, and what its user does after it died."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from crash_lab.analyst import SharedVendor
from crash_lab.hidden import look_at, read_physical
from crash_lab.places import Places
from crash_lab.procedures import Lab, Procedure
from crash_lab.triggers import Trigger, Triggers
from nkloop.drivers.bench import DEVICES, open_bench
from nkloop.drivers.bench_file import BenchFile
from nkloop.errors import PlanError, StepUnknownError, VerificationError
from nkloop.records import Records
from nkloop.records.models import Context, DecisionKind, RunDecision, RunRecord
from nkloop.runs.asking import question
from nkloop.runs.deciding import Verify, decide, follow_up_of
from nkloop.runs.execution import finish_run, play_run, prepare_run
from nkloop.runs.holding import device_held, devices_of
from nkloop.runs.launches import has_moved
from nkloop.runs.reconcile import clear_the_way, reconcile_run
from nkloop.runs.recovery import finish_latest, recover
from nkloop.runs.session import Session
from nkloop.runs.stock_use import stock_held
from nkloop.runs.verification import Verifier
from nkloop.worklists.models import Verdict, Worklist
from nkloop.workspace import Workspace

WAIT_S = 60.0
"""Longest wait for a device that somebody else holds."""
MOST_RUNS = 5
"""Longest chain of runs that continue each other."""


def bench_at(file: BenchFile, world: str, robot: str) -> BenchFile:
    """The virtual bench with the addresses of one crash."""
    devices = {}
    for device in DEVICES:
        spec = getattr(file, device)
        url = robot if device == "liquid_handler" else world
        text = json.dumps(spec.settings).replace("${NKLOOP_VIRTUAL_URL}", url).replace("${NKLOOP_FLEX_URL}", robot)
        devices[device] = spec.model_copy(update={"settings": json.loads(text)})
    return file.model_copy(update=devices)


@asynccontextmanager
async def session_of(lab: Lab, places: Places, file: BenchFile) -> AsyncIterator[Session]:
    """A session on the bench of this crash, as `open_session` makes it, with the parts that are known already."""
    workspace = Workspace(root=places.folder)
    records = Records.open(workspace.state)
    vendor = SharedVendor(lab.analyst, lab.analyses)
    bench = open_bench(file, workspace)
    verifier = Verifier(workspace, lab.catalogue, file.deck, vendor)
    try:
        yield Session(workspace, file, bench, records, lab.catalogue, lab.inventory, None, vendor, verifier)
    finally:
        await bench.close()
        await vendor.close()
        records.close()


async def run(session: Session, places: Places, task: FlowTask, procedure: Procedure) -> None:
    """Run the worklist once, as `nkloop run` does."""
    await _run_once(session, procedure.worklist, procedure.verdict, Context())


RunOnce = Callable[[Session, Worklist, Verdict, Context], Awaitable[None]]


async def _run_once(
    session: Session, worklist: Worklist, verdict: Verdict, context: Context, *, wait_s: float = 0.0
) -> None:
    bench, records = session.bench, session.records
    async with device_held(bench, records, worklist.name, wait_seconds=wait_s):
        await recover(session)
        async with stock_held(session, worklist) as hold:
            hold.run_id = run_id = await prepare_run(worklist, verdict, bench, records, context=context)
            await play_run(run_id, bench, records)
            await finish_run(run_id, bench, records)


async def stop(session: Session, places: Places, task: FlowTask, procedure: Procedure) -> None:
    """What a user does who finds the robot in a run whose flow has died: `nkloop reconcile --stop`."""
    for one in session.records.journal.open_runs(devices_of(session.bench), session.bench_file.name):
        await reconcile_run(one.id, session.bench, session.records, stop=True)
    await finish_latest(session)


async def decide_only(session: Session, places: Places, task: FlowTask, procedure: Procedure) -> None:
    """Decide about the run that moved something last, and leave it to others to do the rest."""
    last = [one for one in session.records.journal.runs() if has_moved(one)][-1]
    await _decided(session, places, last, task.decision, session.verifier.verify)


async def go_on(session: Session, places: Places, task: FlowTask, procedure: Procedure) -> None:
    """Run what a decision left, as `nkloop run RUN --wait` and the flows do: find and verify it, then wait in line.

    Begins to wait only when all who go on have found it.
    """
    records = session.records
    (decided,) = (one for one in records.journal.runs() if one.decision is not None)
    worklist, context = follow_up_of(decided.id, records)
    verdict = await session.verifier.verify(worklist)
    places.meet(task.who, task.meets)
    await _run_once(session, worklist, verdict, context, wait_s=WAIT_S)


async def take_up(
    session: Session, places: Places, task: FlowTask, procedure: Procedure, run_once: RunOnce = _run_once
) -> None:
    """What a user does after a crash: reconcile, decide, run what is left, see that the next run may begin.

    Raises:
        Unready: a run of unknown outcome did not stop the next one, or the next one could not begin.
    """
    bench, records = session.bench, session.records
    await recover(session)
    for _ in range(MOST_RUNS):
        undecided = records.decisions.undecided(devices_of(bench))
        if undecided:
            with suppress(StepUnknownError):
                await clear_the_way(procedure.worklist, bench, records)
                raise Unready(f"{undecided[0].id} waits for a decision and the next run could begin all the same")
        moved = [one for one in records.journal.runs() if has_moved(one)]
        if not moved or not await _goes_on(session, places, moved[-1], task.decision, run_once):
            break
    async with device_held(bench, records, "the next run"):
        await clear_the_way(procedure.worklist, bench, records)
        wrong = [found for found in await bench.liquid_handler.preflight(procedure.worklist) if not found.ok]
    if wrong:
        raise Unready(f"the next run could not begin: {wrong[0].subject}: {wrong[0].found}")


async def _goes_on(session: Session, places: Places, last: RunRecord, kind: DecisionKind, run_once: RunOnce) -> bool:
    """Decide about the last run and run what that leaves to be done; False when nothing is left."""
    verdicts: dict[str, Verdict] = {}

    async def verify(worklist: Worklist) -> Verdict:
        verdicts[worklist.content_hash] = made = await session.verifier.verify(worklist)
        return made

    if last.state == "succeeded" or (last.decision is None and kind == "discard" and not last.needs_decision):
        return False
    decision = last.decision
    if decision is None:
        asked = question(last.id, session.records, session.catalogue, session.bench_file.deck)
        places.note_possible(last.id, {(well.labware, well.well): well.volumes_ul for well in asked.wells})
        decision = await _decided(session, places, last, kind, verify)
    if decision.follow_up is None:
        return False
    worklist, context = follow_up_of(last.id, session.records)
    verdict = verdicts.get(worklist.content_hash) or await verify(worklist)
    await run_once(session, worklist, verdict, context)
    return True


async def _decided(
    session: Session, places: Places, last: RunRecord, kind: DecisionKind, verify: Verify
) -> RunDecision:
    """Answer with what is truly in the wells; what cannot be continued or repaired is discarded."""
    worklist = session.records.journal.worklist(last.worklist_hash)
    seen = look_at(last, worklist, read_physical(places))
    said = {"happened": seen.happened, "not_happened": seen.not_happened, "drawn": seen.drawn}
    said |= {"cut_in_first_mix": seen.cut_in_first_mix, "given": seen.given, "cut_in_mix": seen.cut_in_mix}
    ask = partial(
        decide,
        last.id,
        by="crash lab",
        at=await session.bench.clock.now(),
        records=session.records,
        catalogue=session.catalogue,
        deck=session.bench_file.deck,
        verify=verify,
    )
    if kind != "discard":
        try:
            answer = said if kind == "continue" else {}
            return (await ask(kind, reason="the deck was looked at", **answer)).decision
        except (PlanError, VerificationError) as error:
            places.note_refusal(last.id, kind, str(error))
    return (await ask("discard", reason="the deck was cleared and begun anew")).decision


class Unready(Exception):
    """The bench is not as it must be after a crash."""


async def _carried_out(session: Session, worklist: Worklist, verdict: Verdict, context: Context) -> None:
    """Run a worklist once, as the flows do."""
    from nkloop.coordination.work import carry_out

    async def known() -> Verdict:
        return verdict

    await carry_out(session, worklist, phase="crash lab", verdict=known(), context=context)


async def run_in_prefect(session: Session, places: Places, task: FlowTask, procedure: Procedure) -> None:
    """Run the worklist once; within a flow."""
    await _carried_out(session, procedure.worklist, procedure.verdict, Context())


async def take_up_in_prefect(session: Session, places: Places, task: FlowTask, procedure: Procedure) -> None:
    """As `take_up`, and what is left is run as the flows do; within a flow."""
    await take_up(session, places, task, procedure, _carried_out)


WORK = {"run": run, "stop": stop, "decide": decide_only, "go on": go_on, "take up": take_up}
RUN_FLOW, TAKE_UP_FLOW = "run in Prefect", "take up in Prefect"
IN_PREFECT = {RUN_FLOW: run_in_prefect, TAKE_UP_FLOW: take_up_in_prefect}


@dataclass(frozen=True)
class FlowTask:
    """What one flow process is to do."""

    work: str
    """Key of `WORK` or `IN_PREFECT`."""
    who: str = "flow"
    trigger: Trigger | None = None
    decision: DecisionKind = "discard"
    """What a person decides about interrupted runs where the work is taken up."""
    meets: tuple[str, ...] = ()
    """Processes that go on at the same time."""
    lease_s: float | None = None
    """Length of its lease on the device, where it is not the usual one."""
    prepare: Callable[[], None] | None = None
    """Done first in the process."""


def flow_process(lab: Lab, places: Places, bench: BenchFile, procedure: Procedure, task: FlowTask) -> None:
    """Entry of a forked flow process; exit code 0 when the work was done, 3 when it was refused or failed."""
    Triggers(places, task.trigger).install()
    if task.prepare is not None:
        task.prepare()
    if task.lease_s is not None:
        device_held.__wrapped__.__kwdefaults__["lease_seconds"] = task.lease_s  # type: ignore[attr-defined]
    sys.exit(asyncio.run(_work(lab, places, bench, procedure, task)))


async def _work(lab: Lab, places: Places, bench: BenchFile, procedure: Procedure, task: FlowTask) -> int:
    async def work() -> None:
        async with session_of(lab, places, bench) as session:
            await (WORK | IN_PREFECT)[task.work](session, places, task, procedure)

    try:
        with _noted(places, task.who):
            if task.work in IN_PREFECT:
                from crash_lab.in_prefect import as_flow

                await as_flow(task.work, work)
            else:
                await work()
    except Exception:  # noqa: BLE001 - whatever ends a flow, the next one has to cope with it
        return 3
    return 0


def launched_process(lab: Lab, places: Places, bench: BenchFile, procedure: Procedure, flow_run: str) -> None:
    """The same as a process that Prefect's runner starts for a flow run; its task lies in the folder."""
    from crash_lab.in_prefect import run_launched

    task = places.launched()
    places.note_pid(task.who, os.getpid())
    Triggers(places, task.trigger).install()

    async def work() -> None:
        with _noted(places, task.who):
            async with session_of(lab, places, bench) as session:
                await IN_PREFECT[task.work](session, places, task, procedure)

    run_launched(flow_run, work)


@contextmanager
def _noted(places: Places, who: str) -> Iterator[None]:
    """Write down how a flow has ended."""
    try:
        yield
    except Exception as error:
        places.note_outcome(who, type(error).__name__, str(error))
        raise
    places.note_outcome(who, "", "")
