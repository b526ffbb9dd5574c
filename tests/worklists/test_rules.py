"""The rules: one source for ids, pages and documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nkloop.errors import WorklistError
from nkloop.worklists import rules
from nkloop.worklists.rule_pages import rule_of, rule_page, rules_index
from nkloop.worklists.rules import RULES

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "rules"
SOURCES = Path(rules.__file__).parents[1]


def test_the_pages_in_the_documents_are_those_of_the_source():
    wanted = {"README.md": rules_index(), **{f"{rule.id}.md": rule_page(rule) for rule in RULES}}
    found = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    assert found == wanted, "run docs/reference/rules/make.py"


def test_every_rule_is_complete_and_used_by_a_check():
    code = "\n".join(
        p.read_text(encoding="utf-8") for p in SOURCES.rglob("*.py") if p.name not in {"rules.py", "rules_of_checks.py"}
    )
    names = {value: name for name, value in vars(rules).items() if isinstance(value, str) and name.isupper()}
    assert len({rule.id for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert re.fullmatch(r"V\d{3}", rule.id)
        assert all(text.endswith(".") for text in (rule.protects, rule.found, rule.remedy))
        assert not rule.title.endswith(".")
        assert f"rules.{names[rule.id]}" in code, f"{rule.id} is never found"


def test_a_rule_is_found_by_its_id_however_it_is_typed():
    assert rule_of(" v001 ").name == "overfill"
    with pytest.raises(WorklistError, match="there is no rule 'V999'"):
        rule_of("V999")


def test_only_rules_that_refuse_refuse():
    assert rules.refuses(rules.OVERFILL)
    assert not rules.refuses(rules.LIGHT)
    assert rules.refuses(""), "a problem without a rule is never only a warning"
