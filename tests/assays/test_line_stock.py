"""A line may be used only with passage, identity and mycoplasma on record and within their limits."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from nkloop.assays.panel import CulturedLine, LineStock, StockLimits, check_lines, load_line_stock, panel
from nkloop.errors import AssayError

TODAY = date(2026, 6, 30)
GOOD: dict[str, Any] = {
    "line": "K-562",
    "passage": 12,
    "str_date": date(2026, 1, 10),
    "str_result": "match",
    "mycoplasma_date": date(2026, 6, 15),
    "mycoplasma_result": "negative",
}


def stock(**changes: Any) -> LineStock:
    limits = StockLimits(max_passage=30, str_days=365, mycoplasma_days=30, source="lab rule 7")
    return LineStock(limits=limits, lines=(CulturedLine.model_validate({**GOOD, **changes}),))


def test_a_line_within_its_limits_may_be_used() -> None:
    check_lines(["K-562", "K-562"], stock(), TODAY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"passage": None}, "its passage is not recorded", id="no passage"),
        pytest.param({"passage": 31}, "it is at passage 31, at most 30 is allowed .lab rule 7.", id="old passage"),
        pytest.param({"str_date": None}, "the date of its STR profile is missing", id="no STR date"),
        pytest.param({"str_result": None}, "the result of its STR profile is missing", id="no STR result"),
        pytest.param({"str_result": "mismatch"}, "STR profile of 2026-01-10 says mismatch", id="another line"),
        pytest.param({"str_date": date(2025, 6, 29)}, "STR profile is 366 days old, at most 365", id="old STR"),
        pytest.param({"mycoplasma_date": None}, "the date of its mycoplasma test is missing", id="no test"),
        pytest.param({"mycoplasma_result": "positive"}, "mycoplasma test of 2026-06-15 says positive", id="positive"),
        pytest.param({"mycoplasma_date": date(2026, 5, 30)}, "test is 31 days old, at most 30", id="old test"),
        pytest.param({"mycoplasma_date": date(2026, 7, 1)}, "is dated 2026-07-01, which is after today", id="future"),
    ],
)
def test_what_blocks_a_line_is_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=rf"cell line K-562: .*{message}"):
        check_lines(["K-562"], stock(**changes), TODAY)


def test_the_last_day_of_each_limit_still_counts() -> None:
    check_lines(["K-562"], stock(str_date=date(2025, 6, 30), mycoplasma_date=date(2026, 5, 31), passage=30), TODAY)


def test_lines_nobody_knows_anything_of_are_blocked_all_at_once() -> None:
    with pytest.raises(AssayError) as error:
        check_lines(["HL-60", "Raji"], stock(), TODAY)
    assert [p.where for p in error.value.problems] == ["cell line HL-60", "cell line Raji"]
    with pytest.raises(AssayError, match="the bench names no cell lines"):
        check_lines(["K-562"], None, TODAY)


def test_the_shipped_stock_covers_the_panel() -> None:
    shipped = load_line_stock(Path(__file__).parents[2] / "devices" / "lines" / "virtual.yaml")
    check_lines(panel(), shipped, TODAY)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param("- {line: K-562}\n  - {line: K-562}", "line listed twice: K-562", id="twice"),
        pytest.param("- {line: K562}", "'K562' is not a line of the tumour panel.*did you mean 'K-562'", id="unknown"),
        pytest.param("- {line: K-562, passage: -1}", r"lines.yaml:3:\d+: .*-1 must be at least 0", id="bad passage"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "lines.yaml"
    path.write_text(f"limits: {{source: lab}}\nlines:\n  {lines}\n", encoding="utf-8")
    with pytest.raises(AssayError, match=message):
        load_line_stock(path)
