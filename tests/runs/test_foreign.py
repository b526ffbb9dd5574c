"""What somebody started at the device is noticed before its labware is used again; a person says what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from nkloop.cli.run.question import print_question
from nkloop.coordination.question_page import question_markdown
from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import DeviceCommand, DeviceState, FoundRun
from nkloop.errors import DeviceError, PlanError, RecordError, RunForgottenError, StepUnknownError
from nkloop.records import Records
from nkloop.runs.asking import question
from nkloop.runs.contents import known_contents
from nkloop.runs.deciding import Decided, decide
from nkloop.runs.execution import execute
from nkloop.runs.session import Session
from nkloop.worklists.models import DeckItem, Verdict, Worklist

from .conftest import AT

AGAIN = "at-the-screen"
Decide = Callable[..., Awaitable[Decided]]


@pytest.fixture
def worklist(worklist: Worklist) -> Worklist:
    """With tips, which the ledger insists on."""
    rack = DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul")
    tips = {1: "tips:A1", 3: "tips:B1"}
    steps = tuple(step.model_copy(update={"tip": tips.get(step.number, "")}) for step in worklist.steps)
    return worklist.model_copy(update={"deck": (*worklist.deck, rack), "steps": steps})


@pytest.fixture
def later(worklist: Worklist) -> Worklist:
    """The next work with the same plate, as the first one left it."""
    (filling,) = worklist.fillings
    wells = {"A1": 100.0, "B1": 50.0, "C1": 50.0}
    held = tuple(filling.model_copy(update={"well": well, "volume_ul": volume}) for well, volume in wells.items())
    return worklist.model_copy(update={"name": "next feed", "fillings": held})


def passed(worklist: Worklist, verdict: Verdict) -> Verdict:
    return verdict.model_copy(update={"worklist": worklist.name, "worklist_hash": worklist.content_hash})


@pytest.fixture
async def run_again(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """After our run somebody has touched "Run again" on the robot's screen; what it tells of that may be changed."""
    assert (await execute(worklist, passed(worklist, verdict), bench, records)).state == "succeeded"
    tells: dict[str, Any] = {"commands": tuple(handler.done), "status": "succeeded"}
    handler.status, handler.done = "idle", []
    own = {"commands": handler.commands, "state": handler.state, "prepare": handler.prepare}

    async def found(asked: Worklist) -> tuple[FoundRun, ...]:
        both = (FoundRun(id="device-run", is_played=True), FoundRun(id=AGAIN, is_played=True))
        return both if asked.content_hash == worklist.content_hash else ()

    async def commands(run_id: str) -> tuple[DeviceCommand, ...]:
        if run_id == AGAIN and tells["commands"] is None:
            raise RunForgottenError("flex lost power and no longer knows the run")
        return tells["commands"] if run_id == AGAIN else await own["commands"](run_id)

    async def state(run_id: str) -> DeviceState:
        return DeviceState(status=tells["status"]) if run_id == AGAIN else await own["state"](run_id)

    async def prepare(asked: Worklist) -> str:
        await own["prepare"](asked)
        return "device-run-2"

    for name, does in {"find_runs": found, "commands": commands, "state": state, "prepare": prepare}.items():
        monkeypatch.setattr(handler, name, does)
    return tells


@pytest.fixture
def decided(session: Session, records: Records, verdict: Verdict) -> Decide:
    """Decide about the run at the screen."""

    async def verify(made: Worklist) -> Verdict:
        return passed(made, verdict)

    async def decided(kind: Any, **said: Any) -> Decided:
        return await decide(
            "run-0002", kind, by="Ada", reason="looked at it", at=AT, records=records, catalogue=session.catalogue,
            deck=session.bench_file.deck, verify=verify, **said,
        )  # fmt: skip

    return decided


async def test_a_run_again_at_the_screen_is_noticed_before_anything_goes_on_with_its_plate(
    run_again: dict[str, Any], later: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any,
    operator: Any, session: Session,
) -> None:  # fmt: skip
    operator.asked.clear()
    for _ in range(2):
        with pytest.raises(
            StepUnknownError, match=rf"worklist of run-0001 as its run {AGAIN}.*plate B1.*noted as run-0002.*reconcile"
        ):
            await execute(later, passed(later, verdict), bench, records)
    assert (handler.plays, operator.asked) == (2, []), "nothing was sent: the one run was played and resumed once"
    _, noted = records.journal.runs()
    assert (noted.device_run_id, noted.state, noted.unknown_steps) == (AGAIN, "interrupted", (1, 2, 3))
    assert records.audit.verify_chain() == ()
    with pytest.raises(StepUnknownError, match=r"nobody knows what P-1 holds.*reconcile run-0002"):
        known_contents(records, session.catalogue, session.bench_file.deck, "P-1")


