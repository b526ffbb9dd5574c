"""Reader, counter and incubator are driven under a claim of their own: one at a time, and never by a stale holder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import Bench
from nkloop.drivers.bench_file import IncubatorSpec, ReaderSpec
from nkloop.drivers.incubating import IncubatingOperator
from nkloop.drivers.interfaces import Fence, OperatorRequest, unguarded
from nkloop.drivers.pylabrobot import PyLabRobotIncubator, PyLabRobotReader
from nkloop.errors import DeviceHeldError, StaleHolderError
from nkloop.records import Records
from nkloop.runs.beside import beside_held, lock_of
from nkloop.runs.holding import device_held
from nkloop.runs.people import ask
from nkloop.runs.reading import read_plate
from nkloop.virtual.counter import VirtualCounter
from nkloop.virtual.reader import VirtualReaderBackend
from nkloop.worklists.models import OperatorTask

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
REQUEST = ReadRequest(barcode="P-1", load_name="plate", mode="absorbance", wavelength_nm=490, wells=("A1",))


class Reader:
    """Is asked by its fence before it measures; `before` comes between the plate and the measurement."""

    name = "reader"
    fence: Fence = staticmethod(unguarded)

    def __init__(self, before: Callable[[], Any] = lambda: None) -> None:
        self.before, self.read_plates = before, list[str]()

    async def read(self, request: ReadRequest) -> Reading:
        self.before()
        await asyncio.sleep(0.01)
        self.fence()
        self.read_plates.append(request.barcode)
        return Reading.model_validate(
            {"barcode": request.barcode, "mode": "absorbance", "values": {"A1": 0.5}, "instrument": "R",
             "serial_number": "", "read_at": "2026-11-23T08:00:00Z"}
        )  # fmt: skip

    async def inspect(self) -> tuple[()]:
        return ()

    async def close(self) -> None: ...


def shared(bench: Bench, reader: Any, name: str) -> Bench:
    """A bench of this name with the lab's one reader."""
    spec = ReaderSpec(driver="a.b:C", lock="cytation")
    return replace(bench, file=bench.file.model_copy(update={"name": name, "plate_reader": spec}), plate_reader=reader)


async def test_of_two_flows_on_two_benches_with_one_reader_the_second_waits_and_says_for_whom(
    bench: Bench, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nkloop")
    reader = Reader()
    inside: list[str] = []

    async def read(name: str, barcode: str) -> None:
        own = shared(bench, reader, name)
        request = REQUEST.model_copy(update={"barcode": barcode})
        async with beside_held(own, "plate_reader", records, f"reading plate {barcode}", wait_seconds=5):
            inside.append(barcode)
            assert len(inside) == 1
            await read_plate(own, request, records)
            inside.remove(barcode)

    await asyncio.gather(read("flex", "P-1"), read("star", "P-2"))
    assert sorted(reader.read_plates) == ["P-1", "P-2"]
    assert "reading plate P-2 waits: cytation is held by reading plate P-1" in caplog.text


async def test_without_patience_the_second_is_told_who_reads_and_nobody_is_sent_to_the_reader(
    bench: Bench, records: Records, operator: Any
) -> None:
    records.claims.claim(("cytation",), "reading plate P-7 of bench star")
    with pytest.raises(DeviceHeldError, match=r"cytation is held by reading plate P-7 of bench star"):
        await read_plate(shared(bench, Reader(), "flex"), REQUEST, records)
    assert operator.asked == []


async def test_whoever_lost_the_reader_while_the_plate_was_put_in_does_not_touch_it(
    bench: Bench, records: Records
) -> None:
    def taken_over() -> None:
        expire(records)
        records.claims.claim(("cytation",), "reading plate P-8")

    reader = Reader(before=taken_over)
    with pytest.raises(StaleHolderError, match="held by reading plate P-8"):
        await read_plate(shared(bench, reader, "flex"), REQUEST, records)
    assert (reader.read_plates, records.results.readings()) == ([], ())


async def test_a_robot_in_use_keeps_nobody_from_the_reader_beside_it(bench: Bench, records: Records) -> None:
    async def another_flow() -> Reading:
        return await read_plate(shared(bench, Reader(), "flex"), REQUEST, records)

    async with device_held(bench, records, "feeding"):
        assert (await another_flow()).barcode == "P-1"


async def test_a_bench_whose_runs_hold_the_reader_too_reads_within_its_own_hold(bench: Bench, records: Records) -> None:
    own = shared(bench, Reader(), "flex")
    own = replace(own, file=own.file.model_copy(update={"locks": ("flex", "cytation")}))
    async with device_held(own, records, "killing assay"):
        assert (await read_plate(own, REQUEST, records)).barcode == "P-1"


def expire(records: Records) -> None:
    """Let the lease of whoever holds the device run out."""
    with records.journal._database.writing() as connection:
        connection.exec_driver_sql("UPDATE device_holders SET expires_at = claimed_at")


def stale() -> None:
    raise StaleHolderError("another process holds it")


def _answers(asked: list[str]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"values": {"A1": 0.4}, "at": "2026-11-23T08:00:00Z", "temperature_c": 22})

    return httpx.MockTransport(answer)


