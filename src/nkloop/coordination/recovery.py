"""Reconciling as Prefect sees it: what the device said, the question to a person, what follows."""

from __future__ import annotations

import logging
from typing import cast

from nkloop.coordination.approval import WAIT_SECONDS
from nkloop.coordination.artifacts import show_markdown
from nkloop.coordination.holding import bench_held
from nkloop.coordination.launching import launch_of
from nkloop.coordination.question_page import Answer, question_markdown
from nkloop.coordination.work import carry_out
from nkloop.drivers.operators import ask_in_prefect
from nkloop.errors import RecordError
from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.decisions import Rest
from nkloop.records.models import RunRecord
from nkloop.reports.markdown import markdown_text
from nkloop.runs import reconcile
from nkloop.runs.asking import question
from nkloop.runs.deciding import Decided, decide, follow_up_of
from nkloop.runs.holding import devices_of
from nkloop.runs.recovery import finish_latest
from nkloop.runs.same_device import replacement_of
from nkloop.runs.session import Session
from nkloop.runs.typed_steps import numbers_of, runs_of, volumes_of, wells_of
from nkloop.runs.unfinished import told_of_unfinished

logger = logging.getLogger(__name__)


_DECIDES = "decides about "


class Decides(FrozenModel):
    """That a launch decides about a run."""

    run_id: str


async def reconciled(session: Session, run_id: str, *, stop: bool, is_replaced: bool = False) -> tuple[str, ...]:
    """Reconcile one run, or every open one of the bench; returns their ids, and those that wait for a decision.

    Where no run is named, those about which this launch has decided before it was cut are among them. Other rests that
    nobody has done yet are told with the command, or with what stands in their way, and left to whoever wants them
    done. Where another robot has taken the place of the run's own, that one is not asked any more.

    Raises:
        RecordError: the run is not recorded.
        BenchError: the robot was not replaced.
        DeviceError: the device is held by somebody else, or does not answer.
    """
    if not run_id:
        async with bench_held(session, f"reconcile {session.bench_file.name}"):
            pass  # holding it reconciles what is open
        waiting = [run.id for run in session.records.decisions.undecided(devices_of(session.bench))]
        ours, others = await _rests(session)
        if left := [_told_of(session, rest) for rest in others]:
            for one in left:
                _warn(session, one)
            await show_markdown("reconciled", "\n\n".join(map(markdown_text, left)), f"rests not done: {len(left)}")
        elif not waiting and not ours:
            await _nothing_open(session)
        return (*waiting, *ours)
    if is_replaced:
        await replacement_of(session.records.journal.run(run_id), session.bench)
    found = await reconcile.reconcile_run(run_id, session.bench, session.records, stop=stop, is_lost=is_replaced)
    await finish_latest(session)
    told = f"{found.run.id} ({found.run.name}): {found.told}"
    session.tell(told)
    await show_markdown("reconciled", markdown_text(told), told)
    return (run_id,)


async def _rests(session: Session) -> tuple[list[str], list[Rest]]:
    """Runs of the bench whose rest is not done: those decided about in this launch, and the rests of others."""
    launch, records, bench = await launch_of(session), session.records, session.bench_file.name
    rests = {one.run_id: one for one in records.decisions.rests() if records.journal.run(one.run_id).bench == bench}
    decided = records.plans.starting(launch.name, _DECIDES, Decides) if launch.name else ()
    mine = [one.run_id for one in decided if records.journal.run(one.run_id).bench == bench]
    ours = [run_id for run_id in dict.fromkeys(mine) if run_id in rests or _cut_short(records, run_id) is not None]
    ours.sort(key=lambda run_id: run_id not in rests or rests[run_id].blocked is not None)  # which raise come last
    return ours, [rest for run_id, rest in rests.items() if run_id not in ours]


def _cut_short(records: Records, run_id: str) -> RunRecord | None:
    """The run that began the rest of another and has not done it, and about which nobody has decided."""
    for later in records.journal.follow_ups(run_id)[-1:]:
        if later.decision is not None:
            return _cut_short(records, later.id)
        return later if later.is_over and later.state != "succeeded" else None
    return None


def _told_of(session: Session, rest: Rest) -> str:
    """What is told of a rest that is not done here."""
    if rest.blocked is not None:
        return str(rest.blocked)
    run_id, decision = rest.run_id, session.records.journal.run(rest.run_id).decision
    by = f", as {decision.by} decided" if decision is not None else ""
    command = f"`nkloop run {run_id} --bench {session.bench_file.name}`"
    return f"the rest of {run_id} is still to be done{by}: {command}, or this deployment with run {run_id}"


def _warn(session: Session, told: str) -> None:
    session.tell(told)
    logger.warning(told)


async def take_decision(session: Session, run_id: str) -> None:
    """Keep that this launch decides about a run, so that it goes on with the rest when it is cut after the decision."""
    launch = await launch_of(session)
    if launch.name:
        session.records.plans.keep(launch.name, f"{_DECIDES}{run_id}", Decides(run_id=run_id))


