"""Incubations go to the incubator where the bench has one; the person carries, the device keeps the time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nkloop.drivers.incubating import IncubatingOperator
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.withdrawing import AnsweredAnyway
from nkloop.errors import DeviceError, OperatorRefusedError
from nkloop.worklists.models import OperatorTask

AT = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)


class Person:
    name = "Ada"

    def __init__(self, declines: str = "") -> None:
        self.told: list[str] = []
        self.declines = declines

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        self.told.append(request.task.instruction)
        if self.declines and self.declines in request.task.instruction:
            raise OperatorRefusedError("declined", where=request.title)
        return OperatorAnswer(confirmed_by="Ada", at=AT)


class Clock:
    def __init__(self) -> None:
        self.time, self.slept = AT, list[datetime]()

    async def now(self) -> datetime:
        return self.time

    async def sleep_until(self, when: datetime) -> None:
        self.slept.append(when)
        self.time = max(self.time, when)


class Storage:
    name = "Cytomat 2"

    def __init__(self, clock: Clock, **inside: datetime) -> None:
        self.clock, self.inside, self.moves = clock, dict(inside), list[str]()
        self.fetched: dict[tuple[str, str], datetime] = {}
        self.errands: dict[str, str] = {}

    async def store(self, barcode: str, *, errand: str = "") -> None:
        self.inside[barcode], self.errands[barcode] = self.clock.time, errand
        self.moves.append(f"in {barcode}")

    async def fetch(self, barcode: str, errand: str = "") -> None:
        self.fetched[barcode, errand] = self.inside.pop(barcode)
        self.moves.append(f"out {barcode}")

    async def since(self, barcode: str) -> datetime | None:
        return self.inside.get(barcode)

    async def errand_of(self, barcode: str) -> str:
        return self.errands.get(barcode, "") if barcode in self.inside else ""

    async def was_since(self, barcode: str, errand: str) -> datetime | None:
        return self.fetched.get((barcode, errand))

    async def temperature(self) -> float:
        return 37.0

    async def close(self) -> None:
        self.moves.append("closed")


def request(**changes: Any) -> OperatorRequest:
    task = {"kind": "incubate", "instruction": "4 h at 37 °C", "labware": ("assay",), "minutes": 240, **changes}
    barcodes = {"assay": "P1"} if task["labware"] else {}
    return OperatorRequest(title="assay, step 3", task=OperatorTask.model_validate(task), barcodes=barcodes)


async def test_a_plate_is_carried_kept_for_its_time_and_carried_back() -> None:
    person, clock = Person(), Clock()
    storage = Storage(clock)
    answer = await IncubatingOperator(person, storage, clock).perform(request(temperature_c=37))
    assert person.told == [
        "Put assay (P1) on the tray of Cytomat 2.",
        "Take assay (P1) from the tray of Cytomat 2 and put it back in its place.",
    ]
    assert storage.moves == ["in P1", "out P1"]
    assert clock.slept == [AT + timedelta(hours=4)]
    assert answer.note == "P1 in Cytomat 2 since 08:00 UTC, for 240 min"


async def test_a_plate_that_is_inside_since_a_crash_stays_for_the_rest_of_its_time() -> None:
    person, clock = Person(), Clock()
    storage = Storage(clock, P1=AT - timedelta(hours=3))
    await IncubatingOperator(person, storage, clock).perform(request())
    assert len(person.told) == 1
    assert clock.slept == [AT + timedelta(hours=1)]
    assert storage.moves == ["out P1"]


class Corrected(Clock):
    """A clock that is corrected when a plate is inside, beside seconds that nobody corrects."""

    def __init__(self, hours: int = 0) -> None:
        super().__init__()
        self.by, self.seconds = timedelta(hours=hours), 1e5

    async def sleep_until(self, when: datetime) -> None:
        self.time, self.by = self.time + self.by, timedelta(0)
        self.seconds += max(timedelta(0), when - self.time).total_seconds()
        await super().sleep_until(when)

    def steady(self) -> float:
        return self.seconds

    async def sleep_steadily(self, until: float) -> None:
        passed = max(0.0, until - self.seconds)
        self.seconds, self.time = self.seconds + passed, self.time + timedelta(seconds=passed)


@pytest.mark.parametrize(
    ("hours", "minutes", "told"),
    [
        pytest.param(4, 240, " (the clock was corrected meanwhile; it makes that 480 min)", id="ahead"),
        pytest.param(-1, 300, " (the clock was corrected meanwhile; it makes that 240 min)", id="back"),
        pytest.param(0, 240, "", id="right"),
    ],
)
async def test_an_incubation_is_not_shortened_when_the_clock_is_corrected(hours: int, minutes: int, told: str) -> None:
    """A computer that had reached no time server, and reaches it a moment after the plate went in."""
    clock = Corrected(hours)
    began = clock.seconds
    answer = await IncubatingOperator(Person(), Storage(clock), clock).perform(request())
    assert clock.seconds - began == 60 * minutes
    assert answer.note == f"P1 in Cytomat 2 since 08:00 UTC, for {minutes} min{told}"


async def test_the_time_of_a_plate_is_that_of_the_bench_whatever_clock_its_incubator_goes_by() -> None:
    class Behind(Storage):
        async def store(self, barcode: str, *, errand: str = "") -> None:
            await super().store(barcode, errand=errand)
            self.inside[barcode] -= timedelta(days=1)

    clock = Clock()
    answer = await IncubatingOperator(Person(), Behind(clock), clock).perform(request())
    assert clock.slept == [AT + timedelta(hours=4)]
    assert answer.note == "P1 in Cytomat 2 since 08:00 UTC, for 240 min"


async def test_the_time_of_a_plate_goes_on_while_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut while the plate was inside, and asked anew in the same program after its clock was corrected."""
    clock = Corrected()
    storage = Storage(clock)
    operator = IncubatingOperator(Person(), storage, clock)
    began, sleep_until = clock.seconds, clock.sleep_until

    async def cut(when: datetime) -> None:
        await sleep_until(AT + timedelta(hours=1))
        raise asyncio.CancelledError

    monkeypatch.setattr(clock, "sleep_until", cut)
    with pytest.raises(asyncio.CancelledError):
        await operator.perform(request())
    monkeypatch.setattr(clock, "sleep_until", sleep_until)
    clock.by = timedelta(hours=4)
    answer = await operator.perform(request())
    assert clock.seconds - began == 60 * 240
    assert "for 240 min (the clock was corrected meanwhile; it makes that 480 min)" in answer.note
    assert storage.moves == ["in P1", "out P1"]


