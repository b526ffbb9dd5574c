"""What nkloop says and does at each named fault of the virtual robot; the journal never contradicts the wells."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from nkloop.drivers.opentrons.client import NO_RUN_PATH
from nkloop.errors import BenchError, DeviceUnreachableError, StepUnknownError
from nkloop.runs.execution import play_run, prepare_run
from nkloop.runs.holding import device_held
from nkloop.virtual.robot.compliance import ALL_SCOPES, Compliance

ACCOUNT = {"username": "ada", "password": "secret", "reason": "NK dosing by nkloop", "signs_as": "Ada Lovelace"}


def events(run: Any) -> dict[int, str]:
    return {step.number: step.event for step in run.steps}


def sent(lab: Any, route: str, method: str = "POST") -> int:
    return sum((call.method, call.route) == (method, route) for call in lab.wire.calls)


async def test_answers_500_is_told_and_the_next_attempt_gets_past_the_phantom(open_lab: Any) -> None:
    async with open_lab("lab", faults=["answers_500"]) as lab:
        told = await lab.dose()
        assert isinstance(told, DeviceUnreachableError)
        assert "database is locked (HTTP 500)" in str(told)
        assert lab.runs()[0].state == "failed"
        assert lab.wells.acts == []
        run = await lab.dose()
        assert run.state == "succeeded"
        assert sent(lab, "/runs") == 3
        assert lab.contradictions() == []


async def test_drops_connection_sends_nothing_twice_that_has_arrived(open_lab: Any) -> None:
    async with open_lab("lab", faults=["drops_connection"]) as lab:
        run = await lab.dose()
        assert run.state == "succeeded"
        assert [sent(lab, route) for route in ("/dataFiles", "/protocols", "/runs", "/runs/{id}/actions")] == [
            1,
            1,
            1,
            2,
        ]
        assert lab.contradictions() == []


async def test_loses_power_leaves_one_run_to_be_decided_and_blocks_the_next(open_lab: Any, tmp_path: Any) -> None:
    async with open_lab("lab", faults=["loses_power_mid_step"], memory=tmp_path / "robot.sqlite") as lab:
        told = await lab.dose()
        assert isinstance(told, DeviceUnreachableError)
        assert "does not answer" in str(told)
        lab.robot.switch_on()
        await lab.reconcile()
        [run] = lab.runs()
        # it was seen at the pause of step 2, which it comes to only after step 1; a person confirmed the pause
        assert (run.state, events(run)) == ("interrupted", {1: "done", 2: "done", 3: "unknown"})
        assert run.needs_decision
        assert lab.contradictions() == []
        refused = await lab.dose()
        assert isinstance(refused, StepUnknownError)
        assert "nkloop reconcile" in str(refused)
        assert len(lab.wells.acts) == 5


async def test_what_a_running_robot_tells_now_and_then_stays_known_after_a_loss_of_power(
    open_lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nkloop.drivers.opentrons.robot.STEP_SECONDS", 0.0)
    async with open_lab("lab", faults=["never_finishes"]) as lab:
        task = asyncio.create_task(lab.dose())
        await lab.until(lambda: bool(lab.runs()) and events(lab.runs()[0])[3] == "seen")
        lab.robot.cut_power()
        assert isinstance(await task, DeviceUnreachableError)
        lab.robot.switch_on()
        await lab.reconcile()
        [run] = lab.runs()
        assert events(run) == {1: "done", 2: "done", 3: "unknown"}
        assert "the device was seen at step 3" in next(step.detail for step in run.steps if step.number == 2)
        assert lab.contradictions() == []


async def test_restarts_is_noticed_although_the_robot_answers_again(
    open_lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nkloop.virtual.robot.robot.RESTART_SECONDS", 0.05)
    async with open_lab("lab", faults=["restarts"]) as lab:
        run = await lab.dose()
        assert run.state == "interrupted"
        assert "lost its record" in run.error
        assert events(run)[3] == "unknown"
        assert lab.contradictions() == []


async def test_never_finishes_is_stopped_by_whoever_cancels(open_lab: Any) -> None:
    async with open_lab("lab", faults=["never_finishes"]) as lab:
        task = asyncio.create_task(lab.dose())
        await lab.until(lambda: len(lab.wells.acts) == 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        [run] = lab.runs()
        assert (run.state, events(run)) == ("interrupted", {1: "done", 2: "done", 3: "unknown"})
        assert "the device was stopped" in run.error
        assert lab.under_way() == []
        assert lab.contradictions() == []


@pytest.mark.parametrize(
    ("fault", "found", "remedy"),
    [
        ("clock_wrong", "robot clock: 3 h 0 min behind this computer", "connect the robot to the internet"),
        ("runs_another_persons_protocol", "is running", "let it end or cancel it"),
        ("wrong_pipette", "left pipette: p50_single_flex (needs flex_1channel_1000)", "attach flex_1channel_1000"),
    ],
)
async def test_what_is_wrong_beforehand_is_refused_before_anything_is_touched(
    open_lab: Any, fault: str, found: str, remedy: str
) -> None:
    async with open_lab("lab", faults=[fault]) as lab:
        told = await lab.dose()
        assert isinstance(told, BenchError)
        assert found in str(told)
        assert remedy in str(told)
        assert lab.operator.asked == []
        assert {call.route for call in lab.wire.calls if call.method != "GET"} <= {
            "/labwareOffsets/searches",
            "/clientData/nkloop",
            NO_RUN_PATH,
        }
        assert all(run.status == "running" for run in lab.robot.runs.all())


async def test_a_pipette_changed_after_the_look_fails_the_run_before_it_moves(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        lab.operator.hands["Load the deck"] = lab.robot.hardware.swap_a_pipette
        run = await lab.dose()
        assert run.state == "failed"
        assert "expected instrument p1000_single_flex but got p50_single_v3.6" in run.error
        assert set(events(run).values()) == {"failed"}
        assert lab.contradictions() == []


@pytest.mark.parametrize("action", ["resume-from-recovery", "resume-from-recovery-assuming-false-positive"])
async def test_a_clogged_tip_asks_a_person_and_is_unknown_when_the_run_went_on(open_lab: Any, action: Any) -> None:
    async with open_lab("lab", faults=["clogs_tip"]) as lab:
        lab.operator.hands["overpressure"] = lambda: lab.robot.act(lab.robot.runs.current().id, action)
        run = await lab.dose()
        assert any("step 3 failed, overpressure" in title for title in lab.operator.asked)
        assert events(run) == {1: "done", 2: "done", 3: "unknown"}
        assert "overpressure: Pipette Overpressure" in next(s.detail for s in run.steps if s.number == 3)
        assert lab.contradictions() == []
        assert (run.state, run.needs_decision) == ("failed", True)
        assert "reports success, but step 3 is not known to be done" in run.error
        assert isinstance(await lab.dose(), StepUnknownError), "nobody doses a third time before a person has looked"


@pytest.mark.parametrize(("again", "told"), [(1, "done"), (0, "unknown"), (2, "unknown")])
async def test_a_command_done_again_in_recovery_makes_its_step_done(open_lab: Any, again: int, told: str) -> None:
    async with open_lab("lab", faults=["clogs_tip"]) as lab:

        def mend() -> None:
            run = lab.robot.runs.current()
            broken = run.commands[-1]
            lab.robot.send_to_run(run.id, "home", {}, "fixit", broken["id"])
            for _ in range(again):
                lab.robot.send_to_run(run.id, broken["commandType"], broken["params"], "fixit", broken["id"])
            lab.robot.act(run.id, "resume-from-recovery")

        lab.operator.hands["overpressure"] = mend
        run = await lab.dose()
        assert events(run)[3] == told
        assert run.state == ("succeeded" if told == "done" else "failed")
        assert [one for one in lab.contradictions() if not one.startswith("step 0")] == []  # what is done by hand


MAY = {"resumes": ["tipPhysicallyMissing"]}


async def test_a_missing_tip_put_there_is_picked_up_again_and_the_step_is_done(open_lab: Any) -> None:
    async with open_lab("lab", faults=["misses_tip"], driver=MAY) as lab:
        lab.operator.chooses = {"tipPhysicallyMissing": ("again", "the rack stood askew")}
        run = await lab.dose()
        [asked] = [one for one in lab.operator.requests if one.choices]
        assert [one.key for one in asked.choices] == ["again", "skip", "screen", "stop"]
        assert asked.title == "small dose: step 3 failed, tipPhysicallyMissing"
        assert "No Tip Detected" in asked.task.instruction
        assert "opentrons_flex_96_tiprack_200ul in slot A1, B1" in asked.task.instruction
        assert "50 µL from plate A1 to plate C1" in asked.task.instruction
        assert (run.state, events(run)) == ("succeeded", {1: "done", 2: "done", 3: "done"})
        assert sum(kind == "pickUpTip" for _, _, kind in lab.wells.acts) == 2, "the failed one picked up nothing"
        [action] = [one for one in lab.records.journal.actions(run.id) if one.choice]
        assert (action.step, action.choice, action.note) == (3, "again", "the rack stood askew")
        assert lab.contradictions() == []


async def test_a_skipped_command_leaves_its_step_unknown_before_it_is_sent(open_lab: Any) -> None:
    async with open_lab("lab", faults=["misses_tip"], driver=MAY) as lab:
        lab.operator.chooses = {"tipPhysicallyMissing": ("skip", "the tip is on, I see it")}
        run = await lab.dose()
        actions = [one["actionType"] for one in lab.robot.runs.all()[0].actions]
        assert actions[-1] == "resume-from-recovery-assuming-false-positive"
        assert events(run) == {1: "done", 2: "done", 3: "unknown"}
        assert "Ada chose 'skip': the tip is on, I see it" in next(s.detail for s in run.steps if s.number == 3)
        noted = [
            one for one in lab.records.journal.events(run.id) if "whether its wells got their liquid" in one.detail
        ]
        assert [(one.number, one.event) for one in noted] == [(3, "unknown")]
        assert (run.state, run.needs_decision) == ("failed", True)
        assert lab.contradictions() == []


async def test_who_chooses_to_stop_leaves_a_stopped_robot_and_a_step_that_was_not_done(open_lab: Any) -> None:
    async with open_lab("lab", faults=["misses_tip"]) as lab:
        lab.operator.chooses = {"tipPhysicallyMissing": ("stop", "I want to look at the rack")}
        told = await lab.dose()
        assert "Ada chose to stop after tipPhysicallyMissing of pickUpTip: I want to look at the rack" in str(told)
        [asked] = [one for one in lab.operator.requests if one.choices]
        assert [one.key for one in asked.choices] == ["screen", "stop"], "by default nkloop resumes from nothing"
        assert lab.under_way() == []
        [run] = lab.runs()
        assert events(run) == {1: "done", 2: "done", 3: "failed"}
        assert lab.contradictions() == []


@pytest.mark.parametrize("way", ["again", "skip"])
async def test_an_answer_after_somebody_went_on_at_the_screen_sends_nothing(open_lab: Any, way: str) -> None:
    async with open_lab("lab", faults=["misses_tip"], driver=MAY) as lab:
        lab.operator.chooses = {"tipPhysicallyMissing": (way, "the rack stood askew")}
        lab.operator.hands["tipPhysicallyMissing"] = lambda: lab.robot.act(
            lab.robot.runs.current().id, "resume-from-recovery"
        )
        run = await lab.dose()
        actions = [one["actionType"] for one in lab.robot.runs.all()[0].actions]
        assert actions.count("resume-from-recovery") == 1
        assert not any(one.endswith("false-positive") for one in actions)
        assert sum(one.get("intent") == "fixit" for one in lab.robot.runs.all()[0].commands) == 0
        assert any("was not carried out: the run no longer waits" in told for told in run.operator_actions)
        assert events(run)[3] == "unknown"
        assert lab.contradictions() == []


async def test_a_question_is_withdrawn_when_somebody_recovers_at_the_screen(
    open_lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nkloop.runs.people.LOOK_SECONDS", 0.02)
    async with open_lab("lab", faults=["misses_tip"], driver=MAY) as lab:
        lab.operator.leaves = "tipPhysicallyMissing"
        lab.operator.hands["tipPhysicallyMissing"] = lambda: lab.robot.act(
            lab.robot.runs.current().id, "resume-from-recovery"
        )
        run = await asyncio.wait_for(lab.dose(), 20)
        assert events(run)[3] == "unknown"
        [remark] = [one for one in lab.records.journal.remarks(run.id) if one.is_deviation]
        assert (remark.kind, remark.title) == ("withdrawn", "small dose: step 3 failed, tipPhysicallyMissing")
        assert "settled it at" in remark.told or "the run is over on" in remark.told
        assert lab.contradictions() == []


@pytest.mark.parametrize(
    ("kind", "when"), [("reset", "after"), ("timeout", "after"), ("500", "after"), ("slow", "after")]
)
async def test_a_lost_answer_in_recovery_sends_the_command_no_second_time(open_lab: Any, kind: Any, when: Any) -> None:
    async with open_lab("lab", faults=["misses_tip"], driver=MAY) as lab:
        lab.operator.chooses = {"tipPhysicallyMissing": ("again", "the rack stood askew")}
        lab.wire.fault = (("POST", "/runs/{id}/commands", 1), kind, when)
        run = await lab.dose()
        assert lab.wire.fault is None
        assert sum(one.get("intent") == "fixit" for one in lab.robot.runs.all()[0].commands) == 1
        assert (run.state, events(run)[3]) == ("succeeded", "done")
        assert lab.contradictions() == []


async def test_a_door_opened_in_recovery_is_closed_before_anybody_is_asked_how_to_go_on(open_lab: Any) -> None:
    async with open_lab("lab", faults=["misses_tip"], driver=MAY) as lab:
        lab.operator.chooses = {"tipPhysicallyMissing": ("again", "the rack stood askew")}
        recovery = lab.bench.liquid_handler.recovery
        opened: list[bool] = []

        async def opens(run_id: str) -> Any:
            seen = await recovery(run_id)
            if not opened:
                opened.append(True)
                lab.robot.set_door(True)
                return await recovery(run_id)
            return seen

        lab.bench.liquid_handler.recovery = opens
        lab.operator.hands["blocked-by-open-door"] = lambda: lab.robot.set_door(False)
        run = await lab.dose()
        assert (run.state, events(run)[3]) == ("succeeded", "done")
        assert [one for one in lab.operator.asked if "blocked-by-open-door" in one] != []
        assert lab.contradictions() == []


async def test_a_clogged_tip_fails_an_unattended_run_and_what_it_drew_is_unknown(open_lab: Any) -> None:
    async with open_lab("lab", faults=["clogs_tip"], driver={"error_recovery": "fail"}) as lab:
        run = await lab.dose()
        assert run.state == "failed"
        assert events(run) == {1: "done", 2: "done", 3: "unknown"}
        assert lab.operator.asked[-1].startswith("small dose, step 2")
        assert lab.contradictions() == []


async def test_an_opened_door_is_closed_by_the_person_asked_and_the_run_goes_on(open_lab: Any) -> None:
    async with open_lab("lab", faults=["opens_door"]) as lab:
        lab.operator.hands["blocked-by-open-door"] = lambda: lab.robot.set_door(False)
        run = await lab.dose()
        assert run.state == "succeeded"
        assert sum("blocked-by-open-door" in title for title in lab.operator.asked) == 1
        assert sum(request.closes_door for request in lab.operator.requests) == 1
        assert lab.contradictions() == []


async def test_a_pressed_emergency_stop_is_told_and_the_step_is_unknown(open_lab: Any) -> None:
    async with open_lab("lab", faults=["never_finishes"]) as lab:
        task = asyncio.create_task(lab.dose())
        await lab.until(lambda: len(lab.wells.acts) == 5)
        lab.robot.set_estop(True)
        run = await task
        assert run.state == "stopped"
        assert "the emergency stop is pressed" in run.error
        assert events(run) == {1: "done", 2: "done", 3: "unknown"}
        assert lab.contradictions() == []
        told = str(await lab.dose())
        assert "run run-0001" in told


async def test_an_idle_run_that_somebody_replaced_is_not_played(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        run_id = await prepare_run(lab.worklist, lab.verdict, lab.bench, lab.records)
        theirs = lab.robot.create_run(None, {}, {}, [])
        await play_run(run_id, lab.bench, lab.records)
        run = lab.records.journal.run(run_id)
        assert run.state in {"stopped", "interrupted"}
        assert "dismissed or replaced on the robot" in run.error
        assert theirs.status == "idle"
        assert lab.contradictions() == []


async def test_run_again_at_the_screen_is_noticed_before_its_plate_is_used_again(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        assert (await lab.dose()).state == "succeeded"
        client = lab.bench.liquid_handler._client
        (ours,) = (await client.get("/runs"))["data"]
        files = {one["variableName"]: one["file"]["id"] for one in ours["runTimeParameters"] if one.get("file")}
        await client.post("/runs", {"protocolId": ours["protocolId"], "runTimeParameterFiles": files})
        again = lab.robot.runs.all()[-1]
        lab.wells.refill()
        while again.status != "succeeded":
            await client.post(f"/runs/{again.id}/actions", {"actionType": "play"})
            await lab.until(lambda: again.status in {"paused", "succeeded"})
        told = await lab.dose()
        assert isinstance(told, StepUnknownError)
        assert f"worklist of run-0001 as its run {again.id}, which was not begun from here" in str(told)
        assert lab.runs()[-1].unknown_steps == tuple(step.number for step in lab.worklist.steps)


async def test_a_run_the_robot_dropped_for_newer_ones_is_unknown(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        run_id = await prepare_run(lab.worklist, lab.verdict, lab.bench, lab.records)
        numbers = [step.number for step in lab.worklist.steps]
        async with device_held(lab.bench, lab.records, "test") as hold:
            lab.records.journal.append_event(run_id, numbers, "sent", at=lab.now(), device="flex", claim=hold.claim)
        for _ in range(20):
            lab.robot.create_run(None, {}, {}, [])
        await lab.reconcile()
        run = lab.records.journal.run(run_id)
        assert set(events(run).values()) == {"unknown"}
        assert "no longer knows the run" in run.error


async def test_a_maintenance_run_is_in_the_way(open_lab: Any) -> None:
    async with open_lab("lab") as lab:
        handler = lab.bench.liquid_handler
        await handler._client.post("/maintenance_runs", {})
        told = await lab.dose()
        assert "maintenance: " in str(told)
        assert "finish calibration or pipette change" in str(told)


@pytest.fixture
def gate() -> Compliance:
    return Compliance({"ada": ("secret", ALL_SCOPES)}, now=time.monotonic, token_seconds=21.0)


async def test_an_account_signs_and_gives_a_reason_for_every_change(open_lab: Any, gate: Compliance) -> None:
    async with open_lab("lab", compliance=gate, driver={"account": ACCOUNT}) as lab:
        for plate in ("P-1", "P-2"):
            assert (await lab.dose(plate)).state == "succeeded"
        assert [run.shown()["signedBy"] for run in lab.robot.runs.all()] == ["Ada Lovelace"] * 2
        assert {(user, reason) for user, _, reason in gate.reasons} == {("ada", "NK dosing by nkloop")}
        assert any("PATCH /runs" in request for _, request, _ in gate.reasons)


async def test_a_token_that_ended_is_renewed_and_nothing_is_sent_twice(open_lab: Any, gate: Compliance) -> None:
    async with open_lab("lab", compliance=gate, driver={"account": ACCOUNT}) as lab:
        lab.operator.hands["Load the deck"] = gate.tokens.clear
        assert (await lab.dose()).state == "succeeded"
        assert lab.contradictions() == []


async def test_a_token_that_ends_soon_is_renewed_without_the_password(
    open_lab: Any, gate: Compliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    grant = gate.grant
    monkeypatch.setattr(gate, "grant", lambda form: (asked.append(form["grant_type"]), grant(form))[1])
    monkeypatch.setattr("nkloop.drivers.opentrons.access.RENEW_BEFORE_S", 21.5)
    async with open_lab("lab", compliance=gate, driver={"account": ACCOUNT}) as lab:
        assert (await lab.dose()).state == "succeeded"
        assert asked[0] == "password"
        assert set(asked[1:]) == {"refresh_token"}
        gate.refresh_tokens.clear()
        assert (await lab.dose("P-2")).state == "succeeded"
        assert asked.count("password") == 2


@pytest.mark.parametrize(
    ("account", "told", "remedy"),
    [
        (None, "to who has no account: no valid access token; it needs run_data.write", "name an account of the robot"),
        ({**ACCOUNT, "password": "guess"}, "does not accept the account 'ada'", "check user name and password"),
    ],
)
async def test_without_the_right_account_the_robot_is_not_changed(
    open_lab: Any, gate: Compliance, account: Any, told: str, remedy: str
) -> None:
    async with open_lab("lab", compliance=gate, driver={"account": account}) as lab:
        error = str(await lab.dose())
        assert told in error
        assert remedy in error
        assert "secret" not in error
        assert lab.robot.runs.all() == []
        assert lab.operator.asked == [], "told before anybody loads the deck"
        (line,) = [
            one for one in await lab.bench.liquid_handler.inspect(lab.bench.file.deck) if one.subject == "account"
        ]
        assert not line.ok
        assert told in line.found
        assert remedy in line.remedy


async def test_an_account_without_a_right_that_a_run_needs_is_told_before_the_deck_is_loaded(open_lab: Any) -> None:
    some = ("run_data.write", "robot_control.write")
    gate = Compliance({"ada": ("secret", some)}, now=time.monotonic)
    async with open_lab("lab", compliance=gate, driver={"account": ACCOUNT}) as lab:
        error = str(await lab.dose())
        assert "account: 'ada' is taken, but has no right protocols.write, run_signoff.write" in error
        assert lab.operator.asked == []


async def test_an_account_on_a_robot_that_knows_none_is_told_before_the_deck_is_loaded(open_lab: Any) -> None:
    async with open_lab("lab", driver={"account": ACCOUNT}) as lab:
        error = str(await lab.dose())
        assert "account: the robot knows no accounts" in error
        assert "remove `account` from the bench file" in error
        assert lab.operator.asked == []


async def test_an_unsigned_run_stands_in_the_way_of_the_next(open_lab: Any, gate: Compliance) -> None:
    unsigned = {key: value for key, value in ACCOUNT.items() if key != "signs_as"}
    async with open_lab("lab", compliance=gate, driver={"account": unsigned}) as lab:
        assert (await lab.dose()).state == "succeeded"
        told = str(await lab.dose("P-2"))
        assert "must be signed off first" in told
        assert "sign the finished run on the robot, or name who signs" in told
