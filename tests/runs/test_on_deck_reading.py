"""A plate read by a Flex in its own reader, on the shipped bench with simulated hardware: a run that is journalled."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import uvicorn

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.errors import (
    BenchError,
    DeviceError,
    DeviceHeldError,
    OperatorRefusedError,
    StaleHolderError,
    StepUnknownError,
)
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.runs.asking import question
from nkloop.runs.contents import known_contents
from nkloop.runs.deciding import decide
from nkloop.runs.execution import prepare_run
from nkloop.runs.on_deck import keep_reading
from nkloop.runs.reading import read_plate
from nkloop.runs.reconcile import reconcile_bench, reconcile_run
from nkloop.runs.recovery import finish_latest
from nkloop.runs.session import Session
from nkloop.vendor import VendorClient, answers_folder
from nkloop.virtual.app import create_app
from nkloop.virtual.book import WorldBook
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.world import World
from nkloop.worklists.models import DeckItem, Verdict, Worklist

SCRIPT = Path(__file__).with_name("dying_reader.py")
_spec = importlib.util.spec_from_file_location("dying_reader", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
dying: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(dying)
REQUEST, PLATE, AT, FILE = dying.REQUEST, dying.PLATE, dying.AT, dying.FILE
pytestmark = pytest.mark.vendor


class Setup:
    """The bench `flex_byonoy` whose robot is simulated."""

    def __init__(self, tmp_path: Path, vendor: VendorClient) -> None:
        self.world = World.create(dying.ROOT, FILE, 1)
        book = WorldBook(self.world)
        folder, memory = tmp_path / "robot", tmp_path / "robot.sqlite"
        self.robot = VirtualRobot(book, FILE.deck, vendor.analyse, folder=folder, memory=memory)
        self.app = create_app(book, self.robot)
        self.bench, self.reader, self.person = dying.flex_bench("http://r", transport=httpx.ASGITransport(app=self.app))
        self.world.place(DeckItem(nickname="plate", slot="C2", load_name=PLATE, barcode="P-1"), "P-1")

    @property
    def statuses(self) -> list[str]:
        return [run.status for run in self.robot.runs.all()]

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = uvicorn.Server(uvicorn.Config(self.app, ws="none", lifespan="off", log_config=None))
            task = asyncio.create_task(serving.serve(sockets=[listener]))
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                serving.should_exit = True
                await task

    async def killed(self, records: Records, place: str, run_id: str) -> None:
        """Read in a process of its own, which is killed at this place."""
        async with self.served() as url:
            dead = await asyncio.create_subprocess_exec(sys.executable, str(SCRIPT), records.url, url, place, run_id)
            assert await dead.wait() == -signal.SIGKILL


@pytest.fixture
async def vendor() -> AsyncIterator[VendorClient]:
    async with VendorClient(answers_folder()) as client:
        yield client


@pytest.fixture
def lab(tmp_path: Path, vendor: VendorClient) -> Setup:
    return Setup(tmp_path, vendor)


async def test_the_plate_is_read_in_a_run_that_is_journalled(
    lab: Setup, records: Records, worklist: Worklist, journalled: Any
) -> None:
    run_id = journalled(worklist)
    reading = await read_plate(lab.bench, REQUEST, records, run_id=run_id)
    assert len(reading.values) == 96
    assert reading.serial_number == "absorbanceReaderV1-3"
    assert reading.read_at == AT, "by the bench's clock"
    assert lab.world.in_reader == "P-1"
    assert records.results.reading_of(run_id) == reading
    run = records.journal.runs()[-1]
    assert (run.name, run.state, run.device) == ("Read plate P-1 at 450, 650 nm", "succeeded", "plate reader")
    assert [step.event for step in run.steps] == ["done"] * 7
    assert {event.event for event in records.journal.events(run.id)} == {"intended", "sent", "seen", "done"}
    assert [one.name for one in run.files] == [
        "nkloop-reading-P-1-450nm.csv",
        "nkloop-reading-P-1-650nm.csv",
        "absorbance_1.json",
    ]
    assert reading.file_sha256 == run.files[0].sha256
    assert [request.task.instruction for request in lab.person.asked] == [
        "Put plate P-1 into plate reader, lid off, A1 at the mark."
    ]
    assert lab.statuses == ["succeeded"]
    assert keep_reading(run, lab.bench, records) == reading
    assert len(records.results.readings()) == 1, "nothing is read twice"


async def test_a_plate_nobody_puts_in_leaves_the_robot_stopped_and_a_robot_in_use_is_left_alone(
    lab: Setup, records: Records
) -> None:
    def declines(request: OperatorRequest) -> None:
        raise OperatorRefusedError("Ada declined: the plate is broken", where=request.title)

    lab.person.before = declines
    with pytest.raises(OperatorRefusedError, match="the plate is broken"):
        await read_plate(lab.bench, REQUEST, records)
    run = records.journal.runs()[-1]
    assert (lab.statuses, run.state, run.unknown_steps) == (["stopped"], "interrupted", ())
    assert run.steps[3].detail == "declined by Ada: the plate is broken"
    records.claims.claim(FILE.locks, "another run")
    with pytest.raises(DeviceHeldError, match="another run"):
        await read_plate(lab.bench, REQUEST, records)
    assert records.results.readings() == ()


async def test_a_door_left_open_over_the_plate_is_asked_to_be_closed(lab: Setup, records: Records) -> None:
    def opens_and_closes(request: OperatorRequest) -> None:
        lab.robot.set_door(request.task.kind == "move_to_reader")

    lab.person.before = opens_and_closes
    assert (await read_plate(lab.bench, REQUEST, records)).barcode == "P-1"
    assert [request.task.instruction for request in lab.person.asked] == [
        "Put plate P-1 into plate reader, lid off, A1 at the mark.",
        "Close the front door and the top window of the robot.",
    ]
    told = [action.title for action in records.journal.actions(records.journal.runs()[-1].id)]
    assert told[-1] == "Read plate P-1 at 450, 650 nm: the robot is blocked-by-open-door"


async def test_an_empty_reader_is_told_and_the_next_reading_begins_anew(lab: Setup, records: Records) -> None:
    perform, lab.person.hands.perform = lab.person.hands.perform, _puts_nothing_in
    with pytest.raises(DeviceError, match=r"plate P-1 was not read, run run-0001 ended as failed: .*holds no plate"):
        await read_plate(lab.bench, REQUEST, records)
    lab.person.hands.perform = perform
    assert (await read_plate(lab.bench, REQUEST, records)).barcode == "P-1"
    assert lab.statuses == ["failed", "succeeded"]


async def _puts_nothing_in(request: OperatorRequest) -> OperatorAnswer:
    return OperatorAnswer(confirmed_by="Ada", at=AT)


async def test_a_stale_holder_is_told_and_leaves_the_run_to_the_next(lab: Setup, records: Records) -> None:
    def taken_over(request: OperatorRequest) -> None:
        with records.journal._database.writing() as connection:
            connection.exec_driver_sql("UPDATE device_holders SET expires_at = claimed_at")
        records.claims.claim(FILE.locks, "reconcile")

    lab.person.before = taken_over
    with pytest.raises(StaleHolderError, match="held by reconcile"):
        await read_plate(lab.bench, REQUEST, records)
    assert lab.statuses == ["paused"], "nothing was sent, not even a stop"


async def test_a_run_of_somebody_else_is_not_replaced(lab: Setup, records: Records) -> None:
    lab.robot.runs.add(None, [], [])
    with pytest.raises((BenchError, DeviceError), match=r"is idle.*cancel it on the robot's screen"):
        await read_plate(lab.bench, REQUEST, records)
    assert lab.statuses == ["idle"]


@pytest.mark.parametrize(
    ("place", "told", "asked", "statuses"),
    [
        ("run made", "was never started, so nothing was moved", 0, ["stopped"]),
        ("prepared", "was never started, so nothing was moved", 0, ["stopped"]),
        ("waits for the plate", "was followed to its end; plate P-1 was measured", 1, ["succeeded"]),
        ("measuring", "plate P-1 was measured, 96 wells at 450 nm are kept", 0, ["succeeded"]),
    ],
)
async def test_after_a_kill_the_robot_is_asked_and_what_was_measured_is_fetched(
    lab: Setup, records: Records, worklist: Worklist, journalled: Any, place: str, told: str, asked: int,
    statuses: list[str],
) -> None:  # fmt: skip
    origin = journalled(worklist)
    await lab.killed(records, place, origin)
    (left,) = [run for run in records.journal.runs() if not run.is_over]
    assert left.name == "Read plate P-1 at 450, 650 nm"
    found = await reconcile_run(left.id, lab.bench, records)
    assert told in found.told
    assert (found.run.is_over, found.run.unknown_steps, len(lab.person.asked)) == (True, (), asked)
    assert lab.statuses == statuses
    if "measured" not in told:
        assert "to read it again does no harm" in found.told
        assert records.results.readings() == ()
        await read_plate(lab.bench, REQUEST, records, run_id=origin)
    assert [one.barcode for one in records.results.readings()] == ["P-1"]
    assert records.results.reading_of(origin) is not None


async def test_a_reading_whose_program_died_before_it_was_recorded_is_taken_in(
    lab: Setup, records: Records, worklist: Worklist, journalled: Any
) -> None:
    origin = journalled(worklist)
    await lab.killed(records, "closed", origin)
    assert records.results.reading_of(origin) is None
    catalogue = Catalogue.load(dying.ROOT / "labware")
    session = SimpleNamespace(bench=lab.bench, bench_file=FILE, records=records, catalogue=catalogue)
    await finish_latest(cast(Session, session))
    await finish_latest(cast(Session, session))
    assert len(records.results.readings()) == 1
    assert records.results.reading_of(origin) is not None


async def test_a_reading_the_robot_has_forgotten_holds_everything_up_until_somebody_has_looked(
    lab: Setup, records: Records, worklist: Worklist, verdict: Verdict
) -> None:
    await lab.killed(records, "waits for the plate", "")
    lab.robot.cut_power()
    lab.robot.switch_on()
    ((found),) = await reconcile_bench(lab.bench, records)
    assert (found.run.state, found.run.unknown_steps) == ("interrupted", (4, 5, 6, 7))
    assert "the plate was not measured" in found.told
    for again in (
        read_plate(lab.bench, REQUEST, records),
        prepare_run(worklist, verdict, lab.bench, records),
    ):
        with pytest.raises(StepUnknownError, match=r"nobody has said where its lid and the plate are.*reconcile run-"):
            await again
    catalogue = Catalogue.load(dying.ROOT / "labware")
    asked = question(found.run.id, records, catalogue, FILE.deck)
    assert [step.sentence for step in asked.steps][1:] == [
        "close the lid over the plate",
        "measure the plate at 450, 650 nm",
        "open the lid, so that the plate can be taken out",
    ]
    decided = await decide(
        found.run.id, "continue", by="Ada", reason="lid is open, plate in", at=AT, records=records,
        catalogue=catalogue, deck=FILE.deck, verify=cast(Any, None),
    )  # fmt: skip
    assert decided.follow_up is None
    assert (await read_plate(lab.bench, REQUEST, records)).barcode == "P-1"


async def test_a_reading_changes_nothing_of_what_the_plate_is_known_to_hold(
    lab: Setup, records: Records, worklist: Worklist, journalled: Any
) -> None:
    journalled(worklist)
    catalogue = Catalogue.load(dying.ROOT / "labware")
    before = known_contents(records, catalogue, FILE.deck, "P-1")
    await read_plate(lab.bench, REQUEST, records)
    assert known_contents(records, catalogue, FILE.deck, "P-1") == before


async def test_a_bench_that_has_lost_its_reader_says_so(lab: Setup, records: Records, bench: Bench) -> None:
    await lab.killed(records, "prepared", "")
    other = replace(lab.bench, plate_reader=bench.plate_reader)
    with pytest.raises(BenchError, match="has no reader on the deck of its robot any more"):
        await reconcile_bench(other, records)
    (left,) = records.journal.open_runs(FILE.locks, FILE.name)
    assert (await reconcile_run(left.id, other, records, is_lost=True)).run.is_over
