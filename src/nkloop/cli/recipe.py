"""`nkloop recipe`: look at recipes, compare them, decide about proposed revisions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_workspace, print_json

if TYPE_CHECKING:
    from nkloop.recipes.models import Recipe

app = typer.Typer(no_args_is_help=True, help="Look at recipes, compare them, decide about proposed revisions.")
Name = Annotated[str, typer.Argument(help="File name in recipes/ without .yaml, or a revision id such as ucb-nk@1a2b.")]
By = Annotated[str, typer.Option("--by", help="Your name; it is recorded.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]


def _load(name: str, workspace: Path) -> Recipe:
    from nkloop.errors import RecipeError
    from nkloop.recipes import load_recipe
    from nkloop.records import Records

    found = find_workspace(workspace)
    path = found.recipes / f"{name}.yaml"
    if path.is_file():
        return load_recipe(path)
    if "@" not in name:
        known = ", ".join(sorted(p.stem for p in found.recipes.glob("*.yaml"))) or "none"
        raise RecipeError(f"there is no recipe '{name}'", where=str(found.recipes), remedy=f"use one of: {known}")
    records = Records.open(found.state)
    try:
        return records.campaigns.revision(name)
    finally:
        records.close()


@app.command("list")
def list_(workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """List recipes in the workspace and revisions in its database."""
    from rich.console import Console
    from rich.table import Table

    from nkloop.recipes import list_recipes
    from nkloop.records import Records

    found = find_workspace(workspace)
    records = Records.open(found.state)
    try:
        recipes = {recipe.revision_id: recipe for recipe in list_recipes(found.recipes)}
        recipes.update({recipe.revision_id: recipe for recipe in records.campaigns.revisions()})
    finally:
        records.close()
    rows = [
        {"revision": key, "title": r.title, "status": r.revision.status, "parent": r.revision.parent}
        for key, r in recipes.items()
    ]
    if json_output:
        print_json(rows)
        return
    table = Table("revision", "title", "status", "parent")
    for row in rows:
        table.add_row(*(str(value or "") for value in row.values()))
    Console().print(table)


@app.command()
def show(name: Name, workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """Show a recipe as the procedure a person could follow."""
    recipe = _load(name, workspace)
    if json_output:
        print_json(recipe.model_dump(mode="json"))
        return
    from nkloop.recipes import sop

    typer.echo(sop(recipe))


@app.command()
def diff(before: Name, after: Name, workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """Show amounts that differ between two recipes, with the factor."""
    from rich.console import Console
    from rich.table import Table

    from nkloop.recipes import diff as changes

    rows = changes(_load(before, workspace), _load(after, workspace))
    if json_output:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    table = Table("stage", "component", before, after, "factor")
    for row in rows:
        factor = f"{row.factor:.3g}" if row.factor else ""
        table.add_row(row.stage, row.component, str(row.before or "-"), str(row.after or "-"), factor)
    Console().print(table)


@app.command()
def approve(revision: Name, by: By, reason: Reason, workspace: WorkspaceOption = Path()) -> None:
    """Approve a proposed revision and write it beside the other recipes."""
    recipe = _decide(revision, "approved", by, reason, workspace)
    from nkloop.recipes import save_recipe

    path = find_workspace(workspace).recipes / f"{recipe.id}-r{recipe.revision.number}.yaml"
    save_recipe(recipe, path)
    typer.echo(f"{revision} is approved by {by}; written to {path}")


@app.command()
def reject(revision: Name, by: By, reason: Reason, workspace: WorkspaceOption = Path()) -> None:
    """Reject a proposed revision; it stays in the records."""
    _decide(revision, "rejected", by, reason, workspace)
    typer.echo(f"{revision} is rejected by {by}")


def _decide(revision: str, decision: str, by: str, reason: str, workspace: Path) -> Recipe:
    from nkloop.records import Records

    records = Records.open(find_workspace(workspace).state)
    try:
        return records.campaigns.decide_revision(revision, decision, by=by, at=datetime.now(UTC), reason=reason)  # type: ignore[arg-type]
    finally:
        records.close()
