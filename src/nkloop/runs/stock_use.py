"""What a run takes out of the stock: reserved before it starts, posted as it really was when it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from nkloop.drivers.bench_file import BenchFile
from nkloop.errors import Problem, ShortageError
from nkloop.inventory import Held, Inventory, Pick
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.records.stock_models import Taken
from nkloop.runs.reconcile import reconcile_bench
from nkloop.runs.reserved_plans import OwnShare, as_planned, given_back, named, on_deck, own_share, reservation_name
from nkloop.runs.session import Session
from nkloop.runs.ways import fates_in
from nkloop.worklists.arrivals import brought_in
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.models import Worklist

__all__ = [
    "HOLD",
    "LATEST",
    "StockHold",
    "containers_of",
    "containers_of_run",
    "containers_taken",
    "on_deck",
    "reservation_name",
    "settle_run",
    "settle_runs",
    "stock_held",
    "take_out",
    "taken_by",
]

HOLD = timedelta(days=1)
"""How long a run that never ended keeps what it reserved."""
LATEST = 5
"""Newest runs of a bench whose postings are looked after: a program may be killed after the run and before them."""
SOFTWARE = "nkloop"


@dataclass
class StockHold:
    """What a run has reserved; `run_id` is set when the run is prepared."""

    picks: tuple[Pick, ...] = ()
    run_id: str = ""
    notes: tuple[str, ...] = ()
    """What a person should know: whose reservation was taken over, or why one that looks like this plan's was not."""


@asynccontextmanager
async def stock_held(session: Session, worklist: Worklist, *, reservation: str = "") -> AsyncIterator[StockHold]:
    """Reserve what a worklist takes; at the end post what its run took, or give it back when no run was prepared.

    What the plan of this very worklist has reserved is taken over: nothing is reserved twice. Runs of flows that died
    are closed and posted first, or what they took would be promised once more. A run that is not over at the end (its
    device was lost, or another process has taken it over) is posted by whoever closes it. A bench without a stock in
    the database reserves and posts nothing.

    Args:
        reservation: name a person says the plan was reserved under; found by itself when the plan is the same.

    Raises:
        DeviceHeldError: an open run on the bench belongs to somebody else.
        InventoryError: the named reservation holds nothing.
        ShortageError: somebody else has taken or reserved it since it was planned.
    """
    at = await session.bench.clock.now()
    records, bench = session.records, session.bench_file.name
    await reconcile_bench(session.bench, records)
    settle_runs(session, at=at)
    stock = records.stock.inventory(bench, at=at)
    worklist = as_planned(records, bench, worklist, at)
    volumes = on_deck(worklist, stock) if stock else {}
    if not volumes:
        yield StockHold()
        return
    hold = _reserved(session, worklist, volumes, at, reservation)
    try:
        yield hold
    finally:
        _settle(session, worklist, hold, at)


def take_out(stock: Inventory, parts: Iterable[Worklist]) -> tuple[str, ...]:
    """Which containers a person takes out for a plan of several worklists, one sentence per lot.

    Raises:
        ShortageError: the worklists together need more of a lot than it can give.
    """
    volumes: dict[str, float] = {}
    use_until = date.min
    for part in parts:
        use_until = max(use_until, part.use_until or date.min)
        for lot, volume in on_deck(part, stock).items():
            volumes[lot] = volumes.get(lot, 0.0) + volume
    return tuple(stock.pick_from(lot, volume, use_until).sentence for lot, volume in volumes.items())


def containers_of(stock: Inventory, parts: Iterable[Worklist]) -> tuple[Mapping[str, str], ...]:
    """Which containers a person takes out for each worklist of a plan, per lot in words; later parts get what is left.

    Lots that have no containers of their own are left out.

    Raises:
        ShortageError: the worklists together need more of a lot than it can give.
    """
    parts = tuple(parts)
    use_until = max((part.use_until or date.min for part in parts), default=date.min)
    told: list[Mapping[str, str]] = []
    for part in parts:
        picks = [stock.pick_from(lot, volume, use_until) for lot, volume in on_deck(part, stock).items()]
        told.append({pick.lot.id: pick.containers for pick in picks if pick.lot.containers})
        held = [
            Held(container=one.container, volume_ul=one.volume_ul, plan=part.name, until=datetime.max)
            for pick in picks
            for one in pick.portions
        ]
        stock = stock.model_copy(update={"held": (*stock.held, *held)})
    return tuple(told)


def containers_of_run(session: Session, worklist: Worklist, at: datetime) -> Mapping[str, str]:
    """Which containers a person takes out for a run that is about to begin, per lot in words.

    What its plan has reserved counts as free for it. Nothing is told of a stock that cannot give it all: the run is
    refused then, with the reason.
    """
    stock = session.records.stock.inventory(session.bench_file.name, at=at)
    if stock is None:
        return {}
    own = own_share(session.records.stock.reservations(session.bench_file.name, at=at), worklist)
    try:
        return containers_of(stock if own is None else given_back(stock, own.reservation), (worklist,))[0]
    except ShortageError:
        return {}


