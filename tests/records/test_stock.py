"""The stock: imported once, reserved, posted, adjusted; conserved, never negative, never given twice."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import InventoryError, NkloopError, RecordError, ShortageError
from nkloop.inventory import Inventory, Lot
from nkloop.records import Records
from nkloop.records.models import Context
from nkloop.records.stock import Stock
from nkloop.records.stock_models import ReservedPart, Taken
from nkloop.worklists.models import Verdict, Worklist

AT = datetime(2027, 1, 10, 9, 0, tzinfo=UTC)
DAY = AT.date()
LATER = AT + timedelta(days=1)
SERVER = "postgresql+psycopg://root@127.0.0.1:5432/test"


def lot(lot_id: str = "SCF-1", *volumes: str, **changes: Any) -> Lot:
    """Three cryovials of SCF unless said otherwise."""
    vials = [
        {"barcode": f"{lot_id}-V{number}", "kind": "cryovial", "volume": volume}
        for number, volume in enumerate(volumes or ("100 µL", "100 µL", "100 µL"), 1)
    ]
    fields: dict[str, Any] = {
        "id": lot_id, "component": "SCF", "lot_number": "L1", "supplier": "maker", "concentration": "100 µg/mL",
        "containers": vials, "expires": "2027-06-30", "storage": "-80 °C", "opened_life": "7 d", "price_eur": 300,
    }  # fmt: skip
    return Lot.model_validate(fields | changes)


def listed(*lots: Lot) -> Inventory:
    return Inventory(lots=lots or (lot(),))


def load(records: Records, *lots: Lot, bench: str = "lab") -> None:
    records.stock.import_lots(bench, listed(*lots), by="Ada", at=AT)


def reserve(
    records: Records, name: str, ul: float, lot_id: str = "SCF-1", bench: str = "lab", at: datetime = AT
) -> Any:
    return records.stock.reserve(bench, name, {lot_id: ul}, use_until=DAY, until=at + timedelta(days=1), by="Bo", at=at)


def now(records: Records, bench: str = "lab", at: datetime | None = None) -> Inventory:
    found = records.stock.inventory(bench, at=at)
    assert found is not None
    return found


@pytest.fixture
def run_id(records: Records, worklist: Worklist, verdict: Verdict) -> str:
    return records.journal.create_run(worklist, verdict, bench="lab", device="flex", at=AT, context=Context())


def test_a_bench_has_no_stock_before_an_import(records: Records) -> None:
    assert records.stock.inventory("lab") is None
    with pytest.raises(InventoryError, match=r"no lot list was imported yet.*lots import FILE"):
        reserve(records, "plan", 10)


def test_an_import_gives_the_list_back_and_a_second_one_changes_nothing(records: Records) -> None:
    first = records.stock.import_lots("lab", listed(), by="Ada", at=AT)
    again = records.stock.import_lots("lab", listed(), by="Ada", at=LATER)
    assert [one.action for one in first.lots] == ["new"]
    assert first.lots[0].details == ("SCF, 300 µL in 3 containers",)
    assert [one.action for one in again.lots] == ["unchanged"]
    stood = now(records).lot("SCF-1")
    assert (stood.containers, stood.price_eur) == (lot().containers, pytest.approx(300))
    assert len(records.stock.history("lab", "SCF-1")) == 3
    assert records.audit.verify_chain() == ()


def test_benches_have_stocks_of_their_own(records: Records) -> None:
    load(records, bench="lab")
    assert records.stock.inventory("other") is None


def test_a_comparison_writes_nothing(records: Records) -> None:
    assert records.stock.compare("lab", listed()).n_changes == 1
    assert records.stock.inventory("lab") is None


def test_amounts_of_known_containers_are_never_overwritten(records: Records) -> None:
    load(records)
    records.stock.adjust("lab", "SCF-1-V1", by="Ada", at=AT, reason="spilled", volume_ul=40)
    report = records.stock.import_lots("lab", listed(), by="Ada", at=LATER)
    assert report.lots[0].details == ("container SCF-1-V1 keeps 40 µL, the list says 100 µL",)
    assert now(records).lot("SCF-1").volume_ul == 240


def test_a_delivery_adds_containers_at_the_known_price_per_volume(records: Records) -> None:
    load(records)
    report = records.stock.import_lots("lab", listed(lot("SCF-1", *["100 µL"] * 4)), by="Ada", at=LATER)
    assert (report.lots[0].action, report.lots[0].details) == ("containers added", ("container SCF-1-V4 with 100 µL",))
    assert now(records).lot("SCF-1").cost_eur(100) == pytest.approx(100)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"concentration": "10 µg/mL"}, "concentration is 100 µg/mL in the stock, 10 µg/mL", id="strength"),
        pytest.param({"expires": "2027-07-30"}, "expires is 2027-06-30 in the stock, 2027-07-30", id="expiry"),
        pytest.param({"component": "TPO"}, "component is SCF in the stock, TPO", id="component"),
        pytest.param({"specific_activity": "1e7 IU/mg"}, "specific_activity is not given", id="certificate value"),
        pytest.param({"buffer": {"DMSO": "1 % v/v"}}, "buffer is not given in the stock, DMSO 1 % v/v", id="buffer"),
    ],
)
def test_a_list_that_contradicts_the_stock_is_refused(records: Records, changes: dict[str, Any], told: str) -> None:
    load(records)
    new = lot("TPO-1", component="TPO")
    with pytest.raises(InventoryError, match=rf"lot SCF-1: {told}.*Remedy: give the new delivery its own lot id"):
        load(records, new, lot(**changes))
    assert [one.id for one in now(records).lots] == ["SCF-1"]
    report = records.stock.import_lots(
        "lab", listed(lot(**changes)), by="Ada", at=LATER, reason="typing error", correct=True
    )
    assert report.lots[0].action == "changed"
    assert [(one.by, one.reason) for one in records.stock.versions("lab", "SCF-1")][-1] == ("Ada", "typing error")


def test_a_barcode_belongs_to_one_lot(records: Records) -> None:
    load(records)
    vial = {"barcode": "SCF-1-V1", "volume": "1 mL"}
    with pytest.raises(InventoryError, match="lot SCF-2: barcode SCF-1-V1 belongs to lot SCF-1 already"):
        load(records, lot("SCF-2", containers=[vial]))


def test_a_list_does_not_release_what_a_person_holds_back(records: Records) -> None:
    load(records)
    records.stock.set_state("lab", "SCF-1", "quarantined", by="QA", at=AT, reason="endotoxin pending")
    load(records, lot(note="new note"))
    assert now(records).lot("SCF-1").state == "quarantined"
    with pytest.raises(ShortageError, match=r"SCF-1: .*it is quarantined \(endotoxin pending\)"):
        reserve(records, "plan", 10)
    records.stock.set_state("lab", "SCF-1", "released", by="QA", at=AT, reason="passed")
    assert reserve(records, "plan", 10)


def test_what_one_plan_reserves_another_cannot_have(records: Records) -> None:
    load(records)
    (pick,) = reserve(records, "monday", 140)
    assert [(one.container, one.volume_ul, one.discarded_ul) for one in pick.portions] == [
        ("SCF-1-V1", 70, 30),
        ("SCF-1-V2", 70, 30),
    ]
    told = "2 containers pooled: SCF-1-V1 70 µL (thaw), SCF-1-V2 70 µL (thaw); 60 µL dead volume is discarded"
    assert pick.sentence == f"SCF-1: {told}"
    with pytest.raises(
        ShortageError, match=r"can give 70 µL of the 300 µL .*140 µL reserved for monday until 2027-01-11"
    ):
        reserve(records, "tuesday", 80)
    assert records.stock.release("lab", "monday", by="Ada", at=AT, why="cancelled")
    assert reserve(records, "tuesday", 80)
    assert not records.stock.release("lab", "monday", by="Ada", at=AT, why="again")


def test_a_name_reserves_once_and_a_reservation_ends_with_its_time(records: Records) -> None:
    load(records)
    reserve(records, "plan", 200)
    with pytest.raises(InventoryError, match="'plan' holds a reservation already"):
        reserve(records, "plan", 10)
    after = AT + timedelta(days=2)
    assert reserve(records, "other", 200, at=after)
    assert [one.name for one in records.stock.reservations("lab", at=after)] == ["other"]


def test_a_shortage_of_many_lots_is_told_at_once(records: Records) -> None:
    load(records, lot("A"), lot("B"))
    with pytest.raises(ShortageError) as caught:
        records.stock.reserve("lab", "p", {"A": 900, "B": 901}, use_until=DAY, until=LATER, by="Bo", at=AT)
    assert [problem.where for problem in caught.value.problems] == ["lot A", "lot B"]
    assert records.stock.reservations("lab") == ()


def test_a_run_posts_what_it_took_once(records: Records, run_id: str) -> None:
    load(records)
    reserve(records, "plan", 100)
    taken = {"SCF-1": Taken(loaded_ul=100, drawn_ul=60), "donor:U1": Taken(loaded_ul=10, drawn_ul=10)}
    made = records.stock.post_run("lab", "plan", run_id, taken, by="Ada", at=LATER)
    assert [(one.container[-2:], one.kind, one.volume_ul) for one in made] == [
        ("V1", "thawed", 0),
        ("V1", "taken", -60),
        ("V1", "discarded", -10),
        ("V1", "discarded", -30),
        ("V2", "thawed", 0),
        ("V2", "discarded", -30),
    ]
    assert made[2].why == f"run {run_id}, left over on the deck"
    assert made[3].why == f"run {run_id}, dead volume of the container"
    assert records.stock.post_run("lab", "plan", run_id, taken, by="Ada", at=LATER) == ()
    assert records.stock.reservations("lab") == ()
    first, second, third = now(records).lot("SCF-1").containers
    assert (first.volume_ul, second.volume_ul, third.volume_ul) == (0, 70, 100)
    assert (second.thawed, second.opened, second.freeze_thaws) == (LATER.date(), LATER.date(), 1)
    assert records.audit.verify_chain() == ()


def test_parts_of_a_container_never_sum_to_more_than_it_holds(records: Records, run_id: str) -> None:
    load(records)
    reserve(records, "plan", 100.011)
    taken = {"SCF-1": Taken(loaded_ul=100.011, drawn_ul=50.0055)}  # half a nanolitre on either side of the cut
    records.stock.post_run("lab", "plan", run_id, taken, by="Ada", at=LATER)
    assert [one.volume_ul for one in now(records).lot("SCF-1").containers] == [0, 69.989, 100]


def test_a_thawed_vial_is_used_first_while_it_keeps(records: Records, run_id: str) -> None:
    load(records)
    reserve(records, "plan", 10)
    records.stock.post_run("lab", "plan", run_id, {"SCF-1": Taken(loaded_ul=10, drawn_ul=10)}, by="Ada", at=AT)
    within, past = DAY + timedelta(days=7), DAY + timedelta(days=8)
    assert [one.container for one in now(records).pick("SCF", 10, within).portions] == ["SCF-1-V1"]
    assert [one.container for one in now(records).pick("SCF", 10, past).portions] == ["SCF-1-V2"]


def test_adjusting_is_written_down_with_who_and_why(records: Records) -> None:
    load(records)
    before, after = records.stock.adjust(
        "lab", "SCF-1-V2", by="Ada", at=AT, reason="taken for training", volume_ul=50, thawed=DAY
    )
    assert (before.volume_ul, after.volume_ul, after.thawed, after.freeze_thaws) == (100, 50, DAY, 1)
    records.stock.adjust("lab", "SCF-1-V2", by="Ada", at=AT, reason="back into the freezer", refrozen=True)
    assert now(records).container("SCF-1-V2")[1].thawed is None
    records.stock.adjust("lab", "SCF-1-V2", by="Bo", at=AT, reason="dropped", discard=True)
    told = [(one.kind, one.volume_ul, one.by, one.why) for one in records.stock.history("lab", "SCF-1")[3:]]
    assert told == [
        ("thawed", 0, "Ada", "taken for training"),
        ("corrected", -50, "Ada", "taken for training"),
        ("refrozen", 0, "Ada", "back into the freezer"),
        ("discarded", -50, "Bo", "dropped"),
    ]
    assert any(entry.who == "Bo" and entry.action == "stock discarded" for entry in records.audit.entries())


@pytest.mark.parametrize(
    ("barcode", "change", "told"),
    [
        pytest.param("SCF-1-V9", {"discard": True}, "no container 'SCF-1-V9' .*did you mean 'SCF-1-V", id="unknown"),
        pytest.param("SCF-1", {"discard": True}, "'SCF-1' is a lot.*scan one of its containers: SCF-1-V1", id="lot"),
        pytest.param("SCF-1-V1", {"volume_ul": -1.0}, "cannot hold -1 µL", id="negative"),
        pytest.param("SCF-1-V1", {"volume_ul": 350.0}, "holds 100 µL by the records, 350 µL is more", id="more"),
        pytest.param("SCF-1-V1", {"volume_ul": 3e7, "more": True}, "cannot hold 30 L: .* at most 5 mL", id="brim"),
        pytest.param("SCF-1-V1", {"opened": date(2028, 1, 1)}, "2028-01-01 is in the future", id="future"),
        pytest.param("SCF-1-V1", {"refrozen": True}, "is not thawed", id="not thawed"),
        pytest.param("SCF-1-V3", {"thawed": DAY}, "has had 1 of 1 thaws", id="thaw limit"),
        pytest.param("SCF-1-V2", {"thawed": DAY}, "is thawed since 2027-01-10", id="thawed twice"),
        pytest.param("SCF-1-V1", {"volume_ul": 10.0}, "60 µL of it are reserved for plan, 10 µL would", id="reserved"),
    ],
)
def test_a_wrong_adjustment_is_refused(records: Records, barcode: str, change: dict[str, Any], told: str) -> None:
    load(records)
    reserve(records, "plan", 60)
    for vial in ("SCF-1-V2", "SCF-1-V3"):
        records.stock.adjust("lab", vial, by="Ada", at=AT, reason="x", thawed=DAY)
    records.stock.adjust("lab", "SCF-1-V3", by="Ada", at=AT, reason="x", refrozen=True)
    before = records.stock.history("lab", "SCF-1")
    with pytest.raises(InventoryError, match=told):
        records.stock.adjust("lab", barcode, by="Ada", at=AT, reason="x", **change)
    assert records.stock.history("lab", "SCF-1") == before


def test_postings_cannot_be_changed(records: Records) -> None:
    load(records)
    for table in ("stock_lots", "stock_postings"):
        with (
            pytest.raises(RecordError, match=f"{table} is append-only"),
            records.stock._database.writing() as connection,
        ):
            connection.execute(sa.text(f"DELETE FROM {table}"))


ACTS = st.lists(
    st.tuples(st.sampled_from(["import", "reserve", "release", "post", "adjust", "discard"]), st.floats(0.001, 150)),
    max_size=10,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    opened = Records(f"sqlite:///{tmp_path_factory.mktemp('stock') / 'records.db'}")
    opened.migrate()
    yield opened
    opened.close()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_stock_is_conserved_and_never_negative(
    shared: Records, worklist: Worklist, verdict: Verdict, acts: list[tuple[str, float]]
) -> None:
    bench = uuid.uuid4().hex
    load(shared, bench=bench)
    brought = 300.0
    for number, (act, ul) in enumerate(acts):
        try:
            brought += _do(shared, bench, act, ul, number, worklist, verdict)
        except NkloopError:
            continue
        _is_sound(shared, bench, brought)


def _do(records: Records, bench: str, act: str, ul: float, number: int, worklist: Worklist, verdict: Verdict) -> float:
    """One act; returns what it brought into the stock from outside."""
    names = [one.name for one in records.stock.reservations(bench)]
    if act == "import":
        new = lot(f"SCF-{number + 2}", "80 µL")
        load(records, lot(), new, bench=bench)
        return 80.0
    if act == "reserve":
        reserve(records, f"plan {number}", ul, bench=bench)
    elif act == "release" and names:
        records.stock.release(bench, names[0], by="Ada", at=AT, why="test")
    elif act == "post" and names:
        run = records.journal.create_run(worklist, verdict, bench=bench, device="flex", at=AT, context=Context())
        # a run that takes more than was held for it takes what others have reserved: then no promise is left to hold
        ul = min(ul, sum(one.volume_ul for one in now(records, bench).held if one.plan == names[0]))
        taken = {"SCF-1": Taken(loaded_ul=ul, drawn_ul=ul / 2)}
        records.stock.post_run(bench, names[0], run, taken, by="Ada", at=AT)
    elif act == "adjust":
        before = now(records, bench).container("SCF-1-V2")[1].volume_ul
        _, after = records.stock.adjust(
            bench, "SCF-1-V2", by="Ada", at=AT, reason="counted", volume_ul=round(ul, 3), more=True
        )
        return after.volume_ul - before
    elif act == "discard":
        records.stock.adjust(bench, "SCF-1-V3", by="Ada", at=AT, reason="dropped", discard=True)
    return 0.0


def _is_sound(records: Records, bench: str, brought: float) -> None:
    stock = now(records, bench)
    assert Stock(records.stock._database).inventory(bench) == stock  # carried on from act to act, and replayed
    rows = [row for one in stock.lots for row in records.stock.history(bench, one.id)]
    gone = -sum(row.volume_ul for row in rows if row.kind in {"taken", "discarded"})
    assert sum(one.volume_ul for one in stock.lots) + gone == pytest.approx(brought, abs=1e-6)
    held: dict[str, float] = {}
    for one in stock.held:
        held[one.container] = held.get(one.container, 0.0) + one.volume_ul
    for one_lot in stock.lots:
        for container in one_lot.vessels:
            assert container.volume_ul >= held.get(container.barcode, 0.0) - 1e-9


def race(open_records: Callable[[], Records]) -> list[str]:
    """Eight plans want the last vial at once; returns the names that got it."""
    first = open_records()
    load(first, lot("SCF-1", "100 µL"))
    gate = threading.Barrier(8)

    def want(number: int) -> str:
        records = open_records()
        gate.wait(timeout=30)
        try:
            reserve(records, f"plan {number}", 60)
            return f"plan {number}"
        except ShortageError:
            return ""
        finally:
            records.close()

    with ThreadPoolExecutor(8) as pool:
        won = [name for name in pool.map(want, range(8)) if name]
    assert [one.name for one in first.stock.reservations("lab")] == won
    assert first.audit.verify_chain() == ()
    first.close()
    return won


def test_two_plans_cannot_both_get_the_last_vial(url: str, records: Records, tmp_path: Path) -> None:
    assert len(race(lambda: Records(url))) == 1


def takeover_race(open_records: Callable[[], Records], worklist: Worklist) -> list[float]:
    """Eight runs want to take over one reservation of the last vials; what each was given, 0 for none."""
    first = open_records()
    load(first, lot("SCF-1", "100 µL"))
    part = ReservedPart(part=1, worklist_hash=worklist.content_hash, csv_sha256="0" * 64, volumes={"SCF-1": 60})
    first.stock.reserve(
        "lab", "batch", {"SCF-1": 60}, use_until=DAY, until=LATER, by="Bo", at=AT, parts=[(worklist, part)]
    )
    (held,) = first.stock.reservations("lab")
    gate = threading.Barrier(8)

    def want(number: int) -> float:
        records = open_records()
        gate.wait(timeout=30)
        try:
            picks = records.stock.take_over(
                "lab", held.number, f"run {number}", {"SCF-1": 60}, part=1, use_until=DAY, until=LATER, by="nkloop",
                at=AT,
            )  # fmt: skip
            return 0.0 if picks is None else sum(one.volume_ul for pick in picks for one in pick.portions)
        finally:
            records.close()

    with ThreadPoolExecutor(8) as pool:
        given_to = list(pool.map(want, range(8)))
    assert len(first.stock.reservations("lab")) == 1
    assert first.audit.verify_chain() == ()
    first.close()
    return given_to


def test_one_run_takes_a_reservation_over(url: str, records: Records, worklist: Worklist) -> None:
    assert sorted(takeover_race(lambda: Records(url), worklist)) == [0.0] * 7 + [60.0]


@pytest.mark.postgres
def test_one_run_takes_a_reservation_over_on_postgresql(worklist: Worklist) -> None:
    name = f"nkloop_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    url = f"{SERVER}?options=-csearch_path%3D{name}"
    try:
        migrated = Records(url)
        migrated.migrate()
        migrated.close()
        assert sorted(takeover_race(lambda: Records(url), worklist)) == [0.0] * 7 + [60.0]
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
        admin.dispose()


@pytest.mark.postgres
def test_two_plans_cannot_both_get_the_last_vial_on_postgresql() -> None:
    name = f"nkloop_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    url = f"{SERVER}?options=-csearch_path%3D{name}"
    try:
        migrated = Records(url)
        migrated.migrate()
        migrated.close()
        assert len(race(lambda: Records(url))) == 1
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
        admin.dispose()
