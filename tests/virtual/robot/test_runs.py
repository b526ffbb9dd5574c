"""Runs over HTTP: statuses, pauses, door, commands, faults, retention."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.virtual.robot.durations import SECONDS, duration
from nkloop.virtual.robot.runs import MAX_RUNS

PAUSED_AT = 7


async def commands(lab: Any, run: str, **params: Any) -> Any:
    return (await lab.client.get(f"/runs/{run}/commands", params={"cursor": 0, "pageLength": 100, **params})).json()


async def test_a_run_replays_its_analysis_on_the_world(lab: Any) -> None:
    run = await lab.start_run(play=False)
    created = (await lab.client.get(f"/runs/{run}")).json()["data"]
    assert (created["status"], created["current"], created["labware"]) == ("idle", True, [])
    assert "startedAt" not in created
    assert (await commands(lab, run)) == {"data": [], "links": {}, "meta": {"cursor": 0, "totalLength": 0}}
    assert (await lab.act(run, "play")).status_code == 201
    ended = await lab.until(run, "succeeded")
    planned = lab.canned().commands
    assert lab.world.executions[0].applied == planned
    assert [one["id"] for one in ended["labware"]] == ["L"]
    assert [one["id"] for one in ended["pipettes"]] == ["P"]
    assert [one["displayName"] for one in ended["liquids"]] == ["NK medium"]
    assert [one["actionType"] for one in ended["actions"]] == ["play"]
    assert ended["errors"] == []
    spent = datetime.fromisoformat(ended["completedAt"]) - datetime.fromisoformat(ended["startedAt"])
    assert spent.total_seconds() == pytest.approx(sum(duration(one) for one in planned))


async def test_commands_are_told_with_new_ids_and_the_keys_of_the_analysis(lab: Any) -> None:
    run = await lab.start_run()
    await lab.until(run, "succeeded")
    found = (await commands(lab, run))["data"]
    assert [one["key"] for one in found] == [one["key"] for one in lab.canned().commands]
    assert not {one["id"] for one in found} & {one["id"] for one in lab.canned().commands}
    assert {one["status"] for one in found} == {"succeeded"}
    assert all("result" not in one for one in found)
    full = (await lab.client.get(f"/runs/{run}/commands/{found[2]['id']}")).json()["data"]
    assert full["result"] == {"pipetteId": "P"}
    missing = await lab.client.get(f"/runs/{run}/commands/x")
    assert (missing.status_code, missing.json()["errors"][0]["id"]) == (404, "CommandNotFound")
    texts = (await lab.client.get(f"/runs/{run}/commandsAsPreSerializedList")).json()["data"]
    assert len(texts) == len(found)


async def test_commands_are_paged(lab: Any) -> None:
    run = await lab.start_run()
    await lab.until(run, "succeeded")
    everything = (await commands(lab, run))["data"]
    pages = [(await commands(lab, run, cursor=start, pageLength=4))["data"] for start in range(0, 12, 4)]
    assert [one for page in pages for one in page] == everything
    tail = (await lab.client.get(f"/runs/{run}/commands", params={"pageLength": 2})).json()
    assert tail["data"] == everything[-2:]
    assert tail["meta"] == {"cursor": len(everything) - 2, "totalLength": len(everything)}
    assert tail["links"]["current"]["meta"]["index"] == len(everything) - 1
    beyond = await commands(lab, run, cursor=99)
    assert beyond["data"] == everything[-1:]


async def test_a_pause_waits_for_play(lab: Any) -> None:
    lab.analyst.outcome = lab.canned(pause=True)
    run = await lab.start_run()
    await lab.until(run, "paused")
    page = (await lab.client.get(f"/runs/{run}/commands", params={"pageLength": 3})).json()
    [waiting] = page["data"]
    assert (waiting["commandType"], waiting["status"]) == ("waitForResume", "running")
    assert waiting["params"] == {"message": "step 2: check the plate"}
    assert page["meta"] == {"cursor": PAUSED_AT, "totalLength": PAUSED_AT + 1}
    assert page["links"]["current"]["meta"]["commandId"] == waiting["id"]
    state = (await lab.client.get(f"/runs/{run}/currentState")).json()
    assert state["data"]["activeNozzleLayouts"]["P"]["activeNozzles"] == ["A1"]
    done = (await commands(lab, run))["data"][PAUSED_AT - 1]["id"]
    assert state["links"]["lastCompleted"] == {"id": done, "href": f"/runs/{run}/commands/{done}"}
    early = await lab.client.get(f"/runs/{run}/commandsAsPreSerializedList")
    assert early.status_code == 503
    n_applied = len(lab.world.executions[0].applied)
    await asyncio.sleep(0.02)
    assert len(lab.world.executions[0].applied) == n_applied == PAUSED_AT
    await lab.act(run, "play")
    await lab.until(run, "succeeded")
    assert (await commands(lab, run))["data"][PAUSED_AT]["status"] == "succeeded"


async def test_a_run_under_way_is_protected(lab: Any) -> None:
    lab.analyst.outcome = lab.canned(pause=True)
    run = await lab.start_run()
    await lab.until(run, "paused")
    protocol = (await lab.client.get(f"/runs/{run}")).json()["data"]["protocolId"]
    dismissal = {"json": {"data": {"current": False}}}
    for answer, identifier, code in (
        (await lab.create_run(protocol), "RunAlreadyActive", "4001"),
        (await lab.client.patch(f"/runs/{run}", **dismissal), "RunNotIdle", "4001"),
        (await lab.client.delete(f"/runs/{run}"), "RunNotIdle", "4001"),
        (await lab.act(run, "pause"), "RunActionNotAllowed", "3000"),
        (await lab.act(run, "resume-from-recovery"), "RunActionNotAllowed", "3000"),
    ):
        assert answer.status_code == 409
        assert (answer.json()["errors"][0]["id"], answer.json()["errors"][0]["errorCode"]) == (identifier, code)
    await lab.act(run, "stop")
    assert (await lab.until(run, "stopped"))["errors"] == []
    last = (await commands(lab, run))["data"][-1]
    assert (last["status"], last["error"]["errorType"]) == ("failed", "RunStoppedError")


async def test_an_ended_run_takes_no_actions_and_is_dismissed_once(lab: Any) -> None:
    run = await lab.start_run()
    await lab.until(run, "succeeded")
    for action in ("play", "pause", "stop"):
        refused = await lab.act(run, action)
        assert refused.json()["errors"][0]["detail"] == "The run has already stopped."
    body = {"data": {"current": False}}
    assert (await lab.client.patch(f"/runs/{run}", json={"data": {}})).json()["data"]["current"] is True
    assert (await lab.client.patch(f"/runs/{run}", json=body)).json()["data"]["current"] is False
    for answer in (
        await lab.client.patch(f"/runs/{run}", json=body),
        await lab.act(run, "play"),
        await lab.client.get(f"/runs/{run}/currentState"),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["id"]) == (409, "RunStopped")
    assert (await lab.client.get("/runs")).json()["links"] == {}


async def test_an_idle_run_is_replaced_without_a_word(lab: Any) -> None:
    first = await lab.start_run(play=False)
    second = await lab.start_run(play=False)
    shown = {one["id"]: one for one in (await lab.client.get("/runs")).json()["data"]}
    assert (shown[first]["status"], shown[first]["current"]) == ("stopped", False)
    assert (shown[second]["status"], shown[second]["current"]) == ("idle", True)
    listed = (await lab.client.get("/runs", params={"pageLength": 1})).json()
    assert [one["id"] for one in listed["data"]] == [second]
    assert listed["links"]["current"]["href"] == f"/runs/{second}"
    assert listed["meta"]["totalLength"] == 2


async def test_stop_works_before_play(lab: Any) -> None:
    run = await lab.start_run(play=False)
    assert (await lab.act(run, "stop")).status_code == 201
    assert (await lab.client.get(f"/runs/{run}")).json()["data"]["status"] == "stopped"
    assert (await lab.act(run, "play")).status_code == 409
    assert lab.world.executions == []


async def test_an_open_door_holds_the_start(lab: Any) -> None:
    await lab.door(is_open=True)
    run = await lab.start_run(play=False)
    assert (await lab.client.get(f"/runs/{run}")).json()["data"]["status"] == "idle"
    assert (await lab.act(run, "play")).status_code == 201
    await lab.until(run, "blocked-by-open-door")
    refused = await lab.act(run, "play")
    assert refused.json()["errors"][0]["detail"] == "Front door or top window is currently open."
    await lab.door(is_open=False)
    assert (await lab.until(run, "paused"))["status"] == "paused"
    await lab.act(run, "play")
    await lab.until(run, "succeeded")


async def test_opening_the_door_holds_a_run_under_way(make_lab: Callable[[float], Any]) -> None:
    lab = make_lab(1000.0)
    run = await lab.start_run()
    await lab.until(run, "running")
    await lab.door(is_open=True)
    await lab.until(run, "blocked-by-open-door")
    await lab.door(is_open=False)
    await lab.until(run, "paused")
    await lab.act(run, "play")
    await lab.until(run, "succeeded")


async def test_stopping_interrupts_a_long_command_before_it_acts(make_lab: Callable[[float], Any]) -> None:
    lab = make_lab(1.0)
    lab.analyst.outcome = lab.canned()
    lab.analyst.outcome.commands = [lab.command("comment", message="go"), *lab.analyst.outcome.commands]
    run = await lab.start_run()
    await lab.until(run, "running")
    await asyncio.sleep(0.05)
    assert len((await commands(lab, run))["data"]) == 2
    assert (await lab.act(run, "pause")).status_code == 201
    await lab.act(run, "stop")
    assert (await lab.client.get(f"/runs/{run}")).json()["data"]["status"] in {"stop-requested", "stopped"}
    await lab.door(is_open=True)
    await lab.until(run, "stopped")
    assert [one["commandType"] for one in lab.world.executions[0].applied] == ["comment"]


async def test_speed_scales_wall_time(make_lab: Callable[[float], Any]) -> None:
    lab = make_lab(100.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    run = await lab.start_run()
    await lab.until(run, "succeeded")
    bench_seconds = sum(duration(one) for one in lab.canned().commands)
    assert loop.time() - began >= 0.9 * bench_seconds / 100.0


async def test_the_emergency_stop_stops_the_run(lab: Any) -> None:
    lab.analyst.outcome = lab.canned(pause=True)
    run = await lab.start_run()
    await lab.until(run, "paused")
    await lab.client.put("/virtual/estop", json={"on": True})
    await lab.until(run, "stopped")


@pytest.mark.parametrize(
    ("spoil", "kind", "told"),
    [
        pytest.param(
            lambda lab: setattr(lab.analyst, "outcome", lab.canned(pipette="p50_single_flex")),
            "FailedToLoadPipetteError",
            "mount LEFT: expected instrument p50_single_flex but got p1000_single_v3.6",
            id="wrong_pipette",
        ),
        pytest.param(
            lambda lab: lab.robot.hardware.pipettes.pop("left"),
            "FailedToLoadPipetteError",
            "expected instrument p1000_single_flex but got None",
            id="no_pipette",
        ),
        pytest.param(
            lambda lab: setattr(lab.world, "fail_at", "aspirate"), "RuntimeError", "the plate is not there", id="world"
        ),
    ],
)
async def test_a_failing_command_fails_the_run(lab: Any, spoil: Any, kind: str, told: str) -> None:
    spoil(lab)
    run = await lab.start_run()
    ended = await lab.until(run, "failed")
    [error] = ended["errors"]
    assert error["errorType"] == "ExceptionInProtocolError"
    assert error["wrappedErrors"][0]["errorType"] == "ProtocolCommandFailedError"
    assert error["wrappedErrors"][0]["wrappedErrors"][0]["errorType"] == kind
    assert told in error["detail"]
    [fault] = (await lab.client.get(f"/runs/{run}/commandErrors")).json()["data"]
    assert told in fault["detail"]
    assert (await commands(lab, run))["data"][-1]["error"] == fault


MODULE_LOAD = {"model": "heaterShakerModuleV1", "location": {"slotName": "D1"}}


@pytest.mark.parametrize(
    ("params", "fixtures", "told"),
    [
        pytest.param(
            {**MODULE_LOAD, "location": {"slotName": "B1"}}, {}, "heaterShakerV1B1 not provided by deck", id="elsewhere"
        ),
        pytest.param(MODULE_LOAD, {"cutoutD1": "singleLeftSlot"}, "heaterShakerV1D1 not provided by deck", id="deck"),
        pytest.param(
            {"model": "magneticModuleV2", "location": {"slotName": "D1"}},
            {},
            "No available magneticModuleV2",
            id="absent",
        ),
    ],
)
async def test_a_module_that_is_not_there_fails_the_run(
    lab: Any, params: dict[str, Any], fixtures: dict[str, str], told: str
) -> None:
    deck = (await lab.client.get("/deck_configuration")).json()["data"]["cutoutFixtures"]
    plain = [
        {"cutoutId": one["cutoutId"], "cutoutFixtureId": fixtures.get(one["cutoutId"], one["cutoutFixtureId"])}
        for one in deck
    ]
    await lab.client.put("/deck_configuration", json={"data": {"cutoutFixtures": plain}})
    lab.analyst.outcome = lab.canned()
    lab.analyst.outcome.commands = [lab.command("loadModule", {"moduleId": "M"}, **params)]
    run = await lab.start_run()
    assert told in (await lab.until(run, "failed"))["errors"][0]["detail"]


async def test_a_trash_bin_that_is_not_there_fails_the_run(lab: Any) -> None:
    lab.analyst.outcome = lab.canned()
    area = {"pipetteId": "P", "addressableAreaName": "movableTrashB3"}
    lab.analyst.outcome.commands = [lab.command("moveToAddressableAreaForDropTip", **area)]
    run = await lab.start_run()
    assert "movableTrashB3 not provided" in (await lab.until(run, "failed"))["errors"][0]["detail"]


async def test_modules_follow_their_commands(lab: Any) -> None:
    lab.analyst.outcome = lab.canned()
    shaker, cooler = {"moduleId": "M"}, {"moduleId": "T"}
    lab.analyst.outcome.modules = [{"id": "M", **MODULE_LOAD}]
    load = lab.command("loadModule", {"moduleId": "M", "model": "heaterShakerModuleV1"}, **MODULE_LOAD)
    cold = {"model": "temperatureModuleV2", "location": {"slotName": "C1"}}
    lab.analyst.outcome.commands = [
        load,
        lab.command("loadModule", {"moduleId": "T"}, **cold),
        lab.command("heaterShaker/closeLabwareLatch", **shaker),
        lab.command("heaterShaker/setAndWaitForShakeSpeed", **shaker, rpm=500),
        lab.command("heaterShaker/setTargetTemperature", **shaker, celsius=37),
        lab.command("temperatureModule/setTargetTemperature", **cooler, celsius=4),
        lab.command("waitForResume", message="look"),
        lab.command("heaterShaker/deactivateShaker", **shaker),
        lab.command("heaterShaker/openLabwareLatch", **shaker),
        lab.command("temperatureModule/deactivate", **cooler),
    ]
    run = await lab.start_run()
    shown = await lab.until(run, "paused")
    assert shown["modules"][0]["serialNumber"] == "HS1"
    hot, cool = [one["data"] for one in (await lab.client.get("/modules")).json()["data"]]
    assert (hot["currentSpeed"], hot["targetTemperature"], hot["labwareLatchStatus"]) == (500, 37, "idle_closed")
    assert (cool["currentTemperature"], cool["status"]) == (4, "holding at target")
    await lab.act(run, "play")
    await lab.until(run, "succeeded")
    hot, cool = [one["data"] for one in (await lab.client.get("/modules")).json()["data"]]
    assert (hot["currentSpeed"], hot["speedStatus"], hot["labwareLatchStatus"]) == (0, "idle", "idle_open")
    assert cool["status"] == "idle"


async def test_what_fails_in_analysis_fails_in_the_run(lab: Any) -> None:
    outcome = lab.canned()
    outcome.commands[5] = {**outcome.commands[5], "status": "failed", "error": {"errorType": "Bad", "detail": "no"}}
    outcome.commands[5]["error"].update(errorCode="4000", createdAt="2026-01-01T00:00:00+00:00", id="e")
    outcome.commands, outcome.errors = outcome.commands[:6], [{"message": "no"}]
    lab.analyst.outcome = outcome
    run = await lab.start_run()
    assert "Bad: no" in (await lab.until(run, "failed"))["errors"][0]["detail"]
    assert len(lab.world.executions[0].applied) == 5


async def test_an_error_outside_commands_fails_the_run_at_the_end(lab: Any) -> None:
    lab.analyst.outcome = lab.canned()
    lab.analyst.outcome.errors = [{"message": "worklist line 3: no such labware", "where": "", "remedy": ""}]
    run = await lab.start_run()
    assert (await lab.until(run, "failed"))["errors"][0]["detail"] == "worklist line 3: no such labware"


async def test_a_world_that_cannot_begin_fails_the_run(lab: Any) -> None:
    def refuse(analysis: Any) -> Any:
        raise KeyError("no deck")

    lab.world.begin_run = refuse
    run = await lab.start_run()
    assert "no deck" in (await lab.until(run, "failed"))["errors"][0]["detail"]


async def test_a_run_without_its_csv_fails_when_played(lab: Any) -> None:
    protocol = (await lab.upload(lab.protocol_text)).json()["data"]["id"]
    run = (await lab.create_run(protocol)).json()["data"]["id"]
    await lab.act(run, "play")
    error = (await lab.until(run, "failed"))["errors"][0]
    assert error["wrappedErrors"][0]["errorType"] == "RuntimeParameterRequired"


async def test_a_run_without_a_protocol_is_taken(lab: Any) -> None:
    for answer in (await lab.create_run(), await lab.client.post("/runs")):
        assert answer.status_code == 201
        assert "protocolId" not in answer.json()["data"]
    run = answer.json()["data"]["id"]
    await lab.act(run, "play")
    await lab.until(run, "failed")


async def test_the_run_follows_the_analysis_with_its_own_parameters(lab: Any) -> None:
    csv = (await lab.upload_csv(b"A1,1")).json()["data"]["id"]
    protocol = (await lab.upload(lab.protocol_text)).json()["data"]["id"]
    wanted = {"runTimeParameterValues": {"do_pause": True}, "runTimeParameterFiles": {"doses": csv}}
    offset = {"definitionUri": "a/b/1", "location": {"slotName": "D2"}, "vector": {"x": 0, "y": 0, "z": 1}}
    run = (await lab.create_run(protocol, **wanted, labwareOffsets=[offset])).json()["data"]
    assert run["runTimeParameters"][2]["value"] is True
    assert run["labwareOffsets"][0]["vector"] == offset["vector"]
    await lab.act(run["id"], "play")
    await lab.until(run["id"], "paused")
    assert [one["values"] for one in lab.analyst.asked] == [{"do_pause": True}]


async def test_wrong_parameters_leave_a_phantom_run(lab: Any) -> None:
    protocol = (await lab.upload(lab.protocol_text)).json()["data"]["id"]
    wrong = await lab.create_run(protocol, runTimeParameterValues={"n": 999})
    assert (wrong.status_code, wrong.json()["errors"][0]["id"]) == (500, "UnexpectedError")
    phantom = (await lab.client.get("/runs")).json()["links"]["current"]["href"]
    assert (await lab.client.get(phantom)).status_code == 404
    cleared = await lab.create_run(protocol)
    assert (cleared.status_code, cleared.json()["errors"][0]["meta"]["type"]) == (500, "RunNotFoundError")
    assert (await lab.create_run(protocol)).status_code == 201


async def test_the_oldest_run_disappears(lab: Any) -> None:
    ids = [await lab.start_run(play=False) for _ in range(MAX_RUNS + 1)]
    assert [one["id"] for one in (await lab.client.get("/runs")).json()["data"]] == ids[1:]
    gone = await lab.client.get(f"/runs/{ids[0]}")
    assert (gone.status_code, gone.json()["errors"][0]["id"]) == (404, "RunNotFound")
    assert (await lab.client.delete(f"/runs/{ids[1]}")).json() == {}


async def test_closing_abandons_a_run(make_lab: Callable[[float], Any]) -> None:
    lab = make_lab(1.0)
    run = await lab.start_run()
    await lab.until(run, "running")
    await lab.robot.close()
    assert lab.robot.runs.get(run).task.cancelled()


@given(st.floats(5, 1000), st.floats(1, 800))
def test_pipetting_takes_travel_and_volume_over_flow(volume: float, flow: float) -> None:
    params = {"volume": volume, "flowRate": flow}
    in_place = duration({"commandType": "aspirateInPlace", "params": params})
    assert in_place == pytest.approx(volume / flow)
    assert duration({"commandType": "dispense", "params": params}) > in_place


def test_durations_come_from_the_table_or_the_command() -> None:
    assert duration({"commandType": "waitForDuration", "params": {"seconds": 90}}) == 90
    assert duration({"commandType": "pickUpTip"}) == SECONDS["pickUpTip"]
    assert duration({"commandType": "waitForResume", "params": {}}) == 0
