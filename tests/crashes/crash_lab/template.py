"""The database a scene begins with: migrated, with the shipped lots as the stock of every bench."""

from __future__ import annotations

from datetime import UTC, datetime

from crash_lab.procedures import Lab
from nkloop.records import Records


def make_template(url: str, lab: Lab) -> None:
    """Make the tables and import the lots."""
    records = Records(url)
    records.migrate()
    for bench in sorted({one.bench.name for one in lab.procedures.values()}):
        records.stock.import_lots(bench, lab.inventory, by="crash lab", at=datetime(2026, 1, 5, tzinfo=UTC))
    records.close()
