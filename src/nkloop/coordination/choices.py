"""What the forms offer to choose from: recipes, stages, components, additives, lines and benches of the workspace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
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


def _loaded(path: Path) -> Recipe | None:
    try:
        return load_recipe(path)
    except NkloopError:
        return None


def offering(schema: Mapping[str, Any], offered: Choices) -> dict[str, Any]:
    """The parameter schema of a deployment, with a list to choose from where a field has one.

    A field that may be empty keeps the empty choice; a default is offered even where the workspace lacks it, so that
    the form as it opens is answered by the flow and not by a schema.
    """
    definitions = {
        name: {**definition, "properties": {k: _field(k, v, offered) for k, v in definition["properties"].items()}}
        if "properties" in definition
        else definition
        for name, definition in schema.get("definitions", {}).items()
    }
    return {**schema, "definitions": definitions}


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
                    await offer(client, choices(workspace, approved), forms)
                told = ""
            except (
                NkloopError,
                OSError,
                ValueError,
            ) as error:  # nobody awaits this loop; a file that is right again is offered again
                if told != (told := f"{type(error).__name__}: {error}"):
                    logger.warning("the lists of the forms stay as they are: %s", told)
            await asyncio.sleep(LOOK_SECONDS)


async def offer(client: Any, offered: Choices, forms: Forms) -> None:
    """Write choices into the forms that show others; a deployment that is not there yet has its turn at the next look.

    The form is the one of its flow and never what the server shows: that may be of a service before this one.

    Raises:
        PrefectException, httpx.HTTPError: the server did not answer, or refused.
    """
    from prefect.client.schemas.actions import DeploymentUpdate

    for found in await client.read_deployments():
        if found.name not in forms:
            continue
        wanted = offering(forms[found.name], offered)
        if wanted != found.parameter_openapi_schema:
            await client.update_deployment(found.id, DeploymentUpdate(parameter_openapi_schema=wanted))
            logger.info("the form of %s offers what the workspace has now", found.name)
