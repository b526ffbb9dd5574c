"""Who holds a device: one process at a time, with a lease and a token that only grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from nkloop.errors import DeviceHeldError, StaleHolderError
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.database import Database
from nkloop.records.journal_rows import devices_of_text
from nkloop.records.models import Claim, DeviceHolder
from nkloop.records.processes import has_ended, this_process

LEASE_SECONDS = 60.0
"""Time after which a holder that has fallen silent may be replaced."""
# Made once: building a statement costs more than executing it, and this is asked before every step.
_HOLDERS = sa.select(schema.device_holders).where(
    schema.device_holders.c.device.in_(sa.bindparam("devices", expanding=True))
)


class Claims:
    """Claims of devices. A claim covers all devices of a bench at once, with one token, so that they never part."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, devices: Sequence[str], purpose: str, *, lease_seconds: float = LEASE_SECONDS) -> Claim:
        """Take devices, in one transaction; durable when this returns.

        A device is free when its holder released it, when his lease ran out, or when his process on this machine has
        ended. The new token is larger than every token these devices ever had.

        Args:
            devices: names that every program which drives them uses, the locks of the bench file.
            purpose: what for, as a person would say it.
            lease_seconds: time until the claim may be taken over when it is not renewed.

        Raises:
            DeviceHeldError: somebody else holds one of them; it says who and until when.
            RecordError: the database refused.
        """
        process = this_process()
        holder = f"{purpose} (process {process.pid} on {process.host})"
        wanted = tuple(sorted(set(devices)))
        with self._database.writing() as connection:
            now = _now(connection)
            before = {device: _holder(connection, device) for device in wanted}
            for current in before.values():
                if current is not None and not _is_free(current, now):
                    raise _held(current)
            token = 1 + max((current.token for current in before.values() if current is not None), default=0)
            claim = Claim(devices=wanted, token=token, holder=holder)
            for device, current in before.items():
                self._take(connection, device, current, claim, process.mark, now, timedelta(seconds=lease_seconds))
        return claim

    def renew(self, claim: Claim, *, lease_seconds: float = LEASE_SECONDS) -> None:
        """Lengthen the lease from now.

        Raises:
            StaleHolderError: another process holds a device meanwhile, or the claim was released.
        """
        table = schema.device_holders
        with self._database.writing() as connection:
            require_newest(connection, claim)
            until = _now(connection) + timedelta(seconds=lease_seconds)
            mine = table.c.device.in_(claim.devices)
            connection.execute(sa.update(table).where(mine).values(expires_at=until))

    def release(self, claim: Claim) -> None:
        """Give the devices back; those that another process has taken over meanwhile are left alone."""
        table = schema.device_holders
        with self._database.writing() as connection:
            now = _now(connection)
            for device in claim.devices:
                mine = (table.c.device == device) & (table.c.token == claim.token) & table.c.released_at.is_(None)
                if connection.execute(sa.update(table).where(mine).values(released_at=now)).rowcount:
                    _note(connection, device, claim, "released", now)

    def check(self, claim: Claim) -> None:
        """Return when the claim is still the newest of all its devices; reads only, so it is cheap.

        Raises:
            StaleHolderError: it is not.
        """
        with self._database.reading() as connection:
            require_newest(connection, claim)

    def holders(self) -> tuple[DeviceHolder, ...]:
        """The last holder of every device that was ever claimed."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(schema.device_holders).order_by(schema.device_holders.c.device))
            return tuple(DeviceHolder.model_validate(dict(row)) for row in rows.mappings())

    def of_run(self, run_id: str) -> tuple[DeviceHolder, ...]:
        """The last holder of every device a run was opened under a claim of."""
        with self._database.reading() as connection:
            locks = connection.execute(sa.select(schema.runs.c.locks).where(schema.runs.c.id == run_id)).scalar()
            rows = connection.execute(_HOLDERS, {"devices": tuple(devices_of_text(locks))})
            return tuple(DeviceHolder.model_validate(dict(row)) for row in rows.mappings())

    def history(self, device: str) -> tuple[str, ...]:
        """Every claim, takeover and release of a device, oldest first, one sentence each."""
        return tuple(self._sentences(device))

    def _sentences(self, device: str) -> Iterator[str]:
        table = schema.device_claims
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(table).where(table.c.device == device).order_by(table.c.id)).mappings()
            for row in rows:
                detail = f"; {row['detail']}" if row["detail"] else ""
                yield f"{row['at']:%Y-%m-%d %H:%M:%S} UTC: {row['event']} by {row['holder']}{detail}"

    def _take(
        self,
        connection: sa.Connection,
        device: str,
        current: DeviceHolder | None,
        claim: Claim,
        process: str,
        now: datetime,
        lease: timedelta,
    ) -> None:
        table = schema.device_holders
        values: dict[str, Any] = {
            "token": claim.token,
            "holder": claim.holder,
            "process": process,
            "claimed_at": now,
            "expires_at": now + lease,
            "released_at": None,
        }
        if current is None:
            connection.execute(sa.insert(table).values(device=device, **values))
        else:
            connection.execute(sa.update(table).where(table.c.device == device).values(**values))
        if current is None or current.released_at is not None:
            _note(connection, device, claim, "claimed", now)
        else:
            why = "whose process has ended" if has_ended(current.process) else "whose lease had run out"
            _note(connection, device, claim, "taken over", now, f"from {current.holder}, {why}")


def require_newest(connection: sa.Connection, claim: Claim) -> None:
    """Refuse a claim that is not the newest of all its devices, in the caller's transaction.

    Raises:
        StaleHolderError: another process holds a device meanwhile, or the claim was released.
    """
    rows = connection.execute(_HOLDERS, {"devices": claim.devices}).mappings()
    found = {row["device"]: row for row in rows}
    for device in claim.devices:
        row = found.get(device)
        if row is not None and row["token"] == claim.token and row["released_at"] is None:
            continue
        told = "nobody" if row is None else f"{row['holder']} since {row['claimed_at']:%Y-%m-%d %H:%M:%S} UTC"
        given_back = row is not None and row["token"] == claim.token
        raise StaleHolderError(
            f"{claim.holder} may no longer change {device}: "
            + ("it gave the device back" if given_back else f"it is held by {told} (token {row and row['token']})"),
            where=f"{device}, token {claim.token}",
            remedy="nothing more is sent from here; look at the run that is on the device now with `nkloop runs`",
        )


def _holder(connection: sa.Connection, device: str) -> DeviceHolder | None:
    table = schema.device_holders
    row = connection.execute(sa.select(table).where(table.c.device == device)).mappings().first()
    return None if row is None else DeviceHolder.model_validate(dict(row))


def _is_free(holder: DeviceHolder, now: datetime) -> bool:
    return holder.released_at is not None or holder.expires_at <= now or has_ended(holder.process)


def other_holder(connection: sa.Connection, locks: str | None) -> DeviceHolder | None:
    """Another process that holds one of the devices a run was opened under, which are told as its row has them."""
    rows = connection.execute(_HOLDERS, {"devices": tuple(devices_of_text(locks))}).mappings()
    now, own = _now(connection), this_process().mark
    found = (DeviceHolder.model_validate(dict(row)) for row in rows)
    return next((one for one in found if one.process != own and not _is_free(one, now)), None)


def _held(holder: DeviceHolder) -> DeviceHeldError:
    return DeviceHeldError(
        f"{holder.device} is held by {holder.holder} since {holder.claimed_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"at least until {holder.expires_at:%H:%M:%S} UTC",
        remedy="wait until it is done, or stop it there; a holder that has died loses the device by itself",
    )


def _note(connection: sa.Connection, device: str, claim: Claim, event: str, at: datetime, detail: str = "") -> None:
    row = {"device": device, "token": claim.token, "event": event, "holder": claim.holder, "at": at, "detail": detail}
    write(connection, schema.device_claims, row, action=f"device {event}")


def _now(connection: sa.Connection) -> datetime:
    """Time of the database server, so that machines whose clocks differ agree on a lease."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)
