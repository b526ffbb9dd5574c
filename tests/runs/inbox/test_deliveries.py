"""A reader without a driver waits for its file, and finds it again after a restart."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from nkloop.assays.readings import SampleCount
from nkloop.drivers import file_reader
from nkloop.drivers.file_reader import FileCounter, FileReader, parse_phenotype
from nkloop.errors import BenchError, DeviceError, OperatorRefusedError
from nkloop.records import Records
from nkloop.runs.inbox import inbox as inbox_module
from nkloop.runs.inbox.contents import Contents
from nkloop.runs.inbox.counting import sample_place
from nkloop.runs.inbox.deliveries import InboxDeliveries

from .conftest import Opened, add_run, grid, request


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_reader, "LOOK_SECONDS", 0.01)


@pytest.fixture
def deliveries(opened: Opened) -> InboxDeliveries:
    return InboxDeliveries(opened())


async def test_a_reader_waits_until_its_file_is_there(
    deliveries: InboxDeliveries, folder: Path, records: Records
) -> None:
    reader = FileReader("CLARIOstar", program="MARS", how="Export as CSV.", deliveries=deliveries)
    asked = request(reference_wavelength_nm=600)
    assert reader.instruction(asked) == (
        "Then read it with MARS: absorbance, 450 nm, reference 600 nm; name the plate P-1. Export as CSV."
    )
    reading = asyncio.create_task(reader.read(asked))
    await asyncio.sleep(0.05)
    assert not reading.done()
    two = grid() + "wavelength: 600 nm\n" + grid(value=0.1).partition(",1,2")[1] + grid(value=0.1).partition(",1,2")[2]
    (folder / "p1.csv").write_text(two, encoding="utf-8")
    found = await asyncio.wait_for(reading, 5)
    assert found.values["C3"] == pytest.approx(0.4)
    assert found.reference_wavelength_nm == 600
    assert len(records.results.readings()) == 1


async def test_after_a_restart_the_same_run_finds_its_reading(
    deliveries: InboxDeliveries, opened: Opened, folder: Path, records: Records
) -> None:
    asked = request(run_id=add_run(records))
    first = deliveries.ask_plate(asked)
    assert InboxDeliveries(opened()).ask_plate(asked) == first
    (folder / "p1.csv").write_text(grid(), encoding="utf-8")
    await opened().look()  # a watcher, while the flow is down
    again = InboxDeliveries(opened())
    found = await FileReader("reader", deliveries=again).read(asked)
    assert found.values["A1"] == 0.51
    assert len(records.results.readings("campaign")) == 1


async def test_without_a_run_an_answer_is_found_until_it_was_used(
    deliveries: InboxDeliveries, opened: Opened, folder: Path
) -> None:
    first = deliveries.ask_plate(request())
    (folder / "p1.csv").write_text(grid(), encoding="utf-8")
    await opened().look()
    assert InboxDeliveries(opened()).ask_plate(request()) == first
    await FileReader("reader", deliveries=deliveries).read(request())
    assert deliveries.ask_plate(request()) != first  # another read of the plate


async def test_giving_up_names_what_was_put_aside(deliveries: InboxDeliveries, folder: Path, records: Records) -> None:
    (folder / "p1.csv").write_text(grid(nm=600), encoding="utf-8")
    reader = FileReader("reader", wait_minutes=0.003, deliveries=deliveries)
    with pytest.raises(
        DeviceError, match=r"no fitting file came within 0.003 min; put aside meanwhile: p1.csv: .*600 nm"
    ):
        await reader.read(request())
    assert records.inbox.waiting() == ()


async def test_a_share_that_is_gone_for_a_while_is_waited_for(deliveries: InboxDeliveries, folder: Path) -> None:
    os.rmdir(folder)
    reading = asyncio.create_task(FileReader("reader", deliveries=deliveries).read(request()))
    await asyncio.sleep(0.05)
    (finding,) = [one for one in await FileReader("reader", deliveries=deliveries).inspect() if one.subject == "folder"]
    assert not finding.ok
    os.mkdir(folder)
    (folder / "p1.csv").write_text(grid(), encoding="utf-8")
    assert (await asyncio.wait_for(reading, 5)).barcode == "P-1"


async def test_who_is_cancelled_waits_no_longer(deliveries: InboxDeliveries, records: Records) -> None:
    reading = asyncio.create_task(FileReader("reader", deliveries=deliveries).read(request()))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert records.inbox.waiting() == ()


async def test_without_an_inbox_it_is_refused_with_what_to_add() -> None:
    with pytest.raises(BenchError, match=r"there is no inbox.*add an `inbox:` block"):
        await FileReader("reader").read(request())


def sample(name: str, viable: float) -> SampleCount:
    return SampleCount(
        sample=name, viable_per_ml=viable, viability_percent=91, format="NucleoView", file="c.csv", file_sha256="0" * 64
    )


class Person:
    """Types what was prepared."""

    def __init__(self, *lines: str) -> None:
        self.lines, self.shown, self.keys = list(lines), list[str](), list[str]()

    async def __call__(self, form: type[Any], description: str, key: str, wait_seconds: float) -> Any:
        self.shown.append(description)
        self.keys.append(key)
        return form(operator="Ada", phenotype=self.lines.pop(0))


async def test_counts_come_by_file_and_what_no_counter_tells_from_a_person(
    deliveries: InboxDeliveries, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(path: Path, name: str, *_: Any) -> Contents:
        return Contents("NucleoView", samples=(sample("P-1:A1", 1.2e6), sample("p-1 b01", 9e5), sample("P-2:A1", 1)))

    monkeypatch.setattr(inbox_module, "contents_of", read)
    (folder / "counts.csv").write_text("x", encoding="utf-8")
    person = Person("A1 88 0.5", "A1 88 0.5 1.5\nB1 90 0 2")
    counts = await FileCounter("NC-200", deliveries=deliveries, ask=person).count("P-1", ("A1", "B1"))
    assert [(one.well, one.viable_per_ml, one.purity_percent, one.volume_ml) for one in counts] == [
        ("A1", 1.2e6, 88, 1.5),
        ("B1", 9e5, 90, 2),
    ]
    assert "| A1 | 1.2e6 | 91.0 |" in person.shown[0]
    assert "has 2 numbers, must be 3" in person.shown[1]
    assert person.shown[1].startswith("## Plate `P-1` was counted")


async def test_a_plate_whose_next_file_comes_is_a_question_of_its_own_and_the_same_file_is_not(
    deliveries: InboxDeliveries, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect hands out what is stored under a key without asking anybody."""

    async def read(path: Path, name: str, *_: Any) -> Contents:
        return Contents("NucleoView", samples=(sample("P-1:A1", 1.2e6),))

    monkeypatch.setattr(inbox_module, "contents_of", read)
    person = Person("A1 88 0.5 1.5", "A1 80 0.5 1.4")
    counter = FileCounter("NC-200", deliveries=deliveries, ask=person)
    for week in range(3):
        (folder / "counts.csv").write_text(f"week {week}", encoding="utf-8")
        with pytest.raises(IndexError) if week == 2 else nullcontext():  # cut before the third answer
            await counter.count("P-1", ("A1",))
    person.lines.append("A1 70 0.5 1.3")
    (count,) = await counter.count("P-1", ("A1",))
    assert count.purity_percent == 70
    first, second, third, again = person.keys
    assert len({first, second, third}) == 3
    assert again == third


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ((sample("P-1:A1", 1),), "plate P-1: no count for B1"),
        ((sample("P-1:A1", 1), sample("P-1 A1", 2)), "well A1 of plate P-1 was counted twice"),
        ((sample("other", 1),), "nobody waits for the samples other"),
    ],
)
async def test_counts_that_do_not_fit_are_put_aside(
    deliveries: InboxDeliveries,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    samples: tuple[SampleCount, ...],
    told: str,
) -> None:
    async def read(path: Path, name: str, *_: Any) -> Contents:
        return Contents("NucleoView", samples=samples)

    monkeypatch.setattr(inbox_module, "contents_of", read)
    number = deliveries.ask_counts("P-1", ("A1", "B1"))
    (folder / "counts.csv").write_text("x", encoding="utf-8")
    assert await deliveries.delivered(number) == ""
    assert told in deliveries.put_aside(number)[0]


