"""What a bench is made of, whatever drives it: liquid handler, plate reader, cell counter, operator, clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from nkloop.assays.measurements import CellCount, Reading, ReadRequest
from nkloop.frozen import FrozenModel
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.models import OperatorTask, Worklist

RunStatus = Literal[
    "idle",
    "running",
    "paused",
    "blocked-by-open-door",
    "stop-requested",
    "finishing",
    "awaiting-recovery",
    "awaiting-recovery-paused",
    "awaiting-recovery-blocked-by-open-door",
    "stopped",
    "failed",
    "succeeded",
]
ENDED: frozenset[str] = frozenset({"stopped", "failed", "succeeded"})


_ANNOUNCED = re.compile(r"^step (\d+):")


def announced_step(message: object) -> int | None:
    """Number of the worklist step that a comment or pause message `step <n>: ...` announces, or None."""
    match = _ANNOUNCED.match(str(message or ""))
    return int(match[1]) if match else None


class Finding(FrozenModel):
    """One line of a preflight: what was looked at, what was found, whether it may run."""

    subject: str
    found: str
    ok: bool
    remedy: str = ""
    is_kept: bool = False
    """Whether it is told with the run and kept in its record, though it stands in nobody's way."""


class FoundRun(FrozenModel):
    """A run that a device knows."""

    id: str
    is_played: bool
    """Whether anybody, here or at the device, has told it to start, as far as the device still knows."""


class DeviceState(FrozenModel):
    """What a liquid handler says of one run."""

    status: RunStatus
    pause_message: str | None = None
    """Message of the pause the run waits at, when it is paused by the protocol."""
    errors: tuple[str, ...] = ()
    step: int | None = None
    """Worklist step under way, where the device tells it and every step before it has ended as planned."""
    place: str = ""
    """Where the run stands: changes with each action that arrives and each pause it comes to; empty if untold."""


class DeviceCommand(FrozenModel):
    """One command a liquid handler executed, in the shape Opentrons uses."""

    id: str
    command_type: str
    status: Literal["queued", "running", "succeeded", "failed"]
    params: dict[str, Any]
    started_at: str | None = None
    completed_at: str | None = None
    error: str | None = None
    intent: str | None = None
    """Why it was given, where the device tells: `protocol`, `setup`, or `fixit` for what is done in error recovery."""
    failed_command_id: str | None = None
    """Of a `fixit`: the command it mends."""


class DeviceFile(FrozenModel):
    """A file a device made during a run; devices delete theirs without a word, so it is copied out at once."""

    name: str
    media_type: str
    content: bytes


Fence = Callable[[], None]
"""Called right before everything that may change a device; raises `StaleHolderError` when the device has been taken
over by another process."""


class StepListener(Protocol):
    """Is told what becomes of each step while a device that is driven step by step works; durable when it returns."""

    def __call__(
        self,
        number: int,
        event: Literal["sent", "seen", "done", "failed", "unknown"],
        *,
        detail: str = "",
        moved_ul: tuple[float, ...] = (),
    ) -> None:
        """Take one event of the step with this worklist number; `moved_ul` is what each channel really moved."""


def unguarded() -> None:
    """The fence of a device nobody has claimed."""


@runtime_checkable
class Fenced(Protocol):
    """A device that is driven from here, so that it may be driven under a claim only."""

    fence: Fence
    """Set by whoever holds the device; the driver calls it right before everything that changes or moves the device."""


class LiquidHandler(Protocol):
    """Executes worklists. `prepare` moves nothing; only `play` moves liquid, and neither repeats itself."""

    name: str
    poll_seconds: float
    """Shortest pause between two looks at a run."""
    stepwise: bool
    """Whether this process sends every step itself; otherwise the device holds the whole run and goes on alone."""
    fence: Fence
    """Set by whoever holds the device; the driver calls it right before everything that changes the device."""
    on_step: StepListener | None
    """Set before `play`; a stepwise driver tells it `sent` before and `done` or `failed` after each step."""

    def protocol_sha256(self, worklist: Worklist) -> str:
        """Hash of the protocol file a run would be made with now; empty for a device that takes none.

        Raises:
            WorkspaceError: there is no such file, or it cannot be read.
        """

    async def inspect(self, deck: BenchDeck) -> tuple[Finding, ...]:
        """Compare the device with the bench file, whatever it is to run; read-only."""

    async def preflight(self, worklist: Worklist) -> tuple[Finding, ...]:
        """Read-only look at the device: pipettes, modules, deck, door, emergency stop, other runs."""

    async def find_runs(self, worklist: Worklist) -> tuple[FoundRun, ...]:
        """The device's runs made for this worklist, whatever their state, the oldest first. Read-only."""

    async def prepare(self, worklist: Worklist) -> str:
        """Upload what the run needs, have the device analyse it, create the run; return the device's run id.

        Raises:
            DeviceError: the device refused the protocol or its analysis failed.
        """

    async def state(self, run_id: str) -> DeviceState:
        """Status of the run."""

    async def play(self, run_id: str) -> None:
        """Start or resume. Asks for the status first; does nothing to a run that is already running."""

    async def stop(self, run_id: str) -> None:
        """Stop the run and leave the device safe."""

    async def commands(self, run_id: str) -> tuple[DeviceCommand, ...]:
        """All commands, paged; to be called once, after the run ended."""

    async def files(self, run_id: str) -> tuple[DeviceFile, ...]:
        """Files the run made on the device, for example of its plate reader; to be called once, after it ended."""

    async def close(self) -> None:
        """Release the connection."""


