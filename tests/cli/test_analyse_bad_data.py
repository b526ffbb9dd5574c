"""Bad data of the analyse commands: a verdict or a clear error, never a number that looks fine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD = [(0.1, 4), (0.3, 9), (1, 30), (3, 66), (10, 88), (30, 95)]


def table(path: Path, header: str, rows: list[Any], separator: str = ",") -> Path:
    lines = [header, *(separator.join(map(str, row)) if isinstance(row, tuple) else str(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def with_y(*y: float) -> list[tuple[float, float]]:
    return [(x, value) for (x, _), value in zip(GOOD, y, strict=True)]


CURVE_ERRORS = [
    pytest.param(
        "x,y", [(1, 2), ("1,5", 3)], "t.csv, line 3: has 3 cells, the header has 2", id="decimal_comma_splits_cells"
    ),
    pytest.param(
        "x;y", ["1;2", "1,5;3"], "line 3, column x: '1,5' has a decimal comma. Remedy: write 1.5", id="decimal_comma"
    ),
    pytest.param("x,y", [(1, "nan")], "line 2, column y: 'nan' is not a finite number", id="nan"),
    pytest.param("x,y", [(1, "inf")], "line 2, column y: 'inf' is not a finite number", id="inf"),
    pytest.param("x,y", [(1, "3 %")], "line 2, column y: '3 %' is not a number", id="unit"),
    pytest.param("x,y", [(1, "")], "line 2, column y: the cell is empty", id="empty_cell"),
    pytest.param("x,z", [(1, 2)], "t.csv, line 1: has no column y; its columns are x, z", id="no_column"),
    pytest.param("x,dose,y", [(1, 1, 2)], "'x' and 'dose' both mean column x", id="two_columns"),
    pytest.param("x,y", [], "t.csv: has a header but no row", id="no_rows"),
    pytest.param("x,y", [(-1, 2), (1, 3)], "line 2, column x: dose -1 is negative", id="negative_dose"),
    pytest.param(
        "x,y,well", [(1, 2, "A1"), (2, 3, "A1")], "line 3, column well: well A1 stands on line 2 already", id="well"
    ),
    pytest.param("x,y,group", [(1, 2, "a"), (2, 3, "")], "line 3, column group: the group is empty", id="mixed_groups"),
]


@pytest.mark.parametrize(("header", "rows", "message"), CURVE_ERRORS)
def test_a_table_that_is_none_is_refused(
    nkloop: Callable[..., Any], tmp_path: Path, header: str, rows: list[Any], message: str
) -> None:
    ended = nkloop("analyse", "curve", table(tmp_path / "t.csv", header, rows), "--json")
    assert (ended.code, ended.out) == (1, "")
    assert message in ended.err
    assert "Traceback" not in ended.err


CURVE_VERDICTS = [
    pytest.param(with_y(*[7] * 6), "all 6 responses are 7: nothing changes with dose", id="constant"),
    pytest.param(with_y(*[0] * 6), "all 6 responses are 0: nothing changes with dose", id="all_zero"),
    pytest.param(
        [(1, 5), (1, 6), (2, 50), (2, 52)],
        "2 doses, 2 of them above 0: 4PL with 4 free parameters needs 5, 3 above 0",
        id="two_doses",
    ),
    pytest.param(
        [(x, y) for x, y in zip((0.1, 0.3, 1, 3, 10, 30) * 2, (1, 3, 2, 1, 3, 2, 3, 1, 2, 3, 1, 2), strict=True)],
        "the responses do not change with dose beyond their scatter",
        id="noise_only",
    ),
    pytest.param(
        [
            (x, y + d)
            for x, y in zip((0.1, 0.3, 1, 3, 10, 30), (1, 1.5, 3, 8, 21, 47), strict=True)
            for d in (-0.4, 0.4)
        ],
        "the curve is at 47 at the highest dose 30.0, the dose at 50 % lies above it",
        id="no_upper_plateau",
    ),
]


@pytest.mark.parametrize(("rows", "reason"), CURVE_VERDICTS)
def test_a_curve_that_is_not_there_is_not_determined(
    nkloop: Callable[..., Any], tmp_path: Path, rows: list[Any], reason: str
) -> None:
    ended = nkloop("analyse", "curve", table(tmp_path / "t.csv", "x,y", rows), "--json")
    assert ended.code == 0
    assert (ended.json["determined"], ended.json["ec50"], ended.json["verdict"]) == (False, None, "not determined")
    assert reason in " ".join(ended.json["reasons"])
    assert all(p["estimate"] is None for p in ended.json["parameters"] if p["name"] == "ec50")


def test_a_huge_outlier_is_named(nkloop: Callable[..., Any], tmp_path: Path) -> None:
    rows = [(x, y + d) for x, y in GOOD for d in (-1, 0, 1)]
    rows[4] = (0.3, 60)
    ended = nkloop("analyse", "curve", table(tmp_path / "t.csv", "x,y", rows), "--json")
    assert ended.json["verdict"] != "determined"
    assert "the response 60 at dose 0.3 lies" in " ".join(ended.json["reasons"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(("--fix", "hill=1"), "--fix: 'hill=1' names no parameter", id="parameter"),
        pytest.param(("--fix", "top=high"), "--fix: 'top=high' is no constraint", id="value"),
        pytest.param(("--bound", "top=110:50"), "--bound: 'top=110:50' leaves no value", id="crossed"),
        pytest.param(("--level", "120"), "--level: 120 % is not between 0 and 100 %", id="level"),
        pytest.param(("--targets", "1e4"), "lytic units need the lysis", id="lytic_units_of_nothing"),
        pytest.param(("--weights", "1/y"), "weights 1/y need responses above 0, the lowest is 0", id="weights"),
        pytest.param(("--weights", "replicates"), "dose 0.1 has none", id="one_replicate"),
        pytest.param(("--weights", "column"), "t.csv: has no column weight", id="no_weights"),
    ],
)
def test_what_cannot_be_asked_is_told(
    nkloop: Callable[..., Any], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    file = table(tmp_path / "t.csv", "x,y", [*GOOD[1:], (0.1, 0)])
    ended = nkloop("analyse", "curve", file, *options)
    assert ended.code == 1
    assert message in ended.err


LINES = [
    (p, d, y + e) for p, up in (("S", 0), ("T", 2)) for d, y in ((1, 10), (2, 15), (4, 20)) for e in (up - 1, up + 1)
]


def potency_rows(change: Callable[[str, float, float], float]) -> list[tuple[str, float, float]]:
    return [(p, d, change(p, d, y)) for p, d, y in LINES]


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        pytest.param(
            potency_rows(lambda *_: 5.0), (), "all 12 responses are equal: nothing changes with dose", id="constant"
        ),
        pytest.param(
            LINES[::2], (), "there are no replicates, so no variance to judge the assay by", id="no_replicates"
        ),
        pytest.param(
            [(p, d, y) for p, d, y in LINES if d == 1 or p == "S"], (), "preparation T has 1 dose", id="one_dose"
        ),
        pytest.param(
            potency_rows(lambda p, _, y: y + (200 if p == "T" else 0)),
            (),
            "its responses do not overlap",
            id="no_overlap",
        ),
        pytest.param(
            [(p, d, 10 + e) for p, d, _ in LINES[::2] for e in (-3, 3.5)],
            (),
            "the slope is too uncertain",
            id="g_above_one",
        ),
        pytest.param(
            potency_rows(lambda p, d, y: 40 - y if p == "T" else y),
            (),
            "the lines are not parallel",
            id="inverted_signal",
        ),
        pytest.param(
            potency_rows(lambda p, d, y: y + (14 * (d - 1) if p == "T" else 0)),
            ("--margins", "0.8:1.25"),
            "is not inside 0.8 to 1.25",
            id="outside_the_margins",
        ),
        pytest.param(
            potency_rows(lambda *a: a[2]), ("--design", "4pl"), "preparation S has 3 doses, a 4PL", id="few_doses"
        ),
    ],
)
def test_a_potency_that_is_not_there_is_not_valid(
    nkloop: Callable[..., Any], tmp_path: Path, rows: list[Any], options: tuple[str, ...], reason: str
) -> None:
    file = table(tmp_path / "p.csv", "preparation,dose,response", rows)
    ended = nkloop("analyse", "potency", file, "--json", *options)
    assert ended.code == 0
    assert ended.json["valid"] is False
    assert reason in " ".join(ended.json["reasons"])
    assert {ended.json[key] for key in ("potency", "ci_low", "ci_high")} == {None}
    shown = nkloop("analyse", "potency", file, *options).out
    assert shown.startswith("NOT VALID: no potency can be reported")
    number = ended.json["potency_if_valid"]
    assert ("for the investigation only, T if it were valid" in shown) == (number is not None)


@pytest.mark.parametrize(
    ("header", "rows", "options", "message"),
    [
        pytest.param(
            "preparation,dose,response",
            LINES,
            ("--standard", "R"),
            "there is no preparation 'R'; there are S, T",
            id="std",
        ),
        pytest.param("preparation,dose,response", LINES, ("--transform", "logit"), "has no logit", id="logit_outside"),
        pytest.param(
            "preparation,dose,response", LINES, ("--design", "rbd"), "design rbd needs a column block", id="no_block"
        ),
        pytest.param(
            "preparation,dose,response", [("S", 0, 1), ("T", 1, 2)], (), "dose 0 is not above 0", id="dose_zero"
        ),
        pytest.param(
            "preparation,dose,response", [r for r in LINES if r[0] == "S"], (), "beside the standard", id="alone"
        ),
        pytest.param(
            "preparation,dose,response",
            LINES,
            ("--margins", "1.1:1.3"),
            "a slope ratio of 1 is not inside",
            id="margins",
        ),
        pytest.param(
            "preparation,dose,response", LINES, ("--assumed", "T=x"), "'T=x' is no number above 0", id="assumed"
        ),
        pytest.param(
            "preparation,dose,response,row,column",
            [(*LINES[0], 1, 1), (*LINES[1], 1, 1)],
            ("--design", "latin"),
            "row 1, column 1 stands on line 2 already",
            id="latin_cell_twice",
        ),
    ],
)
def test_an_assay_that_cannot_be_read_is_refused(
    nkloop: Callable[..., Any], tmp_path: Path, header: str, rows: list[Any], options: tuple[str, ...], message: str
) -> None:
    ended = nkloop("analyse", "potency", table(tmp_path / "p.csv", header, rows), *options)
    assert (ended.code, ended.out) == (1, "")
    assert message in ended.err


def test_only_valid_and_independent_results_are_combined(nkloop: Callable[..., Any], tmp_path: Path) -> None:
    good = nkloop("analyse", "potency", table(tmp_path / "p.csv", "preparation,dose,response", LINES), "--json")
    one, two = tmp_path / "1.json", tmp_path / "2.json"
    for path in (one, two):
        path.write_text(good.out, encoding="utf-8")
    assert "holds the same potency of T as" in nkloop("analyse", "potency", one, two, "--combine").err
    two.write_text("{}", encoding="utf-8")
    assert "cannot be combined: not a potency result" in nkloop("analyse", "potency", one, two, "--combine").err


def test_combination_needs_its_single_agents(nkloop: Callable[..., Any], tmp_path: Path) -> None:
    file = table(tmp_path / "c.csv", "dose_a,dose_b,response", [(0, 1, 10), (1, 1, 30)])
    ended = nkloop("analyse", "combination", file, "--json")
    assert (ended.code, ended.out) == (1, "")
    assert "dose 1 of agent a was not tested alone" in ended.err
