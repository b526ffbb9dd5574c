"""Parsers against what a real robot server answered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from nkloop.drivers.opentrons import preflight as look
from nkloop.drivers.opentrons.analysis import carries_file, leaf_errors
from nkloop.drivers.opentrons.client import RobotClient
from nkloop.drivers.opentrons.results import as_command
from nkloop.errors import DeviceError, NkloopError
from nkloop.worklists.bench_deck import ModuleSpec
from nkloop.worklists.models import Worklist

Json = dict[str, Any]


def answer(exchanges: list[Json], path: str) -> Any:
    return next(e["body"] for e in exchanges if e["method"] == "GET" and e["path"] == path and e["status"] == 200)


async def test_every_refusal_is_told_in_the_robots_words(exchanges: list[Json]) -> None:
    refused = [e for e in exchanges if e["status"] >= 400 and e["method"] == "POST" and "errors" in e["body"]]
    assert len(refused) > 20
    for exchange in refused:
        transport = httpx.MockTransport(lambda request, e=exchange: httpx.Response(e["status"], json=e["body"]))
        client = RobotClient("flex", "http://robot", transport=transport)
        with pytest.raises(DeviceError) as caught:
            await client.post(exchange["path"], {})
        assert str(exchange["body"]["errors"][0]["detail"]) in str(caught.value)
        assert caught.value.problems[0].remedy
        await client.close()


async def test_legacy_refusals_are_told_too(exchanges: list[Json]) -> None:
    exchange = next(e for e in exchanges if e["path"] == "/networking/status")
    transport = httpx.MockTransport(lambda request: httpx.Response(500, json=exchange["body"]))
    with pytest.raises(NkloopError, match="not a valid ConnectivityStatus"):
        await RobotClient("flex", "http://robot", transport=transport).get("/networking/status")


def test_the_recorded_robot_has_other_pipettes_and_no_configured_modules(
    exchanges: list[Json], worklist: Worklist
) -> None:
    pipettes = list(look.check_pipettes(answer(exchanges, "/instruments")["data"], worklist.pipettes))
    assert [(f.subject, f.ok) for f in pipettes] == [("left pipette", False), ("right pipette", False)]
    assert "p50_single_flex" in pipettes[0].found
    fixtures = [{"cutoutId": "cutoutD1", "cutoutFixtureId": "singleLeftSlot"}]
    shaker = ModuleSpec(slot="D1", load_name="heaterShakerModuleV1")
    [module] = look.check_modules(answer(exchanges, "/modules")["data"], [shaker])
    [fixture] = look.check_fixtures(fixtures, [shaker])
    assert (module.ok, fixture.ok) == (True, False)
    assert "singleLeftSlot" in fixture.found


def test_recorded_health_door_and_stop_are_understood(exchanges: list[Json]) -> None:
    health = answer(exchanges, "/health")
    assert look.check_robot(health, "Flex").ok
    assert not look.check_robot(health, "OT-2").ok
    [level] = look.check_api_level(health, "metadata = {'apiLevel': '2.23'}")
    assert not level.ok
    assert "2.23" in level.found
    assert next((f.subject, f.found) for f in look.tell_versions(health)) == ("software", "8.2.0")
    assert look.check_door(answer(exchanges, "/robot/door/status")["data"]).ok
    assert look.check_estop(answer(exchanges, "/robot/control/estopStatus")["data"]).ok


def test_a_recorded_analysis_names_its_csv(exchanges: list[Json]) -> None:
    analyses = [e["body"]["data"] for e in exchanges if "/analyses/" in e["path"] and e["status"] == 200]
    renamed = [
        {"runTimeParameters": [{**p, "variableName": "worklist"} for p in a["runTimeParameters"] if "file" in p]}
        for a in analyses
    ]
    assert any(carries_file(a, "2ec1871a-95df-4acc-9688-d7c46dfde8c2") for a in renamed)
    assert not any(carries_file(a, "another") for a in renamed)


def test_recorded_commands_and_errors_are_understood(exchanges: list[Json]) -> None:
    pages = [e["body"]["data"] for e in exchanges if e["path"].endswith("/commands") and e["method"] == "GET"]
    commands = [as_command(item) for page in pages for item in page if isinstance(item, dict)]
    assert {"waitForResume", "home"} <= {command.command_type for command in commands}
    assert all(command.error for command in commands if command.status == "failed")
    recovery = next(e["body"]["data"] for e in exchanges if e["path"].endswith("/commandErrors") and e["body"]["data"])
    assert next(iter(leaf_errors(recovery)))
