"""A campaign on a bench: opened, observed, brought to a proposal, told as a report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from nkloop.assays.comparison import compare_killing
from nkloop.assays.measurements import CellCount
from nkloop.assays.models import AssayResult, WellLysis
from nkloop.errors import ApprovalError, FeedbackError, NoImprovementError, RecordError
from nkloop.feedback import Campaign, cumulative_fold, observe
from nkloop.feedback.models import Arm, Observation, Proposal, Round
from nkloop.recipes.changes import SIMULATED, simulated_values
from nkloop.recipes.models import Recipe
from nkloop.records import Records
from nkloop.records.models import CampaignEntry, Context
from nkloop.reports import campaign_html
from nkloop.reports.models import CampaignStory
from nkloop.runs.beside import WAIT_SECONDS, beside_held
from nkloop.runs.costs import cost_factor
from nkloop.runs.culture import PLATE, Culture
from nkloop.runs.killing import AssayDesign
from nkloop.runs.session import Session
from nkloop.runs.story import campaign_story
from nkloop.worklists.positions import assign_positions
from nkloop.worklists.recipe_arms import with_controls

RUNNABLE = {"published", "approved"}
NO_IMPROVEMENT = "no improvement"
"""Status of the revision of a campaign that proposed none."""
SMALLEST_FOLD = 1e-6
"""A culture without NK cells has no logarithm; it is noted as a millionth."""


async def open_campaign(
    session: Session, campaign_id: str, recipe: Recipe, *, n_arms: int, seed: int, note: str = ""
) -> Campaign:
    """Record a new campaign around a recipe that may run.

    Raises:
        ApprovalError: the recipe is a revision nobody has approved, or holds values learnt on a simulated bench and
            the bench is not simulated.
        RecordError: the campaign id is taken.
    """
    if recipe.revision.status not in RUNNABLE:
        raise ApprovalError(
            f"revision {recipe.revision_id} is {recipe.revision.status}, only an approved revision runs",
            remedy="nkloop recipe approve REVISION --by NAME --reason WHY",
        )
    _refuse_simulated_values(session, recipe)
    if any(entry.id == campaign_id for entry in session.records.campaigns.campaigns()):
        raise RecordError(f"there is a campaign '{campaign_id}' already", remedy="choose another name")
    now = await session.bench.clock.now()
    session.records.campaigns.add_revision(recipe, at=now)
    simulated = SIMULATED if session.bench_file.simulated else ""
    campaign = Campaign(recipe, n_arms=n_arms, seed=seed, name=campaign_id, note=simulated)
    session.records.campaigns.add_campaign(
        CampaignEntry(
            id=campaign_id,
            recipe_revision=recipe.revision_id,
            bench=session.bench_file.name,
            simulated=session.bench_file.simulated,
            seed=seed,
            created_at=now,
            note=note,
            state=campaign.to_json(),
        )
    )
    session.campaign = campaign_id
    return campaign


def _refuse_simulated_values(session: Session, recipe: Recipe) -> None:
    values = simulated_values(recipe)
    if values and not session.bench_file.simulated:
        raise ApprovalError(
            f"{', '.join(values)} of {recipe.revision_id} was learnt on a simulated bench, which is no evidence about "
            f"real cells; bench '{session.bench_file.name}' is real",
            remedy="start from the published recipe, or from a revision learnt on a real bench",
        )


@contextmanager
def interruption_noted(session: Session, campaign_id: str) -> Iterator[None]:
    """Note in the records when what happens inside is cut short, so that the report can say so."""
    try:
        yield
    except BaseException:
        state = session.records.campaigns.campaign(campaign_id).state
        if state:
            campaign = Campaign.from_json(state)
            if campaign.progress == "running":
                campaign.mark("interrupted")
                session.records.campaigns.save_campaign_state(campaign_id, campaign.to_json())
        raise


async def begin_round(session: Session, campaign: Campaign, donors: Sequence[str]) -> Round:
    """The arms of the next round, recorded."""
    made = campaign.next_round(donors)
    session.records.campaigns.add_round(_id(session), made)
    session.records.campaigns.save_campaign_state(_id(session), campaign.to_json())
    session.round = made.number
    return made


def grown_arms(session: Session, round_: Round) -> tuple[Arm, ...]:
    """The arms of a round as they are grown: those the optimiser chose, and the controls of the recipe.

    A control has the media of the reference and leaves process steps out; it is grown, tested and reported, and never
    learnt from.
    """
    entry = session.records.campaigns.campaign(_id(session))
    return with_controls(session.records.campaigns.revision(entry.recipe_revision), round_.arms)


async def start_culture(session: Session, campaign_id: str, round_: Round, seed: int) -> Culture:
    """A culture plate for a round: arms and the recipe's controls randomised over positions, donors as blocks."""
    kind = session.catalogue[PLATE]
    positions = assign_positions(grown_arms(session, round_), round_.donors, kind, seed)
    return Culture(
        barcode=f"{campaign_id}-r{round_.number}-culture",
        positions=tuple(positions),
        started_at=await session.bench.clock.now(),
    )


