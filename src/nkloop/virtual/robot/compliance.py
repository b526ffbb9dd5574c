"""Compliance mode of robot software 10: who may change something, with which reason, and what must be signed.

Statuses, scopes and the shape of a refusal follow the server's sources (read, not run); the wording is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote
from uuid import uuid4

CLIENT_ID = "opentrons_app"
USER_NOTES = "Opentrons-User-Notes"
TOKEN_PATH = "/auth/oauth2/token"
_OPEN_PATHS = ("/clientData", "/virtual", TOKEN_PATH, "/robot/lights", "/identify", "/labwareOffsets/searches")
"""What needs no account: coordination between clients, finding the robot, searching."""
ALL_SCOPES = ("protocols.write", "robot_control.write", "run_data.write", "robot_settings.write", "run_signoff.write")


@dataclass(frozen=True)
class Denied:
    """Status and body of a refusal."""

    status: int
    body: dict[str, object]


@dataclass
class Compliance:
    """Accounts and tokens. `accounts` maps a user name to password and scopes."""

    accounts: dict[str, tuple[str, tuple[str, ...]]]
    now: Callable[[], float]
    """Seconds that only ever grow; tokens live by them."""
    token_seconds: float = 180.0
    needs_reason: bool = True
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Token to user name and the time it ends."""
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    reasons: list[tuple[str, str, str]] = field(default_factory=list)
    """The audit log: user, request, reason."""

    def grant(self, form: dict[str, str]) -> dict[str, object] | Denied:
        """Answer a request for a token, by password or by refresh token."""
        user = self._user_of(form)
        if user is None or form.get("client_id") != CLIENT_ID:
            body = {"error": "invalid_grant", "error_description": "The credentials were not accepted."}
            return Denied(400, dict(body))
        token, refresh = str(uuid4()), str(uuid4())
        self.tokens[token] = (user, self.now() + self.token_seconds)
        self.refresh_tokens[refresh] = user
        scopes = self.accounts[user][1]
        return {
            "access_token": token,
            "refresh_token": refresh,
            "expires_in": int(self.token_seconds),
            "token_type": "Bearer",
            "scope": " ".join(scopes),
        }

    def denied(self, method: str, path: str, authorization: str, notes: str) -> Denied | None:
        """Why a request is refused, or None."""
        if method == "GET" or path.startswith(_OPEN_PATHS) or path.endswith("/analyses"):
            return None
        needed = scope_of(method, path)
        user, ends = self.tokens.get(authorization.removeprefix("Bearer "), ("", 0.0))
        if not user or self.now() >= ends:
            return _denial(401, "no valid access token", needed, ())
        scopes = self.accounts[user][1]
        if needed not in scopes:
            return _denial(403, "missing scopes", needed, scopes)
        reason = unquote(notes).strip()
        if self.needs_reason and not reason:
            detail = f"A reason for this interaction is required in the {USER_NOTES} header."
            error = {"id": "DocumentationRequired", "title": "Documentation Required", "detail": detail}
            return Denied(451, {"errors": [{**error, "errorCode": "4000"}]})
        self.reasons.append((user, f"{method} {path}", reason))
        return None

    def _user_of(self, form: dict[str, str]) -> str | None:
        if form.get("grant_type") == "refresh_token":
            return self.refresh_tokens.pop(form.get("refresh_token", ""), None)
        name = form.get("username", "")
        password, _ = self.accounts.get(name, ("", ()))
        return name if password and form.get("password") == password else None


def scope_of(method: str, path: str) -> str:
    """Scope a changing request needs."""
    if path.startswith(("/protocols", "/dataFiles")):
        return "protocols.write"
    if path.endswith("/actions") or path.startswith(("/maintenance_runs", "/commands")):
        return "robot_control.write"
    return "run_data.write" if path.startswith("/runs") else "robot_settings.write"


def _denial(status: int, message: str, needed: str, provided: tuple[str, ...]) -> Denied:
    return Denied(status, {"debugMessage": message, "requiredScopes": [needed], "providedScopes": list(provided)})
