"""How the driver-side classes talk to the virtual bench."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from nkloop.errors import BenchError, DeviceError, DeviceUnreachableError, words_of

TIMEOUT_SECONDS = 60.0
IDLE_SECONDS = 2.0
"""An idle connection is given up before the server does so after 5 s: a request sent just then would be lost."""


class WorldClient:
    """One connection to the `/virtual` routes. Nothing is ever sent twice."""

    def __init__(
        self,
        name: str,
        url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        workspace: Path | None = None,
    ) -> None:
        """Contact nobody yet.

        Args:
            name: the device this stands for.
            url: address of the virtual bench.
            transport: replaces the network in tests.
            workspace: folder of the workspace that asks; a bench of another one is refused, None takes any.
        """
        self._workspace = workspace
        self._name = name
        self._url = url.rstrip("/")
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def get(self, path: str) -> Any:
        """Answer of a GET route.

        Raises:
            BenchError: the virtual bench is that of another workspace.
            DeviceUnreachableError: it does not answer.
            DeviceError: it refused.
        """
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: Any) -> Any:
        """Answer of a POST route; raises as `get` does."""
        return await self._ask("POST", path, body)

    async def put(self, path: str, body: Any) -> Any:
        """Answer of a PUT route; raises as `get` does."""
        return await self._ask("PUT", path, body)

    async def require_own(self) -> None:
        """Refuse the bench of another workspace: its wells, tips and runs are not those of our records.

        Raises:
            BenchError: it belongs to another workspace; both are named.
            DeviceUnreachableError: the virtual bench does not answer.
        """
        mine = self._workspace
        if mine is None:
            return
        _require_same(await self._answer("GET", "/home", None), mine, self._url)
        self._workspace = None

    async def close(self) -> None:
        """Release the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, method: str, path: str, body: Any) -> Any:
        await self.require_own()
        return await self._answer(method, path, body)

    async def _answer(self, method: str, path: str, body: Any) -> Any:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._url,
                timeout=TIMEOUT_SECONDS,
                limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
                transport=self._transport,
                verify=self._url.startswith("https:"),  # to load certificates takes longer than everything else here
            )
        try:
            response = await self._client.request(method, f"/virtual{path}", json=body)
        except httpx.HTTPError as error:
            raise DeviceUnreachableError(
                f"the virtual bench at {self._url} does not answer: {words_of(error)}",
                where=self._name,
                remedy="start it with `nkloop serve` or `nkloop virtual-robot`",
            ) from error
        if response.is_error:
            raise _refusal(response, self._name)
        return response.json()


def _require_same(home: Mapping[str, str], workspace: Path, url: str) -> None:
    theirs, mine = home.get("workspace", ""), workspace.resolve()
    if not theirs or Path(theirs).resolve() == mine:
        return
    ledger = f", its acts stand in {home['ledger']}" if home.get("ledger") else ""
    raise BenchError(
        f"the virtual bench at {url} belongs to workspace {theirs} (bench {home.get('bench')}{ledger}), this is "
        f"workspace {mine}",
        where="NKLOOP_VIRTUAL_URL",
        remedy=f"unset NKLOOP_VIRTUAL_URL, so that a bench of {mine} is started, or work there: --workspace {theirs}",
    )


def _refusal(response: httpx.Response, name: str) -> DeviceError:
    try:
        body = response.json()
    except ValueError:
        return DeviceError(f"the virtual bench answered {response.status_code}", where=name)
    problems = body.get("problems") if isinstance(body, dict) else None
    first = problems[0] if problems else {}
    more = f" (and {len(problems) - 1} more)" if problems and len(problems) > 1 else ""
    place = f"{name}, {first['where']}" if first.get("where") else name
    message = first.get("message") or f"the virtual bench answered {response.status_code}: {body}"
    return DeviceError(f"{message}{more}", where=place, remedy=first.get("remedy", ""))
