"""Every flow on the virtual bench."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from prefect import flow as prefect_flow
from prefect import get_client
from prefect.context import FlowRunContext
from prefect.flow_engine import run_flow_async
from prefect.states import Scheduled

from nkloop.cli import main
from nkloop.coordination.loading import load_flow
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.manual_counter import ManualCounter
from nkloop.drivers.opentrons import FlexPlateReader
from nkloop.drivers.operators import PrefectOperator
from nkloop.drivers.withdrawing import QuestionWithdrawn
from nkloop.errors import (
    AssayError,
    DeviceUnreachableError,
    PlanError,
    RecordError,
    StepUnknownError,
    VerificationError,
)
from nkloop.quantities import Amount
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.runs.campaign import count_cells
from nkloop.runs.contents import known_contents
from nkloop.runs.execution import prepare_run
from nkloop.runs.killing import read_request
from nkloop.runs.launches import Launch
from nkloop.runs.media import plan_batch
from nkloop.runs.on_deck import keep_request, reading_bench
from nkloop.runs.people import ask
from nkloop.runs.session import Session
from nkloop.runs.typed_steps import spans
from nkloop.runs.ways import fates_in
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import CheckResult, OperatorTask, Verdict

from .lab import FLOWS, Lab, artifacts, resumed

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.slow,
    pytest.mark.vendor,
    # Prefect keeps the connections of an event loop that has ended until they are collected
    pytest.mark.filterwarnings(r"ignore:(?s).*<socket\.socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(600),
]
VARIED = ["SCF", "Flt3L", "TPO", "IL-7"]
SCF = "SCF@expansion_i+expansion_ii"
CAMPAIGN = {"campaign": "tiny", "rounds": 1, "arms": 2, "donors": 1, "feeding": "weekly", "seed": 3}
Ended = tuple[Lab, dict[str, Any]]


@pytest.fixture(scope="module")
def campaign(make_lab: Callable[..., Lab]) -> Ended:
    """One round of two arms on one donor, run on a bench of its own."""
    own = make_lab(seed=3)
    return own, own.flow("run_campaign", ask_approval=False, **CAMPAIGN)


@pytest.fixture(scope="module")
def lab(campaign: Ended) -> Lab:
    """The lab after its campaign."""
    return campaign[0]


def test_the_same_question_asked_again_waits_for_another_answer(tmp_path: Path) -> None:
    """Prefect keeps answers by key: a robot paused by hand twice in one run has to be looked at twice."""
    records = Records(f"sqlite:///{tmp_path / 'records.db'}")
    records.migrate()
    desk = PrefectOperator("technician", wait_seconds=30)
    task = OperatorTask(kind="confirm", instruction="The run was paused by hand. Confirm when it may go on.")
    request = OperatorRequest(title="small dose: the robot is paused", task=task)

    async def asked(name: str) -> None:
        bench, told = cast(Any, SimpleNamespace(operator=desk)), {"operator": name, "done": True}
        await asyncio.gather(asyncio.wait_for(resumed(told), 30), ask(request, bench, records, step=None))

    @prefect_flow
    async def paused_twice() -> OperatorAnswer:
        await asked("Ada")
        await asked("Bea")
        # interrupted before the second answer was recorded: it is found under its key, nobody is asked again
        return await desk.perform(request.model_copy(update={"occurrence": 1}))

    assert asyncio.run(paused_twice()).confirmed_by == "Bea"
    assert [action.confirmed_by for action in records.journal.actions(None)] == ["Ada", "Bea"]
    records.close()


def test_a_plate_that_is_counted_again_a_week_later_is_counted_again(tmp_path: Path) -> None:
    """Feeds are planned by these counts: an answer of last week would exchange and split wells by stale ones."""
    records = Records(f"sqlite:///{tmp_path / 'records.db'}")
    records.migrate()
    clock = SimpleNamespace(now=AsyncMock(return_value=datetime.now(UTC)))
    bench = SimpleNamespace(clock=clock, cell_counter=ManualCounter("cell counter", wait_seconds=30))
    session = cast(Any, SimpleNamespace(bench=bench, records=records, campaign=None, round=None))
    culture = cast(Any, SimpleNamespace(barcode="P-1", wells=("A1",)))

    async def counted(line: str) -> float:
        told = {"operator": "Ada", "counts": line}
        counts, _ = await asyncio.gather(count_cells(session, culture), asyncio.wait_for(resumed(told), 30))
        return counts["A1"].viable_per_ml

    @prefect_flow
    async def campaign() -> list[float]:
        return [await counted("A1 1e6 95 80 1 1.5"), await counted("A1 4e6 95 90 0.5 1.5")]

    assert asyncio.run(campaign()) == [1e6, 4e6]
    assert [one.viable_per_ml for one in records.results.counts()] == [1e6, 4e6]
    records.close()


def test_what_a_person_declined_is_asked_again_when_the_flow_is_retried(tmp_path: Path) -> None:
    records = Records(f"sqlite:///{tmp_path / 'records.db'}")
    records.migrate()
    bench = cast(Any, SimpleNamespace(operator=PrefectOperator("technician", wait_seconds=30)))
    task = OperatorTask(kind="confirm", instruction="Put plate 2 there.")
    request, given = OperatorRequest(title="Change the deck: part 2", task=task), [False, True]

    @prefect_flow
    async def feed() -> str:
        told = {"operator": "Ada", "done": given.pop(0), "note": "not yet"}
        answering = asyncio.create_task(asyncio.wait_for(resumed(told), 30))
        await ask(request, bench, records, step=None)
        await answering
        return "changed"

    async def retried() -> Any:
        async with get_client() as client:
            (failed,) = [one for one in await client.read_flow_runs() if one.name == declined.name]
            await client.set_flow_run_state(failed.id, Scheduled(name="AwaitingRetry"))
            return await run_flow_async(feed, flow_run=await client.read_flow_run(failed.id))

    async def launched() -> Any:
        state = await feed(return_state=True)
        async with get_client() as client:
            return await client.read_flow_run(state.state_details.flow_run_id), state

    declined, state = asyncio.run(launched())
    assert "Ada declined: not yet" in state.message
    assert asyncio.run(retried()) == "changed"
    assert [action.note for action in records.journal.actions(None)] == ["not yet"]
    records.close()


def test_a_question_that_is_withdrawn_leaves_its_flow_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nkloop.runs.people.LOOK_SECONDS", 0.1)
    records = Records(f"sqlite:///{tmp_path / 'records.db'}")
    records.migrate()
    task = OperatorTask(kind="confirm", instruction="The robot waits for recovery.")
    request = OperatorRequest(title="small dose: the robot is awaiting-recovery", task=task)
    clock = SimpleNamespace(now=AsyncMock(return_value=datetime.now(UTC)))
    handler = SimpleNamespace(poll_seconds=0.0)
    desk = PrefectOperator("technician", wait_seconds=30)
    bench = cast(Any, SimpleNamespace(operator=desk, clock=clock, liquid_handler=handler))

    async def settled() -> str:
        async with get_client() as client:
            found = await client.read_flow_runs()
        paused = [run for run in found if run.state is not None and run.state.is_paused()]
        return "somebody settled it at flex itself" if paused else ""

    @prefect_flow
    async def recovered() -> str:
        with pytest.raises(QuestionWithdrawn):
            await ask(request, bench, records, step=None, moot=settled)
        async with get_client() as client:
            state: Any = (await client.read_flow_run(cast(Any, FlowRunContext.get()).flow_run.id)).state
        return f"{state.name}: {state.message}"

    told = "The question was withdrawn: somebody settled it at flex itself"
    assert asyncio.run(recovered()) == f"Running: {told}"
    assert [remark.kind for remark in records.journal.remarks(None)] == ["withdrawn"]
    records.close()


def test_a_medium_is_prepared_as_planned(lab: Lab) -> None:
    incidents = lab.ask("/virtual/incidents")
    source = lab.flow("prepare_medium", stage="expansion_i", volume_ml=40, leave_out=VARIED, barcode="M-1")
    assert source.barcode == "M-1"
    with lab.records() as records:
        run = records.journal.runs()[-1]
        assert (run.name.split()[0], run.state, run.unknown_steps) == ("ucb-nk", "succeeded", ())
        assert {step.event for step in run.steps} == {"done"}
        assert records.audit.verify_chain() == ()
    vessel = lab.ask("/virtual/contents")["M-1"][source.well]
    assert vessel["volume_ul"] == pytest.approx(source.volume_ul, rel=0.02)
    for name in ("GBGM", "human serum"):
        expected = source.per_ul[name] * source.volume_ul
        assert vessel["amounts"][name] == pytest.approx(expected, rel=0.03), name
    assert not set(VARIED) & set(vessel["amounts"])
    assert lab.ask("/virtual/incidents") == incidents
    sheet, plan, shown = artifacts("run-sheet")[0], artifacts("plan")[0], artifacts("run")[0]
    assert "passed: opentrons analysis" in sheet
    assert "human serum" in plan
    assert "succeeded" in shown
    assert "under way" not in sheet
    assert [words for words in ("Unverified", "Simulated bench") if words not in sheet] == []
    assert "unverified" in plan
    assert [words for words in ("M-1", "(simulated)", "unverified") if words not in shown] == []
    report = lab.workspace.state / "reports" / f"run-{run.id}.html"
    assert "simulated" in report.read_text(encoding="utf-8")


def test_a_culture_plate_is_seeded_and_fed_from_a_medium_made_before(lab: Lab) -> None:
    plate: dict[str, Any] = {"stage": "expansion_i", "plate": "C-1", "base_medium": "M-1"}
    exchange = {"well": "A1", "remove_ul": 750, "add_ul": 750, "seed_ul": 0}
    seeded, fed = lab.flows(
        ("dose_cytokines", {**plate, "wells": [{"well": "A1"}]}), ("dose_cytokines", {**plate, "wells": [exchange]})
    )
    with lab.records() as records:
        assert [records.journal.run(run).state for run in (seeded, fed)] == ["succeeded"] * 2
    planned = lab.session(lambda session: planned_wells(session, "C-1"))
    real = lab.ask("/virtual/contents")["C-1"]["A1"]
    assert real["volume_ul"] == pytest.approx(planned["A1"], rel=0.03)


def test_a_feeding_in_parts_leaves_what_was_planned(lab: Lab) -> None:
    """Cells of six wells would be out for longer than asked: two runs, the plate in the incubator between them."""
    incidents = lab.ask("/virtual/incidents")
    arms = [{"name": "reference"}, {"name": "arm-1", "factors": [{"component": SCF, "factor": 2}]}]
    wells = [{"well": well, "arm": arms[n % 2]["name"]} for n, well in enumerate(("A1", "B1", "C1", "D1", "A2", "B2"))]
    asked: dict[str, Any] = {"stage": "expansion_i", "plate": "C-2", "base_medium": "M-2", "arms": arms}
    exchange = [{**well, "remove_ul": 750, "add_ul": 750, "seed_ul": 0} for well in wells]
    *_, last = lab.flows(
        ("prepare_medium", {"stage": "expansion_i", "volume_ml": 40, "leave_out": VARIED, "barcode": "M-2"}),
        ("dose_cytokines", {**asked, "wells": wells}),
        ("dose_cytokines", {**asked, "wells": exchange, "cells_out_minutes": 4}),
    )
    with lab.records() as records:
        seeded, first, second = (run for run in records.journal.runs() if run.name.startswith("feed C-2"))
        assert (seeded.state, "part" in seeded.name) == ("succeeded", False)
        assert [run.name.rpartition(", ")[2] for run in (first, second)] == ["part 1 of 2", "part 2 of 2"]
        assert (second.id, first.state, second.state) == (last, "succeeded", "succeeded")
        assert first.unknown_steps == second.unknown_steps == ()
        changed = [action for action in records.journal.actions(first.id) if action.title.startswith("Change the deck")]
        assert [
            "Back into the incubator until the run asks for it: Culture plate C-2" in one.instruction for one in changed
        ] == [True]
        assert records.audit.verify_chain() == ()
    known = lab.session(lambda session: contents_of(session, "C-2"))
    real = lab.ask("/virtual/contents")["C-2"]
    assert sorted(known) == sorted(well["well"] for well in wells)
    for well, planned in known.items():
        assert real[well]["volume_ul"] == pytest.approx(planned.volume_ul, rel=0.03), well
        for name in VARIED:
            assert real[well]["amounts"][name] == pytest.approx(planned.amounts[name], rel=0.12), (well, name)
    scf = {well: planned.amounts["SCF"] / planned.volume_ul for well, planned in known.items()}
    assert scf["B1"] == pytest.approx(2 * scf["A1"], rel=0.02)
    assert lab.ask("/virtual/incidents") == incidents


def test_a_form_gives_the_worklist_of_the_command_and_makes_its_base_medium(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = lab.workspace.root / "arms.csv"
    arms.write_text("arm,SCF\narm-1,x2\n", encoding="utf-8")
    asked = ("--recipe", "ucb-nk", "--stage", "expansion_i", "--vessel", "plate-24", "--donors", "U1", "--arms", arms)
    command = ("nkloop", "plan", "dosing", *asked, "--volume", "1.5 mL", "--constant", "base", "--json")
    monkeypatch.setattr("sys.argv", [*map(str, command), "--csv", "dose.csv"])
    monkeypatch.chdir(lab.workspace.root)
    with lab.address(), pytest.raises(SystemExit) as ended:
        main()
    plan = json.loads(capsys.readouterr().out)
    assert not ended.value.code
    wells = [{name: one[name] for name in ("well", "arm", "donor")} for one in plan["positions"]]
    factors = [{"name": "reference"}, {"name": "arm-1", "factors": [{"component": SCF, "factor": 2}]}]
    form = {"stage": "expansion_i", "plate": "C-7", "arms": factors, "wells": wells, "constant": "base"}
    run = lab.flow("dose_cytokines", **form)
    with lab.records() as records:
        worklist = records.journal.worklist(records.journal.run(run).worklist_hash)
    assert to_csv(worklist).encode() == Path("dose.csv").read_bytes()
    assert plan["dosed"] == ["SCF"]
    base = next(one for one in worklist.fillings if one.labware == "base")
    assert {"Flt3L", "TPO", "IL-7"} <= set(base.liquid.per_ul)
    assert worklist.prepared[0].run


async def contents_of(session: Session, barcode: str) -> dict[str, Any]:
    known = known_contents(session.records, session.catalogue, session.bench_file.deck, barcode)
    return {name: well for name, well in known.wells.items() if well.volume_ul > 0}


async def planned_wells(session: Session, barcode: str) -> dict[str, float]:
    known = known_contents(session.records, session.catalogue, session.bench_file.deck, barcode)
    return {name: well.volume_ul for name, well in known.wells.items() if well.volume_ul > 0}


@pytest.mark.parametrize(
    ("name", "fields", "error", "told"),
    [
        pytest.param("prepare_medium", {"stage": "expansion_9"}, PlanError, "expansion_9", id="medium of no stage"),
        pytest.param("dose_cytokines", {"stage": "expansion_9"}, PlanError, "no stage 'expansion_9'", id="no stage"),
        pytest.param(
            "dose_cytokines", {"base_medium": "nobody made it"}, RecordError, "no run had a labware", id="no medium"
        ),
        pytest.param(
            "run_cytotoxicity_assay", {"samples": [{"purity_percent": 0}]}, AssayError, "no NK cells", id="no NK cells"
        ),
        pytest.param("improve_recipe", {"campaign": "nobody-ran-it"}, RecordError, "is not recorded", id="no campaign"),
    ],
)
def test_what_cannot_be_done_moves_nothing(
    lab: Lab, name: str, fields: dict[str, Any], error: type[Exception], told: str
) -> None:
    before = lab.ask("/virtual/contents"), lab.ask("/runs")["meta"]["totalLength"]
    with pytest.raises(error, match=told):
        lab.flow(name, **fields)
    assert (lab.ask("/virtual/contents"), lab.ask("/runs")["meta"]["totalLength"]) == before


def on_deck() -> str:
    """The virtual bench with the robot's own reader on its deck, with filters made for LDH."""
    text = (
        (FLOWS.parent / "devices" / "virtual.yaml").read_text(encoding="utf-8").replace("name: virtual", "name: deck")
    )
    head, _, rest = text.partition("plate_reader:\n")
    module = '    - {slot: D3, load_name: absorbanceReaderV1, adapter: null, serial_number: ""}\n'
    head = head.replace("  trash_slot: A3\n", f"{module}  trash_slot: A3\n")
    reader = (
        "plate_reader:\n"
        "  modes: [{mode: absorbance, wavelengths_nm: [490, 680], saturation: 4.0}]\n"
        "  driver: nkloop.drivers.opentrons:FlexPlateReader\n"
        "  settings: {url: '${NKLOOP_VIRTUAL_URL}', poll_seconds: 0.03}\n\n"
    )
    return head + reader + "cell_counter:\n" + rest.partition("cell_counter:\n")[2]


