"""The recipe: what is grown, in which stages and media, and what the loop may vary. A change makes a new revision."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel, content_hash
from nkloop.recipes.error_limits import ErrorLimits
from nkloop.recipes.loop import LoopLimits, Objective, VariedComponent
from nkloop.recipes.measured import Quantity
from nkloop.recipes.media import CarryOverLimit, Component, Ingredient, Medium, Mixing
from nkloop.recipes.provenance import ComponentName, Identifier, Provenance, Source, Sourced
from nkloop.recipes.stages import (
    Control,
    Criterion,
    ExpectedRange,
    Limit,
    ProcessStep,
    Refresh,
    Sampling,
    Settling,
    Stage,
    Vessel,
)

__all__ = [
    "CarryOverLimit",
    "Component",
    "ComponentName",
    "Control",
    "Criterion",
    "ErrorLimits",
    "ExpectedRange",
    "Identifier",
    "Ingredient",
    "Limit",
    "LoopLimits",
    "Medium",
    "Mixing",
    "Objective",
    "ProcessStep",
    "Provenance",
    "Quantity",
    "Recipe",
    "RecipeArm",
    "Refresh",
    "Revision",
    "Sampling",
    "Settling",
    "Source",
    "Sourced",
    "Stage",
    "VariedComponent",
    "Vessel",
]


class RecipeArm(FrozenModel):
    """A way through the recipe: all of it, or all of it but some process steps, such as an untransduced control."""

    id: Identifier
    title: str
    purpose: Literal["product", "control"]
    """One arm at least makes the product; a control leaves steps out, to be compared with it."""
    without: tuple[Identifier, ...] = ()
    """Process steps this arm leaves out; everything else is the same."""
    why: str = ""
    """What the arm is compared for."""


class Revision(FrozenModel):
    """Place of a recipe in its line of descent; not part of the content hash."""

    number: int = Field(default=0, ge=0)
    """Counts the revisions from the published recipe, which is 0."""
    parent: str | None = None
    """Revision id of the recipe this one was made from."""
    status: Literal["published", "proposed", "approved", "rejected"] = "published"
    """Only `published` and `approved` revisions are run; `proposed` waits for a person."""
    reason: str = ""
    """Why it was made or decided so, in a sentence."""
    approved_by: str | None = None
    """Who decided; None while nobody has."""
    approved_at: str | None = None
    """When, in UTC with its zone."""


class Recipe(FrozenModel):
    """A culture recipe: what is grown, in which stages, in which media, and what the loop may vary."""

    id: Identifier
    title: str
    product: Literal["NK", "DC"]
    starting_material: str
    """What the culture is begun from, for example CD34+ cells of cord blood."""
    derived_from: Identifier | None = None
    """Recipe whose process this one branches from or modifies."""
    sources: dict[str, Source]
    """Papers, sheets and campaigns the values are cited from, by the key that values name."""
    components: tuple[Component, ...]
    """Everything media and process steps may contain, each with its plausible range."""
    carry_over: tuple[CarryOverLimit, ...] = ()
    """Limits on what the buffers of stocks bring into a complete medium."""
    error_limits: ErrorLimits = ErrorLimits()
    """How far off a plan may be predicted to be, of media and of doses."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """In the order they are run."""
    arms: tuple[RecipeArm, ...] = ()
    """Ways through the recipe that are run side by side; none means one way."""
    loop: LoopLimits
    """What the loop may vary and what it aims for."""
    revision: Revision = Revision()

    @property
    def content_hash(self) -> str:
        """SHA-256 of everything but the revision block."""
        return content_hash(self.model_dump(mode="json", exclude={"revision"}))

    @property
    def revision_id(self) -> str:
        """`<recipe>@<first 12 digits of the content hash>`."""
        return f"{self.id}@{self.content_hash[:12]}"

    @property
    def days(self) -> float:
        """Length of the whole culture in days."""
        return self.stages[-1].end_day

    def stage(self, stage_id: str) -> Stage:
        """Look a stage up.

        Raises:
            KeyError: there is no such stage.
        """
        return {s.id: s for s in self.stages}[stage_id]

    @property
    def stage_ids(self) -> tuple[str, ...]:
        """Identifiers of the stages in order."""
        return tuple(s.id for s in self.stages)

    def component(self, name: str) -> Component:
        """Look a component up.

        Raises:
            KeyError: there is no such component.
        """
        return {c.name: c for c in self.components}[name]
