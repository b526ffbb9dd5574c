"""The recorded exchanges of a real robot server, asked again of ours: same status codes, same shapes, same errors."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from nkloop.virtual.robot.reader_files import reader_csv

Exchange = dict[str, Any]

OUT_OF_SCOPE = re.compile(
    r"^/(settings|networking/status|robot/lights|identify|pipettes)$|/loaded_labware_definitions$"
)
"""Routes nobody here needs, and definitions, which are not kept."""
PHANTOM_GONE_BEFORE = {189, 192}
"""The recording left out the creation, answered by a 500, that clears the phantom run of the one before."""
DOOR_OPENS_BEFORE, DOOR_CLOSES_BEFORE = 138, 140
PATIENT = re.compile(r"/runs/[^/]+(/commands|/currentState|/commandErrors)?$")
"""Asked when the recorded run had come to rest."""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
RESTS = {"idle", "paused", "stopped", "failed", "succeeded", "blocked-by-open-door", "awaiting-recovery"}

FLEX_RUN = "flex_run.py"
BAD = {
    "syntax_error.py": 'requirements = {"robotType": "Flex", "apiLevel": "2.20"}\ndef run(ctx:\n',
    "api_too_new.py": 'requirements = {"robotType": "Flex", "apiLevel": "2.99"}\ndef run(ctx): ...\n',
    "vol_too_large_for_tip.py": 'requirements = {"robotType": "Flex", "apiLevel": "2.31"}\ndef run(ctx): ...\n',
    "no_run.py": 'requirements = {"robotType": "Flex", "apiLevel": "2.20"}\n',
    "ot2.py": 'requirements = {"robotType": "OT-2", "apiLevel": "2.20"}\ndef run(ctx): ...\n',
    "a.json": "{}",
}
"""What stands for the protocols of the recording, which were not kept."""
LABWARE = json.dumps({"schemaVersion": 2, "ordering": [], "wells": {}, "parameters": {}})
CSV = "well,vol\nA1,10\nB1,20\nC1,30\nD1,40\n"


@dataclass
class Replay:
    """Asks our robot what the real one was asked, with its ids put in place of the recorded ones."""

    lab: Any
    is_patient: bool = True
    """Whether to wait until a run has come to rest, as the recording did."""
    ids: dict[str, str] = field(default_factory=dict)
    n_compared: int = 0

    async def ask(self, number: int, exchange: Exchange) -> None:
        """Repeat one exchange and compare the answers."""
        path, method = self._ours(exchange["path"]), exchange["method"]
        current = self.lab.robot.runs.current()
        if self.is_patient and method == "GET" and PATIENT.search(path):
            await self._rest(path.split("/")[2])
        elif self.is_patient and (method, path, exchange["status"]) == ("POST", "/runs", 201) and current:
            await self._rest(current.id)
        answer = await self.lab.client.request(method, path, **self._request(exchange))
        where = f"exchange {number}: {method} {exchange['path']}"
        assert answer.status_code == exchange["status"], f"{where}: {answer.text}"
        self.n_compared += 1
        recorded = exchange["body"]
        if not isinstance(recorded, dict):
            assert answer.headers["content-type"] == exchange["headers"]["content-type"], where
            return
        self._compare(where, recorded, answer)
        self._learn(recorded, answer.json())
        if method == "POST" and path.startswith("/protocols") and answer.status_code < 300:
            await self._analysed(answer)

    def _compare(self, where: str, recorded: dict[str, Any], answer: httpx.Response) -> None:
        ours = answer.json()
        assert set(ours) == set(recorded), where
        assert ("opentrons-version" in answer.headers) == (answer.status_code >= 400 or "/health" in where), where
        if "errors" in recorded:
            told = [{key: error.get(key) for key in ("id", "title", "errorCode", "source")} for error in ours["errors"]]
            assert told == [
                {key: error.get(key) for key in ("id", "title", "errorCode", "source")} for error in recorded["errors"]
            ], where
            same = {"meta" in error for error in recorded["errors"]}
            assert {"meta" in error for error in ours["errors"]} == same, where
        data, our_data = recorded.get("data"), ours.get("data")
        if isinstance(data, dict):
            assert set(our_data) == set(data), where
            if "actionType" in data or "/runs/" in where:
                assert our_data.get("status") == data.get("status"), where
            assert our_data.get("runTimeParameters") == self._ours(data.get("runTimeParameters")), where
        if "/commands" not in where and "/instruments" not in where and "/modules" not in where:
            assert ours.get("meta") == recorded.get("meta"), where

    def _learn(self, recorded: Any, ours: Any) -> None:
        """Walk both answers side by side and note which of our ids stands for which recorded one."""
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for key in recorded.keys() & ours.keys():
                self._learn(recorded[key], ours[key])
        elif isinstance(recorded, list) and isinstance(ours, list):
            for left, right in zip(recorded, ours, strict=False):
                self._learn(left, right)
        elif isinstance(recorded, str) and isinstance(ours, str):
            for left, right in zip(ID.findall(recorded), ID.findall(ours), strict=False):
                self.ids.setdefault(left, right)

    def _ours(self, value: Any) -> Any:
        """The recorded value with our ids."""
        text = json.dumps(value)
        return json.loads(ID.sub(lambda found: self.ids.get(found[0], found[0]), text))

    def _request(self, exchange: Exchange) -> dict[str, Any]:
        request = exchange["req"]
        arguments: dict[str, Any] = {}
        if "json" in request:
            arguments["json"] = self._ours(request["json"])
        if "params" in request:
            arguments["params"] = {key: str(value).lower() for key, value in request["params"].items()}
        if "files" in request:
            field_name = "file" if exchange["path"] == "/dataFiles" else "files"
            names = re.findall(r"\('([\w.]+)', (?:<|b')", request["files"])
            arguments["files"] = [(field_name, (name, self._content(name))) for name in names]
        if "data" in request:
            arguments["data"] = self._ours(dict(_form(request["data"])))
        return arguments

    def _content(self, name: str) -> bytes:
        if name.endswith(".json") and name not in BAD:
            return LABWARE.encode()
        if name == FLEX_RUN:
            return str(self.lab.protocol_text).encode()
        texts = {**BAD, "doses.csv": CSV, "empty.csv": "", "doses.txt": "x"}
        return str(texts.get(name, f"{self.lab.plain_text}# {name}\n")).encode()

    async def _rest(self, run: str) -> None:
        for _ in range(500):
            if run not in {one.id for one in self.lab.robot.runs.all()} or self.lab.robot.runs.get(run).status in RESTS:
                return
            await asyncio.sleep(0.002)
        raise AssertionError(f"run {run} does not come to rest")

    async def _analysed(self, answer: httpx.Response) -> None:
        data = answer.json()["data"]
        if isinstance(data, dict):
            await self.lab.analysed(data["id"])


def _form(text: str) -> Iterator[tuple[str, str]]:
    return iter(re.findall(r"'(\w+)': '([^']*)'", text))


NOT_FOUND = {
    "id": "e", "createdAt": "2026-01-01T00:00:00+00:00", "errorType": "liquidNotFound", "errorCode": "2017",
    "isDefined": True, "detail": "Liquid Not Found", "errorInfo": {}, "wrappedErrors": [],
}  # fmt: skip
TOO_MUCH = {
    **NOT_FOUND, "errorType": "InvalidAspirateVolumeError", "errorCode": "4000", "isDefined": False,
    "detail": "Cannot aspirate 5000.0 µL when only 150.0 is available in the tip.",
}  # fmt: skip


def outcome(lab: Any, name: str, values: dict[str, Any]) -> Any:
    """Canned analyses that end as the recorded runs did."""
    found = lab.canned(pause=bool(values.get("do_pause")))
    if name == "flex_er.py":
        found.commands[-2] |= {"status": "failed", "error": TOO_MUCH}
        found.liquids = []
    return reading(lab) if name == "flex_reader.py" else found


def probing(lab: Any, *, finds_liquid: bool = False) -> Any:
    """The protocol of the recorded recovery: it probes for liquid; at speed 1 that takes six seconds."""
    found = lab.canned()
    probe = lab.command("liquidProbe", {"z_position": 1.0}, pipetteId="P", labwareId="L", wellName="A1")
    if not finds_liquid:
        del probe["result"]
        probe |= {"status": "failed", "error": NOT_FOUND}
    found.commands = [*found.commands[1:3], probe, lab.command("comment", message="probed")]
    found.liquids = []
    return found


def reading(lab: Any) -> Any:
    """The protocol of the recorded plate reader: one plate at 450 and 600 nm."""
    found = lab.canned()
    module, where = {"moduleId": "M"}, {"model": "absorbanceReaderV1", "location": {"slotName": "D3"}}
    values = {f"{row}{column}": 1.0 for row in "ABCDEFGH" for column in range(1, 13)}
    measured = {"data": {"450": values, "600": values}, "fileIds": []}
    found.commands = [
        lab.command("home"),
        lab.command("loadModule", {**module, "model": "absorbanceReaderV1"}, **where),
        found.commands[1],
        *(lab.command(f"absorbanceReader/{verb}Lid", **module) for verb in ("close", "open")),
        lab.command("absorbanceReader/read", measured, fileName="ldh", **module),
    ]
    found.modules = [{"id": "M", "model": "absorbanceReaderV1", "location": {"slotName": "D3"}, "serialNumber": "?"}]
    found.pipettes, found.liquids = [], []
    return found


@pytest.fixture
def exchanges(recordings_folder: Path) -> list[Exchange]:
    lines = (recordings_folder / "robot_server_exchanges_8.2.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(0, 18, id="hardware_and_files"),
        pytest.param(0, 103, id="protocols_runs_and_maintenance"),
        pytest.param(186, 193, id="wrong_parameters"),
    ],
)
async def test_our_robot_answers_as_the_recorded_one(
    lab: Any, exchanges: list[Exchange], first: int, last: int
) -> None:
    lab.analyst.answer = lambda name, values: outcome(lab, name, values)
    replay = Replay(lab)
    for number, exchange in list(enumerate(exchanges))[first:last]:
        if number in PHANTOM_GONE_BEFORE:
            assert (await lab.create_run()).status_code == 500
        await ask_in_scope(replay, number, exchange)
    assert replay.n_compared >= (last - first) * 0.85


async def ask_in_scope(replay: Replay, number: int, exchange: Exchange) -> None:
    if not OUT_OF_SCOPE.search(exchange["path"]):
        await replay.ask(number, exchange)


@pytest.mark.parametrize(
    ("first", "last"),
    [pytest.param(103, 111, id="a_probe_takes_its_time"), pytest.param(141, 148, id="stop_and_pause")],
)
async def test_a_run_under_way_answers_as_recorded(
    make_lab: Any, exchanges: list[Exchange], first: int, last: int
) -> None:
    lab = make_lab(speed=1.0)
    lab.analyst.outcome = probing(lab, finds_liquid=True)
    replay = Replay(lab, is_patient=False)
    if first == 141:
        replay.ids["29ca565a-1d34-4bd9-9ccb-83d9d3ee0bb7"] = (await lab.upload()).json()["data"]["id"]
    for number, exchange in list(enumerate(exchanges))[first:last]:
        await asyncio.sleep(0.02)
        await replay.ask(number, exchange)
    assert replay.n_compared == last - first


async def test_recovery_goes_as_recorded(lab: Any, exchanges: list[Exchange]) -> None:
    lab.analyst.outcome = probing(lab)
    replay = Replay(lab)
    for number, exchange in list(enumerate(exchanges))[111:136]:
        await replay.ask(number, exchange)
        if number == 116:
            ours = (await lab.client.get(replay._ours(exchange["path"]), params={"pageLength": 1})).json()
            assert set(ours["links"]) == {"current", "currentlyRecoveringFrom"} == set(exchange["body"]["links"])
            assert ours["data"][0]["notes"] == exchange["body"]["data"][0]["notes"]
            assert ours["data"][0]["error"]["errorType"] == "liquidNotFound"
    assert replay.n_compared == 25


@pytest.mark.parametrize(
    ("first", "last", "fails_at"),
    [
        pytest.param(148, 159, "absorbanceReader/openLid", id="the_lid_does_not_open"),
        pytest.param(159, 176, "", id="two_files_are_made"),
    ],
)
async def test_a_plate_reader_answers_as_recorded(
    make_lab: Any, exchanges: list[Exchange], first: int, last: int, fails_at: str
) -> None:
    lab = make_lab(deck="reader")
    lab.robot.hardware.fixtures[-1] = {"cutoutId": "cutoutD3", "cutoutFixtureId": "singleRightSlot"}
    lab.world.fail_at = fails_at
    lab.analyst.outcome = reading(lab)
    replay = Replay(lab)
    for number, exchange in list(enumerate(exchanges))[first:last]:
        if number == 174:  # the recorded list of commands before it was cut short
            replay.ids[exchange["path"].rsplit("/", 1)[-1]] = lab.robot.runs.current().commands[-1]["id"]
        await replay.ask(number, exchange)
    assert replay.n_compared == last - first


def test_a_reader_file_has_the_recorded_layout(recordings_folder: Path) -> None:
    recorded = (recordings_folder / "plate_reader_8.2.csv").read_bytes().decode()
    wells = [f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13)]
    values = {name: round(1.0 - 0.01 * place, 2) for place, name in enumerate(wells)}
    assert reader_csv(values, 450, "abs-123", datetime(2026, 11, 23, 7, 34, 58, tzinfo=UTC)) == recorded


async def test_an_ot2_answers_as_recorded(make_lab: Any, exchanges: list[Exchange]) -> None:
    lab = make_lab(deck="ot2")
    lab.analyst.outcome = lab.canned(pipette="p300_single_gen2")
    replay = Replay(lab)
    for number, exchange in list(enumerate(exchanges))[176:186]:
        await ask_in_scope(replay, number, exchange)
    assert replay.n_compared == 9
    [protocol] = (await lab.client.get("/protocols")).json()["data"]
    assert protocol["robotType"] == exchanges[176]["body"]["data"]["robotType"]
    pipettes = (await lab.client.get("/instruments")).json()["data"]
    assert [set(one) for one in pipettes] == [set(one) for one in exchanges[181]["body"]["data"]]
    [run] = (await lab.client.get("/runs")).json()["data"]
    assert "expected instrument p300_single_gen2 but got p20_single_v2.2" in run["errors"][0]["detail"]


async def test_the_door_holds_runs_as_recorded(lab: Any, exchanges: list[Exchange]) -> None:
    lab.analyst.outcome = lab.canned()
    replay = Replay(lab)
    for number, exchange in list(enumerate(exchanges))[136:141]:
        if number in {DOOR_OPENS_BEFORE, DOOR_CLOSES_BEFORE}:
            await lab.door(is_open=number == DOOR_OPENS_BEFORE)
        await replay.ask(number, exchange)
    assert replay.n_compared == 5


async def test_every_recorded_command_summary_has_the_keys_of_ours(lab: Any, exchanges: list[Exchange]) -> None:
    run = await lab.start_run()
    await lab.until(run, "succeeded")
    ours = (await lab.client.get(f"/runs/{run}/commands")).json()
    recorded = exchanges[48]["body"]
    assert set(ours["data"][0]) == set(recorded["data"][0])
    assert set(ours["links"]["current"]) == set(recorded["links"]["current"])
    assert set(ours["links"]["current"]["meta"]) == set(recorded["links"]["current"]["meta"])
    full = (await lab.client.get(f"/runs/{run}/commands/{ours['data'][0]['id']}")).json()
    assert set(full["data"]) == set(exchanges[50]["body"]["data"])


async def test_recorded_hardware_has_the_keys_of_ours(lab: Any, exchanges: list[Exchange]) -> None:
    for path, number in (("/instruments", 2), ("/modules", 1)):
        ours = (await lab.client.get(path)).json()["data"]
        recorded = [item for item in exchanges[number]["body"]["data"] if isinstance(item, dict)]
        keys = {frozenset(item) for item in recorded}
        assert {frozenset(item) for item in ours} <= keys
