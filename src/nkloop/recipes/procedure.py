"""A recipe as a procedure a person could follow by hand, in Markdown."""

from __future__ import annotations

from nkloop.quantities import Amount, Kind
from nkloop.quantities.display import number
from nkloop.recipes.models import Ingredient, Provenance, Recipe, Stage

_PER = Amount(100, "mL")
"""Volume for which the amounts of a medium are told."""
_ORDER = ("base", "serum", "anticoagulant", "supplement", "small_molecule", "cytokine")
"""Order of addition: base, serum, heparin, then cytokines, the lowest dose first."""
_CARRIED = {
    Kind.MASS_CONCENTRATION: "ng",
    Kind.ACTIVITY_CONCENTRATION: "IU",
}


def sop(recipe: Recipe) -> str:
    """The procedure: what is needed, each stage with its medium, feeding days and expected values, and the sources."""
    revision = recipe.revision
    lines = [
        f"# {recipe.title}",
        "",
        f"Recipe `{recipe.revision_id}`, revision {revision.number}, **{revision.status}**"
        + (f", approved by {revision.approved_by}" if revision.approved_by else "")
        + f". Product: {recipe.product}. Starting material: {recipe.starting_material}. Length: {recipe.days:g} days.",
        "",
    ]
    unverified = sum(1 for value in _provenances(recipe) if value.verified_by is None)
    if unverified:
        lines += [f"**{unverified} values are unverified**: nobody has checked them against their source.", ""]
    for index, stage in enumerate(recipe.stages, start=1):
        lines += [*_stage(recipe, index, stage), ""]
    lines += ["## Sources", ""]
    lines += [
        f"- `{key}`: {source.title}. {source.reference}" + (f" ({source.note})" if source.note else "")
        for key, source in recipe.sources.items()
    ]
    return "\n".join(lines) + "\n"


def _stage(recipe: Recipe, index: int, stage: Stage) -> list[str]:
    days = ", ".join(f"{day:g}" for day in stage.feeding_days()[1:])
    share = f"{stage.refresh.fraction.to('%'):g} %"
    lines = [
        f"## {index}. {stage.title}: day {stage.start_day:g} to {stage.end_day:g}",
        "",
        "1. Prepare the medium below; add in the order of the table and mix gently, no vortex. Warm to 37 °C.",
        f"2. Count the cells twice. Seed at {stage.seeding_density.display()} in a {stage.vessel.words}.",
        f"3. On day {days}: count; above the seeding density dilute to it with fresh medium, "
        f"else replace {share} of the volume with fresh medium."
        if days
        else "3. No medium is exchanged.",
        f"4. On day {stage.end_day:g}: count, record viability and phenotype,"
        + (" go on to the next stage." if stage is not recipe.stages[-1] else " harvest."),
        "",
        f"| component | final | in {_PER} medium | source | verified by |",
        "|---|---|---|---|---|",
        *(_row(ingredient) for ingredient in _in_order(recipe, stage)),
    ]
    if stage.expected:
        lines += ["", "Expected (outside is a deviation to record):", ""]
        lines += [f"- {e.quantity.replace('_', ' ')}: {e.words} ({e.source})" for e in stage.expected]
    return lines


def _in_order(recipe: Recipe, stage: Stage) -> list[Ingredient]:
    def place(ingredient: Ingredient) -> tuple[int, float]:
        dose = ingredient.amount.canonical if ingredient.amount.kind is Kind.MASS_CONCENTRATION else float("inf")
        return _ORDER.index(recipe.component(ingredient.component).role), dose

    return sorted(stage.medium.ingredients, key=place)


def _row(ingredient: Ingredient) -> str:
    cells = (
        ingredient.component,
        ingredient.amount.display(),
        _carried(ingredient.amount),
        ingredient.source,
        ingredient.verified_by or "nobody yet",
    )
    return "| " + " | ".join(cells) + " |"


def _carried(amount: Amount) -> str:
    """How much of a component 100 mL hold: a volume for liquids (the base is made up with all other volumes)."""
    if amount.kind is Kind.FRACTION:
        return Amount(amount.canonical * _PER.canonical, "µL").display()
    if amount.kind in _CARRIED:
        total = amount.canonical * _PER.canonical
        return Amount(total, _CARRIED[amount.kind], substance=amount.substance).display()
    return f"{number(amount.canonical * _PER.canonical / 1000)} nmol"


def _provenances(recipe: Recipe) -> list[Provenance]:
    found: list[Provenance] = []
    for stage in recipe.stages:
        found += [*stage.medium.ingredients, stage.refresh, *stage.expected]
    return found
