"""Error recovery of a robot: what its recorded answers say, which ways are open, what a bench may allow."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from nkloop.drivers.opentrons import OpentronsRobot
from nkloop.drivers.opentrons.client import RobotClient
from nkloop.drivers.opentrons.recovery import recover, recovery_of
from nkloop.drivers.recovering import Recovery
from nkloop.errors import BenchError, DeviceError

Json = dict[str, Any]
ALLOWED = frozenset({"liquidNotFound"})


class Recorded:
    """Answers with what the real server answered while it waited for recovery, and keeps what it was sent."""

    def __init__(self, exchanges: list[Json]) -> None:
        runs = (e["body"].get("data") for e in exchanges if e["method"] == "GET" and e["path"].count("/") == 2)
        waiting = (run for run in runs if isinstance(run, dict) and run.get("status") == "awaiting-recovery")
        self.run: Json = copy.deepcopy(next(waiting))
        self.run_id = self.run["id"]
        mine = copy.deepcopy([e for e in exchanges if self.run_id in e["path"]])
        self.page: Json = next(
            e["body"]
            for e in mine
            if e["path"].endswith("/commands") and "currentlyRecoveringFrom" in e["body"]["links"]
        )
        self.fixit: Json = next(e["body"] for e in mine if e["path"].endswith("/commands") and e["method"] == "POST")
        self.sent: list[tuple[str, Json]] = []

    def client(self) -> RobotClient:
        return RobotClient("flex", "http://robot", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={**self.page, "meta": {"cursor": 0, "totalLength": len(self.page["data"])}})
        body = json.loads(request.content)["data"]
        self.sent.append((request.url.path, body))
        told = {**self.fixit["data"], **body}
        self.page["data"].append(told)
        return httpx.Response(201, json={"data": {k: v for k, v in told.items() if k != "failedCommandId"}})


@pytest.fixture
def recorded(exchanges: list[Json]) -> Recorded:
    return Recorded(exchanges)


async def test_the_recorded_recovery_tells_command_well_and_the_robots_words(recorded: Recorded) -> None:
    seen = await recovery_of(recorded.client(), recorded.run, ALLOWED)
    assert seen is not None
    assert (seen.command, seen.error_kind) == ("liquidProbe", "liquidNotFound")
    assert seen.told == "Liquid Not Found; Liquid not found during probe."
    assert seen.place.endswith("A1")
    assert "slot" in seen.place
    assert [one.key for one in seen.choices] == ["again", "skip", "screen", "stop"]


async def test_what_the_bench_does_not_allow_is_not_offered(recorded: Recorded) -> None:
    seen = await recovery_of(recorded.client(), recorded.run, frozenset())
    assert seen is not None
    assert [one.key for one in seen.choices] == ["screen", "stop"]
    with pytest.raises(DeviceError, match="'again' is not open after liquidNotFound of liquidProbe"):
        await recover(recorded.client(), recorded.run, seen, "again")
    assert recorded.sent == []


async def test_an_overpressure_offers_no_way_on_whatever_the_bench_allows(recorded: Recorded) -> None:
    failed = recorded.page["data"][-1]
    failed["commandType"], failed["error"]["errorType"] = "aspirate", "overpressure"
    seen = await recovery_of(recorded.client(), recorded.run, frozenset({"overpressure"}))
    assert seen is not None
    assert [one.key for one in seen.choices] == ["screen", "stop"]


async def test_a_run_that_waits_for_nothing_has_no_recovery(recorded: Recorded) -> None:
    assert await recovery_of(recorded.client(), {**recorded.run, "status": "running"}, ALLOWED) is None


async def seen_by(recorded: Recorded) -> Recovery:
    seen = await recovery_of(recorded.client(), recorded.run, ALLOWED)
    assert seen is not None
    return seen


async def test_again_sends_the_failed_command_once_and_then_resumes(recorded: Recorded) -> None:
    seen = await seen_by(recorded)
    failed = recorded.page["data"][0]
    assert await recover(recorded.client(), recorded.run, seen, "again") == "resume-from-recovery"
    [(path, body)] = recorded.sent
    assert path == f"/runs/{recorded.run_id}/commands"
    assert body == {
        "commandType": "liquidProbe",
        "params": failed["params"],
        "intent": "fixit",
        "failedCommandId": failed["id"],
    }
    assert await recover(recorded.client(), recorded.run, seen, "again") == "resume-from-recovery"
    assert len(recorded.sent) == 1, "what was done before an interruption is not done a second time"


async def test_again_that_fails_again_does_not_resume(recorded: Recorded) -> None:
    seen = await seen_by(recorded)
    recorded.fixit["data"]["status"] = "failed"
    assert await recover(recorded.client(), recorded.run, seen, "again") is None


async def test_skip_sends_no_command(recorded: Recorded) -> None:
    seen = await seen_by(recorded)
    action = await recover(recorded.client(), recorded.run, seen, "skip")
    assert (action, recorded.sent) == ("resume-from-recovery-assuming-false-positive", [])


@pytest.mark.parametrize("way", ["again", "skip"])
async def test_a_run_that_left_recovery_is_told_and_nothing_is_sent(recorded: Recorded, way: Any) -> None:
    seen = await seen_by(recorded)
    with pytest.raises(DeviceError, match="no longer waits behind this error: it is running"):
        await recover(recorded.client(), {**recorded.run, "status": "running"}, seen, way)
    recorded.page["links"]["currentlyRecoveringFrom"]["meta"]["commandId"] = "another"
    with pytest.raises(DeviceError, match="no longer waits behind this error"):
        await recover(recorded.client(), recorded.run, seen, way)
    assert recorded.sent == []


async def test_a_command_that_does_not_end_is_told(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nkloop.drivers.opentrons.recovery.LOOK_SECONDS", 0.0)
    seen = await seen_by(recorded)
    recorded.fixit["data"]["status"] = "running"
    with pytest.raises(DeviceError, match="was sent once more and has not ended"):
        await recover(recorded.client(), recorded.run, seen, "again")
    assert len(recorded.sent) == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"error_recovery": "retry"}, "error_recovery is 'retry'.*write ask or fail"),
        ({"resumes": ["overpressure"]}, "'overpressure' can be recovered from on the robot's screen only"),
        ({"resumes": ["clot"]}, "'clot' is no error.*liquidNotFound, tipPhysicallyAttached, tipPhysicallyMissing"),
        ({"resumes": ["liquidNotFound"], "error_recovery": "fail"}, "nobody is asked.*leave resumes out"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(tmp_path: Path, settings: Any, told: str) -> None:
    nothing: Any = None
    with pytest.raises(BenchError, match=told):
        OpentronsRobot("flex", "http://r", protocols=tmp_path, catalogue=nothing, **settings)
