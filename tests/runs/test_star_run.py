"""A run on the simulated STAR of the shipped bench, with the journal: told step by step, stopped, taken over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from nkloop.drivers.bench import Bench, load_bench_file
from nkloop.drivers.pylabrobot import PyLabRobotHandler
from nkloop.drivers.pylabrobot.pipetting import Outcome, Pipetting
from nkloop.drivers.pylabrobot.simulation import check_simulation
from nkloop.errors import BenchError, DeviceError, OperatorRefusedError, RecordError
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.records.models import Context
from nkloop.runs.execution import execute, finish_run, play_run, prepare_run
from nkloop.runs.launches import has_moved, last_of
from nkloop.worklists.models import (
    CheckResult,
    DeckItem,
    Filling,
    Liquid,
    OperatorTask,
    Step,
    Verdict,
    VesselMove,
    Worklist,
)

from .test_vessels import Answers

ROOT = Path(__file__).resolve().parents[2]
STAR = load_bench_file(ROOT / "devices" / "star_cytation.yaml")


def transfer(number: int, target: str, volume: float, **more: Any) -> Step:
    return Step(
        number=number, action="transfer", labware="medium", well="A1", to_labware="plate", to_well=target,
        volume_ul=volume, **more,
    )  # fmt: skip


@pytest.fixture
def worklist() -> Worklist:
    """A column of medium, cells into one well, a pause, one more well; cold medium and tips of Hamilton's."""
    pause = OperatorTask(kind="incubate", instruction="Incubate 5 min", labware=("plate",), minutes=5)
    liquid = Liquid(name="medium", per_ul={"base": 1.0})
    return Worklist(
        name="star",
        procedure="cytotoxicity_assay",
        pipettes={"left": "star_1channel_1000", "right": "star_8channel_1000"},
        deck=(
            DeckItem(nickname="medium", slot="C1", load_name="nest_12_reservoir_15ml", temperature_c=4,
                     module="temperatureModuleV2"),
            DeckItem(nickname="plate", slot="A1", load_name="corning_96_wellplate_360ul_flat", barcode="P-1"),
            DeckItem(nickname="tips", slot="A3", load_name="nkloop_hamilton_96_filtertiprack_300ul",
                     namespace="nkloop"),
        ),
        fillings=(Filling(labware="medium", well="A1", volume_ul=8000, liquid=liquid),),
        steps=(
            transfer(1, "A1", 100, tip="tips:A1", channels=8),
            transfer(2, "A2", 50, tip="tips:A2"),
            Step(number=3, action="pause", operator=pause),
            transfer(4, "A3", 60, tip="tips:B2"),
        ),
    )  # fmt: skip


@pytest.fixture
def verdict(worklist: Worklist) -> Verdict:
    passed = CheckResult(check="ledger", passed=True, seconds=0)
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(passed,))


@pytest_asyncio.fixture
async def star(bench: Bench) -> AsyncIterator[Bench]:
    """The shipped bench's STAR on PyLabRobot's simulator, with stand-ins for the other devices."""
    made = a_star()
    yield replace(bench, file=STAR, liquid_handler=made)
    await made.close()


def a_star() -> PyLabRobotHandler:
    settings = {**STAR.liquid_handler.settings, "simulated": True, "poll_seconds": 0.005}
    catalogue = Catalogue.load(ROOT / "labware")
    return PyLabRobotHandler("Hamilton STAR", catalogue=catalogue, deck=STAR.deck, **settings)


def events(records: Records, run_id: str) -> dict[int, str]:
    return {step.number: step.event for step in records.journal.run(run_id).steps}


async def test_a_run_is_journalled_step_by_step_with_what_each_channel_moved(
    worklist: Worklist, verdict: Verdict, star: Bench, records: Records, operator: Any
) -> None:
    run_id = await prepare_run(worklist, verdict, star, records)
    assert star.liquid_handler.backend.sent == []  # type: ignore[attr-defined]
    await play_run(run_id, star, records)
    run = await finish_run(run_id, star, records)
    assert run.state == "succeeded"
    told = [(e.number, e.event) for e in records.journal.events(run_id) if e.event != "intended"]
    assert told == [(number, event) for number in (1, 2, 3, 4) for event in ("sent", "done")]
    moved = {e.number: e.moved_ul for e in records.journal.events(run_id) if e.event == "done"}
    assert moved == {1: (100.0,) * 8, 2: (50.0,), 3: (), 4: (60.0,)}
    assert [request.task.kind for request in operator.asked] == ["confirm", "incubate"]
    assert records.audit.verify_chain() == ()
    stations = star.liquid_handler._stations.open  # type: ignore[attr-defined]
    assert stations["C1"].asked == [("temperature", 4.0)]


