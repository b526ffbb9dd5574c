"""A lab in this process whose network can fail at any call: real driver, real journal, virtual robot, exact wells."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, cast

import httpx
import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.bench_file import BenchFile
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.opentrons import OpentronsRobot
from nkloop.errors import LabwareError, NkloopError
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.runs.execution import execute
from nkloop.runs.reconcile import reconcile_bench
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.service import robot_app
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.models import CheckResult, DeckItem, Filling, Liquid, OperatorTask, Step, Verdict, Worklist

Kind = Literal["refused", "reset", "timeout", "500", "slow", "twice", "late"]
When = Literal["before", "after"]
FAULTS: tuple[tuple[Kind, When], ...] = (
    ("refused", "before"),
    ("reset", "before"),
    ("timeout", "before"),
    ("500", "before"),
    ("reset", "after"),
    ("timeout", "after"),
    ("500", "after"),
    ("slow", "after"),
    ("twice", "after"),
    ("late", "before"),
)
"""What goes wrong with a call, and whether the server has acted by then. `late`: it acts after the client gave up."""
LATE_S = 0.03
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
VOLUME_UL = 50.0
DECK = BenchDeck.model_validate(
    {
        "model": "flex",
        "pipettes": [
            {
                "mount": "left",
                "load_name": "flex_1channel_1000",
                "channels": 1,
                "min_volume_ul": 5,
                "max_volume_ul": 1000,
                "accuracy": [{"volume_ul": 5, "systematic_percent": 8, "random_cv_percent": 5}],
                "source": "test",
            }
        ],
    }
)


class Call(NamedTuple):
    """One HTTP call of a run: method, route without ids, and which of its kind it was."""

    method: str
    route: str
    number: int

    def __str__(self) -> str:
        return f"{self.method} {self.route} ({self.number})"


class FaultyWire(httpx.AsyncBaseTransport):
    """Carries calls to the robot, remembers them, and lets one of them go wrong once."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._seen: Counter[tuple[str, str]] = Counter()
        self.calls: list[Call] = []
        self.fault: tuple[Call, Kind, When] | None = None
        self.underway: list[asyncio.Task[httpx.Response]] = []
        """Calls that are given up and arrive all the same."""
        self.is_cut = False
        self.cut_after: Call | None = None
        """The call after whose answer the cable is pulled."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = (request.method, _ID.sub("{id}", request.url.path))
        self._seen[key] += 1
        call = Call(*key, self._seen[key])
        self.calls.append(call)
        await request.aread()
        if self.is_cut:
            raise httpx.ConnectError("no route to host", request=request)
        if self.cut_after == call:
            self.is_cut = True
        if self.fault is not None and self.fault[0] == call:
            _, kind, when = self.fault
            self.fault = None
            return await self._goes_wrong(request, kind, when)
        return await self._delivered(request)

    async def _delivered(self, request: httpx.Request) -> httpx.Response:
        again = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        try:
            response = await self._inner.handle_async_request(again)
        except AssertionError:  # what this transport makes of an answer that was begun and never ended
            raise httpx.RemoteProtocolError("connection closed", request=request) from None
        await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    async def _arriving(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(LATE_S)
        return await self._delivered(request)

    async def _goes_wrong(self, request: httpx.Request, kind: Kind, when: When) -> httpx.Response:
        answer = await self._delivered(request) if when == "after" else None
        if kind == "refused":
            raise httpx.ConnectError("connection refused", request=request)
        if kind == "reset":
            raise httpx.ReadError("connection reset by peer", request=request)
        if kind == "late":
            self.underway.append(asyncio.create_task(self._arriving(request)))
        if kind in {"timeout", "late"}:
            raise httpx.ReadTimeout("no answer", request=request)
        if kind == "twice":
            return await self._delivered(request)
        if kind == "slow" and answer is not None:
            await asyncio.sleep(0.05)
            return answer
        error = {"id": "UnexpectedError", "title": "Unexpected", "detail": "database is locked", "errorCode": "4000"}
        return httpx.Response(500, json={"errors": [error]})


@dataclass
class Wells:
    """The hidden truth: volumes to the microlitre, and every physical command under the step it belongs to."""

    volumes: dict[str, float] = field(default_factory=lambda: {"A1": 1000.0})
    acts: list[tuple[int, int, str]] = field(default_factory=list)
    """Run of the robot, worklist step, command type."""
    seconds: float = 0.0
    n_runs: int = 0

    def refill(self) -> None:
        """Begin anew."""
        self.volumes, self.acts, self.seconds, self.n_runs = {"A1": 1000.0}, [], 0.0, 0

    @property
    def clock(self) -> Wells:
        return self

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.seconds)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def begin_run(self, analysis: Any) -> Any:
        del analysis
        self.n_runs += 1
        return _Hand(self, self.n_runs)


@dataclass
class _Hand:
    wells: Wells
    run: int
    step: int = 0

    def apply(self, command: dict[str, Any]) -> None:
        kind, params = command["commandType"], command["params"]
        message = re.match(r"step (\d+)", str(params.get("message", "")))
        self.step = int(message[1]) if message else self.step
        if kind in {"aspirate", "dispense"}:
            sign = -1 if kind == "aspirate" else 1
            well = params["wellName"]
            self.wells.volumes[well] = self.wells.volumes.get(well, 0.0) + sign * params["volume"]
        if kind in {"pickUpTip", "aspirate", "dispense"}:
            self.wells.acts.append((self.run, self.step, kind))


def _transfer(number: int, to: str, tip: str) -> Step:
    return Step(
        number=number, action="transfer", labware="plate", well="A1", to_labware="plate", to_well=to,
        volume_ul=VOLUME_UL, tip=f"tips:{tip}",
    )  # fmt: skip


WORKLIST = Worklist(
    name="small dose",
    procedure="cytokine_dosing",
    pipettes={"left": "flex_1channel_1000"},
    deck=(
        DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_tiprack_200ul"),
        DeckItem(nickname="plate", slot="D2", load_name="corning_96_wellplate_360ul_flat", barcode="P-1"),
    ),
    fillings=(Filling(labware="plate", well="A1", volume_ul=1000, liquid=Liquid(name="x", per_ul={"base": 1.0})),),
    steps=(
        _transfer(1, "B1", "A1"),
        Step(number=2, action="pause", operator=OperatorTask(kind="confirm", instruction="Look at the plate")),
        _transfer(3, "C1", "B1"),
    ),
)
TARGETS = {1: "B1", 3: "C1"}


def _command(kind: str, result: dict[str, Any] | None = None, /, **params: Any) -> dict[str, Any]:
    identifier = f"{kind}-{params.get('wellName', '')}-{params.get('message', '')}"
    return {
        "id": identifier, "key": identifier, "commandType": kind, "status": "succeeded", "params": params,
        "result": result or {}, "createdAt": AT.isoformat(),
    }  # fmt: skip


def planned_commands() -> list[dict[str, Any]]:
    """What an analysis says the robot will do with the worklist."""
    commands = [
        _command("home"),
        *(
            _command("loadLabware", {"labwareId": i.nickname}, loadName=i.load_name, location={"slotName": i.slot})
            for i in WORKLIST.deck
        ),
        _command("loadPipette", {"pipetteId": "P"}, pipetteName="p1000_single_flex", mount="left"),
    ]
    for step in WORKLIST.steps:
        told = f"step {step.number}: {step.operator.instruction if step.operator else 'transfer'}"
        commands.append(_command("comment", message=told))
        if step.action == "pause":
            commands.append(_command("waitForResume", message=told))
            continue
        flow = {"pipetteId": "P", "volume": VOLUME_UL, "flowRate": 700.0}
        commands += [
            _command("pickUpTip", pipetteId="P", labwareId="tips", wellName=step.tip.partition(":")[2]),
            _command("aspirate", **flow, labwareId="plate", wellName="A1"),
            _command("dispense", **flow, labwareId="plate", wellName=step.to_well),
            _command("dropTipInPlace", pipetteId="P"),
        ]
    return [{**command, "key": f"key-{number}"} for number, command in enumerate(commands)]


async def analyse(protocol: Path, **_: Any) -> Any:
    """Every protocol does the worklist."""
    del protocol
    nothing: dict[str, Any] = {key: [] for key in ("errors", "pipettes", "modules", "liquids")}
    labware = [{"id": i.nickname, "loadName": i.load_name, "location": {"slotName": i.slot}} for i in WORKLIST.deck]
    return SimpleNamespace(result="ok", commands=planned_commands(), labware=labware, **nothing)


class _Catalogue:
    def definition(self, load_name: str) -> None:
        del load_name

    def __getitem__(self, load_name: str, /) -> Any:
        raise LabwareError(f"{load_name} is not in the catalogue")


@dataclass
class _Operator:
    """Confirms everything; does by hand what a test has put under a part of the title."""

    name: str = "technician"
    hands: dict[str, Callable[[], Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    chooses: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Part of a title to what is chosen there, and why."""
    requests: list[OperatorRequest] = field(default_factory=list)
    leaves: str = ""
    """Part of a title that is not answered by anybody."""

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        self.asked.append(request.title)
        self.requests.append(request)
        for part, act in self.hands.items():
            if part in request.title:
                act()
        if self.leaves and self.leaves in request.title:
            await asyncio.sleep(3600)
        choice, why = next((told for part, told in self.chooses.items() if part in request.title), ("", ""))
        return OperatorAnswer(confirmed_by="Ada", at=AT, choice=choice, note=why)


