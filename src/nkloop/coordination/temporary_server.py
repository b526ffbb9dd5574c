"""A Prefect server that lives as long as one command, with tables made at once.

Prefect makes the tables of a new database by every migration it ever had and registers block types for its pages: two
thirds of the processor time of a start, for a database that is thrown away and pages that nobody opens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nkloop.coordination.pattern_words import say_patterns_in_words


def create_app() -> Any:
    """Prefect's own application; its settings must keep it from migrating (`coordination.settings.TEMPORARY`)."""
    from prefect.server.api.server import create_app as prefects_own

    say_patterns_in_words()
    app = prefects_own()
    begin = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: Any) -> AsyncIterator[Any]:
        await make_tables()
        async with begin(served) as state:
            yield state

    app.router.lifespan_context = lifespan
    return app


async def make_tables() -> None:
    """Make every table and index of Prefect's newest version in an empty database."""
    from prefect.server.database import provide_database_interface

    database = provide_database_interface()
    tables = database.Base.metadata
    for table in tables.sorted_tables:
        named = {index.name: index for index in table.indexes}  # some are declared twice, under one name
        table.indexes.intersection_update(named.values())
    engine = await database.engine()
    async with engine.begin() as connection:
        await connection.run_sync(tables.create_all)
