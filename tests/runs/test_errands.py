"""An incubation has one name in the run it is a step of, as a task that was left, and in every rest of that run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from nkloop.drivers.incubating import IncubatingOperator
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.errors import OperatorRefusedError
from nkloop.records import Records
from nkloop.records.models import JournalEvent, RunDecision, StepEvent
from nkloop.runs.errands import errands_of
from nkloop.runs.people import answer_pause, do_left_task
from nkloop.runs.session import Session
from nkloop.worklists.models import OperatorTask, Step, Worklist

from .conftest import AT

INCUBATE = OperatorTask(kind="incubate", instruction="4 h at 37 °C", labware=("plate",), minutes=240)


def pauses(worklist: Worklist, *tasks: OperatorTask) -> Worklist:
    """Transfers of a worklist, each behind a task."""
    moved = worklist.steps[0]
    steps = [one for task in tasks for one in (Step(number=1, action="pause", operator=task), moved)]
    numbered = tuple(step.model_copy(update={"number": n}) for n, step in enumerate(steps, start=1))
    return worklist.model_copy(update={"steps": numbered})


def cut(records: Records, run_id: str, *events: StepEvent, rest: Worklist | None = None) -> None:
    told = [JournalEvent(number=n, event=event, at=AT) for n, event in enumerate(events, start=1)]
    records.journal.append_events(run_id, told)
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    if rest is not None:
        made = RunDecision(run_id=run_id, decision="continue", by="Ada", reason="power cut", at=AT)
        records.decisions.add(made, follow_up=rest)


def named(records: Records, run_id: str, number: int) -> tuple[str, ...]:
    worklist = records.journal.worklist(records.journal.run(run_id).worklist_hash)
    found = errands_of(run_id, worklist.steps[number - 1], worklist, records)
    now, older = found[: len(found) // 2], found[len(found) // 2 :]
    assert all(name.startswith(f"{records.name[:12]}, ") for name in now), "another database has other names"
    assert all(name.startswith(f"{records.identity}, ") for name in older), "those of an older version are known"
    told = tuple(name.removeprefix(f"{records.identity}, ") for name in older)
    assert [name.partition(", ")[2].replace(f" of {AT:%Y-%m-%d %H:%M:%S}", "") for name in now] == list(told)
    return told


def test_the_same_incubation_is_found_in_what_a_run_goes_on_with(
    worklist: Worklist, records: Records, journalled: Callable[..., str]
) -> None:
    """Two equal incubations, the first of them done; the second is the first one of the rest, and of its rest."""
    spin = OperatorTask(kind="centrifuge", instruction="spin", labware=("plate",), minutes=5)
    first = journalled(pauses(worklist, INCUBATE, spin, INCUBATE, INCUBATE), "planned")
    rest, rest_of_it = pauses(worklist, spin, INCUBATE, INCUBATE), pauses(worklist, INCUBATE, INCUBATE)
    cut(records, first, "done", "done", *["failed"] * 6, rest=rest)  # type: ignore[list-item]
    second = journalled(rest, "planned", parent=first)
    cut(records, second, "done", "done", *["failed"] * 4, rest=rest_of_it)  # type: ignore[list-item]
    third = journalled(rest_of_it, "planned", parent=second)
    assert named(records, third, 1) == ("run-0003 step 1", "run-0002 step 3", "run-0001 step 5")
    assert named(records, third, 3) == ("run-0003 step 3", "run-0002 step 5", "run-0001 step 7")
    assert named(records, second, 1) == named(records, second, 2) == (), "neither a spin nor a transfer"


def test_what_a_rest_has_besides_is_its_own(
    worklist: Worklist, records: Records, journalled: Callable[..., str]
) -> None:
    again = INCUBATE.model_copy(update={"instruction": "Done in run-0001: 4 h"})
    first, rest = journalled(pauses(worklist, INCUBATE), "planned"), pauses(worklist, again, INCUBATE)
    cut(records, first, "failed", "failed", rest=rest)
    second = journalled(rest, "planned", parent=first)
    assert named(records, second, 1) == ("run-0002 step 1",)
    assert named(records, second, 3) == ("run-0002 step 3", "run-0001 step 1")


class Storage:
    """An incubator that keeps its list."""

    name = "Cytomat 2"

    def __init__(self) -> None:
        self.moves, self.inside, self.fetched = list[str](), dict[str, str](), dict[str, str]()

    async def store(self, barcode: str, *, errand: str = "") -> None:
        self.moves.append("in")
        self.inside[barcode] = errand

    async def fetch(self, barcode: str, errand: str = "") -> None:
        self.moves.append("out")
        del self.inside[barcode]
        self.fetched[barcode] = errand

    async def since(self, barcode: str) -> datetime | None:
        return datetime.now(UTC) if barcode in self.inside else None

    async def errand_of(self, barcode: str) -> str:
        return self.inside.get(barcode, "")

    async def was_since(self, barcode: str, errand: str) -> datetime | None:
        return AT if self.fetched.get(barcode) == errand else None

    async def temperature(self) -> float:
        return 37.0


class Person:
    name = "Ada"
    carries_back = False

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        if request.task.instruction.startswith("Take") and not self.carries_back:
            raise OperatorRefusedError("the program ended", where=request.title)
        return OperatorAnswer(confirmed_by="Ada", at=AT)


@pytest.mark.parametrize("way", ["left task", "rest"])
async def test_a_finished_incubation_whose_way_back_was_cut_is_not_done_again(
    session: Session, worklist: Worklist, journalled: Callable[..., str], way: str
) -> None:
    records, person, storage = session.records, Person(), Storage()
    operator = IncubatingOperator(person, cast(Any, storage), session.bench.clock)
    bench = replace(session.bench, operator=operator)
    whole = pauses(worklist, INCUBATE)
    run_id = journalled(whole, "planned")
    with pytest.raises(OperatorRefusedError):
        await answer_pause("step 1: 4 h at 37 °C", whole, bench, records, run_id, moot=settled)
    person.carries_back = True
    cut(records, run_id, "failed", "failed", rest=whole.model_copy(update={"name": "rest"}))
    if way == "left task":
        await do_left_task(whole.steps[0], whole, bench, records, run_id)
    else:
        rest = whole.model_copy(update={"name": "rest"})
        next_id = journalled(rest, "planned", parent=run_id)
        await answer_pause("step 1: 4 h at 37 °C", rest, bench, records, next_id, moot=settled)
    assert storage.moves == ["in", "out"]


async def test_a_finished_incubation_is_known_when_the_database_has_moved_to_another_machine(
    session: Session, worklist: Worklist, journalled: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    person, storage = Person(), Storage()
    bench = replace(session.bench, operator=IncubatingOperator(person, cast(Any, storage), session.bench.clock))
    whole = pauses(worklist, INCUBATE)
    run_id = journalled(whole, "planned")
    with pytest.raises(OperatorRefusedError):
        await answer_pause("step 1: 4 h at 37 °C", whole, bench, session.records, run_id, moot=settled)
    person.carries_back = True
    monkeypatch.setattr("nkloop.records.processes.socket.gethostname", lambda: "container-2")
    moved = Records(session.records.url)
    await answer_pause("step 1: 4 h at 37 °C", whole, bench, moved, run_id, moot=settled)
    moved.close()
    assert storage.moves == ["in", "out"]


async def settled() -> str:
    return ""
