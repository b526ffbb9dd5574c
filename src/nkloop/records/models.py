"""What the database remembers of physical work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from nkloop.frozen import FrozenModel

StepEvent = Literal["intended", "sent", "seen", "done", "failed", "unknown"]
"""`intended` stands before a step is sent, `sent` and `seen` while the device has it; the others end it."""
RunState = Literal["planned", "prepared", "running", "succeeded", "failed", "stopped", "interrupted"]
RUN_OVER: frozenset[RunState] = frozenset({"succeeded", "failed", "stopped", "interrupted"})
"""States after which the device does nothing more for the run."""
MOVED: frozenset[StepEvent] = frozenset({"done", "unknown", "sent", "seen"})
"""Last events of a step that happened, or may have; one that failed has moved what its event says it has."""
NOT_FROM_HERE = "was not begun from here"
"""Part of the record of a run that was found on a device, where somebody else had started it."""
IN_ORDER = "every step before it has ended"
"""Detail of a `seen` event of a device that carries its steps out in order and has passed over none."""
HELD_BACK = "nobody was asked to let the device go on at step"
"""Part of the detail of an unknown step that has happened only if somebody went on at the device's own screen."""
Decision = Literal["published", "proposed", "approved", "rejected"]


class Context(FrozenModel):
    """What a piece of work belongs to; None where it belongs to nothing."""

    campaign: str | None = None
    """Id of the campaign."""
    round: int | None = None
    """Round of the campaign."""
    batch: str | None = None
    """Id of the culture."""
    parent: str | None = None
    """Run that this one continues or repairs."""
    occurrence: str | None = None
    """Launch of a flow or command it belongs to, with its place there; a launch that is resumed has the same."""


class Claim(FrozenModel):
    """The right to change devices, until another process takes them over."""

    devices: tuple[str, ...] = Field(min_length=1)
    token: int = Field(ge=1)
    """Larger than every token these devices had before."""
    holder: str
    """What for, and which process on which machine."""


class DeviceHolder(FrozenModel):
    """Who holds, or last held, a device."""

    device: str
    token: int
    holder: str
    process: str
    """The process in the form `records.processes` reads."""
    claimed_at: datetime
    expires_at: datetime
    """When it may be taken over unless the lease is renewed."""
    released_at: datetime | None


class StepRecord(FrozenModel):
    """Where one worklist step stands: its last event."""

    number: int = Field(ge=1)
    """Step number in the worklist."""
    event: StepEvent
    at: datetime
    detail: str = ""
    """What the device or the person said of it."""
    moved_ul: tuple[float, ...] = ()
    """As in `JournalEvent`."""

    @property
    def has_moved(self) -> bool:
        """Whether it moved liquid, or may have: a step that failed may have given all of it before."""
        return self.event in MOVED or bool(self.moved_ul)


def n_done(steps: Sequence[StepRecord]) -> int:
    """How many steps are known to be done, at least: a device that works them in order tells at which one it is."""
    reached = max((step.number for step in steps if step.event == "seen" and step.detail == IN_ORDER), default=0)
    return sum(step.event == "done" or (step.event in {"sent", "seen"} and step.number < reached) for step in steps)


class JournalEvent(FrozenModel):
    """One line of the journal: what was intended, sent or seen of one step. Never changed, never deleted."""

    number: int = Field(ge=1)
    """Step number in the worklist."""
    event: StepEvent
    at: datetime
    device: str = ""
    detail: str = ""
    """What the device, the program or a person said."""
    token: int | None = None
    """Token of the claim under which it was written; None where the device was not claimed."""
    moved_ul: tuple[float, ...] = ()
    """Volume in µL that each channel really moved, as far as the device told; empty where nothing moved."""


