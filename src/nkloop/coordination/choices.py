"""What the forms offer to choose from: recipes, stages, components, additives, lines and benches of the workspace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import httpx
from prefect.exceptions import PrefectException

from nkloop.assays.panel import panel
from nkloop.errors import NkloopError
from nkloop.feedback import Envelope
from nkloop.recipes import load_recipe

if TYPE_CHECKING:
    from nkloop.recipes.models import Recipe
    from nkloop.records import Records
    from nkloop.workspace import Workspace

_RUNNABLE = ("published", "approved")
LOOK_SECONDS = 5.0
"""Between two looks at the workspace: a recipe that is written or approved meanwhile is offered after this time."""
logger = logging.getLogger(__name__)

Choices = Mapping[str, tuple[str, ...]]
"""Name of a form's field to the values it offers."""
Stages = Mapping[str, tuple[str, ...]]
"""Recipe, as a form names it, to its stages."""
Forms = Mapping[str, Mapping[str, Any]]
"""Name of a deployment to the parameter schema of its flow."""


def choices(workspace: Workspace, approved: Sequence[Recipe] = ()) -> Choices:
    """What a person may choose now; a recipe file with mistakes is offered, so that its flow tells them.

    Args:
        workspace: folder with recipes and benches.
        approved: revisions that may run beside the files.
    """
    files = sorted(workspace.recipes.glob("*.yaml"))
    recipes = [*(recipe for path in files if (recipe := _loaded(path)) is not None), *approved]
    stages = dict.fromkeys(stage for recipe in recipes for stage in recipe.stage_ids)
    components = dict.fromkeys(name for recipe in recipes for name in Envelope.of(recipe).keys)
    additives = dict.fromkeys(
        one.component for recipe in recipes for stage in recipe.stages for one in stage.medium.additives
    )
    return {
        "recipe": (*(path.stem for path in files), *dict.fromkeys(one.revision_id for one in approved)),
        "stage": tuple(stages),
        "component": tuple(components),
        "leave_out": tuple(additives),
        "target_line": tuple(panel()),
        "bench": tuple(sorted(path.stem for path in workspace.devices.glob("*.yaml"))),
    }


def stages(workspace: Workspace, approved: Sequence[Recipe] = ()) -> Stages:
    """The stages of each recipe that may be chosen; a form refuses those of another one at the field.

    Args:
        workspace: folder with the recipes.
        approved: revisions that may run beside the files.
    """
    files = {path.stem: _loaded(path) for path in sorted(workspace.recipes.glob("*.yaml"))}
    found = {name: recipe for name, recipe in files.items() if recipe is not None}
    return {name: one.stage_ids for name, one in {**found, **{one.revision_id: one for one in approved}}.items()}


def _loaded(path: Path) -> Recipe | None:
    try:
        return load_recipe(path)
    except NkloopError:
        return None


def offering(schema: Mapping[str, Any], offered: Choices, of_recipe: Stages = MappingProxyType({})) -> dict[str, Any]:
    """The parameter schema of a deployment, with a list to choose from where a field has one.

    A field that may be empty keeps the empty choice; a default is offered even where the workspace lacks it, so that
    the form as it opens is answered by the flow and not by a schema. A list cannot follow another field on the pages of
    Prefect, so the one of stages has those of all recipes; a stage that the recipe has not is refused at its field.

    Args:
        schema: of the flow.
        offered: what each field offers.
        of_recipe: stages of each recipe.
    """
    definitions = {
        name: _definition(definition, offered, of_recipe) if "properties" in definition else definition
        for name, definition in schema.get("definitions", {}).items()
    }
    return {**schema, "definitions": definitions}


def _definition(definition: Mapping[str, Any], offered: Choices, of_recipe: Stages) -> dict[str, Any]:
    fields = definition["properties"]
    made = {**definition, "properties": {name: _field(name, field, offered) for name, field in fields.items()}}
    if not {"recipe", "stage"} <= set(fields):
        return made
    stage = made["properties"]["stage"]
    if told := _stages_told(of_recipe):
        made["properties"]["stage"] = {**stage, "description": f"{stage['description']}. {told}"}
    return _also(made, _stage_of_recipe(of_recipe, fields["recipe"].get("default")))


def _stages_told(of_recipe: Stages) -> str:
    """`ucb-nk: expansion_i, expansion_ii` for each recipe file; a revision has the stages of its file as a rule."""
    own = {name: stages for name, stages in of_recipe.items() if "@" not in name}
    return "; ".join(f"{name}: {', '.join(stages)}" for name, stages in own.items())


def _stage_of_recipe(of_recipe: Stages, usual: str | None) -> dict[str, Any]:
    """JSON Schema that holds the stage of a form to its recipe; `usual` is the recipe of a form that names none."""
    schema: dict[str, Any] = {}
    for recipe, own in of_recipe.items():
        named: dict[str, Any] = {"properties": {"recipe": {"const": recipe}}}
        if recipe != usual:
            named["required"] = ["recipe"]
        held = {"properties": {"stage": {"enum": list(own)}}}
        schema = {"if": named, "then": held, **({"else": schema} if schema else {})}
    return schema


def _also(schema: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A schema with further alternatives, below those it has: Prefect takes a list of them for kinds of form."""
    if not more or "if" not in schema:
        return {**schema, **more}
    return {**schema, "then": _also(schema["then"], more), "else": _also(schema.get("else", {}), more)}


def _field(name: str, field: Mapping[str, Any], offered: Choices) -> dict[str, Any]:
    values = offered.get(name)
    if values and field.get("type") == "array" and field.get("items", {}).get("type") == "string":
        return {**field, "items": {**field["items"], "enum": list(values)}}
    if not values or field.get("type") != "string":
        return dict(field)
    default = field.get("default")
    first = () if default is None or default in values else (default,)
    return {**field, "enum": [*first, *values]}


async def keep_offered(workspace: Workspace, records: Records, forms: Forms) -> None:
    """Write the choices into the forms of the deployments, and again whenever these or those change; until cancelled.

    Args:
        workspace: that is served.
        records: hold the revisions that may run beside the files.
        forms: of the deployments.
    """
    from prefect import get_client

    told = ""
    async with get_client() as client:
        while True:
            try:
                approved = [one for one in records.campaigns.revisions() if one.revision.status in _RUNNABLE]
                with suppress(httpx.HTTPError, PrefectException):
                    await offer(client, choices(workspace, approved), forms, stages(workspace, approved))
                told = ""
            except (
                NkloopError,
                OSError,
                ValueError,
            ) as error:  # nobody awaits this loop; a file that is right again is offered again
                if told != (told := f"{type(error).__name__}: {error}"):
                    logger.warning("the lists of the forms stay as they are: %s", told)
            await asyncio.sleep(LOOK_SECONDS)


async def offer(client: Any, offered: Choices, forms: Forms, of_recipe: Stages = MappingProxyType({})) -> None:
    """Write choices into the forms that show others; a deployment that is not there yet has its turn at the next look.

    The form is the one of its flow and never what the server shows: that may be of a service before this one.

    Raises:
        PrefectException, httpx.HTTPError: the server did not answer, or refused.
    """
    from prefect.client.schemas.actions import DeploymentUpdate

    for found in await client.read_deployments():
        if found.name not in forms:
            continue
        wanted = offering(forms[found.name], offered, of_recipe)
        if wanted != found.parameter_openapi_schema:
            await client.update_deployment(found.id, DeploymentUpdate(parameter_openapi_schema=wanted))
            logger.info("the form of %s offers what the workspace has now", found.name)
