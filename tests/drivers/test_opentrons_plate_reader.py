"""The plate reader on a Flex: opened by a run, read, its files copied out and parsed, left safe when it fails."""

from __future__ import annotations

import asyncio
import hashlib
import re
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
from nkloop.drivers.interfaces import DeviceFile, Finding, FoundRun, announced_step
from nkloop.drivers.opentrons import FlexPlateReader, plate_files
from nkloop.drivers.opentrons.plate_files import parsed_file
from nkloop.drivers.opentrons.plate_protocol import EXPORT, plate_protocol
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


def test_a_well_saturated_at_the_reference_wavelength_only_is_saturated(monkeypatch: pytest.MonkeyPatch) -> None:
    at = {450: {"A1": 1.0, "B1": 1.0, "C1": 4.1}, 600: {"A1": 0.1, "B1": 4.0, "C1": 0.1}}
    frames = tuple(SimpleNamespace(wavelength_nm=nm, values=values) for nm, values in at.items())
    parsed = SimpleNamespace(frames=frames, serial_number=None, read_at=None)
    monkeypatch.setattr(plate_files, "parsed_file", lambda file: parsed)
    exported = DeviceFile(name=f"{EXPORT}.csv", media_type="text/csv", content=b"x")
    both = REQUEST.model_copy(update={"reference_wavelength_nm": 600})
    reading = plate_files.reading_of(both, [exported], "reader", serial_number="", saturation=4.0)
    assert reading.saturated == ("B1", "C1")


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
    does: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("absorbanceReader/closeLid", module, {}),
        ("absorbanceReader/initialize", {**module, "sampleWavelengths": list(wavelengths)}, {}),
        ("absorbanceReader/openLid", module, {}),
        ("moveLabware", {"labwareId": "L", "newLocation": module, "strategy": "manualMoveWithPause"}, {}),
        ("absorbanceReader/closeLid", module, {}),
        ("absorbanceReader/read", {**module, "fileName": file_name}, {"data": {}}),
        ("absorbanceReader/openLid", module, {}),
    ]
    announced = [("comment", {"message": f"step {number}: what it does"}, {}) for number in range(1, len(does) + 1)]
    listed: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("home", {}, {}),
        ("loadModule", {"model": "absorbanceReaderV1", "location": {"slotName": "D3"}}, module),
        ("loadLabware", {"location": "offDeck", "loadName": PLATE}, {"labwareId": "L"}),
        *(command for both in zip(announced, does, strict=True) for command in both),
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
    run_id: str = ""

    async def preflight(self, request: ReadRequest = REQUEST) -> tuple[Finding, ...]:
        return await self.reader.preflight(self.reader.worklist(request))

    async def open(self, request: ReadRequest = REQUEST) -> str:
        """Start the run; return what it waits for, as the one who follows it is told."""
        self.run_id = await self.reader.prepare(self.reader.worklist(request))
        await self.reader.play(self.run_id)
        return await self.until("paused")

    async def until(self, *statuses: str) -> str:
        async with asyncio.timeout(5):
            state = await self.reader.state(self.run_id)
            while state.status not in {*statuses, "failed"}:
                await asyncio.sleep(0.002)
                state = await self.reader.state(self.run_id)
        return state.pause_message or state.status

    async def files(self) -> tuple[DeviceFile, ...]:
        """Go on from the open lid to the end, copy the files out, file the run away."""
        await self.reader.play(self.run_id)
        await self.until("succeeded")
        await self.reader.commands(self.run_id)
        files = await self.reader.files(self.run_id)
        await self.reader.release(self.run_id)
        return files

    async def read(self, request: ReadRequest = REQUEST) -> Any:
        await self.open(request)
        return self.reader.reading(request, await self.files())


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
        usual: dict[str, Any] = {"deck": DECK, "poll_seconds": 0.02, "analysis_seconds": 3.0} | settings
        return Lab(world, robot, FlexPlateReader("reader", url, catalogue=catalogue, transport=transport, **usual))

    return lab


