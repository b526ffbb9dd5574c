"""Writes the page of every rule beside this file: `uv run python docs/reference/rules/make.py`."""

from __future__ import annotations

from pathlib import Path

from nkloop.worklists.rule_pages import rule_page, rules_index
from nkloop.worklists.rules import RULES

PAGES = {"README.md": rules_index(), **{f"{rule.id}.md": rule_page(rule) for rule in RULES}}


def main() -> None:
    """Write the index and every page."""
    for name, text in PAGES.items():
        (Path(__file__).parent / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
