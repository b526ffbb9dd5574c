"""The page of each rule, as `nkloop check --explain` prints it and as it lies in `docs/reference/rules/`."""

from __future__ import annotations

from nkloop.errors import WorklistError
from nkloop.worklists.rule_model import Rule
from nkloop.worklists.rules import RULES


def rule_of(rule_id: str) -> Rule:
    """The rule with an id, in capitals or small letters.

    Raises:
        WorklistError: there is none.
    """
    wanted = rule_id.strip().upper()
    found = next((rule for rule in RULES if rule.id == wanted), None)
    if found is None:
        raise WorklistError(
            f"there is no rule '{rule_id}'", where="--explain", remedy="nkloop check --explain lists all rules"
        )
    return found


def rule_page(rule: Rule) -> str:
    """The page of a rule in Markdown."""
    consequence = {
        "refuses": "A worklist that breaks it is refused.",
        "warns": "A worklist that breaks it may run; the warning is shown.",
    }[rule.severity]
    return (
        f"# {rule.id} {rule.name}\n\n{rule.title}. {consequence}\n\n"
        f"## What it protects\n\n{rule.protects}\n\n"
        f"## How it is found\n\n{rule.found}\n\n"
        f"## What to do\n\n{rule.remedy}\n"
    )


def rules_index() -> str:
    """The page that lists all rules."""
    rows = "\n".join(f"| [{r.id}]({r.id}.md) | {r.name} | {r.severity} | {r.title} |" for r in RULES)
    return (
        "# Verification rules\n\nMade from `nkloop.worklists.rules`; `nkloop check --explain V001` prints a page.\n\n"
        f"| id | rule | | what is wrong |\n|---|---|---|---|\n{rows}\n"
    )
