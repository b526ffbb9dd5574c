"""The driver-side classes over HTTP: operator, clock, counter, and the reader as PyLabRobot drives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import cor_96_wellplate_360uL_Fb

import nkloop
from nkloop.drivers.bench import load_bench_file
from nkloop.drivers.interfaces import Clock, OperatorRequest
from nkloop.errors import BenchError, DeviceError, DeviceUnreachableError
from nkloop.virtual.book import WorldBook
from nkloop.virtual.clock import VirtualClock
from nkloop.virtual.clock_world import START, WorldClock
from nkloop.virtual.counter import VirtualCounter
from nkloop.virtual.operator import VirtualOperator
from nkloop.virtual.reader import VirtualReaderBackend
from nkloop.virtual.routes import Home, world_router
from nkloop.virtual.world import World
from nkloop.worklists.models import OperatorTask

URL = "http://bench"


@pytest.fixture
def transport(world: World) -> httpx.ASGITransport:
    """The world's routes without a network."""
    app = FastAPI()
    app.include_router(world_router(WorldBook(world)))
    return httpx.ASGITransport(app)


@pytest.fixture
async def http(transport: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client."""
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


def dyed(kit: Any) -> Any:
    """A plate with stop solution in A1 and living labelled targets in B2."""
    deck = kit.deck().put("plate", "C2", "flat_96", barcode="P1")
    return deck.fill("plate", "A1", 100, "LDH stop solution").fill(
        "plate", "B2", 100, "line:K-562+calcein", cells=100.0
    )


async def into_the_reader(kit: Any, operator: VirtualOperator) -> None:
    """Load the plate and put it into the reader."""
    look = OperatorTask(kind="confirm", instruction="load the deck")
    await operator.perform(OperatorRequest(title="load", task=look, worklist=dyed(kit).worklist()))
    move = OperatorTask(kind="move_to_reader", instruction="into the reader", labware=("plate",))
    await operator.perform(OperatorRequest(title="read", task=move, barcodes={"plate": "P1"}))


@pytest.fixture
async def reader(transport: httpx.ASGITransport) -> AsyncIterator[PlateReader]:
    """A PyLabRobot reader around the virtual backend."""
    backend = VirtualReaderBackend(URL, transport)
    frontend = PlateReader(name="reader", size_x=1, size_y=1, size_z=1, backend=backend)
    await frontend.setup()
    yield frontend
    await frontend.stop()


async def test_pylabrobot_reads_the_plate_whose_name_is_the_barcode(
    kit: Any, transport: httpx.ASGITransport, reader: PlateReader
) -> None:
    await into_the_reader(kit, VirtualOperator("operator", URL, transport))
    plate = cor_96_wellplate_360uL_Fb(name="P1")
    reader.assign_child_resource(plate)
    (absorbance,) = await reader.read_absorbance(wavelength=490, use_new_return_type=True)
    assert len(absorbance["data"]) == 8
    assert len(absorbance["data"][0]) == 12
    assert absorbance["data"][0][0] == pytest.approx(0.045, abs=0.02)
    assert datetime.fromtimestamp(absorbance["time"], UTC).year == 2026
    wells = plate["B2"] + plate["C3"]
    (fluorescence,) = await reader.read_fluorescence(
        excitation_wavelength=485, emission_wavelength=520, focal_height=5, wells=wells, use_new_return_type=True
    )
    assert fluorescence["data"][1][1] > 20 * fluorescence["data"][2][2]
    assert fluorescence["data"][0][0] is None
    (luminescence,) = await reader.read_luminescence(focal_height=5, wells=wells, use_new_return_type=True)
    assert luminescence["data"][1][1] < 200
    assert reader.backend.serialize()["url"] == URL


async def test_the_reader_refuses_a_plate_it_does_not_hold(reader: PlateReader) -> None:
    reader.assign_child_resource(cor_96_wellplate_360uL_Fb(name="P9"))
    with pytest.raises(DeviceError, match="holds no plate, not P9"):
        await reader.read_absorbance(wavelength=490, use_new_return_type=True)


async def test_the_clock_runs_when_somebody_waits(world: World, transport: httpx.ASGITransport) -> None:
    clock: Clock = VirtualClock("clock", URL, transport)
    assert await clock.now() == START == datetime(2026, 1, 5, 8, tzinfo=UTC)
    await clock.sleep_until(START + timedelta(days=35))
    assert await clock.now() == START + timedelta(days=35) == world.clock.now()
    await clock.sleep_until(START)
    assert await clock.now() == START + timedelta(days=35)
    with pytest.raises(ValueError, match="no zone"):
        await clock.sleep_until(datetime(2026, 3, 1))


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(BenchError, match="cannot advance by -1"):
        WorldClock().advance(-1)
    with pytest.raises(BenchError, match="no zone"):
        WorldClock().seconds_until(datetime(2026, 3, 1))


async def test_the_counter_counts_in_the_order_named(kit: Any, world: World, transport: httpx.ASGITransport) -> None:
    deck = kit.deck().put("culture", "C2", "culture_24", barcode="C1")
    deck.fill("culture", "A1", 1000, "donor:U1", cells=500.0).fill("culture", "B1", 1000, "donor:U2", cells=100.0)
    deck.load(world)
    first, second = await VirtualCounter("counter", URL, transport).count("C1", ("B1", "A1"))
    assert (first.well, second.well) == ("B1", "A1")
    assert second.viable_per_ml == pytest.approx(450_000, rel=0.4)
    assert second.viability_percent == pytest.approx(90, abs=8)
    assert second.cd34_percent > 95
    assert second.purity_percent < 5


async def test_the_operator_says_who_and_when_and_passes_refusals_on(
    kit: Any, world: World, transport: httpx.ASGITransport
) -> None:
    operator = VirtualOperator("operator", URL, transport)
    task = OperatorTask(kind="incubate", instruction="30 min dark", minutes=30, temperature_c=22)
    answer = await operator.perform(OperatorRequest(title="wait", task=task))
    assert answer.confirmed_by == "virtual operator"
    assert answer.at == world.clock.now() == START + timedelta(minutes=31)
    deck = kit.deck().put("tubes", "B1", "tubes_15ml").fill("tubes", "A1", 100, "LOT-7").fill("tubes", "A2", 9, None)
    with pytest.raises(DeviceError, match=r"lot LOT-7 is not in the lot list \(and 1 more\)") as caught:
        await operator.perform(OperatorRequest(title="load", task=task, worklist=deck.worklist()))
    assert caught.value.problems[0].remedy
    assert world.clock.now() == answer.at


async def test_a_barcode_can_come_with_the_request(kit: Any, world: World, transport: httpx.ASGITransport) -> None:
    worklist = kit.deck().put("plate", "C2", "flat_96").worklist()
    task = OperatorTask(kind="confirm", instruction="load")
    request = OperatorRequest(title="load", task=task, worklist=worklist, barcodes={"plate": "P7"})
    await VirtualOperator("operator", URL, transport).perform(request)
    assert list(world.containers) == ["P7"]


async def test_refusals_are_problem_details(http: httpx.AsyncClient, kit: Any) -> None:
    deck = kit.deck().put("tubes", "B1", "tubes_15ml").fill("tubes", "A1", 100, "LOT-7").worklist()
    refused = await http.post("/virtual/deck", json={"worklist": deck.model_dump(mode="json")})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["problems"][0]["where"] == "tubes A1"
    read = await http.post("/virtual/read", json={"barcode": "P1", "load_name": "x", "mode": "absorbance"})
    assert (read.status_code, read.json()["title"]) == (409, "Refused by the virtual bench")
    assert (await http.post("/virtual/clock/advance", json={"until": "2026-03-01T00:00:00"})).status_code == 422


async def test_truth_and_incidents_can_be_audited(http: httpx.AsyncClient, kit: Any, world: World) -> None:
    dyed(kit).load(world)
    world.note("spill", "here", "a drop")
    contents = (await http.get("/virtual/contents")).json()
    assert contents["P1"]["A1"]["volume_ul"] == 100
    assert "target:K-562+calcein" in contents["P1"]["B2"]["amounts"]
    (incident,) = (await http.get("/virtual/incidents")).json()
    assert (incident["kind"], incident["message"]) == ("spill", "a drop")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(httpx.Response(500, text="oops"), "answered 500", id="no_json"),
        pytest.param(httpx.Response(422, json={"detail": [{"loc": ["x"]}]}), "answered 422.*loc", id="not_ours"),
    ],
)
async def test_answers_of_another_kind_become_our_errors(answer: httpx.Response, message: str) -> None:
    clock = VirtualClock("clock", URL, httpx.MockTransport(lambda _: answer))
    with pytest.raises(DeviceError, match=message):
        await clock.now()


async def test_a_bench_that_is_not_there_is_told_and_nothing_is_sent_twice() -> None:
    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ConnectError("refused")

    operator = VirtualOperator("operator", URL, httpx.MockTransport(refuse))
    task = OperatorTask(kind="confirm", instruction="look")
    with pytest.raises(DeviceUnreachableError, match="does not answer: refused"):
        await operator.perform(OperatorRequest(title="look", task=task))
    assert asked == ["/virtual/task"]
    await operator.close()


def test_the_world_of_a_workspace_knows_its_lots_and_labware() -> None:
    workspace = Path(nkloop.__file__).parents[2]
    world = World.create(workspace, load_bench_file(workspace / "devices" / "virtual.yaml"), seed=1)
    assert "LOT-IL2-01" in world.stocks
    assert world.stocks.per_ul("LOT-IL2-01")["IL-2"] == pytest.approx(1640, rel=0.1)
    assert world.catalogue["corning_24_wellplate_3.4ml_flat"].columns == 6
    assert world.pipette("right", "p1000_multi_flex").channels == 8


async def test_the_bench_of_another_workspace_is_refused_before_anything_is_asked(world: World, tmp_path: Path) -> None:
    app, mine, other = FastAPI(), tmp_path / "mine", tmp_path / "other"
    home = Home(workspace=str(other), bench="virtual", ledger=str(other / "world.jsonl"))
    app.include_router(world_router(WorldBook(world), home=home))
    transport = httpx.ASGITransport(app)
    refused = rf"belongs to workspace {other} \(bench virtual, its acts .*this is workspace {mine}.*--workspace {other}"
    for ask in (
        VirtualClock("clock", URL, transport, workspace=mine).now,
        VirtualClock("clock", URL, transport, workspace=mine).require_own,
        VirtualOperator("Ada", URL, transport, workspace=mine).inspect,
    ):
        with pytest.raises(BenchError, match=refused):
            await ask()
    assert (await VirtualClock("clock", URL, transport, workspace=other / ".").now()).utcoffset() is not None


async def test_two_that_ask_at_once_are_both_answered(tmp_path: Path) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return httpx.Response(200, json={"workspace": str(tmp_path), "now": START.isoformat()})

    clock = VirtualClock("clock", URL, httpx.MockTransport(answer), workspace=tmp_path)
    assert await asyncio.gather(clock.now(), clock.now()) == [START, START]


async def test_the_operator_closes_the_door_when_asked_to() -> None:
    asked: list[tuple[str, str, bytes]] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.content))
        return httpx.Response(200, json={"now": START.isoformat()})

    operator = VirtualOperator("operator", URL, httpx.MockTransport(note))
    task = OperatorTask(kind="confirm", instruction="Close the front door.")
    await operator.perform(OperatorRequest(title="the robot is blocked-by-open-door", task=task, closes_door=True))
    assert asked[0] == ("PUT", "/virtual/door", b'{"on":false}')
    assert [path for _, path, _ in asked[1:]] == ["/virtual/task"]
