"""What containers hold, carried on from the last look: the numbers of a full replay, whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nkloop.inventory import Inventory, Lot
from nkloop.records.database import Database
from nkloop.records.stock import Stock
from nkloop.records.stock_balances import EMPTY, Balance, balance
from nkloop.records.stock_models import ContainerDetail, Posting
from nkloop.records.stock_rows import save_postings

AT = datetime(2027, 1, 10, 9, 0, tzinfo=UTC)


def posting(container: str, ul: float, kind: str = "taken", **more: object) -> Posting:
    fields = {"lot": "SCF-1", "container": container, "kind": kind, "volume_ul": ul, "at": AT, "by": "Ada", "why": "w"}
    return Posting.model_validate({"detail": ContainerDetail(), **fields, **more})


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Database]:
    """`make("a", 100, -30)`: a database with postings of these volumes to container V1 of lot SCF-1."""

    def made(name: str, *volumes: float) -> Database:
        database = Database(f"sqlite:///{tmp_path / name}.db")
        database.migrate()
        with database.writing() as connection:
            for ul in volumes:
                save_postings(connection, "lab", [posting("V1", ul)])
        return database

    return made


def look(database: Database, known: Balance = EMPTY) -> Balance:
    with database.reading() as connection:
        return balance(connection, "lab", known)


def test_only_what_is_newer_is_counted_in(make: Callable[..., Database]) -> None:
    database = make("a", 100)
    first = look(database)
    assert look(database, first) is first
    with database.writing() as connection:
        save_postings(connection, "lab", [posting("V2", 50, "imported")])
        save_postings(connection, "elsewhere", [posting("V1", -1)])
    second = look(database, first)
    assert second == look(database)
    assert (first.n_postings, second.n_postings) == (1, 2)
    assert second.containers["SCF-1"]["V1"] is first.containers["SCF-1"]["V1"]
    assert set(first.containers["SCF-1"]) == {"V1"}
    database.close()


def test_a_container_frozen_again_is_no_longer_thawed(make: Callable[..., Database]) -> None:
    database = make("a", 100)
    thawed = posting("V1", 0, "thawed", thaws=1, detail=ContainerDetail(thawed=AT.date()))
    with database.writing() as connection:
        save_postings(connection, "lab", [thawed])
    liquid = look(database)
    with database.writing() as connection:
        save_postings(connection, "lab", [posting("V1", 0, "refrozen")])
    frozen = look(database, liquid)
    assert liquid.containers["SCF-1"]["V1"].thawed == AT.date()
    assert (frozen.containers["SCF-1"]["V1"].thawed, frozen.containers["SCF-1"]["V1"].freeze_thaws) == (None, 1)
    assert frozen == look(database)
    database.close()


@pytest.mark.parametrize(
    "volumes",
    [pytest.param((70,), id="fewer postings"), pytest.param((10, 20, 30, 40), id="more"), pytest.param((), id="none")],
)
def test_a_database_brought_back_from_a_copy_is_replayed(
    make: Callable[..., Database], volumes: tuple[float, ...]
) -> None:
    database, copy = make("a", 100, -30), make("b", *volumes)
    known = look(database)
    if len(volumes) > known.n_postings:  # as ids go on, more postings are found after the known ones
        assert look(copy, known).n_postings == len(volumes)
    else:
        assert look(copy, known) == look(copy)
    database.close()
    copy.close()


def test_a_change_that_is_rolled_back_leaves_nothing(
    make: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make("a")
    stock = Stock(database)
    vial = {"barcode": "V1", "kind": "cryovial", "volume": "100 µL"}
    lot = Lot.model_validate(
        {
            "id": "SCF-1", "component": "SCF", "lot_number": "L1", "supplier": "maker", "concentration": "100 µg/mL",
            "containers": [vial], "expires": "2027-06-30",
        }
    )  # fmt: skip
    stock.import_lots("lab", Inventory(lots=(lot,)), by="Ada", at=AT)
    before = stock.inventory("lab")

    def broken(*given: object) -> Balance:
        raise RuntimeError("the machine goes down")

    with monkeypatch.context() as patched:
        real, looks = balance, iter([True, False])
        patched.setattr("nkloop.records.stock.balance", lambda *given: real(*given) if next(looks) else broken(*given))
        with pytest.raises(RuntimeError, match="goes down"):
            stock.adjust("lab", "V1", by="Ada", at=AT, reason="counted", volume_ul=60)
    assert stock.inventory("lab") == before
    _, after = stock.adjust("lab", "V1", by="Ada", at=AT, reason="counted", volume_ul=80)
    assert after.volume_ul == 80
    assert stock.inventory("lab") == Stock(database).inventory("lab")
    database.close()
