"""Score, feasibility, expansion and approval."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import ApprovalError, FeedbackError
from nkloop.feedback import approve, cumulative_fold, observe, reject, score_of
from nkloop.feedback.models import Observation
from nkloop.recipes import apply_factors
from nkloop.recipes.models import Objective, Recipe

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def observed(recipe: Recipe, **changes: object) -> Observation:
    values: dict[str, object] = {
        "round_number": 1,
        "arm": "reference",
        "donor": "U1",
        "factors": {},
        "log10_fold": 3.0,
        "viability_percent": 90.0,
        "purity_percent": 80.0,
        "potency": 0.6,
        "plate": "P1",
        "plate_verdict": "accepted",
    }
    return observe(recipe, **{**values, **changes})  # type: ignore[arg-type]


def test_score_by_hand() -> None:
    weights = Objective(log10_fold_weight=2, potency_weight=3, purity_weight=0.5, cost_weight=0.25)
    # 2 * 3.5 + 3 * 0.6 + 0.5 * 0.8 - 0.25 * log10(100)
    assert score_of(weights, log10_fold=3.5, potency=0.6, purity_percent=80, cost_factor=100) == pytest.approx(8.7)


def test_observation_carries_score_feasibility_and_revision(recipe: Recipe) -> None:
    good = observed(recipe)
    assert good.score == pytest.approx(3.0 + 0.6 + 0.5 * 0.8)
    assert good.recipe_revision == recipe.revision_id
    assert (good.feasible, observed(recipe, viability_percent=69.9).feasible) == (True, False)
    assert observed(recipe, viability_percent=70.0).feasible


def test_a_rejected_plate_gives_no_observation(recipe: Recipe) -> None:
    with pytest.raises(FeedbackError, match="plate P1 was rejected"):
        observed(recipe, plate_verdict="rejected")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log10_fold": float("-inf")}, "not a usable number: log10 fold"),
        ({"potency": float("nan")}, "not a usable number: potency"),
        ({"cost_factor": 0.0}, "not a usable number: cost factor"),
    ],
)
def test_numbers_that_are_none_are_refused(changes: dict[str, float], message: str, recipe: Recipe) -> None:
    with pytest.raises(FeedbackError, match=message):
        observed(recipe, **changes)


@given(seeded=st.floats(1e3, 1e6), growth=st.floats(0.5, 1e4), kept=st.lists(st.floats(0.05, 1.0), max_size=6))
def test_splits_do_not_change_the_cumulative_fold(seeded: float, growth: float, kept: list[float]) -> None:
    harvested = seeded * growth
    for fraction in kept:
        harvested *= fraction
    assert cumulative_fold(harvested, seeded, kept) == pytest.approx(growth)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1e5, []), "NK cells harvested: 0"),
        ((1e5, -1, []), r"CD34\+ cells seeded: -1"),
        ((float("nan"), 1e5, []), "harvested: nan"),
        ((1e5, 1e5, [0.5, 0.0]), "split 2 kept a fraction of 0"),
        ((1e5, 1e5, [1.2]), "split 1 kept a fraction of 1.2"),
    ],
)
def test_impossible_expansions_are_refused(arguments: tuple[float, float, list[float]], message: str) -> None:
    with pytest.raises(FeedbackError, match=message):
        cumulative_fold(*arguments)


@pytest.fixture
def proposed(recipe: Recipe) -> Recipe:
    return apply_factors(recipe, {recipe.loop.vary[0].key: 1.5}, reason="Proposed by test.", source="test")


def test_approval_keeps_content_and_reason(proposed: Recipe) -> None:
    approved = approve(proposed, "A. Scientist", "gain on both donors", NOON)
    assert approved.revision_id == proposed.revision_id
    assert approved.revision.status == "approved"
    assert approved.revision.approved_by == "A. Scientist"
    assert approved.revision.approved_at == "2026-05-04T12:00:00+00:00"
    assert approved.revision.reason == "Proposed by test. Approved: gain on both donors"
    assert reject(proposed, "A. Scientist", "too costly", NOON).revision.status == "rejected"


def test_approval_needs_a_proposal_a_name_a_reason_and_a_time(recipe: Recipe, proposed: Recipe) -> None:
    with pytest.raises(ApprovalError, match="'published', only a proposed revision"):
        approve(recipe, "A", "r", NOON)
    with pytest.raises(ApprovalError, match="'approved', only a proposed revision"):
        approve(approve(proposed, "A", "r", NOON), "A", "r", NOON)
    with pytest.raises(ApprovalError, match="name is empty"):
        approve(proposed, "  ", "r", NOON)
    with pytest.raises(ApprovalError, match="reason is empty"):
        reject(proposed, "A", "", NOON)
    with pytest.raises(ApprovalError, match="no zone"):
        approve(proposed, "A", "r", datetime(2026, 5, 4))
