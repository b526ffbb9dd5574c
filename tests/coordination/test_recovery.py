"""What a person answers in the browser reaches the decision as it does from the command line."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nkloop.coordination import recovery
from nkloop.coordination.question_page import Answer, question_markdown
from nkloop.coordination.recovery import settled
from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.models import Context, RunDecision, RunRecord, StepRecord
from nkloop.runs.asking import Question
from nkloop.runs.deciding import Decided
from nkloop.runs.launches import Launch
from nkloop.runs.offers import candidates
from nkloop.runs.open_steps import OpenStep
from nkloop.runs.possible import PossibleContents, PossibleWell
from nkloop.runs.session import Session
from nkloop.runs.vessels import HeldVessel, PossibleVolume
from nkloop.worklists.models import OperatorTask, Step, Verdict, Worklist

AT = datetime(2026, 11, 23, tzinfo=UTC)
FLOW = Path(__file__).resolve().parents[2] / "flows" / "reconcile_run.py"
SAID = {
    "happened": "1",
    "not_happened": "3-4",
    "drawn": "2",
    "cut_in_first_mix": "8",
    "given": "5",
    "cut_in_mix": "6",
    "moved": "7=10 mL",
    "skipped_at_screen": "2",
    "wells": "plate:B3",
    "other_vessels": "run-0008, run-0009",
}


async def nothing(*_: Any) -> None: ...


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was decided, instead of deciding it."""
    made: list[dict[str, Any]] = []

    async def decide(run_id: str, kind: str, **told: Any) -> Any:
        made.append({"run_id": run_id, "kind": kind, **told})
        return SimpleNamespace(unfinished=(), vessels=(), by_hand=())

    monkeypatch.setattr(recovery, "decide", decide)
    monkeypatch.setattr(recovery, "show_markdown", nothing)
    return made


def session() -> Session:
    async def now() -> datetime:
        return AT

    bench = SimpleNamespace(clock=SimpleNamespace(now=now))
    file, verifier = SimpleNamespace(deck=None), SimpleNamespace(verify=None)
    told = SimpleNamespace(bench=bench, records=None, catalogue=None, bench_file=file, verifier=verifier)
    return cast(Session, told)


async def test_every_word_about_a_step_reaches_the_decision(decisions: list[dict[str, Any]]) -> None:
    answer = Answer(decision="continue", decided_by="Ada", reason="a full tip in the trash", **cast(Any, SAID))
    await settled(session(), "run-0007", answer)
    (made,) = decisions
    assert (made["run_id"], made["kind"], made["by"]) == ("run-0007", "continue", "Ada")
    assert (made["happened"], made["not_happened"], made["drawn"]) == ((1,), (3, 4), (2,))
    assert (made["given"], made["cut_in_mix"], made["cut_in_first_mix"]) == ((5,), (6,), (8,))
    assert made["moved"] == {7: 10_000}
    assert made["skipped_at_screen"] == (2,)
    assert made["wells"] == (("plate", "B3"),)
    assert (made["apart"], made["carried_to"]) == (("run-0008", "run-0009"), None)


