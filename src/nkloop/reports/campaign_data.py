"""What several parts of a campaign report ask of its story: which plate belongs to which round, who is best."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev

from nkloop.assays.models import AssayResult, CurveFit
from nkloop.assays.quality.history import LEAST_HISTORY, reference_lysis
from nkloop.feedback.arm_effects import ArmEffect, arm_effects
from nkloop.feedback.models import Arm, ArmSummary, Proposal
from nkloop.reports.models import CampaignStory

REFERENCE_ARM = "reference"


@dataclass(frozen=True)
class ControlHistory:
    """The reference effector on one target line over the plates of a campaign, oldest first."""

    plates: tuple[str, ...]
    values: tuple[float, ...]
    """Mean lysis (%) on each plate."""
    mean: float
    """Of all plates but the latest, which must not widen its own limits."""
    spread: float
    """Their standard deviation."""


def round_of(story: CampaignStory, plate: AssayResult) -> int | None:
    """Round a plate was made in, told by its observations, else by its arms; None when neither says."""
    observed = {o.round for o in story.observations if o.plate == plate.barcode}
    if observed:
        return min(observed)
    arms = {sample.arm for sample in plate.layout.samples} - {REFERENCE_ARM}
    fitting = [r.number for r in story.rounds if arms and arms <= {arm.name for arm in r.arms}]
    return fitting[0] if len(fitting) == 1 else None


def plates_of(story: CampaignStory, number: int | None) -> tuple[AssayResult, ...]:
    """Plates of one round; None asks for those whose round nothing tells."""
    return tuple(plate for plate in story.plates if round_of(story, plate) == number)


def curve_of(plate: AssayResult, sample: str) -> CurveFit | None:
    """Curve of one sample on a plate."""
    return next((curve for curve in plate.curves if curve.sample == sample), None)


def summaries_of(story: CampaignStory, number: int) -> tuple[ArmSummary, ...]:
    """Arms of a round in reading order: the reference, then from the largest gain to the smallest."""
    mine = [s for s in story.summaries if s.round == number]
    return tuple(sorted(mine, key=lambda s: (s.arm != REFERENCE_ARM, -s.delta, s.arm)))


def effects_of(story: CampaignStory, number: int) -> tuple[ArmEffect, ...]:
    """Arms of a round against the reference with donor and plate as blocks, in reading order."""
    found = arm_effects([o for o in story.observations if o.round == number])
    order = {name: at for at, name in enumerate(arm_order(story, number))}
    return tuple(sorted(found, key=lambda effect: order.get(effect.arm, len(order))))


def arm_order(story: CampaignStory, number: int) -> tuple[str, ...]:
    """Arm names of a round in reading order, arms without any result last."""
    ranked = [s.arm for s in summaries_of(story, number)]
    planned = [arm.name for r in story.rounds if r.number == number for arm in r.arms]
    return tuple(dict.fromkeys([*ranked, *planned]))


def arm_of(story: CampaignStory, number: int, name: str) -> Arm | None:
    """The design of an arm."""
    return next((arm for r in story.rounds if r.number == number for arm in r.arms if arm.name == name), None)


def donors_of(story: CampaignStory) -> tuple[str, ...]:
    """Donor units in the order they enter the campaign."""
    planned = [donor for r in story.rounds for donor in r.donors]
    return tuple(dict.fromkeys([*planned, *(o.donor for o in story.observations)]))


def best_of(story: CampaignStory) -> ArmSummary | None:
    """The feasible variant with the largest gain over the reference of its own round; None without any."""
    variants = [s for s in story.summaries if s.arm != REFERENCE_ARM and s.feasible]
    return max(variants, key=lambda s: (s.delta, s.arm), default=None)


def reference_of(story: CampaignStory, number: int) -> ArmSummary | None:
    """The reference of a round."""
    return next((s for s in story.summaries if s.round == number and s.arm == REFERENCE_ARM), None)


def latest_proposal(story: CampaignStory) -> Proposal | None:
    """The proposal the campaign ends with; the one that made the proposed recipe when that is known."""
    if story.proposed is not None:
        fitting = [p for p in story.proposals if p.revision_id == story.proposed.revision_id]
        if fitting:
            return fitting[-1]
    return story.proposals[-1] if story.proposals else None


def controls_of(story: CampaignStory) -> dict[str, ControlHistory]:
    """Target line to the history of its reference effector, where enough plates came before the latest."""
    found: dict[str, list[tuple[str, float]]] = {}
    for plate in story.plates:
        value = reference_lysis(plate.lysis, plate.layout)
        if value is not None:
            found.setdefault(plate.target_line, []).append((plate.barcode, value))
    made = {}
    for line, measured in found.items():
        values = tuple(value for _, value in measured)
        earlier = values[:-1]
        if len(earlier) >= LEAST_HISTORY and stdev(earlier) > 0:
            plates = tuple(barcode for barcode, _ in measured)
            made[line] = ControlHistory(plates, values, fmean(earlier), stdev(earlier))
    return made
