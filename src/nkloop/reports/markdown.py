"""Markdown for places that show nothing else: approval pages, and tables for others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nkloop.feedback.models import Proposal
from nkloop.recipes.models import Recipe
from nkloop.reports.numbers import chance, fixed
from nkloop.reports.recipe_diff import ChangeRow, change_rows, unverified_count


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no line break, no end of a table cell."""
    flat = " ".join(text.split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", flat)


def proposal_markdown(proposal: Proposal, recipe: Recipe, proposed: Recipe) -> str:
    """What a person reads before approving: the change, why, how sure, and what nobody has verified.

    Args:
        proposal: What the optimiser asks for.
        recipe: The recipe the change starts from.
        proposed: The recipe that would run.
    """
    rows = change_rows(proposal, recipe)
    gain = proposal.expected_score - proposal.reference_score
    unverified, total = unverified_count(recipe)
    # a list, because the page of a paused run cuts wide tables off
    changes = "\n".join(
        f"- **{_t(r.stage)}, {_t(r.component)}**: {_t(r.before)} → {_t(r.after)} ({_t(r.factor)}), "
        f"published value {_t(_mark(r))}. {_t(r.reason)}"
        for r in rows
    )
    return "\n".join(
        [
            f"## Proposed revision of {_t(recipe.title)}",
            "",
            f"**{_t(proposal.revision_id)}** from {_t(proposal.parent)}, after round {proposal.after_round} "
            f"of campaign {_t(proposal.campaign)}. Status: **{_t(proposed.revision.status)}**.",
            "",
            changes if rows else "The proposal changes no value.",
            "",
            _t(proposal.rationale),
            "",
            f"- Expected score {fixed(proposal.expected_score)} ± {fixed(proposal.expected_score_sd)} (SD), "
            f"{fixed(abs(gain))} {'above' if gain >= 0 else 'below'} "
            f"the reference ({fixed(proposal.reference_score)}).",
            f"- Probability to beat the reference: {chance(proposal.probability_better)}.",
            f"- Best arm tested: {_t(proposal.best_arm)}, score {fixed(proposal.best_score)}.",
            f"- Published values are not validated values: "
            f"{unverified} of {total} ingredient values are not verified by a person.",
            "",
            "Only an approved revision runs.",
            "",
        ]
    )


def _mark(row: ChangeRow) -> str:
    return f"verified by {row.verified_by}" if row.is_verified else row.verified_by


def _t(text: str) -> str:
    return markdown_text(text)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; every cell is escaped."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(_t(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
