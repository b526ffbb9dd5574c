"""A Prefect server as a process of one scene: forked from a warm one, with a database in a folder, so it may be killed.

It is the server `nkloop serve` starts, without its pages and without the services that neither a lock nor a flow needs.
Its tables are made once; every scene begins with a copy.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

from nkloop.coordination.settings import environment

DATABASE = "prefect.db"
SHORTER = {
    # Of a client whose server is away; the first wait is two seconds, the server is back after one.
    "PREFECT_CLIENT_RETRY_JITTER_FACTOR": "0",
    # A runner asks for work, and the server for leases that have run out, this often.
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    # Nobody reads the logs, and the last of them are waited for where the server is away.
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}
"""Waits nobody learns anything from."""
LEASE = timedelta(seconds=4)
"""The lease of a flow that was killed keeps the next one waiting; Prefect allows none below a minute."""
_BUILT: list[Any] = []


def settings_of(home: Path, port: int) -> dict[str, str]:
    """Environment of a server that keeps its database in `home`, and of its clients."""
    settings = environment(home, f"http://127.0.0.1:{port}/api", temporary=True)
    settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{home / DATABASE}"
    return {**settings, **SHORTER}


def warm_prefect(template: Path) -> None:
    """Load Prefect and build its application once, for all processes forked later; make its tables in `template`."""
    os.environ.update(settings_of(template, 1))
    import aiosqlite  # noqa: F401 - loaded here and not in every server
    import uvicorn.protocols.websockets.auto  # noqa: F401
    from prefect.server.api.server import create_app

    import crash_lab.in_prefect  # noqa: F401

    _BUILT.append(create_app())
    making = multiprocessing.get_context("fork").Process(target=_make_tables)
    making.start()
    making.join()
    with sqlite3.connect(template / DATABASE) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _make_tables() -> None:
    from nkloop.coordination.temporary_server import make_tables

    asyncio.run(make_tables())
    os._exit(0)  # the thread of the database would be waited for


def new_home(template: Path, home: Path) -> None:
    """The folder of a server that has never run."""
    home.mkdir()
    shutil.copy(template / DATABASE, home / DATABASE)


def enter(home: Path, port: int) -> None:
    """Use this server in this process; all of Prefect reads its settings anew."""
    import prefect.context

    os.environ.update(settings_of(home, port))
    prefect.context.refresh_global_settings_context()


def run_server(home: Path, port: int) -> None:
    """Serve until terminated or killed."""
    import uvicorn

    enter(home, port)
    _shorten_leases()
    uvicorn.run(_BUILT[0], host="127.0.0.1", port=port, log_level="warning")


def _shorten_leases() -> None:
    from prefect.server.concurrency.lease_storage import filesystem

    kept = filesystem.ConcurrencyLeaseStorage
    create, renew = kept.create_lease, kept.renew_lease

    async def created(self: Any, resource_ids: Any, ttl: timedelta, metadata: Any = None) -> Any:
        return await create(self, resource_ids, min(ttl, LEASE), metadata)

    async def renewed(self: Any, lease_id: Any, ttl: timedelta) -> Any:
        return await renew(self, lease_id, min(ttl, LEASE))  # a client renews at once, and then every 45 s

    kept.create_lease, kept.renew_lease = created, renewed  # type: ignore[method-assign]
