"""What was found, in words and from the data."""

from __future__ import annotations

from nkloop.reports.campaign_data import best_of, latest_proposal, round_of, summaries_of
from nkloop.reports.findings import findings, status_of
from nkloop.reports.lots import lot_words, lots_used
from nkloop.reports.models import CampaignStory
from nkloop.reports.recipe_diff import change_rows, stage_title, unverified_count, value_rows, varied_title


def test_counts_come_from_the_story(story: CampaignStory) -> None:
    first = findings(story)[0]
    assert "2 rounds tested 10 variants" in first
    assert "2 donor units (U1 and U2)" in first
    assert "Of 12 killing assay plates read: 10 accepted, 1 flagged and 1 rejected." in first


def test_best_variant_is_told_with_its_interval(story: CampaignStory) -> None:
    best = best_of(story)
    assert best is not None
    told = findings(story)[1]
    assert best.arm in told
    assert f"+{best.delta:.2f}" in told
    assert "95 % interval" in told


def test_interval_across_zero_shows_no_difference(story: CampaignStory) -> None:
    best = best_of(story)
    assert best is not None
    wide = best.model_copy(update={"delta_low": -0.2, "delta_high": 0.5})
    told = findings(story.model_copy(update={"summaries": _with(story, wide)}))[1]
    assert "includes zero, so a difference is not shown" in told


def test_single_culture_has_no_interval(story: CampaignStory) -> None:
    best = best_of(story)
    assert best is not None
    single = best.model_copy(update={"delta_low": None, "delta_high": None, "n": 1})
    assert (
        "1 culture, too few for an interval"
        in findings(story.model_copy(update={"summaries": _with(story, single)}))[1]
    )


def test_nothing_better_than_the_reference(story: CampaignStory) -> None:
    worse = tuple(s.model_copy(update={"delta": -0.3}) if s.arm != "reference" else s for s in story.summaries)
    assert "No variant did better than the reference" in findings(story.model_copy(update={"summaries": worse}))[1]


def test_infeasible_arm_never_wins(story: CampaignStory) -> None:
    best = best_of(story)
    assert best is not None
    barred = best.model_copy(update={"feasible": False})
    other = best_of(story.model_copy(update={"summaries": _with(story, barred)}))
    assert other is None or other.arm != best.arm


def test_reference_stands_first(story: CampaignStory) -> None:
    arms = summaries_of(story, 1)
    assert arms[0].arm == "reference"
    assert [a.delta for a in arms[1:]] == sorted((a.delta for a in arms[1:]), reverse=True)


def test_proposal_of_the_proposed_recipe_is_the_latest(story: CampaignStory) -> None:
    swapped = story.model_copy(update={"proposals": story.proposals[::-1]})
    assert latest_proposal(swapped) == story.proposals[1]
    assert status_of(swapped) == "approved by M. de Vries on 2026-05-12"


def test_proposal_without_change(story: CampaignStory) -> None:
    same = story.proposals[-1].model_copy(update={"changes": ()})
    assert "keeps the recipe as it is" in findings(story.model_copy(update={"proposals": (same,)}))[2]


def test_probability_is_never_told_as_certain(story: CampaignStory) -> None:
    sure = story.proposals[-1].model_copy(update={"probability_better": 1.0})
    assert "probability of above 99 %" in findings(story.model_copy(update={"proposals": (sure,)}))[2]


def test_round_of_a_rejected_plate_is_told_by_its_arms(story: CampaignStory) -> None:
    rejected = next(p for p in story.plates if p.verdict == "rejected")
    assert round_of(story, rejected) == 2
    lonely = story.plates[0].model_copy(update={"barcode": "NKP-9999"})
    assert round_of(story, lonely) is None


def test_change_names_stage_by_title_and_whether_it_is_verified(story: CampaignStory) -> None:
    row = change_rows(story.proposals[-1], story.recipe)[0]
    assert (row.stage, row.component, row.factor, row.is_verified) == ("Differentiation", "IL-15", "×1.60", False)


def test_change_of_an_unknown_component_counts_as_not_verified(story: CampaignStory) -> None:
    change = story.proposals[-1].changes[0].model_copy(update={"component": "IL-21"})
    proposal = story.proposals[-1].model_copy(update={"changes": (change,)})
    assert not change_rows(proposal, story.recipe)[0].is_verified


def test_values_show_what_the_proposal_makes_of_them(story: CampaignStory) -> None:
    changed = {(row.component, row.changed_to) for row in value_rows(story.recipe, story.proposed) if row.changed_to}
    assert changed == {("IL-15", "32 ng/mL"), ("IL-7", "20 ng/mL"), ("IL-7", "16 ng/mL")}
    assert not any(row.changed_to for row in value_rows(story.recipe, None))
    assert unverified_count(story.recipe) == (14, 15)


def test_titles(story: CampaignStory) -> None:
    assert stage_title(story.recipe, "expansion-1+expansion-2") == "Expansion I + Expansion II"
    assert varied_title(story.recipe, "IL-7@expansion-1") == "IL-7, Expansion I"
    assert varied_title(story.recipe, "pH") == "pH"


def test_lots_are_added_up_over_runs(story: CampaignStory) -> None:
    lots = {use.lot: use for use in lots_used(story.runs)}
    assert lots["LOT-GBGM-01"].runs == 12
    assert lots["LOT-GBGM-01"].volume_ul == 12 * 13_000
    assert lots["NK cells harvested from CUL-0001"].contents == ("NK cells U1", "NK cells U2")
    assert next(iter(lots)).startswith("LOT-")


def test_lot_words() -> None:
    assert lot_words("donor:U1") == "Cells of donor unit U1"
    assert lot_words("prepared:MED-1:A1") == "Prepared in an earlier run: MED-1, well A1"
    assert lot_words("LOT-1") == "LOT-1"
    assert lot_words("odd:1") == "odd:1"


def test_a_campaign_cut_short_is_not_called_without_change(story: CampaignStory) -> None:
    begun = story.model_copy(update={"proposals": (), "proposed": None, "progress": "running"})
    assert status_of(begun) == "not finished; no revision proposed"
    assert findings(begun)[2] == "The campaign is not finished, so it has not come to a proposal."
    failed = story.runs[-1].model_copy(update={"record": story.runs[-1].record.model_copy(update={"state": "failed"})})
    cut = begun.model_copy(
        update={"runs": (*story.runs, failed), "observations": tuple(o for o in story.observations if o.round == 1)}
    )
    assert status_of(cut) == "interrupted; no revision proposed"
    assert "is interrupted, so it has not come to a proposal; round 2 gave no observations." in findings(cut)[2]


def test_a_finished_campaign_without_proposal_proposes_no_change(story: CampaignStory) -> None:
    ended = story.model_copy(update={"proposals": (), "proposed": None})
    assert status_of(ended) == "no revision proposed"
    assert "proposes no change of the recipe" in findings(ended)[2]


def test_a_proposal_from_part_of_a_campaign_says_what_is_missing(story: CampaignStory) -> None:
    part = story.model_copy(update={"observations": tuple(o for o in story.observations if o.round == 1)})
    assert "round 2 gave no observations: the proposal rests on what came before" in findings(part)[-1]
    assert "rests on what came before" not in findings(story)[-1]


def _with(story: CampaignStory, changed: object) -> tuple[object, ...]:
    """Summaries with one arm replaced."""
    return tuple(
        changed if (s.arm, s.round) == (changed.arm, changed.round) else s  # type: ignore[attr-defined]
        for s in story.summaries
    )
