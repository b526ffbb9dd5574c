"""A decision is asked for once; a revision decided elsewhere is told and left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nkloop.coordination import approval
from nkloop.coordination.approval import RevisionDecision, ask_decision
from nkloop.feedback.models import Proposal
from nkloop.recipes import apply_factors, load_recipe
from nkloop.recipes.models import Recipe
from nkloop.records import Records
from nkloop.runs.session import Session

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def proposed() -> Recipe:
    return revised(1.5)


def revised(factor: float) -> Recipe:
    """A revision with this factor of the first value that the loop varies."""
    recipe = load_recipe(ROOT / "recipes" / "ucb-nk.yaml")
    return apply_factors(recipe, {recipe.loop.vary[0].key: factor}, reason="better", source="c-1")


@pytest.fixture
def proposal(proposed: Recipe) -> Proposal:
    return Proposal(
        campaign="c-1", after_round=1, parent=proposed.revision.parent or "", revision_id=proposed.revision_id,
        changes=(), expected_score=1, expected_score_sd=0.1, reference_score=0.5, best_arm="arm-1-1", best_score=0.9,
        probability_better=0.9, rationale="it did well",
    )  # fmt: skip


class Desk:
    """Stands for Prefect: shows nothing, answers pauses, and may let somebody else decide meanwhile."""

    def __init__(self, session: Any, revision_id: str) -> None:
        self.session, self.revision_id = session, revision_id
        self.shown: list[str] = []
        self.keys: list[str] = []
        self.decided_meanwhile = False

    async def show(self, name: str, markdown: str, description: str) -> None:
        self.shown.append(f"{name}: {description}: {markdown}")

    async def pause(self, form: type[Any], markdown: str, key: str, wait_seconds: float) -> RevisionDecision:
        self.keys.append(key)
        if self.decided_meanwhile:
            self.decide()
        return RevisionDecision(decision="approve", decided_by="Grace", reason="convincing")

    def decide(self) -> None:
        self.session.records.campaigns.decide_revision(self.revision_id, "rejected", by="Ada", at=AT, reason="too bold")


@pytest.fixture
def desk(tmp_path: Path, proposed: Recipe, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    records = Records(f"sqlite:///{tmp_path / 'records.db'}")
    records.migrate()
    records.campaigns.add_revision(proposed, at=AT)
    said: list[str] = []
    session = SimpleNamespace(
        records=records, workspace=SimpleNamespace(recipes=tmp_path / "recipes"), tell=said.append, said=said
    )
    (tmp_path / "recipes").mkdir()
    desk = Desk(session, proposed.revision_id)
    monkeypatch.setattr(approval, "ask_in_prefect", desk.pause)
    monkeypatch.setattr(approval, "show_markdown", desk.show)
    yield desk
    records.close()


async def test_a_decision_is_recorded_and_the_approved_recipe_saved(desk: Desk, proposal: Proposal) -> None:
    assert await ask_decision(cast(Session, desk.session), proposal, "text") == "approved"
    (entry,) = desk.session.records.campaigns.approvals([proposal.revision_id])
    assert (entry.decision, entry.by, entry.reason) == ("approved", "Grace", "convincing")
    assert [path.name for path in desk.session.workspace.recipes.iterdir()] == ["ucb-nk-r1.yaml"]
    assert desk.shown == []


@pytest.mark.parametrize("meanwhile", [False, True], ids=["before", "during the pause"])
async def test_a_revision_already_decided_is_told_and_stays(desk: Desk, proposal: Proposal, meanwhile: bool) -> None:
    desk.decided_meanwhile = meanwhile
    if not meanwhile:
        desk.decide()
    assert await ask_decision(cast(Session, desk.session), proposal, "text") == "rejected"
    assert len(desk.keys) == (1 if meanwhile else 0)
    assert len(desk.session.records.campaigns.approvals([proposal.revision_id])) == 1
    assert len(desk.shown) == 1
    assert "already rejected by Ada on 2026-03-02" in desk.shown[0]
    assert "too bold" in desk.shown[0]
    assert "already rejected by Ada on 2026-03-02" in desk.session.said[0]
    assert list(desk.session.workspace.recipes.iterdir()) == []


async def test_another_revision_after_the_same_round_is_another_question(desk: Desk, proposal: Proposal) -> None:
    """Prefect hands out the answer stored under a key without asking anybody."""
    other = revised(2.0)
    desk.session.records.campaigns.add_revision(other, at=AT)
    again = proposal.model_copy(update={"revision_id": other.revision_id})
    for one in (proposal, again):
        await ask_decision(cast(Session, desk.session), one, "text")
    first, second = desk.keys
    assert first != second