async def test_a_plate_is_read_between_two_openings_of_the_lid_and_its_file_is_copied_out(make: Make) -> None:
    lab = make()
    assert await lab.open() == "step 4: the plate into the reader"
    assert lab.world.done[-2:] == ["absorbanceReader/openLid", "comment"], "the blank has been measured"
    files = await lab.files()
    reading = lab.reader.reading(REQUEST, files)
    assert (reading.barcode, reading.wavelength_nm, reading.values["A2"], reading.values["H12"]) == (
        "P-1",
        450,
        0.05,
        4.75,
    )
    assert reading.saturated == tuple(WELLS[80:])
    assert lab.world.done[-1] == "absorbanceReader/openLid"
    [csv, numbers] = files
    assert csv.name == "nkloop-reading-P-1-450nm.csv"
    assert reading.file_sha256 == hashlib.sha256(csv.content).hexdigest()
    assert numbers.media_type == "application/json"
    assert [run.is_current for run in lab.robot.runs.all()] == [False]


async def test_the_run_of_a_reading_is_found_by_its_steps(make: Make) -> None:
    lab = make()
    steps = lab.reader.worklist(REQUEST)
    assert await lab.reader.find_runs(steps) == ()
    first = await lab.reader.prepare(steps)
    assert await lab.reader.prepare(steps) == first, "an idle run of ours is taken, not replaced"
    await lab.reader.stop(first)
    assert await lab.reader.find_runs(steps) == (FoundRun(id=first, is_played=True),)
    assert await lab.reader.find_runs(lab.reader.worklist(REQUEST.model_copy(update={"barcode": "P-2"}))) == ()


async def test_a_reference_wavelength_is_read_in_the_same_run_and_subtracted(make: Make) -> None:
    lab = make()
    request = REQUEST.model_copy(update={"reference_wavelength_nm": 650, "wells": ("A1", "B3")})
    await lab.open(request)
    files = await lab.files()
    reading = lab.reader.reading(request, files)
    assert reading.values == {"A1": 0.0, "B3": pytest.approx(0.9 * 14 / 20)}
    assert [one.name for one in files if one.media_type == "text/csv"] == [
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
        lab.reader.worklist(REQUEST.model_copy(update=changes))
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
    ],
)
async def test_what_is_missing_or_in_the_way_is_told_with_what_to_do(make: Make, trouble: Any, told: str) -> None:
    lab = make()
    trouble(lab)
    wrong = [f"{one.subject}: {one.found}. {one.remedy}" for one in await lab.preflight() if not one.ok]
    assert re.search(told, " ".join(wrong)), wrong
    assert lab.world.done == []


async def test_an_idle_run_of_somebody_else_is_not_replaced(make: Make) -> None:
    lab = make()
    _busy(lab)
    with pytest.raises(DeviceError, match=r"run .* on the robot is idle.*cancel it on the robot's screen"):
        await lab.open()
    assert len(lab.robot.runs.all()) == 1


async def test_an_empty_reader_fails_the_run_and_is_told(make: Make) -> None:
    lab = make()
    lab.world.holds_plate = False
    await lab.open()
    assert await lab.files() == ()
    state = await lab.reader.state(lab.run_id)
    assert (state.status, "the reader holds no plate" in str(state.errors)) == ("failed", True)


async def test_a_door_opened_while_the_robot_analyses_is_told_before_anything_moves(make: Make) -> None:
    lab = make()
    analysed = lab.reader._analysed

    async def opens(protocol_id: str) -> None:
        await analysed(protocol_id)
        lab.robot.set_door(True)

    lab.reader._analysed = opens  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match=r"door: open.*close the front door"):
        await lab.open()
    assert lab.world.done == []


async def test_a_door_opened_over_the_plate_is_no_pause_of_a_step(make: Make) -> None:
    lab = make()
    await lab.open()
    lab.robot.set_door(True)
    assert (await lab.reader.state(lab.run_id)).status == "blocked-by-open-door"
    lab.robot.set_door(False)
    assert (await lab.reader.state(lab.run_id)).pause_message == "step 4: the plate into the reader"


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
    assert (await lab.read()).barcode == "P-1"
    ended = [run.shown() for run in lab.robot.runs.all()]
    assert [(run["signedBy"], run["current"]) for run in ended] == [("Ada Lovelace", False)] * 2