def test_a_killing_assay_is_read_by_the_reader_on_the_deck_of_its_robot(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("deck", on_deck())
    (result,) = lab.flow("run_cytotoxicity_assay", bench="deck", plate_prefix="K")
    assert result.barcode == "K-1"
    assert result.verdict in {"accepted", "flagged"}
    assert result.z_prime > 0.5
    with lab.records() as records:
        assay, reading = records.journal.runs()
        assert (assay.procedure, reading.procedure) == ("cytotoxicity_assay", "plate_reading")
        assert (assay.state, reading.state, reading.device) == ("succeeded", "succeeded", "plate reader")
        assert {step.event for step in reading.steps} == {"done"}
        read = records.results.reading_of(assay.id)
        assert read is not None
        assert (read.barcode, read.wavelength_nm, read.reference_wavelength_nm) == ("K-1-read", 490, 680)
        assert read.file_sha256 == reading.files[0].sha256
        assert records.audit.verify_chain() == ()
    assert [run["status"] for run in lab.ask("/runs")["data"]] == ["succeeded", "succeeded"]

    async def left_open(session: Session) -> None:
        """What a program that died over the open lid leaves."""
        reader, request = session.bench.plate_reader, read_request(result.layout)
        assert isinstance(reader, FlexPlateReader)
        steps = reader.worklist(request)
        keep_request(steps, request, session.records)
        sound = CheckResult(check="schema", passed=True, seconds=0)
        verdict = Verdict(worklist=steps.name, worklist_hash=steps.content_hash, checks=(sound,))
        run_id = await prepare_run(steps, verdict, reading_bench(session.bench), session.records)
        await reader.play(session.records.journal.run(run_id).device_run_id or "")

    lab.session(left_open)
    (told,) = lab.flow("reconcile_run", bench="deck", run="run-0003")
    assert told == {"run": "run-0003", "state": "succeeded", "unknown_steps": 0}
    with lab.records() as records:
        assert [reading.barcode for reading in records.results.readings()] == ["K-1-read", "K-1-read"]


def test_a_wrong_worklist_never_reaches_the_robot(lab: Lab) -> None:
    from prefect import flow

    from nkloop.coordination.work import carry_out

    async def overfill(session: Session) -> None:
        @flow(name="overfill")
        async def overfilling(worklist: Any) -> None:
            await carry_out(session, worklist, phase="overfilling")

        plan = await plan_batch(
            session, session.recipe("ucb-nk"), "expansion_i", Amount(30, "mL"), leave_out=VARIED, barcode="M-9"
        )
        steps = tuple(
            step.model_copy(update={"volume_ul": 990.0}) if step.action == "transfer" and step.channels == 1 else step
            for step in plan.worklist.steps
        )
        await overfilling(plan.worklist.model_copy(update={"steps": steps}))

    with lab.records() as records:
        runs = len(records.journal.runs())
    robot = lab.ask("/runs")["meta"]["totalLength"], lab.ask("/protocols")
    with pytest.raises(VerificationError, match="refused by ledger"):
        lab.session(overfill)
    assert (lab.ask("/runs")["meta"]["totalLength"], lab.ask("/protocols")) == robot
    with lab.records() as records:
        assert len(records.journal.runs()) == runs
    assert "**FAILED**: ledger" in artifacts("run-sheet")[0]


def test_a_round_ends_with_observations_and_an_outcome(campaign: Ended) -> None:
    lab, outcome = campaign
    summary = outcome["summary"]
    assert (summary["rounds"], summary["arms"], summary["unknown_steps"]) == (1, 2, 0)
    assert {plate["verdict"] for plate in summary["plates"]} <= {"accepted", "flagged"}
    assert {row["arm"] for row in outcome["summaries"]} == {"reference", "arm-1-1"}
    revision = summary["revision"]
    assert (revision["id"] is None) == (revision["status"] == "no improvement")
    assert revision["parent"].startswith("ucb-nk@")
    assert summary["best_score"] is not None
    assert Path(summary["report"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with lab.records() as records:
        runs = records.journal.runs("tiny")
        assert len(runs) == summary["robot_runs"]
        assert {run.state for run in runs} == {"succeeded"}
        assert {step.event for run in runs for step in run.steps} == {"done"}
        assert sum(run.n_transfers for run in runs) == summary["transfers"]
        assert {run.procedure for run in runs} == {"medium_preparation", "cytokine_dosing", "cytotoxicity_assay"}
        assert len(records.campaigns.observations("tiny")) == 2
        assert records.audit.verify_chain() == ()


def test_what_the_bench_holds_is_what_was_planned(campaign: Ended) -> None:
    """The hidden ledger, moved by commands with pipetting error, against ours, moved by worklists."""
    lab, _ = campaign
    real = lab.ask("/virtual/contents")
    with lab.records() as records:
        barcodes = {
            item.barcode
            for run in records.journal.runs()
            for item in records.journal.worklist(run.worklist_hash).deck
            if item.barcode
        }
    compared = 0
    harvested = "tiny-r1-culture"  # its cells were taken out by hand for the killing assays

    async def plan_all(session: Session) -> dict[str, dict[str, float]]:
        kept = sorted((barcodes & set(real)) - {harvested})
        return {barcode: await planned_wells(session, barcode) for barcode in kept}

    for barcode, wells in lab.session(plan_all).items():
        for well, volume in wells.items():
            found = real[barcode].get(well, {"volume_ul": 0})["volume_ul"]
            assert found == pytest.approx(volume, rel=0.1, abs=20), f"{barcode} {well}"
            compared += 1
    assert compared > 100
    assert [i for i in lab.ask("/virtual/incidents") if "spill" in str(i) or "air" in str(i)] == []


def test_the_same_seed_gives_the_same_numbers(campaign: Ended, make_lab: Callable[..., Lab]) -> None:
    _, first = campaign
    second = make_lab(seed=3).flow("run_campaign", ask_approval=False, **CAMPAIGN)
    for outcome in (first, second):
        outcome["summary"].pop("report")
    assert second == first


def test_no_improvement_is_shown_and_nothing_is_proposed(campaign: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, _ = campaign
    with lab.records() as records:
        before = records.campaigns.proposals("tiny")
    monkeypatch.setattr("nkloop.feedback.campaign.best_point", lambda beliefs, chance: None)
    assert lab.flow("improve_recipe", campaign="tiny", ask_approval=True) is None
    assert "No improvement" in artifacts("proposal")[0]
    with lab.records() as records:
        assert records.campaigns.proposals("tiny") == before


def test_a_campaign_name_is_used_once(campaign: Ended) -> None:
    with pytest.raises(RecordError, match="there is a campaign 'tiny' already"):
        campaign[0].flow("run_campaign", ask_approval=False, **CAMPAIGN)


def test_a_robot_that_dies_leaves_unknown_steps_that_nobody_builds_upon(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(seed=1, speed=20)

    async def killed_half_way(session: Session) -> None:
        module = load_flow(FLOWS / "prepare_medium.py")
        flow = asyncio.create_task(
            module.prepare_medium(module.PrepareMedium(volume_ml=20, leave_out=VARIED, barcode="M-1"))
        )
        while not (runs := session.records.journal.runs()) or runs[0].state != "running":
            assert not flow.done(), flow.exception()
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        os.kill(lab.bench.pid, signal.SIGKILL)
        await flow

    with pytest.raises(DeviceUnreachableError, match=r"does not answer|not reachable|no answer|unreachable"):
        lab.session(killed_half_way)
    with lab.records() as records:
        (run,) = records.journal.runs()
        assert not run.is_over  # the robot may have gone on, and is asked when it answers again
        assert run.unknown_steps == tuple(step.number for step in run.steps)
        assert "could not be asked and may still be running" in run.error
        assert records.audit.verify_chain() == ()

    async def planned(session: Session) -> None:
        await planned_wells(session, "M-1")

    with pytest.raises(StepUnknownError, match="nobody knows what M-1 holds"):
        lab.session(planned)


def _seen(cut: RunRecord, session: Session) -> dict[str, str]:
    """What a person who looks at the wells says: the device may have been stopped before it had begun to give."""
    worklist = session.records.journal.worklist(cut.worklist_hash)
    unknown = [fate for fate in fates_in(cut, worklist, session.records) if fate.what == "unknown"]
    said: dict[str, list[int]] = {"happened": [], "drawn": [], "not_happened": []}
    for fate in unknown:
        what = "happened" if not fate.fell_short else "drawn" if fate.is_drawn else "not_happened"
        said[what].append(fate.step.number)
    return {what: spans(numbers) for what, numbers in said.items() if numbers}


def test_a_cancelled_flow_makes_its_robot_safe_and_its_retry_does_the_rest_only(
    make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect keeps the id of a flow run that is retried, which is what names a launch."""
    monkeypatch.setattr("nkloop.drivers.opentrons.robot.STEP_SECONDS", 0.1)
    lab = make_lab(seed=1, speed=150)
    module, reconciling = load_flow(FLOWS / "prepare_medium.py"), load_flow(FLOWS / "reconcile_run.py")

    async def launched(session: Session) -> None:
        session.launch = Launch("one")
        await module.prepare_medium(module.PrepareMedium(volume_ml=20, leave_out=VARIED, barcode="M-1"))

    async def story(session: Session) -> tuple[int, ...]:
        flow = asyncio.create_task(launched(session))
        while session.progress.current < 8:
            assert not flow.done(), flow.exception()
            await asyncio.sleep(0.02)
        flow.cancel()
        await asyncio.gather(flow, return_exceptions=True)
        journal = session.records.journal
        (cut,) = journal.runs()
        assert (cut.state, "the device was stopped" in cut.error) == ("interrupted", True)
        assert [holder for holder in session.records.claims.holders() if holder.released_at is None] == []
        if cut.needs_decision:
            with pytest.raises(StepUnknownError, match="nobody has decided"):
                await launched(session)
            said = {"decision": "continue", "decided_by": "Ada", "reason": "level seen", "go_on": False}
            await reconciling.reconcile_run(reconciling.ReconcileRun(run=cut.id, **said, **_seen(cut, session)))
        await launched(session)
        await launched(session)  # all of it is done by now, and nothing is done again
        _, rest = journal.runs()
        assert (rest.parent, rest.state) == (cut.id, "succeeded")
        fates = fates_in(journal.run(cut.id), journal.worklist(cut.worklist_hash), session.records)
        return len(cut.steps), sum(fate.what == "done" for fate in fates), len(rest.steps)

    total, before, after = lab.session(story)
    assert 0 < before < total
    assert before + after == total
