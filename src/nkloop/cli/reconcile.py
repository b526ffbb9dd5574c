"""`nkloop reconcile`: ask the device what it did, show what nobody knows, take a person's decision."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, command_name, elsewhere, find_workspace, print_json
from nkloop.cli.interrupts import INTERRUPTED, heed_interrupts
from nkloop.cli.reconcile_options import (
    ByOption,
    CutInFirstMixOption,
    CutInMixOption,
    DecideOption,
    DrawnOption,
    GivenOption,
    HappenedOption,
    InsteadOfOption,
    LostOption,
    MovedOption,
    NotHappenedOption,
    OtherVesselsOption,
    ReasonOption,
    RobotReplacedOption,
    RunArgument,
    SkippedOption,
    StopOption,
    WellOption,
    WholeOption,
    YesOption,
    decision_of,
)
from nkloop.errors import BenchError, RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from nkloop.quantities.units import Kind
    from nkloop.records.models import RunRecord
    from nkloop.runs.asking import Question
    from nkloop.runs.deciding import Decided
    from nkloop.workspace import Workspace


@dataclass(frozen=True)
class Asked:
    """What was asked for."""

    run_id: str
    decision: dict[str, Any] | None
    stop: bool
    lost: bool
    replaced: bool
    yes: bool
    quiet: bool


@dataclass(frozen=True)
class Reply:
    """What came of it."""

    told: str
    """What the device said."""
    asked: Question
    decided: Decided | None
    kinds: Mapping[str, Kind]
    """What components are measured in."""
    n_decisions: int
    """How often somebody has decided about the run."""


def reconcile(
    run: RunArgument,
    decide: DecideOption = None,
    by: ByOption = "",
    reason: ReasonOption = "",
    happened: HappenedOption = "",
    not_happened: NotHappenedOption = "",
    drawn: DrawnOption = "",
    cut_in_first_mix: CutInFirstMixOption = "",
    given: GivenOption = "",
    cut_in_mix: CutInMixOption = "",
    moved: MovedOption = None,
    skipped_at_screen: SkippedOption = "",
    well: WellOption = None,
    other_vessels: OtherVesselsOption = None,
    robot_replaced: RobotReplacedOption = False,
    instead_of: InsteadOfOption = 0,
    stop: StopOption = False,
    yes: YesOption = False,
    lost: LostOption = False,
    whole: WholeOption = False,
    json_output: JsonFlag = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Ask the device what became of a run, show what nobody knows, record what you decide. Nothing is started.

    A run that is still under way is followed to its end; Ctrl+C ends the watching and leaves it alone.

    Exit code 0: nothing is open any more; 1: a decision is still needed, or something was refused.
    """
    seen = {
        "happened": happened,
        "not_happened": not_happened,
        "drawn": drawn,
        "cut_in_first_mix": cut_in_first_mix,
        "given": given,
        "cut_in_mix": cut_in_mix,
        "skipped_at_screen": skipped_at_screen,
    }
    lists = {"moved": moved or (), "wells": well or (), "apart": other_vessels or ()}
    decision = None
    if decide is not None:
        decision = {"kind": decide, "instead_of": instead_of, **decision_of(by.strip(), reason.strip(), seen, **lists)}
    elif any((*seen.values(), *lists.values(), robot_replaced, instead_of)):
        raise RecordError("nothing was decided", remedy="say what is to be done with --decide continue|repair|discard")
    asked_for = Asked(run, decision, stop=stop, lost=lost, replaced=robot_replaced, yes=yes, quiet=json_output)
    answer = _answered(asked_for, find_workspace(workspace))
    if json_output:
        print_json(_plain(answer))
    else:
        _print(answer, whole)
    if answer.asked.run.needs_decision:
        raise typer.Exit(1)


def _answered(asked_for: Asked, workspace: Workspace) -> Reply:
    """What came of it; Ctrl+C ends the program and tells how to look again."""
    heed_interrupts()
    try:
        return asyncio.run(_reconciled(asked_for, workspace))
    except KeyboardInterrupt:
        run = asked_for.run_id
        told = "its device is told nothing more"
        told += ", but may have been told to stop it before" if asked_for.stop else ""
        again = f"To look again: {command_name()} reconcile {run}{elsewhere()}"
        typer.echo(f"\ninterrupted: {run} is not watched here any more; {told}. {again}", err=True)
        raise typer.Exit(INTERRUPTED) from None


async def _reconciled(asked_for: Asked, workspace: Workspace) -> Reply:
    from nkloop.cli.run.playing import bench_opened
    from nkloop.records import Records
    from nkloop.runs.asking import question
    from nkloop.runs.deciding import decide
    from nkloop.runs.reconcile import reconcile_run
    from nkloop.runs.recovery import finish_latest
    from nkloop.runs.same_device import replacement_of
    from nkloop.runs.strengths import kinds_of

    run_id, decision = asked_for.run_id, asked_for.decision
    records = Records.open(workspace.state)
    try:
        run = records.journal.run(run_id)
    finally:
        records.close()
    _require_bench(workspace, run.bench)
    async with bench_opened(workspace, run.bench, quiet=asked_for.quiet or run.is_over) as session:
        replaced_by = await replacement_of(run, session.bench) if asked_for.replaced else None
        found = await reconcile_run(
            run_id, session.bench, session.records, stop=asked_for.stop, is_lost=asked_for.lost or asked_for.replaced,
            is_allowed=asked_for.yes or session.bench_file.simulated, only_watches=True,
        )  # fmt: skip
        await finish_latest(session)
        decided = None
        if decision is not None:
            decided = await decide(
                run_id,
                decision.pop("kind"),
                at=await session.bench.clock.now(),
                records=session.records,
                catalogue=session.catalogue,
                deck=session.bench_file.deck,
                verify=session.verifier.verify,
                carried_to=replaced_by,
                **decision,
            )
        asked = question(run_id, session.records, session.catalogue, session.bench_file.deck)
        kinds = kinds_of(session, session.records.journal.worklist(asked.run.worklist_hash))
        return Reply(found.told, asked, decided, kinds, len(session.records.decisions.of_run(run_id)))