@runtime_checkable
class KeepsTips(Protocol):
    """A device on whose arm tips may hang when a run begins, after one that was cut."""

    keeps_tips: bool
    """Whether it neither feels them nor drops them when it starts, so that people have to look."""


@runtime_checkable
class Identified(Protocol):
    """A device that tells itself from every other one of its kind."""

    async def serial_number(self) -> str:
        """Its serial number; empty when it has none.

        Raises:
            DeviceUnreachableError: it does not answer.
        """


@runtime_checkable
class TellsGiven(Protocol):
    """A device that gives its runs more than the worklist says, such as labware offsets."""

    @property
    def given(self) -> tuple[Finding, ...]:
        """What the run prepared last was made with, for its record."""


class PlateReader(Protocol):
    """Reads plates."""

    name: str

    async def inspect(self) -> tuple[Finding, ...]:
        """Read-only look at the reader: does it answer, is it the instrument named, which modes has it."""

    async def read(self, request: ReadRequest) -> Reading:
        """Measure the plate that lies in the reader.

        Raises:
            DeviceError: no plate, wrong plate, mode or wavelength not available.
        """

    async def close(self) -> None:
        """Release the device."""


@runtime_checkable
class OpensEmpty(Protocol):
    """A reader that measures its blank when it is opened, so that it must be opened before a plate is put in."""

    async def open_empty(self) -> None:
        """Open it, unless it is open; called before anybody is asked to put a plate in.

        Raises:
            DeviceError: it does not answer.
        """


@runtime_checkable
class ReadsInRuns(LiquidHandler, Protocol):
    """A reader on the deck of a robot: each plate is one run of that robot, journalled and followed as every run is."""

    def worklist(self, request: ReadRequest) -> Worklist:
        """The steps of the run that reads a plate, to be prepared with this very object.

        Raises:
            DeviceError: it cannot read this plate.
        """

    def reading(self, request: ReadRequest, files: Sequence[DeviceFile]) -> Reading:
        """Values out of the files such a run left.

        Raises:
            DeviceError: they do not hold what was asked, are of another reader, or cannot be understood.
        """


class CellCounter(Protocol):
    """Counts cells and their phenotype."""

    name: str

    async def count(self, barcode: str, wells: tuple[str, ...], *, occurrence: int = 0) -> tuple[CellCount, ...]:
        """Sample and measure the wells named, in the order named.

        Args:
            barcode: of the plate.
            wells: of it.
            occurrence: another number for every count of this plate that is recorded, so that people are asked anew.
        """


class LotToScan(FrozenModel):
    """A lot that must be at hand: a code is scanned, so that no other one is taken for it."""

    lot: str
    component: str
    expires: date | None = None
    """Last day it may be used; None when the worklist does not say."""
    codes: tuple[str, ...] = ()
    """Barcodes of its containers, where the stock knows them."""
    unfit: Mapping[str, str] = Field(default_factory=dict)
    """Containers among them that cannot be used until the end of use, and why."""
    reserved: tuple[str, ...] = ()
    """Containers among them that the run has reserved: those to take, unless another one of the lot is scanned."""
    needs_ul: float = 0.0
    """What the run has reserved of the lot, over all containers."""
    gives_ul: Mapping[str, float] = Field(default_factory=dict)
    """What can be got out of each container."""
    step: int | None = None
    """Step of the worklist at which it is brought and scanned; None for what is loaded with the rest."""
    goes_to: str = ""
    """Where it is set at that step, as `slot C1: A1 35 µL`; empty where the list of the deck tells."""

    @property
    def is_many(self) -> bool:
        """Whether the lot has several containers, so that its own code does not tell which one is meant."""
        return len(self.codes) > 1

    @property
    def accepted(self) -> frozenset[str]:
        """Every code that shows the lot: that of any container; its own where no two containers can be confused."""
        return frozenset(self.codes if self.is_many else (self.lot, *self.codes))

    def is_shown_by(self, scanned: Collection[str]) -> bool:
        """Whether codes show all that is taken: of a pool as many containers as were reserved, or as much liquid."""
        own = self.accepted.intersection(scanned)
        given_ul = sum(self.gives_ul.get(code, 0.0) for code in own)
        return bool(own) and (len(own) >= len(self.reserved) or given_ul >= self.needs_ul)

    def is_enough(self, scanned: Collection[str]) -> bool:
        """Whether codes show all that is taken and, by the stock, hold as much: one more would stand there unused."""
        own = self.accepted.intersection(scanned)
        given_ul = sum(self.gives_ul.get(code, 0.0) for code in own)
        return self.is_shown_by(scanned) and (given_ul >= self.needs_ul or own.issuperset(self.reserved))

    def left_to_scan(self, scanned: Collection[str] = ()) -> str:
        """What is to be scanned of it, in words: the reserved containers, or the lot where none can be named."""
        left = [code for code in self.reserved if code not in scanned]
        if left:
            return f"{' and '.join(left)} ({self.component}, lot {self.lot})"
        return f"{'a container of ' if self.is_many else ''}{self.lot} ({self.component})"