async def test_a_robot_that_was_replaced_is_not_asked_and_its_deck_stands_on_the_new_one(
    decisions: list[dict[str, Any]], decided: tuple[Records, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (records, run_id), asked = decided, list[bool]()

    async def new_one(run: RunRecord, bench: Any) -> str:
        return f"FLX-2 for {run.id}"

    async def reconcile_run(run_id: str, *_: Any, stop: bool, is_lost: bool) -> Any:
        asked.append(is_lost)
        return SimpleNamespace(run=records.journal.run(run_id), told="given up")

    monkeypatch.setattr(recovery, "replacement_of", new_one)
    monkeypatch.setattr(recovery.reconcile, "reconcile_run", reconcile_run)
    monkeypatch.setattr(recovery, "finish_latest", nothing)
    flow: Any = session()
    flow.records, flow.tell = records, list[str]().append
    for is_replaced in (True, False):
        assert await recovery.reconciled(flow, run_id, stop=False, is_replaced=is_replaced) == (run_id,)
    assert asked == [True, False]
    answer = Answer(decision="continue", decided_by="Ada", reason="FLX-1 sent in, deck carried over")
    await settled(flow, run_id, answer, is_replaced=True)
    assert decisions[0]["carried_to"] == f"FLX-2 for {run_id}"


def form() -> Any:
    """The file of the flow."""
    spec = importlib.util.spec_from_file_location("reconcile_run", FLOW)
    assert spec is not None
    assert spec.loader is not None
    flow = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flow)
    return flow


async def test_the_form_of_the_deployment_asks_for_the_same_words() -> None:
    flow = form()
    with pytest.raises(ValueError, match="say with Run whose robot was replaced"):
        flow.ReconcileRun(robot_replaced=True)
    request = flow.ReconcileRun(decision="continue", decided_by="Ada", reason="looked at it", **SAID)
    answer = await flow._answer(None, "run-0007", request)
    assert {name: getattr(answer, name) for name in SAID} == SAID
    assert set(Answer.model_fields) - {"decision"} <= set(flow.ReconcileRun.model_fields)


def test_vessels_that_people_fill_are_told_with_both_volumes() -> None:
    run = RunRecord(
        id="run-0007", name="bags", procedure="cytokine_dosing", bench="flex", device="flex", device_run_id="d",
        worklist_hash="a" * 64, recipe_revision=None, state="interrupted", started_at=AT, ended_at=AT, n_transfers=0,
        steps=(StepRecord(number=5, event="unknown", at=AT),),
    )  # fmt: skip
    ways = (PossibleVolume(when="step 5 did not happen", volume_ul=1e4), PossibleVolume(when="it did", volume_ul=3e4))
    bag = HeldVessel(name="bag-1", title="culture bag", volumes=ways)
    text = question_markdown(Question(run=run, steps=(), wells=(), left=(), vessels=(bag,)))
    assert "- bag-1 (culture bag): 10 mL if step 5 did not happen; or 30 mL if it did; or anything between" in text
    assert "Weigh these vessels" in text


def test_of_a_reading_nobody_is_asked_about_wells() -> None:
    run = RunRecord(
        id="run-0007", name="Read plate P-1 at 450 nm", procedure="plate_reading", bench="flex", device="reader",
        device_run_id="d", worklist_hash="a" * 64, recipe_revision=None, state="interrupted", started_at=AT,
        ended_at=AT, n_transfers=0, steps=(StepRecord(number=5, event="unknown", at=AT),),
    )  # fmt: skip
    lid = OpenStep(
        number=5, sentence="close the lid over the plate", alike="", target="", why="nobody saw the lid", tip="",
        is_drawn=False,
    )  # fmt: skip
    text = question_markdown(Question(run=run, steps=(lid,), wells=(), left=()))
    assert "step 5: close the lid over the plate (nobody saw the lid)" in text
    assert "Look at the reader, its lid and its plate" in text
    assert "wells" not in text


@pytest.fixture
def decided(tmp_path: Path) -> Iterator[tuple[Records, str]]:
    """A run about which somebody has decided, and whose rest nobody has run."""
    records = Records(f"sqlite:///{tmp_path / 'records.db'}")
    records.migrate()
    task = OperatorTask(kind="confirm", instruction="Rock it.")
    made = Worklist(
        name="feed", procedure="cytokine_dosing", pipettes={}, deck=(), fillings=(),
        steps=(Step(number=1, action="pause", operator=task),),
    )  # fmt: skip
    verdict = Verdict(worklist=made.name, worklist_hash=made.content_hash, checks=())
    run_id = records.journal.create_run(made, verdict, bench="flex", device="flex", at=AT, context=Context())
    records.journal.append_event(run_id, [1], "unknown", at=AT, device="flex")
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    decision = RunDecision(run_id=run_id, decision="continue", by="Ada", reason="looked at it", at=AT)
    records.decisions.add(decision, follow_up=made.model_copy(update={"name": "rest"}))
    yield records, run_id
    records.close()


def taking_up(records: Records, launch: str, told: list[str]) -> Session:
    made = SimpleNamespace(
        records=records, bench=None, bench_file=SimpleNamespace(name="flex"), launch=Launch(launch), tell=told.append
    )
    return cast(Session, made)


@pytest.fixture
def rests_begun(decided: tuple[Records, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Rests that were run, which does their only step at once; nothing is shown, and nobody holds the bench."""
    records, begun = decided[0], list[str]()

    @asynccontextmanager
    async def held(*_: Any) -> AsyncIterator[None]:
        yield

    async def carried_out(session: Session, worklist: Worklist, *, phase: str, context: Context) -> None:
        done(records, worklist, context)
        begun.append(f"{worklist.name} of {context.parent}")

    monkeypatch.setattr(recovery, "bench_held", held)
    monkeypatch.setattr(recovery, "devices_of", lambda bench: ("flex",))
    monkeypatch.setattr(recovery, "carry_out", carried_out)
    monkeypatch.setattr(recovery, "show_markdown", nothing)
    return begun


def done(records: Records, worklist: Worklist, context: Context) -> str:
    """A run that did the only step of a worklist."""
    verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=())
    run_id = records.journal.create_run(worklist, verdict, bench="flex", device="flex", at=AT, context=context)
    records.journal.append_event(run_id, [1], "done", at=AT, device="flex")
    records.journal.set_run_state(run_id, "succeeded", ended_at=AT)
    return run_id


async def test_a_flow_cut_between_the_decision_and_the_rest_does_the_rest_when_it_is_retried(
    decided: tuple[Records, str], rests_begun: list[str]
) -> None:
    """Another launch that names no run tells the command, and one that names it does it."""
    (records, run_id), told = decided, list[str]()
    await recovery.take_decision(taking_up(records, "first", told), run_id)
    other = taking_up(records, "other", told)
    assert await recovery.reconciled(other, "", stop=False) == ()
    (sentence,) = told
    assert f"`nkloop run {run_id} --bench flex`" in sentence
    await recovery.do_rest(other, run_id, is_wanted=False)
    assert (len(told), rests_begun) == (2, [])
    retried = taking_up(records, "first", told)
    for one in await recovery.reconciled(retried, "", stop=False):
        await recovery.do_rest(retried, one, is_wanted=True)
    assert rests_begun == [f"rest of {run_id}"]
    assert await recovery.reconciled(retried, "", stop=False) == ()
    assert told[2:] == ["no run of bench flex is open or waits for a decision; the last one, run-0002 (rest), is "
                        "succeeded"]  # fmt: skip
    await recovery.do_rest(other, run_id, is_wanted=True)
    assert rests_begun == [f"rest of {run_id}"], "once"


async def test_a_flow_whose_rest_was_cut_ends_with_that_until_somebody_has_decided_about_it(
    decided: tuple[Records, str], rests_begun: list[str]
) -> None:
    (records, run_id), told = decided, list[str]()
    flow = taking_up(records, "first", told)
    await recovery.take_decision(flow, run_id)
    await recovery.do_rest(flow, run_id, is_wanted=True)
    records.journal.set_run_state("run-0002", "interrupted")
    assert await recovery.reconciled(flow, "", stop=False) == (run_id,), "its launch began it"
    cut = f"the rest of {run_id} was begun as run-0002, which is interrupted"
    with pytest.raises(RecordError, match=rf"{cut}.*`nkloop reconcile run-0002`"):
        await recovery.do_rest(flow, run_id, is_wanted=True)
    await recovery.do_rest(flow, run_id, is_wanted=False)
    assert told[-1].startswith(cut)
    decision = RunDecision(run_id="run-0002", decision="continue", by="Ada", reason="looked at it", at=AT)
    rest = records.journal.worklist(records.journal.run("run-0002").worklist_hash)
    records.decisions.add(decision, follow_up=rest.model_copy(update={"name": "rest of rest"}))
    await recovery.do_rest(flow, run_id, is_wanted=True)
    await recovery.do_rest(flow, run_id, is_wanted=True)
    assert rests_begun == [f"rest of {run_id}", "rest of rest of run-0002"], "the rest of the rest, once"
    assert await recovery.reconciled(flow, "", stop=False) == ()


async def test_a_rest_that_cannot_be_done_any_more_is_told_and_no_flow_that_is_to_do_it_ends_well(
    decided: tuple[Records, str], rests_begun: list[str]
) -> None:
    (records, run_id), told = decided, list[str]()
    again = done(records, records.journal.worklist(records.journal.run(run_id).worklist_hash), Context())
    why = f"what run {run_id} left cannot be done any more as it was decided: its worklist was begun once more, {again}"
    assert await recovery.reconciled(taking_up(records, "other", told), "", stop=False) == ()
    (sentence,) = told
    assert sentence.startswith(why), "not that nothing is open"
    await recovery.do_rest(taking_up(records, "other", told), run_id, is_wanted=False)
    assert told[1:] == [sentence]
    flow = taking_up(records, "first", told)
    await recovery.take_decision(flow, run_id)
    assert await recovery.reconciled(flow, "", stop=False) == (run_id,)
    with pytest.raises(RecordError, match=why):
        await recovery.do_rest(flow, run_id, is_wanted=True)
    assert rests_begun == []


@pytest.mark.parametrize("words", [{}, {"run": "run-0001"}, {"decision": "discard"}])
def test_the_form_replaces_a_decision_only_by_another_one_about_the_same_run(words: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="what is to be done instead, and about which run"):
        form().ReconcileRun(instead_of=1, **words)


async def test_a_decision_is_replaced_by_the_form_once_however_often_its_flow_is_killed(
    decided: tuple[Records, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies after the decision, is retried, and does the rest of what it has decided; an older page replaces none."""
    (records, run_id), flow, asked, begun = decided, form(), list[dict[str, Any]](), list[bool]()
    monkeypatch.setattr(recovery, "show_markdown", nothing)
    rest = records.journal.worklist(records.journal.run(run_id).worklist_hash)

    async def decide(run_id: str, kind: Any, *, by: str, reason: str, instead_of: int, **more: Any) -> Decided:
        asked.append({"kind": kind, "instead_of": instead_of})
        made = RunDecision(run_id=run_id, decision=kind, by=by, reason=reason, at=AT)
        left = rest.model_copy(update={"name": f"rest by {by}"})
        records.decisions.add(made, follow_up=left, instead_of=instead_of)
        return Decided(decision=made, follow_up=left)

    async def reconciled(session: Any, run: str, **_: Any) -> tuple[str, ...]:
        return (run,)

    async def do_rest(session: Any, run: str, *, is_wanted: bool) -> None:
        begun.append(is_wanted)
        if len(begun) == 1:
            raise KeyboardInterrupt

    @asynccontextmanager
    async def open_session(*_: Any) -> AsyncIterator[Session]:
        made: Any = session()
        made.records = records
        yield made

    monkeypatch.setattr(recovery, "decide", decide)
    stand_ins = {
        "open_session": open_session, "reconciled": reconciled, "take_decision": nothing, "do_rest": do_rest,
    }  # fmt: skip
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(flow, name, stand_in)
    words = {"run": run_id, "decision": "continue", "instead_of": 1}
    request = flow.ReconcileRun(decided_by="Bo", reason="weighed it", **words)
    body = inspect.unwrap(flow.reconcile_run.fn)
    with pytest.raises(KeyboardInterrupt):
        await body(request)
    assert await body(request)
    assert (asked, begun) == ([{"kind": "continue", "instead_of": 1}], [True, True])
    assert [one.by for one in records.decisions.of_run(run_id)] == ["Ada", "Bo"]
    with pytest.raises(RecordError, match=r"decided already: continue, by Bo.*in the form `Instead of decision`"):
        await body(flow.ReconcileRun(decided_by="Cy", reason="from an older page", **words))


def test_many_unknown_steps_and_wells_fit_a_page() -> None:
    numbers = range(1, 41)
    run = RunRecord(
        id="run-0007", name="killing", procedure="cytotoxicity_assay", bench="flex", device="flex", device_run_id="d",
        worklist_hash="a" * 64, recipe_revision=None, state="interrupted", started_at=AT, ended_at=AT, n_transfers=40,
        steps=tuple(StepRecord(number=n, event="unknown", at=AT) for n in numbers),
    )  # fmt: skip
    steps = tuple(
        OpenStep(
            number=n, sentence=f"s{n}", alike="50 µL from reagents A8", target=f"plate A{n}", why="the robot forgot it",
            tip="tips:A1", is_drawn=False, mixes_first=True,
        )
        for n in numbers
    )  # fmt: skip
    ways = tuple(PossibleContents(when=f"way {n}", volume_ul=100.0 + n, per_ul={}) for n in range(3))
    names = [f"{row}{column}" for column in range(1, 13) for row in "ABCDEFGH"]
    wells = tuple(PossibleWell(labware="assay", well=name, barcode=None, contents=ways) for name in names)
    offers = candidates(steps, has_wells=True, has_vessels=False)
    offers = (offers[0].model_copy(update={"refused": "too many"}), *offers[1:])
    held = {"held": (41, 42), "held_at": "step 41 (Incubate)"}
    text = question_markdown(Question(run=run, steps=steps, wells=wells, left=(), offers=offers, **held))
    assert len(text.splitlines()) < 40
    assert text.count("the robot forgot it") == 1
    assert "- step 1-40: 40 x 50 µL from reagents A8" in text
    assert "- assay A1: 100 µL to 102 µL, 3 possibilities" in text
    assert "- and 84 more: assay E2-H2, A3-H12" in text
    assert "the robot waits at step 41" in text
    assert "**continue** with *Steps cut in the mix before their draw* `1`, *Steps that did not happen* `2-40`" in text
    assert "No correction is right either way: too many" in text
    assert "“Steps that happened” of all before it" in text


async def test_a_second_decision_about_a_run_is_another_question(
    decided: tuple[Records, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect hands out the answer stored under a key without asking anybody, and a cut flow shall find it."""
    (records, run_id), keys = decided, list[str]()
    at_desk = cast(Any, session())
    at_desk.records, at_desk.catalogue = records, None

    async def asked(form: Any, markdown: str, key: str, wait_seconds: float) -> None:
        keys.append(key)

    monkeypatch.setattr(recovery, "question", lambda *_: SimpleNamespace(steps=()))
    monkeypatch.setattr(recovery, "question_markdown", lambda _: "text")
    monkeypatch.setattr(recovery, "show_markdown", nothing)
    monkeypatch.setattr(recovery, "ask_in_prefect", asked)
    await recovery.ask_what_to_do(at_desk, run_id)
    await recovery.ask_what_to_do(at_desk, run_id)
    rest = records.journal.worklist(records.journal.run(run_id).worklist_hash)
    made = RunDecision(run_id=run_id, decision="discard", by="Bo", reason="it leaked", at=AT)
    records.decisions.add(made, follow_up=rest, instead_of=1)
    await recovery.ask_what_to_do(at_desk, run_id)
    first, again, other = keys
    assert first == again != other