def containers_taken(records: Records, run_id: str) -> Mapping[str, str]:
    """Which containers a run that is over took from, per lot in words; nothing when it was not posted."""
    used: dict[str, list[str]] = {}
    for one in records.stock.used_by(run_id):
        used.setdefault(one.lot, []).append(one.container)
    return {lot: ", ".join(containers) for lot, containers in used.items()}


def taken_by(
    worklist: Worklist, run: RunRecord, records: Records, stock: Inventory, catalogue: LabwareLookup, deck: BenchDeck
) -> dict[str, Taken]:
    """What a run took of every lot: all that came to the deck, and what its steps drew, also one that then failed.

    What was to be brought at a step that nobody came to is still stored. Steps of unknown outcome count as come to when
    people have ruled so; what they drew counts as left over, for it is lost to the stock either way.
    """
    drew = {step.number for step in run.steps if step.event == "done" or (step.event == "failed" and step.moved_ul)}
    ledger = Ledger.of(worklist, catalogue, deck)
    for step in worklist.steps:
        if step.number in drew:
            ledger.apply(step)
    come = worklist if run.state == "succeeded" else _without_stored(worklist, _last_come_to(worklist, run, records))
    return {
        lot: Taken(loaded_ul=volume, drawn_ul=min(volume, ledger.taken.get(lot, 0.0)))
        for lot, volume in on_deck(come, stock).items()
    }


def _last_come_to(worklist: Worklist, run: RunRecord, records: Records) -> int:
    begun = (fate.step.number for fate in fates_in(run, worklist, records) if fate.what in {"done", "partly"})
    confirmed = (action.step for action in records.journal.actions(run.id) if action.step is not None)
    return max((*begun, *confirmed), default=0)


def _without_stored(worklist: Worklist, last: int) -> Worklist:
    """A worklist without what people bring behind the last step they came to."""
    stored = brought_in({step.number for step in worklist.steps if step.number > last}, worklist)
    return worklist.model_copy(update={"fillings": tuple(one for one in worklist.fillings if one not in stored)})


def _reserved(
    session: Session, worklist: Worklist, volumes: Mapping[str, float], at: datetime, reservation: str
) -> StockHold:
    records, bench, name = session.records.stock, session.bench_file.name, reservation_name(worklist)
    share = own_share(records.reservations(bench, at=at), worklist)
    if share is None and reservation:
        share = OwnShare(named(session.records, bench, reservation, at), None)
    if share is not None:
        number, part = share.reservation.number, share.part.part if share.part else None
        picks = records.take_over(
            bench, number, name, volumes, part=part, use_until=worklist.use_until or at.date(), until=at + HOLD,
            by=SOFTWARE, at=at,
        )  # fmt: skip
        if picks is not None:
            return StockHold(picks, notes=_told(share, worklist))
    strangers = _look_alikes(session, worklist, at)
    records.release(bench, name, by=SOFTWARE, at=at, why="planned again")
    try:
        picks = records.reserve(
            bench, name, volumes, use_until=worklist.use_until or at.date(), until=at + HOLD, by=SOFTWARE, at=at
        )
    except ShortageError as error:
        problems = (*error.problems, *(Problem(told, name, remedy) for told, remedy in strangers))
        raise ShortageError.from_problems(problems) from error
    return StockHold(picks, notes=tuple(f"{told}: {remedy}" for told, remedy in strangers))


def _told(share: OwnShare, worklist: Worklist) -> tuple[str, ...]:
    held = share.reservation
    if held.name == reservation_name(worklist):
        return ()
    if share.part is not None:
        return (f"takes over what '{held.name}' ({held.by}) has reserved for part {share.part.part} of this plan",)
    planned = ", ".join(part.worklist_hash[:8] for part in held.parts) or "no plan"
    told = (
        f"'{held.name}' ({held.by}) was reserved for another plan ({planned}), this run is {worklist.content_hash[:8]}"
    )
    return (f"{told}: it takes what it needs of it; what it does not need stays reserved until it is released",)


def _look_alikes(session: Session, worklist: Worklist, at: datetime) -> list[tuple[str, str]]:
    """Reservations that look meant for this run and are not its own: run out, or made for another version of the plan.

    Each as what it is and what to do.
    """
    found = []
    records, bench = session.records.stock, session.bench_file.name
    barcodes = {item.barcode for item in worklist.deck if item.barcode}
    for held in records.reservations(bench):
        for part in held.parts:
            planned = records.reserved_worklist(part)
            if held.until < at and own_share((held,), worklist) is not None:
                told = f"'{held.name}' had reserved for this plan until {held.until:%Y-%m-%d %H:%M} UTC, which is over"
                found.append((told, "what is still free was reserved anew; reserve for longer with --hold"))
            elif planned.procedure == worklist.procedure and (
                planned.name == worklist.name or barcodes & {item.barcode for item in planned.deck if item.barcode}
            ):
                told = (
                    f"'{held.name}' ({held.by}) holds stock for another version of this plan: "
                    f"{part.worklist_hash[:8]} was reserved, {worklist.content_hash[:8]} is run"
                )
                remedy = (
                    f"give it back with `nkloop lots release '{held.name}' --by NAME --reason ...` if this replaces it"
                )
                found.append((told, remedy))
            else:
                continue
            break
    return found


