"""Writes the fields of a bench file beside this file: `uv run python docs/reference/make_bench_fields.py`."""

from __future__ import annotations

from pathlib import Path

from nkloop.drivers.bench_page import fields_page


def main() -> None:
    """Write the page."""
    (Path(__file__).parent / "bench-fields.md").write_text(fields_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
