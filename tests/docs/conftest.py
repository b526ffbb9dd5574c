"""The documents of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def documents() -> list[Path]:
    """README, changelog, everything in docs/, and the page of the benchmarks."""
    pages = sorted(ROOT.glob("docs/**/*.md"))
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *pages, ROOT / "benchmarks" / "README.md"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that take `document` run once for each."""
    if "document" in metafunc.fixturenames:
        metafunc.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT
