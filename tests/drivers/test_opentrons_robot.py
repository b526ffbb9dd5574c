"""The robot driver against a fake robot with faults: nothing that may have arrived is sent twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from nkloop.drivers.interfaces import FoundRun
from nkloop.drivers.opentrons import OpentronsRobot
from nkloop.drivers.opentrons.client import NO_RUN_PATH, ConnectionLostError
from nkloop.errors import BenchError, DeviceError, DeviceUnreachableError, RunForgottenError, WorkspaceError
from nkloop.worklists.models import Worklist


def findings(found: tuple[Any, ...]) -> dict[str, Any]:
    return {finding.subject: finding for finding in found}


async def test_a_fitting_bench_passes_preflight_without_changing_it(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    found = await robot.preflight(worklist)
    assert all(finding.ok for finding in found), found
    assert {"robot", "API level", "left pipette", "module in D1", "door", "emergency stop", "maintenance"} <= set(
        findings(found)
    )
    assert {asked for asked in fake.requests if not asked.startswith("GET")} == {
        "POST /labwareOffsets/searches",
        f"PATCH {NO_RUN_PATH}",  # a run that does not exist: whether an account is needed
    }


@pytest.mark.parametrize(
    ("change", "subject", "found", "remedy"),
    [
        pytest.param({"door": "open"}, "door", "open", "close the front door", id="door"),
        pytest.param({"modules": []}, "module in D1", "not connected", "switch it on", id="module"),
        pytest.param({"fixtures": {}}, "deck configuration D1", "nothing", "set slot D1", id="deck"),
        pytest.param({"fixtures": {}}, "deck configuration A3", "nothing", "trash bin", id="trash"),
        pytest.param({"instruments": []}, "right pipette", "nothing", "attach flex_8channel_1000", id="pipette"),
        pytest.param(
            {"runs": {"x": {"id": "x", "status": "running"}}, "current": "x"},
            "current run",
            "x is running",
            "cancel it",
            id="other_run",
        ),
        pytest.param(
            {"runs": {"x": {"id": "x", "status": "idle"}}, "current": "x"}, "current run", "x is idle", "", id="idle"
        ),
    ],
)
async def test_preflight_names_what_does_not_fit(
    robot: OpentronsRobot, fake: Any, worklist: Worklist, change: dict[str, Any], subject: str, found: str, remedy: str
) -> None:
    for name, value in change.items():
        setattr(fake, name, value)
    finding = findings(await robot.preflight(worklist))[subject]
    assert not finding.ok
    assert found in finding.found
    assert remedy in finding.remedy


async def test_a_phantom_current_run_does_not_block(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    fake.current = "gone"
    assert findings(await robot.preflight(worklist))["current run"].ok


async def test_prepare_uploads_all_and_creates_one_idle_run(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    run_id = await robot.prepare(worklist)
    assert fake.runs[run_id]["status"] == "idle"
    form = fake.uploads[0]
    assert b'filename="cytokine_dosing.py"' in form
    assert b'filename="nkloop_plate.json"' in form
    assert b"runTimeParameterFiles" in form
    assert fake.runs[run_id]["runTimeParameters"][0]["file"]["name"].startswith("cytokine_dosing_")
    assert (await robot.state(run_id)).status == "idle"


async def test_prepare_asks_for_an_analysis_with_its_own_worklist(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    fake.files["file-other"] = "other.csv"
    original = fake._analysis
    fake._analysis = lambda file_id: original("file-other" if not fake.analyses else file_id)
    await robot.prepare(worklist)
    assert fake.count("POST /protocols/protocol-1/analyses") == 1


async def test_prepare_refuses_a_failed_analysis_in_the_innermost_words(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    fake.analysis_result = "not-ok"
    with pytest.raises(DeviceError, match="TipNotAttachedError: no tip"):
        await robot.prepare(worklist)
    assert fake.runs == {}


@pytest.mark.parametrize(
    ("announced", "told"), [((1, 3), r"misses steps \[2\]"), ((1, 2, 2, 3), "another order"), ((2, 1, 3), "order")]
)
async def test_prepare_refuses_an_analysis_that_does_not_cover_the_worklist(
    robot: OpentronsRobot, fake: Any, worklist: Worklist, announced: tuple[int, ...], told: str
) -> None:
    fake.announced = announced
    with pytest.raises(DeviceError, match=told):
        await robot.prepare(worklist)
    assert fake.runs == {}


async def test_a_run_created_before_a_loss_is_found_and_not_created_twice(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    fake.faults["POST /runs"] = "lost_after"
    assert await robot.prepare(worklist) == "device-run-1"
    assert fake.count("POST /runs") == 1


async def test_a_run_that_was_not_created_is_told(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    fake.faults["POST /runs"] = "lost_before"
    with pytest.raises(ConnectionLostError, match="connection broke during POST /runs"):
        await robot.prepare(worklist)
    assert fake.count("POST /runs") == 1


async def test_a_500_is_told_in_the_robots_words_and_not_repeated(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    fake.faults["POST /runs"] = "answers_500"
    with pytest.raises(DeviceError, match=r"between 1 and 96 inclusive\. \(HTTP 500\)"):
        await robot.prepare(worklist)
    assert fake.count("POST /runs") == 1


async def test_an_idle_run_of_somebody_else_is_not_replaced(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    fake.runs["theirs"] = {"id": "theirs", "status": "idle", "actions": []}
    fake.current = "theirs"
    with pytest.raises(DeviceError, match="run theirs on the robot is idle"):
        await robot.prepare(worklist)
    assert fake.count("POST /runs") == 0


async def test_our_own_unplayed_run_is_taken_again(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    first = await robot.prepare(worklist)
    assert findings(await robot.preflight(worklist))["current run"].ok
    assert await robot.prepare(worklist) == first
    assert fake.count("POST /runs") == 1


async def test_prepare_refuses_an_analysis_that_would_move_another_volume(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    fake.volume = 40.0
    with pytest.raises(DeviceError, match=r"step 1: the robot would aspirate 40 µL.*planned is aspirate 50 µL"):
        await robot.prepare(worklist)
    assert fake.runs == {}


@pytest.mark.parametrize("path", ["/dataFiles", "/protocols"])
@pytest.mark.parametrize(("fault", "uploads"), [("lost_after", 1), ("lost_before", 2), ("answers_500", 2)])
async def test_a_lost_upload_is_looked_for_before_it_is_sent_again(
    robot: OpentronsRobot, fake: Any, worklist: Worklist, path: str, fault: str, uploads: int
) -> None:
    fake.faults[f"POST {path}"] = fault
    assert await robot.prepare(worklist) == "device-run-1"
    assert fake.count(f"POST {path}") == uploads
    assert fake.requests.index(f"GET {path}") == fake.requests.index(f"POST {path}") + 1


async def test_a_dead_connection_is_noticed_by_reading_once_more(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    run_id = await robot.prepare(worklist)
    fake.faults[f"GET /runs/{run_id}"] = "lost_before"
    assert (await robot.state(run_id)).status == "idle"


async def test_an_absent_robot_is_told(robot: OpentronsRobot, fake: Any) -> None:
    fake.faults = dict.fromkeys(("GET /runs/x", "GET /runs/(x)", "GET /runs/[x]"), "refused")
    with pytest.raises(DeviceUnreachableError, match="does not answer") as caught:
        await robot.state("x")
    assert "address in the bench file" in str(caught.value)


async def test_play_starts_once_and_leaves_a_running_run_alone(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    run_id = await robot.prepare(worklist)
    await robot.play(run_id)
    await robot.play(run_id)
    assert fake.runs[run_id]["actions"] == [{"actionType": "play"}]


@pytest.mark.parametrize(("fault", "plays"), [("lost_after", 1), ("lost_before", 0)])
async def test_a_lost_play_is_asked_for_and_not_repeated(
    robot: OpentronsRobot, fake: Any, worklist: Worklist, fault: str, plays: int
) -> None:
    run_id = await robot.prepare(worklist)
    fake.faults[f"POST /runs/{run_id}/actions"] = fault
    if plays:
        await robot.play(run_id)
    else:
        with pytest.raises(DeviceUnreachableError, match="connection broke"):
            await robot.play(run_id)
    assert len(fake.runs[run_id]["actions"]) == plays
    assert fake.count(f"POST /runs/{run_id}/actions") == 1


async def test_play_with_the_door_open_is_refused_with_a_remedy(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    run_id = await robot.prepare(worklist)
    fake.door = "open"
    with pytest.raises(DeviceError, match="door or top window is currently open") as caught:
        await robot.play(run_id)
    assert "close door" in str(caught.value)


async def test_a_pause_tells_its_message(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    run_id = await robot.prepare(worklist)
    fake.runs[run_id]["status"] = "paused"
    pause = {"id": "p", "commandType": "waitForResume", "status": "running", "params": {"message": "step 2: Incubate"}}
    fake.commands = [pause]
    assert (await robot.state(run_id)).pause_message == "step 2: Incubate"
    fake.commands = [{**pause, "status": "succeeded"}]
    assert (await robot.state(run_id)).pause_message is None


async def test_recovery_tells_the_errors_that_the_run_hides(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    run_id = await robot.prepare(worklist)
    fake.runs[run_id]["status"] = "awaiting-recovery"
    assert (await robot.state(run_id)).errors == ("liquidNotFound: Liquid Not Found",)


async def test_stop_leaves_an_ended_run_alone(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    run_id = await robot.prepare(worklist)
    await robot.stop(run_id)
    await robot.stop(run_id)
    assert fake.runs[run_id]["actions"] == [{"actionType": "stop"}]


async def test_commands_are_paged_to_the_end(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    run_id = await robot.prepare(worklist)
    fake.commands = [
        {"id": str(n), "commandType": "aspirate", "status": "succeeded", "params": {"volume": n}} for n in range(450)
    ]
    fake.commands[7] |= {"status": "failed", "error": {"errorType": "overpressure", "detail": "clot"}}
    found = await robot.commands(run_id)
    assert [command.id for command in found] == [str(n) for n in range(450)]
    assert found[7].error == "overpressure: clot"
    assert fake.count(f"GET /runs/{run_id}/commands") == 3


async def test_a_list_of_commands_that_is_not_whole_proves_nothing(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    class Short(list[dict[str, Any]]):
        def __len__(self) -> int:
            return 3

    run_id = await robot.prepare(worklist)
    fake.commands = Short([{"id": "1", "commandType": "aspirate", "status": "succeeded", "params": {}}])
    with pytest.raises(DeviceUnreachableError, match=f"tells 1 of the 3 commands of run {run_id}"):
        await robot.commands(run_id)


@pytest.mark.parametrize("is_known", [True, False], ids=["by_its_files", "not_ours"])
async def test_a_run_whose_record_was_lost_is_found_by_its_protocol_and_tells_nothing(
    robot: OpentronsRobot, fake: Any, worklist: Worklist, is_known: bool
) -> None:
    run_id = await robot.prepare(worklist)
    name = list(fake.files.values())[-1]
    fake.protocol_files = [{"id": "f", "name": name if is_known else "another.csv"}]
    error = {"detail": "There was no engine state data for this run."}
    fake.runs[run_id] |= {"ok": False, "status": "stopped", "runTimeParameters": [], "dataError": error}
    assert await robot.find_runs(worklist) == ((FoundRun(id=run_id, is_played=False),) if is_known else ())
    state = await robot.state(run_id)
    assert state.status == "stopped"
    assert "lost its record" in state.errors[0]
    with pytest.raises(RunForgottenError, match="There was no engine state data"):
        await robot.commands(run_id)


async def test_runs_are_told_in_the_order_of_the_list_not_of_the_clock(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    first = await robot.prepare(worklist)
    fake.runs[first] |= {"status": "succeeded", "createdAt": "2027-01-01T00:00:00Z"}
    second = await robot.prepare(worklist)
    fake.runs[second]["createdAt"] = "2020-01-01T00:00:00Z"
    assert [run.id for run in await robot.find_runs(worklist)] == [first, second]


async def test_a_phantom_costs_one_500_and_no_second_run(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    fake.current = "gone"
    fake.faults["POST /runs"] = "answers_500"
    assert await robot.prepare(worklist) == "device-run-1"
    assert fake.count("POST /runs") == 2


async def test_a_run_made_twice_by_the_network_counts_once(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    create = fake._create

    def twice(asked: Any) -> Any:
        first = create(asked)
        create(asked)
        return first

    fake._create = twice
    assert await robot.prepare(worklist) == "device-run-2"


async def test_an_unclear_release_is_looked_at_and_ends_once(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    run_id = await robot.prepare(worklist)
    await robot.release(run_id)
    assert fake.count(f"PATCH /runs/{run_id}") == 0
    fake.runs[run_id] |= {"status": "succeeded", "current": True}
    fake.faults[f"PATCH /runs/{run_id}"] = "lost_after"
    await robot.release(run_id)
    await robot.release(run_id)
    assert fake.count(f"PATCH /runs/{run_id}") == 1


async def test_what_a_plate_reader_measured_is_copied_out(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    run_id = await robot.prepare(worklist)
    fake.runs[run_id] |= {"outputFileIds": ["out-1"], "status": "succeeded"}
    fake.files["out-1"] = "ldh450nm.csv"
    fake.commands = [{"id": "c9", "commandType": "absorbanceReader/read", "status": "succeeded", "params": {}}]
    fake.results = {"c9": {"data": {"450": {"A1": 0.5}}}}
    csv, numbers = await robot.files(run_id)
    assert (csv.name, csv.content) == ("ldh450nm.csv", b"ldh450nm.csv")
    assert json.loads(numbers.content)["data"] == {"450": {"A1": 0.5}}
    del fake.files["out-1"]
    with pytest.raises(DeviceError, match="has deleted file out-1"):
        await robot.files(run_id)


async def test_a_forgotten_run_is_told(robot: OpentronsRobot) -> None:
    with pytest.raises(DeviceError, match="was not found") as caught:
        await robot.state("old")
    assert "reconcile" in str(caught.value)


async def test_a_missing_protocol_is_told(robot: OpentronsRobot, worklist: Worklist) -> None:
    other = worklist.model_copy(update={"procedure": "medium_preparation"})
    with pytest.raises(WorkspaceError, match=r"no protocol for medium_preparation on this robot\. Remedy: copy"):
        await robot.preflight(other)


@pytest.mark.parametrize("seconds", [0.001, 60.0])
def test_the_polling_interval_is_bounded(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(BenchError, match=r"must be 0\.02 to 10 s"):
        OpentronsRobot("flex", "http://robot", protocols=tmp_path, catalogue=None, poll_seconds=seconds)  # type: ignore[arg-type]


def test_a_page_that_is_no_robot_is_told(tmp_path: Path, worklist: Worklist) -> None:
    import asyncio

    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>printer</html>"))
    (tmp_path / "cytokine_dosing.py").write_text("")
    robot = OpentronsRobot("flex", "http://printer", protocols=tmp_path, catalogue=None, transport=transport)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="no JSON"):
        asyncio.run(robot.preflight(worklist))
