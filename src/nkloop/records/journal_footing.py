"""What a batch of journal lines stands on, asked of the database in one question: it is asked before every step."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from nkloop.records import schema
from nkloop.records.audit import EMPTY_CHAIN, LAST_ENTRY, ChainEnd
from nkloop.records.journal_rows import devices_of_text, not_recorded
from nkloop.records.models import Claim, RunState


@dataclass(frozen=True)
class Footing:
    """A run as it stands in the transaction that writes to it."""

    state: RunState
    devices: set[str]
    """Devices the run was claimed for."""
    held: frozenset[str]
    """Devices that are held under the token of the claim that was named."""
    batch: int
    """Number of the run's last batch of events; 0 before the first."""
    end: ChainEnd
    """End of the audit chain."""


# Made once: building a statement costs more than executing it.
_EVENTS = schema.step_events
_HOLDERS = schema.device_holders
_END = LAST_ENTRY.subquery()
_BATCH = (
    sa.select(_EVENTS.c.entry)
    .where(_EVENTS.c.run_id == sa.bindparam("wanted"))
    .order_by(_EVENTS.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_IS_HELD = (_HOLDERS.c.token == sa.bindparam("token", type_=sa.Integer)) & _HOLDERS.c.released_at.is_(None)
_FOOTING = (
    sa.select(schema.runs.c.state, schema.runs.c.locks, _BATCH, _END.c.number, _END.c.entry_hash, _HOLDERS.c.device)
    .select_from(schema.runs.outerjoin(_END, sa.true()).outerjoin(_HOLDERS, _IS_HELD))
    .where(schema.runs.c.id == sa.bindparam("wanted"))
)


def footing_of(connection: sa.Connection, run_id: str, claim: Claim | None) -> Footing:
    """Read what a batch needs: the run's devices, who holds them, its last batch, the end of the audit chain.

    Raises:
        RecordError: the run does not exist.
    """
    asked = {"wanted": run_id, "token": None if claim is None else claim.token}
    rows = connection.execute(_FOOTING, asked).all()
    if not rows:
        raise not_recorded(run_id)
    state, locks, batch, number, entry_hash, _ = rows[0]
    held = frozenset(row[-1] for row in rows if row[-1] is not None)
    end = EMPTY_CHAIN if number is None else ChainEnd(number, entry_hash)
    return Footing(state, devices_of_text(locks), held, batch or 0, end)
