"""The database a scene begins with: migrated, with the shipped lots as the stock of the bench."""

from __future__ import annotations

from datetime import UTC, datetime

from nkloop.inventory import Inventory
from nkloop.records import Records


def make_template(url: str, inventory: Inventory, bench: str) -> None:
    """Make the tables and import the lots."""
    records = Records(url)
    records.migrate()
    records.stock.import_lots(bench, inventory, by="crash lab", at=datetime(2026, 1, 5, tzinfo=UTC))
    records.close()