async def test_a_stale_holder_opens_no_reader_and_measures_nothing() -> None:
    asked: list[str] = []
    reader = PyLabRobotReader("reader", backend=f"{__name__}:Virtual", backend_settings={"asked": asked})
    reader.fence = stale
    with pytest.raises(StaleHolderError):
        await reader.read(REQUEST)
    assert asked == []
    reader.fence = unguarded
    assert (await reader.read(REQUEST)).values == {"A1": 0.4}
    reader.fence = stale
    with pytest.raises(StaleHolderError):
        await reader.read(REQUEST)
    assert asked == ["/virtual/clock", "/virtual/read"]
    await reader.close()


class Virtual(VirtualReaderBackend):
    """The virtual bench's reader without a bench behind it."""

    def __init__(self, asked: list[str]) -> None:
        super().__init__("http://bench", _answers(asked))


async def test_a_stale_holder_samples_no_well_and_moves_no_plate() -> None:
    asked: list[str] = []
    counter = VirtualCounter("counter", "http://bench", _answers(asked))
    counter.fence = stale
    with pytest.raises(StaleHolderError):
        await counter.count("P-1", ("A1",))
    incubator = PyLabRobotIncubator("Cytomat 2", model="simulated", racks=("cytomat_rack_23mm_21",))
    incubator.fence = stale
    with pytest.raises(StaleHolderError):
        await incubator.store("P-1")
    assert (asked, incubator.backend.asked, incubator.plates) == ([], [], {})
    await incubator.close()


class Storage:
    """An incubator that tells who held it for each move."""

    name = "Cytomat 2"
    fence: Fence = staticmethod(unguarded)

    def __init__(self, records: Records) -> None:
        self.records, self.moves = records, list[str]()
        self.taken_in: datetime | None = None

    def _move(self, way: str) -> None:
        self.fence()
        held = [one.holder for one in self.records.claims.holders() if one.released_at is None]
        self.moves += [f"{way}, held for {holder.partition(' (')[0]}" for holder in held]

    async def store(self, barcode: str, *, errand: str = "") -> None:
        self._move("in")
        self.taken_in = AT

    async def fetch(self, barcode: str, errand: str = "") -> None:
        self._move("out")

    async def errand_of(self, barcode: str) -> str:
        return ""

    async def was_since(self, barcode: str, errand: str) -> datetime | None:
        return None

    async def since(self, barcode: str) -> datetime | None:
        return self.taken_in

    async def temperature(self) -> float:
        return 37.0

    async def close(self) -> None: ...


async def test_an_incubator_is_held_for_each_move_and_free_while_the_plate_is_inside(
    bench: Bench, records: Records
) -> None:
    storage = Storage(records)
    spec = IncubatorSpec(driver="a.b:C", lock="cytomat")
    file = bench.file.model_copy(update={"incubator": spec})
    own = replace(bench, file=file, operator=IncubatingOperator(bench.operator, storage, bench.clock))
    task = OperatorTask(kind="incubate", instruction="4 h", labware=("assay",), minutes=1)
    await ask(OperatorRequest(title="incubate", task=task, barcodes={"assay": "P1"}), own, records, step=None)
    assert storage.moves == [
        "in, held for plate P1 into Cytomat 2",
        "out, held for plate P1 out of Cytomat 2",
    ]
    assert [line.partition(": ")[2].partition(" by ")[0] for line in records.claims.history("cytomat")] == [
        "claimed", "released", "claimed", "released",
    ]  # fmt: skip


def test_a_device_without_a_name_is_that_of_its_bench_alone(bench: Bench) -> None:
    assert lock_of(bench.file, "plate_reader") == "fake: plate reader"
    assert lock_of(bench.file, "incubator") == "fake: incubator"


async def test_a_reader_whose_lease_ran_out_is_given_to_the_next(bench: Bench, records: Records) -> None:
    records.claims.claim(("cytation",), "a computer that was switched off", lease_seconds=-timedelta(1).total_seconds())
    assert (await read_plate(shared(bench, Reader(), "flex"), REQUEST, records)).barcode == "P-1"
    assert "taken over" in records.claims.history("cytation")[1]
