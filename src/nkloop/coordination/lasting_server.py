"""A Prefect server on a database that stays, whose writers wait for each other.

On SQLite Prefect begins a transaction as a reader and makes it a writer at its first write. When another one has
written in between, SQLite refuses that at once, whatever its timeout, and the server answers 503: a press on Resume is
lost, a launch fails. A transaction that is a writer from its beginning waits for its turn instead, up to the 60 s that
Prefect sets for every connection (decision 39).
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from nkloop.coordination.pattern_words import say_patterns_in_words


def create_app() -> Any:
    """Prefect's own application."""
    from prefect.server.api.server import create_app as prefects_own

    say_patterns_in_words()
    take_turns()
    return prefects_own()


def take_turns() -> None:
    """Have every transaction on SQLite begin as a writer; what only reads outside of one is left alone."""
    from prefect.server.database.configurations import AioSqliteConfiguration

    begin = AioSqliteConfiguration.begin_transaction

    def as_writer(self: Any, session: Any, with_for_update: bool = True) -> AbstractAsyncContextManager[Any]:
        return begin(self, session, with_for_update=True)

    AioSqliteConfiguration.begin_transaction = as_writer  # type: ignore[method-assign,assignment]