async def test_the_time_of_a_plate_that_went_in_under_another_program_is_told_by_the_clock() -> None:
    clock = Corrected()
    storage = Storage(clock, P1=AT - timedelta(hours=3))
    answer = await IncubatingOperator(Person(), storage, clock).perform(request())
    assert answer.note == "P1 in Cytomat 2 since 05:00 UTC, for 240 min"


async def test_a_plate_that_came_out_before_a_crash_is_only_carried_back() -> None:
    clock = Clock()
    storage, asked = Storage(clock), request().model_copy(update={"errands": ("a/run-1", "a/run-0")})
    with pytest.raises(OperatorRefusedError):
        await IncubatingOperator(Person(declines="Take"), storage, clock).perform(asked)
    person, rest = Person(), request().model_copy(update={"title": "rest, step 1", "errands": ("a/run-2", "a/run-1")})
    answer = await IncubatingOperator(person, storage, clock).perform(rest)
    assert person.told == ["Take assay (P1) from the tray of Cytomat 2 and put it back in its place."]
    assert storage.moves == ["in P1", "out P1"]
    assert answer.note == "P1 in Cytomat 2 since 08:00 UTC"


@pytest.mark.parametrize("errands", [("a/run-2",), ("b/run-1",), ()])
async def test_another_incubation_of_the_same_plate_is_done(errands: tuple[str, ...]) -> None:
    clock = Clock()
    storage, first = Storage(clock), ("a/run-1",) if errands else ()
    await IncubatingOperator(Person(), storage, clock).perform(request().model_copy(update={"errands": first}))
    await IncubatingOperator(Person(), storage, clock).perform(request().model_copy(update={"errands": errands}))
    assert storage.moves == ["in P1", "out P1"] * 2


