"""What a flow shows in the Prefect user interface: tables, progress, pictures, links."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from nkloop.coordination.flow_log import speak_in_runs
from nkloop.coordination.plain_errors import no_tracebacks
from nkloop.coordination.report_pages import report_link
from nkloop.reports.tables import is_wide, rows_as_list
from nkloop.runs.session import session_here

# every flow shows something, so that every process that runs one comes by here
no_tracebacks()
speak_in_runs()


def key(*parts: str) -> str:
    """An artifact key: lower-case letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


SIMULATED = "simulated bench"


def described(description: str) -> str:
    """A description that says so where the bench of the session around this call is simulated."""
    return f"{description} ({SIMULATED})" if _is_simulated() else description


def _is_simulated() -> bool:
    session = session_here()
    return session is not None and session.bench_file.simulated


def _marked(markdown: str) -> str:
    """The same at the head of a text, which may be read without its description."""
    head = "**Simulated bench:** no real robot moves, and the biology is made up.\n\n" if _is_simulated() else ""
    return f"{head}{markdown}"


async def show_table(name: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """Show rows as a table artifact, or as a list where a table would be cut off; the same key makes a history."""
    from prefect.artifacts import acreate_table_artifact

    if is_wide(rows):
        await show_markdown(name, rows_as_list(rows), description)
        return
    table = [dict(row) for row in rows]
    await acreate_table_artifact(table=table, key=key(name), description=described(description))


async def show_markdown(name: str, markdown: str, description: str) -> UUID:
    """Show Markdown; pictures travel inside it as data URIs. Tells the artifact, for `renew_markdown`."""
    from prefect.artifacts import acreate_markdown_artifact

    return await acreate_markdown_artifact(
        markdown=_marked(markdown), key=key(name), description=described(description)
    )


async def renew_markdown(artifact: UUID, markdown: str, description: str) -> None:
    """Put another text into an artifact that is shown already."""
    from prefect import get_client
    from prefect.client.schemas.actions import ArtifactUpdate

    async with get_client() as client:
        told = ArtifactUpdate(data=_marked(markdown), description=described(description))
        await client.update_artifact(artifact, told)


async def show_report(name: str, path: Path, description: str) -> None:
    """Show where a report is: a link where `nkloop serve` hosts the reports, otherwise its path as text."""
    link = report_link(path)
    if link:
        await show_link(name, link, path.name, description)
    else:
        await show_markdown(name, f"`{path}`", description)


async def show_link(name: str, link: str, text: str, description: str) -> None:
    """Show a link."""
    from prefect.artifacts import acreate_link_artifact

    await acreate_link_artifact(link=link, link_text=text, key=key(name), description=described(description))