async def do_rest(session: Session, run_id: str, *, is_wanted: bool) -> None:
    """Run what a decision, of now or before, left to be done of a run; say how where it is not wanted here.

    Raises:
        DeviceError: the bench is not ready or failed.
        RecordError: it is wanted, and cannot be done as it was decided, or was begun by a run that was cut in turn.
    """
    rest = session.records.decisions.rest_of(run_id)
    if rest is None:
        await _do_rest_of_rest(session, run_id, is_wanted=is_wanted)
    elif not is_wanted:
        _warn(session, _told_of(session, rest))
    elif rest.blocked is not None:
        raise rest.blocked
    else:
        await carry_on(session, run_id)


async def _do_rest_of_rest(session: Session, run_id: str, *, is_wanted: bool) -> None:
    if (cut := _cut_short(session.records, run_id)) is not None:
        told = f"the rest of {run_id} was begun as {cut.id}, which is {cut.state}"
        remedy = f"`nkloop reconcile {cut.id}`, or this deployment with run {cut.id}"
        if is_wanted:
            raise RecordError(told, remedy=remedy)
        _warn(session, f"{told}: {remedy}")
    for later in session.records.journal.follow_ups(run_id)[-1:]:
        await do_rest(session, later.id, is_wanted=is_wanted)


async def _nothing_open(session: Session) -> None:
    """Say that there is nothing to decide, with the run the bench was asked about last."""
    latest = session.records.journal.latest(session.bench_file.name, 1)
    last = f"; the last one, {latest[0].id} ({latest[0].name}), is {latest[0].state}" if latest else ""
    told = f"no run of bench {session.bench_file.name} is open or waits for a decision{last}"
    session.tell(told)
    await show_markdown("reconciled", markdown_text(told), told)


async def ask_what_to_do(session: Session, run_id: str) -> Answer:
    """Pause the flow run with the question until a person answers.

    An answer that was not recorded yet is found again; one that was belongs to an earlier question about the run.
    """
    asked = question(run_id, session.records, session.catalogue, session.bench_file.deck)
    markdown = question_markdown(asked)
    await show_markdown("decision-needed", markdown, f"{run_id}: nobody knows {len(asked.steps)} steps")
    key = f"decide-{run_id}-{len(session.records.decisions.of_run(run_id))}"
    return cast(Answer, await ask_in_prefect(Answer, markdown, key, WAIT_SECONDS))


def is_settled(session: Session, run_id: str, answer: Answer, instead_of: int) -> bool:
    """Whether this very answer was recorded already in the place of a decision, by a flow that was cut after that."""
    made = session.records.decisions.of_run(run_id) if instead_of else ()
    if len(made) != instead_of + 1:
        return False
    last = made[-1]
    return (last.decision, last.by, last.reason) == (answer.decision, answer.decided_by, answer.reason)


async def settled(
    session: Session, run_id: str, answer: Answer, *, is_replaced: bool = False, instead_of: int = 0
) -> Decided:
    """Record a decision; what follows is computed and verified.

    Args:
        session: of the flow.
        run_id: the run.
        answer: what was decided.
        is_replaced: whether another robot has taken the place of the run's own, with all that stood on its deck.
        instead_of: number of the decision about the run that it replaces, the first one being 1; 0 for the first one.

    Raises:
        BenchError: the robot was not replaced.
        PlanError: no worklist can follow as decided; the reason is told.
        RecordError: a number or well cannot be read, or the run was followed up already.
        VerificationError: a check refused what would follow.
    """
    carried_to = await replacement_of(session.records.journal.run(run_id), session.bench) if is_replaced else None
    made = await decide(
        run_id,
        answer.decision,
        by=answer.decided_by,
        reason=answer.reason,
        at=await session.bench.clock.now(),
        records=session.records,
        catalogue=session.catalogue,
        deck=session.bench_file.deck,
        verify=session.verifier.verify,
        happened=numbers_of(answer.happened),
        not_happened=numbers_of(answer.not_happened),
        drawn=numbers_of(answer.drawn),
        cut_in_first_mix=numbers_of(answer.cut_in_first_mix),
        given=numbers_of(answer.given),
        cut_in_mix=numbers_of(answer.cut_in_mix),
        moved=volumes_of([answer.moved]),
        skipped_at_screen=numbers_of(answer.skipped_at_screen),
        wells=wells_of([answer.wells] if answer.wells.strip() else []),
        apart=runs_of(answer.other_vessels),
        carried_to=carried_to,
        instead_of=instead_of,
    )
    told = f"{run_id}: {answer.decided_by} decided to {answer.decision}: {answer.reason}"
    short = [f"Not finished by this run any more: {vessel}" for vessel in made.vessels]
    left = [f"Still to be done, by hand and noted by hand: {task}" for task in made.by_hand]
    lines = (told, *told_of_unfinished(made.unfinished), *short, *left)
    for line in lines:
        logger.info(line)
    page = "\n\n".join(markdown_text(line.strip()) for line in lines)
    await show_markdown("decision", page, told)
    return made


async def carry_on(session: Session, run_id: str) -> RunRecord | None:
    """Run what a decision left to be done; None when nothing is.

    Raises:
        DeviceError: the bench is not ready or failed.
    """
    decision = session.records.journal.run(run_id).decision
    if decision is None or decision.follow_up is None:
        return None
    worklist, context = follow_up_of(run_id, session.records)
    return await carry_out(session, worklist, phase=f"what {run_id} left to be done", context=context)
