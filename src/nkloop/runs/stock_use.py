"""What a run takes out of the stock: reserved before it starts, posted as it really was when it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from nkloop.inventory import Inventory, Pick
from nkloop.records.models import RunRecord
from nkloop.records.stock_models import Taken
from nkloop.runs.session import Session
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.models import Worklist

HOLD = timedelta(days=1)
"""How long a run that never ended keeps what it reserved."""
SOFTWARE = "nkloop"


@dataclass
class StockHold:
    """What a run has reserved; `run_id` is set when the run is prepared."""

    picks: tuple[Pick, ...] = ()
    run_id: str = ""


@asynccontextmanager
async def stock_held(session: Session, worklist: Worklist) -> AsyncIterator[StockHold]:
    """Reserve what a worklist takes; at the end post what its run took, or give it back when no run was prepared.

    A bench without a stock in the database reserves and posts nothing.

    Raises:
        ShortageError: somebody else has taken or reserved it since it was planned.
    """
    at = await session.bench.clock.now()
    stock = session.records.stock.inventory(session.bench_file.name, at=at)
    volumes = on_deck(worklist, stock) if stock else {}
    if not volumes:
        yield StockHold()
        return
    name, bench = reservation_name(worklist), session.bench_file.name
    session.records.stock.release(bench, name, by=SOFTWARE, at=at, why="planned again")
    until = worklist.use_until or at.date()
    picks = session.records.stock.reserve(bench, name, volumes, use_until=until, until=at + HOLD, by=SOFTWARE, at=at)
    hold = StockHold(picks)
    try:
        yield hold
    finally:
        _settle(session, worklist, hold, at)


def reservation_name(worklist: Worklist) -> str:
    """Name under which a worklist reserves; the same worklist always has the same."""
    return f"{worklist.name} ({worklist.content_hash[:8]})"


def on_deck(worklist: Worklist, stock: Inventory) -> dict[str, float]:
    """µL a worklist puts on the deck of every lot of the stock; cells and earlier preparations are no lots."""
    known = {lot.id for lot in stock.lots}
    volumes: dict[str, float] = {}
    for filling in worklist.fillings:
        lot = filling.liquid.lot
        if lot in known:
            volumes[lot] = volumes.get(lot, 0.0) + filling.volume_ul
    return volumes


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


def taken_by(
    worklist: Worklist, run: RunRecord, stock: Inventory, catalogue: LabwareLookup, deck: BenchDeck
) -> dict[str, Taken]:
    """What a run took of every lot: all that was put on the deck, and how much of it the steps that were done drew."""
    done = {step.number for step in run.steps if step.event == "done"}
    ledger = Ledger.of(worklist, catalogue, deck)
    for step in worklist.steps:
        if step.number in done:
            ledger.apply(step)
    return {
        lot: Taken(loaded_ul=volume, drawn_ul=min(volume, ledger.taken.get(lot, 0.0)))
        for lot, volume in on_deck(worklist, stock).items()
    }


def _settle(session: Session, worklist: Worklist, hold: StockHold, at: datetime) -> None:
    stock, bench, name = session.records.stock, session.bench_file.name, reservation_name(worklist)
    if not hold.run_id:
        stock.release(bench, name, by=SOFTWARE, at=at, why="no run was prepared")
        return
    run = session.records.journal.run(hold.run_id)
    inventory = stock.inventory(bench) or session.inventory
    taken = taken_by(worklist, run, inventory, session.catalogue, session.bench_file.deck)
    actions = session.records.journal.actions(run.id)
    by = actions[0].confirmed_by if actions else SOFTWARE
    stock.post_run(bench, name, run.id, taken, by=by, at=run.ended_at or at)