def _require_bench(workspace: Workspace, bench: str) -> None:
    if not (workspace.devices / f"{bench}.yaml").is_file():
        raise BenchError(
            f"the run was on bench '{bench}', which this workspace no longer has",
            where=str(workspace.devices),
            remedy=f"bring {bench}.yaml back",
        )


def _plain(reply: Reply) -> dict[str, Any]:
    asked, decided = reply.asked, reply.decided
    follow_up = None
    if decided is not None and decided.follow_up is not None:
        one = decided.follow_up
        follow_up = {
            "name": one.name,
            "sha256": one.content_hash,
            "steps": len(one.steps),
            "transfers": one.n_transfers,
        }
    return {
        "run": asked.run.id,
        "state": asked.run.state,
        "told": reply.told,
        "needs_decision": asked.run.needs_decision,
        "unknown_steps": [step.model_dump() for step in asked.steps],
        "wells": [well.model_dump() for well in asked.wells],
        "vessels": [vessel.model_dump() for vessel in asked.vessels],
        "not_done": list(asked.left),
        "held_back": list(asked.held),
        "answers": [offer.model_dump() for offer in asked.offers],
        "decision": None if decided is None else decided.decision.model_dump(mode="json"),
        "decisions": reply.n_decisions,
        "follow_up": follow_up,
        "by_hand": [] if decided is None else list(decided.by_hand),
        "unfinished_vessels": [] if decided is None else list(decided.vessels),
        "unfinished": [] if decided is None else [one.model_dump(mode="json") for one in decided.unfinished],
    }


def _print(reply: Reply, whole: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    from nkloop.cli.run.question import print_question
    from nkloop.runs.launches import has_moved
    from nkloop.runs.typed_steps import spans
    from nkloop.worklists.models import PLATE_READING

    console, run, asked = Console(), reply.asked.run, reply.asked
    told = f": {escape(reply.told)}" if reply.decided is None and not reply.told.startswith("the run is over") else ""
    console.print(f"[bold]{run.id}[/] ({escape(run.name)}) {run.state}{told}", soft_wrap=True)
    if reply.decided is not None:
        _print_decided(console, reply.decided, run)
    elif run.needs_decision:
        print_question(console, asked, command_name(), reply.kinds, whole=whole)
    elif run.decision is not None:
        console.print(f"Decided by {escape(run.decision.by)}: {run.decision.decision} ({escape(run.decision.reason)}).")
        if run.decision.decision != "discard":  # that one stays
            console.print(f"To replace that decision: --decide with --instead-of {reply.n_decisions}.")
    elif run.is_over and not has_moved(run):
        told = "Nothing was moved, nothing is to be decided. When the cause is mended, start the same again."
        console.print(told, soft_wrap=True)
    elif run.procedure == PLATE_READING and asked.left:
        console.print("Nothing is to be decided. A plate that was not measured is read again by whoever asked for it.")
    elif asked.left:
        begun = (
            f" ({spans(run.begun_steps)} moved liquid before it failed: only its rest is done)"
            if run.begun_steps
            else ""
        )
        console.print(
            f"{len(asked.left)} steps were not done to their end{begun}; every other step was. To do the rest:"
        )
        hint = f"{command_name()} reconcile {run.id}{elsewhere()} --decide continue --by NAME --reason WHY"
        console.print(f"  {hint}", soft_wrap=True)
    else:
        console.print("Every step is known and done. Nothing is left to decide.")


def _print_decided(console: Console, decided: Decided, run: RunRecord) -> None:
    """What was recorded, and what may happen now."""
    from rich.markup import escape

    from nkloop.runs.unfinished import told_of_unfinished

    made, follow_up = decided.decision, decided.follow_up
    console.print(f"Recorded: {made.decision}, by {escape(made.by)}: {escape(made.reason)}", soft_wrap=True)
    if made.wells:
        wells = ", ".join(f"{labware} {well}" for labware, well in made.wells)
        console.print(f"Discarded: {wells}. Later plans refuse them and analyses leave them out.", soft_wrap=True)
    if follow_up is not None:
        left = f"{follow_up.n_transfers} transfers are" if follow_up.n_transfers else "Only mixing is"
        console.print(f"{left} left, verified as worklist {follow_up.content_hash[:12]}.")
        console.print(
            f"To run them: {command_name()} run {run.id} --bench {escape(run.bench)}{elsewhere()}", soft_wrap=True
        )
    else:
        for line in told_of_unfinished(decided.unfinished):
            console.print(escape(line), soft_wrap=True)
        for vessel in decided.vessels:
            console.print(f"Not finished by this run any more: {escape(vessel)}", soft_wrap=True)
        for task in decided.by_hand:
            console.print(f"Still to be done, by hand and noted by hand: {escape(task)}", soft_wrap=True)
        is_cut_off = bool(decided.unfinished or decided.vessels or decided.by_hand)
        left = "No further step of this run is asked for" if is_cut_off else "Nothing of this run is left to be done"
        console.print(f"{left}; bench {escape(run.bench)} is free for the next one.")
