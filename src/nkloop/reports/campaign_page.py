"""The report of a campaign: one HTML file from the published recipe to the proposed revision."""

from __future__ import annotations

from typing import Any

from nkloop.assays.models import AssayResult
from nkloop.feedback.models import Arm
from nkloop.reports import campaign_data as data
from nkloop.reports import pictures, theme
from nkloop.reports.deck_map import LabwareTitles, deck_svg
from nkloop.reports.findings import decisions_on, findings, status_of
from nkloop.reports.lots import lots_used
from nkloop.reports.models import CampaignStory
from nkloop.reports.numbers import count, length
from nkloop.reports.page import picture, render
from nkloop.reports.plate_map import ROLE_CODES, plate_svg
from nkloop.reports.recipe_diff import change_rows, stage_rows, unverified_count, value_rows, varied_title
from nkloop.reports.run_view import load_rows, procedure_title, run_row

_FULL_PLATES = 2


@theme.unchecked
def campaign_html(story: CampaignStory, *, catalogue: LabwareTitles | None = None) -> str:
    """One self-contained HTML page: no script, no request, equal text for an equal story.

    Args:
        story: Everything the campaign did.
        catalogue: Gives labware its title and its grid of wells; without it both are told from the load name.
    """
    return render(
        "campaign.html",
        running_head=f"Campaign {story.campaign}{', simulated bench' if story.simulated else ''}",
        title=f"Campaign {story.campaign}: {story.recipe.title}",
        simulated=story.simulated,
        story=story,
        findings=findings(story),
        facts=_facts(story),
        rounds=[_round(story, r.number) for r in story.rounds],
        proposal=_proposal(story),
        values=value_rows(story.recipe, story.proposed),
        stages=stage_rows(story.recipe, story.proposed),
        unverified=unverified_count(story.recipe),
        plates=_plates(story),
        loose_curves=[picture(svg) for svg in pictures.curves_svg(story, None)],
        curves=_curve_rows(story),
        controls=[(line, picture(svg)) for line, svg in pictures.controls_svg(story).items()],
        roles=[(code, said) for code, said in ROLE_CODES.values() if code],
        procedures=_procedures(story, catalogue),
        runs=[run_row(run) for run in story.runs],
        lots=lots_used(story.runs),
        objective=story.recipe.loop.objective,
    )


def _facts(story: CampaignStory) -> list[tuple[str, str, bool]]:
    """Title block: label, value, whether it is wide."""
    transfers = sum(run.record.n_transfers for run in story.runs)
    arms = {arm.name for r in story.rounds for arm in r.arms}
    return [
        ("Campaign", story.campaign, False),
        ("Started", f"{story.created_at:%Y-%m-%d}", False),
        ("Bench", f"{story.bench} (simulated)" if story.simulated else story.bench, False),
        ("Random seed", str(story.seed) if story.seed is not None else "none", False),
        ("Reference recipe", f"{story.recipe.title}, {story.recipe.revision_id}", True),
        ("Status of the proposal", status_of(story), True),
        ("Rounds and arms", f"{count(len(story.rounds), 'round')}, {count(len(arms), 'arm')}", False),
        ("Donor units", ", ".join(data.donors_of(story)) or "none", False),
        ("Assay plates", str(len(story.plates)), False),
        ("Robot work", f"{count(len(story.runs), 'run')}, {count(transfers, 'transfer')}", False),
    ]


def _round(story: CampaignStory, number: int) -> dict[str, Any]:
    designs = {name: data.arm_of(story, number, name) for name in data.arm_order(story, number)}
    varied = [part.key for part in story.recipe.loop.vary]
    used = {key for arm in designs.values() if arm is not None for key in arm.factors}
    return {
        "number": number,
        "donors": next(r.donors for r in story.rounds if r.number == number),
        "arms": [_arm(story, number, name, design) for name, design in designs.items()],
        "varied": [(key, varied_title(story.recipe, key)) for key in [*varied, *sorted(used - set(varied))]],
        "score": picture(pictures.score_svg(story, number)),
        "effects": data.effects_of(story, number),
        "forest": picture(pictures.effects_svg(story, number)),
        "donor_wise": picture(pictures.donors_svg(story, number)),
        "culture": picture(pictures.culture_svg(story, number)),
        "curves": [picture(svg) for svg in pictures.curves_svg(story, number)],
        "has_predictions": any(arm is not None and arm.predicted_score is not None for arm in designs.values()),
    }


def _arm(story: CampaignStory, number: int, name: str, design: Arm | None) -> dict[str, Any]:
    best = data.best_of(story)
    return {
        "name": name,
        "design": design,
        "summary": next((s for s in story.summaries if (s.round, s.arm) == (number, name)), None),
        "is_best": best is not None and (best.round, best.arm) == (number, name) and best.delta > 0,
    }


def _proposal(story: CampaignStory) -> dict[str, Any] | None:
    latest = data.latest_proposal(story)
    if latest is None:
        return None
    return {
        "now": latest,
        "rows": change_rows(latest, story.recipe),
        "decisions": decisions_on(story, latest.revision_id),
        "status": status_of(story),
        "number": story.proposed.revision.number if story.proposed is not None else None,
        "earlier": [(p, change_rows(p, story.recipe)) for p in story.proposals if p is not latest],
        "best": next((s for s in story.summaries if s.arm == latest.best_arm), None),
    }


def _plates(story: CampaignStory) -> list[dict[str, Any]]:
    return [
        {
            "result": plate,
            "round": data.round_of(story, plate),
            "is_full": index < _FULL_PLATES,
            "full": picture(plate_svg(plate, name=f"plate-{index}")),
            "small": picture(plate_svg(plate, detailed=False, name=f"small-plate-{index}")),
            "samples": _samples(plate),
            "n_flagged": sum(bool(well.flags) for well in plate.lysis),
        }
        for index, plate in enumerate(story.plates)
    ]


def _samples(plate: AssayResult) -> list[tuple[int, str]]:
    """Number on the map and the name of each sample."""
    return [(n, f"{s.arm}, {s.donor}") for n, s in enumerate(plate.layout.samples, start=1)]


def _curve_rows(story: CampaignStory) -> list[dict[str, Any]]:
    rows = []
    for plate in story.plates:
        for sample in plate.layout.samples:
            curve = data.curve_of(plate, sample.name)
            rows.append({"plate": plate, "sample": sample, "curve": curve, "round": data.round_of(story, plate)})
    return rows


def _procedures(story: CampaignStory, catalogue: LabwareTitles | None) -> list[dict[str, Any]]:
    """Each procedure with its runs added up, and the deck of its first run."""
    made = []
    for procedure in dict.fromkeys(run.record.procedure for run in story.runs):
        runs = [run for run in story.runs if run.record.procedure == procedure]
        records = [run.record for run in runs]
        starts = [r.started_at for r in records if r.started_at is not None]
        ends = [r.ended_at for r in records if r.ended_at is not None]
        made.append(
            {
                "title": procedure_title(procedure),
                "n": len(runs),
                "n_succeeded": sum(r.state == "succeeded" for r in records),
                "n_transfers": sum(r.n_transfers for r in records),
                "n_unknown": sum(len(r.unknown_steps) for r in records),
                "n_verified": sum(run.verdict.passed for run in runs),
                "span": length(min(starts), max(ends)) if starts and ends else "–",
                "name": records[0].name,
                "deck": picture(deck_svg(runs[0].worklist, catalogue, name=f"deck-{procedure}")),
                "load": load_rows(runs[0].worklist, catalogue),
            }
        )
    return made
