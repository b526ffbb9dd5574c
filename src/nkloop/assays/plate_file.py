"""One plate from a reader's file and a layout to a result: what `nkloop analyse plate` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nkloop.assays.analysis import analyse
from nkloop.assays.lytic import LyticQuestion
from nkloop.assays.methods import Method
from nkloop.assays.models import AssayResult, Exclusion, PlateLayout
from nkloop.assays.readings import PlateReading
from nkloop.assays.signals import signals_from
from nkloop.assays.tables import Column, read_table
from nkloop.errors import AssayError


def analyse_reading_file(
    layout: PlateLayout,
    reading: PlateReading,
    method: Method,
    *,
    reference_history: Sequence[float] = (),
    exclusions: Sequence[Exclusion] = (),
    lytic: LyticQuestion | None = None,
) -> AssayResult:
    """Analyse one plate from its file; the result keeps where the signals come from.

    Raises:
        ReadingError: the file does not fit the layout or the method.
        AssayError: the layout cannot give lysis values.
    """
    values, read_as = signals_from(layout, reading, method, excluded={e.well for e in exclusions})
    return analyse(
        layout,
        values,
        method=method,
        reference_history=reference_history,
        exclusions=exclusions,
        read_as=read_as,
        lytic=lytic,
    )


def read_history(path: Path, line: str) -> tuple[float, ...]:
    """Mean reference lysis (%) of earlier plates, oldest first, from a table with a `lysis_percent` column.

    A table with a `line` column gives only the plates of this line.

    Raises:
        AssayError: the table cannot be read or holds fewer than two plates of the line.
    """
    columns = [Column("lysis_percent", synonyms=("reference_lysis", "value")), Column("line", "text", required=False)]
    table = read_table(path, columns)
    rows = [row for row in table.rows if not table.has("line") or row.text("line") == line]
    if len(rows) < 2:
        raise AssayError(
            f"{len(rows)} earlier plates of {line}, a spread needs at least 2",
            where=str(path),
            remedy="give more plates, oldest first, or leave the history out",
        )
    return tuple(row.number("lysis_percent") for row in rows)
