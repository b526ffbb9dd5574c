"""What the components of a run are measured in, for labels that tell concentrations."""

from __future__ import annotations

from nkloop.errors import RecipeError
from nkloop.quantities import Kind
from nkloop.recipes import list_recipes
from nkloop.records import Records
from nkloop.worklists.component_kinds import kinds_of_recipe
from nkloop.workspace import Workspace


def kinds_of_revision(workspace: Workspace, records: Records, revision: str | None) -> dict[str, Kind]:
    """What components are measured in by a recipe in the records, else in the workspace.

    Nothing when neither has the revision any more; labels then name components without their concentrations.
    """
    if revision is None:
        return {}
    known = {recipe.revision_id: recipe for recipe in records.campaigns.revisions()}
    if revision not in known:
        try:
            known |= {recipe.revision_id: recipe for recipe in list_recipes(workspace.recipes)}
        except RecipeError:
            return {}
    return kinds_of_recipe(known[revision]) if revision in known else {}
