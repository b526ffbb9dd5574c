"""The Prefect settings this project ships; each answers a failure seen without it."""

from __future__ import annotations

from pathlib import Path

import certifi

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

SHIPPED = {
    # Leases kept in memory are lost at a server restart: the flow is killed in mid-work and the lock stays taken.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # A dead flow process is noticed after missed heartbeats; the default of 180 s is too slow for a robot.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_RUNNER_POLL_FREQUENCY": "2",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    # One commit for many task runs: single commits collide on SQLite and cost the client two seconds each.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "2",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
}
"""For every server and every process that runs a flow."""

TEMPORARY = {
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
        "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true&check_same_thread=false"
    ),
    # `temporary_server` makes the tables; the pages that block types are registered for are not served.
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "",
}
"""On top, for a server that lives as long as one command and that nobody opens in a browser."""


def environment(home: Path, api_url: str, *, temporary: bool = False) -> dict[str, str]:
    """Environment of a Prefect server or client that keeps everything of its own in `home`."""
    settings = {**SHIPPED, "PREFECT_HOME": str(home), "PREFECT_API_URL": api_url}
    if api_url.startswith("http:"):
        settings["PREFECT_API_SSL_CERT_FILE"] = str(_one_certificate(home))
    return {**settings, **TEMPORARY} if temporary else settings


def _one_certificate(home: Path) -> Path:
    """A file with a single certificate, for clients that talk plain HTTP and need none.

    Prefect makes a client for each lock and each flow, and each loads all certificates in its file first: 50 ms of
    processor time for those of the machine, 1 ms for one. No setting keeps it from loading any.
    """
    path = home / "one-certificate.pem"
    every = certifi.contents()
    home.mkdir(parents=True, exist_ok=True)
    path.write_text(every[every.index(_BEGIN) : every.index(_END)] + _END + "\n", encoding="ascii")
    return path
