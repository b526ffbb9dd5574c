"""Named faults: each happens once, in the place it is documented for, and leaves the wells as they physically are."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import httpx
import pytest

from nkloop.errors import BenchError
from nkloop.virtual.robot.faults import FAULTS, Faults


def draws(lab: Any) -> int:
    """Number of aspirations that physically happened."""
    return sum(one["commandType"] == "aspirate" for run in lab.world.executions for one in run.applied)


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BenchError, match=r"no fault 'goes_up_in_smoke'.*answers_500"):
        Faults(["goes_up_in_smoke"])
    assert "drops_connection" in Faults(FAULTS)


async def test_answers_500_leaves_a_phantom_that_the_next_500_clears(make_lab: Any) -> None:
    lab = make_lab(faults=["answers_500"])
    protocol = (await lab.upload()).json()["data"]["id"]
    assert (await lab.create_run(protocol)).status_code == 500
    phantom = (await lab.client.get("/runs")).json()
    assert (phantom["data"], "current" in phantom["links"]) == ([], True)
    assert (await lab.create_run(protocol)).status_code == 500
    assert (await lab.client.get("/runs")).json()["links"] == {}
    assert (await lab.create_run(protocol)).status_code == 201


async def test_drops_connection_after_the_server_acted(make_lab: Any) -> None:
    lab = make_lab(faults=["drops_connection"])
    with pytest.raises(httpx.RemoteProtocolError):
        await lab.upload_csv(b"well\nA1\n")
    assert len((await lab.client.get("/dataFiles")).json()["data"]) == 1
    assert (await lab.upload_csv(b"well\nA1\n")).status_code == 200


async def test_loses_power_with_a_full_tip(make_lab: Any) -> None:
    lab = make_lab(faults=["loses_power_mid_step"])
    vanished: list[bool] = []
    lab.robot.on_power_loss = lambda: vanished.append(True)
    await lab.start_run()
    await lab.when(lambda: bool(vanished))
    assert not lab.robot.is_on
    applied = [one["commandType"] for one in lab.world.executions[0].applied]
    assert applied[-1] == "aspirate"
    await asyncio.sleep(0.02)
    assert [one["commandType"] for one in lab.world.executions[0].applied] == applied


async def test_restarts_and_knows_the_run_by_name_only(make_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nkloop.virtual.robot.robot.RESTART_SECONDS", 0.02)
    lab = make_lab(faults=["restarts"])
    run = await lab.start_run()
    await lab.when(lambda: not lab.robot.is_on)
    with pytest.raises(httpx.RemoteProtocolError):
        await lab.client.get(f"/runs/{run}")
    await lab.when(lambda: lab.robot.is_on)
    assert (await lab.client.get(f"/runs/{run}")).json()["data"]["ok"] is False
    assert draws(lab) == 2


async def test_never_finishes_until_it_is_stopped(make_lab: Any) -> None:
    lab = make_lab(faults=["never_finishes"])
    run = await lab.start_run()
    await asyncio.sleep(0.05)
    assert (await lab.client.get(f"/runs/{run}")).json()["data"]["status"] == "running"
    await lab.act(run, "stop")
    ended = await lab.until(run, "stopped")
    assert ended["errors"] == []
    assert draws(lab) == 2


async def test_a_clogged_tip_waits_for_a_person_and_draws_nothing(make_lab: Any) -> None:
    lab = make_lab(faults=["clogs_tip"])
    run = await lab.start_run()
    waiting = await lab.until(run, "awaiting-recovery")
    assert (waiting["errors"], waiting["hasEverEnteredErrorRecovery"]) == ([], True)
    [error] = (await lab.client.get(f"/runs/{run}/commandErrors")).json()["data"]
    assert (error["errorType"], error["isDefined"]) == ("overpressure", True)
    assert draws(lab) == 1
    await lab.act(run, "resume-from-recovery")
    await lab.until(run, "succeeded")
    assert draws(lab) == 1


async def test_a_clogged_tip_fails_a_run_without_recovery(make_lab: Any) -> None:
    lab = make_lab(deck="ot2", faults=["clogs_tip"])
    lab.analyst.outcome = lab.canned(pipette="p20_single_gen2")
    lab.plain_text = lab.plain_text.replace("Flex", "OT-2")
    upload = await lab.upload(lab.plain_text)
    run = (await lab.create_run(upload.json()["data"]["id"])).json()["data"]["id"]
    await lab.act(run, "play")
    ended = await lab.until(run, "failed")
    assert "Pipette Overpressure" in ended["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("reaction", "status"),
    [("ignoreAndContinue", "succeeded"), ("failRun", "failed"), ("waitForRecovery", "awaiting-recovery")],
)
async def test_the_policy_of_a_run_decides(make_lab: Any, reaction: str, status: str) -> None:
    lab = make_lab(faults=["clogs_tip"])
    run = await lab.start_run(play=False)
    command = {"commandType": "aspirate", "error": {"errorType": "overpressure"}}
    rule = {"matchCriteria": {"command": command}, "ifMatch": reaction}
    await lab.client.put(f"/runs/{run}/errorRecoveryPolicy", json={"data": {"policyRules": [rule]}})
    await lab.act(run, "play")
    await lab.until(run, status)


async def test_a_door_opened_in_recovery_holds_it_there(make_lab: Any) -> None:
    lab = make_lab(faults=["clogs_tip"])
    run = await lab.start_run()
    await lab.until(run, "awaiting-recovery")
    await lab.door(is_open=True)
    assert (await lab.client.get(f"/runs/{run}")).json()["data"]["status"] == "awaiting-recovery-blocked-by-open-door"
    assert (await lab.act(run, "play")).status_code == 409
    await lab.door(is_open=False)
    assert (await lab.client.get(f"/runs/{run}")).json()["data"]["status"] == "awaiting-recovery-paused"
    await lab.act(run, "play")
    await lab.until(run, "awaiting-recovery")
    await lab.act(run, "resume-from-recovery")
    await lab.until(run, "succeeded")


async def test_opens_door_blocks_until_it_is_closed_and_played(make_lab: Any) -> None:
    lab = make_lab(faults=["opens_door"])
    run = await lab.start_run()
    await lab.until(run, "blocked-by-open-door")
    await lab.door(is_open=False)
    assert (await lab.client.get(f"/runs/{run}")).json()["data"]["status"] == "paused"
    await lab.act(run, "play")
    await lab.until(run, "succeeded")
    assert draws(lab) == 2


async def test_clock_wrong_shifts_every_time(make_lab: Any) -> None:
    right, wrong = make_lab(), make_lab(faults=["clock_wrong"])
    told = [
        datetime.fromisoformat((await lab.client.get("/system/time")).json()["data"]["systemTime"])
        for lab in (wrong, right)
    ]
    assert 10790 < (told[1] - told[0]).total_seconds() < 10810
    created = (await wrong.create_run()).json()["data"]["createdAt"]
    assert created.startswith("2025-12-31T21:00")


async def test_another_persons_run_is_in_the_way(make_lab: Any) -> None:
    lab = make_lab(faults=["runs_another_persons_protocol"])
    [run] = (await lab.client.get("/runs")).json()["data"]
    assert (run["status"], run["current"]) == ("running", True)
    assert (await lab.create_run()).json()["errors"][0]["id"] == "RunAlreadyActive"


@pytest.mark.parametrize(("deck", "name"), [("flex", "p50_single_flex"), ("ot2", "p1000_single_gen2")])
async def test_wrong_pipette(make_lab: Any, deck: str, name: str) -> None:
    lab = make_lab(deck=deck, faults=["wrong_pipette"])
    found = (await lab.client.get("/instruments")).json()["data"]
    assert found[0]["instrumentName"] == name
