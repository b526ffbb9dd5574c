"""A person at the terminal of the run."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from nkloop.drivers.interfaces import Choice, LotToScan, OperatorRequest
from nkloop.drivers.scanning import Known, Scan
from nkloop.drivers.terminal_operator import TerminalOperator, told_of
from nkloop.drivers.withdrawing import QuestionWithdrawn, answered_unless
from nkloop.errors import OperatorRefusedError
from nkloop.worklists.models import OperatorTask, Worklist


class Person:
    """Types what was prepared; keeps what was said and asked."""

    def __init__(self, *lines: str | None) -> None:
        self.lines, self.heard = list(lines), list[str]()
        self.refusals: list[tuple[str, str]] = []

    async def __call__(self, prompt: str) -> str | None:
        self.heard.append(prompt)
        return self.lines.pop(0) if self.lines else None

    def operator(self) -> TerminalOperator:
        return TerminalOperator("technician", say=self.heard.append, listen=self, scan_book=self)

    def refused(self, request: OperatorRequest, scan: Scan, by: str) -> None:
        self.refusals.append((by, scan.code))

    def known(self, code: str) -> Known | None:
        return Known("IL-2", "L-8") if code == "L-8" else None


@pytest.fixture
def asked(worklist: Worklist) -> OperatorRequest:
    lot = LotToScan(lot="L-7", component="medium", expires=date(2099, 1, 1))
    return OperatorRequest(
        title="Load the deck",
        task=OperatorTask(kind="incubate", instruction="Load it", minutes=30, temperature_c=37),
        worklist=worklist,
        barcodes={"plate": "P-1"},
        lots=(lot,),
    )


async def test_codes_are_scanned_line_by_line_then_confirmed(asked: OperatorRequest) -> None:
    person = Person("Ada", "P-1", "", "L-7", "yes", "all well")
    answer = await person.operator().perform(asked)
    assert (answer.confirmed_by, answer.note, answer.scanned) == ("Ada", "all well", ("P-1", "L-7"))
    said = "\n".join(person.heard)
    assert "   30 min, 37 °C (counted from when this is asked; begun later, confirm later)" in said
    assert "  ok: P-1, plate (1 of 2)" in said
    assert "Scan (1 to go)" in said


async def test_a_wrong_code_is_told_and_may_be_mended(asked: OperatorRequest) -> None:
    person = Person("Ada", "P-9", "P-1", "L-7", "y", "", "was in since 9:00")
    await person.operator().perform(asked)
    assert "  NO: P-9 is not expected here; still to scan: P-1 (plate), L-7 (medium)" in person.heard
    assert person.refusals == [("Ada", "P-9")]


async def test_a_code_is_neither_a_name_nor_a_confirmation(asked: OperatorRequest) -> None:
    person = Person("P-1", "Ada", "P-1", "L-7", "L-7", "yes", "was in since 9:00")
    answer = await person.operator().perform(asked)
    assert (answer.confirmed_by, answer.scanned) == ("Ada", ("P-1", "L-7"))
    assert "  NO: P-1 is a code; your name comes first" in person.heard
    assert person.heard.count("Done as asked? yes or no: ") == 2


async def test_a_time_cut_short_needs_a_note_that_says_why(asked: OperatorRequest) -> None:
    person = Person("Ada", "P-1", "L-7", "yes", "", " ", "the plate leaks")
    assert (await person.operator().perform(asked)).note == "the plate leaks"
    assert person.heard.count("0 of 30 min have passed since it was asked; why? ") == 3


async def test_wrong_codes_are_named_and_asked_again_however_many(asked: OperatorRequest) -> None:
    person = Person("Ada", "A", "L-8", "C", "p-1", "P-1", "L-7", "yes", "was in since 9:00")
    assert (await person.operator().perform(asked)).scanned == ("P-1", "L-7")
    said = "\n".join(person.heard)
    assert "NO: L-8 is IL-2, lot L-8, which is not expected here" in said
    assert "NO: p-1 is not expected here; P-1 is: type it as it is printed, or scan it" in said


@pytest.mark.parametrize("before", [("Ada",), ("Ada", "P-1"), ("Ada", "P-1", "L-7")])
async def test_a_person_may_decline_at_any_moment(asked: OperatorRequest, before: tuple[str, ...]) -> None:
    with pytest.raises(OperatorRefusedError, match="Ada declined: plate is broken"):
        await Person(*before, "no", "plate is broken").operator().perform(asked)


async def test_who_declines_at_once_tells_a_name(asked: OperatorRequest) -> None:
    with pytest.raises(OperatorRefusedError, match="Ada declined: no time"):
        await Person("no", "Ada", "no time").operator().perform(asked)


async def test_without_a_person_the_run_is_told_so(asked: OperatorRequest) -> None:
    with pytest.raises(OperatorRefusedError, match=r"nobody is at the terminal.*DeskOperator"):
        await Person("P-1").operator().perform(asked)


def test_the_deck_is_told_with_lots(asked: OperatorRequest) -> None:
    told = "\n".join(told_of(asked))
    assert "D1  nkloop_plate" in told
    assert "A1: 200 µL medium | fresh, lot L-7" in told
    assert "L-7  medium, use by 2099-01-01" in told


def test_what_a_later_step_brings_and_what_is_left_on_the_deck_are_told_so(asked: OperatorRequest) -> None:
    assert asked.worklist is not None
    filling = asked.worklist.fillings[0]
    thaw = OperatorTask(kind="thaw", instruction="Thaw", labware=(filling.labware,), wells=(filling.well,))
    step = asked.worklist.steps[0].model_copy(update={"action": "pause", "operator": thaw})
    thawed = asked.worklist.model_copy(update={"steps": (step,)})
    told = "\n".join(told_of(asked.model_copy(update={"worklist": thawed})))
    assert f"medium | fresh, lot L-7 (not yet: step {step.number})" in told
    liquid = filling.liquid.model_copy(update={"lot": "left:run-0004:L-7"})
    left = asked.worklist.model_copy(update={"fillings": (filling.model_copy(update={"liquid": liquid}),)})
    told = "\n".join(told_of(asked.model_copy(update={"worklist": left})))
    assert "medium | fresh (leave it on the deck, run-0004 has left it there)" in told


@pytest.fixture
def question(asked: OperatorRequest) -> OperatorRequest:
    choices = (Choice(key="again", label="Do it again"), Choice(key="stop", label="Stop the run"))
    return asked.model_copy(update={"choices": choices, "worklist": None, "barcodes": {}, "lots": ()})


async def test_a_choice_is_typed_with_its_reason_and_anything_else_is_asked_again(question: OperatorRequest) -> None:
    person = Person("skip", "again", "x", "Again", "rack stood askew", "Ada")
    answer = await person.operator().perform(question)
    assert (answer.choice, answer.note, answer.confirmed_by) == ("again", "rack stood askew", "Ada")
    assert "     again   Do it again" in person.heard
    assert "  NO: 'skip' is no choice here; choose again or stop" in person.heard
    assert "  NO: a choice needs a reason of at least 3 characters" in person.heard


async def test_three_wrong_choices_are_refused(question: OperatorRequest) -> None:
    with pytest.raises(OperatorRefusedError, match="'c' is no choice here"):
        await Person("a", "b", "c").operator().perform(question)


async def test_a_question_that_is_withdrawn_says_so(asked: OperatorRequest) -> None:
    heard: list[str] = []

    async def nobody(prompt: str) -> str | None:
        await asyncio.sleep(3600)
        return None

    async def settled() -> str:
        return "somebody settled it at flex itself"

    terminal = TerminalOperator("technician", say=heard.append, listen=nobody)
    with pytest.raises(QuestionWithdrawn):
        await answered_unless(settled, terminal.perform(asked), 0.01)
    assert "  Withdrawn: somebody settled it at flex itself. Nothing is to be answered" in heard[-1]
