"""Who nkloop is on a robot in compliance mode: account, tokens, the reason of each interaction, the signature."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from nkloop.errors import BenchError, DeviceError, DeviceUnreachableError, without_password

CLIENT_ID = "opentrons_app"
TOKEN_PATH = "/auth/oauth2/token"
USER_NOTES = "Opentrons-User-Notes"
"""Header with the reason of a change, percent-encoded UTF-8."""
RENEW_BEFORE_S = 20.0
"""A token is renewed this long before it ends, so that it does not end on the way."""
SHORTEST_REASON = 10
"""Characters; the length robots ask for by default where they ask for one."""


@dataclass
class Account:
    """An account on the robot. Its password comes from the environment or a Prefect block, never from a file."""

    username: str
    password: str = field(repr=False)
    reason: str
    """Why nkloop changes something there; goes into the robot's audit log with every request."""
    signs_as: str | None = None
    """Full name of the person who signs finished runs with this account; None leaves signing to the robot's screen."""
    scopes: frozenset[str] | None = None
    """What the robot lets it do, as told with the last token; None while it has told nothing."""
    _token: str = field(default="", repr=False)
    _refresh: str = field(default="", repr=False)
    _ends: float = field(default=0.0, repr=False)

    def headers(self) -> dict[str, str]:
        """Headers of a request that changes something."""
        return {"Authorization": f"Bearer {self._token}", USER_NOTES: quote(self.reason)}

    @property
    def is_stale(self) -> bool:
        """True when there is no token, or it ends soon."""
        return time.monotonic() >= self._ends - RENEW_BEFORE_S

    def forget(self) -> None:
        """Give up a token the robot no longer takes."""
        self._token, self._ends = "", 0.0

    async def renew(self, http: httpx.AsyncClient, where: str) -> None:
        """Get a token: by the refresh token where there is one, by password otherwise.

        Raises:
            DeviceError: the robot does not accept the account.
            DeviceUnreachableError: no answer.
        """
        granted = await self._ask(http, where, {"grant_type": "refresh_token", "refresh_token": self._refresh})
        if granted is None:
            by_password = {"grant_type": "password", "username": self.username, "password": self.password}
            granted = await self._ask(http, where, by_password)
        if granted is None:
            raise DeviceError(
                f"the robot does not accept the account '{self.username}'",
                where=where,
                remedy="check user name and password (environment variable or Prefect block); it may be locked or new",
            )
        self._token, self._refresh = str(granted["access_token"]), str(granted.get("refresh_token") or "")
        told = granted.get("scope")
        self.scopes = None if told is None else frozenset(str(told).split())
        self._ends = time.monotonic() + float(granted.get("expires_in") or 0.0)

    async def _ask(self, http: httpx.AsyncClient, where: str, form: dict[str, str]) -> dict[str, Any] | None:
        """What the robot grants; None when it refuses, or when there is nothing to ask with."""
        if form.get("refresh_token") == "":
            return None
        self._refresh = ""
        try:
            answer = await http.post(TOKEN_PATH, data={"client_id": CLIENT_ID, **form})
        except httpx.HTTPError as error:
            raise DeviceUnreachableError(
                f"the robot does not answer ({type(error).__name__}) when asked for a token",
                where=where,
                remedy="switch it on, check network and address in the bench file",
            ) from error
        if answer.status_code == 404:
            raise DeviceError(
                "the robot knows no accounts",
                where=where,
                remedy="remove `account` from the bench file, or turn compliance mode on",
            )
        if not answer.is_success:
            return None
        granted: dict[str, Any] = answer.json()
        return granted


def account_from(settings: dict[str, str] | None, url: str, where: str) -> Account | None:
    """The account a bench file names, or None when it names none.

    Raises:
        BenchError: a key is missing or unknown, the reason is too short, or the password would travel in the open.
    """
    if settings is None:
        return None
    known, needed = {"username", "password", "reason", "signs_as"}, {"username", "password", "reason"}
    wrong = sorted(set(settings) - known) or sorted(needed - set(settings))
    if wrong:
        raise BenchError(
            f"account: '{wrong[0]}' is {'missing' if wrong[0] in needed else 'not known'}",
            where=where,
            remedy=f"give {', '.join(sorted(needed))} and, where people sign by nkloop, signs_as",
        )
    if len(settings["reason"].strip()) < SHORTEST_REASON:
        raise BenchError(
            f"account: the reason '{settings['reason']}' has fewer than {SHORTEST_REASON} characters",
            where=where,
            remedy="say what nkloop does on this robot, for example 'NK dosing, procedure SOP-12'",
        )
    if not _is_private(url):
        raise BenchError(
            f"the password of account '{settings['username']}' would go to {without_password(url)} in the open",
            where=where,
            remedy="use https:// with the robot's port 32313 and name its certificate in `ca_file`",
        )
    return Account(settings["username"], settings["password"], settings["reason"], settings.get("signs_as"))


def _is_private(url: str) -> bool:
    """True for an encrypted address and for this computer itself."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
