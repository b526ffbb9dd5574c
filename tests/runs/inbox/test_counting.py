"""Counts answer who waits for them by barcode, wells and time; the other plates of an export keep for their turn."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from nkloop.assays.readings import SampleCount
from nkloop.drivers.file_reader import FileCounter
from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.runs.inbox import inbox as inbox_module
from nkloop.runs.inbox.contents import Contents
from nkloop.runs.inbox.deliveries import InboxDeliveries

from .conftest import Opened

NO_ZONE = ("the time 2026-11-29 10:00:00 has no zone in the file and is taken as UTC",)
Drop = Any


def sample(name: str, viable: float, minutes_ago: float | None = 0, **fields: Any) -> SampleCount:
    """A count of some minutes ago; of no time that the file tells when they are None."""
    at = None if minutes_ago is None else datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return SampleCount.model_validate(
        {"sample": name, "viable_per_ml": viable, "viability_percent": 91, "format": "NucleoView", "file": "c.csv",
         "file_sha256": "0" * 64, "counted_at": at, **fields}
    )  # fmt: skip


@pytest.fixture
def drop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    """`drop("c.csv", sample, …)`: a counter's export with these samples lies in the folder."""
    exports: dict[str, tuple[SampleCount, ...]] = {}

    async def read(path: Path, name: str, *_: Any) -> Contents:
        return Contents("NucleoView", samples=exports[name])

    def dropped(name: str, *samples: SampleCount) -> None:
        exports[name] = samples
        (folder / name).write_text(name, encoding="utf-8")

    monkeypatch.setattr(inbox_module, "contents_of", read)
    return dropped


async def person(form: type[Any], description: str, key: str, wait_seconds: float) -> Any:
    return form(operator="Ada", phenotype="A1 88 0.5 1.5")


def answered(records: Records, number: int) -> dict[str, float]:
    answer = records.inbox.wait(number).answer
    return {well: one["viable_per_ml"] for well, one in json.loads(answer or "{}").items()}


async def test_an_old_count_does_not_answer_a_wait_of_today(opened: Opened, records: Records, drop: Drop) -> None:
    inbox = opened()
    number = InboxDeliveries(inbox).ask_counts("P-1", ("A1",))
    drop("old.csv", sample("P-1:A1", 1.0, minutes_ago=3_000_000))
    (outcome,) = await inbox.look()
    assert outcome.state == "quarantined"
    assert outcome.reason.startswith("out_of_time: plate P-1 was counted in sample P-1:A1 30000")
    assert "allowed are 30 min before to 240 min after" in outcome.reason
    assert answered(records, number) == {}


async def test_a_count_that_came_before_anybody_waited_is_judged_by_its_time_later(
    opened: Opened, records: Records, drop: Drop
) -> None:
    drop("old.csv", sample("P-1:A1", 1.0, minutes_ago=31))
    drop("new.csv", sample("P-1:A1", 2.0, minutes_ago=29))
    inbox = opened()
    assert [one.reason.partition(":")[0] for one in await inbox.look()] == ["unknown_barcode"] * 2
    number = InboxDeliveries(inbox).ask_counts("P-1", ("A1",))
    (outcome,) = await inbox.look()
    assert (outcome.name, answered(records, number)) == ("new.csv", {"A1": 2.0})
    assert [file.code for file in records.inbox.files() if file.name == "old.csv"] == ["out_of_time"]


async def test_of_an_export_with_older_counts_the_one_in_time_is_taken(
    opened: Opened, records: Records, drop: Drop
) -> None:
    inbox = opened()
    number = InboxDeliveries(inbox).ask_counts("P-1", ("A1",))
    drop("log.csv", sample("P-1:A1", 1.0, minutes_ago=10_000), sample("P-1:A1", 2.0))
    await inbox.look()
    assert answered(records, number) == {"A1": 2.0}


