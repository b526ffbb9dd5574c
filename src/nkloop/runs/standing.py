"""Who works on a run that is not over: somebody now, or nobody any more, and what to do then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.claims import LEASE_SECONDS
from nkloop.records.models import DeviceHolder, RunRecord
from nkloop.records.processes import has_ended


class Standing(FrozenModel):
    """How a run that is not over stands."""

    is_under_way: bool
    """Somebody holds its device and renews his lease."""
    told: str
    """Who holds it and since when; or that nobody does any more, and since when."""


def standing_of(run: RunRecord, records: Records, now: datetime | None = None) -> Standing | None:
    """Who works on a run; None for one that is over."""
    if run.is_over:
        return None
    held = [holder for holder in records.claims.of_run(run.id) if holder.released_at is None]
    if not held:
        return Standing(is_under_way=False, told="nobody works on it: its device was given back, or never claimed")
    return _standing(held[0], now or datetime.now(UTC))


def _standing(holder: DeviceHolder, now: datetime) -> Standing:
    since = f"since {holder.claimed_at:%Y-%m-%d %H:%M:%S} UTC"
    renewed = max(holder.claimed_at, holder.expires_at - timedelta(seconds=LEASE_SECONDS))
    silent = f"its lease was last renewed at {renewed:%Y-%m-%d %H:%M:%S} UTC"
    if has_ended(holder.process):
        return Standing(is_under_way=False, told=f"its process has ended: {holder.holder}; {silent}")
    if holder.expires_at <= now:
        told = f"nobody is heard of it: {holder.holder} held {holder.device} {since}, {silent}"
        return Standing(is_under_way=False, told=f"{told} and has run out")
    until = f"at least until {holder.expires_at:%H:%M:%S} UTC"
    return Standing(is_under_way=True, told=f"under way: {holder.device} is held by {holder.holder} {since}, {until}")
