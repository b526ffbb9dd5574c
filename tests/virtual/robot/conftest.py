"""A robot in front of a fake world, with canned analyses; every answer is held against the OpenAPI file."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.service import robot_app
from nkloop.worklists.bench_deck import BenchDeck, ModuleSpec

HEADERS = {"Opentrons-Version": "*"}
DECK = BenchDeck.model_validate(
    {
        "model": "flex",
        "pipettes": [
            {
                "mount": mount,
                "load_name": f"flex_{channels}channel_1000",
                "channels": channels,
                "min_volume_ul": 5,
                "max_volume_ul": 1000,
                "accuracy": [{"volume_ul": 5, "systematic_percent": 8, "random_cv_percent": 5}],
                "source": "test",
            }
            for mount, channels in (("left", 1), ("right", 8))
        ],
        "modules": [
            {"slot": "D1", "load_name": "heaterShakerModuleV1", "serial_number": "HS1"},
            {"slot": "C1", "load_name": "temperatureModuleV2"},
        ],
    }
)
READER_DECK = DECK.model_copy(
    update={"modules": (*DECK.modules, ModuleSpec(slot="D3", load_name="absorbanceReaderV1", serial_number="abs-123"))}
)
OT2_DECK = BenchDeck.model_validate(
    {
        "model": "ot2",
        "pipettes": [
            {**pipette.model_dump(), "load_name": name, "channels": 1}
            for pipette, name in zip(DECK.pipettes, ("p20_single_gen2", "p300_single_gen2"), strict=True)
        ],
        "modules": [{"slot": "1", "load_name": "heaterShakerModuleV1", "serial_number": "HS1"}],
    }
)
DECKS = {"flex": DECK, "reader": READER_DECK, "ot2": OT2_DECK}
PROTOCOL = """
metadata = {"protocolName": "Flex dosing", "author": "lab"}
requirements = {"robotType": "Flex", "apiLevel": "2.20"}

def add_parameters(p):
    p.add_int("Samples", "n", default=4, minimum=1, maximum=96, unit="wells")
    p.add_float(variable_name="vol", display_name="Volume", default=50.0, minimum=5, maximum=200, unit="uL")
    p.add_bool(variable_name="do_pause", display_name="Pause", default=False)
    p.add_csv_file(variable_name="doses", display_name="Doses", description="well,vol")

def run(ctx):
    pass
"""
PLAIN_PROTOCOL = 'requirements = {"robotType": "Flex", "apiLevel": "2.20"}\ndef run(ctx):\n    pass\n'


class FakeClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class FakeExecution:
    """Remembers what was applied; fails at a command type on demand."""

    def __init__(self, fail_at: str) -> None:
        self.applied: list[dict[str, Any]] = []
        self._fail_at = fail_at

    def apply(self, command: dict[str, Any]) -> None:
        if command["commandType"] == self._fail_at:
            raise RuntimeError("the plate is not there")
        self.applied.append(command)


class FakeWorld:
    """A world without physics."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.executions: list[FakeExecution] = []
        self.fail_at = ""

    def begin_run(self, analysis: Any) -> FakeExecution:
        self.executions.append(FakeExecution(self.fail_at))
        return self.executions[-1]


@dataclass
class CannedAnalysis:
    """An analysis that no vendor made."""

    result: str = "ok"
    errors: list[dict[str, Any]] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    labware: list[dict[str, Any]] = field(default_factory=list)
    pipettes: list[dict[str, Any]] = field(default_factory=list)
    modules: list[dict[str, Any]] = field(default_factory=list)
    liquids: list[dict[str, Any]] = field(default_factory=list)


def command(kind: str, result: dict[str, Any] | None = None, /, **params: Any) -> dict[str, Any]:
    """A command as an analysis gives it."""
    when = "2026-01-01T00:00:00+00:00"
    return {
        "id": f"planned-{kind}",
        "key": f"key-{kind}",
        "commandType": kind,
        "createdAt": when,
        "startedAt": when,
        "completedAt": when,
        "status": "succeeded",
        "params": params,
        "result": result or {},
        "notes": [],
    }


