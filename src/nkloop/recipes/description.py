"""A recipe in Markdown: all of it, as a reader wants to see it, and the pieces that the procedure is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nkloop.quantities import Kind
from nkloop.recipes.measured import QUANTITIES
from nkloop.recipes.models import (
    Criterion,
    Ingredient,
    Limit,
    ProcessStep,
    Provenance,
    Recipe,
    Sourced,
    Stage,
)

_ORDER = ("base", "serum", "supplement", "anticoagulant", "small_molecule", "cytokine", "vector", "coating")
"""Order of addition: base, serum, heparin, then cytokines, the lowest dose first."""
NOBODY = "nobody yet"


def described(recipe: Recipe) -> str:
    """The whole recipe: each stage with medium, vessel, steps, samples, controls and criteria; arms; sources."""
    lines = [*heading(recipe), "## Stages", "", *_overview(recipe), ""]
    for index, stage in enumerate(recipe.stages, start=1):
        lines += [f"## {index}. {stage.title}: day {stage.start_day:g} to {stage.end_day:g}", ""]
        lines += [*_medium(recipe, stage), "", *_culture(stage), ""]
    lines += [
        *arms(recipe),
        *_limits_of_carry_over(recipe),
        *_limits_of_error(recipe),
        *_loop(recipe),
        *sources(recipe),
    ]
    return "\n".join(lines).rstrip() + "\n"


def heading(recipe: Recipe) -> list[str]:
    """Title, revision, and how many values nobody has verified."""
    revision = recipe.revision
    approved = f", approved by {revision.approved_by}" if revision.approved_by else ""
    told = f"Recipe `{recipe.revision_id}`, revision {revision.number}, **{revision.status}**{approved}."
    from_other = f" Derived from `{recipe.derived_from}`." if recipe.derived_from else ""
    lines = [
        f"# {recipe.title}",
        "",
        f"{told} Product: {recipe.product}. Starting material: {recipe.starting_material}. "
        f"Length: {recipe.days:g} days.{from_other}",
        "",
    ]
    unverified, total = unverified_values(recipe)
    if unverified:
        lines += [
            f"**{unverified} of {total} values are unverified**: nobody has checked them against their source.",
            "",
        ]
    return lines


def unverified_values(recipe: Recipe) -> tuple[int, int]:
    """How many values with a source nobody has verified, of how many."""
    values = list(_provenances(recipe))
    return sum(value.verified_by is None for value in values), len(values)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; a bar inside a cell is escaped. Nothing without rows."""
    told = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    if not told:
        return []
    lines = (header, ["---"] * len(header), *told)
    return ["| " + " | ".join(row) + " |" for row in lines]


def in_order(recipe: Recipe, stage: Stage) -> list[Ingredient]:
    """The ingredients of a stage's medium in the order they are added."""

    def place(ingredient: Ingredient) -> tuple[int, float]:
        dose = ingredient.amount.canonical if ingredient.amount.kind is Kind.MASS_CONCENTRATION else float("inf")
        return _ORDER.index(recipe.component(ingredient.component).role), dose

    return sorted(stage.medium.ingredients, key=place)


def process_sentence(recipe: Recipe, step: ProcessStep) -> str:
    """A process step as one instruction with its amounts and conditions."""
    parts = []
    if step.component is not None:
        dose = step.amount or step.add_volume
        parts.append(f"{step.component}: {dose.display() if dose else ''}")
    parts += [f"{step.force_g:g} g"] if step.force_g else []
    parts += [str(step.duration)] if step.duration else []
    parts += [f"{step.temperature:g} °C"] if step.temperature is not None else []
    skipped = [arm.title for arm in recipe.arms if step.id in arm.without]
    told = f"{step.title} (day {step.day:g}): {step.instruction}" + (f" [{', '.join(parts)}]" if parts else "")
    told += f" Not in the arm: {', '.join(skipped)}." if skipped else ""
    if step.amount is not None and step.amount.kind is Kind.MULTIPLICITY:
        told += f" Volume = viable cells x {step.amount.display()} / titre of the lot in TU/mL."
    return told + (" **A second person checks before it is done.**" if step.second_person else "")


def limit_words(limit: Limit) -> str:
    """A criterion or control as `viability: at least 70 %`."""
    pending = isinstance(limit, Criterion) and limit.may_be_pending
    return f"{QUANTITIES[limit.quantity].title}: {limit.words}" + (" (answer may be pending)" if pending else "")


