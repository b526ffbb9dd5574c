"""How the driver-side classes talk to the virtual bench."""

from __future__ import annotations

from typing import Any

import httpx

from nkloop.errors import DeviceError, DeviceUnreachableError, words_of

TIMEOUT_SECONDS = 60.0
IDLE_SECONDS = 2.0
"""An idle connection is given up before the server does so after 5 s: a request sent just then would be lost."""


class WorldClient:
    """One connection to the `/virtual` routes. Nothing is ever sent twice."""

    def __init__(self, name: str, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`name` is the device this stands for; `transport` replaces the network in tests."""
        self._name = name
        self._url = url.rstrip("/")
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def get(self, path: str) -> Any:
        """Answer of a GET route.

        Raises:
            DeviceUnreachableError: the virtual bench does not answer.
            DeviceError: it refused.
        """
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: Any) -> Any:
        """Answer of a POST route; raises as `get` does."""
        return await self._ask("POST", path, body)

    async def close(self) -> None:
        """Release the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, method: str, path: str, body: Any) -> Any:
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