class _Clock:
    async def now(self) -> datetime:
        return AT


@dataclass
class NetworkLab:
    """One bench with its journal and the truth about its wells."""

    wells: Wells
    robot: VirtualRobot
    wire: FaultyWire
    bench: Bench
    records: Records
    operator: _Operator

    worklist = WORKLIST
    verdict = Verdict(
        worklist=WORKLIST.name,
        worklist_hash=WORKLIST.content_hash,
        checks=(CheckResult(check="ledger", passed=True, seconds=0),),
    )

    @staticmethod
    def now() -> datetime:
        """Time of the bench."""
        return AT

    @staticmethod
    async def until(happened: Callable[[], bool]) -> None:
        """Wait until something has happened."""
        for _ in range(3000):
            if happened():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("it does not happen")

    async def dose(self, plate: str = "") -> RunRecord | NkloopError:
        """Run the worklist as a user does, on a plate of its own where one is named; an error is what he is told."""
        deck = (
            item.model_copy(update={"barcode": plate}) if item.barcode and plate else item for item in WORKLIST.deck
        )
        worklist = WORKLIST.model_copy(update={"deck": tuple(deck)})
        verdict = self.verdict.model_copy(update={"worklist_hash": worklist.content_hash})
        try:
            return await execute(worklist, verdict, self.bench, self.records)
        except NkloopError as error:
            return error

    def cut_after(self, method: str, route: str, number: int) -> None:
        """Pull the cable when this call has been answered."""
        self.wire.cut_after = Call(method, route, number)

    async def reconcile(self) -> None:
        """Come back when the network is well again."""
        self.wire.fault, self.wire.is_cut, self.wire.cut_after = None, False, None
        await reconcile_bench(self.bench, self.records)

    def runs(self) -> tuple[RunRecord, ...]:
        """Every run the journal has."""
        return self.records.journal.runs()

    def contradictions(self) -> list[str]:
        """Where the journal and the wells contradict each other, or something happened twice. Empty is right."""
        found = [
            f"step {step} made {kind} {times} times"
            for (step, kind), times in Counter((step, kind) for _, step, kind in self.wells.acts).items()
            if times > 1
        ]
        done = Counter(step for _, step, kind in self.wells.acts if kind == "dispense")
        told: Counter[int] = Counter()
        unclear: set[int] = set()
        for run in self.runs():
            told.update(step.number for step in run.steps if step.event == "done" and step.number in TARGETS)
            unclear.update(step.number for step in run.steps if step.event in {"unknown", "sent", "seen"})
        found += [
            f"step {step}: the journal says done {told[step]} times, the wells have it {done[step]} times"
            for step in TARGETS
            if step not in unclear and told[step] != done[step]
        ]
        found += [f"step {step} is certain to be done, but was not" for step in TARGETS if told[step] > done[step]]
        for step, well in TARGETS.items():
            volume = self.wells.volumes.get(well, 0.0)
            if volume != VOLUME_UL * done[step]:
                found.append(f"well {well} holds {volume} µL after {done[step]} doses")
        open_runs = [run.id for run in self.runs() if not run.is_over]
        return found + [f"{run} is still open" for run in open_runs]

    def under_way(self) -> list[str]:
        """Runs of the robot that could still move something by themselves."""
        return [run.id for run in self.robot.runs.all() if run.is_under_way]

    def left_ready(self) -> list[str]:
        """Runs that anybody could start on the robot's screen, and that no open run of the journal answers for."""
        known = {run.device_run_id for run in self.runs() if not run.is_over}
        runs = (run for run in self.robot.runs.all() if run.status == "idle" and run.is_current)
        return [run.id for run in runs if run.id not in known]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "records.db"
    made = Records(f"sqlite:///{path}")
    made.migrate()
    made.close()
    return path


