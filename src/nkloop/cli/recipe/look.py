"""`nkloop recipe list`, `show` and `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_workspace, print_json
from nkloop.cli.recipe.loading import Name, load

if TYPE_CHECKING:
    from nkloop.recipes.compare import RecipeDiff
    from nkloop.recipes.models import Recipe


_MANY = 3
"""From so many common items on, a list is told by what differs."""


def list_(workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """List recipes in the workspace and revisions in its database."""
    from rich.console import Console
    from rich.table import Column, Table

    from nkloop.recipes import list_recipes
    from nkloop.records import Records

    found = find_workspace(workspace)
    records = Records.open(found.state)
    try:
        recipes = {recipe.revision_id: recipe for recipe in list_recipes(found.recipes)}
        recipes.update({recipe.revision_id: recipe for recipe in records.campaigns.revisions()})
    finally:
        records.close()
    rows = [_row(recipe) for recipe in recipes.values()]
    if json_output:
        print_json(rows)
        return
    names = [name for name in ("product", "days", "unverified", "status", "parent") if any(row[name] for row in rows)]
    table = Table(Column("revision", no_wrap=True), *names)
    for row in rows:
        table.add_row(*(str(row[str(column.header)] or "") for column in table.columns))
    Console().print(table)


def _row(recipe: Recipe) -> dict[str, object]:
    from nkloop.recipes.description import unverified_values

    unverified, total = unverified_values(recipe)
    return {
        "revision": recipe.revision_id,
        "title": recipe.title,
        "product": recipe.product,
        "days": f"{recipe.days:g}",
        "stages": ", ".join(recipe.stage_ids),
        "arms": ", ".join(arm.id for arm in recipe.arms),
        "unverified": f"{unverified} of {total}",
        "status": recipe.revision.status,
        "parent": recipe.revision.parent,
    }


def show(name: Name, workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """Show a recipe: stages, media, vessels, samples, controls, criteria, arms, limits and sources."""
    recipe = load(name, workspace)
    if json_output:
        print_json(recipe.model_dump(mode="json"))
        return
    from nkloop.recipes import described

    typer.echo(described(recipe))


def diff(before: Name, after: Name, workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """Show what differs between two recipes: amounts with their factor, stages, and every other field."""
    from nkloop.recipes.compare import compare

    found = compare(load(before, workspace), load(after, workspace))
    if json_output:
        print_json(found.model_dump(mode="json"))
    else:
        _show(found, before, after)


def _show(found: RecipeDiff, before: str, after: str) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    console = Console()
    if found.is_empty:
        console.print("The two recipes have the same content.")
        return
    for told, stages in (("added", found.stages_added), ("removed", found.stages_removed)):
        if stages:
            console.print(f"Stages {told}: {', '.join(stages)}")
    if found.amounts:
        table = Table("stage", "component", before, after, "factor", title="Amounts", title_justify="left")
        for row in found.amounts:
            amounts = (str(row.before or "-"), str(row.after or "-"))
            table.add_row(row.stage, row.component, *amounts, _factor(row.factor))
        console.print(table)
    if found.fields:
        columns = [Column(name, overflow="fold") for name in ("field", before, after)]
        table = Table(*columns, "factor", title="Everything else", title_justify="left")
        for field in found.fields:
            table.add_row(field.field, *_sides(field.before, field.after), _factor(field.factor))
        console.print(table)


def _sides(before: str | None, after: str | None) -> tuple[str, str]:
    """Both sides of a field; of two long lists only what the other does not have."""
    if before is None or after is None:
        return before or "-", after or "-"
    old, new = before.split(", "), after.split(", ")
    common = set(old) & set(new)
    if len(common) < _MANY:
        return before, after
    told = [", ".join(item for item in side if item not in common) or "-" for side in (old, new)]
    return f"… {told[0]}", f"… {told[1]}"


def _factor(factor: float | None) -> str:
    from nkloop.quantities.display import number

    return number(factor) if factor is not None else ""
