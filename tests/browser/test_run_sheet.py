"""The run sheet and the labels as printed pages: A4, nothing empty, every step there."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from nkloop.reports import labels_html, run_labels, run_sheet_html, run_sheets
from nkloop.reports.labels import Label

if TYPE_CHECKING:
    from conftest import Browser

pytestmark = pytest.mark.browser

DAY = date(2026, 11, 25)
EXAMPLES = Path(__file__).parents[1] / "protocols" / "make_examples.py"
needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")


@pytest.fixture(scope="module")
def examples() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_examples", EXAMPLES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(browser: Browser, folder: Path, html: str) -> list[str]:
    """Text of every printed page, and a check that each is A4."""
    page, pdf = folder / "page.html", folder / "page.pdf"
    page.write_text(html, encoding="utf-8")
    pdf.write_bytes(browser.print(page.as_uri()))
    info = subprocess.run(["pdfinfo", str(pdf)], capture_output=True, text=True, check=True).stdout
    assert "A4" in next(line for line in info.splitlines() if line.startswith("Page size")), info
    text = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    return text.split("\f")[:-1]


@needs_poppler
@pytest.mark.parametrize("procedure", ["medium_preparation", "cytokine_dosing", "cytotoxicity_assay"])
def test_a_printed_run_sheet_has_every_step_and_no_empty_page(browser, examples, tmp_path, procedure):
    worklist, catalogue = examples.EXAMPLES[procedure](), examples.shipped()[2]
    sheets = run_sheets((worklist,), catalogue, planned_on=DAY)
    pages = printed(browser, tmp_path, run_sheet_html(sheets, catalogue=catalogue))
    for number, page in enumerate(pages, 1):
        assert len(page.split()) > 40, f"page {number} is nearly empty"
        assert re.search(rf"\b{number} ?/ ?{len(pages)}\b", page)
        assert worklist.content_hash[:12] in page
        assert worklist.name in page
    listed = "".join(pages).split("Every step")[1]
    numbers = [int(n) for n in re.findall(r"^ *(\d+) +(?:8 ×|\d|Mix|Pause|Shake|Wait)", listed, flags=re.MULTILINE)]
    assert numbers == [step.number for step in worklist.steps]


@needs_poppler
def test_labels_print_24_to_a_page(browser, examples, tmp_path):
    labels = run_labels(examples.cytokine_dosing(), examples.shipped()[2], prepared_on=DAY) * 4
    pages = printed(browser, tmp_path, labels_html(labels, "labels"))
    assert [page.count("Use until") for page in pages] == [24, len(labels) - 24]


@needs_poppler
@pytest.mark.parametrize("count", [4, 7, 12])
def test_labels_break_no_amount_and_leave_none_out(browser, tmp_path, count):
    amounts = [f"IL-{number} {number * 113.3:.1f} ng/mL" for number in range(1, count + 1)]
    label = Label(
        batch="U1-reference, dose differentiation, day 14", content=f"1.53 mL: {', '.join(amounts)}", place="tube A1",
        step="12", prepared=f"{DAY}", expires="2026-11-25 19:30 (welded on within 4 h)", code="nkloop:abc:doses:A1",
    )  # fmt: skip
    (page,) = printed(browser, tmp_path, labels_html([label], "labels"))
    assert "…" not in page
    assert [amount for amount in amounts if amount not in page] == []
    assert page.count("(welded on within 4 h)") == (2 if count == 12 else 1)