class Choice(FrozenModel):
    """One of several answers."""

    key: str = Field(pattern=r"^[a-z]+$")
    """The word to type."""
    label: str
    """What it means, in a sentence."""


class OperatorRequest(FrozenModel):
    """A question or instruction to a person."""

    title: str
    task: OperatorTask
    worklist: Worklist | None = None
    """Set when the deck is to be loaded: slots, labels, lots and volumes to put there."""
    barcodes: dict[str, str] = Field(default_factory=dict)
    """Nickname of each labware concerned to the barcode it must carry."""
    lots: tuple[LotToScan, ...] = ()
    """Lots that are scanned as well."""
    later_lots: tuple[LotToScan, ...] = ()
    """Lots that are scanned at a later step, so that one that is brought too early is told so."""
    choices: tuple[Choice, ...] = ()
    """Answers one of which is chosen, with a reason; empty when the task is only to be confirmed."""
    picture: str = ""
    """The deck, the plate with its wells, or what is to be done, as SVG text."""
    run_id: str | None = None
    errands: tuple[str, ...] = ()
    """Names by which an incubator knows this incubation, its own first, then those of what it goes on with."""
    closes_door: bool = False
    """Whether it asks to close the door of the robot."""
    occurrence: int = Field(default=0, ge=0)
    """How often the same was asked and confirmed before: a door opened twice has to be closed twice."""


class OperatorAnswer(FrozenModel):
    """Who confirmed it and when."""

    confirmed_by: str = Field(min_length=1)
    at: datetime
    note: str = ""
    """What the person adds; with a choice, the reason for it."""
    scanned: tuple[str, ...] = ()
    """Codes that were scanned, in their order."""
    choice: str = ""
    """Key of what was chosen; empty where there was nothing to choose."""
    early: str = ""
    """That it was confirmed before the time asked for had passed, in words; `note` says why."""


UNDONE = "undone"
"""Key of the choice that a task, which somebody was told of but never asked for, was not begun."""
SHORTEST_REASON = 3
"""Characters of a reason for a choice."""


def choice_problem(request: OperatorRequest, choice: str, reason: str) -> str:
    """What is wrong with the choice a person made, in one sentence; empty when nothing is."""
    keys = [one.key for one in request.choices]
    if choice not in keys and (keys or choice):
        return (
            f"'{choice}' is no choice here; choose {' or '.join(keys)}" if keys else "there is nothing to choose here"
        )
    if keys and len(reason.strip()) < SHORTEST_REASON:
        return f"a choice needs a reason of at least {SHORTEST_REASON} characters"
    return ""


class Operator(Protocol):
    """Does what no device does. Returns when it is done."""

    name: str

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        """Carry the task out and confirm it.

        Raises:
            OperatorRefusedError: the person declined or confirmed something else.
        """


@runtime_checkable
class AsksByList(Protocol):
    """An operator who may ask by the list of requests, where an answer waits however long nobody asks."""

    @property
    def by_list(self) -> bool:
        """Whether a question would stand on the list now."""


@runtime_checkable
class CatchesUp(Protocol):
    """An operator in whose world things happen only when he is told of them."""

    async def catch_up(self, request: OperatorRequest, answer: OperatorAnswer) -> OperatorAnswer:
        """Let happen what somebody confirmed while nobody asked; the answer as it counts there.

        Raises:
            DeviceError: that world refused or is not reachable.
        """


class Clock(Protocol):
    """Time of the bench; a virtual bench runs it faster."""

    async def now(self) -> datetime:
        """Current time of the bench, UTC."""

    async def sleep_until(self, when: datetime) -> None:
        """Return when the bench's time has reached `when`."""


@runtime_checkable
class Steady(Protocol):
    """A clock that somebody may correct, and that also counts seconds which nobody corrects."""

    def steady(self) -> float:
        """Seconds since some moment of this start of the computer; only differences mean anything."""

    async def sleep_steadily(self, until: float) -> None:
        """Return when `steady` has reached this; at once when it is past."""


@runtime_checkable
class Belongs(Protocol):
    """A device of one workspace alone, as those of a virtual bench, whose wells stand in its state folder."""

    async def require_own(self) -> None:
        """Return when it belongs to the workspace that asks.

        Raises:
            BenchError: it belongs to another one; both are named.
            DeviceUnreachableError: it does not answer.
        """
