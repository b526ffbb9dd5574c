"""What the database remembers of physical work."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel

StepEvent = Literal["intended", "sent", "seen", "done", "failed", "unknown"]
RunState = Literal["planned", "prepared", "running", "succeeded", "failed", "stopped", "interrupted"]
Decision = Literal["published", "proposed", "approved", "rejected"]


class Context(FrozenModel):
    """What a piece of work belongs to; None where it belongs to nothing."""

    campaign: str | None = None
    round: int | None = None
    batch: str | None = None


class StepRecord(FrozenModel):
    """Where one worklist step stands: its last event."""

    number: int = Field(ge=1)
    event: StepEvent
    at: datetime
    detail: str = ""


class JournalEvent(FrozenModel):
    """One line of the journal: what was intended, sent or seen of one step. Never changed, never deleted."""

    number: int = Field(ge=1)
    """Step number in the worklist."""
    event: StepEvent
    at: datetime
    device: str = ""
    detail: str = ""


class OperatorAction(FrozenModel):
    """What a person confirmed."""

    run_id: str | None = None
    step: int | None = None
    """Worklist step whose pause was answered; None for loading the deck and work outside a run."""
    at: datetime
    confirmed_by: str = Field(min_length=1)
    title: str
    instruction: str
    note: str = ""

    @property
    def sentence(self) -> str:
        """Who, when, what: one line of a batch record."""
        remark = f"; note: {self.note}" if self.note else ""
        return f"{self.confirmed_by}, {self.at:%Y-%m-%d %H:%M} UTC: {self.title}{remark}"


class RunRecord(FrozenModel):
    """One worklist on one bench: what was intended, what happened."""

    id: str
    name: str
    procedure: str
    bench: str
    device: str
    device_run_id: str | None
    worklist_hash: str
    recipe_revision: str | None
    state: RunState
    started_at: datetime | None
    ended_at: datetime | None
    n_transfers: int
    steps: tuple[StepRecord, ...]
    operator_actions: tuple[str, ...] = ()
    """What people confirmed, one sentence each: who, when, what."""
    error: str = ""

    @property
    def unknown_steps(self) -> tuple[int, ...]:
        """Numbers of the steps whose physical outcome nobody saw."""
        return tuple(step.number for step in self.steps if step.event in {"unknown", "sent", "seen"})


class ApprovalEntry(FrozenModel):
    """One decision about a recipe revision."""

    revision_id: str
    decision: Decision
    by: str
    at: datetime
    reason: str


class CampaignEntry(FrozenModel):
    """A campaign as the database lists it."""

    id: str
    recipe_revision: str
    bench: str
    simulated: bool
    seed: int | None
    created_at: datetime
    note: str = ""
    """What a reader of its results must know, for example that cultures were fed less often than the recipe says."""
    state: str | None = None
    """What the campaign object needs to go on, as it serialised itself."""


class AuditEntry(FrozenModel):
    """One link of the audit chain."""

    number: int = Field(ge=1)
    at: datetime
    who: str
    action: str
    subject: str
    """`<table>:<key>`."""
    content_hash: str
    """SHA-256 of the row as it was after the action."""
    previous_hash: str
    entry_hash: str
    """SHA-256 over every other field, the previous entry's hash included."""
