"""A campaign: only approved recipes run, rejected plates teach nothing, no improvement is an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from nkloop.assays.measurements import CellCount
from nkloop.assays.models import AssayResult, CurveFit, EffectorSample, WellLysis
from nkloop.errors import ApprovalError, FeedbackError, NoImprovementError, RecordError
from nkloop.feedback import Campaign
from nkloop.feedback.models import Observation, Round
from nkloop.recipes import apply_factors
from nkloop.recipes.changes import SIMULATED
from nkloop.recipes.models import Recipe
from nkloop.reports.findings import findings, status_of
from nkloop.runs.campaign import (
    NO_IMPROVEMENT,
    all_cells,
    begin_round,
    campaign_outcome,
    count_cells,
    enough_for_assay,
    interruption_noted,
    observe_round,
    open_campaign,
    propose_revision,
    report_path,
    start_culture,
    write_campaign_report,
)
from nkloop.runs.culture import Culture
from nkloop.runs.killing import AssayDesign, lay_out_plates
from nkloop.runs.session import Session
from nkloop.runs.story import campaign_story

Verdict = Literal["accepted", "flagged", "rejected"]
PLENTY = 4e6


class Counter:
    """Gives every well the same count."""

    name = "counter"

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def count(self, barcode: str, wells: tuple[str, ...], *, occurrence: int = 0) -> tuple[CellCount, ...]:
        self.asked.append(occurrence)
        return tuple(counted(well, barcode=barcode) for well in wells)


def counted(
    well: str, viable: float = PLENTY, *, viability: float = 90, purity: float = 80, barcode: str = "C-1"
) -> CellCount:
    return CellCount(
        barcode=barcode, well=well, viable_per_ml=viable / 1.5, viability_percent=viability, purity_percent=purity,
        volume_ml=1.5,
    )  # fmt: skip


def plate(culture: Culture, verdict: Verdict = "accepted", **potency: float) -> AssayResult:
    """A plate on which each arm named, of donor U1, lyses the same share of targets at every E:T."""
    arms = [p.arm for p in culture.positions if p.arm.replace("-", "_") in potency]
    samples = tuple(
        EffectorSample(name=f"{arm}/U1", arm=arm, donor="U1", viability_percent=90, purity_percent=80) for arm in arms
    )
    (layout, *_) = lay_out_plates(samples, AssayDesign(), "killing")
    curves = tuple(
        CurveFit(sample=f"{arm}/U1", determined=False, reason="made up", auc=potency[arm.replace("-", "_")])
        for arm in arms
    )
    lysis = tuple(
        WellLysis(
            well=well.well,
            sample=sample.name,
            nominal_ratio=well.nominal_ratio or 1,
            true_ratio=sample.true_ratio(well.nominal_ratio or 1),
            lysis_percent=100 * potency[sample.arm.replace("-", "_")],
        )
        for sample in samples
        for well in layout.with_role("experimental", sample.name)
    )
    return AssayResult(
        barcode=f"killing-{'-'.join(arms)}", method="ldh", target_line="K-562", verdict=verdict, reasons=(),
        z_prime=0.8, quality=(), lysis=lysis, curves=curves, layout=layout, signals={},
    )  # fmt: skip


Opened = tuple[Campaign, Round, Culture]


@pytest.fixture
async def opened(session: Session, recipe: Recipe) -> Opened:
    """A campaign of three arms and one donor, seeded."""
    campaign = await open_campaign(session, "c-1", recipe, n_arms=3, seed=1)
    made = await begin_round(session, campaign, ["U1"])
    culture = await start_culture(session, "c-1", made, seed=2)
    culture.seeding(recipe.stages[0])
    return campaign, made, culture


@pytest.fixture
def observed(session: Session, opened: Opened) -> Callable[..., Any]:
    """`observed(*plates, viable={well: cells})`: observe the round."""

    async def observe(*plates: AssayResult, viable: dict[str, float] | None = None) -> Sequence[Observation]:
        campaign, made, culture = opened
        counts = {w: counted(w, (viable or {}).get(w, PLENTY)) for w in culture.wells}
        return await observe_round(session, campaign, made, culture, counts, plates)

    return observe


@pytest.mark.parametrize("status", ["proposed", "rejected"])
async def test_a_revision_nobody_approved_does_not_run(session: Session, recipe: Recipe, status: str) -> None:
    changed = recipe.model_copy(update={"revision": recipe.revision.model_copy(update={"status": status})})
    with pytest.raises(ApprovalError, match=rf"is {status}, only an approved revision runs.*nkloop recipe approve"):
        await open_campaign(session, "c-1", changed, n_arms=3, seed=1)
    assert session.records.campaigns.campaigns() == ()
    assert session.campaign is None


async def test_a_file_that_calls_itself_approved_does_not_run_either(session: Session, recipe: Recipe) -> None:
    forged = recipe.model_copy(update={"revision": recipe.revision.model_copy(update={"status": "approved"})})
    with pytest.raises(ApprovalError, match="calls itself approved, but nobody's approval is recorded"):
        await open_campaign(session, "c-1", forged, n_arms=3, seed=1)
    assert session.records.campaigns.campaigns() == ()


async def test_an_approved_revision_runs(session: Session, recipe: Recipe) -> None:
    proposed = apply_factors(recipe, {recipe.loop.vary[0].key: 1.5}, reason="better", source="c-0")
    at = await session.bench.clock.now()
    session.records.campaigns.add_revision(proposed, at=at)
    approved = session.records.campaigns.decide_revision(
        proposed.revision_id, "approved", by="Ada", at=at, reason="convincing"
    )
    campaign = await open_campaign(session, "c-2", approved, n_arms=3, seed=1)
    assert campaign.recipe.revision_id == proposed.revision_id
    assert session.records.campaigns.campaign("c-2").simulated is True


async def test_a_campaign_id_is_used_once(session: Session, recipe: Recipe, opened: Opened) -> None:
    with pytest.raises(RecordError, match=r"there is a campaign 'c-1' already.*choose another name"):
        await open_campaign(session, "c-1", recipe, n_arms=3, seed=1)


async def test_a_round_is_recorded_before_anything_is_grown(session: Session, opened: Opened) -> None:
    _, made, culture = opened
    assert session.records.campaigns.rounds("c-1") == (made,)
    assert Campaign.from_json(session.records.campaigns.campaign("c-1").state or "").rounds == (made,)
    assert (session.campaign, session.round) == ("c-1", 1)
    assert culture.barcode == "c-1-r1-culture"
    assert sorted(p.arm for p in culture.positions) == sorted(arm.name for arm in made.arms)


async def test_rounds_need_an_open_campaign(session: Session, recipe: Recipe) -> None:
    with pytest.raises(FeedbackError, match="no campaign is open"):
        await begin_round(session, Campaign(recipe, n_arms=3, seed=1), ["U1"])


async def test_counts_are_recorded_with_the_campaign(session: Session, opened: Opened) -> None:
    session.bench = replace(session.bench, cell_counter=Counter())
    counts = await count_cells(session, opened[2])
    assert set(counts) == set(opened[2].wells)
    assert session.records.results.counts("c-1", round=1) == tuple(counts.values())


async def test_a_plate_that_is_counted_again_is_another_question_also_in_a_program_started_anew(
    session: Session, opened: Opened
) -> None:
    asked = []
    for _ in range(3):
        counter = Counter()
        session.bench = replace(session.bench, cell_counter=counter)
        await count_cells(session, opened[2])
        asked += counter.asked
    assert asked[0] < asked[1] < asked[2]


@pytest.mark.parametrize(
    ("count", "fits"),
    [
        pytest.param(counted("A1"), True, id="plenty"),
        pytest.param(counted("A1", 1e5), False, id="too few"),
        pytest.param(counted("A1", 0, viability=0), False, id="all dead"),
        pytest.param(counted("A1", purity=0), False, id="no NK cell among them"),
        pytest.param(counted("A1", 0.6e6, viability=30), True, id="dead cells count in nominal E:T"),
    ],
)
def test_only_wells_with_enough_cells_are_tested(opened: Opened, count: CellCount, fits: bool) -> None:
    culture = opened[2]
    counts = {well: count.model_copy(update={"well": well}) for well in culture.wells}
    assert enough_for_assay(culture, counts, AssayDesign()) == (culture.wells if fits else ())


def test_nominal_cells_are_viable_and_dead_ones() -> None:
    assert all_cells(counted("A1", 9e5, viability=90)) == pytest.approx(1e6)
    assert all_cells(counted("A1", 0, viability=0)) == 0


async def test_observations_join_count_and_potency(
    session: Session, opened: Opened, observed: Callable[..., Any]
) -> None:
    campaign, _, culture = opened
    well = next(p.well for p in culture.positions if p.arm == "arm-1-1")
    culture.kept[well] = 0.25
    seen = {o.arm: o for o in await observed(plate(culture, reference=0.4, arm_1_1=0.5), plate(culture, arm_1_2=0.6))}
    assert {arm: o.potency for arm, o in seen.items()} == {"reference": 0.4, "arm-1-1": 0.5, "arm-1-2": 0.6}
    fold = PLENTY * 0.8 / culture.seeded_per_well
    assert 10 ** seen["reference"].log10_fold == pytest.approx(fold)
    assert 10 ** seen["arm-1-1"].log10_fold == pytest.approx(fold / 0.25)
    assert seen["reference"].cost_factor == pytest.approx(1)
    assert session.records.campaigns.observations("c-1") == campaign.observations
    assert len(campaign.observations) == 3


async def test_a_rejected_plate_gives_no_observation(observed: Callable[..., Any], opened: Opened) -> None:
    culture = opened[2]
    seen = await observed(plate(culture, "flagged", reference=0.4), plate(culture, "rejected", arm_1_1=0.9))
    assert [(o.arm, o.plate_verdict) for o in seen] == [("reference", "flagged")]


async def test_without_a_reference_nothing_is_learnt(
    session: Session, opened: Opened, observed: Callable[..., Any]
) -> None:
    culture = opened[2]
    with pytest.raises(FeedbackError, match=r"round 1 has no observation of the reference.*repeat the round"):
        await observed(plate(culture, "rejected", reference=0.4), plate(culture, arm_1_1=0.9))
    assert opened[0].observations == ()
    assert session.records.campaigns.observations("c-1") == ()


async def test_wells_without_living_nk_cells_have_a_finite_score(observed: Callable[..., Any], opened: Opened) -> None:
    culture = opened[2]
    well = next(p.well for p in culture.positions if p.arm == "arm-1-1")
    seen = await observed(plate(culture, reference=0.4, arm_1_1=0.5), viable={well: 0.0})
    assert next(o for o in seen if o.arm == "arm-1-1").log10_fold < -5


async def test_a_proposal_is_recorded_with_its_revision(
    session: Session, recipe: Recipe, opened: Opened, observed: Callable[..., Any]
) -> None:
    culture = opened[2]
    await observed(plate(culture, reference=0.2, arm_1_1=0.9), plate(culture, arm_1_2=0.85))
    proposal, start, proposed = await propose_revision(session, "c-1")
    assert (start.revision_id, proposed.revision.parent) == (recipe.revision_id, recipe.revision_id)
    assert session.records.campaigns.status(proposed.revision_id) == "proposed"
    path = write_campaign_report(session, "c-1")
    assert path == report_path(session.workspace.state, "c-1")
    assert proposed.revision_id in path.read_text(encoding="utf-8")
    outcome = campaign_outcome(session.records, "c-1", path)
    assert outcome["summary"]["revision"] == {
        "id": proposed.revision_id, "parent": recipe.revision_id, "status": "proposed",
    }  # fmt: skip
    assert outcome["summary"]["reference_score"] == proposal.reference_score
    assert len(outcome["changes"]) == len(proposal.changes) > 0


async def test_no_improvement_is_an_outcome_without_a_revision(
    session: Session, recipe: Recipe, opened: Opened, observed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nkloop.feedback.campaign.best_point", lambda beliefs, chance: None)
    culture = opened[2]
    await observed(plate(culture, reference=0.8, arm_1_1=0.3), plate(culture, arm_1_2=0.2))
    with pytest.raises(NoImprovementError, match="nothing within the limits is expected to beat the reference"):
        await propose_revision(session, "c-1")
    assert session.records.campaigns.proposals("c-1") == ()
    assert [r.revision_id for r in session.records.campaigns.revisions()] == [recipe.revision_id]
    report = write_campaign_report(session, "c-1")
    story = campaign_story(session.records, "c-1")
    assert (story.progress, status_of(story)) == ("finished", "no revision proposed")
    assert any(text.startswith("The campaign proposes no change of the recipe") for text in findings(story))
    outcome = campaign_outcome(session.records, "c-1", report)
    assert outcome["summary"]["revision"] == {"id": None, "parent": recipe.revision_id, "status": NO_IMPROVEMENT}
    reference = next(o.score for o in opened[0].observations if o.arm == "reference")
    assert outcome["summary"]["reference_score"] == pytest.approx(reference)
    assert outcome["summary"]["best_score"] == pytest.approx(reference - 0.5)
    assert outcome["changes"] == []
    assert {row["arm"] for row in outcome["summaries"]} == {"reference", "arm-1-1", "arm-1-2"}


async def test_nothing_to_learn_from_is_refused(session: Session, opened: Opened) -> None:
    with pytest.raises(RecordError, match="c-9 is not recorded"):
        await propose_revision(session, "c-9")
    with pytest.raises(FeedbackError, match="reference has not been observed"):
        await propose_revision(session, "c-1")
    outcome = campaign_outcome(session.records, "c-1", Path("none.html"))
    assert (outcome["summary"]["reference_score"], outcome["summary"]["best_score"]) == (None, None)


async def test_a_proposal_of_a_simulated_bench_says_so(
    session: Session, opened: Opened, observed: Callable[..., Any]
) -> None:
    culture = opened[2]
    await observed(plate(culture, reference=0.2, arm_1_1=0.9), plate(culture, arm_1_2=0.85))
    _, _, proposed = await propose_revision(session, "c-1")
    assert SIMULATED in proposed.revision.reason
    assert SIMULATED in session.records.campaigns.revision(proposed.revision_id).sources["c-1"].note


async def test_what_a_simulation_taught_does_not_run_on_a_real_bench(session: Session, recipe: Recipe) -> None:
    learnt = apply_factors(recipe, {recipe.loop.vary[0].key: 1.5}, reason="better", source="c-0", note=SIMULATED)
    at = await session.bench.clock.now()
    session.records.campaigns.add_revision(learnt, at=at)
    approved = session.records.campaigns.decide_revision(
        learnt.revision_id, "approved", by="Ada", at=at, reason="convincing"
    )
    session.bench_file = session.bench_file.model_copy(update={"simulated": False, "name": "lab"})
    with pytest.raises(ApprovalError, match=r"learnt on a simulated bench.*bench 'lab' is real.*published recipe"):
        await open_campaign(session, "c-2", approved, n_arms=3, seed=1)
    assert session.records.campaigns.campaigns() == ()
    campaign = await open_campaign(session, "c-3", recipe, n_arms=3, seed=1)
    assert campaign.note == ""
    session.bench_file = session.bench_file.model_copy(update={"simulated": True})
    assert (await open_campaign(session, "c-4", approved, n_arms=3, seed=1)).note == SIMULATED


@pytest.mark.parametrize("cut", [KeyboardInterrupt, FeedbackError, asyncio.CancelledError])
async def test_a_campaign_that_is_cut_short_says_so(session: Session, opened: Opened, cut: type[BaseException]) -> None:
    with pytest.raises(cut), interruption_noted(session, "c-1"):
        raise cut("cut short")
    story = campaign_story(session.records, "c-1")
    assert story.progress == "interrupted"
    assert status_of(story) == "interrupted; no revision proposed"
    assert any("has not come to a proposal; round 1 gave no observations" in text for text in findings(story))
    assert "proposes no change" not in write_campaign_report(session, "c-1").read_text(encoding="utf-8")


async def test_a_campaign_whose_process_was_killed_is_not_finished(session: Session, opened: Opened) -> None:
    assert status_of(campaign_story(session.records, "c-1")) == "not finished; no revision proposed"


async def test_a_proposed_revision_ends_a_campaign(
    session: Session, opened: Opened, observed: Callable[..., Any]
) -> None:
    culture = opened[2]
    await observed(plate(culture, reference=0.2, arm_1_1=0.9), plate(culture, arm_1_2=0.85))
    assert status_of(campaign_story(session.records, "c-1")) == "not finished; no revision proposed"
    await propose_revision(session, "c-1")
    with pytest.raises(TimeoutError), interruption_noted(session, "c-1"):
        raise TimeoutError  # nobody decided in time
    story = campaign_story(session.records, "c-1")
    assert (story.progress, status_of(story)) == ("finished", "proposed, awaiting a decision")