async def test_a_count_without_zone_is_of_the_zone_of_the_inbox_and_keeps_its_time(
    opened: Opened, records: Records, drop: Drop
) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    at = datetime.now(zone).replace(microsecond=0) - timedelta(minutes=5)
    drop("c.csv", sample("P-1:A1", 2.0, counted_at=at.replace(tzinfo=UTC), notes=NO_ZONE))
    counter = FileCounter("NC-200", deliveries=InboxDeliveries(opened(time_zone="Asia/Kolkata")), ask=person)
    (count,) = await counter.count("P-1", ("A1",))
    assert count.counted_at == at
    records.results.add_counts([count], at=datetime.now(UTC) + timedelta(days=1))
    with records._database.reading() as connection:
        (stored,) = connection.exec_driver_sql("SELECT counted_at FROM cell_counts").scalars()
    assert str(stored).startswith(f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}")


async def test_a_zone_that_is_not_set_is_named_where_it_makes_a_count_late(
    opened: Opened, records: Records, drop: Drop
) -> None:
    inbox = opened()
    InboxDeliveries(inbox).ask_counts("P-1", ("A1",))
    drop("c.csv", sample("P-1:A1", 2.0, minutes_ago=330, notes=NO_ZONE))
    (outcome,) = await inbox.look()
    assert "UTC was taken: correct time_zone of the inbox" in outcome.reason


async def test_a_count_without_time_is_of_when_its_file_came(opened: Opened, records: Records, drop: Drop) -> None:
    drop("c.csv", sample("P-1:A1", 2.0, minutes_ago=None))
    (count,) = await FileCounter("NC-200", deliveries=InboxDeliveries(opened()), ask=person).count("P-1", ("A1",))
    assert count.counted_at is not None
    assert abs(count.counted_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_the_second_plate_of_an_export_is_delivered_when_somebody_waits_for_it(
    opened: Opened, records: Records, drop: Drop
) -> None:
    inbox = opened()
    first = InboxDeliveries(inbox).ask_counts("P-1", ("A1",))
    drop("c.csv", sample("P-1:A1", 1.0), sample("P-1:B1", 2.0), sample("p-2 A01", 3.0), sample("control", 4.0))
    await inbox.look()
    assert answered(records, first) == {"A1": 1.0}
    second = InboxDeliveries(inbox).ask_counts("P-2", ("A1",))
    (outcome,) = await inbox.look()
    assert (outcome.name, outcome.barcodes, answered(records, second)) == ("c.csv", ("P-2",), {"A1": 3.0})
    third = InboxDeliveries(inbox).ask_counts("P-1", ("B1",))
    await inbox.look()
    assert answered(records, third) == {"B1": 2.0}
    (file,) = records.inbox.files()
    told = [(one["plate"], one["state"]) for one in json.loads(file.document)]
    assert sorted(told) == [("P-1", "recorded"), ("P-1", "recorded"), ("P-2", "recorded"), ("control", "left out")]


async def test_a_count_that_was_delivered_is_not_delivered_again(opened: Opened, records: Records, drop: Drop) -> None:
    inbox = opened()
    deliveries = InboxDeliveries(inbox)
    first = deliveries.ask_counts("P-1", ("A1",))
    drop("c.csv", sample("P-1:A1", 1.0), sample("P-1:B1", 2.0))
    await inbox.look()
    deliveries.used(first)
    again = deliveries.ask_counts("P-1", ("A1",))
    assert await inbox.look() == ()
    assert answered(records, again) == {}


async def test_a_person_says_that_an_old_or_misnamed_count_is_of_a_plate(
    opened: Opened, records: Records, drop: Drop
) -> None:
    inbox = opened()
    number = InboxDeliveries(inbox).ask_counts("P-1", ("A1",))
    drop("old.csv", sample("P-1:A1", 1.0, minutes_ago=500))
    drop("typo.csv", sample("P-11:A1", 2.0))
    await inbox.look()
    with pytest.raises(RecordError, match="nobody waits for the samples P-11:A1"):
        await inbox.release("typo.csv", "P-3", by="Ada", reason="looked")
    outcome = await inbox.release("typo.csv", "P-1", by="Ada", reason="mistyped")
    assert (outcome.barcodes, answered(records, number)) == (("P-1",), {"A1": 2.0})
    other = InboxDeliveries(inbox).ask_counts("P-1", ("A1",))
    if records.inbox.wait(other).state == "delivered":
        records.inbox.used(other)
        other = InboxDeliveries(inbox).ask_counts("P-1", ("A1",))
    await inbox.release("old.csv", "P-1", by="Ada", reason="the clock of the counter was wrong")
    assert answered(records, other) == {"A1": 1.0}
