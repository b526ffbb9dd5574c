"""The plate reader on a Flex: opened by a run, read, its files copied out and parsed, left safe when it fails."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.bench import load_bench_file
from nkloop.drivers.interfaces import DeviceFile
from nkloop.drivers.opentrons import FlexPlateReader
from nkloop.drivers.opentrons.plate_protocol import plate_protocol
from nkloop.drivers.opentrons.plate_reader import parsed_file
from nkloop.errors import BenchError, DeviceError, DeviceUnreachableError, StaleHolderError
from nkloop.labware import Catalogue
from nkloop.vendor import VendorClient, answers_folder
from nkloop.virtual.robot.compliance import ALL_SCOPES, Compliance
from nkloop.virtual.robot.maintenance import MaintenanceRun
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.service import robot_app

ROOT = Path(__file__).resolve().parents[2]
FILE = load_bench_file(ROOT / "devices" / "flex_byonoy.yaml")
DECK = FILE.deck
PLATE = "corning_96_wellplate_360ul_flat"
REQUEST = ReadRequest(barcode="P-1", load_name=PLATE, mode="absorbance", wavelength_nm=450)
WELLS = [f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13)]


@dataclass
class World:
    """A plate in the reader, with an optical density that grows from well to well; 0.1 of it at 600 nm."""

    holds_plate: bool = True
    time: datetime = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    done: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda command: None
    """Called with each command before the robot does it."""

    @property
    def clock(self) -> World:
        return self

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def begin_run(self, analysis: Any) -> Any:
        def apply(command: dict[str, Any]) -> None:
            self.before(command["commandType"])
            self.done.append(command["commandType"])

        return SimpleNamespace(apply=apply)

    def measure(self, wavelengths_nm: Any) -> dict[str, dict[str, float]]:
        if not self.holds_plate:
            raise DeviceError("the reader holds no plate")
        share = {450: 1.0, 600: 0.1, 650: 0.1, 562: 0.5}
        return {str(nm): {well: round(share[nm] * n / 20, 4) for n, well in enumerate(WELLS)} for nm in wavelengths_nm}


def commands(wavelengths: tuple[int, ...], file_name: str) -> list[dict[str, Any]]:
    """What the analysis of the protocol says; held against the real one below."""
    module = {"moduleId": "M"}
    listed: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("home", {}, {}),
        ("loadModule", {"model": "absorbanceReaderV1", "location": {"slotName": "D3"}}, module),
        ("loadLabware", {"location": "offDeck", "loadName": PLATE}, {"labwareId": "L"}),
        ("absorbanceReader/closeLid", module, {}),
        ("absorbanceReader/initialize", {**module, "sampleWavelengths": list(wavelengths)}, {}),
        ("absorbanceReader/openLid", module, {}),
        ("moveLabware", {"labwareId": "L", "newLocation": module, "strategy": "manualMoveWithPause"}, {}),
        ("absorbanceReader/closeLid", module, {}),
        ("absorbanceReader/read", {**module, "fileName": file_name}, {"data": {}}),
        ("absorbanceReader/openLid", module, {}),
    ]
    return [
        {"id": f"c{n}", "key": f"k{n}", "commandType": kind, "status": "succeeded", "params": params, "result": result}
        for n, (kind, params, result) in enumerate(listed)
    ]


@dataclass
class Lab:
    world: World
    robot: VirtualRobot
    reader: FlexPlateReader

    async def read(self, request: ReadRequest = REQUEST) -> Any:
        await self.reader.open_for(request)
        return await self.reader.read(request)


Make = Callable[..., Lab]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def lab(url: str = "http://r", compliance: Compliance | None = None, **settings: Any) -> Lab:
        async def analyse(protocol: Path, **_: Any) -> Any:
            text = await asyncio.to_thread(protocol.read_text)
            wavelengths = tuple(nm for nm in (450, 562, 600, 650) if f" {nm}" in text or f"[{nm}" in text)
            nothing: dict[str, Any] = {key: [] for key in ("errors", "labware", "pipettes", "modules", "liquids")}
            return SimpleNamespace(result="ok", commands=commands(wavelengths, "nkloop-reading-P-1-"), **nothing)

        world = World()
        robot = VirtualRobot(world, DECK, analyse, folder=tmp_path / "robot", compliance=compliance)
        transport = httpx.ASGITransport(app=robot_app(robot), raise_app_exceptions=False)
        catalogue = Catalogue.load(ROOT / "labware")
        usual: dict[str, Any] = {"deck": DECK, "poll_seconds": 0.002, "wait_seconds": 3.0} | settings
        return Lab(world, robot, FlexPlateReader("reader", url, catalogue=catalogue, transport=transport, **usual))

    return lab


async def test_a_plate_is_read_between_two_openings_of_the_lid_and_its_file_is_copied_out(make: Make) -> None:
    lab = make()
    await lab.reader.open_for(REQUEST)
    assert lab.world.done[-1] == "absorbanceReader/openLid", "the plate can be put in, the blank has been measured"
    current = lab.robot.runs.current()
    assert current is not None
    assert current.status == "paused"
    reading = await lab.reader.read(REQUEST)
    assert (reading.barcode, reading.wavelength_nm, reading.values["A2"], reading.values["H12"]) == (
        "P-1",
        450,
        0.05,
        4.75,
    )
    assert reading.saturated == tuple(WELLS[80:])
    assert lab.world.done[-1] == "absorbanceReader/openLid"
    [csv, numbers] = lab.reader.files
    assert csv.name == "nkloop-reading-P-1-450nm.csv"
    assert reading.file_sha256 == hashlib.sha256(csv.content).hexdigest()
    assert numbers.media_type == "application/json"
    assert [run.is_current for run in lab.robot.runs.all()] == [False]


async def test_a_reference_wavelength_is_read_in_the_same_run_and_subtracted(make: Make) -> None:
    lab = make()
    request = REQUEST.model_copy(update={"reference_wavelength_nm": 650, "wells": ("A1", "B3")})
    reading = await lab.read(request)
    assert reading.values == {"A1": 0.0, "B3": pytest.approx(0.9 * 14 / 20)}
    assert [one.name for one in lab.reader.files if one.media_type == "text/csv"] == [
        "nkloop-reading-P-1-450nm.csv",
        "nkloop-reading-P-1-650nm.csv",
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mode": "fluorescence"}, "reads absorbance only"),
        ({"wavelength_nm": 340}, "340. nm is outside 350 to 1000 nm"),
        ({"load_name": "corning_24_wellplate_3.4ml_flat"}, "has 24 wells, it reads 96"),
    ],
)
async def test_what_it_cannot_read_is_refused_before_the_robot_is_asked(make: Make, changes: Any, told: str) -> None:
    lab = make()
    with pytest.raises(DeviceError, match=told):
        await lab.reader.open_for(REQUEST.model_copy(update=changes))
    assert lab.robot.runs.all() == []


def _no_gripper(lab: Lab) -> None:
    instruments = lab.robot.hardware.instruments
    lab.robot.hardware.instruments = lambda: instruments()[:-1]  # type: ignore[method-assign]


def _no_module(lab: Lab) -> None:
    lab.robot.hardware.modules.pop()


def _plain_slot(lab: Lab) -> None:
    lab.robot.hardware.fixtures[-1]["cutoutFixtureId"] = "singleRightSlot"
    for fixture in lab.robot.hardware.fixtures:
        if fixture["cutoutId"] == "cutoutD3":
            fixture["cutoutFixtureId"] = "singleRightSlot"


def _busy(lab: Lab) -> None:
    lab.robot.runs.add(None, [], [])


def _door_open(lab: Lab) -> None:
    lab.robot.set_door(True)


def _stop_pressed(lab: Lab) -> None:
    lab.robot.set_estop(True)


def _maintenance(lab: Lab) -> None:
    lab.robot.maintenance = MaintenanceRun(lab.robot.now())


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (_door_open, "door: open.*close the front door and the top window"),
        (_stop_pressed, "emergency stop: physicallyEngaged.*release the emergency stop"),
        (_maintenance, "maintenance: .* is idle.*finish calibration or pipette change"),
        (_no_gripper, "gripper: none that works.*attach and calibrate the gripper"),
        (_no_module, "absorbanceReaderV1 is not connected"),
        (_plain_slot, r"deck configuration D3: singleRightSlot \(needs absorbanceReaderV1\)"),
        (_busy, "run .* on the robot is idle.*cancel it on the robot's screen"),
    ],
)
async def test_what_is_missing_or_in_the_way_is_told_with_what_to_do(make: Make, trouble: Any, told: str) -> None:
    lab = make()
    trouble(lab)
    with pytest.raises(DeviceError, match=told):
        await lab.reader.open_for(REQUEST)
    assert lab.world.done == []


async def test_an_empty_reader_fails_the_run_and_is_told(make: Make) -> None:
    lab = make()
    lab.world.holds_plate = False
    with pytest.raises(DeviceError, match=r"the run is failed.*the reader holds no plate"):
        await lab.read()


async def test_a_plate_the_lid_was_not_opened_for_is_not_read(make: Make) -> None:
    lab = make()
    with pytest.raises(DeviceError, match="the lid was not opened for this plate"):
        await lab.reader.read(REQUEST)
    await lab.reader.open_for(REQUEST)
    with pytest.raises(DeviceError, match="the lid was not opened for this plate"):
        await lab.reader.read(REQUEST.model_copy(update={"barcode": "P-2"}))


async def test_a_read_given_up_leaves_no_run_that_could_go_on(make: Make) -> None:
    lab = make()
    await lab.reader.open_for(REQUEST)
    await lab.reader.abandon()
    await asyncio.sleep(0.02)
    assert [run.status for run in lab.robot.runs.all()] == ["stopped"]
    await lab.reader.abandon()
    assert (await lab.read()).barcode == "P-1", "and the next one begins anew"


async def test_a_door_opened_while_the_robot_analyses_is_told_before_anything_moves(make: Make) -> None:
    lab = make()
    analysed = lab.reader._analysed

    async def opens(protocol_id: str) -> None:
        await analysed(protocol_id)
        lab.robot.set_door(True)

    lab.reader._analysed = opens  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match=r"door: open.*close the front door"):
        await lab.reader.open_for(REQUEST)
    assert lab.world.done == []
    await lab.reader.abandon()
    assert [run.status for run in lab.robot.runs.all()] == ["stopped"]


async def test_whoever_put_the_plate_in_may_close_the_door_after_confirming(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    lab = make()
    await lab.reader.open_for(REQUEST)
    lab.robot.set_door(True)
    reading = asyncio.create_task(lab.reader.read(REQUEST))
    await _until_told("reader waits: its door is open; close the front door", caplog)
    lab.robot.set_door(False)
    assert (await reading).values["A2"] == 0.05


async def test_a_door_that_stays_open_over_the_plate_is_refused(make: Make) -> None:
    lab = make(wait_seconds=0.1)
    await lab.reader.open_for(REQUEST)
    lab.robot.set_door(True)
    with pytest.raises(DeviceError, match=r"door: open.*close the front door"):
        await lab.reader.read(REQUEST)
    assert lab.world.done[-1] == "absorbanceReader/openLid", "the lid was not moved"


def _opens_and_closes_the_door(lab: Lab) -> None:
    def before(command: str) -> None:
        if command == "absorbanceReader/initialize":
            lab.robot.set_door(True)
            lab.robot.set_door(False)

    lab.world.before = before


async def test_a_run_paused_by_its_door_is_told_and_goes_on_when_a_person_plays_it(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    lab = make()
    _opens_and_closes_the_door(lab)
    opening = asyncio.create_task(lab.reader.open_for(REQUEST))
    await _until_told("reader waits, its run is paused: the door was opened", caplog)
    [run] = lab.robot.runs.all()
    lab.robot.act(run.id, "play")
    await opening
    assert (await lab.reader.read(REQUEST)).values["A2"] == 0.05


async def test_a_run_nobody_plays_on_is_refused_with_what_to_do(make: Make) -> None:
    lab = make(wait_seconds=0.1)
    _opens_and_closes_the_door(lab)
    with pytest.raises(DeviceError, match=r"does not go on, it is paused.*press play on the robot's screen"):
        await lab.reader.open_for(REQUEST)
    [run] = lab.robot.runs.all()
    assert [one["actionType"] for one in run.shown()["actions"]] == ["play"], "never played on unasked"


async def _until_told(words: str, caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(5):
        while words not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.002)


async def test_a_lost_answer_makes_no_second_run(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = make()
    send = lab.reader._client._http.request
    lost: list[str] = []
    sent: list[str] = []

    async def loses(method: str, url: str, **content: Any) -> httpx.Response:
        answer = await send(method, url, **content)
        if method == "POST":
            sent.append(url)
        if method == "POST" and url not in lost:
            lost.append(url)
            raise httpx.ReadError("reset")
        return answer

    monkeypatch.setattr(lab.reader._client._http, "request", loses)
    assert (await lab.read()).values["A2"] == 0.05
    assert len(lab.robot.runs.all()) == 1
    assert len(lost) == 3
    assert sent == [*lost, lost[-1]], (
        "nothing is sent again: upload, run and first play once; the second play is another"
    )


async def test_an_upload_that_did_not_arrive_is_asked_for_and_sent_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make()
    send = lab.reader._client._http.request
    asked: list[str] = []

    async def loses(method: str, url: str, **content: Any) -> httpx.Response:
        asked.append(f"{method} {url}")
        if asked.count("POST /protocols") == 1 and asked[-1] == "POST /protocols":
            raise httpx.ReadError("reset")
        return await send(method, url, **content)

    monkeypatch.setattr(lab.reader._client._http, "request", loses)
    assert (await lab.read()).values["A2"] == 0.05
    assert asked.count("POST /protocols") == 2
    assert len(lab.robot.protocols.all()) == 1


async def test_a_phantom_run_costs_one_500_and_no_reading(make: Make) -> None:
    lab = make()
    lab.robot.runs.leave_phantom()
    assert (await lab.read()).barcode == "P-1"
    assert len(lab.robot.runs.all()) == 1


ACCOUNT = {"username": "ada", "password": "secret", "reason": "plates read by nkloop", "signs_as": "Ada Lovelace"}


def _compliance() -> Compliance:
    return Compliance({"ada": ("secret", ALL_SCOPES)}, now=time.monotonic)


async def test_in_compliance_mode_every_reading_is_signed_so_that_the_next_one_may_begin(make: Make) -> None:
    lab = make(account=ACCOUNT, url="http://localhost", compliance=_compliance())
    assert (await lab.read()).barcode == "P-1"
    await lab.reader.open_for(REQUEST)
    await lab.reader.abandon()
    assert (await lab.read()).barcode == "P-1", "the run given up is signed too"
    ended = [run.shown() for run in lab.robot.runs.all()]
    assert [(run["signedBy"], run["current"]) for run in ended] == [("Ada Lovelace", False)] * 3


async def test_a_run_nobody_may_sign_costs_no_reading_and_is_told(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    account = {key: value for key, value in ACCOUNT.items() if key != "signs_as"}
    lab = make(account=account, url="http://localhost", compliance=_compliance())
    assert (await lab.read()).values["A2"] == 0.05
    assert [run.is_current for run in lab.robot.runs.all()] == [True]
    assert "nothing that was measured is lost" in caplog.text
    assert "sign the finished run on the robot, or name who signs in `account.signs_as`" in caplog.text


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_lost_answer_at_the_end_costs_no_reading(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, arrives: bool
) -> None:
    lab = make()
    send = lab.reader._client._http.request

    async def loses(method: str, url: str, **content: Any) -> httpx.Response:
        if method == "PATCH" and not arrives:
            raise httpx.ReadError("reset")
        answer = await send(method, url, **content)
        if method == "PATCH":
            raise httpx.ReadError("reset")
        return answer

    monkeypatch.setattr(lab.reader._client._http, "request", loses)
    assert (await lab.read()).values["A2"] == 0.05
    assert [run.is_current for run in lab.robot.runs.all()] == [not arrives]
    assert ("did not file run" in caplog.text) is not arrives


async def test_a_stale_holder_sends_nothing(make: Make) -> None:
    lab = make()

    def stale() -> None:
        raise StaleHolderError("another process holds it")

    lab.reader.fence = stale
    with pytest.raises(StaleHolderError):
        await lab.reader.open_for(REQUEST)
    assert lab.robot.protocols.all() == []


async def test_a_robot_that_is_off_is_told(make: Make) -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host")

    lab = make()
    lab.reader._client._http = httpx.AsyncClient(base_url="http://r", transport=httpx.MockTransport(refuses))
    with pytest.raises(DeviceUnreachableError):
        await lab.reader.open_for(REQUEST)


async def test_a_file_of_another_reader_is_refused(make: Make) -> None:
    named = DECK.modules[-1].model_copy(update={"serial_number": "absorbanceReaderV1-3"})
    assert (await make(deck=DECK.model_copy(update={"modules": (*DECK.modules[:-1], named)})).read()).barcode == "P-1"
    lab = make(deck=DECK)
    await lab.reader.open_for(REQUEST)
    lab.reader._module = named.model_copy(update={"serial_number": "another"})
    with pytest.raises(DeviceError, match=r"the file is of reader .*, the bench file has another"):
        await lab.reader.read(REQUEST)
    assert [one.media_type for one in lab.reader.files] == ["text/csv", "application/json"], "copied out all the same"


async def test_files_copied_out_stay_at_hand_when_a_later_one_is_gone(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make()
    find = lab.reader._client.find
    asked: list[str] = []

    async def loses_the_second(path: str) -> Any:
        asked.extend([path] if path.startswith("/dataFiles/") else [])
        return await find(path) if len(asked) < 2 else None

    await lab.reader.open_for(REQUEST.model_copy(update={"reference_wavelength_nm": 650}))
    monkeypatch.setattr(lab.reader._client, "find", loses_the_second)
    with pytest.raises(DeviceError, match="has deleted file"):
        await lab.reader.read(REQUEST.model_copy(update={"reference_wavelength_nm": 650}))
    assert [one.name for one in lab.reader.files] == ["nkloop-reading-P-1-450nm.csv"]


def test_the_recorded_file_of_a_real_server_is_understood(recorded_plate_file: bytes) -> None:
    content = recorded_plate_file
    found = parsed_file(DeviceFile(name="ldh450nm.csv", media_type="text/csv", content=content))
    assert (found.serial_number, found.frames[0].wavelength_nm, found.frames[0].values["H12"]) == ("abs-123", 450, 0.05)
    with pytest.raises(DeviceError, match=r"ldh450nm.csv.*cannot be understood"):
        parsed_file(DeviceFile(name="ldh450nm.csv", media_type="text/csv", content=content[:40]))


def test_a_deck_without_the_module_is_refused() -> None:
    catalogue: Any = None
    bare = DECK.model_copy(update={"modules": ()})
    with pytest.raises(BenchError, match="the deck has no absorbanceReaderV1"):
        FlexPlateReader("reader", "http://r", catalogue=catalogue, deck=bare)


@pytest.mark.vendor
async def test_the_analysis_of_the_makers_software_is_the_one_assumed_here(tmp_path: Path) -> None:
    path = tmp_path / "read.py"
    path.write_text(
        plate_protocol("P-1", PLATE, namespace="opentrons", version=2, slot="D3", wavelengths_nm=[450, 650])
    )
    async with VendorClient(answers_folder()) as vendor:
        found = await vendor.analyse(path)
    assert (found.result, list(found.errors)) == ("ok", [])
    assumed = commands((450, 650), "nkloop-reading-P-1-")
    assert [one["commandType"] for one in found.commands] == [one["commandType"] for one in assumed]
    by_kind = {one["commandType"]: one["params"] for one in found.commands}
    for kind, name in (("moveLabware", "strategy"), ("absorbanceReader/read", "fileName")):
        assert by_kind[kind][name] == next(one["params"][name] for one in assumed if one["commandType"] == kind)
    assert by_kind["absorbanceReader/initialize"]["sampleWavelengths"] == [450, 650]
