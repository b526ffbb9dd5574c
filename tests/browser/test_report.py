"""The campaign report in a browser: it opens, stays silent, asks nobody for anything, prints."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Browser, Page

pytestmark = pytest.mark.browser

SECTIONS = ["found", "proposal", "objective", "culture", "curves", "plates", "runs", "lots", "recipe", "methods"]


@pytest.fixture(scope="module")
def page(browser: Browser, report: str) -> Page:
    return browser.open(report)


def write(folder: Path, body: str) -> str:
    """Address of a page with this body."""
    file = folder / "page.html"
    file.write_text(f"<!doctype html><html><body>{body}</body></html>", encoding="utf-8")
    return file.as_uri()


def different_lines(png: bytes) -> int:
    """Number of different lines of pixels, as stored: a page of one colour has one to three."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    place, data, height = 8, b"", 0
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        kind, content = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            (height,) = struct.unpack(">I", content[4:8])
        data += content if kind == b"IDAT" else b""
        place += 12 + length
    pixels = zlib.decompress(data)
    line = len(pixels) // height
    return len({pixels[k * line : (k + 1) * line] for k in range(height)})


def test_it_opens_without_a_word_in_the_console(page: Page) -> None:
    assert page.console == ()


def test_it_asks_for_nothing(page: Page) -> None:
    assert page.requests == ()


def test_a_page_that_complains_and_asks_is_noticed(browser: Browser, tmp_path: Path) -> None:
    body = '<img src="http://pictures.invalid/a.png"><script>console.error("broken")</script>'
    found = browser.open(write(tmp_path, body))
    assert found.console == ("broken",)
    assert "http://pictures.invalid/a.png" in found.requests


def test_every_section_is_in_the_browser_with_its_heading(page: Page) -> None:
    shown = re.findall(r'<section id="([\w-]+)"[^>]*>\s*<h2[^>]*>([^<]+)</h2>', page.dom)
    assert [name for name, _ in shown] == SECTIONS
    assert all(heading.strip() in page.words for _, heading in shown)
    assert page.dom.count("<svg") > len(SECTIONS)


def test_it_prints_on_a_reasonable_number_of_pages(browser: Browser, report: str) -> None:
    pdf = browser.print(report)
    assert pdf.startswith(b"%PDF-")
    assert 3 < len(re.findall(rb"/Type\s*/Page\b", pdf)) < 40
    assert len(pdf) < 5_000_000


def test_it_is_not_blank(browser: Browser, report: str, tmp_path: Path) -> None:
    assert different_lines(browser.picture(write(tmp_path, ""))) <= 3
    assert different_lines(browser.picture(report)) > 200
