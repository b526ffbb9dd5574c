"""A shipped protocol with its example worklist, analysed for real, through the virtual bench as a whole."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nkloop.virtual.process import VirtualBench

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 120.0


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    workspace = tmp_path_factory.mktemp("workspace")
    for folder in ("devices", "labware"):
        shutil.copytree(ROOT / folder, workspace / folder)
    headers = {"Opentrons-Version": "4"}
    with (
        VirtualBench.start(workspace, log=workspace / "bench.log") as bench,
        httpx.Client(base_url=bench.url, headers=headers, trust_env=False, timeout=SECONDS) as client,
    ):
        yield client


def until(robot: httpx.Client, path: str, *statuses: str) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found: dict[str, Any] = robot.get(path).json()["data"]
        if found["status"] in statuses:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path} is {found['status']}")


def test_robot_and_world_answer_on_one_port(robot: httpx.Client) -> None:
    assert robot.get("/health").json()["name"] == "virtual"
    clock = httpx.get(f"{robot.base_url}/virtual/clock", trust_env=False).json()
    assert clock["now"] == robot.get("/virtual/clock").json()["now"]
    assert robot.post("/virtual/count", json={"barcode": "nowhere", "wells": ["A1"]}).status_code >= 400


@pytest.mark.vendor
@pytest.mark.slow
def test_a_shipped_protocol_runs_through(robot: httpx.Client) -> None:
    protocols = ROOT / "protocols"
    csv = (protocols / "medium_preparation.example.csv").read_bytes()
    file = robot.post("/dataFiles", files={"file": ("worklist.csv", csv, "text/csv")}).json()["data"]["id"]
    parameters = {"worklist": file}
    sent = [protocols / "medium_preparation.py", *sorted((ROOT / "labware").glob("*.json"))]
    uploads = [("files", (path.name, path.read_bytes(), "text/plain")) for path in sent]
    form = {"runTimeParameterFiles": json.dumps(parameters)}
    protocol = robot.post("/protocols", files=uploads, data=form).json()["data"]
    analysis_path = f"/protocols/{protocol['id']}/analyses/{protocol['analysisSummaries'][0]['id']}"
    analysis = until(robot, analysis_path, "completed")
    assert (analysis["result"], analysis["errors"]) == ("ok", [])
    request = {"protocolId": protocol["id"], "runTimeParameterFiles": parameters}
    run = f"/runs/{robot.post('/runs', json={'data': request}).json()['data']['id']}"
    before = robot.get("/virtual/clock").json()["now"]
    robot.post(f"{run}/actions", json={"data": {"actionType": "play"}})
    n_pauses = 0
    while until(robot, run, "paused", "succeeded", "failed")["status"] == "paused":
        n_pauses += 1
        robot.post(f"{run}/actions", json={"data": {"actionType": "play"}})
    ended = robot.get(run).json()["data"]
    assert (ended["status"], ended["errors"]) == ("succeeded", [])
    assert n_pauses == sum(one["commandType"] == "waitForResume" for one in analysis["commands"])
    done = robot.get(f"{run}/commands", params={"cursor": 0, "pageLength": 1000}).json()
    assert [one["key"] for one in done["data"]] == [one["key"] for one in analysis["commands"]]
    assert {one["status"] for one in done["data"]} == {"succeeded"}
    assert robot.get("/virtual/clock").json()["now"] > before
