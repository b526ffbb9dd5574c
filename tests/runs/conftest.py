"""A bench of simple stand-ins: a liquid handler that runs in this process, an operator who confirms, a clock."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.assays.panel import load_line_stock
from nkloop.drivers.bench import Bench, load_bench_file
from nkloop.drivers.bench_file import BenchFile, BesideSpec, DeviceSpec, ReaderSpec
from nkloop.drivers.interfaces import (
    DeviceCommand,
    DeviceFile,
    DeviceState,
    Fence,
    Finding,
    FoundRun,
    OperatorAnswer,
    OperatorRequest,
    RunStatus,
    StepListener,
    unguarded,
)
from nkloop.errors import DeviceUnreachableError, OperatorRefusedError
from nkloop.inventory import Inventory
from nkloop.labware import Catalogue
from nkloop.recipes import load_recipe
from nkloop.recipes.models import Recipe
from nkloop.records import Records
from nkloop.records.models import Context, RunState, StepEvent
from nkloop.runs.session import Session
from nkloop.worklists.bench_deck import BenchDeck, PipetteAccuracy, PipetteSpec
from nkloop.worklists.models import CheckResult, DeckItem, Filling, Liquid, OperatorTask, Step, Verdict, Worklist
from nkloop.workspace import Workspace

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass
class FakeHandler:
    """Plays the steps one by one, one per look; faults are named."""

    name: str = "flex"
    poll_seconds: float = 0.0
    findings: tuple[Finding, ...] = (Finding(subject="door", found="closed", ok=True),)
    fails_at: int | None = None
    never_finishes: bool = False
    door_opens: bool = False
    recovers: bool = False
    unreachable_looks: int = 0
    play_is_lost: str = ""
    commands_wait: bool = False
    """Whoever asks for the commands first waits until he is cancelled."""
    stop_fails: bool = False
    status: RunStatus = "idle"
    plays: int = 0
    calls: list[str] = field(default_factory=list)
    done: list[DeviceCommand] = field(default_factory=list)
    worklist: Worklist | None = None
    protocol: str = "a" * 64
    """Hash of its protocol file."""
    serial: str = "FLX-1"
    stepwise: bool = False
    fence: Fence = unguarded
    on_step: StepListener | None = None
    _queue: list[Step] = field(default_factory=list)

    def protocol_sha256(self, worklist: Worklist) -> str:
        return self.protocol

    async def serial_number(self) -> str:
        return self.serial

    async def preflight(self, worklist: Worklist) -> tuple[Finding, ...]:
        self.calls.append("preflight")
        return self.findings

    async def prepare(self, worklist: Worklist) -> str:
        self.fence()
        self.calls.append("prepare")
        self.worklist, self._queue = worklist, list(worklist.steps)
        return "device-run"

    async def state(self, run_id: str) -> DeviceState:
        if self.unreachable_looks:
            self.unreachable_looks -= 1
            raise DeviceUnreachableError("no answer")
        if self.status == "running" and not self.never_finishes:
            self._advance()
        message = None
        if self.status == "paused" and self.done and self.done[-1].command_type == "waitForResume":
            message = str(self.done[-1].params["message"])
        errors = ("aspirate: overpressure",) if self.status in {"failed", "awaiting-recovery"} else ()
        return DeviceState(status=self.status, pause_message=message, errors=errors)

    async def play(self, run_id: str) -> None:
        if self.play_is_lost == "before":
            self.play_is_lost = ""
            raise DeviceUnreachableError("no answer")
        self.fence()
        self.calls.append("play")
        if self.status in {"idle", "paused"}:
            self.plays += 1
            self.status = "running"

    async def stop(self, run_id: str) -> None:
        self.fence()
        self.calls.append("stop")
        if self.status in {"succeeded", "failed", "stopped"}:
            return
        if self.stop_fails:
            raise DeviceUnreachableError("no answer")
        self.status = "stopped"

    async def commands(self, run_id: str) -> tuple[DeviceCommand, ...]:
        self.calls.append("commands")
        if self.commands_wait:
            self.commands_wait = False
            await asyncio.sleep(3600)
        return tuple(self.done)

    async def inspect(self, deck: BenchDeck) -> tuple[Finding, ...]:
        return self.findings

    async def find_runs(self, worklist: Worklist) -> tuple[FoundRun, ...]:
        is_known = self.worklist is not None and worklist == self.worklist
        return (FoundRun(id="device-run", is_played=self.plays > 0),) if is_known else ()

    async def files(self, run_id: str) -> tuple[DeviceFile, ...]:
        return ()

    async def close(self) -> None: ...

    def _advance(self) -> None:
        if self.door_opens:
            self.door_opens, self.status = False, "blocked-by-open-door"
            return
        if self.recovers:
            self.recovers, self.status = False, "awaiting-recovery"
            return
        if not self._queue:
            self.status = "succeeded"
            return
        step = self._queue.pop(0)
        text = f"step {step.number}: {step.operator.instruction if step.operator else step.action}"
        self._did("comment", message=text)
        if step.number == self.fails_at:
            self._did("aspirate", status="failed", volume=1)
            self.status = "failed"
        elif step.action == "pause":
            self._did("waitForResume", message=text)
            self.status = "paused"
        else:
            self._did("aspirate", volume=step.volume_ul)
            self._did("dispense", volume=step.volume_ul)

    def _did(self, kind: str, status: str = "succeeded", **params: Any) -> None:
        self.done.append(
            DeviceCommand.model_validate(
                {
                    "id": str(len(self.done)),
                    "command_type": kind,
                    "status": status,
                    "params": params,
                    "completed_at": "2026-11-23T08:00:00Z",
                    "error": "overpressure: clot" if status == "failed" else None,
                }
            )
        )


@dataclass
class FakeOperator:
    """Confirms everything, or declines what `declines` names; may need a look at the handler."""

    name: str = "technician"
    declines: str = ""
    because: str = ""
    """What is said with it."""
    handler: FakeHandler | None = None
    asked: list[OperatorRequest] = field(default_factory=list)
    waits_at: str = ""
    scans: tuple[str, ...] = ()
    early: str = ""

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        self.asked.append(request)
        if self.waits_at and self.waits_at in request.title:
            await asyncio.sleep(3600)
        if self.declines and self.declines in request.title:
            raise OperatorRefusedError(f"Ada declined{self.because}", where=request.title)
        if self.handler is not None and self.handler.status == "blocked-by-open-door":
            self.handler.status = "paused"
        if self.handler is not None and self.handler.status == "awaiting-recovery":
            self.handler.status = "running"
        return OperatorAnswer(confirmed_by="Ada", at=AT, scanned=self.scans, early=self.early)


class FakeReader:
    """Gives one value; may have another plate in it."""

    name = "reader"
    barcode: str | None = None

    async def inspect(self) -> tuple[Finding, ...]:
        return ()

    async def read(self, request: ReadRequest) -> Reading:
        return Reading(
            barcode=self.barcode or request.barcode,
            mode=request.mode,
            values={"A1": 0.5},
            instrument=self.name,
            serial_number="S",
            read_at=datetime(2020, 1, 1, tzinfo=UTC),
        )

    async def close(self) -> None: ...


class FakeClock:
    """Stands still."""

    async def now(self) -> datetime:
        return AT

    async def sleep_until(self, when: datetime) -> None: ...


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to be copied: making them takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "records.db"
    made = Records(f"sqlite:///{path}")
    made.migrate()
    made.close()
    return path


@pytest.fixture
def records(tmp_path: Path, migrated: Path) -> Iterator[Records]:
    shutil.copy(migrated, tmp_path / "records.db")
    opened = Records(f"sqlite:///{tmp_path / 'records.db'}")
    yield opened
    opened.close()


@pytest.fixture
def handler() -> FakeHandler:
    return FakeHandler()


@pytest.fixture
def operator(handler: FakeHandler) -> FakeOperator:
    return FakeOperator(handler=handler)


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture
def bench(handler: FakeHandler, operator: FakeOperator, reader: FakeReader) -> Bench:
    accuracy = PipetteAccuracy(volume_ul=1000, systematic_percent=1, random_cv_percent=1)
    pipette = PipetteSpec(
        mount="left", load_name="flex_1channel_1000", channels=1, min_volume_ul=5, max_volume_ul=1000,
        accuracy=(accuracy,), source="maker",
    )  # fmt: skip
    spec = DeviceSpec(driver="a.b:C")
    file = BenchFile(
        name="fake", title="Fake", simulated=True, deck=BenchDeck(model="flex", pipettes=(pipette,)),
        liquid_handler=spec, plate_reader=ReaderSpec(driver="a.b:C"), cell_counter=BesideSpec(driver="a.b:C"),
        operator=spec, clock=spec, lots="lots.yaml",
    )  # fmt: skip
    return Bench(file, handler, reader, cast(Any, None), operator, FakeClock())


@pytest.fixture
def worklist() -> Worklist:
    """Transfer, pause to incubate, transfer."""

    def transfer(number: int, to: str) -> Step:
        return Step(
            number=number, action="transfer", labware="plate", well="A1", to_labware="plate", to_well=to, volume_ul=50
        )

    incubate = OperatorTask(kind="incubate", instruction="4 h at 37 °C", labware=("plate",), minutes=240)
    return Worklist(
        name="assay",
        procedure="cytotoxicity_assay",
        pipettes={"left": "flex_1channel_1000"},
        deck=(DeckItem(nickname="plate", slot="D2", load_name="corning_96_wellplate_360ul_flat", barcode="P-1"),),
        fillings=(Filling(labware="plate", well="A1", volume_ul=200, liquid=Liquid(name="x", per_ul={"base": 1.0})),),
        steps=(transfer(1, "B1"), Step(number=2, action="pause", operator=incubate), transfer(3, "C1")),
    )


@pytest.fixture
def verdict(worklist: Worklist) -> Verdict:
    passed = CheckResult(check="ledger", passed=True, seconds=0)
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(passed,))


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe(ROOT / "recipes" / "ucb-nk.yaml")


class SteppingClock:
    """A clock of the virtual bench's time that moves when somebody waits for it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

    async def now(self) -> datetime:
        return self.time

    async def sleep_until(self, when: datetime) -> None:
        self.time = max(self.time, when)