async def test_a_step_that_fails_after_it_gave_is_taken_up_and_not_given_again(
    worklist: Worklist, star: Bench, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It failed before its mix: no step is done and none is unknown, but its liquid is in the well."""
    gives = transfer(1, "A2", 50, tip="tips:A2", mix_after=3, mix_volume_ul=30.0)
    mixed = worklist.model_copy(update={"steps": (gives, transfer(2, "A3", 60, tip="tips:B2"))})
    ledger = CheckResult(check="ledger", passed=True, seconds=0)
    passed = Verdict(worklist=mixed.name, worklist_hash=mixed.content_hash, checks=(ledger,))
    draw, drawn = Pipetting.aspirate, list[float]()

    async def fail_at_the_mix(self: Pipetting, *given: Any, **more: Any) -> Outcome:
        drawn.append(given[1])
        return Outcome((False,), DeviceError("clot")) if len(drawn) > 1 else await draw(self, *given, **more)

    async def carried_out() -> None:
        context = Context(occurrence="launch/dose/1")
        await play_run(await prepare_run(mixed, passed, star, records, context=context), star, records)

    with monkeypatch.context() as patched:
        patched.setattr(Pipetting, "aspirate", fail_at_the_mix)
        await carried_out()
    run = records.journal.run("run-0001")
    assert (run.steps[0].event, run.steps[0].moved_ul) == ("failed", (50.0,))
    assert (run.needs_decision, run.begun_steps, has_moved(run)) == (False, (1,), True)
    assert last_of("launch/dose/1", records) == run
    with pytest.raises(RecordError, match="taken up already, by run-0001"):
        await carried_out()
    assert drawn == [50.0, 30.0]


async def test_an_operator_who_declines_leaves_no_step_in_doubt(
    worklist: Worklist, verdict: Verdict, star: Bench, records: Records, operator: Any
) -> None:
    operator.declines = "step 3"
    with pytest.raises(OperatorRefusedError):
        await execute(worklist, verdict, star, records)
    (run,) = records.journal.runs()
    assert (run.state, run.unknown_steps) == ("interrupted", ())
    assert events(records, run.id) == {1: "done", 2: "done", 3: "failed", 4: "failed"}
    sent = star.liquid_handler.backend.sent  # type: ignore[attr-defined]
    assert sent[-1].startswith("C0TR"), "the tips are at the waste"


@pytest.mark.parametrize(
    ("because", "begun", "event"),
    [("", "", "unknown"), (": it leaks", "part", "unknown"), (": it leaks", "nothing", "failed")],
)
async def test_a_pause_in_which_people_move_liquid_is_in_doubt_unless_somebody_says_that_nothing_was_moved(
    worklist: Worklist, star: Bench, records: Records, because: str, begun: str, event: str
) -> None:
    """Nobody answered in time or somebody declined, and the run is stopped while somebody may stand at the bag."""
    moves = (VesselMove(to_vessel="bag-1", volume_ul=20_000),)
    fill = Step(number=3, action="pause", operator=OperatorTask(kind="fill", instruction="Run it in.", moves=moves))
    filled = worklist.model_copy(update={"steps": (*worklist.steps[:2], fill, worklist.steps[3])})
    ledger = CheckResult(check="ledger", passed=True, seconds=0)
    passed = Verdict(worklist=filled.name, worklist_hash=filled.content_hash, checks=(ledger,))
    person = Answers(declines="step 3:", because=because, begun=begun)
    with pytest.raises(OperatorRefusedError):
        await execute(filled, passed, replace(star, operator=person), records)
    (run,) = records.journal.runs()
    assert events(records, run.id) == {1: "done", 2: "done", 3: event, 4: "failed"}
    assert run.needs_decision == (event == "unknown")


async def test_a_failing_channel_ends_the_run_and_asks_a_person(
    worklist: Worklist, verdict: Verdict, star: Bench, records: Records
) -> None:
    from nkloop.drivers.pylabrobot import adapter

    failures = adapter.named("liquid_handling.errors:ChannelizedError", "test")
    run_id = await prepare_run(worklist, verdict, star, records)

    async def clot(*_: Any, **__: Any) -> None:
        raise failures(errors={3: RuntimeError("clot")})

    star.liquid_handler.backend.dispense = clot  # type: ignore[attr-defined]
    await play_run(run_id, star, records)
    run = records.journal.run(run_id)
    assert run.state == "failed"
    assert "channel 3: clot" in run.error
    assert events(records, run_id)[1] == "unknown"
    (told,) = [e for e in records.journal.events(run_id) if e.number == 1 and e.event == "unknown"]
    assert told.moved_ul == (100.0,) * 3 + (0.0,) + (100.0,) * 4
    assert run.needs_decision


async def test_after_a_crash_the_device_remembers_nothing_and_the_step_under_way_is_unknown(
    worklist: Worklist, verdict: Verdict, star: Bench, records: Records
) -> None:
    """The process dies between `sent` and the end of step 2: its handler is gone, the journal is all there is."""
    run_id = await prepare_run(worklist, verdict, star, records)
    device_run = records.journal.run(run_id).device_run_id
    handler = star.liquid_handler
    aspirate, count, is_over = handler.backend.aspirate, 0, False  # type: ignore[attr-defined]

    async def second_hangs(*args: Any, **kwargs: Any) -> None:
        nonlocal count
        count += 1
        while count == 2 and not is_over:  # noqa: ASYNC110 - it is set from another loop
            await asyncio.sleep(0.005)
        await aspirate(*args, **kwargs)

    handler.backend.aspirate = second_hangs  # type: ignore[attr-defined]
    playing = asyncio.create_task(play_run(run_id, star, records))
    async with asyncio.timeout(20):
        while events(records, run_id)[2] != "sent":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert records.journal.run(run_id).unknown_steps == (2,)
    reborn = replace(star, liquid_handler=a_star())
    assert device_run is not None
    assert await reborn.liquid_handler.find_runs(worklist) == ()
    with pytest.raises(DeviceError, match="remembers nothing after a restart"):
        await reborn.liquid_handler.state(device_run)
    await reborn.liquid_handler.close()
    playing.cancel()
    is_over = True
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert events(records, run_id) == {1: "done", 2: "failed", 3: "failed", 4: "failed"}


async def test_a_stop_that_waits_long_for_the_command_under_way_drops_the_tips_and_keeps_what_it_did(
    worklist: Worklist,
    verdict: Verdict,
    star: Bench,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("nkloop.runs.following.SAFE_SECONDS", 0.05)
    run_id = await prepare_run(worklist, verdict, star, records)
    backend = star.liquid_handler.backend  # type: ignore[attr-defined]
    dispense, is_over = backend.dispense, False

    async def slow(*args: Any, **kwargs: Any) -> None:
        while not is_over:  # noqa: ASYNC110 - it is set from another loop
            await asyncio.sleep(0.005)
        await dispense(*args, **kwargs)

    backend.dispense = slow
    playing = asyncio.create_task(play_run(run_id, star, records))
    async with asyncio.timeout(20):
        while not any(sent.startswith("C0AS") for sent in backend.sent):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    playing.cancel()
    await asyncio.sleep(0.3)
    assert not playing.done()
    assert "still ends its command" in caplog.text
    is_over = True
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert backend.sent[-1].startswith("C0TR"), "eight tips stay on the arm"
    run = records.journal.run(run_id)
    assert (run.state, run.error) == (
        "interrupted",
        "interrupted by a person or by the program; the device was stopped",
    )
    assert events(records, run_id) == {1: "done", 2: "failed", 3: "failed", 4: "failed"}


async def test_the_shipped_bench_refuses_what_does_not_fit_it(
    worklist: Worklist, verdict: Verdict, star: Bench, records: Records
) -> None:
    wrong = worklist.model_copy(
        update={
            "deck": tuple(i.model_copy(update={"slot": "B2"}) if i.nickname == "tips" else i for i in worklist.deck)
        }
    )
    allowed = verdict.model_copy(update={"worklist_hash": wrong.content_hash})
    with pytest.raises(BenchError, match="would stand on flat, which takes no tips"):
        await execute(wrong, allowed, star, records)
    assert records.journal.runs() == ()


async def test_the_shipped_bench_file_describes_a_deck_that_can_be_built(star: Bench) -> None:
    found = await star.liquid_handler.inspect(STAR.deck)
    assert [finding for finding in found if not finding.ok] == []
    subjects = {finding.subject: finding.found for finding in found}
    assert subjects["deck"] == "3 carriers fit Hamilton STAR"
    assert subjects["temperatureModuleV2 in C1"] == "a device of the bench"
    assert subjects["liquid class cells"] == "verified by nobody"


async def test_its_simulator_is_the_second_check_of_a_worklist(worklist: Worklist) -> None:
    catalogue = Catalogue.load(ROOT / "labware")
    passed = await check_simulation(worklist, catalogue, "star", STAR.deck)
    assert (passed.check, passed.passed, passed.problems) == ("device simulation", True, ())
    twice = worklist.model_copy(
        update={"steps": (*worklist.steps, worklist.steps[1].model_copy(update={"number": 5, "tip": "tips:A2"}))}
    )
    refused = await check_simulation(twice, catalogue, "star", STAR.deck)
    assert not refused.passed
    assert "there is no tip at" in refused.problems[0]["message"]
    strange = worklist.model_copy(
        update={"deck": (*worklist.deck, DeckItem(nickname="odd", slot="D2", load_name="no_such_plate"))}
    )
    unknown = await check_simulation(strange, catalogue, "star", STAR.deck)
    assert "no_such_plate is not in the catalogue" in unknown.problems[0]["message"]
