"""A robot in this process that answers HTTP as a Flex does, with named faults; and the recorded real one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from nkloop.drivers.opentrons import OpentronsRobot
from nkloop.errors import LabwareError
from nkloop.labware.models import LabwareType
from nkloop.worklists.models import DeckItem, Filling, Liquid, OperatorTask, Step, Worklist

Json = dict[str, Any]
_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "opentrons"
RECORDED = Path(os.environ.get("NKLOOP_RECORDINGS", _BESIDE)) / "robot_server_exchanges_8.2.jsonl"


@pytest.fixture(scope="session")
def exchanges() -> list[Json]:
    """Request and answer pairs of a real robot server; skipped where they are not at hand."""
    if not RECORDED.is_file():
        pytest.skip("no recorded exchanges beside the repository; NKLOOP_RECORDINGS names their folder")
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


@pytest.fixture
def recorded_plate_file() -> bytes:
    """A file of the plate reader as the real server exported it."""
    path = RECORDED.with_name("plate_reader_8.2.csv")
    if not path.is_file():
        pytest.skip("no recorded file beside the repository; NKLOOP_RECORDINGS names its folder")
    return path.read_bytes()


@pytest.fixture
def worklist() -> Worklist:
    """A transfer, a pause and a transfer, with a heater-shaker and a custom plate."""
    return Worklist(
        name="dose day 3",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000", "right": "flex_8channel_1000"},
        deck=(
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_tiprack_200ul"),
            DeckItem(
                nickname="plate",
                slot="D1",
                load_name="nkloop_plate",
                namespace="nkloop",
                module="heaterShakerModuleV1",
                adapter="opentrons_universal_flat_adapter",
                barcode="P-1",
            ),
        ),
        fillings=(
            Filling(
                labware="plate",
                well="A1",
                volume_ul=200,
                liquid=Liquid(name="medium | fresh", per_ul={"base": 1.0}, lot="L-7"),
            ),
        ),
        steps=(
            Step(number=1, action="transfer", labware="plate", well="A1", to_labware="plate", to_well="B1",
                 volume_ul=50, tip="tips:A1"),
            Step(number=2, action="pause",
                 operator=OperatorTask(kind="incubate", instruction="Incubate", labware=("plate",), minutes=5)),
            Step(number=3, action="transfer", labware="plate", well="A1", to_labware="plate", to_well="C1",
                 volume_ul=50, tip="tips:B1"),
        ),
    )  # fmt: skip


class Catalogue:
    """Knows the one custom plate."""

    def __getitem__(self, load_name: str, /) -> LabwareType:
        raise LabwareError(f"{load_name} is not in the catalogue")

    def definition(self, load_name: str) -> Json | None:
        return {"parameters": {"loadName": load_name}} if load_name == "nkloop_plate" else None


@dataclass
class FakeRobot:
    """The state of the robot; `faults` maps `METHOD path-regex` to what goes wrong once."""

    door: str = "closed"
    analysis_result: str = "ok"
    volume: float = 50.0
    announced: tuple[int, ...] = (1, 2, 3)
    instruments: list[Json] = field(default_factory=lambda: [_pipette("left", "single"), _pipette("right", "multi")])
    modules: list[str] = field(default_factory=lambda: ["heaterShakerModuleV1"])
    fixtures: dict[str, str] = field(
        default_factory=lambda: {"cutoutD1": "heaterShakerModuleV1", "cutoutA3": "trashBinAdapter"}
    )
    faults: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Json] = field(default_factory=dict)
    current: str | None = None
    requests: list[str] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    created: list[Json] = field(default_factory=list)
    stored_offsets: list[Json] | None = None
    """Offset list of newer software; None for software that has none."""
    protocol_files: list[Json] = field(default_factory=list)
    results: dict[str, Json] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    analyses: list[Json] = field(default_factory=list)
    commands: list[Json] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = f"{request.method} {request.url.path}"
        self.requests.append(asked)
        if "Opentrons-Version" not in request.headers:
            return httpx.Response(422, json={"errors": [{"id": "InvalidRequest", "detail": "header missing"}]})
        fault = next((self.faults.pop(key) for key in list(self.faults) if re.fullmatch(key, asked)), None)
        if fault == "lost_before":
            raise httpx.ReadError("reset")
        if fault == "refused":
            raise httpx.ConnectError("connection refused")
        if fault == "answers_500":
            return _error(500, "UnexpectedError", "Parameter must be between 1 and 96 inclusive.")
        answer = self._answer(request, asked)
        if fault == "lost_after":
            raise httpx.ReadError("reset")
        return answer

    def act(self, number: int) -> list[Json]:
        """Commands of one step of the worklist; the volume of a transfer can be spoilt."""
        target, tip = {1: ("B1", "A1"), 3: ("C1", "B1")}.get(number, ("", ""))
        if not target:
            return [_command("comment", message=f"step {number}: x"), _command("waitForResume", message="step 2: x")]
        pipette, volume = {"pipetteId": "P"}, {"volume": self.volume, "flowRate": 100}
        return [
            _command("comment", message=f"step {number}: x"),
            _command("pickUpTip", **pipette, labwareId="T", wellName=tip),
            _command("aspirate", **pipette, **volume, labwareId="L", wellName="A1"),
            _command("dispense", **pipette, **volume, labwareId="L", wellName=target),
        ]

    def count(self, asked: str) -> int:
        return self.requests.count(asked)

    def _answer(self, request: httpx.Request, asked: str) -> httpx.Response:
        known: dict[str, Callable[[], Any]] = {
            "GET /health": lambda: {
                "name": "flex", "robot_model": "OT-3 Standard", "api_version": "8.2.0",
                "maximum_protocol_api_version": [2, 22],
            },
            "GET /instruments": lambda: {"data": self.instruments},
            "GET /modules": lambda: {"data": [{"moduleModel": model} for model in self.modules]},
            "GET /deck_configuration": lambda: {
                "data": {"cutoutFixtures": [{"cutoutId": c, "cutoutFixtureId": f} for c, f in self.fixtures.items()]}
            },
            "GET /robot/door/status": lambda: {"data": {"status": self.door, "doorRequiredClosedForProtocol": True}},
            "GET /robot/control/estopStatus": lambda: {"data": {"status": "disengaged"}},
            "GET /protocols/protocol-1": lambda: {
                "data": {"analysisSummaries": [{"id": a["id"], "status": "completed"} for a in self.analyses]}
            },
            "GET /dataFiles": lambda: {"data": [{"id": key, "name": name} for key, name in self.files.items()]},
            "GET /protocols": lambda: {"data": [{"id": "protocol-1", "key": key} for key in self.keys]},
            "GET /protocols/protocol-1/dataFiles": lambda: {"data": self.protocol_files},
            "GET /runs": lambda: {
                "data": list(self.runs.values()),
                "links": {"current": {"href": f"/runs/{self.current}"}} if self.current else {},
            },
        }  # fmt: skip
        if asked in known:
            return httpx.Response(200, json=known[asked]())
        if asked == "POST /labwareOffsets/searches" and self.stored_offsets is not None:
            return httpx.Response(200, json={"data": self.stored_offsets})
        if asked == "POST /dataFiles":
            return self._upload_file(request)
        if asked == "POST /protocols":
            self.uploads.append(request.content)
            key = re.search(rb'name="key"\r\n\r\n(\w+)', request.content)
            self.keys.append(key[1].decode() if key else "")
            self.analyses.append(self._analysis(list(self.files)[-1]))
            return httpx.Response(201, json={"data": {"id": "protocol-1", "analysisSummaries": []}})
        if asked == "POST /protocols/protocol-1/analyses":
            file_id = json.loads(request.content)["data"]["runTimeParameterFiles"]["worklist"]
            self.analyses.append(self._analysis(file_id))
            return httpx.Response(201, json={"data": []})
        if match := re.fullmatch(r"GET /protocols/protocol-1/analyses/(.+)", asked):
            return httpx.Response(200, json={"data": next(a for a in self.analyses if a["id"] == match[1])})
        if match := re.fullmatch(r"GET /dataFiles/([^/]+)(/download)?", asked):
            return self._file(match[1], is_content=bool(match[2]))
        if asked == "POST /runs":
            return self._create(json.loads(request.content)["data"])
        if match := re.fullmatch(r"GET /runs/[^/]+/commands/(.+)", asked):
            return httpx.Response(200, json={"data": {"id": match[1], "result": self.results[match[1]]}})
        if match := re.fullmatch(r"(GET|POST|PATCH) /runs/([^/]+)(/\w+)?", asked):
            return self._run(match[1], match[2], match[3] or "", request)
        return _error(404, "BadRequest", "unknown path")

    def _file(self, file_id: str, *, is_content: bool) -> httpx.Response:
        if file_id not in self.files:
            return _error(404, "FileIdNotFound", f"Data file {file_id} was not found.")
        name = self.files[file_id]
        if is_content:
            return httpx.Response(200, text=name)
        return httpx.Response(200, json={"data": {"id": file_id, "name": name}})

    def _upload_file(self, request: httpx.Request) -> httpx.Response:
        name = re.search(rb'filename="([^"]+)"', request.content)
        assert name is not None
        file_id = f"file-{name[1].decode()}"
        self.files[file_id] = name[1].decode()
        return httpx.Response(201, json={"data": {"id": file_id}})

    def _parameters(self, file_id: str) -> list[Json]:
        return [{"variableName": "worklist", "type": "csv_file", "file": {"id": file_id, "name": self.files[file_id]}}]

    def _analysis(self, file_id: str) -> Json:
        error = {
            "errorType": "ExceptionInProtocolError",
            "detail": "outer",
            "wrappedErrors": [{"errorType": "TipNotAttachedError", "detail": "no tip", "wrappedErrors": []}],
        }
        return {
            "id": f"analysis-{len(self.analyses)}",
            "result": self.analysis_result,
            "errors": [] if self.analysis_result == "ok" else [error],
            "runTimeParameters": self._parameters(file_id),
            "commands": [*_LOADS, *(command for number in self.announced for command in self.act(number))],
        }

    def _create(self, asked: Json) -> httpx.Response:
        self.created.append(asked)
        run_id = f"device-run-{len(self.runs) + 1}"
        file_id = asked["runTimeParameterFiles"]["worklist"]
        self.runs[run_id] = {
            "id": run_id, "status": "idle", "actions": [], "errors": [], "protocolId": asked["protocolId"],
            "runTimeParameters": self._parameters(file_id),
        }  # fmt: skip
        self.current = run_id
        return httpx.Response(201, json={"data": self.runs[run_id]})

    def _run(self, method: str, run_id: str, rest: str, request: httpx.Request) -> httpx.Response:
        run = self.runs.get(run_id)
        if run is None:
            return _error(404, "RunNotFound", f"Run {run_id} was not found.")
        if method == "PATCH":
            run |= json.loads(request.content)["data"]
            return httpx.Response(200, json={"data": run})
        if method == "POST":
            action = json.loads(request.content)["data"]["actionType"]
            if action == "play" and self.door == "open":
                return _error(409, "RunActionNotAllowed", "Front door or top window is currently open.")
            run["actions"].append({"actionType": action})
            run["status"] = {"play": "running", "stop": "stopped"}[action]
            return httpx.Response(201, json={"data": {}})
        if rest == "/commands":
            cursor = int(request.url.params.get("cursor", len(self.commands) - 1))
            page = self.commands[cursor : cursor + int(request.url.params.get("pageLength", 20))]
            meta = {"cursor": cursor, "totalLength": len(self.commands)}
            return httpx.Response(200, json={"data": page, "meta": meta})
        if rest == "/commandErrors":
            return httpx.Response(200, json={"data": [{"errorType": "liquidNotFound", "detail": "Liquid Not Found"}]})
        return httpx.Response(200, json={"data": run})


def _pipette(mount: str, kind: str) -> Json:
    return {"mount": mount, "instrumentType": "pipette", "instrumentName": f"p1000_{kind}_flex", "ok": True}


def _command(kind: str, result: Json | None = None, /, **params: Any) -> Json:
    return {"id": kind, "commandType": kind, "status": "succeeded", "params": params, "result": result or {}}


_LOADS = [
    _command("loadModule", {"moduleId": "M"}, model="heaterShakerModuleV1", location={"slotName": "D1"}),
    _command(
        "loadLabware", {"labwareId": "T"}, loadName="opentrons_flex_96_tiprack_200ul", location={"slotName": "A1"}
    ),
    _command(
        "loadLabware", {"labwareId": "A"}, loadName="opentrons_universal_flat_adapter", location={"moduleId": "M"}
    ),
    _command("loadLabware", {"labwareId": "L"}, loadName="nkloop_plate", location={"labwareId": "A"}),
    _command("loadPipette", {"pipetteId": "P"}, pipetteName="p1000_single_flex", mount="left"),
]


def _error(status: int, kind: str, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"errors": [{"id": kind, "title": kind, "detail": detail, "errorCode": "4000"}]})


@pytest.fixture
def fake() -> FakeRobot:
    return FakeRobot()


@pytest.fixture
def robot(fake: FakeRobot, tmp_path: Path) -> OpentronsRobot:
    (tmp_path / "cytokine_dosing.py").write_text('requirements = {"robotType": "Flex", "apiLevel": "2.20"}\n')
    return OpentronsRobot(
        "flex",
        "http://robot:31950/",
        protocols=tmp_path,
        catalogue=Catalogue(),
        poll_seconds=0.02,
        transport=httpx.MockTransport(fake),
    )
