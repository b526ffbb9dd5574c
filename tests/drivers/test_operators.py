"""A person on the page of a flow run: what is shown, wrong barcodes, refusal."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from nkloop.drivers.interfaces import Choice, OperatorAnswer, OperatorRequest
from nkloop.drivers.manual_counter import ManualCounter, parse_counts
from nkloop.drivers.operators import PrefectOperator, confirmation_form, describe, heading, limits_of
from nkloop.drivers.scanning import Known, Scan, Scans
from nkloop.drivers.terminal_operator import TerminalOperator
from nkloop.drivers.timing import too_early
from nkloop.errors import OperatorRefusedError
from nkloop.worklists.models import OperatorTask, OperatorTaskKind, Worklist


class Person:
    """Answers with what was prepared and keeps what was shown."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.shown: list[tuple[type[Any], str, str]] = []
        self.refusals: list[tuple[str, str]] = []

    def refused(self, request: OperatorRequest, scan: Scan, by: str) -> None:
        self.refusals.append((by, scan.code))

    def known(self, code: str) -> Known | None:
        return None

    async def __call__(self, form: type[Any], description: str, key: str, wait_seconds: float) -> Any:
        self.shown.append((form, description, key))
        return form(**self.answers.pop(0))


@pytest.fixture
def request_(worklist: Worklist) -> OperatorRequest:
    task = OperatorTask(kind="incubate", instruction="Put it | into the incubator", minutes=240, temperature_c=37)
    return OperatorRequest(
        title="Incubate", task=task, worklist=worklist, barcodes={"plate": "P-1", "block": "B-2"}, run_id="run-0001"
    )


async def test_a_confirmation_carries_name_and_note(request_: OperatorRequest) -> None:
    person = Person({"operator": "Ada", "scanned": "B-2, P-1", "note": "4 h 02"})
    answer = await PrefectOperator("technician", ask=person).perform(request_)
    assert (answer.confirmed_by, answer.note) == ("Ada", "4 h 02")
    assert answer.at.utcoffset() is not None


async def test_a_wrong_barcode_is_asked_again_with_what_was_expected(request_: OperatorRequest) -> None:
    right = {"operator": "Ada", "scanned": "P-1 B-2", "note": "was in since 9:00"}
    person = Person({"operator": "Ada", "scanned": "P-1 B-7"}, right)
    await PrefectOperator("technician", ask=person, scan_book=person).perform(request_)
    second = person.shown[1][1]
    assert heading(second) == heading(person.shown[0][1]), "lists of what is asked call it by its first line"
    assert "still to scan: B-2 (block)" in second
    assert "B-7 is not expected here" in second
    assert person.shown[0][2] != person.shown[1][2]
    assert person.refusals == [("Ada", "B-7")]


async def test_three_wrong_barcodes_are_refused(request_: OperatorRequest) -> None:
    person = Person(*[{"operator": "Ada", "scanned": "P-9"}] * 3)
    with pytest.raises(
        OperatorRefusedError, match=r"P-9 is not expected here; still to scan: P-1 \(plate\), B-2 \(block\)"
    ):
        await PrefectOperator("technician", ask=person).perform(request_)
    assert len(person.shown) == 3


async def test_a_time_cut_short_is_asked_again_until_a_note_says_why(request_: OperatorRequest) -> None:
    early = {"operator": "Ada", "scanned": "P-1 B-2", "note": " "}
    person = Person(*[early] * 4, early | {"note": "plate is lost anyway"})
    answer = await PrefectOperator("technician", ask=person).perform(request_)
    assert answer.note == "plate is lost anyway"
    assert answer.early == "0 of 240 min have passed since it was asked"
    assert (
        "**0 of 240 min have passed since it was asked: confirm when it is over, or say in a note" in person.shown[4][1]
    )


async def test_a_person_may_decline(request_: OperatorRequest) -> None:
    person = Person({"operator": "Ada", "scanned": "x", "done": False, "note": "plate is broken"})
    with pytest.raises(OperatorRefusedError, match="Ada declined: plate is broken"):
        await PrefectOperator("technician", ask=person).perform(request_)


CHOICES = (Choice(key="again", label="Do it | again"), Choice(key="stop", label="Stop the run"))


def choosing() -> OperatorRequest:
    task = OperatorTask(kind="confirm", instruction="No tip was found")
    return OperatorRequest(title="step 3 failed", task=task, choices=CHOICES, run_id="run-0001")


