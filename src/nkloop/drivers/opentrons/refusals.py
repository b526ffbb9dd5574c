"""What a robot says when it refuses, whatever shape it has, and what a person can do about it."""

from __future__ import annotations

import os

import httpx

_VIRTUAL_URL = "NKLOOP_VIRTUAL_URL"
"""Environment variable with the address of the virtual bench."""
_REMEDIES = {
    "RunAlreadyActive": "let the run on the robot end or cancel it on the touch screen",
    "RunNotIdle": "let the run on the robot end or cancel it on the touch screen",
    "RunActionNotAllowed": "look at the robot: close door and windows, release the emergency stop",
    "RunStopped": "another run was made on the robot meanwhile; start again when nobody else uses it",
    "ProtocolFilesInvalid": "correct the protocol; `nkloop check` shows the line",
    "ProtocolRobotTypeMismatch": "use a bench with the robot the protocol was written for",
    "FileIdNotFound": "start the run again: the robot has dropped its files",
    "ProtocolNotFound": "start the run again: the robot has dropped the protocol",
    "RunNotFound": "the robot has dropped the run; reconcile it from the journal",
    "RunSignoffRequired": "sign the finished run on the robot, or name who signs in `account.signs_as`",
    "NoCurrentAuditLogFound": "start the robot's audit log in its settings, then start the run again",
    "LastAnalysisPending": "wait until the robot has analysed the protocol, then start the run again",
    "NotSupportedOnOT2": "use a Flex, or a bench file of an OT-2",
    "OutdatedAPIVersion": "update nkloop: this robot no longer speaks its version of the interface",
    "UnexpectedFileFormat": "the robot takes CSV files only; check the name of the worklist",
    "InvalidDeckConfiguration": "set the deck configuration on the robot's screen",
}
"""What to do, by the error id the robot sends."""
_BY_STATUS = {
    401: "name an account of the robot in `account` of the bench file; its password comes from outside the file",
    403: "give the account the right it lacks, or use another one; protocols may need an administrator's",
    451: "the robot wants a reason for each change: give a longer one in `account.reason`",
    503: "the robot is starting or busy; wait a minute and start again",
}
"""What to do when the refusal has no id, by status."""


def told_by(answer: httpx.Response) -> tuple[str, str]:
    """Error id and words of a refusal."""
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
    if "requiredScopes" in body:
        needed, given = (", ".join(body.get(key) or ()) or "none" for key in ("requiredScopes", "providedScopes"))
        return "", f"{body.get('debugMessage') or 'not allowed'}; it needs {needed}, the account has {given}"
    return "", str(body.get("message") or body.get("debugMessage") or body)[:300]


def remedy_for(kind: str, status: int) -> str:
    """What to do about a refusal."""
    return _REMEDIES.get(kind) or _BY_STATUS.get(status) or "look at the robot's screen and log"


def remedy_unreachable(url: str) -> str:
    """What to do about a robot that does not answer at this address."""
    if url.rstrip("/") == os.environ.get(_VIRTUAL_URL, "").rstrip("/"):
        return (
            "the virtual bench has ended: give the command again, `nkloop run`, `reconcile` and `serve` start it where "
            "it stood; one of your own (`nkloop virtual-robot`) start yourself"
        )
    return "switch it on, check network and address in the bench file"