@pytest.fixture
def session(tmp_path: Path, bench: Bench, records: Records) -> Session:
    """The shipped workspace with stand-ins for its devices; nothing is verified or run."""
    file = load_bench_file(ROOT / "devices" / "virtual.yaml")
    own = Bench(file, bench.liquid_handler, bench.plate_reader, cast(Any, None), bench.operator, SteppingClock())
    return Session(
        workspace=Workspace.create(tmp_path / "workspace"),
        bench_file=file,
        bench=own,
        records=records,
        catalogue=Catalogue.load(ROOT / "labware"),
        inventory=Inventory.load(ROOT / "devices" / "lots" / "virtual.yaml"),
        lines=load_line_stock(ROOT / "devices" / "lines" / "virtual.yaml"),
        vendor=cast(Any, None),
        verifier=cast(Any, None),
    )


Journalled = Callable[..., str]


@pytest.fixture
def journalled(records: Records) -> Journalled:
    """`journalled(worklist, state, event)`: note a run of a worklist that ended so, every step with the same event."""

    def add(worklist: Worklist, state: RunState = "succeeded", event: StepEvent = "done", **context: Any) -> str:
        passed = CheckResult(check="ledger", passed=True, seconds=0)
        verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(passed,))
        run_id = records.journal.create_run(
            worklist, verdict, bench="virtual", device="flex", at=AT, context=Context(**context)
        )
        if state != "planned":
            records.journal.append_event(run_id, [s.number for s in worklist.steps], event, at=AT, device="flex")
            records.journal.set_run_state(run_id, state, ended_at=AT)
        return run_id

    return add