@pytest.fixture
def faulty_wire() -> type[FaultyWire]:
    """`faulty_wire(app)`: a network to a robot that may fail once."""
    return FaultyWire


OpenLab = Callable[..., Any]


Built = tuple[Wells, VirtualRobot, Any]


@pytest.fixture(scope="session")
def robots() -> list[Built]:
    """Robots nobody uses: their routes take longer to build than a run takes, so they are used again."""
    return []


def _robot(robots: list[Built], folder: Path, **robot_is: Any) -> Built:
    """A robot as it comes from the factory, with the faults and settings asked for."""
    if not robots:
        wells = Wells()
        robot = VirtualRobot(wells, DECK, analyse, folder=folder, **robot_is)
        return wells, robot, robot_app(robot)
    wells, robot, app = robots.pop()
    wells.refill()
    robot.__init__(wells, DECK, analyse, folder=folder, **robot_is)  # type: ignore[misc]
    return wells, robot, app


@pytest.fixture
def open_lab(tmp_path: Path, migrated: Path, robots: list[Built]) -> OpenLab:
    """`async with open_lab(name) as lab`: a lab of its own, with everything closed at the end."""
    protocols = tmp_path / "protocols"
    protocols.mkdir()
    text = 'requirements = {"robotType": "Flex", "apiLevel": "2.20"}\n\n\ndef add_parameters(p):\n'
    text += '    p.add_csv_file(variable_name="worklist", display_name="Worklist")\n\n\ndef run(ctx):\n    pass\n'
    (protocols / "cytokine_dosing.py").write_text(text)
    device = {"driver": "a.b:C"}
    file = BenchFile.model_validate(
        {
            "name": "fake",
            "title": "Fake",
            "simulated": True,
            "deck": DECK,
            "liquid_handler": device,
            "plate_reader": device,
            "cell_counter": device,
            "operator": device,
            "clock": device,
            "lots": "lots.yaml",
        }
    )

    @asynccontextmanager
    async def lab(name: str, *, driver: dict[str, Any] | None = None, **robot_is: Any) -> AsyncIterator[NetworkLab]:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(migrated, folder / "records.db")
        records = Records(f"sqlite:///{folder / 'records.db'}")
        wells, robot, app = _robot(robots, folder, **robot_is)
        wire = FaultyWire(app)
        handler = OpentronsRobot(
            "flex", "http://localhost", protocols=protocols, catalogue=_Catalogue(), deck=DECK, poll_seconds=0.02,
            transport=wire, **(driver or {}),
        )  # fmt: skip
        operator = _Operator()
        bench = Bench(file, handler, cast(Any, None), cast(Any, None), operator, cast(Any, _Clock()))
        try:
            yield NetworkLab(wells, robot, wire, bench, records, operator)
        finally:
            await asyncio.gather(*wire.underway, return_exceptions=True)
            with suppress(NkloopError):
                await handler.close()
            records.close()
            robot.cut_power()
            await robot.close()
            robots.append((wells, robot, app))

    return lab


@pytest.fixture
def faults() -> tuple[tuple[Kind, When], ...]:
    """What can go wrong with a call."""
    return FAULTS


@pytest.fixture
def planned() -> list[dict[str, Any]]:
    """What an analysis says the robot will do with the worklist."""
    return planned_commands()
