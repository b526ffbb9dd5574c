"""A file of a dose matrix to its combination result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nkloop.assays.combination import CombinationData, analyse_combination
from nkloop.assays.combination_advice import loewe, zip_excess
from nkloop.assays.combination_models import CombinationResult
from nkloop.assays.tables import Column, raise_all, read_table
from nkloop.errors import Problem

COLUMNS = (
    Column("dose_a", synonyms=("a", "drug a", "nk", "e:t")),
    Column("dose_b", synonyms=("b", "drug b", "antibody")),
    Column("response", synonyms=("effect", "lysis", "lysis percent", "y")),
    Column("well", "text", required=False, filled=False),
)


def read_combination(path: Path, *, sheet: str | None = None) -> CombinationData:
    """Wells of a dose matrix.

    Raises:
        AssayError: the file is no such table, a dose is negative, or a well stands in it twice.
    """
    table = read_table(path, COLUMNS, sheet=sheet)
    problems: list[Problem] = []
    wells: dict[str, int] = {}
    for row in table.rows:
        problems += [
            Problem(f"dose {row.number(name):g} is negative", table.where(row, name), "a dose is 0 or above")
            for name in ("dose_a", "dose_b")
            if row.number(name) < 0
        ]
        well = row.text("well")
        if well and well in wells:
            message = f"well {well} stands on line {wells[well]} already"
            problems.append(Problem(message, table.where(row, "well"), "keep one of the two rows"))
        wells.setdefault(well, row.line)
    raise_all(problems)
    return CombinationData(*(np.array(table.numbers(name)) for name in ("dose_a", "dose_b", "response")))


def study_combination(data: CombinationData, *, seed: int = 1, advice: bool = True) -> CombinationResult:
    """Bliss and HSA with intervals, and Loewe and ZIP as advice.

    Raises:
        AssayError: the matrix lacks single agents or holds values that are no numbers.
    """
    result = analyse_combination(data, seed=seed)
    if not advice:
        return result
    return result.model_copy(update={"loewe": loewe(data), "zip": zip_excess(data)})
