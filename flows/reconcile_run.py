"""After an interruption: ask the device what it did, ask a person what nobody knows, do what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nkloop.coordination.plain_errors import fails_plainly
from nkloop.coordination.question_page import Answer
from nkloop.coordination.recovery import ask_what_to_do, do_rest, is_settled, reconciled, settled, take_decision
from nkloop.coordination.run_names import run_name
from nkloop.coordination.served import bench_field
from nkloop.coordination.statement_fields import (
    CutInFirstMix,
    CutInMix,
    Drawn,
    Given,
    Happened,
    Moved,
    NotHappened,
    OtherVessels,
    SkippedAtScreen,
    Wells,
)
from nkloop.runs.session import open_session

HERE = Path(__file__).resolve().parent


class ReconcileRun(BaseModel):
    """Which run, and what is to become of what nobody knows."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(
        "",
        title="Run",
        description="Id of a run, as run-0007; empty for every run of the bench that is not over",
        pattern=r"^(run-\d{4,})?$",
    )
    stop: bool = Field(False, title="Stop", description="Stop a run still under way instead of following it to its end")
    decision: Literal["ask", "continue", "repair", "discard"] = Field(
        "ask", title="Decision", description="For steps of unknown outcome; ask pauses the flow until a person decides"
    )
    decided_by: str = Field("", title="Your name", description="Recorded with the decision; needed unless it is ask")
    reason: str = Field("", title="Reason", description="Recorded with the decision; needed unless it is ask")
    happened: Happened = ""
    not_happened: NotHappened = ""
    drawn: Drawn = ""
    cut_in_first_mix: CutInFirstMix = ""
    given: Given = ""
    cut_in_mix: CutInMix = ""
    moved: Moved = ""
    skipped_at_screen: SkippedAtScreen = ""
    wells: Wells = ""
    other_vessels: OtherVessels = ""
    robot_replaced: bool = Field(
        False,
        title="Robot replaced",
        description="Another robot stands in for the one of this run, and all that stood on its deck was carried over",
    )
    instead_of: int = Field(
        0,
        title="Instead of decision",
        description="Number of the decision about this run that this one replaces, the first being 1; 0 replaces none",
        ge=0,
        le=1000,
    )
    go_on: bool = Field(
        True, title="Go on", description="Run at once what the decision, of now or before, leaves undone"
    )
    bench: str = bench_field()

    @model_validator(mode="after")
    def _name_the_run_of_a_replaced_robot(self) -> Self:
        if self.robot_replaced and not self.run:
            raise ValueError("say with Run whose robot was replaced: what stood on its deck belongs to one run")
        return self

    @model_validator(mode="after")
    def _say_what_replaces_a_decision(self) -> Self:
        if self.instead_of and (not self.run or self.decision == "ask"):
            raise ValueError("say with Run and Decision what is to be done instead, and about which run")
        return self

    @property
    def purpose(self) -> str:
        """What it is about, for the name of its run."""
        return f"reconcile {self.run or 'open runs'} on {self.bench}"


@flow(name="reconcile-run", flow_run_name=run_name)
@fails_plainly
async def reconcile_run(request: ReconcileRun = ReconcileRun()) -> list[dict[str, Any]]:  # noqa: B008 - default of the form
    """Ask the device what became of its open runs, have a person decide what nobody knows, do what is left."""
    async with open_session(HERE, request.bench) as session:
        outcome = []
        replaced = request.robot_replaced
        for run_id in await reconciled(session, request.run, stop=request.stop, is_replaced=replaced):
            if session.records.journal.run(run_id).needs_decision or request.instead_of:
                await take_decision(session, run_id)
                answer = await _answer(session, run_id, request)
                if not is_settled(session, run_id, answer, request.instead_of):
                    before = request.instead_of
                    await settled(session, run_id, answer, is_replaced=replaced, instead_of=before)
            await do_rest(session, run_id, is_wanted=request.go_on)
            run = session.records.journal.run(run_id)
            outcome.append({"run": run.id, "state": run.state, "unknown_steps": len(run.unknown_steps)})
        return outcome


async def _answer(session: Any, run_id: str, request: ReconcileRun) -> Answer:
    if request.decision == "ask":
        return await ask_what_to_do(session, run_id)
    return Answer(**request.model_dump(include=set(Answer.model_fields)))
