"""What a campaign found, in plain sentences; every number is computed from the story."""

from __future__ import annotations

import math

from nkloop.feedback.models import ArmSummary
from nkloop.reports.campaign_data import best_of, donors_of, latest_proposal, reference_of
from nkloop.reports.models import Approval, CampaignStory
from nkloop.reports.numbers import count, factor, figure, fixed, fold, interval, listing, percent, signed
from nkloop.reports.recipe_diff import stage_title

_CUT_SHORT = {"interrupted", "failed", "stopped"}
"""States of a robot run after which its campaign did not go on."""


def findings(story: CampaignStory) -> tuple[str, ...]:
    """A few paragraphs: what was tested, what came out best and how sure that is, what is proposed."""
    told = (_tested(story), _best(story), _proposed(story), _caution(story))
    return tuple(text for text in told if text)


def decisions_on(story: CampaignStory, revision_id: str) -> tuple[Approval, ...]:
    """Decisions about a revision, oldest first."""
    return tuple(sorted((a for a in story.approvals if a.revision_id == revision_id), key=lambda a: a.at))


def status_of(story: CampaignStory) -> str:
    """Where the proposal stands: none, awaiting a decision, or the last decision with name and day."""
    proposal = latest_proposal(story)
    if proposal is None:
        return "no revision proposed" if is_complete(story) else f"{_unfinished(story)}; no revision proposed"
    decisions = decisions_on(story, proposal.revision_id)
    if decisions:
        return f"{decisions[-1].decision} by {decisions[-1].by} on {decisions[-1].at:%Y-%m-%d}"
    return "proposed, awaiting a decision"


def is_complete(story: CampaignStory) -> bool:
    """Whether the campaign came to its end: all rounds observed, and a proposal or the finding that there is none."""
    return story.progress == "finished" and not _unobserved(story)


def _unfinished(story: CampaignStory) -> str:
    cut = story.progress == "interrupted" or any(run.record.state in _CUT_SHORT for run in story.runs)
    return "interrupted" if cut else "not finished"


def _unobserved(story: CampaignStory) -> list[str]:
    """Numbers of the rounds that gave no observation."""
    seen = {observation.round for observation in story.observations}
    return [str(r.number) for r in story.rounds if r.number not in seen]


def _missing(story: CampaignStory) -> str:
    rounds = _unobserved(story)
    if not rounds:
        return ""
    return f"; {'round' if len(rounds) == 1 else 'rounds'} {listing(rounds)} gave no observations"


def _tested(story: CampaignStory) -> str:
    if not story.rounds:
        return "No round has been run yet."
    variants = {arm.name for r in story.rounds for arm in r.arms if arm.origin != "reference"}
    donors = donors_of(story)
    text = (
        f"{count(len(story.rounds), 'round')} tested {count(len(variants), 'variant')} of the recipe "
        f"beside the reference, with cells of {count(len(donors), 'donor unit')} ({listing(donors)})."
    )
    if not story.plates:
        return f"{text} No killing assay has been read yet."
    if story.note:
        text += f" {story.note}"
    verdicts = [plate.verdict for plate in story.plates]
    counts = [f"{verdicts.count(v)} {v}" for v in ("accepted", "flagged", "rejected") if v in verdicts]
    text += f" Of {count(len(story.plates), 'killing assay plate')} read: {listing(counts)}."
    if "rejected" in verdicts:
        text += " Rejected plates do not count in any number below."
    return text


def _best(story: CampaignStory) -> str:
    best = best_of(story)
    if best is None:
        return "No variant that keeps all limits has a result, so nothing can be said against the reference yet."
    reference = reference_of(story, best.round)
    if best.delta <= 0:
        return (
            f"No variant did better than the reference. The nearest, {best.arm} of round {best.round}, "
            f"scored {signed(best.delta)} against it ({_sure(best)})."
        )
    text = (
        f"The best variant is {best.arm} of round {best.round}: its score is {signed(best.delta)} "
        f"against the reference on the same donors ({_sure(best)})."
    )
    return f"{text} {_biology(best, reference)}" if reference is not None else text


def _sure(best: ArmSummary) -> str:
    if best.delta_low is None or best.delta_high is None:
        return f"{count(best.n, 'culture')}, too few for an interval"
    said = f"95 % interval {interval(best.delta_low, best.delta_high)}"
    if best.delta_low > 0 or best.delta_high < 0:
        return said
    return f"{said}; it includes zero, so a difference is not shown"


def _biology(best: ArmSummary, reference: ArmSummary) -> str:
    ratio = 10 ** (best.log10_fold - reference.log10_fold)
    return (
        f"It gave {figure(ratio, 2)} times the NK cells per CD34+ cell ({fold(best.log10_fold)} against "
        f"{fold(reference.log10_fold)}), with {percent(best.purity_percent)} CD56+CD3\u2212 purity "
        f"({percent(reference.purity_percent)}), {percent(best.viability_percent)} viability "
        f"({percent(reference.viability_percent)}) and a killing AUC of {fixed(best.potency)} "
        f"({fixed(reference.potency)})."
    )


def _proposed(story: CampaignStory) -> str:
    proposal = latest_proposal(story)
    if proposal is None and not is_complete(story):
        return f"The campaign is {_unfinished(story)}, so it has not come to a proposal{_missing(story)}."
    if proposal is None:
        return "The campaign proposes no change of the recipe: nothing is expected to beat the reference."
    if not proposal.changes:
        return f"The proposal after round {proposal.after_round} keeps the recipe as it is."
    changes = listing(
        [f"{c.component} {factor(c.factor)} in {stage_title(story.recipe, c.stage)}" for c in proposal.changes]
    )
    chance = math.floor(min(max(proposal.probability_better, 0.0), 0.99) * 100 + 0.5)
    return (
        f"The proposed revision changes {count(len(proposal.changes), 'value')}: {changes}. The model gives it a "
        f"probability of {'above ' if proposal.probability_better > 0.99 else ''}{chance} % to beat the reference. "
        f"Status: {status_of(story)}."
    )


def _caution(story: CampaignStory) -> str:
    told = []
    if not is_complete(story) and latest_proposal(story) is not None:
        told.append(f"The campaign is {_unfinished(story)}{_missing(story)}: the proposal rests on what came before.")
    unknown = sum(len(run.record.unknown_steps) for run in story.runs)
    if unknown:
        steps = count(unknown, "robot step")
        told.append(f"The physical outcome of {steps} is unknown; see the runs before relying on their cultures.")
    donors = donors_of(story)
    if story.simulated:
        told.append(
            "All of this comes from a simulated bench: it shows that the loop works and says nothing about real cells."
        )
    elif len(donors) < 3:
        told.append(f"{count(len(donors), 'donor unit')} cannot stand for donors at large; confirm on more.")
    return " ".join(told)