def transfer(volume: float = 50.0) -> list[dict[str, Any]]:
    """Aspirate and dispense."""
    where = {"pipetteId": "P", "labwareId": "L", "volume": volume, "flowRate": 100.0}
    well = {"origin": "bottom", "offset": {"x": 0, "y": 0, "z": 1}, "volumeOffset": 0.0}
    result = {"position": {"x": 0, "y": 0, "z": 0}, "volume": volume}
    return [
        command("aspirate", result, **where, wellName="A1", wellLocation=well),
        command("dispense", result, **where, wellName="B1", wellLocation=well),
    ]


def canned(*, pause: bool = False, transfers: int = 2, pipette: str = "p1000_single_flex") -> CannedAnalysis:
    """A small protocol: load, transfer, pause on demand, transfer again."""
    slot = {"slotName": "D2"}
    load = {"location": slot, "loadName": "nest_12_reservoir_15ml", "namespace": "opentrons", "version": 1}
    commands = [
        command("home"),
        command("loadLabware", {"labwareId": "L"}, **load),
        command("loadPipette", {"pipetteId": "P"}, pipetteName=pipette, mount="left"),
        command("loadLiquid", liquidId="Q", labwareId="L", volumeByWell={"A1": 100.0}),
        command("comment", message="step 1: transfer"),
        *transfer(),
        *([command("waitForResume", message="step 2: check the plate")] if pause else []),
        *[one for _ in range(transfers - 1) for one in transfer()],
    ]
    uri = "opentrons/nest_12_reservoir_15ml/1"
    return CannedAnalysis(
        commands=commands,
        labware=[{"id": "L", "loadName": "nest_12_reservoir_15ml", "definitionUri": uri, "location": slot}],
        pipettes=[{"id": "P", "pipetteName": pipette, "mount": "left"}],
        liquids=[{"id": "Q", "displayName": "NK medium", "description": "serum free", "displayColor": "#00ff00"}],
    )


class Analyst:
    """Answers analyses with `outcome`, or with what `answer` makes of file name and values."""

    def __init__(self) -> None:
        self.outcome: CannedAnalysis | None = None
        self.answer: Callable[[str, dict[str, Any]], CannedAnalysis] = lambda name, values: canned(
            pause=bool(values.get("do_pause"))
        )
        self.asked: list[dict[str, Any]] = []
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, protocol: Path, *, csv: str, labware: Any, values: dict[str, Any]) -> CannedAnalysis:
        self.asked.append({"protocol": protocol, "csv": csv, "labware": labware, "values": values})
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return self.outcome or self.answer(protocol.name, values)


ERRORS = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["id", "title", "detail", "errorCode"]},
        }
    },
}
"""What the real server sends where its OpenAPI file promises FastAPI's validation errors or nothing."""


LEFT_OUT_WHEN_NONE = {
    "UsbPort": {"hubPort"},
    "HeaterShakerModuleData": {"targetSpeed", "targetTemperature", "errorDetails"},
    "TemperatureModuleData": {"targetTemperature"},
    "AbsorbanceReaderModuleData": {"measureMode", "sampleWavelengths", "referenceWavelength"},
}
"""Required by the OpenAPI file, yet left out in the recorded answers when there is no value."""


