"""Whatever is altered, removed or slipped in past the chain is discerned."""

from __future__ import annotations

from datetime import datetime

import pytest
import sqlalchemy as sa

from nkloop.assays.measurements import Reading
from nkloop.records import Records
from nkloop.records.audit import GENESIS
from nkloop.records.models import Context
from nkloop.worklists.models import Verdict, Worklist


@pytest.fixture
def filled(records: Records, worklist: Worklist, verdict: Verdict, reading: Reading, at: datetime) -> Records:
    run_id = records.journal.create_run(worklist, verdict, bench="virtual", device="flex", at=at, context=Context())
    records.journal.append_event(run_id, [1, 2, 3], "intended", at=at, device="flex")
    records.journal.append_event(run_id, [1, 2, 3], "sent", at=at, device="flex")
    records.journal.set_run_state(run_id, "running", started_at=at)
    records.results.add_reading(reading, run_id=run_id)
    return records


def tamper(records: Records, *statements: str) -> None:
    with records.journal._database.writing() as connection:
        triggers = connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        for name in triggers:
            connection.execute(sa.text(f"DROP TRIGGER {name}"))
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_an_untouched_chain_is_sound(filled: Records) -> None:
    entries = filled.audit.entries()
    assert filled.audit.verify_chain() == ()
    assert entries[0].previous_hash == GENESIS
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        pytest.param("UPDATE readings SET document = replace(document, '1.25', '0.25')", "readings:1", id="reading"),
        pytest.param("UPDATE step_events SET event = 'done' WHERE step = 2", "step_events:run-0001/1", id="journal"),
        pytest.param("DELETE FROM step_events WHERE entry = 2", "was removed", id="journal_removed"),
        pytest.param("UPDATE runs SET state = 'succeeded'", "runs:run-0001: was altered", id="run"),
        pytest.param("UPDATE audit_entries SET who = 'Eve' WHERE number = 2", "audit entry 2: was altered", id="who"),
        pytest.param("DELETE FROM audit_entries WHERE number = 2", "entries 2 to 2 are missing", id="entry_removed"),
        pytest.param(
            "INSERT INTO readings (barcode, read_at, document) VALUES ('P-9', '2026-11-23', '{}')",
            "readings:2: was added past the audit chain",
            id="slipped_in",
        ),
    ],
)
def test_tampering_is_discerned(filled: Records, statement: str, told: str) -> None:
    tamper(filled, statement)
    assert any(told in str(problem) for problem in filled.audit.verify_chain())


def test_the_audit_says_who_decided(records: Records, recipe: object, at: datetime) -> None:
    revision_id = records.campaigns.add_revision(recipe, at=at)  # type: ignore[arg-type]
    records.campaigns.decide_revision(revision_id, "approved", by="Grace", at=at, reason="better killing")
    assert [(entry.who, entry.action) for entry in records.audit.entries()][-1] == ("Grace", "approved")
    assert records.audit.verify_chain() == ()