async def test_a_stale_holder_sends_nothing(make: Make) -> None:
    lab = make()

    def stale() -> None:
        raise StaleHolderError("another process holds it")

    lab.reader.fence = stale
    with pytest.raises(StaleHolderError):
        await lab.open()
    assert lab.robot.protocols.all() == []


async def test_a_robot_that_is_off_is_told(make: Make) -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host")

    lab = make()
    lab.reader._client._http = httpx.AsyncClient(base_url="http://r", transport=httpx.MockTransport(refuses))
    with pytest.raises(DeviceUnreachableError):
        await lab.open()


async def test_a_file_of_another_reader_is_refused(make: Make) -> None:
    named = DECK.modules[-1].model_copy(update={"serial_number": "absorbanceReaderV1-3"})
    assert (await make(deck=DECK.model_copy(update={"modules": (*DECK.modules[:-1], named)})).read()).barcode == "P-1"
    lab = make(deck=DECK)
    await lab.open()
    lab.reader._module = named.model_copy(update={"serial_number": "another"})
    files = await lab.files()
    with pytest.raises(DeviceError, match=r"the file is of reader .*, the bench file has another"):
        lab.reader.reading(REQUEST, files)


async def test_files_copied_out_stay_at_hand_when_a_later_one_is_gone(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make()
    find = lab.reader._client.find
    asked: list[str] = []

    async def loses_the_second(path: str) -> Any:
        asked.extend([path] if path.startswith("/dataFiles/") else [])
        return await find(path) if len(asked) < 2 else None

    request = REQUEST.model_copy(update={"reference_wavelength_nm": 650})
    await lab.open(request)
    monkeypatch.setattr(lab.reader._client, "find", loses_the_second)
    files = await lab.files()
    assert [one.name for one in files] == ["nkloop-reading-P-1-450nm.csv"]
    with pytest.raises(DeviceError, match="no values at 650 nm"):
        lab.reader.reading(request, files)


async def test_files_of_a_robot_that_falls_silent_are_all_asked_for_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make()
    find = lab.reader._client.find
    asked: list[str] = []

    async def falls_silent(path: str) -> Any:
        asked.extend([path] if path.startswith("/dataFiles/") else [])
        if len(asked) == 2:
            raise DeviceUnreachableError("the robot does not answer", where="plate reader")
        return await find(path)

    request = REQUEST.model_copy(update={"reference_wavelength_nm": 650})
    await lab.open(request)
    monkeypatch.setattr(lab.reader._client, "find", falls_silent)
    with pytest.raises(DeviceUnreachableError):
        await lab.files()
    assert lab.reader.reading(request, await lab.files()).reference_wavelength_nm == 650


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
    catalogue: Any = Catalogue.load(ROOT / "labware")
    request = REQUEST.model_copy(update={"reference_wavelength_nm": 650})
    steps = FlexPlateReader("reader", "http://r", catalogue=catalogue, deck=DECK).worklist(request)
    path.write_text(plate_protocol(steps, [450, 650]))
    async with VendorClient(answers_folder()) as vendor:
        found = await vendor.analyse(path)
    assert (found.result, list(found.errors)) == ("ok", [])
    assumed = commands((450, 650), "nkloop-reading-P-1-")
    assert [one["commandType"] for one in found.commands] == [one["commandType"] for one in assumed]
    announced = [announced_step(one["params"].get("message")) for one in found.commands]
    assert [number for number in announced if number] == [step.number for step in steps.steps]
    by_kind = {one["commandType"]: one["params"] for one in found.commands}
    for kind, name in (("moveLabware", "strategy"), ("absorbanceReader/read", "fileName")):
        assert by_kind[kind][name] == next(one["params"][name] for one in assumed if one["commandType"] == kind)
    assert by_kind["absorbanceReader/initialize"]["sampleWavelengths"] == [450, 650]
