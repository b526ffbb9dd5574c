"""Flow runs that are paused until a person answers on their page, seen from outside of Prefect."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from nkloop.drivers.operators import heading
from nkloop.errors import DeviceUnreachableError
from nkloop.frozen import FrozenModel

ADDRESS_FILE = "serve.url"
"""In the state folder while `nkloop serve` runs: the address of its Prefect server."""
_TAG = "nkloop"
_SECONDS = 5.0
_WAITS = (0.2, 0.5, 1.0, 2.0)
"""Seconds between questions to a server that is busy."""


class Pause(FrozenModel):
    """One flow run that waits for a person."""

    flow_run: str
    """Name of the flow run, as its page has it."""
    asked: str
    """What is asked, in a line."""
    since: datetime
    until: datetime | None
    """When it gives up; None where Prefect tells no end."""
    page: str
    """Address at which it is answered, with *Resume*."""


def prefect_address(state: Path) -> str:
    """Address of the Prefect server of a workspace: `PREFECT_API_URL`, or the one `nkloop serve` left; else empty."""
    if address := os.environ.get("PREFECT_API_URL", ""):
        return address.rstrip("/")
    try:
        told = (state / ADDRESS_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return f"{told}/api" if told else ""


def pauses(api: str, bench: str | None = None) -> tuple[Pause, ...]:
    """Flow runs of nkloop that wait for a person, the longest waiting first.

    Args:
        api: address of the Prefect interface, with `/api`.
        bench: only flows tagged with this bench.

    Raises:
        DeviceUnreachableError: the server does not answer.
    """
    tags = [_TAG, *([bench] if bench else [])]
    wanted = {"state": {"type": {"any_": ["PAUSED"]}}, "tags": {"all_": tags}}
    try:
        with httpx.Client(base_url=api, timeout=_SECONDS, verify=False, trust_env=False) as client:
            answer = _asked(client, "POST", "/flow_runs/filter", {"flow_runs": wanted}).raise_for_status()
            found = [_pause(client, run, api.removesuffix("/api")) for run in answer.json()]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise _unanswered(error, api) from error
    return tuple(sorted(found, key=lambda pause: pause.since))


def _asked(client: httpx.Client, method: str, path: str, body: Any = None) -> httpx.Response:
    """The answer to a question that changes nothing, asked again for a while when the server is busy."""
    for wait in _WAITS:
        with suppress(httpx.RemoteProtocolError, httpx.ReadError):  # how a busy server ends connections
            answer = client.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
        time.sleep(wait)
    return client.request(method, path, json=body)


def _unanswered(error: Exception, api: str) -> DeviceUnreachableError:
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return DeviceUnreachableError(
            "the Prefect server is busy (503, its database is locked)",
            where=api,
            remedy="ask again in a few seconds; a Prefect that often answers so wants PostgreSQL",
        )
    return DeviceUnreachableError(
        f"the Prefect server does not answer: {type(error).__name__}",
        where=api,
        remedy="start it with `nkloop serve`, or correct PREFECT_API_URL",
    )


def _pause(client: httpx.Client, run: dict[str, Any], server: str) -> Pause:
    details = run["state"]["state_details"]
    description = (details.get("run_input_keyset") or {}).get("description", "")
    told = _asked(client, "GET", f"/flow_runs/{run['id']}/input/{description}") if description else None
    text = str(told.json()) if told is not None and told.is_success else ""
    return Pause(
        flow_run=run["name"],
        asked=heading(text),
        since=run["state"]["timestamp"],
        until=details.get("pause_timeout"),
        page=f"{server}/runs/flow-run/{run['id']}",
    )
