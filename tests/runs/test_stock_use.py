"""A run reserves before it starts and posts what it took when it is over, however it ends."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta

import pytest

from nkloop.drivers.scanning import Scans
from nkloop.errors import DeviceError, ShortageError, StaleHolderError
from nkloop.records.models import NOT_FROM_HERE, JournalEvent, OperatorAction, RunDecision, StepEvent, StepRuling
from nkloop.reports import run_html, run_sheet_html, run_sheets, sheets_markdown
from nkloop.runs.follow_up import continued
from nkloop.runs.lot_scans import lots_to_scan
from nkloop.runs.people import answer_pause, load_deck
from nkloop.runs.requests import what_is
from nkloop.runs.session import Session
from nkloop.runs.stock_use import (
    HOLD,
    containers_of,
    containers_of_run,
    reservation_name,
    settle_runs,
    stock_held,
    take_out,
)
from nkloop.runs.story import run_story
from nkloop.runs.ways import fates_of
from nkloop.worklists.lots import lot_facts
from nkloop.worklists.models import DeckItem, Filling, Liquid, OperatorTask, Step, Worklist

from .conftest import AT, FakeOperator, Journalled

BENCH = "virtual"


@pytest.fixture
def dosing() -> Worklist:
    """100 µL of an IL-7 vial on the deck, two draws of 30 µL; cells beside it."""

    def draw(number: int, to: str) -> Step:
        return Step(
            number=number, action="transfer", labware="plate", well="A1", to_labware="plate", to_well=to,
            volume_ul=30, tip="tips:A1" if number == 1 else "",
        )  # fmt: skip

    stock = Liquid(name="IL-7", per_ul={"IL-7": 100.0}, lot="LOT-IL7-01")
    cells = Liquid(name="cells", per_ul={"cells": 1.0}, lot="donor:U1")
    return Worklist(
        name="dose",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="plate", slot="D2", load_name="corning_96_wellplate_360ul_flat", barcode="P-1"),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_tiprack_1000ul"),
        ),
        fillings=(
            Filling(labware="plate", well="A1", volume_ul=100, liquid=stock),
            Filling(labware="plate", well="H1", volume_ul=50, liquid=cells),
        ),
        steps=(draw(1, "B1"), draw(2, "C1")),
        use_until=date(2026, 1, 6),
    )


@pytest.fixture
def stocked(session: Session) -> Session:
    session.records.stock.import_lots(BENCH, session.inventory, by="Ada", at=AT - timedelta(days=400))
    return session


def history(session: Session) -> list[tuple[str, str, float]]:
    rows = session.records.stock.history(BENCH, "LOT-IL7-01")
    return [(row.container, row.kind, row.volume_ul) for row in rows if row.kind != "imported"]


async def test_a_bench_without_stock_runs_as_before(session: Session, dosing: Worklist) -> None:
    async with stock_held(session, dosing) as hold:
        assert hold.picks == ()
    assert session.stocks() is session.inventory


@pytest.mark.parametrize(
    ("event", "drawn"), [pytest.param("done", 60, id="done"), pytest.param("failed", 0, id="failed")]
)
async def test_what_the_steps_drew_and_what_was_left_on_the_deck(
    stocked: Session, dosing: Worklist, journalled: Journalled, event: StepEvent, drawn: float
) -> None:
    async with stock_held(stocked, dosing) as hold:
        (pick,) = hold.picks
        assert [one.container for one in pick.portions] == ["IL7-01-01"]
        assert [one.name for one in stocked.records.stock.reservations(BENCH)] == [reservation_name(dosing)]
        hold.run_id = journalled(dosing, event=event)
    told = history(stocked)
    assert told[0] == ("IL7-01-01", "thawed", 0)
    assert sum(ul for _, kind, ul in told if kind == "taken") == -drawn
    assert sum(ul for _, kind, ul in told if kind == "discarded") == drawn - 100
    assert stocked.records.stock.reservations(BENCH) == ()
    assert stocked.stocks().container("IL7-01-01")[1].volume_ul == 150
    (used,) = stocked.records.stock.used_by(hold.run_id)
    assert (used.lot, used.expires, used.left_ul, used.thaws) == ("LOT-IL7-01", date(2027, 12, 31), 150, 1)
    assert (used.taken_ul, used.discarded_ul) == (drawn, 100 - drawn)
    page = run_html(run_story(stocked.records, hold.run_id))
    assert "IL7-01-01" in page
    assert "2027-12-31" in page


def test_a_person_is_told_which_containers_to_take_out(stocked: Session, dosing: Worklist) -> None:
    many = dosing.model_copy(
        update={"fillings": (dosing.fillings[0].model_copy(update={"volume_ul": 300}), *dosing.fillings[1:])}
    )
    (told,) = take_out(stocked.stocks(), (many,))
    assert told == (
        "LOT-IL7-01: 2 containers pooled: IL7-01-01 220 µL (thaw), IL7-01-02 80 µL (thaw); "
        "30 µL dead volume is discarded"
    )


async def test_the_run_sheet_names_the_containers_of_its_part(stocked: Session, dosing: Worklist) -> None:
    fact = lot_facts(stocked.inventory.lot("LOT-IL7-01"))
    whole = dosing.model_copy(update={"lots": (fact,)})
    fill = whole.fillings[0].model_copy(update={"volume_ul": 150})
    parts = [whole.model_copy(update={"name": name, "fillings": (fill,)}) for name in ("one", "two")]
    each = containers_of(stocked.stocks(), parts)
    sheets = run_sheets(parts, stocked.catalogue, planned_on=AT.date(), containers=each)
    first, second = [[row.containers for row in sheet.take_out if row.lot == fact.id] for sheet in sheets]
    assert first == ["IL7-01-01 150 µL (thaw)"]
    (told,) = second
    assert told.startswith("2 containers pooled: IL7-01-01 70 µL (thaw), IL7-01-02 80 µL (thaw)")
    assert "IL7-01-01 150 µL" in run_sheet_html(sheets[:1], catalogue=stocked.catalogue)
    assert "LOT-IL7-01 (IL7-01-01 150 µL (thaw))" in sheets_markdown(sheets[:1], stocked.catalogue)
    at = await stocked.bench.clock.now()
    assert containers_of_run(stocked, parts[0], at) == {"LOT-IL7-01": first[0]}


def test_a_container_that_was_open_for_too_long_is_refused_at_the_scan(stocked: Session, dosing: Worklist) -> None:
    thawed = {"thawed": AT.date() - timedelta(days=300), "by": "Bo", "at": AT, "reason": "for training"}
    stocked.records.stock.adjust(BENCH, "IL7-01-02", **thawed)
    whole = dosing.model_copy(
        update={"lots": (lot_facts(stocked.inventory.lot("LOT-IL7-01")),), "use_until": AT.date()}
    )
    (lot,) = lots_to_scan(whole, stocked.records, BENCH)
    scans = Scans({}, (lot,), today=AT.date())
    refused = scans.take("IL7-01-02")
    assert not refused.ok
    assert re.match(r"IL7-01-02 was thawed .* good until .*: take another container of lot LOT-IL7-01", refused.told)
    assert scans.take("IL7-01-03").ok
    assert scans.missing == ()
    assert scans.problem == refused.why  # who answers with all codes at once is told it in the same words


async def test_a_run_that_was_never_prepared_gives_everything_back(stocked: Session, dosing: Worklist) -> None:
    with pytest.raises(DeviceError, match="door"):
        async with stock_held(stocked, dosing):
            raise DeviceError("the door is open")
    assert stocked.records.stock.reservations(BENCH) == ()
    assert history(stocked) == []


async def test_an_interrupted_run_posts_what_it_took(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    async def interrupted() -> None:
        async with stock_held(stocked, dosing) as hold:
            hold.run_id = journalled(dosing, state="interrupted", event="unknown")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await interrupted()
    assert sum(ul for _, _, ul in history(stocked)) == -100


def test_a_run_that_was_not_begun_from_here_took_no_lots(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    """It drew from what stood on the deck since."""
    first, records = journalled(dosing), stocked.records
    claim = records.claims.claim(("flex",), "test")
    unknown = [JournalEvent(number=n, event="unknown", at=AT, device="flex") for n in (1, 2)]
    again = records.journal.note_foreign(
        first, "again", unknown, at=AT, error=f"flex did it, which {NOT_FROM_HERE}", device_serial=None, claim=claim
    )
    assert records.journal.run(again).is_foreign
    assert settle_runs(stocked, at=AT) == (first,)


async def test_what_a_run_took_is_parted_anew_when_its_device_tells_after_all_what_its_steps_did(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    """It was given up as lost, so that all counted as left over on the deck."""
    async with stock_held(stocked, dosing) as hold:
        hold.run_id = run_id = journalled(dosing, state="interrupted", event="unknown")
    plate, tips = dosing.deck
    other = dosing.model_copy(update={"name": "later", "deck": (plate.model_copy(update={"barcode": "P-2"}), tips)})
    later = journalled(other, state="interrupted", event="failed")
    settle_runs(stocked, at=AT)
    records, before = stocked.records, history(stocked)
    told = [JournalEvent(number=n, event="done", at=AT + timedelta(minutes=5), device="flex") for n in (1, 2)]
    records.journal.judge_anew(run_id, told, "interrupted", error="")
    assert settle_runs(stocked, at=AT) == (run_id,)
    added = history(stocked)[len(before) :]
    assert added == [("IL7-01-01", "taken", -60), ("IL7-01-01", "discarded", 60)]
    assert [(one.taken_ul, one.discarded_ul) for one in records.stock.used_by(run_id)] == [(60, 40)]
    assert [(one.taken_ul, one.left_ul) for one in records.stock.used_by(later)] == [(0, 50)]
    assert records.stock.used_by(run_id)[0].left_ul == 150, "as it was right after the run"
    assert settle_runs(stocked, at=AT) == (), "once"
    assert records.audit.verify_chain() == ()


async def test_what_was_taken_since_the_plan_is_told_before_the_run(stocked: Session, dosing: Worklist) -> None:
    stocked.records.stock.set_state(BENCH, "LOT-IL7-01", "blocked", by="QA", at=AT, reason="recalled")
    with pytest.raises(ShortageError, match=r"LOT-IL7-01: 100 µL of IL-7 cannot be taken, it is blocked \(recalled\)"):
        async with stock_held(stocked, dosing):
            pytest.fail("the run must not start")


async def test_the_same_worklist_reserves_again_after_a_crash(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    stock = stocked.records.stock
    now = await stocked.bench.clock.now()
    stock.reserve(
        BENCH, reservation_name(dosing), {"LOT-IL7-01": 100}, use_until=now.date(), until=now + timedelta(days=1),
        by="nkloop", at=now,
    )  # fmt: skip
    async with stock_held(stocked, dosing) as hold:
        assert len(stock.reservations(BENCH)) == 1
        hold.run_id = journalled(dosing)
    assert stock.reservations(BENCH) == ()


async def test_a_run_that_goes_on_elsewhere_is_posted_by_whoever_closes_it(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    async def taken_over() -> None:
        async with stock_held(stocked, dosing) as hold:
            hold.run_id = journalled(dosing, state="running", event="sent")
            raise StaleHolderError("the device is another's")

    with pytest.raises(StaleHolderError):
        await taken_over()
    (run_id,) = (run.id for run in stocked.records.journal.runs())
    assert history(stocked) == []
    later = AT + timedelta(hours=1)
    assert settle_runs(stocked, at=later) == ()
    stocked.records.journal.append_event(run_id, [1, 2], "done", at=later, device="flex")
    stocked.records.journal.set_run_state(run_id, "succeeded", ended_at=later)
    assert settle_runs(stocked, at=later) == (run_id,)
    assert settle_runs(stocked, at=later) == ()
    assert [ul for _, kind, ul in history(stocked) if kind == "taken"] == [-60]
    assert stocked.records.stock.reservations(BENCH) == ()


async def test_what_a_dead_flow_took_is_posted_before_the_same_worklist_reserves_again(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    stock, now = stocked.records.stock, await stocked.bench.clock.now()
    name, until = reservation_name(dosing), now + timedelta(days=1)
    stock.reserve(BENCH, name, {"LOT-IL7-01": 100}, use_until=now.date(), until=until, by="nkloop", at=AT - HOLD)
    journalled(dosing)
    async with stock_held(stocked, dosing):
        assert [ul for _, kind, ul in history(stocked) if kind == "taken"] == [-60]
        assert len(stock.reservations(BENCH)) == 1


def test_a_run_that_took_nothing_leaves_what_a_later_run_of_its_worklist_took_over(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    stock, name = stocked.records.stock, reservation_name(dosing)
    day, until = AT.date(), AT + HOLD
    stock.reserve(BENCH, "seed", {"LOT-IL7-01": 100}, use_until=day, until=until, by="Ada", at=AT)
    (plan,) = stock.reservations(BENCH)
    declined = journalled(dosing, state="planned")
    stocked.records.journal.set_run_state(declined, "failed", ended_at=AT)
    stock.take_over(
        BENCH, plan.number, name, {"LOT-IL7-01": 100}, part=None, use_until=day, until=until, by="nkloop", at=AT
    )
    killed = journalled(dosing, state="interrupted", event="unknown")
    assert settle_runs(stocked, at=AT) == (killed,)
    assert sum(ul for _, _, ul in history(stocked)) == -100
    assert stock.reservations(BENCH) == ()


@pytest.mark.parametrize(
    ("scans", "loaded_ul", "taken"),
    [
        pytest.param(("P-1", "LOT-IL7-01"), 100, {"IL7-01-01": 100}, id="only-the-lot"),
        pytest.param(("P-1", "IL7-01-03"), 100, {"IL7-01-03": 100}, id="another"),
        pytest.param(("IL7-01-02",), 300, {"IL7-01-01": 220, "IL7-01-02": 80}, id="one-of-the-pooled"),
        pytest.param(("IL7-01-03",), 300, {"IL7-01-01": 80, "IL7-01-03": 220}, id="another-in-the-pool"),
    ],
)
async def test_the_containers_that_were_scanned_are_those_that_are_booked(
    stocked: Session,
    dosing: Worklist,
    journalled: Journalled,
    scans: tuple[str, ...],
    loaded_ul: float,
    taken: dict[str, float],
) -> None:
    dosing = dosing.model_copy(
        update={"fillings": (dosing.fillings[0].model_copy(update={"volume_ul": loaded_ul}), *dosing.fillings[1:])}
    )
    async with stock_held(stocked, dosing) as hold:
        hold.run_id = journalled(dosing)
        bench = replace(stocked.bench, operator=FakeOperator(scans=scans))
        await load_deck(dosing, bench, stocked.records, hold.run_id)
        (held,) = stocked.records.stock.reservations(BENCH)
        assert held.volumes == taken
    used = stocked.records.stock.used_by(hold.run_id)
    # an emptied vial loses its dead volume, too
    assert {one.container: min(one.taken_ul + one.discarded_ul, 220) for one in used} == taken
    assert all(one.thaws == 1 for one in used)
    assert stocked.records.stock.reservations(BENCH) == ()
    assert stocked.records.audit.verify_chain() == ()


async def test_two_vials_that_are_needed_are_both_booked_and_the_first_is_emptied_first(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    stocked.records.stock.adjust(BENCH, "IL7-01-03", volume_ul=80.0, by="Bo", at=AT, reason="was used")
    dosing = dosing.model_copy(update={"lots": (lot_facts(stocked.inventory.lot("LOT-IL7-01")),)})
    async with stock_held(stocked, dosing) as hold:
        hold.run_id = journalled(dosing)
        (lot,) = lots_to_scan(dosing, stocked.records, BENCH)
        scans = Scans({}, (lot,), today=AT.date())
        scans.take_all("IL7-01-03 IL7-01-02")
        assert (scans.problem, scans.taken) == ("", ["IL7-01-03", "IL7-01-02"])
        assert scans.take("IL7-01-01").is_wrong
        bench = replace(stocked.bench, operator=FakeOperator(scans=("P-1", *scans.taken)))
        await load_deck(dosing, bench, stocked.records, hold.run_id)
        (held,) = stocked.records.stock.reservations(BENCH)
        assert held.volumes == {"IL7-01-03": 50, "IL7-01-02": 50}


def test_a_code_of_an_expired_lot_is_known_with_its_date_and_a_lot_to_take_instead(stocked: Session) -> None:
    lot = stocked.inventory.lot("LOT-IL7-01")
    container = lot.containers[0].model_copy(update={"barcode": "OLD-1"})
    old = {"id": "LOT-IL7-00", "expires": date(2020, 1, 31), "containers": (container,), "volume": container.volume}
    both = stocked.inventory.model_copy(update={"lots": (lot.model_copy(update=old), lot)})
    known = what_is("OLD-1", both)
    assert known is not None
    assert (f"{known}", known.expires) == ("IL-7, lot LOT-IL7-00", date(2020, 1, 31))
    assert known.instead == f"lot LOT-IL7-01, use by {lot.expires}"
    assert what_is("nothing", both) is None


async def test_a_vial_that_a_step_thaws_is_scanned_at_that_step_and_not_at_loading(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    task = OperatorTask(kind="thaw", instruction="Thaw on ice", labware=("plate",), wells=("A1",))
    pause = Step(number=1, action="pause", operator=task)
    steps = (pause, *(step.model_copy(update={"number": step.number + 1}) for step in dosing.steps))
    fact = lot_facts(stocked.inventory.lot("LOT-IL7-01"))
    whole = dosing.model_copy(update={"steps": steps, "lots": (fact,)})
    operator = FakeOperator(scans=("P-1", "IL7-01-03"))
    bench = replace(stocked.bench, operator=operator)

    async def settled() -> str:
        return ""

    async with stock_held(stocked, whole) as hold:
        hold.run_id = journalled(whole, state="running", event="sent")
        await load_deck(whole, bench, stocked.records, hold.run_id)
        await answer_pause("step 1: thaw", whole, bench, stocked.records, hold.run_id, moot=settled)
        loading, thawing = operator.asked
        assert loading.lots == ()
        (later,) = loading.later_lots
        (lot,) = thawing.lots
        assert (later.step, lot.reserved, lot.needs_ul) == (1, ("IL7-01-03",), 100)
        assert lot.goes_to == "slot D2: A1 100 µL"
        (held,) = stocked.records.stock.reservations(BENCH)
        assert held.volumes == {"IL7-01-03": 100}


def with_a_thaw(session: Session, dosing: Worklist) -> Worklist:
    """The dosing with a first transfer of cells, and then a step that thaws the IL-7 and sets it on the deck."""
    first = dosing.steps[0].model_copy(update={"well": "H1", "to_well": "H2", "volume_ul": 20, "tip": "tips:B1"})
    task = OperatorTask(kind="thaw", instruction="Thaw on ice", labware=("plate",), wells=("A1",))
    pause = Step(number=2, action="pause", operator=task)
    steps = (first, pause, *(step.model_copy(update={"number": step.number + 2}) for step in dosing.steps))
    fact = lot_facts(session.inventory.lot("LOT-IL7-01"))
    return dosing.model_copy(update={"steps": steps, "lots": (fact,)})


@pytest.mark.parametrize("behind", ["failed", "unknown"])
async def test_a_vial_that_nobody_brought_yet_stays_in_the_stock_and_is_scanned_in_the_rest(
    stocked: Session, dosing: Worklist, journalled: Journalled, behind: StepEvent
) -> None:
    whole, journal = with_a_thaw(stocked, dosing), stocked.records.journal
    async with stock_held(stocked, whole) as hold:
        hold.run_id = run_id = journalled(whole, state="running", event="sent")
        events: tuple[tuple[int, StepEvent], ...] = ((1, "done"), (2, behind), (3, behind), (4, behind))
        journal.append_events(run_id, [JournalEvent(number=number, event=event, at=AT) for number, event in events])
        journal.set_run_state(run_id, "interrupted", ended_at=AT)
    assert history(stocked) == []
    assert stocked.records.stock.reservations(BENCH) == ()
    rulings = [StepRuling(number=number, happened=False) for number in (2, 3, 4)]
    fates = fates_of(whole, journal.events(run_id), rulings)
    rest = continued(run_id, whole, fates, stocked.catalogue, stocked.bench_file.deck)
    (thaw,) = (step.number for step in rest.steps if step.action == "pause")
    assert [one.lot for one in lots_to_scan(rest, stocked.records, BENCH, step=thaw)] == ["LOT-IL7-01"]
    assert {one.well: one.liquid.lot for one in rest.fillings if one.well in {"A1", "H1"}} == {
        "A1": "LOT-IL7-01",
        "H1": f"left:{run_id}:U1",
    }


async def test_a_vial_whose_step_somebody_confirmed_has_come_to_the_deck(
    stocked: Session, dosing: Worklist, journalled: Journalled
) -> None:
    journal = stocked.records.journal
    async with stock_held(stocked, with_a_thaw(stocked, dosing)) as hold:
        hold.run_id = journalled(with_a_thaw(stocked, dosing), state="interrupted", event="unknown")
        journal.add_action(
            OperatorAction(run_id=hold.run_id, step=2, at=AT, confirmed_by="Ada", title="thaw", instruction="Thaw")
        )
    assert history(stocked)[0] == ("IL7-01-01", "thawed", 0)
    assert sum(ul for _, kind, ul in history(stocked) if kind == "discarded") == -100


@pytest.mark.parametrize("is_beside_another", [False, True])
async def test_a_vial_of_a_step_that_people_say_happened_is_posted_behind_their_decision(
    stocked: Session, dosing: Worklist, journalled: Journalled, is_beside_another: bool
) -> None:
    records, whole = stocked.records, with_a_thaw(stocked, dosing)
    if is_beside_another:
        loaded = Filling(
            labware="plate", well="H5", volume_ul=40, liquid=Liquid(name="IL-15", per_ul={}, lot="LOT-IL15-01")
        )
        whole = whole.model_copy(update={"fillings": (*whole.fillings, loaded)})
    async with stock_held(stocked, whole) as hold:
        hold.run_id = run_id = journalled(whole, state="interrupted", event="unknown")
    assert history(stocked) == []
    assert records.stock.is_posted(run_id) == is_beside_another
    said = (
        StepRuling(number=1, happened=True),
        StepRuling(number=2, happened=True),
        StepRuling(number=3, happened=True),
    )
    records.decisions.add(
        RunDecision(
            run_id=run_id,
            at=AT,
            by="Ada",
            decision="continue",
            reason="seen",
            rulings=(*said, StepRuling(number=4, happened=False)),
        )
    )
    assert settle_runs(stocked, at=AT) == (run_id,)
    assert sum(ul for _, kind, ul in history(stocked) if kind == "discarded") == -100
    assert settle_runs(stocked, at=AT) == (), "once"
    assert records.audit.verify_chain() == ()
