"""The campaign: rounds within limits, honest bookkeeping, proposals that are better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nkloop.errors import FeedbackError, NoImprovementError
from nkloop.feedback import Campaign
from nkloop.feedback.designs import to_point
from nkloop.feedback.effects import pooled_variance
from nkloop.feedback.models import Arm, Observation
from nkloop.recipes import apply_factors, diff
from nkloop.recipes.models import Recipe

Measure = Callable[..., list[Observation]]
OPTIMUM = np.array([0.8, -0.6, 0.0, 1.0, -0.8, 0.4, 0.9, -0.3])


def hill(x: np.ndarray) -> float:
    """Log-quadratic with an optimum inside the envelope."""
    return float(-0.2 * np.sum((x - OPTIMUM) ** 2))


def played(campaign: Campaign, measure: Measure, n_rounds: int, **settings: object) -> Campaign:
    for number in range(n_rounds):
        made = campaign.next_round([f"U{2 * number + 1}", f"U{2 * number + 2}"])
        campaign.add(measure(campaign, made, **settings))
    return campaign


def test_first_round_has_the_reference_and_distinct_legal_arms(campaign: Campaign) -> None:
    made = campaign.next_round(["U1", "U2"])
    assert [a.name for a in made.arms] == ["reference", *(f"arm-1-{i}" for i in range(1, 6))]
    assert set(made.arms[0].factors.values()) == {1.0}
    assert {a.origin for a in made.arms[1:]} == {"exploration"}
    assert len({tuple(a.factors.values()) for a in made.arms}) == 6
    for arm in made.arms:
        campaign.envelope.check(arm.factors, where=arm.name)


def test_later_rounds_replicate_the_best_arm_and_optimise(campaign: Campaign, measure: Measure) -> None:
    played(campaign, measure, 1, truth=hill)
    second = campaign.next_round(["U3", "U4"])
    assert [a.origin for a in second.arms] == ["reference", "replicate", *["optimizer"] * 4]
    earlier = {tuple(a.factors.values()) for a in campaign.rounds[0].arms}
    assert tuple(second.arms[1].factors.values()) in earlier
    assert all(tuple(a.factors.values()) not in earlier for a in second.arms[2:])
    assert len({tuple(a.factors.values()) for a in second.arms}) == 6
    assert all(a.predicted_score is not None and a.predicted_sd for a in second.arms[1:])


def test_a_saved_campaign_goes_on_identically(campaign: Campaign, measure: Measure) -> None:
    played(campaign, measure, 1, truth=hill)
    again = Campaign.from_json(campaign.to_json())
    assert again.to_json() == campaign.to_json()
    assert again.next_round(["U3"]) == campaign.next_round(["U3"])
    with pytest.raises(FeedbackError, match="not a saved campaign"):
        Campaign.from_json("{}")


def test_seeds_differ_and_repeat(recipe: Recipe) -> None:
    first = [Campaign(recipe, seed=seed).next_round(["U1"]) for seed in (1, 1, 2)]
    assert first[0] == first[1] != first[2]


def test_proposal_is_a_child_of_the_reference_within_the_limits(campaign: Campaign, measure: Measure) -> None:
    played(campaign, measure, 2, truth=hill)
    proposal, proposed = campaign.propose()
    assert proposal.parent == campaign.recipe.revision_id == proposed.revision.parent
    assert (proposal.revision_id, proposed.revision.status) == (proposed.revision_id, "proposed")
    assert proposal.after_round == 2
    assert {(c.stage, c.component) for c in proposal.changes} == {
        (c.stage, c.component) for c in diff(campaign.recipe, proposed)
    }
    assert all(0.5 <= c.factor <= 2 for c in proposal.changes)
    assert 0.5 < proposal.probability_better <= 1
    assert proposal.expected_score > proposal.reference_score
    assert proposal == campaign.propose()[0]


def test_rationale_says_what_why_how_sure_and_what_is_not_known(campaign: Campaign, measure: Measure) -> None:
    played(campaign, measure, 1, truth=hill)
    proposal, _ = campaign.propose()
    change = proposal.changes[0]
    assert change.before in proposal.rationale
    assert change.after in proposal.rationale
    for words in ("probability that it is better", proposal.best_arm, "same donors", "Not known"):
        assert words in proposal.rationale
    assert "expected to add" in change.reason


@pytest.mark.slow
def test_two_rounds_beat_the_reference_in_most_campaigns(recipe: Recipe, measure: Measure) -> None:
    better = 0
    for seed in range(12):
        chance = np.random.default_rng(seed)
        optimum, bend = chance.uniform(-1.2, 1.2, 8), 0.15 * chance.uniform(0.3, 1, 8)

        def truth(x: np.ndarray, optimum: np.ndarray = optimum, bend: np.ndarray = bend) -> float:
            return float(-np.sum(bend * (x - optimum) ** 2))

        campaign = played(Campaign(recipe, seed=seed), measure, 2, truth=truth, seed=seed)
        factors = factors_of(campaign)
        better += truth(to_point(campaign.envelope, factors)) > truth(np.zeros(8))
    assert better >= 10


def factors_of(campaign: Campaign) -> dict[str, float]:
    """Factors of the proposal, 1 everywhere when none is made: then nothing is better than the reference."""
    try:
        proposal, _ = campaign.propose()
    except NoImprovementError:
        return {v.key: 1.0 for v in campaign.recipe.loop.vary}
    changed = {(c.stage, c.component): c.factor for c in proposal.changes}
    return {v.key: changed.get((v.stages[0], v.component), 1.0) for v in campaign.recipe.loop.vary}


def test_a_flat_world_gives_no_confident_proposal(recipe: Recipe, measure: Measure) -> None:
    claims = []
    for seed in range(6):
        campaign = played(Campaign(recipe, seed=seed), measure, 1, seed=seed)
        try:
            claims.append(campaign.propose()[0].probability_better)
        except FeedbackError:
            claims.append(0.0)
    assert np.mean(claims) < 0.9


def test_arms_that_kill_cells_are_not_proposed(campaign: Campaign, measure: Measure) -> None:
    def viability(x: np.ndarray) -> float:
        return 55.0 if x[0] > 0 else 88.0  # the good direction of component 0 is toxic

    played(campaign, measure, 2, truth=hill, viability=viability)
    key = campaign.envelope.keys[0]
    assert factors_of(campaign)[key] <= 1.0
    infeasible = {s.arm for s in campaign.summaries() if not s.feasible}
    assert infeasible
    assert campaign.propose()[0].best_arm not in infeasible


def test_summaries_compare_on_the_same_donors(campaign: Campaign, measure: Measure) -> None:
    made = campaign.next_round(["U1", "U2"])
    rows = measure(campaign, made, truth=hill, noise=0.0)
    # the second donor's plate was lost for one arm
    campaign.add(o for o in rows if not (o.arm == "arm-1-1" and o.donor == "U2"))
    by_arm = {s.arm: s for s in campaign.summaries()}
    assert (by_arm["arm-1-1"].n, by_arm["arm-1-2"].n) == (1, 2)
    for arm in made.arms:
        expected = hill(to_point(campaign.envelope, arm.factors)) - hill(np.zeros(8))
        assert by_arm[arm.name].delta == pytest.approx(expected)
    assert by_arm["reference"].delta == 0
    assert by_arm["reference"].delta_low is None


def test_summary_interval_by_hand(campaign: Campaign, measure: Measure) -> None:
    made = campaign.next_round(["U1", "U2"])
    rows = measure(campaign, made, noise=0.2)
    table = np.array([[o.score for o in rows if o.donor == donor] for donor in made.donors])
    residual = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    variance = np.sum(residual**2) / 5  # (6 arms - 1) (2 donors - 1)
    assert pooled_variance(rows) == (pytest.approx(variance), 5)
    campaign.add(rows)
    row = campaign.summaries()[1]
    half = 2.570582 * np.sqrt(2 * variance / 2)  # t, 97.5 %, 5 degrees of freedom
    assert (row.delta_low, row.delta_high) == (pytest.approx(row.delta - half), pytest.approx(row.delta + half))


def test_one_donor_gives_no_interval_but_a_proposal(campaign: Campaign, measure: Measure) -> None:
    campaign.add(measure(campaign, campaign.next_round(["U1"]), truth=lambda x: 3 * hill(x)))
    assert all(s.delta_low is None for s in campaign.summaries())
    assert campaign.propose()[0].expected_score_sd > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"arm": "arm-9-9"}, "round 1 has no arm 'arm-9-9'", id="unknown_arm"),
        pytest.param({"round": 7}, "there is no round 7", id="unknown_round"),
        pytest.param({"donor": "U9"}, "donor U9 is not in the round", id="unknown_donor"),
        pytest.param({"factors": {}}, "factors are not those of the arm", id="wrong_factors"),
        pytest.param({"recipe_revision": "ucb-nk@000000000000"}, "belongs to recipe revision", id="other_revision"),
        pytest.param({"recipe_revision": ""}, "belongs to recipe revision ''", id="no_revision"),
        pytest.param({"plate_verdict": "rejected"}, "was rejected", id="rejected_plate"),
        pytest.param({"score": 99.0}, "score 99 or feasibility does not follow", id="wrong_score"),
        pytest.param({"feasible": False}, "feasibility does not follow", id="wrong_feasibility"),
    ],
)
def test_observations_that_do_not_belong_are_refused_and_none_is_kept(
    change: dict[str, object], message: str, campaign: Campaign, measure: Measure
) -> None:
    rows = measure(campaign, campaign.next_round(["U1", "U2"]))
    with pytest.raises(FeedbackError, match=message):
        campaign.add([*rows[1:], rows[0].model_copy(update=change)])
    assert campaign.observations == ()


def test_an_observation_counts_once(campaign: Campaign, measure: Measure) -> None:
    rows = measure(campaign, campaign.next_round(["U1", "U2"]))
    with pytest.raises(FeedbackError, match="observed twice"):
        campaign.add([rows[0], rows[0]])
    campaign.add(rows)
    with pytest.raises(FeedbackError, match="observed twice"):
        campaign.add(rows[:1])


def test_rounds_need_results_and_a_reference(campaign: Campaign, measure: Measure) -> None:
    rows = measure(campaign, campaign.next_round(["U1"]))
    with pytest.raises(FeedbackError, match="round 1 has no observations yet"):
        campaign.next_round(["U2"])
    with pytest.raises(FeedbackError, match="reference has not been observed"):
        campaign.propose()
    campaign.add(o for o in rows if o.arm != "reference")
    with pytest.raises(FeedbackError, match="reference has not been observed"):
        campaign.next_round(["U2"])
    only = Campaign(campaign.recipe, seed=3)
    only.add(o for o in measure(only, only.next_round(["U1"])) if o.arm == "reference")
    with pytest.raises(FeedbackError, match="only the reference has been observed"):
        only.propose()


@pytest.mark.parametrize("donors", [[], ["U1", "U1"]], ids=["none", "twice"])
def test_donors_are_checked(donors: list[str], campaign: Campaign) -> None:
    with pytest.raises(FeedbackError, match="donors"):
        campaign.next_round(donors)


@pytest.mark.parametrize("settings", [{"n_arms": 1}, {"seed": -1}, {"name": ""}])
def test_settings_are_checked(settings: dict[str, object], recipe: Recipe) -> None:
    with pytest.raises(FeedbackError, match=next(iter(settings))):
        Campaign(recipe, **settings)  # type: ignore[arg-type]


def test_a_round_by_hand_obeys_the_limits(campaign: Campaign) -> None:
    key = campaign.envelope.keys[0]
    reference = Arm(name="reference", factors={}, origin="reference")
    good = Arm(name="arm-1-1", factors={key: 1.5}, origin="exploration")
    bold = Arm(name="arm-1-2", factors={key: 3.0}, origin="exploration")
    with pytest.raises(FeedbackError, match=r"factor 3 of .+ is above 2"):
        campaign.add_round([reference, bold], ["U1"])
    with pytest.raises(FeedbackError, match="exactly one reference arm"):
        campaign.add_round([good], ["U1"])
    with pytest.raises(FeedbackError, match="two arms are alike"):
        campaign.add_round([reference, good, good.model_copy(update={"name": "arm-1-3"})], ["U1"])
    with pytest.raises(FeedbackError, match="too few arms or donors"):
        campaign.add_round([reference, good], [])
    assert campaign.rounds == ()
    assert campaign.add_round([reference, good], ["U1"]).arms[1].factors[key] == 1.5


def test_a_campaign_on_an_approved_revision_has_its_own_reference(campaign: Campaign, measure: Measure) -> None:
    child = apply_factors(campaign.recipe, {campaign.envelope.keys[0]: 1.5}, reason="r", source="test")
    rows = measure(campaign, campaign.next_round(["U1"]))
    other = Campaign(child, seed=1)
    other.next_round(["U1"])
    with pytest.raises(FeedbackError, match="belongs to recipe revision"):
        other.add(rows)


def test_a_saved_campaign_keeps_its_note_and_how_far_it_came(recipe: Recipe) -> None:
    campaign = Campaign(recipe, seed=1, note="SIMULATED bench")
    assert campaign.progress == "running"
    campaign.mark("interrupted")
    again = Campaign.from_json(campaign.to_json())
    assert (again.note, again.progress) == ("SIMULATED bench", "interrupted")
    assert again.to_json() == campaign.to_json()


def test_the_note_of_a_campaign_goes_into_its_proposal(recipe: Recipe, measure: Measure) -> None:
    campaign = Campaign(recipe, seed=1, name="test", note="SIMULATED bench")
    campaign.add(measure(campaign, campaign.next_round(["U1", "U2"]), truth=lambda x: 3 * hill(x)))
    _, proposed = campaign.propose()
    assert proposed.revision.reason.endswith("after round 1. SIMULATED bench.")
    assert proposed.sources["test"].note.endswith("; SIMULATED bench")


def test_a_proposal_is_told_in_titles_not_in_keys(campaign: Campaign, measure: Measure) -> None:
    campaign.add(measure(campaign, campaign.next_round(["U1", "U2"]), truth=lambda x: 3 * hill(x)))
    proposal, _ = campaign.propose()
    assert proposal.changes
    told = {stage.title for stage in campaign.recipe.stages if stage.title in proposal.rationale}
    assert told
    assert "@" not in proposal.rationale.replace(proposal.parent, "")
    assert not any(stage in proposal.rationale for stage in campaign.recipe.stage_ids if "_" in stage)