async def test_a_phenotype_wrong_three_times_is_refused(
    deliveries: InboxDeliveries, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(path: Path, name: str, *_: Any) -> Contents:
        return Contents("NucleoView", samples=(sample("P-1:A1", 1),))

    monkeypatch.setattr(inbox_module, "contents_of", read)
    (folder / "counts.csv").write_text("x", encoding="utf-8")
    counter = FileCounter("NC-200", deliveries=deliveries, ask=Person("A1 101 0 1", "B1 1 1 1", "A1 x 0 1"))
    with pytest.raises(OperatorRefusedError, match="holds something that is no number"):
        await counter.count("P-1", ("A1",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A1 88 0.5 1\nA1 88 0.5 1", "stands twice"),
        ("A1 88 0.5 -1", "out of bounds"),
        ("A1 nan 0 1", "out of bounds"),
        ("C1 88 0.5 1", "not asked for"),
        ("", "no line for A1"),
    ],
)
def test_wrong_phenotypes_are_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_phenotype(text, ("A1",))


@pytest.mark.parametrize(
    ("name", "well"),
    [("P-1:A1", "A1"), ("p-1_h12", "H12"), ("P-1 A01", "A1"), ("P-12:A1", ""), ("P-1", ""), ("P-1A1", "")],
)
def test_the_name_of_a_sample_tells_plate_and_well(name: str, well: str) -> None:
    assert sample_place(name, "P-1") == well