class OperatorAction(FrozenModel):
    """What a person confirmed."""

    run_id: str | None = None
    """Run it belongs to; None for work outside of runs."""
    step: int | None = None
    """Worklist step whose pause was answered; None for loading the deck and work outside a run."""
    at: datetime
    confirmed_by: str = Field(min_length=1)
    """Name or id of the person, as typed or scanned."""
    title: str
    """Of the request."""
    instruction: str
    """What was asked, in full."""
    note: str = ""
    """What the person remarked."""
    choice: str | None = None
    """What was chosen, where there was something to choose; `note` then says why."""

    @property
    def sentence(self) -> str:
        """Who, when, what: one line of a batch record."""
        chosen = f"; chose '{self.choice}'" if self.choice else ""
        remark = f"; {'because' if self.choice else 'note'}: {self.note}" if self.note else ""
        return f"{self.confirmed_by}, {self.at:%Y-%m-%d %H:%M} UTC: {self.title}{chosen}{remark}"


class OperatorRemark(FrozenModel):
    """What happened while somebody was asked, besides the answer; or what was found about a run, for its record."""

    run_id: str | None = None
    at: datetime
    kind: Literal["refused scan", "withdrawn", "shortened", "found"]
    who: str = ""
    """Who scanned it; empty where it is not known."""
    title: str
    """Of the request, or of what was found."""
    code: str = ""
    """What was scanned."""
    told: str
    """Why it was refused, with what was expected; why nobody needs an answer any longer; how long it took, and why."""

    @property
    def is_deviation(self) -> bool:
        """Whether something went otherwise than it was meant to."""
        return self.kind != "found"

    @property
    def sentence(self) -> str:
        """Who, when, what: one line of a batch record."""
        if not self.is_deviation:
            return f"{self.title}: {self.told}"
        by = f" {'by' if self.kind == 'shortened' else 'of'} {self.who}" if self.who else ""
        return f"{self.kind}{by}, {self.at:%Y-%m-%d %H:%M} UTC: {self.told} ({self.title})"


DecisionKind = Literal["continue", "repair", "discard"]


class StepRuling(FrozenModel):
    """What a person says of a step whose outcome nobody saw."""

    number: int = Field(ge=1)
    happened: bool | None = None
    """None when the person does not know either."""
    is_drawn: bool = False
    """It did not happen whole, and what it had drawn last was lost with the tip: its liquid, or the liquid of its mix
    where `is_given`."""
    is_given: bool = False
    """It did not happen whole: its liquid was given, the mix after it was not done, or not to its end."""
    is_cut_first: bool = False
    """It gave nothing: it was cut in the mix before its draw, and the liquid of that mix was lost with the tip."""
    moved_ul: float = Field(default=0, ge=0)
    """Of a step in which people move liquid, and that did not happen whole: what they moved in all of its moves, one
    after the other, in µL."""
    is_skipped: bool = False
    """Somebody skipped it at the device's own screen, so that later steps may have happened without it."""

    @model_validator(mode="after")
    def _was_cut_only_when_it_did_not_happen(self) -> Self:
        if self.is_partly and self.happened is not False:
            lost = self.is_drawn or self.is_cut_first
            cut = "given and not mixed" if self.is_given else "drawn and lost" if lost else "moved in part"
            raise ValueError(f"step {self.number}: what was {cut} has not happened whole")
        return self

    @property
    def is_partly(self) -> bool:
        """Whether liquid was moved all the same, though the step did not happen whole."""
        return self.is_drawn or self.is_given or self.is_cut_first or bool(self.moved_ul)

    @property
    def word(self) -> str:
        """What became of the step, as a person said it."""
        return f"{self._became}, skipped at the device's screen" if self.is_skipped else self._became

    @property
    def _became(self) -> str:
        if self.moved_ul:
            return f"was done in part: {self.moved_ul / 1000:.4g} mL were moved"
        if self.is_cut_first:
            return "was cut in the mix before its draw and lost the liquid of that mix"
        if self.is_given:
            return "gave its liquid and was cut in its mix" if self.is_drawn else "gave its liquid and was not mixed"
        return {True: "happened", None: "left open"}.get(self.happened) or (
            "drew its liquid and lost it" if self.is_drawn else "did not happen"
        )