def arms(recipe: Recipe) -> list[str]:
    """The section about arms; empty when the recipe has one way only."""
    if not recipe.arms:
        return []
    rows = [(arm.title, arm.purpose, ", ".join(arm.without) or "nothing", arm.why) for arm in recipe.arms]
    return ["## Arms", "", *table(("arm", "purpose", "leaves out", "why"), rows), ""]


def sources(recipe: Recipe) -> list[str]:
    """The section about sources."""
    told = [
        f"- `{key}`: {source.title}. {source.reference}" + (f" ({source.note})" if source.note else "")
        for key, source in recipe.sources.items()
    ]
    return ["## Sources", "", *told, ""]


def _overview(recipe: Recipe) -> list[str]:
    rows = [
        (
            stage.title,
            f"{stage.start_day:g} to {stage.end_day:g}",
            stage.vessel.words,
            stage.seeding_density.display(),
            f"{stage.refresh.fraction.display()} every {stage.refresh.every}",
            str(stage.medium.shelf_life),
        )
        for stage in recipe.stages
    ]
    return table(("stage", "day", "vessel", "seeding", "refresh", "medium keeps"), rows)


def _medium(recipe: Recipe, stage: Stage) -> list[str]:
    medium = stage.medium
    rows = [
        (
            ingredient.component + (" (keep dark)" if recipe.component(ingredient.component).light_sensitive else ""),
            ingredient.amount.display(),
            ingredient.source,
            ingredient.verified_by or NOBODY,
        )
        for ingredient in in_order(recipe, stage)
    ]
    kept = f"{medium.storage_temperature:g} °C for at most {medium.shelf_life}"
    return [
        *table(("component", "final", "source", "verified by"), rows),
        "",
        f"Add in this order; {medium.mixing.words}. Keep at {kept}, warm to {medium.use_temperature:g} °C before use.",
    ]


def _culture(stage: Stage) -> list[str]:
    lines: list[str] = []
    if stage.process:
        lines += ["**Steps.**", "", *(f"- day {s.day:g}: {s.title} ({s.kind})" for s in stage.process), ""]
    sampled = [
        (f"{s.day:g}", s.volume.display(), ", ".join(QUANTITIES[m].title for m in s.measures)) for s in stage.sampling
    ]
    lines += [*table(("sample on day", "volume", "measured"), sampled), ""] if sampled else []
    rows = [("start when", limit_words(c), c.source) for c in stage.entry]
    rows += [
        (f"control on day {', '.join(f'{day:g}' for day in c.days)}", f"{limit_words(c)}; else {c.action}", c.source)
        for c in stage.controls
    ]
    rows += [("go on when", limit_words(c), c.source) for c in stage.exit]
    rows += [("expected", f"{QUANTITIES[e.quantity].title}: {e.words}", e.source) for e in stage.expected]
    return [*lines, *table(("when", "limit", "source"), rows)]


def _limits_of_carry_over(recipe: Recipe) -> list[str]:
    rows = [(c.substance, c.limit.display(), c.source, c.verified_by or NOBODY) for c in recipe.carry_over]
    if not rows:
        return []
    return [
        "## Carry-over of stock buffers, at most",
        "",
        *table(("substance", "limit", "source", "verified by"), rows),
        "",
    ]


def _limits_of_error(recipe: Recipe) -> list[str]:
    told = recipe.error_limits
    return [f"Predicted pipetting error, at most: CV {told.cv_percent:g} %, bias {told.bias_percent:g} %.", ""]


def _loop(recipe: Recipe) -> list[str]:
    rows = [
        (v.component, ", ".join(v.stages), f"{v.lowest_factor:g} to {v.highest_factor:g}") for v in recipe.loop.vary
    ]
    return ["## What the loop may vary", "", *table(("component", "stages", "factor"), rows), ""]


def _provenances(recipe: Recipe) -> Iterator[Provenance | Sourced]:
    yield from recipe.carry_over
    yield from (component for component in recipe.components if component.source)
    for stage in recipe.stages:
        yield from stage.medium.ingredients
        yield from (stage.settling,) if stage.settling is not None else ()
        yield from (stage.refresh, *stage.expected, *stage.controls, *stage.entry, *stage.exit)
        blocks: tuple[Sourced, ...] = (stage, stage.vessel, stage.medium, *stage.process, *stage.sampling)
        yield from (block for block in blocks if block.source)
