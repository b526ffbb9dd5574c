"""What the robot says of itself."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("value", "status", "identifier"),
    [
        pytest.param(None, 422, "InvalidRequest", id="missing"),
        pytest.param("soon", 422, "InvalidRequest", id="no_number"),
        pytest.param("1", 400, "OutdatedAPIVersion", id="outdated"),
        pytest.param("2", 200, None, id="oldest"),
        pytest.param("99", 200, None, id="future"),
        pytest.param("*", 200, None, id="newest"),
    ],
)
async def test_the_version_header_is_required(lab: Any, value: str | None, status: int, identifier: str | None) -> None:
    del lab.client.headers["Opentrons-Version"]
    headers = {} if value is None else {"Opentrons-Version": value}
    answer = await lab.client.get("/runs", headers=headers)
    assert answer.status_code == status
    if identifier:
        assert answer.json()["errors"][0]["id"] == identifier
        assert answer.headers["opentrons-version"] == "4"
        assert answer.headers["opentrons-min-version"] == "2"
    else:
        assert "opentrons-version" not in answer.headers


async def test_health_tells_versions_and_refuses_in_the_legacy_shape(lab: Any) -> None:
    answer = await lab.client.get("/health")
    assert answer.json()["maximum_protocol_api_version"] == [2, 22]
    assert answer.headers["opentrons-version"] == "4"
    del lab.client.headers["Opentrons-Version"]
    refused = await lab.client.get("/health")
    assert refused.status_code == 422
    assert set(refused.json()) == {"message", "errorCode"}


async def test_an_unknown_path_is_a_bad_request(lab: Any) -> None:
    answer = await lab.client.get("/nothing")
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["id"] == "BadRequest"


async def test_pipettes_come_from_the_bench(lab: Any) -> None:
    found = (await lab.client.get("/instruments")).json()
    names = {one["mount"]: (one["instrumentName"], one["data"]["channels"]) for one in found["data"]}
    assert names == {"left": ("p1000_single_flex", 1), "right": ("p1000_multi_flex", 8)}
    assert found["meta"] == {"cursor": 0, "totalLength": 2}


async def test_modules_come_from_the_bench(lab: Any) -> None:
    found = (await lab.client.get("/modules")).json()["data"]
    assert [(one["moduleModel"], one["serialNumber"]) for one in found] == [
        ("heaterShakerModuleV1", "HS1"),
        ("temperatureModuleV2", "temperatureModuleV2-2"),
    ]
    assert "targetTemperature" not in found[1]["data"]


async def test_the_deck_holds_trash_and_modules(lab: Any) -> None:
    deck = (await lab.client.get("/deck_configuration")).json()["data"]
    fixtures = {one["cutoutId"]: one for one in deck["cutoutFixtures"]}
    assert len(fixtures) == 12
    assert fixtures["cutoutA3"]["cutoutFixtureId"] == "trashBinAdapter"
    assert fixtures["cutoutD1"]["opentronsModuleSerialNumber"] == "HS1"
    assert fixtures["cutoutB2"] == {"cutoutFixtureId": "singleCenterSlot", "cutoutId": "cutoutB2"}
    assert "lastModifiedAt" not in deck


async def test_a_deck_can_be_set(lab: Any) -> None:
    deck = (await lab.client.get("/deck_configuration")).json()["data"]["cutoutFixtures"]
    deck[-1]["cutoutFixtureId"] = "wasteChuteRightAdapterNoCover"
    answer = await lab.client.put("/deck_configuration", json={"data": {"cutoutFixtures": deck}})
    assert answer.status_code == 200
    assert "lastModifiedAt" in answer.json()["data"]
    assert (await lab.client.get("/deck_configuration")).json() == answer.json()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(
            lambda deck: [{**deck[0], "cutoutFixtureId": "nope"}, *deck[1:]],
            "UnrecognizedCutoutFixtureError",
            id="name",
        ),
        pytest.param(lambda deck: deck[1:], "UnoccupiedCutoutError", id="left_out"),
        pytest.param(lambda deck: [*deck, deck[0]], "OvercrowdedCutoutError", id="twice"),
    ],
)
async def test_an_impossible_deck_is_refused(lab: Any, spoil: Any, problem: str) -> None:
    before = (await lab.client.get("/deck_configuration")).json()
    body = {"data": {"cutoutFixtures": spoil(before["data"]["cutoutFixtures"])}}
    answer = await lab.client.put("/deck_configuration", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["id"] == "InvalidDeckConfiguration"
    assert answer.json()["errors"][0]["meta"]["deckConfigurationProblem"] == problem
    assert (await lab.client.get("/deck_configuration")).json() == before


async def test_door_and_emergency_stop_are_told(lab: Any) -> None:
    await lab.door(is_open=True)
    await lab.client.put("/virtual/estop", json={"on": True})
    assert (await lab.client.get("/robot/door/status")).json()["data"]["status"] == "open"
    stop = (await lab.client.get("/robot/control/estopStatus")).json()["data"]
    assert stop["status"] == "physicallyEngaged"
    assert stop["leftEstopPhysicalStatus"] == "engaged"


async def test_error_recovery_can_be_switched(lab: Any) -> None:
    path = "/errorRecovery/settings"
    assert (await lab.client.get(path)).json() == {"data": {"enabled": True}}
    switched = await lab.client.patch(path, json={"data": {"enabled": False}})
    assert switched.json() == {"data": {"enabled": False}}
    assert (await lab.client.patch(path, json={"data": {}})).json() == {"data": {"enabled": False}}
    assert (await lab.client.delete(path)).json() == {"data": {"enabled": True}}


async def test_client_data_is_kept_by_key(lab: Any) -> None:
    await lab.client.put("/clientData/flow", json={"data": {"run": "7"}})
    assert (await lab.client.get("/clientData/flow")).json() == {"data": {"run": "7"}}
    assert (await lab.client.delete("/clientData/flow")).status_code == 200
    for method in ("GET", "DELETE"):
        missing = await lab.client.request(method, "/clientData/flow")
        assert missing.status_code == 404
        assert missing.json()["errors"][0]["id"] == "ClientDataKeyDoesNotExist"


async def test_there_is_no_maintenance_run(lab: Any) -> None:
    answer = await lab.client.get("/maintenance_runs/current_run")
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["id"] == "NoCurrentRunFound"


async def test_virtual_paths_keep_the_answers_of_the_framework(lab: Any) -> None:
    del lab.client.headers["Opentrons-Version"]
    assert (await lab.client.put("/virtual/door", json={})).json()["detail"][0]["type"] == "missing"
    assert (await lab.client.get("/virtual/nothing")).json() == {"detail": "Not Found"}


async def test_the_contract_is_held_against_answers(lab: Any, openapi: Any) -> None:
    before = openapi.n_checked
    answer = await lab.client.get("/instruments")
    assert openapi.n_checked == before + 1
    spoiled = answer.json()
    del spoiled["data"][0]["mount"]
    answer._content = str(spoiled).replace("'", '"').replace("True", "true").replace("False", "false").encode()
    with pytest.raises(AssertionError, match="/instruments 200"):
        openapi.check(answer)
