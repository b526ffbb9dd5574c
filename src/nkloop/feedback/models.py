"""Arms, observations, proposals: what goes round the loop."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from nkloop.frozen import FrozenModel
from nkloop.quantities import Concentration
from nkloop.recipes.media import activity_of


class Arm(FrozenModel):
    """One recipe variant of a round: factors against the approved concentration per varied component."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """`reference`, or `arm-<round>-<n>`."""
    factors: dict[str, float]
    """`VariedComponent.key`, or `component@stage` of what the loop does not vary, to factor; 0 leaves it out. The
    reference has 1.0 everywhere."""
    amounts: dict[str, Concentration] = Field(default_factory=dict)
    """`component@stage` to the final concentration of what the arm has beyond the medium of the stage."""
    origin: Literal["reference", "exploration", "optimizer", "replicate", "control"]
    way: str = ""
    """Arm of the recipe whose process steps it goes through; empty goes through all of them."""
    predicted_score: float | None = None
    predicted_sd: float | None = None

    @field_validator("amounts", mode="before")
    @classmethod
    def _activity_is_its_own(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: activity_of(value, str(key).partition("@")[0]) for key, value in data.items()}


class Round(FrozenModel):
    """The arms tested together, on the same donors."""

    number: int = Field(ge=1)
    arms: tuple[Arm, ...] = Field(min_length=2)
    donors: tuple[str, ...] = Field(min_length=1)


class Observation(FrozenModel):
    """What one arm gave with one donor in one round."""

    round: int = Field(ge=1)
    arm: str
    donor: str
    factors: dict[str, float]
    log10_fold: float
    """log10 of NK cells harvested per CD34+ cell seeded."""
    viability_percent: float = Field(ge=0, le=100)
    purity_percent: float = Field(ge=0, le=100)
    potency: float
    """AUC of lysis over log10 true E:T, within the E:T all arms of the donor cover; about 0 to 1."""
    plate: str
    """Barcode of the accepted or flagged plate it comes from."""
    plate_verdict: Literal["accepted", "flagged", "rejected"] = "accepted"
    """Verdict of that plate; a campaign refuses observations of a rejected one."""
    recipe_revision: str = ""
    """Revision id of the recipe the factors refer to; a campaign accepts its own only."""
    cost_factor: float = Field(default=1.0, gt=0)
    """Cytokine cost against the reference."""
    score: float
    feasible: bool
    """False when a limit (viability) is not kept."""


class ComponentChange(FrozenModel):
    """One line of a recipe diff."""

    stage: str
    component: str
    before: str
    after: str
    factor: float
    reason: str


class ArmSummary(FrozenModel):
    """One arm over its donors, against the reference of the same round and donors."""

    arm: str
    round: int
    n: int = Field(ge=1)
    score: float
    score_standard_error: float | None
    delta: float
    """Mean difference to the reference on the same donors and round; 0 for the reference."""
    delta_low: float | None
    delta_high: float | None
    log10_fold: float
    purity_percent: float
    viability_percent: float
    potency: float
    feasible: bool


class Proposal(FrozenModel):
    """What the optimiser asks a person to approve."""

    campaign: str
    after_round: int = Field(ge=1)
    parent: str
    """Revision id the change starts from."""
    revision_id: str
    """Revision id of the proposed recipe."""
    changes: tuple[ComponentChange, ...]
    expected_score: float
    expected_score_sd: float = Field(ge=0)
    reference_score: float
    best_arm: str
    best_score: float
    probability_better: float = Field(ge=0, le=1)
    """Posterior probability that the proposal beats the reference."""
    rationale: str