class RunDecision(FrozenModel):
    """What a person decided about a run with steps of unknown outcome."""

    run_id: str
    decision: DecisionKind
    by: str = Field(min_length=2)
    reason: str = Field(min_length=3)
    at: datetime
    rulings: tuple[StepRuling, ...] = ()
    wells: tuple[tuple[str, str], ...] = ()
    """Nickname and name of the wells that were discarded."""
    follow_up: str | None = None
    """Hash of the worklist that continues or repairs it."""
    carried_to: str | None = None
    """Serial number of the device that has replaced the run's own, to which people carried what stood on its deck."""
    apart: tuple[str, ...] = ()
    """Later runs whose closed vessels are others, though they have the names of those of this run."""


class DiscardedWell(FrozenModel):
    """A well whose contents must not be used any more."""

    barcode: str
    well: str
    run_id: str | None
    by: str
    reason: str
    at: datetime


class SavedFile(FrozenModel):
    """A file that was copied out of a device after a run."""

    name: str
    sha256: str
    """Of its content."""
    path: str
    """Where it lies, below the state folder."""
    media_type: str
    n_bytes: int = Field(ge=0)
    saved_at: datetime


class RunRecord(FrozenModel):
    """One worklist on one bench: what was intended, what happened."""

    id: str
    name: str
    procedure: str
    bench: str
    device: str
    device_run_id: str | None
    """Id the device gave it; None until the device knows it."""
    worklist_hash: str
    """SHA-256 of the worklist that was verified."""
    recipe_revision: str | None
    state: RunState
    started_at: datetime | None
    ended_at: datetime | None
    n_transfers: int
    steps: tuple[StepRecord, ...]
    """Last event of every step that has one."""
    operator_actions: tuple[str, ...] = ()
    """What people confirmed, one sentence each: who, when, what."""
    error: str = ""
    """What ended it; empty when it succeeded or is not over."""
    created_at: datetime | None = None
    campaign: str | None = None
    round: int | None = None
    batch: str | None = None
    """The culture, by which closed vessels of one name are told apart; None where nobody said."""
    parent: str | None = None
    """Run that this one continues or repairs."""
    occurrence: str | None = None
    found_before: tuple[str, ...] | None = None
    """Runs of this worklist on the device that are not it, as those played before one was made for it; None when nobody
    looked."""
    device_serial: str | None = None
    """Serial number of the device it was begun on; None where the device tells none."""
    decision: RunDecision | None = None
    """What a person last decided about it."""
    files: tuple[SavedFile, ...] = ()
    """What was copied out of the device."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens in it."""
        return self.state in RUN_OVER

    @property
    def is_foreign(self) -> bool:
        """Whether it was found on its device, where somebody else had started it, so that nobody knows on which labware
        and on what contents."""
        return NOT_FROM_HERE in self.error

    @property
    def needs_decision(self) -> bool:
        """Whether a person must say what is to become of its wells before anything else happens to them."""
        return bool(self.unknown_steps) and self.decision is None

    @property
    def unknown_steps(self) -> tuple[int, ...]:
        """Numbers of the steps whose physical outcome nobody saw."""
        return tuple(step.number for step in self.steps if step.event in {"unknown", "sent", "seen"})

    @property
    def held_steps(self) -> tuple[int, ...]:
        """Those of them behind a pause that nobody was asked to end: they count as not happened unless a person says
        that somebody went on at the device's own screen."""
        unknown = set(self.unknown_steps)
        return tuple(step.number for step in self.steps if step.number in unknown and HELD_BACK in step.detail)

    @property
    def open_steps(self) -> tuple[int, ...]:
        """The unknown steps of which a person has to say what became of them."""
        held = set(self.held_steps)
        return tuple(number for number in self.unknown_steps if number not in held)

    @property
    def begun_steps(self) -> tuple[int, ...]:
        """Numbers of the steps that failed after they had moved liquid: only the rest of them is done later."""
        return tuple(step.number for step in self.steps if step.event == "failed" and step.moved_ul)


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
    """True when its bench is simulated, so that nothing it learnt is evidence about real cells."""
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
    """Hash of the entry before it, which makes the chain."""
    entry_hash: str
    """SHA-256 over every other field, the previous entry's hash included."""
