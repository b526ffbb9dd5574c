"""What a flow shows in the Prefect user interface: tables, progress, pictures, links."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nkloop.coordination.flow_log import speak_in_runs
from nkloop.coordination.plain_errors import no_tracebacks
from nkloop.coordination.report_pages import report_link

# every flow shows something, so that every process that runs one comes by here
no_tracebacks()
speak_in_runs()


def key(*parts: str) -> str:
    """An artifact key: lower-case letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


async def show_table(name: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """Show rows as a table artifact; the same key in later runs makes a history."""
    from prefect.artifacts import acreate_table_artifact

    await acreate_table_artifact(table=[dict(row) for row in rows], key=key(name), description=description)


async def show_markdown(name: str, markdown: str, description: str) -> None:
    """Show Markdown; pictures travel inside it as data URIs."""
    from prefect.artifacts import acreate_markdown_artifact

    await acreate_markdown_artifact(markdown=markdown, key=key(name), description=description)


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

    await acreate_link_artifact(link=link, link_text=text, key=key(name), description=description)
