"""A run takes over what its plan has reserved: nothing twice, the rest for later parts, all back when it fails."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from nkloop.errors import DeviceError, InventoryError, ShortageError
from nkloop.inventory import Inventory
from nkloop.runs.reserved_plans import as_planned, named, plan_on_stock, reserved_parts
from nkloop.runs.session import Session
from nkloop.runs.stock_use import reservation_name, settle_run, stock_held
from nkloop.worklists.csv_format import from_csv, to_csv
from nkloop.worklists.models import DeckItem, Filling, Liquid, LotFacts, Step, Worklist
from nkloop.worklists.parts import PlanInParts, in_order, only_worklist

from .conftest import AT, Journalled

BENCH, LOT = "virtual", "LOT-IL7-01"


def part(number: int, volume_ul: float, draws: float = 30.0) -> Worklist:
    """A run that puts so much IL-7 on the deck and draws some of it."""
    stock = Liquid(name="IL-7", per_ul={"IL-7": 100.0}, lot=LOT)
    return Worklist(
        name=f"dose, part {number} of 2",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="plate", slot="D2", load_name="corning_96_wellplate_360ul_flat", barcode="P-1"),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_tiprack_1000ul"),
        ),
        fillings=(Filling(labware="plate", well="A1", volume_ul=volume_ul, liquid=stock),),
        steps=(
            Step(
                number=1, action="transfer", labware="plate", well="A1", to_labware="plate", to_well=f"B{number}",
                volume_ul=draws, tip="tips:A1",
            ),
        ),
        lots=(LotFacts(id=LOT, component="IL-7", expires=date(2027, 12, 31), on_hand_ul=500),),
        use_until=date(2026, 1, 6),
    )  # fmt: skip


@pytest.fixture
def stocked(session: Session) -> Session:
    session.records.stock.import_lots(BENCH, session.inventory, by="Ada", at=AT - timedelta(days=400))
    return session


async def reserved(session: Session, *worklists: Worklist, name: str = "batch 7", days: float = 3) -> datetime:
    now = await session.bench.clock.now()
    stock = session.stocks(now)
    parts = reserved_parts(worklists, stock)
    total = sum(told.volumes[LOT] for _, told in parts)
    session.records.stock.reserve(
        BENCH, name, {LOT: total}, use_until=date(2026, 1, 6), until=now + timedelta(days=days), by="Ada", at=now,
        parts=parts,
    )  # fmt: skip
    return now


def held(session: Session) -> dict[str, float]:
    return {one.name: sum(one.volumes.values()) for one in session.records.stock.reservations(BENCH)}


async def test_each_part_takes_its_share_and_the_last_gives_the_rest_back(
    stocked: Session, journalled: Journalled
) -> None:
    first, second = part(1, 100), part(2, 60)
    await reserved(stocked, first, second)
    async with stock_held(stocked, first) as hold:
        assert held(stocked) == {"batch 7": 60, reservation_name(first): 100}
        assert hold.notes == ("takes over what 'batch 7' (Ada) has reserved for part 1 of this plan",)
        hold.run_id = journalled(first)
    assert held(stocked) == {"batch 7": 60}
    async with stock_held(stocked, second) as hold:
        assert held(stocked) == {reservation_name(second): 60}
        hold.run_id = journalled(second)
    assert held(stocked) == {}
    taken = [row for row in stocked.records.stock.history(BENCH, LOT) if row.kind in {"taken", "discarded"}]
    assert sum(row.volume_ul for row in taken) == -160
    story = [(one.name, one.what, one.volume_ul) for one in stocked.records.stock.holds(BENCH, LOT)]
    assert story == [
        ("batch 7", "reserved", 160), ("batch 7", "taken over", 160),
        (reservation_name(first), "reserved", 100), (reservation_name(first), "posted", 100),
        ("batch 7", "reserved", 60), ("batch 7", "taken over", 60),
        (reservation_name(second), "reserved", 60), (reservation_name(second), "posted", 60),
    ]  # fmt: skip
    assert stocked.records.audit.verify_chain() == ()


async def test_a_reserved_plan_that_needs_the_whole_lot_runs_and_another_plan_is_refused(
    stocked: Session, journalled: Journalled
) -> None:
    whole = sum(one.volume_ul - one.dead_ul for one in stocked.stocks().lot(LOT).vessels)
    mine, other = part(1, whole), part(2, 100)
    await reserved(stocked, mine)
    with pytest.raises(ShortageError, match=r"(?s)reserved for batch 7.*another version of this plan.*lots release"):
        async with stock_held(stocked, other):
            pass
    async with stock_held(stocked, mine) as hold:
        hold.run_id = journalled(mine)
    assert stocked.stocks().lot(LOT).volume_ul == pytest.approx(0)


async def test_the_robots_table_alone_finds_its_plan_and_its_lots(stocked: Session, journalled: Journalled) -> None:
    planned = part(1, 100)
    now = await reserved(stocked, planned)
    table = from_csv(to_csv(planned), name="from the memory stick", procedure="cytokine_dosing")
    assert as_planned(stocked.records, BENCH, table, now) == planned
    async with stock_held(stocked, table) as hold:
        assert [one.lot.id for one in hold.picks] == [LOT]
        hold.run_id = journalled(table)
    (used,) = stocked.records.stock.used_by(hold.run_id)
    assert (used.taken_ul, used.discarded_ul) == (30, 70)
    assert held(stocked) == {}


async def test_the_same_work_under_another_name_and_day_is_the_same_plan(
    stocked: Session, journalled: Journalled
) -> None:
    await reserved(stocked, part(1, 100))
    later = part(1, 100).model_copy(update={"name": "dose of another day", "use_until": date(2026, 1, 7)})
    async with stock_held(stocked, later) as hold:
        assert held(stocked) == {reservation_name(later): 100}
        hold.run_id = journalled(later)


@pytest.mark.parametrize("released", [pytest.param(False, id="kept"), pytest.param(True, id="released_meanwhile")])
async def test_a_run_that_never_began_gives_its_share_back_to_the_plan(stocked: Session, released: bool) -> None:
    first, second = part(1, 100), part(2, 60)
    now = await reserved(stocked, first, second)

    async def begun() -> None:
        async with stock_held(stocked, first):
            if released:
                stocked.records.stock.release(BENCH, "batch 7", by="Bo", at=now, why="not needed")
            raise DeviceError("the door is open")

    with pytest.raises(DeviceError, match="door"):
        await begun()
    assert held(stocked) == ({} if released else {"batch 7": 160})
    if not released:
        (again,) = stocked.records.stock.reservations(BENCH)
        assert [one.part for one in again.parts] == [1, 2]
        async with stock_held(stocked, first) as hold:
            assert held(stocked)[reservation_name(first)] == 100
            assert "takes over" in hold.notes[0]


async def test_a_run_killed_half_way_is_planned_again_without_reserving_twice(stocked: Session) -> None:
    first, second = part(1, 100), part(2, 60)
    now = await reserved(stocked, first, second)
    (plan,) = stocked.records.stock.reservations(BENCH)
    stocked.records.stock.take_over(
        BENCH, plan.number, reservation_name(first), {LOT: 100}, part=1, use_until=date(2026, 1, 6),
        until=now + timedelta(days=1), by="nkloop", at=now,
    )  # fmt: skip

    async def begun_again() -> None:
        async with stock_held(stocked, first) as hold:
            assert held(stocked) == {"batch 7": 60, reservation_name(first): 100}
            assert hold.notes == ()
            raise DeviceError("gone")

    with pytest.raises(DeviceError, match="gone"):
        await begun_again()
    assert held(stocked) == {"batch 7": 160}


async def test_a_plan_edited_after_reserving_is_told(stocked: Session, journalled: Journalled) -> None:
    await reserved(stocked, part(1, 100))
    edited = part(1, 110)
    async with stock_held(stocked, edited) as hold:
        (told,) = hold.notes
        hold.run_id = journalled(edited)
    assert f"{part(1, 100).content_hash[:8]} was reserved, {edited.content_hash[:8]} is run" in told
    assert "nkloop lots release 'batch 7'" in told
    assert held(stocked) == {"batch 7": 100}


async def test_a_hold_that_ran_out_is_told_and_reserved_anew(stocked: Session, journalled: Journalled) -> None:
    mine = part(1, 100)
    now = await stocked.bench.clock.now()
    parts = reserved_parts([mine], stocked.stocks(now))
    stocked.records.stock.reserve(
        BENCH, "batch 7", {LOT: 100}, use_until=mine.use_until or now.date(), until=now - timedelta(hours=1), by="Ada",
        at=now - timedelta(days=2), parts=parts,
    )  # fmt: skip
    async with stock_held(stocked, mine) as hold:
        assert "which is over" in hold.notes[0]
        hold.run_id = journalled(mine)
    with pytest.raises(InventoryError, match=r"was kept until .* now it is free for all"):
        named(stocked.records, BENCH, "batch 7", now)


async def test_a_named_reservation_serves_another_plan(stocked: Session, journalled: Journalled) -> None:
    now = await reserved(stocked, part(1, 100))
    other = part(2, 40)
    async with stock_held(stocked, other, reservation="batch 7") as hold:
        assert held(stocked) == {"batch 7": 60, reservation_name(other): 40}
        assert "was reserved for another plan" in hold.notes[0]
        hold.run_id = journalled(other)
    with pytest.raises(InventoryError, match=r"'batch 8' has reserved nothing.*reserved by: batch 7"):
        named(stocked.records, BENCH, "batch 8", now)


async def test_a_run_whose_program_was_killed_is_posted_later_and_once(
    stocked: Session, journalled: Journalled
) -> None:
    planned = part(1, 100)
    now = await reserved(stocked, planned)
    table = from_csv(to_csv(planned), name="from the memory stick", procedure="cytokine_dosing")
    (plan,) = stocked.records.stock.reservations(BENCH)
    stocked.records.stock.take_over(
        BENCH, plan.number, reservation_name(planned), {LOT: 100}, part=1, use_until=date(2026, 1, 6),
        until=now + timedelta(days=1), by="nkloop", at=now,
    )  # fmt: skip
    run_id = journalled(table)
    stock, late = stocked.records.stock, now + timedelta(days=2)
    settled = [settle_run(stocked.records, stocked.catalogue, stocked.bench_file, run_id, at=late) for _ in range(2)]
    assert settled == [True, False]
    (used,) = stock.used_by(run_id)
    assert (used.taken_ul, used.discarded_ul) == (30, 70)
    assert held(stocked) == {}


async def test_planning_again_counts_the_own_reservation_as_free(stocked: Session) -> None:
    whole = sum(one.volume_ul - one.dead_ul for one in stocked.stocks().lot(LOT).vessels)
    mine = part(1, whole)
    now = await reserved(stocked, mine)

    def plan(stocks: Inventory, wanted: Worklist) -> PlanInParts:
        stocks.pick_from(LOT, wanted.fillings[0].volume_ul, date(2026, 1, 6))
        return PlanInParts(parts=in_order((wanted,)))

    def planned(wanted: Worklist, **more: str) -> Worklist:
        return only_worklist(plan_on_stock(stocked, now, lambda stocks: plan(stocks, wanted), **more).parts)

    assert planned(mine) == mine
    with pytest.raises(ShortageError, match="reserved for batch 7"):
        planned(part(2, 100))
    assert planned(part(2, 100), reservation="batch 7") == part(2, 100)