async def test_one_of_the_choices_is_answered_with_its_reason() -> None:
    person = Person({"operator": "Ada", "choice": "again", "reason": "the rack stood askew "})
    answer = await PrefectOperator("technician", ask=person).perform(choosing())
    assert (answer.confirmed_by, answer.choice, answer.note) == ("Ada", "again", "the rack stood askew")
    form, shown, _ = person.shown[0]
    assert "- `again` Do it / again" in shown
    field = form.model_json_schema()["properties"]["choice"]
    assert (field["enum"], "default" in field) == (["again", "stop"], False)


@pytest.mark.parametrize(
    "answer",
    [
        {"operator": "Ada", "choice": "skip", "reason": "why not"},
        {"operator": "Ada", "choice": "again", "reason": "x"},
        {"operator": "", "choice": "again", "reason": "askew"},
        {"operator": "Ada", "reason": "askew"},
    ],
)
async def test_the_form_takes_no_other_choice_and_none_without_a_reason(answer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        await PrefectOperator("technician", ask=Person(answer)).perform(choosing())


async def test_a_reason_of_blanks_is_none() -> None:
    person = Person({"operator": "Ada", "choice": "again", "reason": "    "})
    with pytest.raises(OperatorRefusedError, match="reason of at least 3 characters"):
        await PrefectOperator("technician", ask=person).perform(choosing())


async def test_the_same_request_has_the_same_key_and_another_one_another(request_: OperatorRequest) -> None:
    keys = []
    for request in (request_, request_, request_.model_copy(update={"run_id": "run-0002"})):
        person = Person({"operator": "Ada", "scanned": "P-1 B-2", "note": "was in since 9:00"})
        await PrefectOperator("technician", ask=person).perform(request)
        keys.append(person.shown[0][2])
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("kind", "celsius", "timed"),
    [
        ("incubate", 37, True), ("centrifuge", None, True), ("thaw", 4, True), ("warm", 37, True),
        ("settle", None, True), ("store", 4, True), ("equilibrate", 22, True), ("equilibrate", None, False),
        ("weld", None, False),
        ("drain", None, False), ("confirm", None, False),
    ],
)  # fmt: skip
def test_a_time_that_must_pass_is_told_apart_from_an_estimate_of_the_handling(
    kind: OperatorTaskKind, celsius: float | None, timed: bool
) -> None:
    task = OperatorTask(kind=kind, instruction="Do it", minutes=10, temperature_c=celsius)
    asked_at = datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert bool(too_early(task, asked_at, asked_at + timedelta(minutes=2))) is timed
    assert limits_of(task).startswith("10 min" if timed else "about 10 min")
    assert ("counted from when this is asked" in limits_of(task)) is timed


def test_the_page_shows_deck_limits_and_barcodes(request_: OperatorRequest) -> None:
    shown = describe(request_)
    assert "**240 min, 37 °C (counted from when this is asked; begun later, confirm later)**" in shown
    assert "**D1** nkloop_plate\n\n- A1: 200 µL medium / fresh, lot `L-7`" in shown
    assert "- `P-1` on plate" in shown
    assert "Put it / into the incubator" in shown


def test_the_page_has_no_table_and_tells_large_volumes_in_millilitres(request_: OperatorRequest) -> None:
    """The dialog of the Prefect page cuts a table off at its right edge, where the lots stood."""
    assert request_.worklist is not None
    filling = request_.worklist.fillings[0].model_copy(update={"volume_ul": 25_000.0})
    shown = describe(
        request_.model_copy(update={"worklist": request_.worklist.model_copy(update={"fillings": (filling,)})})
    )
    assert "25 mL medium" in shown
    assert "|" not in shown


@pytest.mark.parametrize("given", [{}, {"operator": ""}, {"operator": "Ada", "scanned": ""}])
def test_the_form_keeps_its_bounds_with_a_description(given: dict[str, str]) -> None:
    form = confirmation_form(with_barcodes=True).with_initial_data(description="text")
    with pytest.raises(ValueError, match=r"operator|scanned"):
        form(**given)


def test_without_barcodes_none_are_asked_for() -> None:
    assert "scanned" not in confirmation_form(with_barcodes=False).model_fields


@pytest.mark.parametrize(
    ("scanned", "told"),
    [
        ("A B", ""),
        ("B;\nA", ""),
        ("A", "still to scan: B (y)"),
        ("", "still to scan: A (x), B (y)"),
        ("A B C", "C is not expected here"),
    ],
)
def test_barcodes_are_compared_in_any_order(scanned: str, told: str) -> None:
    scans = Scans({"x": "A", "y": "B"})
    scans.take_all(scanned)
    assert scans.problem == told


