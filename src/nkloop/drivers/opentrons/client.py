"""HTTP to one robot: reads may be repeated, nothing else ever is before the robot was asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from nkloop.drivers.interfaces import Fence, unguarded
from nkloop.drivers.opentrons.access import Account, account_from
from nkloop.drivers.opentrons.refusals import remedy_for, remedy_unreachable, told_by
from nkloop.errors import DeviceError, DeviceUnreachableError, RunForgottenError, without_password

Json = dict[str, Any]
FormFile = tuple[str, tuple[str, bytes, str]]
"""Form field, then file name, content and media type."""
API_VERSION = "4"
"""Value of the `Opentrons-Version` header, without which a robot answers nothing. Newer robots still speak it."""
NO_RUN_PATH = "/runs/nkloop-asks-whether-it-may"
"""A run that no robot has: to ask for a change of it tells whether changes are allowed, and changes nothing."""
IDLE_SECONDS = 2.0
"""An idle connection is given up before the server does so after 5 s: a request sent just then would be lost."""
READ_ATTEMPTS = 3
"""How often a read is tried: a dead connection is noticed only by using it, and a busy robot fails now and then."""
RETRY_SECONDS = 0.3
"""Pause before the last attempt to read."""


class ConnectionLostError(DeviceUnreachableError):
    """The connection broke after a request may have arrived; what became of it must be asked."""


class ServerFailedError(DeviceUnreachableError):
    """The robot's server answered with a fault of its own (5xx); what became of the request must be asked."""


UNCLEAR = (ConnectionLostError, ServerFailedError)
"""After these nobody knows whether the robot has acted."""


