"""The analyse commands as a person uses them: table, JSON, page; CSV and workbook say the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

PUBLISHED = Path(__file__).parents[1] / "assays" / "potency" / "published"
CURVE = "x,y,group\n" + "".join(
    f"{x},{y + shift},{group}\n"
    for group, shift in (("a", 0), ("b", 3))
    for x, y in ((0, 1), (0.1, 4), (0.3, 9), (1, 30), (3, 66), (10, 88), (30, 95))
)


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    path = tmp_path / "curves.csv"
    path.write_text("\ufeff# a remark\n" + CURVE, encoding="utf-8")
    return path


def test_curves_as_json_table_and_page(nkloop: Callable[..., Any], curves: Path, tmp_path: Path) -> None:
    page = tmp_path / "curves.html"
    found = nkloop("analyse", "curve", curves, "--json", "--report", page).json
    assert set(found["ec50"]) == {"a", "b"}
    assert {p["name"] for p in found["parameters"]} == {"bottom", "top", "ec50", "log10_ec50", "slope"}
    assert [c["simple"] for c in found["arms"]] == ["parallel curves", "one curve"]
    text = page.read_text(encoding="utf-8")
    assert "<svg" in text
    assert "<script" not in text
    shown = nkloop("analyse", "curve", curves, "--level", "20")
    assert "EC20" in shown.out
    assert "AICc prefers" in shown.out


def test_a_workbook_says_the_same_as_the_csv(nkloop: Callable[..., Any], curves: Path, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.create_sheet("data")
    for line in CURVE.splitlines():
        cells = line.split(",")
        book["data"].append(
            [
                cells[0] if cells[0] == "x" else float(cells[0]),
                cells[1] if cells[1] == "y" else float(cells[1]),
                cells[2],
            ]
        )
    path = tmp_path / "curves.xlsx"
    book.save(path)
    from_book = nkloop("analyse", "curve", path, "--sheet", "data", "--json").json
    assert from_book["ec50"] == nkloop("analyse", "curve", curves, "--json").json["ec50"]
    assert "has no sheet 'x'; it has Sheet, data" in nkloop("analyse", "curve", path, "--sheet", "x").err


def test_potency_of_a_published_assay(nkloop: Callable[..., Any], tmp_path: Path) -> None:
    page = tmp_path / "p.html"
    arguments = ("analyse", "potency", PUBLISHED / "hepatitis_b.csv", "--transform", "ln", "--assumed", "20")
    found = nkloop(*arguments, "--json", "--report", page).json
    assert [round(p["potency"], 3) for p in found["preparations"]] == [43.420, 35.163, 39.402]
    assert (found["valid"], found["potency"]) == (True, None)
    assert "non-parallelism" in page.read_text(encoding="utf-8")
    assert "valid" in nkloop(*arguments).out


def test_parallel_curves_agree_with_lines_on_an_assay_that_has_both(nkloop: Callable[..., Any]) -> None:
    arguments = ("analyse", "potency", PUBLISHED / "hepatitis_b.csv", "--assumed", "20", "--design", "4pl", "--json")
    found = nkloop(*arguments, "--margins", "0.5:2").json
    lines = {"T": (40.5, 46.5), "U": (32.9, 37.6), "V": (36.8, 42.2)}
    for one in found["preparations"]:
        low, high = lines[one["preparation"]]
        assert one["ci_low_if_valid"] < high
        assert one["ci_high_if_valid"] > low
        assert {s["name"] for s in one["similarity"]} >= {"slope ratio", "top difference / span"}


def test_independent_assays_are_combined(nkloop: Callable[..., Any], tmp_path: Path) -> None:
    paths = []
    for number, factor in enumerate((1.0, 1.01, 1.02)):
        text = nkloop(
            "analyse", "potency", PUBLISHED / "turbidimetric.csv", "--design", "rbd", "--assumed", f"{factor}", "--json"
        )
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(text.out, encoding="utf-8")
    page = tmp_path / "all.html"
    found = nkloop("analyse", "potency", *paths, "--combine", "--json", "--report", page).json
    single = text.json
    assert found["method"] == "weighted"
    assert found["p"] > 0.5
    width = found["ci_high"] / found["ci_low"]
    assert 1 < width < single["ci_high"] / single["ci_low"]
    assert found["potency"] == pytest.approx(single["potency"] / 1.02 * 1.01, rel=1e-4)
    assert "<svg" in page.read_text(encoding="utf-8")


def test_combination_as_json_and_page(nkloop: Callable[..., Any], tmp_path: Path) -> None:
    rows = [f"{a},{b},{10 * a + 5 * b - 0.5 * a * b + d}" for a in (0, 1, 2) for b in (0, 2, 4) for d in (-1, 1)]
    file = tmp_path / "c.csv"
    file.write_text("dose_a,dose_b,response\n" + "\n".join(rows) + "\n", encoding="utf-8")
    page = tmp_path / "c.html"
    found = nkloop("analyse", "combination", file, "--json", "--report", page).json
    assert [c["excess"] for c in found["bliss"]["cells"]] == pytest.approx([0.0] * 4, abs=1e-9)
    assert found["loewe"]["available"] is False
    text = page.read_text(encoding="utf-8")
    for said in ("advisory", "Response (mean of the wells)", "Excess over Bliss", "Excess over highest single agent"):
        assert said in text
    assert "Bliss: mean excess" in nkloop("analyse", "combination", file).out


@pytest.mark.parametrize(
    ("arguments", "content", "written"),
    [
        pytest.param(("curve",), CURVE, {"picture.svg"}, id="curves"),
        pytest.param(("potency", "--transform", "ln"), "", {"picture.svg"}, id="potency"),
        pytest.param(
            ("combination", "--no-advice"),
            "dose_a,dose_b,response\n0,1,10\n1,0,20\n1,1,30\n",
            {
                "picture-response.svg",
                "picture-excess-over-bliss.svg",
                "picture-excess-over-highest-single-agent.svg",
            },
            id="combination",
        ),
    ],
)
def test_pictures_are_written(
    nkloop: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], content: str, written: set[str]
) -> None:
    file = tmp_path / "data.csv"
    file.write_text(content or (PUBLISHED / "hepatitis_b.csv").read_text(encoding="utf-8"), encoding="utf-8")
    folder = tmp_path / "pictures"
    folder.mkdir()
    ended = nkloop("analyse", *arguments, file, "--picture", folder / "picture.svg")
    assert ended.code == 0
    assert {path.name for path in folder.iterdir()} == written
    assert all(path.read_text(encoding="utf-8").startswith("<svg") for path in folder.iterdir())
    refused = nkloop("analyse", *arguments, file, "--picture", folder / "picture.pdf")
    assert (refused.code, "a picture cannot be written as '.pdf'" in refused.err) == (1, True)