class OpenApiContract:
    """Holds an answer against the response schema of its route and status."""

    def __init__(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        # Analyses are stored without definitions; see the docstring of nkloop.virtual.robot.
        for name in ("LoadLabwareResult", "LoadModuleResult"):
            schemas[name]["required"].remove("definition")
        for name, fields in LEFT_OUT_WHEN_NONE.items():
            schemas[name]["required"] = sorted(set(schemas[name]["required"]) - fields)
        # The file says that data files are listed as texts; the recorded answers list objects.
        listed = json.loads(json.dumps(schemas["SimpleMultiBody_str_"]))
        listed["properties"]["data"]["items"] = schemas["SimpleBody_DataFile_"]["properties"]["data"]
        schemas["DataFiles"] = listed
        for path in ("/dataFiles", "/protocols/{protocolId}/dataFiles"):
            content = document["paths"][path]["get"]["responses"]["200"]["content"]
            content["application/json"]["schema"] = {"$ref": "#/components/schemas/DataFiles"}
        self._components = document["components"]
        # Fixed paths come before those with a variable at the same place.
        paths = sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
        self._paths = [(re.compile(re.sub(r"{\w+}", "[^/]+", path)), operations) for path, operations in paths]
        self.n_checked = 0

    def check(self, response: httpx.Response) -> None:
        """Fail when the body is not what the OpenAPI file says."""
        path = response.request.url.path
        is_newer = path.startswith("/auth") or "Scopes" in response.text or "RunSignoffRequired" in response.text
        if path.startswith("/virtual") or is_newer:
            return  # what software 8.2 does not have
        schema = self._schema(path, response.request.method.lower(), str(response.status_code))
        if schema is None or response.headers["content-type"] != "application/json":
            return
        if response.status_code == 422 and '"InvalidRequest"' in response.text:
            schema = ERRORS
        validator = Draft202012Validator({**schema, "components": self._components})
        faults = [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(response.json())]
        assert not faults, f"{response.request.method} {path} {response.status_code}: {faults[:3]}"
        self.n_checked += 1

    def _schema(self, path: str, method: str, status: str) -> dict[str, Any] | None:
        operations = next((one for pattern, one in self._paths if pattern.fullmatch(path)), {})
        documented = operations.get(method, {}).get("responses", {}).get(status)
        if documented is None:
            return ERRORS
        media = documented.get("content", {})
        if "application/json" not in media:
            return None
        schema: dict[str, Any] = media["application/json"]["schema"]
        return ERRORS if "HTTPValidationError" in schema.get("$ref", "") else schema


def recordings() -> Path | None:
    """The folder of recorded exchanges, or None when it is not there."""
    beside = Path(__file__).resolve().parents[3].parent / "shared" / "opentrons"
    folder = Path(os.environ.get("NKLOOP_RECORDINGS", beside))
    return folder if folder.is_dir() else None


@cache
def contract() -> OpenApiContract | None:
    """The OpenAPI contract, or None when the recordings are not there."""
    folder = recordings()
    path = folder / "robot_server_openapi_8.2.json" if folder else None
    return OpenApiContract(json.loads(path.read_text())) if path else None


class Wire(httpx.AsyncBaseTransport):
    """HTTP to an application in this process; an answer that is begun and never ended is a broken connection."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app=app, raise_app_exceptions=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._inner.handle_async_request(request)
        except AssertionError:  # what this transport makes of an answer without an end
            raise httpx.RemoteProtocolError("connection closed", request=request) from None


@dataclass
class Lab:
    """What a test needs to drive the robot."""

    client: httpx.AsyncClient
    robot: VirtualRobot
    world: FakeWorld
    analyst: Analyst

    protocol_text = PROTOCOL
    plain_text = PLAIN_PROTOCOL
    canned = staticmethod(canned)
    command = staticmethod(command)

    async def upload(self, text: str = PLAIN_PROTOCOL, name: str = "plain.py", **form: str) -> httpx.Response:
        """Upload a protocol."""
        return await self.client.post("/protocols", files=[("files", (name, text.encode()))], data=form)

    async def upload_csv(self, content: bytes, name: str = "doses.csv") -> httpx.Response:
        """Upload a data file."""
        return await self.client.post("/dataFiles", files={"file": (name, content, "text/csv")})

    async def create_run(self, protocol: str | None = None, **data: Any) -> httpx.Response:
        """Ask for a run."""
        wanted = {"protocolId": protocol, **data} if protocol else data
        return await self.client.post("/runs", json={"data": wanted})

    async def start_run(self, *, play: bool = True) -> str:
        """Upload the plain protocol, create a run and return its id; played unless told otherwise."""
        protocol = (await self.upload()).json()["data"]["id"]
        run = str((await self.create_run(protocol)).json()["data"]["id"])
        if play:
            await self.act(run, "play")
        return run

    async def act(self, run: str, action: str) -> httpx.Response:
        """Send an action."""
        return await self.client.post(f"/runs/{run}/actions", json={"data": {"actionType": action}})

    async def when(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened."""
        for _ in range(500):
            if happened():
                return
            await asyncio.sleep(0.002)
        raise AssertionError("it does not happen")

    async def door(self, *, is_open: bool) -> None:
        """Open or close the door."""
        await self.client.put("/virtual/door", json={"on": is_open})

    async def until(self, run: str, *statuses: str) -> dict[str, Any]:
        """Poll a run until it has one of the statuses; return it."""
        for _ in range(500):
            shown: dict[str, Any] = (await self.client.get(f"/runs/{run}")).json()["data"]
            if shown["status"] in statuses:
                return shown
            await asyncio.sleep(0.002)
        raise AssertionError(f"run is {shown['status']}, not {statuses}")

    async def analysed(self, protocol: str) -> dict[str, Any]:
        """Wait for the newest analysis of a protocol; return it."""
        for _ in range(500):
            analyses = (await self.client.get(f"/protocols/{protocol}/analyses")).json()["data"]
            if analyses[-1]["status"] == "completed":
                return dict(analyses[-1])
            await asyncio.sleep(0.002)
        raise AssertionError("the analysis stays pending")


@pytest.fixture
def recordings_folder() -> Path:
    """The folder of recorded exchanges."""
    folder = recordings()
    if folder is None:
        pytest.skip("no recorded exchanges beside the repository; NKLOOP_RECORDINGS names their folder")
    return folder


async def _hold_against_contract(response: httpx.Response) -> None:
    await response.aread()
    checker = contract()
    if checker is not None:
        checker.check(response)


Built = tuple[VirtualRobot, Any]


@pytest.fixture(scope="session")
def built() -> list[Built]:
    """Robots nobody uses: building their routes takes longer than most tests, so they are used again."""
    return []


def fresh(built: list[Built], *arguments: Any, **settings: Any) -> Built:
    """A robot as it comes from the factory, behind routes that may have served another one before."""
    if not built:
        robot = VirtualRobot(*arguments, **settings)
        return robot, robot_app(robot)
    robot, app = built.pop()
    robot.__init__(*arguments, **settings)  # type: ignore[misc]
    return robot, app


@pytest.fixture
async def make_lab(tmp_path: Path, built: list[Built]) -> AsyncIterator[Callable[..., Lab]]:
    """Build a lab with a robot of a given speed; each answer is held against the OpenAPI file, when that is there."""
    labs: list[Lab] = []
    used: list[Built] = []

    def make(speed: float = 0.0, deck: str = "flex", **settings: Any) -> Lab:
        world, analyst = FakeWorld(), Analyst()
        robot, robot_routes = fresh(built, world, DECKS[deck], analyst, folder=tmp_path, speed=speed, **settings)
        used.append((robot, robot_routes))
        client = httpx.AsyncClient(
            transport=Wire(robot_routes),
            base_url="http://robot",
            headers=HEADERS,
            event_hooks={"response": [_hold_against_contract]},
        )
        labs.append(Lab(client, robot, world, analyst))
        return labs[-1]

    yield make
    for lab in labs:
        await lab.client.aclose()
        await lab.robot.close()
    built.extend(used)


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A lab whose robot is as fast as possible."""
    return make_lab(0.0)


@pytest.fixture
def openapi() -> OpenApiContract:
    """The OpenAPI contract."""
    checker = contract()
    if checker is None:
        pytest.skip("no OpenAPI file beside the repository; NKLOOP_RECORDINGS names its folder")
    return checker