class RobotClient:
    """Requests to one robot in the shape its server expects."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        seconds: float = 30.0,
        account: Account | None = None,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            name: how people call the robot.
            url: its address.
            seconds: longest wait for one answer.
            account: who nkloop is there, where the robot asks for it.
            ca_file: certificate of the robot, for an address with https.
            transport: replaces the network in tests.
        """
        self.name = name
        self.url = url.rstrip("/")
        self.account = account
        self.fence: Fence = unguarded
        """Called right before every request that changes the robot, also before one that is sent again."""
        self._seconds = seconds
        self._verify = True if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
        self._transport = transport
        self._http = self._connected()

    async def get(self, path: str, **params: Any) -> Json:
        """Read; repeated when the connection turns out to be dead (robots drop them after a 500) or the server fails.

        Raises:
            DeviceUnreachableError: no answer.
            RunForgottenError: the robot does not have the run.
            DeviceError: the robot refused; the error carries its words.
        """
        return self._content(await self._read(path, params), "GET", path)

    async def find(self, path: str) -> Json | None:
        """Read something the robot may not have; None when it says 403 or 404.

        Raises:
            DeviceUnreachableError: no answer.
            DeviceError: the robot refused in another way.
        """
        answer = await self._read(path, {})
        return None if answer.status_code in {403, 404} else self._content(answer, "GET", path)

    async def download(self, path: str) -> bytes:
        """Read a file as it is.

        Raises:
            DeviceUnreachableError: no answer.
            DeviceError: the robot refused.
        """
        answer = await self._read(path, {})
        if not answer.is_success:
            self._content(answer, "GET", path)
        return answer.content

    async def search(self, path: str, data: Json) -> Json | None:
        """Ask with a body; the method is POST, but nothing is changed. None when the robot has no such search.

        Raises:
            DeviceUnreachableError: no answer.
            DeviceError: the robot refused in another way.
        """
        content = {"json": {"data": data}}
        try:
            answer = await self._sent("POST", path, content)
        except ConnectionLostError:
            answer = await self._sent("POST", path, content)
        return None if answer.status_code in {404, 405} else self._content(answer, "POST", path)

    async def post(self, path: str, data: Json) -> Json:
        """Send once.

        Raises:
            ConnectionLostError: it may have arrived.
            ServerFailedError: it arrived; whether the robot acted must be asked.
            DeviceUnreachableError: it did not arrive.
            StaleHolderError: another process holds the robot; nothing was sent.
            DeviceError: the robot refused; the error carries its words.
        """
        return await self._send("POST", path, json={"data": data})

    async def patch(self, path: str, data: Json) -> Json:
        """Change a part, once; raises as `post`."""
        return await self._send("PATCH", path, json={"data": data})

    async def put(self, path: str, data: Json) -> Json:
        """Set something as a whole, once; raises as `post`."""
        return await self._send("PUT", path, json={"data": data})

    async def upload(self, path: str, files: list[FormFile], fields: Mapping[str, str]) -> Json:
        """Send files once, as a form; raises as `post`."""
        return await self._send("POST", path, files=files, data=dict(fields))

    async def permission(self) -> tuple[int, str, str]:
        """How the robot answers who would change something: status, its words, what to do.

        Asked with a change of a run that does not exist, so that nothing is changed: 404 means that it may be.

        Raises:
            DeviceUnreachableError: no answer.
            DeviceError: the robot does not take the account.
        """
        content = {"json": {"data": {"current": False}}}
        try:
            answer = await self._sent("PATCH", NO_RUN_PATH, content)
        except ConnectionLostError:
            answer = await self._sent("PATCH", NO_RUN_PATH, content)
        if answer.status_code >= 500:
            await self._reconnect()
        kind, words = told_by(answer)
        return answer.status_code, words, remedy_for(kind, answer.status_code)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _connected(self) -> httpx.AsyncClient:
        # Robots stand in the lab's own network: a proxy of the environment would only be in the way.
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Opentrons-Version": API_VERSION},
            timeout=httpx.Timeout(self._seconds, connect=10.0),
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
            transport=self._transport,
            verify=self._verify,
            trust_env=False,
        )

    async def _read(self, path: str, params: Json) -> httpx.Response:
        for attempt in range(1, READ_ATTEMPTS):
            try:
                answer = await self._http.get(path, params=params)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                return answer
            if attempt == READ_ATTEMPTS - 1:
                await asyncio.sleep(RETRY_SECONDS)
        try:
            return await self._http.get(path, params=params)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def _send(self, method: str, path: str, **content: Any) -> Json:
        answer = await self._sent(method, path, content, self.fence)
        if answer.status_code == 401 and self.account is not None:
            # A request refused for its token has changed nothing; the token had ended on the way.
            self.account.forget()
            answer = await self._sent(method, path, content, self.fence)
        if answer.status_code >= 500:
            await self._reconnect()
        return self._content(answer, method, path)

    async def _sent(self, method: str, path: str, content: Json, fence: Fence = unguarded) -> httpx.Response:
        headers: dict[str, str] = {}
        if self.account is not None:
            if self.account.is_stale:
                await self.account.renew(self._http, f"{self.name} at {without_password(self.url)}")
            headers = self.account.headers()
        fence()  # after the token: somebody else may take the robot over while this waits for one
        try:
            return await self._http.request(method, path, headers=headers, **content)
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error
        except httpx.HTTPError as error:
            raise ConnectionLostError(
                f"the connection broke during {method} {path} ({type(error).__name__})",
                where=f"{self.name} at {without_password(self.url)}",
                remedy="check cable and network; the request is not sent again before the robot was asked",
            ) from error

    async def _reconnect(self) -> None:
        """Give up every connection: the robot drops its side after a 5xx, and the next POST would be lost in it."""
        if self._transport is None:
            await self._http.aclose()
            self._http = self._connected()

    def _content(self, answer: httpx.Response, method: str, path: str) -> Json:
        if answer.is_success:
            try:
                content = answer.json()
            except ValueError as error:
                raise self._refused(
                    DeviceError, "no JSON", f"{method} {path}", "check that the address is a robot's"
                ) from error
            return content if isinstance(content, dict) else {"data": content}
        kind, words = told_by(answer)
        error_class: type[DeviceError] = DeviceError
        if answer.status_code >= 500:
            error_class = ServerFailedError
        elif kind == "RunNotFound":
            error_class = RunForgottenError
        remedy = remedy_for(kind, answer.status_code)
        raise self._refused(error_class, f"{words} (HTTP {answer.status_code})", f"{method} {path}", remedy)

    def _refused(self, kind: type[DeviceError], words: str, request: str, remedy: str) -> DeviceError:
        return kind(f"the robot answered: {words}", where=f"{self.name}, {request}", remedy=remedy)

    def _unreachable(self, error: httpx.HTTPError) -> DeviceUnreachableError:
        return DeviceUnreachableError(
            f"the robot does not answer ({type(error).__name__}: {error})",
            where=f"{self.name} at {without_password(self.url)}",
            remedy=remedy_unreachable(self.url),
        )


class ThroughClient:
    """A device behind a robot's server: whoever fences it fences its requests."""

    _client: RobotClient

    @property
    def fence(self) -> Fence:
        """Called right before every request that changes the robot."""
        return self._client.fence

    @fence.setter
    def fence(self, fence: Fence) -> None:
        self._client.fence = fence


def robot_client(
    name: str,
    url: str,
    *,
    seconds: float = 30.0,
    account: dict[str, str] | None = None,
    ca_file: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> RobotClient:
    """A client made from the settings of a bench file.

    Raises:
        BenchError: the account is incomplete, or its password would travel in the open.
    """
    return RobotClient(
        name,
        url,
        seconds=seconds,
        account=account_from(account, url, name),
        ca_file=Path(ca_file) if ca_file else None,
        transport=transport,
    )
