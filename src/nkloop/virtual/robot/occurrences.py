"""Error occurrences: what a failed command or run tells of its fault."""

from __future__ import annotations

from typing import Any
from uuid import uuid4


def occurrence(
    kind: str, detail: str, when: str, *, code: str = "4000", wrapped: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """One undefined error."""
    return {
        "id": str(uuid4()),
        "createdAt": when,
        "isDefined": False,
        "errorType": kind,
        "errorCode": code,
        "detail": detail,
        "errorInfo": {},
        "wrappedErrors": wrapped or [],
    }


def exception_in_protocol(error: dict[str, Any], code_name: str = "GENERAL_ERROR") -> dict[str, Any]:
    """The error of a run that ended because of `error`."""
    kind, detail = error["errorType"], error["detail"]
    told = f"{kind}: Error {error['errorCode']} {code_name} ({kind}): {detail}"
    return occurrence("ExceptionInProtocolError", told, error["createdAt"], wrapped=[error])


def command_failed(error: dict[str, Any]) -> dict[str, Any]:
    """The error of a run one of whose commands failed with `error`."""
    detail = f"{error['errorType']}: {error['detail']}"
    failed = occurrence("ProtocolCommandFailedError", detail, error["createdAt"], wrapped=[error])
    return exception_in_protocol(failed)


def as_occurrence(error: dict[str, Any], when: str) -> dict[str, Any]:
    """Bring an error of an analysis into shape; what it tells of itself stays as it is."""
    if "errorType" in error:
        return {**occurrence(error["errorType"], "", when), **error}
    return occurrence("AnalysisError", str(error.get("detail") or error.get("message") or error), when)