async def count_cells(session: Session, culture: Culture) -> dict[str, CellCount]:
    """Count every well of a culture and record it; a counter that somebody else holds is waited for."""
    bench, purpose = session.bench, f"counting {culture.barcode}"
    before = session.records.results.n_counts(culture.barcode)
    async with beside_held(bench, "cell_counter", session.records, purpose, wait_seconds=WAIT_SECONDS):
        counts = await bench.cell_counter.count(culture.barcode, culture.wells, occurrence=before)
    context = Context(campaign=session.campaign, round=session.round)
    session.records.results.add_counts(counts, at=await session.bench.clock.now(), context=context)
    return {count.well: count for count in counts}


def all_cells(count: CellCount) -> float:
    """Viable and dead cells of a well, as nominal E:T counts them."""
    return count.viable_cells / (count.viability_percent / 100) if count.viability_percent > 0 else 0.0


def enough_for_assay(culture: Culture, counts: Mapping[str, CellCount], design: AssayDesign) -> tuple[str, ...]:
    """Wells that hold the cells a killing assay takes, viable NK cells among them."""
    return tuple(
        well
        for well in culture.wells
        if all_cells(counts[well]) >= design.cells_needed and counts[well].purity_percent > 0
    )


async def observe_round(
    session: Session,
    campaign: Campaign,
    round_: Round,
    culture: Culture,
    counts: Mapping[str, CellCount],
    results: Sequence[AssayResult],
) -> tuple[Observation, ...]:
    """Turn counts and killing assays into observations; samples of rejected plates give none.

    Raises:
        FeedbackError: the reference has no observation, so nothing can be compared.
    """
    arms = {arm.name: arm for arm in round_.arms}
    plates = {s.name: result for result in results if result.verdict != "rejected" for s in result.layout.samples}
    potency = _potencies([result for result in results if result.verdict != "rejected"])
    observations = []
    stocks = session.stocks()
    for position in culture.positions:
        sample = f"{position.arm}/{position.donor}"
        if sample not in potency or position.arm not in arms:
            continue  # no result, or a control of the recipe
        count, arm = counts[position.well], arms[position.arm]
        nk_cells = count.viable_cells * count.purity_percent / 100
        fold = cumulative_fold(max(nk_cells, SMALLEST_FOLD), culture.seeded_per_well, [culture.kept[position.well]])
        observations.append(
            observe(
                campaign.recipe,
                round_number=round_.number,
                arm=arm.name,
                donor=position.donor,
                factors=arm.factors,
                log10_fold=math.log10(max(fold, SMALLEST_FOLD)),
                viability_percent=count.viability_percent,
                purity_percent=count.purity_percent,
                potency=potency[sample],
                plate=plates[sample].barcode,
                plate_verdict=plates[sample].verdict,
                cost_factor=cost_factor(campaign.recipe, arm, stocks),
            )
        )
    if not any(seen.arm == "reference" for seen in observations):
        raise FeedbackError(
            f"round {round_.number} has no observation of the reference: its plates were rejected or its cells too few",
            remedy="repeat the round; arms cannot be compared without the reference",
        )
    campaign.add(observations)
    session.records.campaigns.add_observations(_id(session), observations)
    session.records.campaigns.save_campaign_state(_id(session), campaign.to_json())
    return tuple(observations)


