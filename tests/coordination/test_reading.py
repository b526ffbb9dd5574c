"""A reader on the deck of a robot waits for its turn at the robot; one that stands beside it does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.coordination import holding, reading
from nkloop.coordination.reading import read_in_turn
from nkloop.drivers.bench import load_bench_file
from nkloop.drivers.interfaces import unguarded
from nkloop.drivers.opentrons import FlexPlateReader
from nkloop.records import Records
from nkloop.runs.session import Session

DEVICE = "flex bench: flex"
REQUEST = ReadRequest(barcode="P-1", load_name="plate", mode="absorbance", wavelength_nm=450)


def on_deck() -> FlexPlateReader:
    """A reader that a run of the robot opens."""
    deck = load_bench_file(Path(__file__).resolve().parents[2] / "devices" / "flex_byonoy.yaml").deck
    return FlexPlateReader("deck reader", "http://r", catalogue=cast(Any, None), deck=deck)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(f"sqlite:///{tmp_path / 'records.db'}")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def holders(records: Records, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the robot is held for at each reading."""
    seen: list[str] = []

    async def read(bench: Any, request: ReadRequest, records: Records, **_: Any) -> Reading:
        open_ones = [one for one in records.claims.holders() if one.released_at is None]
        seen.append(", ".join(one.holder for one in open_ones))
        return Reading(
            barcode=request.barcode, mode="absorbance", values={"A1": 0.5}, instrument="R", serial_number="",
            read_at=datetime(2026, 11, 23, tzinfo=UTC),
        )  # fmt: skip

    async def nothing_open(session: Session) -> tuple[()]:
        return ()

    monkeypatch.setattr(reading, "read_plate", read)
    monkeypatch.setattr(holding, "recover", nothing_open)
    return seen


def session(records: Records, reader: object) -> Session:
    file = SimpleNamespace(name="flex bench", locks=())
    handler = SimpleNamespace(name="flex", fence=unguarded)
    bench = SimpleNamespace(
        name="flex bench", file=file, liquid_handler=handler, plate_reader=reader, whole=None, clock=None
    )
    return cast(Session, SimpleNamespace(bench=bench, bench_file=file, records=records))


async def test_a_reader_on_the_deck_waits_until_the_robot_is_free_and_says_for_whom(
    records: Records, holders: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nkloop")
    other = records.claims.claim((DEVICE,), "feeding of another flow")
    read = asyncio.create_task(read_in_turn(session(records, on_deck()), REQUEST, run_id="run-0007"))
    await asyncio.sleep(0.05)
    assert (holders, read.done()) == ([], False)
    assert f"{DEVICE} is held by {other.holder}; this flow waits in line for it" in caplog.text
    records.claims.release(other)
    assert (await read).barcode == "P-1"
    assert ["reading plate P-1" in one for one in holders] == [True]
    assert all(one.released_at is not None for one in records.claims.holders())


async def test_a_reading_that_is_taken_in_while_the_robot_is_waited_for_is_not_made_again(
    records: Records, holders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Reading(
        barcode="P-1", mode="absorbance", values={"A1": 0.7}, instrument="R", serial_number="",
        read_at=datetime(2026, 11, 23, tzinfo=UTC),
    )  # fmt: skip
    recovered: list[str] = []

    async def recover(session: Session) -> tuple[()]:
        recovered.append(session.bench_file.name)
        return ()

    monkeypatch.setattr(holding, "recover", recover)
    monkeypatch.setattr(records.results, "reading_of", lambda run_id: found if recovered else None)
    assert await read_in_turn(session(records, on_deck()), REQUEST, run_id="run-0007") == found
    assert holders == []


async def test_a_reader_beside_the_robot_does_not_wait_for_it(records: Records, holders: list[str]) -> None:
    records.claims.claim((DEVICE,), "feeding of another flow")
    reader = SimpleNamespace(name="reader of its own")
    assert (await read_in_turn(session(records, reader), REQUEST, run_id="run-0007")).barcode == "P-1"
    assert ["reading plate" in one for one in holders] == [False]