async def test_a_person_says_that_it_touched_nothing_and_the_plate_is_as_it_was(
    run_again: dict[str, Any], later: Worklist, verdict: Verdict, bench: Bench, records: Records, session: Session,
    decided: Decide,
) -> None:  # fmt: skip
    with pytest.raises(StepUnknownError):
        await execute(later, passed(later, verdict), bench, records)
    asked = question("run-0002", records, session.catalogue, session.bench_file.deck)
    assert [(one.kind, one.said, one.refused) for one in asked.offers] == [
        ("continue", {"not_happened": (1, 2, 3)}, ""),
        ("discard", {}, ""),
    ]
    assert asked.wells == (), "what they held before is not in its worklist"
    console = Console(record=True, width=300, file=StringIO())
    print_question(console, asked, "nkloop", {}, whole=False)
    for page in (console.export_text(), question_markdown(asked)):
        assert "is not in the records: ask who was at the robot" in page
        assert "it touched none of the labware of this run" in page
        assert "No well depends" not in page
        assert "was the one that was cut" not in page
    made = await decided("continue", not_happened=(1, 2, 3))
    assert (made.follow_up, made.by_hand, made.unfinished, records.decisions.rests()) == (None, (), (), ())
    held = known_contents(records, session.catalogue, session.bench_file.deck, "P-1").wells
    assert (held["A1"].volume_ul, held["B1"].volume_ul) == (100, 50), "as the first run left it"
    assert (await execute(later, passed(later, verdict), bench, records)).state == "succeeded"


async def test_what_it_may_have_reached_is_discarded_and_not_used_any_more(
    run_again: dict[str, Any], later: Worklist, verdict: Verdict, bench: Bench, records: Records, session: Session,
    decided: Decide,
) -> None:  # fmt: skip
    with pytest.raises(StepUnknownError):
        await execute(later, passed(later, verdict), bench, records)
    made = await decided("discard", not_happened=(2, 3))
    assert {well for _, well in made.decision.wells} == {"A1", "B1"}
    assert (made.follow_up, made.unfinished, made.by_hand) == (None, (), ())
    found = known_contents(records, session.catalogue, session.bench_file.deck, "P-1")
    assert (found.discarded, found.wells["C1"].volume_ul) == ({"A1", "B1"}, 50)
    with pytest.raises(RecordError, match="discarded"):
        await execute(later, passed(later, verdict), bench, records)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param("continue", {"happened": (1, 2, 3)}, id="happened_on_unknown_contents"),
        pytest.param("continue", {"not_happened": (1,)}, id="not_said_of_all"),
        pytest.param("repair", {}, id="repair"),
        pytest.param("discard", {"drawn": (1,)}, id="drawn"),
    ],
)
async def test_nothing_is_counted_of_what_it_gave(
    run_again: dict[str, Any], later: Worklist, verdict: Verdict, bench: Bench, records: Records, decided: Decide,
    kind: str, said: dict[str, Any],
) -> None:  # fmt: skip
    with pytest.raises(StepUnknownError):
        await execute(later, passed(later, verdict), bench, records)
    with pytest.raises(PlanError, match=r"cannot be told.*--decide continue --not-happened 1-3; else --decide discard"):
        await decided(kind, **said)
    assert records.journal.run("run-0002").needs_decision


async def test_one_that_is_under_way_is_left_to_end(
    run_again: dict[str, Any], later: Worklist, verdict: Verdict, bench: Bench, records: Records, handler: Any
) -> None:
    run_again["status"] = "running"
    with pytest.raises(DeviceError, match=rf"run {AGAIN}, which was not begun from here, is running.*let it end there"):
        await execute(later, passed(later, verdict), bench, records)
    assert ("stop" in handler.calls, len(records.journal.runs())) == (False, 1)


async def test_one_that_was_cancelled_before_its_first_step_is_noted_and_nobody_is_asked(
    run_again: dict[str, Any], later: Worklist, verdict: Verdict, bench: Bench, records: Records
) -> None:
    run_again.update(commands=(), status="stopped")
    assert (await execute(later, passed(later, verdict), bench, records)).state == "succeeded"
    noted = records.journal.run("run-0002")
    assert (noted.device_run_id, {step.event for step in noted.steps}) == (AGAIN, {"failed"})


async def test_of_one_that_the_device_has_forgotten_every_step_is_unknown(
    run_again: dict[str, Any], later: Worklist, verdict: Verdict, bench: Bench, records: Records
) -> None:
    run_again["commands"] = None
    with pytest.raises(StepUnknownError):
        await execute(later, passed(later, verdict), bench, records)
    assert records.journal.run("run-0002").unknown_steps == (1, 2, 3)


async def test_other_labware_goes_on(
    run_again: dict[str, Any], later: Worklist, verdict: Verdict, bench: Bench, records: Records
) -> None:
    deck = (later.deck[0].model_copy(update={"barcode": "P-2"}), *later.deck[1:])
    other = later.model_copy(update={"deck": deck})
    assert (await execute(other, passed(other, verdict), bench, records)).state == "succeeded"
    assert len(records.journal.runs()) == 2