def settle_run(records: Records, catalogue: LabwareLookup, bench_file: BenchFile, run_id: str, *, at: datetime) -> bool:
    """Post what a run that is over took, when its program ended before it could; a run is posted once.

    Where its device or people have told afterwards what its steps did, what it took is parted from what it left over
    anew, and what had come to the deck after all is taken out of the stock.

    A run whose deck nobody loaded (no confirmation, no step begun) took nothing: what it had reserved is given back.
    One that was not begun from here had no lots brought to it.

    Args:
        records: journal and stock.
        catalogue: labware types by load name.
        bench_file: the bench it ran on.
        run_id: the run.
        at: time of the posting when the run itself knows no end.

    Returns:
        True when postings were made.

    Raises:
        RecordError: there is no such run.
    """
    if records.stock.is_posted(run_id):
        return _parted_anew(records, catalogue, bench_file, run_id, at)
    bench, run = bench_file.name, records.journal.run(run_id)
    stock = records.stock.inventory(bench)
    if stock is None or not run.is_over or run.is_foreign:
        return False
    worklist = as_planned(records, bench, records.journal.worklist(run.worklist_hash))
    if not on_deck(worklist, stock):
        return False
    if not records.journal.actions(run_id) and not records.journal.events(run_id):
        if _holds(records, bench, worklist, run):
            why = f"run {run_id} took nothing"
            records.stock.give_back(bench, reservation_name(worklist), by=SOFTWARE, at=at, why=why)
        return False
    return _post(records, worklist, run, stock, catalogue, bench_file, at)


def _parted_anew(records: Records, catalogue: LabwareLookup, bench_file: BenchFile, run_id: str, at: datetime) -> bool:
    bench, run = bench_file.name, records.journal.run(run_id)
    is_told_anew = run.ended_at is not None and any(step.at > run.ended_at for step in run.steps)
    is_ruled = run.decision is not None and bool(run.decision.rulings)
    stock = records.stock.inventory(bench, at=at) if is_told_anew or is_ruled else None
    if stock is None:
        return False
    worklist = as_planned(records, bench, records.journal.worklist(run.worklist_hash))
    taken = taken_by(worklist, run, records, stock, catalogue, bench_file.deck)
    return bool(records.stock.part_anew(bench, run_id, taken, by=SOFTWARE, at=at))


def _holds(records: Records, bench: str, worklist: Worklist, run: RunRecord) -> bool:
    """Whether what a worklist has reserved is this run's: a later run of the same worklist reserves anew."""
    name = reservation_name(worklist)
    made = max((one.at for one in records.stock.reservations(bench) if one.name == name), default=None)
    if made is None or run.created_at is None or run.created_at < made:
        return False
    same = [other.id for other in records.journal.by_hash(run.worklist_hash) if other.bench == run.bench]
    return same[-1] == run.id


def settle_runs(session: Session, *, at: datetime) -> tuple[str, ...]:
    """Post the runs of the bench that their programs did not post, because they died; returns their ids.

    Looked at are the latest ones, and every one that is over and still has its reservation.
    """
    records, bench = session.records, session.bench_file
    since = {held.name: held.at for held in records.stock.reservations(bench.name)}
    unposted = {run.id for run in records.journal.latest_over(bench.name, LATEST)}
    for run in records.journal.over_since(bench.name, min(since.values())) if since else ():
        name = reservation_name(as_planned(records, bench.name, records.journal.worklist(run.worklist_hash)))
        if name in since and since[name] <= run.created_at:
            unposted.add(run.id)
    return tuple(one for one in sorted(unposted) if settle_run(records, session.catalogue, bench, one, at=at))


def _settle(session: Session, worklist: Worklist, hold: StockHold, at: datetime) -> None:
    records, bench = session.records, session.bench_file.name
    if not hold.run_id:
        records.stock.give_back(bench, reservation_name(worklist), by=SOFTWARE, at=at, why="no run was prepared")
        return
    run = records.journal.run(hold.run_id)
    if not run.is_over:
        return
    stock = records.stock.inventory(bench) or session.inventory
    _post(records, worklist, run, stock, session.catalogue, session.bench_file, at)


def _post(
    records: Records,
    worklist: Worklist,
    run: RunRecord,
    stock: Inventory,
    catalogue: LabwareLookup,
    bench_file: BenchFile,
    at: datetime,
) -> bool:
    taken = taken_by(worklist, run, records, stock, catalogue, bench_file.deck)
    actions = records.journal.actions(run.id)
    by = actions[0].confirmed_by if actions else SOFTWARE
    name = reservation_name(worklist)
    return bool(records.stock.post_run(bench_file.name, name, run.id, taken, by=by, at=run.ended_at or at))
