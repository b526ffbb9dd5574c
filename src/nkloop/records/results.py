"""What was measured: plate readings, cell counts, assay results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel

from nkloop.assays.measurements import CellCount, Reading
from nkloop.assays.models import AssayResult
from nkloop.frozen import canonical_json
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.database import Database
from nkloop.records.models import Context

Model = TypeVar("Model", bound=BaseModel)


class Results:
    """Measurements, each with what it belongs to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_reading(self, reading: Reading, *, run_id: str | None = None, context: Context | None = None) -> None:
        """Save one plate reading, with the run the plate comes from.

        Raises:
            RecordError: run or campaign are not recorded.
        """
        row = {
            "barcode": reading.barcode,
            "run_id": run_id,
            "read_at": reading.read_at,
            "file_sha256": reading.file_sha256,
        }
        self._add(schema.readings, [(row, reading)], context)

    def readings(self, campaign: str | None = None, *, round: int | None = None) -> tuple[Reading, ...]:
        """Readings in the order they were saved."""
        return self._load(schema.readings, Reading, campaign, round)

    def add_counts(self, counts: Sequence[CellCount], *, at: datetime, context: Context | None = None) -> None:
        """Save cell counts taken together; `at` is the time of those whose counter tells none."""
        rows = [
            ({"barcode": count.barcode, "well": count.well, "counted_at": count.counted_at or at}, count)
            for count in counts
        ]
        self._add(schema.cell_counts, rows, context)

    def counts(self, campaign: str | None = None, *, round: int | None = None) -> tuple[CellCount, ...]:
        """Cell counts in the order they were saved."""
        return self._load(schema.cell_counts, CellCount, campaign, round)

    def n_counts(self, barcode: str) -> int:
        """How many wells of a plate were counted so far, each as often as it was."""
        table = schema.cell_counts
        query = sa.select(sa.func.count()).select_from(table).where(table.c.barcode == barcode)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def add_result(self, result: AssayResult, *, context: Context | None = None) -> None:
        """Save what was said of one assay plate."""
        row = {"barcode": result.barcode, "verdict": result.verdict}
        self._add(schema.assay_results, [(row, result)], context)

    def results(self, campaign: str | None = None, *, round: int | None = None) -> tuple[AssayResult, ...]:
        """Assay results in the order they were saved."""
        return self._load(schema.assay_results, AssayResult, campaign, round)

    def result_of(self, barcode: str) -> AssayResult | None:
        """The last result of a plate; None when it has none."""
        return self._last(schema.assay_results.c.barcode == barcode, schema.assay_results, AssayResult)

    def reading_of(self, run_id: str) -> Reading | None:
        """The last reading of the plate a run made; None when it was not read."""
        return self._last(schema.readings.c.run_id == run_id, schema.readings, Reading)

    def _last(self, condition: sa.ColumnElement[bool], table: sa.Table, kind: type[Model]) -> Model | None:
        query = sa.select(table.c.document).where(condition).order_by(table.c.id.desc()).limit(1)
        with self._database.reading() as connection:
            document = connection.execute(query).scalar()
        return None if document is None else kind.model_validate_json(document)

    def _add(self, table: sa.Table, rows: Sequence[tuple[dict[str, Any], BaseModel]], context: Context | None) -> None:
        place = context or Context()
        with self._database.writing() as connection:
            for row, model in rows:
                whole = {**row, "campaign": place.campaign, "round": place.round, "document": canonical_json(model)}
                write(connection, table, whole)

    def _load(self, table: sa.Table, kind: type[Model], campaign: str | None, round: int | None) -> tuple[Model, ...]:
        with self._database.reading() as connection:
            return load_documents(connection, table, kind, campaign, round)


def load_documents(
    connection: sa.Connection, table: sa.Table, kind: type[Model], campaign: str | None, round: int | None
) -> tuple[Model, ...]:
    """Models of a table, oldest first, of one campaign and round when named."""
    query = sa.select(table.c.document).order_by(table.c.id)
    if campaign is not None:
        query = query.where(table.c.campaign == campaign)
    if round is not None:
        query = query.where(table.c.round == round)
    return tuple(kind.model_validate_json(text) for text in connection.execute(query).scalars())
