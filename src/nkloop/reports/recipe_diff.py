"""Recipe values as a reader needs them: what changes, what is published only, what somebody checked."""

from __future__ import annotations

from nkloop.feedback.models import ComponentChange, Proposal
from nkloop.frozen import FrozenModel
from nkloop.recipes.description import limit_words
from nkloop.recipes.models import Ingredient, Recipe, Stage
from nkloop.reports.numbers import factor, plain

UNVERIFIED = "not verified"


class ChangeRow(FrozenModel):
    """One line of the recipe diff."""

    stage: str
    component: str
    before: str
    after: str
    factor: str
    reason: str
    verified_by: str
    """Who checked the published value, or that nobody has."""
    is_verified: bool


class ValueRow(FrozenModel):
    """One ingredient of one stage."""

    stage: str
    component: str
    amount: str
    changed_to: str
    """New amount in the proposed recipe; empty when it stays."""
    source: str
    verified_by: str
    is_verified: bool


class StageRow(FrozenModel):
    """How one stage is run, beside its medium."""

    stage: str
    vessel: str
    seeding: str
    refresh: str
    medium_keeps: str
    steps: str
    """Process steps; empty when the stage is only fed."""
    go_on_when: str
    is_changed: bool
    """True when the proposed recipe runs the stage differently."""


def change_rows(proposal: Proposal, recipe: Recipe) -> tuple[ChangeRow, ...]:
    """The changes of a proposal with titles instead of identifiers."""
    return tuple(_change_row(change, recipe) for change in proposal.changes)


def value_rows(recipe: Recipe, proposed: Recipe | None) -> tuple[ValueRow, ...]:
    """Every ingredient of every stage, with what the proposed recipe makes of it."""
    rows = []
    for stage in recipe.stages:
        for part in stage.medium.ingredients:
            title = f"{stage.title}, day {plain(stage.start_day)} to {plain(stage.end_day)}"
            rows.append(
                ValueRow(
                    stage=title,
                    component=component_title(recipe, part.component),
                    amount=str(part.amount),
                    changed_to=_changed(part, stage.id, proposed),
                    source=_source(recipe, part.source),
                    verified_by=part.verified_by or UNVERIFIED,
                    is_verified=part.verified_by is not None,
                )
            )
    return tuple(rows)


def stage_rows(recipe: Recipe, proposed: Recipe | None) -> tuple[StageRow, ...]:
    """Vessel, seeding, refresh, steps and criteria of every stage, and whether the proposed recipe changes them."""
    return tuple(
        StageRow(
            stage=f"{stage.title}, day {plain(stage.start_day)} to {plain(stage.end_day)}",
            vessel=stage.vessel.words,
            seeding=stage.seeding_density.display(),
            refresh=f"{stage.refresh.fraction.display()} every {stage.refresh.every}",
            medium_keeps=str(stage.medium.shelf_life),
            steps="; ".join(f"day {plain(step.day)} {step.title}" for step in stage.process),
            go_on_when="; ".join(limit_words(criterion) for criterion in stage.exit),
            is_changed=_is_run_differently(stage, proposed),
        )
        for stage in recipe.stages
    )


def _is_run_differently(stage: Stage, proposed: Recipe | None) -> bool:
    if proposed is None:
        return False
    other = next((one for one in proposed.stages if one.id == stage.id), None)
    return other is None or other.model_dump(exclude={"medium"}) != stage.model_dump(exclude={"medium"})


def stage_title(recipe: Recipe, stage: str) -> str:
    """Titles of one stage or of several joined by a plus sign; what is no stage stays as it is."""
    titles = {s.id: s.title for s in recipe.stages}
    return " + ".join(titles.get(part, part) for part in stage.split("+"))


def component_title(recipe: Recipe, name: str) -> str:
    """Name of a component with its title when that says more."""
    title = next((c.title for c in recipe.components if c.name == name), name)
    return name if title == name else f"{title} ({name})"


def varied_title(recipe: Recipe, key: str) -> str:
    """A factor of the design in words: component and the stages it is varied in."""
    component, _, stages = key.partition("@")
    return f"{component}, {stage_title(recipe, stages)}" if stages else component


def unverified_count(recipe: Recipe) -> tuple[int, int]:
    """How many ingredient values nobody has verified, of how many."""
    rows = value_rows(recipe, None)
    return sum(not row.is_verified for row in rows), len(rows)


def _change_row(change: ComponentChange, recipe: Recipe) -> ChangeRow:
    wanted = set(change.stage.split("+"))
    parts = [
        part
        for stage in recipe.stages
        for part in stage.medium.ingredients
        if part.component == change.component and (stage.id in wanted or stage.title in wanted)
    ]
    people = list(dict.fromkeys(part.verified_by for part in parts))
    is_verified = bool(people) and None not in people
    return ChangeRow(
        stage=stage_title(recipe, change.stage),
        component=component_title(recipe, change.component),
        before=change.before,
        after=change.after,
        factor=factor(change.factor),
        reason=change.reason,
        verified_by=", ".join(p for p in people if p) if is_verified else UNVERIFIED,
        is_verified=is_verified,
    )


def _changed(part: Ingredient, stage_id: str, proposed: Recipe | None) -> str:
    stage = next((s for s in proposed.stages if s.id == stage_id), None) if proposed is not None else None
    if stage is None:
        return ""
    amount = stage.medium.amount_of(part.component)
    if amount is None:
        return "left out"
    return str(amount) if str(amount) != str(part.amount) else ""


def _source(recipe: Recipe, key: str) -> str:
    known = recipe.sources.get(key)
    return known.title if known is not None else key