def _potencies(results: Sequence[AssayResult]) -> dict[str, float]:
    """Sample to killing area, over the true E:T that all samples of its donor cover."""
    donors: dict[str, list[WellLysis]] = {}
    for result in results:
        owner = {sample.name: sample.donor for sample in result.layout.samples}
        for well in result.lysis:
            if well.sample in owner:
                donors.setdefault(owner[well.sample], []).append(well)
    return {sample: area for wells in donors.values() for sample, area in compare_killing(wells).areas.items()}


async def propose_revision(session: Session, campaign_id: str) -> tuple[Proposal, Recipe, Recipe]:
    """Let the campaign propose; record proposal and revision; returns proposal, starting recipe, proposed recipe.

    Raises:
        RecordError: the campaign is not recorded.
        NoImprovementError: nothing is expected to beat the reference; nothing was recorded.
        FeedbackError: it has no observations yet.
    """
    entry = session.records.campaigns.campaign(campaign_id)
    if not entry.state:
        raise FeedbackError(f"campaign {campaign_id} has nothing to learn from", remedy="run a round first")
    campaign = Campaign.from_json(entry.state)
    try:
        proposal, proposed = campaign.propose()
    except NoImprovementError:
        _finish(session, campaign_id, campaign)
        raise
    session.records.campaigns.add_revision(proposed, at=await session.bench.clock.now())
    session.records.campaigns.add_proposal(proposal)
    _finish(session, campaign_id, campaign)
    return proposal, campaign.recipe, proposed


def _finish(session: Session, campaign_id: str, campaign: Campaign) -> None:
    campaign.mark("finished")
    session.records.campaigns.save_campaign_state(campaign_id, campaign.to_json())


def write_campaign_report(session: Session, campaign_id: str) -> Path:
    """Write the report of a campaign as one HTML file; returns its path."""
    path = report_path(session.workspace.state, campaign_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    story = campaign_story(session.records, campaign_id)
    path.write_text(campaign_html(story, catalogue=session.catalogue), encoding="utf-8")
    return path


def report_path(state: Path, campaign_id: str) -> Path:
    """Where the report of a campaign lies."""
    return state / "reports" / f"{campaign_id}.html"


def campaign_outcome(records: Records, campaign_id: str, report: Path) -> dict[str, Any]:
    """The outcome of a campaign as plain data: `summary`, `summaries` of the arms, `changes` of the recipe.

    Without a proposal the revision's id is None, its status `NO_IMPROVEMENT`, its parent the recipe that stays.
    """
    story = campaign_story(records, campaign_id)
    proposal = story.proposals[-1] if story.proposals else None
    reference_score, best_score = _scores(story)
    summary = {
        "rounds": len(story.rounds),
        "arms": max((len(r.arms) for r in story.rounds), default=0),
        "robot_runs": len(story.runs),
        "transfers": sum(run.record.n_transfers for run in story.runs),
        "unknown_steps": sum(len(run.record.unknown_steps) for run in story.runs),
        "plates": [{"verdict": plate.verdict, "z_prime": plate.z_prime} for plate in story.plates],
        "reference_score": reference_score,
        "best_score": best_score,
        "revision": {
            "id": story.proposed.revision_id if story.proposed else None,
            "parent": story.proposed.revision.parent if story.proposed else story.recipe.revision_id,
            "status": story.proposed.revision.status if story.proposed else NO_IMPROVEMENT,
        },
        "report": str(report.resolve()),
    }
    return {
        "summary": summary,
        "summaries": [row.model_dump(mode="json") for row in story.summaries],
        "changes": [change.model_dump(mode="json") for change in proposal.changes] if proposal else [],
    }


def _scores(story: CampaignStory) -> tuple[float | None, float | None]:
    """Mean score of the reference, and that plus the best arm's measured difference to its own reference."""
    if story.proposals:
        return story.proposals[-1].reference_score, story.proposals[-1].best_score
    reference = [seen.score for seen in story.observations if seen.arm == "reference"]
    if not reference:
        return None, None
    gains = [row.delta for row in story.summaries if row.feasible and not row.arm.startswith("reference")]
    return fmean(reference), fmean(reference) + max(gains, default=0.0)


def _id(session: Session) -> str:
    if session.campaign is None:
        raise FeedbackError("no campaign is open in this session", remedy="open the campaign first")
    return session.campaign
