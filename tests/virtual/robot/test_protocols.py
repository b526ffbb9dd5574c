"""Data files, protocols and analyses over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nkloop.errors import VendorError
from nkloop.virtual.robot.data_files import MAX_DATA_FILES
from nkloop.virtual.robot.protocols import MAX_ANALYSES, MAX_UNUSED_PROTOCOLS

LABWARE = json.dumps({"schemaVersion": 2, "ordering": [], "wells": {}, "parameters": {"loadName": "x"}})


async def test_a_data_file_is_stored_once(lab: Any) -> None:
    first = await lab.upload_csv(b"well,vol\n")
    again = await lab.upload_csv(b"well,vol\n")
    other = await lab.upload_csv(b"well,vol\nA1,1\n")
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json() == again.json()
    assert other.json()["data"]["id"] != first.json()["data"]["id"]
    file_id = first.json()["data"]["id"]
    assert (await lab.client.get(f"/dataFiles/{file_id}")).json() == first.json()
    download = await lab.client.get(f"/dataFiles/{file_id}/download")
    assert download.text == "well,vol\n"
    assert download.headers["content-type"].startswith("text/plain")
    assert (await lab.client.get("/dataFiles")).json()["meta"]["totalLength"] == 2


async def test_only_csv_files_are_taken(lab: Any) -> None:
    refused = await lab.upload_csv(b"x", name="doses.txt")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["id"] == "UnexpectedFileFormat"
    nothing = await lab.client.post("/dataFiles")
    assert nothing.json()["errors"][0]["id"] == "NoDataFileSourceProvided"


@pytest.mark.parametrize("path", ["/dataFiles/x", "/dataFiles/x/download"])
async def test_an_unknown_data_file_is_not_found(lab: Any, path: str) -> None:
    answer = await lab.client.get(path)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["id"] == "FileIdNotFound"


async def test_the_oldest_unused_data_file_disappears(lab: Any) -> None:
    used = (await lab.upload_csv(b"used")).json()["data"]["id"]
    await lab.upload(lab.protocol_text, runTimeParameterFiles=json.dumps({"doses": used}))
    ids = [(await lab.upload_csv(f"{n}".encode())).json()["data"]["id"] for n in range(MAX_DATA_FILES)]
    kept = [file["id"] for file in (await lab.client.get("/dataFiles")).json()["data"]]
    assert kept == [used, *ids[1:]]


async def test_a_protocol_is_analysed_on_arrival(lab: Any) -> None:
    lab.analyst.gate.clear()
    csv = (await lab.upload_csv(b"A1,1")).json()["data"]["id"]
    form = {"runTimeParameterValues": '{"n": 3}', "runTimeParameterFiles": json.dumps({"doses": csv}), "key": "k"}
    answer = await lab.upload(lab.protocol_text, "flex.py", **form)
    assert answer.status_code == 201
    protocol = answer.json()["data"]
    assert protocol["files"] == [{"name": "flex.py", "role": "main"}]
    assert protocol["metadata"] == {"protocolName": "Flex dosing", "author": "lab"}
    assert (protocol["key"], protocol["robotType"], protocol["protocolKind"]) == ("k", "OT-3 Standard", "standard")
    [pending] = protocol["analysisSummaries"]
    assert pending["status"] == "pending"
    assert pending["runTimeParameters"][0]["value"] == 3.0
    assert pending["runTimeParameters"][3]["file"] == {"id": csv, "name": "doses.csv"}
    lab.analyst.gate.set()
    analysis = await lab.analysed(protocol["id"])
    assert (analysis["result"], analysis["errors"]) == ("ok", [])
    assert [one["commandType"] for one in analysis["commands"][:3]] == ["home", "loadLabware", "loadPipette"]
    one = await lab.client.get(f"/protocols/{protocol['id']}/analyses/{analysis['id']}")
    assert one.json()["data"] == analysis
    asked = lab.analyst.asked[0]
    assert (asked["csv"], asked["values"], asked["protocol"].name) == ("A1,1", {"n": 3}, "flex.py")
    used = (await lab.client.get(f"/protocols/{protocol['id']}/dataFiles")).json()["data"]
    assert [file["id"] for file in used] == [csv]


async def test_the_same_content_is_the_same_protocol(lab: Any) -> None:
    first = await lab.upload()
    again = await lab.upload()
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"]["id"] == first.json()["data"]["id"]
    assert len(again.json()["data"]["analysisSummaries"]) == 1
    other = await lab.upload(lab.plain_text + "# changed\n")
    assert other.json()["data"]["id"] != first.json()["data"]["id"]


async def test_labware_and_data_travel_with_a_protocol(lab: Any) -> None:
    files = [
        ("files", ("a.py", lab.plain_text.encode())),
        ("files", ("x.json", LABWARE.encode())),
        ("files", ("notes.txt", b"hello")),
    ]
    protocol = (await lab.client.post("/protocols", files=files)).json()["data"]
    assert {file["name"]: file["role"] for file in protocol["files"]} == {
        "a.py": "main",
        "x.json": "labware",
        "notes.txt": "data",
    }
    await lab.analysed(protocol["id"])
    assert lab.analyst.asked[0]["labware"] == [json.loads(LABWARE)]


async def test_without_its_csv_a_protocol_is_not_analysed(lab: Any) -> None:
    protocol = (await lab.upload(lab.protocol_text)).json()["data"]["id"]
    analysis = await lab.analysed(protocol)
    assert analysis["result"] == "parameter-value-required"
    assert analysis["errors"][0]["wrappedErrors"][0]["errorCode"] == "4010"
    assert lab.analyst.asked == []


async def test_an_analysis_can_be_asked_for(lab: Any) -> None:
    protocol = (await lab.upload(lab.protocol_text)).json()["data"]["id"]
    csv = (await lab.upload_csv(b"A1,1")).json()["data"]["id"]
    path = f"/protocols/{protocol}/analyses"
    wanted = {"runTimeParameterValues": {"n": 2}, "runTimeParameterFiles": {"doses": csv}}
    first = await lab.client.post(path, json={"data": wanted})
    assert first.status_code == 201
    assert first.json()["data"][-1]["runTimeParameters"][0]["value"] == 2
    assert (await lab.client.post(path, json={"data": wanted})).status_code == 200
    forced = await lab.client.post(path, json={"data": {**wanted, "forceReAnalyze": True}})
    assert (forced.status_code, len(forced.json()["data"])) == (201, 3)
    for _ in range(MAX_ANALYSES):
        await lab.client.post(path, json={"data": {**wanted, "forceReAnalyze": True}})
    assert (await lab.client.get(path)).json()["meta"]["totalLength"] == MAX_ANALYSES


async def test_wrong_parameters_complete_at_once(lab: Any) -> None:
    protocol = (await lab.upload(lab.protocol_text)).json()["data"]["id"]
    body = {"data": {"runTimeParameterValues": {"zzz": 2}}}
    answer = await lab.client.post(f"/protocols/{protocol}/analyses", json=body)
    assert answer.status_code == 200
    assert answer.json()["data"][-1]["status"] == "completed"
    analysis = (await lab.client.get(f"/protocols/{protocol}/analyses")).json()["data"][-1]
    assert (analysis["result"], analysis["errors"][0]["errorType"]) == ("not-ok", "ParameterDefinitionError")


@pytest.mark.parametrize("fault", [VendorError("no vendor environment"), RuntimeError("no vendor environment")])
async def test_a_failed_analysis_tells_why(lab: Any, fault: Exception) -> None:
    lab.analyst.fault = fault
    protocol = (await lab.upload()).json()["data"]["id"]
    analysis = await lab.analysed(protocol)
    assert analysis["result"] == "not-ok"
    assert "no vendor environment" in analysis["errors"][0]["detail"]


async def test_problems_of_an_invalid_analysis_are_told_in_shape(lab: Any) -> None:
    lab.analyst.outcome = lab.canned(transfers=0)
    lab.analyst.outcome.result, lab.analyst.outcome.commands = "invalid", []
    lab.analyst.outcome.errors = [{"message": "worklist without steps", "where": "line 1", "remedy": "add one"}]
    analysis = await lab.analysed((await lab.upload()).json()["data"]["id"])
    assert (analysis["result"], analysis["errors"][0]["detail"]) == ("not-ok", "worklist without steps")


async def test_parameters_that_are_no_json_are_refused(lab: Any) -> None:
    for text, told in (("{", "not valid JSON"), ("[1]", "not a JSON object")):
        answer = await lab.upload(runTimeParameterValues=text)
        assert answer.status_code == 422
        assert told in answer.json()["errors"][0]["detail"]


async def test_a_csv_the_robot_does_not_have_is_refused(lab: Any) -> None:
    answer = await lab.upload(lab.protocol_text, runTimeParameterFiles='{"doses": "nope"}')
    assert (answer.status_code, answer.json()["errors"][0]["id"]) == (422, "FileIdNotFound")
    assert (await lab.client.get("/protocols")).json()["data"] == []


async def test_what_is_not_there_is_not_found(lab: Any) -> None:
    known = (await lab.upload()).json()["data"]["id"]
    for path, identifier in (
        ("/protocols/x", "ProtocolNotFound"),
        ("/protocols/x/analyses", "ProtocolNotFound"),
        (f"/protocols/{known}/analyses/x", "AnalysisNotFound"),
    ):
        answer = await lab.client.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["id"]) == (404, identifier)


async def test_the_oldest_unused_protocol_disappears(lab: Any) -> None:
    run = await lab.start_run(play=False)
    texts = [f"{lab.plain_text}# {n}\n" for n in range(MAX_UNUSED_PROTOCOLS + 1)]
    ids = [(await lab.upload(text)).json()["data"]["id"] for text in texts]
    kept = [one["id"] for one in (await lab.client.get("/protocols")).json()["data"]]
    used = (await lab.client.get(f"/runs/{run}")).json()["data"]["protocolId"]
    assert kept == [used, *ids[1:]]
    assert (await lab.client.get("/protocols/ids")).json()["data"] == kept


async def test_a_protocol_in_use_is_not_deleted(lab: Any) -> None:
    run = await lab.start_run(play=False)
    protocol = (await lab.client.get(f"/runs/{run}")).json()["data"]["protocolId"]
    links = (await lab.client.get(f"/protocols/{protocol}")).json()["links"]
    assert links == {"referencingRuns": [{"id": run, "href": f"/runs/{run}"}]}
    refused = await lab.client.delete(f"/protocols/{protocol}")
    assert (refused.status_code, refused.json()["errors"][0]["id"]) == (409, "ProtocolUsedByRun")
    await lab.client.delete(f"/runs/{run}")
    assert (await lab.client.delete(f"/protocols/{protocol}")).status_code == 200
    assert (await lab.client.get(f"/protocols/{protocol}")).status_code == 404


async def test_closing_abandons_a_pending_analysis(lab: Any) -> None:
    lab.analyst.gate.clear()
    await lab.upload()
    await asyncio.sleep(0)
    await lab.robot.close()
    [summary] = (await lab.client.get("/protocols")).json()["data"][0]["analysisSummaries"]
    assert summary["status"] == "pending"
