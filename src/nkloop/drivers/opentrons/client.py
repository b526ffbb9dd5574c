"""HTTP to one robot: reads may be repeated, nothing else ever is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from nkloop.errors import DeviceError, DeviceUnreachableError

Json = dict[str, Any]
FormFile = tuple[str, tuple[str, bytes, str]]
"""Form field, then file name, content and media type."""
API_VERSION = "4"
"""Value of the `Opentrons-Version` header, without which a robot answers nothing. Newer robots still speak it."""
IDLE_SECONDS = 2.0
"""An idle connection is given up before the server does so after 5 s: a request sent just then would be lost."""
_REMEDIES = {
    "RunAlreadyActive": "let the run on the robot end or cancel it on the touch screen",
    "RunNotIdle": "let the run on the robot end or cancel it on the touch screen",
    "RunActionNotAllowed": "look at the robot: close door and windows, release the emergency stop",
    "ProtocolFilesInvalid": "correct the protocol; `nkloop check` shows the line",
    "ProtocolRobotTypeMismatch": "use a bench with the robot the protocol was written for",
    "FileIdNotFound": "start the run again: the robot has dropped its files",
    "RunNotFound": "the robot has dropped the run; reconcile it from the journal",
    "RunSignoffRequired": "sign the finished run on the robot first",
}
"""What to do, by the error id the robot sends."""


class ConnectionLostError(DeviceUnreachableError):
    """The connection broke after a request may have arrived; what became of it must be asked."""


class RobotClient:
    """Requests to one robot in the shape its server expects."""

    def __init__(
        self, name: str, url: str, *, seconds: float = 30.0, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.name = name
        self.url = url.rstrip("/")
        # Robots stand in the lab's own network: a proxy of the environment would only be in the way.
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Opentrons-Version": API_VERSION},
            timeout=httpx.Timeout(seconds, connect=10.0),
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
            transport=transport,
            trust_env=False,
        )

    async def get(self, path: str, **params: Any) -> Json:
        """Read; repeated once when a kept-alive connection turns out to be dead (robots drop them after a 500).

        Raises:
            DeviceUnreachableError: no answer.
            DeviceError: the robot refused; the error carries its words.
        """
        answer = await self._read(path, params)
        return self._content(answer, "GET", path)

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

    async def post(self, path: str, data: Json) -> Json:
        """Send once.

        Raises:
            ConnectionLostError: it may have arrived.
            DeviceUnreachableError: it did not arrive.
            DeviceError: the robot refused; the error carries its words.
        """
        return await self._send(path, json={"data": data})

    async def upload(self, path: str, files: list[FormFile], fields: Mapping[str, str]) -> Json:
        """Send files once, as a form. Uploading the same content again gives the same id, so a loss does no harm.

        Raises:
            ConnectionLostError: it may have arrived.
            DeviceError: the robot refused; the error carries its words.
        """
        return await self._send(path, files=files, data=dict(fields))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _read(self, path: str, params: Json) -> httpx.Response:
        try:
            try:
                return await self._http.get(path, params=params)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                return await self._http.get(path, params=params)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def _send(self, path: str, **content: Any) -> Json:
        try:
            answer = await self._http.post(path, **content)
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error
        except httpx.HTTPError as error:
            raise ConnectionLostError(
                f"the connection broke during POST {path} ({type(error).__name__})",
                where=f"{self.name} at {self.url}",
                remedy="check cable and network; the request is not sent again before the robot was asked",
            ) from error
        return self._content(answer, "POST", path)

    def _content(self, answer: httpx.Response, method: str, path: str) -> Json:
        if answer.is_success:
            try:
                content = answer.json()
            except ValueError as error:
                raise self._refused("no JSON", f"{method} {path}", "check that the address is a robot's") from error
            return content if isinstance(content, dict) else {"data": content}
        kind, words = _told(answer)
        remedy = _REMEDIES.get(kind, "look at the robot's screen and log")
        raise self._refused(f"{words} (HTTP {answer.status_code})", f"{method} {path}", remedy)

    def _refused(self, words: str, request: str, remedy: str) -> DeviceError:
        return DeviceError(f"the robot answered: {words}", where=f"{self.name}, {request}", remedy=remedy)

    def _unreachable(self, error: httpx.HTTPError) -> DeviceUnreachableError:
        return DeviceUnreachableError(
            f"the robot does not answer ({type(error).__name__}: {error})",
            where=f"{self.name} at {self.url}",
            remedy="switch it on, check network and address in the bench file",
        )


def _told(answer: httpx.Response) -> tuple[str, str]:
    """Error id and words of a refusal, whatever shape it has."""
    try:
        body = answer.json()
    except ValueError:
        return "", answer.text.strip()[:300] or "nothing"
    if not isinstance(body, dict):
        return "", str(body)[:300]
    errors = body.get("errors")
    if isinstance(errors, list) and errors:
        first = errors[0]
        return str(first.get("id", "")), str(first.get("detail") or first.get("title") or first.get("id"))
    return "", str(body.get("message") or body.get("debugMessage") or body)[:300]
