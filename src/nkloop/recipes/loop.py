"""What the loop may propose without asking, and what it calls better."""

from __future__ import annotations

from pydantic import Field

from nkloop.frozen import FrozenModel
from nkloop.recipes.provenance import ComponentName, Identifier


class VariedComponent(FrozenModel):
    """A component the loop may vary, in the stages named, as a factor of the approved concentration."""

    component: ComponentName
    stages: tuple[Identifier, ...] = Field(min_length=1)
    """Ids of the stages it is varied in, all by the same factor."""
    lowest_factor: float = Field(default=0.25, gt=0, le=1)
    """Least factor of the approved concentration the loop may try."""
    highest_factor: float = Field(default=4.0, ge=1)
    """Largest factor of the approved concentration the loop may try."""

    @property
    def key(self) -> str:
        """Name of this factor in designs and tables."""
        return f"{self.component}@{'+'.join(self.stages)}"


class Objective(FrozenModel):
    """What "better" means: score = sum of weight times value; larger is better."""

    log10_fold_weight: float = 1.0
    """Weight of the decadic logarithm of the fold expansion of viable cells."""
    potency_weight: float = 1.0
    """Weight of the area under the killing curve, 0 to 1 (1: every target lysed at every E:T)."""
    purity_weight: float = 0.5
    """Weight of the CD56+CD3- share, 0 to 1."""
    cost_weight: float = 0.0
    """Weight subtracted per tenfold cytokine cost of the reference."""
    min_viability_percent: float = Field(default=70.0, ge=0, le=100)
    """An arm below this viability is outside a limit and cannot win, whatever it scores."""


class LoopLimits(FrozenModel):
    """What the optimiser may do without asking; a person approves everything it proposes."""

    vary: tuple[VariedComponent, ...] = Field(min_length=1)
    """What may be varied; everything else stays as approved."""
    objective: Objective = Objective()
    max_step_factor: float = Field(default=2.0, gt=1)
    """Largest change of one component against the approved revision in one revision."""
    max_components_changed: int = Field(default=3, ge=1)
    """Most components one revision may change against the approved one."""
