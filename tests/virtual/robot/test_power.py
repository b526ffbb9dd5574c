"""What a robot knows after its power was off, and what has happened to the wells meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest


async def built_again(make_lab: Any, lab: Any, path: Path) -> Any:
    """Cut the power of a robot and build another one on its memory, in front of the same world."""
    lab.robot.cut_power()
    again = make_lab(memory=path)
    again.analyst.outcome = lab.analyst.outcome
    return again


async def shown(lab: Any, run: str) -> Any:
    return (await lab.client.get(f"/runs/{run}")).json()["data"]


async def test_a_dismissed_run_comes_back_whole(make_lab: Any, tmp_path: Path) -> None:
    lab = make_lab(memory=tmp_path / "robot.sqlite")
    run = await lab.start_run()
    await lab.until(run, "succeeded")
    before = (await lab.client.patch(f"/runs/{run}", json={"data": {"current": False}})).json()["data"]
    commands = (await lab.client.get(f"/runs/{run}/commands", params={"cursor": 0, "pageLength": 100})).json()
    again = await built_again(make_lab, lab, tmp_path / "robot.sqlite")
    assert await shown(again, run) == before
    assert (await again.client.get(f"/runs/{run}/commands", params={"cursor": 0, "pageLength": 100})).json() == commands
    assert (await again.client.get("/runs")).json()["links"] == {}


@pytest.mark.parametrize(
    ("play", "state"),
    [
        pytest.param(False, "idle", id="idle"),
        pytest.param(True, "paused", id="paused"),
        pytest.param(True, "succeeded", id="ended_but_current"),
    ],
)
async def test_a_run_that_was_current_is_known_by_name_only(
    make_lab: Any, tmp_path: Path, play: bool, state: str
) -> None:
    lab = make_lab(memory=tmp_path / "robot.sqlite")
    lab.analyst.outcome = lab.canned(pause=state == "paused")
    run = await lab.start_run(play=play)
    await lab.until(run, state)
    again = await built_again(make_lab, lab, tmp_path / "robot.sqlite")
    lost = await shown(again, run)
    assert (lost["ok"], lost["status"], lost["current"]) == (False, "stopped", False)
    assert lost["dataError"]["id"] == "RunDataError"
    assert lost["runTimeParameters"] == []
    assert len(lost["actions"]) == int(play)
    assert (await again.client.get(f"/runs/{run}/commands")).json()["meta"]["totalLength"] == 0
    assert (await again.act(run, "play")).status_code == 409


async def test_protocols_and_files_come_back_and_are_not_stored_twice(make_lab: Any, tmp_path: Path) -> None:
    lab = make_lab(memory=tmp_path / "robot.sqlite")
    protocol = (await lab.upload()).json()["data"]["id"]
    file = (await lab.upload_csv(b"well\nA1\n")).json()["data"]["id"]
    again = await built_again(make_lab, lab, tmp_path / "robot.sqlite")
    assert (await again.upload_csv(b"well\nA1\n")).json()["data"]["id"] == file
    once_more = await again.upload()
    assert (once_more.status_code, once_more.json()["data"]["id"]) == (200, protocol)
    assert (await again.analysed(protocol))["result"] == "ok"


async def test_settings_outlive_a_restart_and_client_data_does_not(make_lab: Any, tmp_path: Path) -> None:
    lab = make_lab(memory=tmp_path / "robot.sqlite")
    await lab.client.patch("/errorRecovery/settings", json={"data": {"enabled": False}})
    await lab.client.put("/clientData/nkloop", json={"data": {"token": 7}})
    again = await built_again(make_lab, lab, tmp_path / "robot.sqlite")
    assert (await again.client.get("/errorRecovery/settings")).json() == {"data": {"enabled": False}}
    assert (await again.client.get("/clientData/nkloop")).status_code == 404


async def test_forgotten_things_stay_forgotten(make_lab: Any, tmp_path: Path) -> None:
    lab = make_lab(memory=tmp_path / "robot.sqlite")
    run = await lab.start_run(play=False)
    protocol = lab.robot.protocols.all()[0].id
    await lab.client.delete(f"/runs/{run}")
    await lab.client.delete(f"/protocols/{protocol}")
    again = await built_again(make_lab, lab, tmp_path / "robot.sqlite")
    assert (await again.client.get("/runs")).json()["data"] == []
    assert (await again.client.get("/protocols")).json()["data"] == []


async def test_nobody_answers_without_power(lab: Any) -> None:
    lab.robot.cut_power()
    with pytest.raises(httpx.RemoteProtocolError):
        await lab.client.get("/health")
    lab.robot.switch_on()
    assert (await lab.client.get("/health")).status_code == 200