async def test_the_time_of_a_plate_that_is_inside_for_something_else_does_not_count() -> None:
    """A run of another database has the same number, and its plate the same barcode."""
    clock = Clock()
    storage = Storage(clock)
    await storage.store("P1", errand="a/run-1")
    own = request().model_copy(update={"errands": ("a/run-2", "a/run-1")})
    assert await IncubatingOperator(Person(), storage, clock).perform(own)
    await storage.store("P1", errand="a/run-1")
    person, others = Person(), request().model_copy(update={"errands": ("b/run-1",)})
    with pytest.raises(DeviceError, match="is inside since 2026-11-28 12:00 UTC for something else: a/run-1"):
        await IncubatingOperator(person, storage, clock).perform(others)
    assert person.told == []


async def test_an_incubation_that_is_only_told_of_moves_no_plate() -> None:
    """As at the begin of a rest: it was done in the run before, and a person confirms that it still holds."""
    person, clock = Person(), Clock()
    storage = Storage(clock)
    await IncubatingOperator(person, storage, clock).perform(request(minutes=0, instruction="Done in run-0001: 4 h"))
    assert (person.told, storage.moves) == (["Done in run-0001: 4 h"], [])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"kind": "centrifuge"}, id="another task"),
        pytest.param({"labware": ()}, id="no plate with a barcode"),
        pytest.param({"temperature_c": 22.0}, id="another temperature"),
    ],
)
async def test_what_the_incubator_does_not_do_is_left_to_the_person(changes: dict[str, Any]) -> None:
    person, clock = Person(), Clock()
    storage = Storage(clock)
    await IncubatingOperator(person, storage, clock).perform(request(**changes))
    assert person.told == ["4 h at 37 °C"]
    assert storage.moves == []


async def test_a_person_who_declines_to_carry_leaves_the_incubator_alone() -> None:
    clock = Clock()
    storage = Storage(clock)
    with pytest.raises(OperatorRefusedError):
        await IncubatingOperator(Person(declines="on the tray"), storage, clock).perform(request())
    assert storage.moves == []


@pytest.mark.parametrize(("at", "is_all"), [("Put", False), ("Take", True)])
async def test_a_confirmation_that_meets_a_cancellation_counts_for_the_whole_task_at_its_end_only(
    at: str, is_all: bool
) -> None:
    class Late(Person):
        async def perform(self, request: OperatorRequest) -> OperatorAnswer:
            answer = await super().perform(request)
            if request.task.instruction.startswith(at):
                raise AnsweredAnyway(answer)
            return answer

    clock = Clock()
    with pytest.raises(asyncio.CancelledError) as stop:
        await IncubatingOperator(Late(), Storage(clock), clock).perform(request())
    assert isinstance(stop.value, AnsweredAnyway) == is_all
    if isinstance(stop.value, AnsweredAnyway):
        assert stop.value.answer.note == "P1 in Cytomat 2 since 08:00 UTC, for 240 min"


async def test_the_person_beside_it_is_told_what_was_confirmed_while_nobody_asked() -> None:
    class Virtual(Person):
        by_list = True

        async def catch_up(self, request: OperatorRequest, answer: OperatorAnswer) -> OperatorAnswer:
            self.told.append(request.task.instruction)
            return answer.model_copy(update={"note": "done there"})

    clock, answer = Clock(), OperatorAnswer(confirmed_by="Ada", at=AT)
    person, virtual = (IncubatingOperator(one, Storage(clock), clock) for one in (Person(), Virtual()))
    assert (person.by_list, virtual.by_list) == (False, True)
    assert await person.catch_up(request(), answer) == answer
    assert (await virtual.catch_up(request(), answer)).note == "done there"


async def test_closing_releases_the_incubator() -> None:
    clock = Clock()
    storage = Storage(clock)
    await IncubatingOperator(Person(), storage, clock).close()
    assert storage.moves == ["closed"]
