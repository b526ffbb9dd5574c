"""`nkloop recipe approve` and `reject`: a person decides about a proposed revision."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import WorkspaceOption, find_workspace
from nkloop.cli.recipe.loading import Name

if TYPE_CHECKING:
    from nkloop.recipes.models import Recipe

By = Annotated[str, typer.Option("--by", help="Your name; it is recorded.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]


def approve(revision: Name, by: By, reason: Reason, workspace: WorkspaceOption = Path()) -> None:
    """Approve a proposed revision and write it beside the other recipes, with the comments of its parent."""
    recipe = _decide(revision, "approved", by, reason, workspace)
    from nkloop.recipes import save_recipe
    from nkloop.recipes.files import parent_file

    path = find_workspace(workspace).recipes / f"{recipe.id}-r{recipe.revision.number}.yaml"
    save_recipe(recipe, path, like=parent_file(path.parent, recipe))
    typer.echo(f"{revision} is approved by {by}; written to {path}")


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
