"""A watched folder, a database, and files as a reader writes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.bench_file import InboxSpec
from nkloop.records import Records, schema
from nkloop.runs.inbox import Inbox

ROWS, COLUMNS = "ABCDEFGH", range(1, 13)
WELLS = tuple(f"{row}{column}" for row in ROWS for column in COLUMNS)
CATALOGUE = {"plate": SimpleNamespace(rows=8, columns=12), "small": SimpleNamespace(rows=2, columns=3)}


class NoVendor:
    """No file of these tests needs the vendor environment."""

    async def parse_instrument_file(self, path: Path, vendor: str, /) -> dict[str, Any]:
        raise AssertionError(f"{path} was given to the vendor environment")


def grid(barcode: str = "P-1", *, nm: int = 450, value: float = 0.5, wells: int = 96, **header: str) -> str:
    """A reading as people export it: header lines, then a grid; `value` plus a hundredth per column."""
    told = {"Plate": barcode, "Mode": "absorbance", "Wavelength": f"{nm} nm", "Instrument": "Reader 9", **header}
    lines = [f"{name.replace('_', ' ')}: {text}" for name, text in told.items() if text]
    lines.append("," + ",".join(str(column) for column in COLUMNS))
    for index, row in enumerate(ROWS):
        numbers = [f"{value + column / 100:.2f}" if index * 12 + column <= wells else "" for column in COLUMNS]
        lines.append(",".join([row, *numbers]))
    return "\n".join(lines) + "\n"


def request(barcode: str = "P-1", **fields: Any) -> ReadRequest:
    return ReadRequest.model_validate(
        {"barcode": barcode, "load_name": "plate", "mode": "absorbance", "wavelength_nm": 450, **fields}
    )


@pytest.fixture
def records(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    monkeypatch.delenv("NKLOOP_DATABASE_URL", raising=False)
    (tmp_path / "state").mkdir()
    shutil.copy(migrated, tmp_path / "state" / "records.db")
    records = Records.open(tmp_path / "state")
    yield records
    records.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


Opened = Callable[..., Inbox]


@pytest.fixture
def opened(tmp_path: Path, folder: Path, records: Records) -> Opened:
    """`opened(late_minutes=10)`: an inbox on the folder, as a process of its own would have it."""

    def make(**spec: Any) -> Inbox:
        return Inbox(
            bench="lab",
            spec=InboxSpec.model_validate({"folder": str(folder), "quiet_seconds": 0, **spec}),
            folder=folder,
            originals=tmp_path / "state" / "inbox",
            records=records,
            vendor=NoVendor(),
            catalogue=cast(Any, CATALOGUE),
        )

    return make


def wait(records: Records, asked: ReadRequest) -> int:
    text = asked.model_dump_json(exclude={"run_id"})
    return records.inbox.wait_for("lab", "plate", asked.barcode, text, run_id=asked.run_id).id


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def add_run(records: Records, state: str = "succeeded") -> str:
    """A run of a campaign, with no more in it than the keys ask for."""
    at = datetime.now(UTC)
    rows: list[tuple[Any, dict[str, Any]]] = [
        (schema.revisions, {"revision_id": "r@1", "recipe_id": "r", "content_hash": "h", "status": "approved",
                            "reason": "", "created_at": at, "document": "{}"}),
        (schema.campaigns, {"id": "campaign", "recipe_revision": "r@1", "bench": "lab", "simulated": False,
                            "created_at": at, "note": ""}),
        (schema.worklists, {"hash": "w", "name": "w", "procedure": "p", "saved_at": at, "document": "{}"}),
        (schema.verdicts, {"id": 1, "worklist_hash": "w", "passed": True, "at": at, "document": "{}"}),
        (schema.runs, {"id": "run-0001", "name": "w", "procedure": "p", "bench": "lab", "device": "d",
                       "worklist_hash": "w", "verdict_id": 1, "campaign": "campaign", "round": 1, "state": state,
                       "created_at": at, "n_transfers": 0, "error": ""}),
    ]  # fmt: skip
    with records._database.writing() as connection:
        for table, row in rows:
            needed = {c.name: 1 if isinstance(c.type, sa.Integer) else "" for c in table.columns
                      if not c.nullable and c.name not in row and not c.primary_key}  # fmt: skip
            connection.execute(sa.insert(table).values(**needed, **row))
    return "run-0001"