async def test_counts_are_typed_in_and_asked_again_when_wrong() -> None:
    asked: list[str] = []
    answers = ["A1 1.2e6 93 88 0.5", "B1 9e5 90 80 1 1.5\nA1 1.2e6 93 88 0.5 1.5"]

    async def ask(form: type[Any], description: str, key: str, wait_seconds: float) -> Any:
        asked.append(description)
        return SimpleNamespace(counts=answers.pop(0))

    counts = await ManualCounter("counter", ask=ask).count("P-1", ("A1", "B1"))
    assert [(count.well, count.viable_per_ml) for count in counts] == [("A1", 1.2e6), ("B1", 9e5)]
    assert counts[0].viable_cells == pytest.approx(1.8e6)
    assert "has 4 numbers, must be 5" in asked[1]


async def test_counts_wrong_three_times_are_refused() -> None:
    async def ask(form: type[Any], description: str, key: str, wait_seconds: float) -> Any:
        return SimpleNamespace(counts="nothing")

    with pytest.raises(OperatorRefusedError, match="has 0 numbers"):
        await ManualCounter("counter", ask=ask).count("P-1", ("A1",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A1 1e6 101 88 0.5 1", "out of bounds"),
        ("A1 many 90 88 0.5 1", "malformed"),
        ("A1 nan 90 88 0.5 1", "malformed or out of bounds"),
        ("C1 1e6 90 88 0.5 1", "well C1 was not asked for"),
        ("A1 1e6 90 88 0.5 1\nA1 1e6 90 88 0.5 1", "well A1 stands twice"),
        ("A1 1e6 90 88 0.5 1", "no line for B1"),
    ],
)
def test_wrong_counts_are_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_counts(text, "P-1", ("A1", "B1"))


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "a question"), ("\n\n### **Load** the deck\n\nNow.", "Load** the deck"), ("run a\\_b", "run a_b")],
)
def test_a_heading_is_the_first_line_that_says_something(text: str, told: str) -> None:
    assert heading(text) == told


class AnsweredList:
    """A list of requests that somebody answers at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, request: OperatorRequest, key: str) -> int:
        self.asked.append(request.title)
        return len(self.asked)

    def answered(self, number: int) -> OperatorAnswer:
        return OperatorAnswer(confirmed_by="Ada", at=datetime(2026, 11, 29, tzinfo=UTC))

    def taken(self, number: int) -> None: ...

    def withdraw(self, number: int, why: str) -> None: ...

    def waiting(self) -> int:
        return 0


async def test_without_a_flow_and_a_terminal_the_list_of_requests_asks(
    request_: OperatorRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    answered = AnsweredList()
    answer = await PrefectOperator("technician", requests=answered).perform(request_)
    assert (answer.confirmed_by, answered.asked) == ("Ada", ["Incubate"])


def test_only_without_a_page_and_a_terminal_a_question_stands_on_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert PrefectOperator("technician", requests=AnsweredList()).by_list
    assert not PrefectOperator("technician", requests=AnsweredList(), ask=Person({})).by_list
    assert not PrefectOperator("technician").by_list
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    assert not PrefectOperator("technician", requests=AnsweredList()).by_list


async def test_without_a_flow_in_a_terminal_the_terminal_asks(
    request_: OperatorRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(self: TerminalOperator, request: OperatorRequest) -> OperatorAnswer:
        return OperatorAnswer(confirmed_by="Bo", at=datetime(2026, 11, 29, tzinfo=UTC))

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(TerminalOperator, "perform", asked)
    answer = await PrefectOperator("technician", requests=AnsweredList()).perform(request_)
    assert answer.confirmed_by == "Bo"


async def test_without_a_flow_one_question_waits_for_the_other_in_a_terminal(
    request_: OperatorRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def asked(self: TerminalOperator, request: OperatorRequest) -> OperatorAnswer:
        told.append("asked")
        await asyncio.sleep(0)
        told.append("answered")
        return OperatorAnswer(confirmed_by="Bo", at=datetime(2026, 11, 29, tzinfo=UTC))

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(TerminalOperator, "_performed", asked)
    technician = PrefectOperator("technician")
    await asyncio.gather(technician.perform(request_), technician.perform(request_))
    assert told == ["asked", "answered"] * 2
