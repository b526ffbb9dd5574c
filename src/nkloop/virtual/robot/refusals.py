"""The answers with which the robot refuses a request: same ids, titles and codes as the real one."""

from __future__ import annotations

from typing import Any

from nkloop.errors import DeviceError
from nkloop.virtual.robot.models import RobotModel


class Refusal(DeviceError):
    """The robot refuses a request."""

    def __init__(
        self,
        status: int,
        identifier: str,
        title: str,
        detail: str,
        *,
        code: str = "4000",
        source: dict[str, str] | None = None,
        meta: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        error = {"id": identifier, "title": title, "detail": detail, "source": source, "meta": meta, "errorCode": code}
        self.error: dict[str, Any] = {key: value for key, value in error.items() if value is not None}


def exception_meta(kind: str, message: str, *, code: str = "4000", **rest: Any) -> dict[str, Any]:
    """How the real server describes the Python exception behind an error."""
    return {"type": kind, "code": code, "message": message, "detail": {}, "wrapping": [], **rest}


def enumerated(kind: str, message: str) -> str:
    """Text of an Opentrons `GeneralError` as `str()` gives it."""
    return f"Error 4000 GENERAL_ERROR ({kind}): {message}"


def invalid_request(detail: str, source: dict[str, str]) -> Refusal:
    """422: a part of the request is missing or malformed."""
    return Refusal(422, "InvalidRequest", "Invalid Request", detail, source=source)


def outdated_version(version: int) -> Refusal:
    """400: the `Opentrons-Version` asked for is no longer served."""
    detail = (
        f"The requested API version '{version}' is not supported. 'Opentrons-Version' must be at least '2'. "
        "Please upgrade your Opentrons App or other HTTP API client."
    )
    return Refusal(400, "OutdatedAPIVersion", "Requested HTTP API version no longer supported", detail)


def run_not_found(run_id: str) -> Refusal:
    """404: no such run."""
    return Refusal(404, "RunNotFound", "Run Not Found", enumerated("RunNotFoundError", f"Run {run_id} was not found."))


def command_not_found(command_id: str) -> Refusal:
    """404: the run has no such command."""
    return Refusal(404, "CommandNotFound", "Run Command Not Found", f"Command {command_id} does not exist.")


def run_not_current(detail: str) -> Refusal:
    """409: the run no longer controls the robot."""
    return Refusal(409, "RunStopped", "Run Stopped", detail)


def run_already_active() -> Refusal:
    """409: a new run was asked for while one is under way."""
    return Refusal(409, "RunAlreadyActive", "Run Already Active", "Current run is not idle or stopped.", code="4001")


def run_not_idle(detail: str) -> Refusal:
    """409: the run is under way and cannot be changed."""
    return Refusal(409, "RunNotIdle", "Run is not idle.", detail, code="4001")


def action_not_allowed(kind: str, detail: str) -> Refusal:
    """409: play, pause, stop or resume does not fit the status of the run."""
    meta = exception_meta("RunActionNotAllowedError", detail, code="3000", wrapping=[exception_meta(kind, detail)])
    return Refusal(409, "RunActionNotAllowed", "Run Action Not Allowed", detail, code="3000", meta=meta)


def protocol_not_found(protocol_id: str) -> Refusal:
    """404: no such protocol."""
    return Refusal(404, "ProtocolNotFound", "Protocol Not Found", f"'Protocol {protocol_id} was not found.'")


def protocol_used(protocol_id: str) -> Refusal:
    """409: a run refers to the protocol."""
    detail = f"'Protocol {protocol_id} is currently in use by a run and cannot be deleted.'"
    return Refusal(409, "ProtocolUsedByRun", "Protocol Used by Run", detail)


def analysis_not_found(analysis_id: str) -> Refusal:
    """404: the protocol has no such analysis."""
    detail = f"'Analysis {analysis_id} not found.'"
    return Refusal(404, "AnalysisNotFound", "Protocol Analysis Not Found", detail)


def protocol_files_invalid(detail: str) -> Refusal:
    """422: the uploaded files are no protocol."""
    return Refusal(422, "ProtocolFilesInvalid", "Protocol File(s) Invalid", detail)


def protocol_for_other_robot(model: RobotModel) -> Refusal:
    """422: a protocol of one robot was sent to the other."""
    other = "OT-2" if model.is_flex else "Flex"
    detail = (
        f"This protocol is for {other} robots. It can't be analyzed or run on this robot, "
        f"which is {'a' if model.is_flex else 'an'} {model.name}."
    )
    return Refusal(422, "ProtocolRobotTypeMismatch", "Protocol For Different Robot Type", detail)


def not_on_ot2(detail: str = "No module named 'opentrons_hardware'") -> Refusal:
    """403: only a Flex has it."""
    return Refusal(403, "NotSupportedOnOT2", "Not Supported On OT-2", detail)


def fixit_not_allowed() -> Refusal:
    """500: a fixit command was sent to a run that does not recover from an error."""
    detail = "Fixit commands are not allowed when the run is not in a recoverable state."
    return unexpected("FixitCommandNotAllowedError", detail)


def commands_not_allowed(detail: str) -> Refusal:
    """409: the run takes no commands now."""
    return Refusal(409, "CommandNotAllowed", "Command Not Allowed", detail)


def signoff_required(run_id: str) -> Refusal:
    """409: the robot's compliance mode asks for a signature first."""
    detail = f"Run {run_id} must be signed off first."
    return Refusal(409, "RunSignoffRequired", "Run Sign-off Required", detail)


def file_not_found(file_id: str, status: int) -> Refusal:
    """404 when the file itself was asked for, 422 when a request refers to it."""
    detail = enumerated("FileIdNotFoundError", f"Data file {file_id} was not found.")
    return Refusal(status, "FileIdNotFound", "Specified file id not found on the robot", detail)


def unexpected_file_format() -> Refusal:
    """422: a data file that is no CSV."""
    return Refusal(422, "UnexpectedFileFormat", "Unexpected file format", "Only CSV file format is accepted.")


def no_data_file() -> Refusal:
    """422: a data file upload without a file."""
    detail = "You must provide either a file or a file path in the request."
    return Refusal(422, "NoDataFileSourceProvided", "No data file source provided", detail)


def invalid_deck(meta: dict[str, Any]) -> Refusal:
    """422: a deck configuration that cannot exist."""
    return Refusal(
        422, "InvalidDeckConfiguration", "Invalid Deck Configuration", "Invalid deck configuration.", meta=meta
    )


def no_client_data(key: str) -> Refusal:
    """404: nothing is stored under the key."""
    message = f"KeyError: '{key}'"
    meta = exception_meta("KeyError", message)
    return Refusal(404, "ClientDataKeyDoesNotExist", "Client Data Key Does Not Exist", message, meta=meta)


def no_maintenance_run() -> Refusal:
    """404: no maintenance run is under way."""
    detail = "No maintenance run currently running."
    return Refusal(404, "NoCurrentRunFound", "No current run found", detail)


def unexpected(kind: str, message: str) -> Refusal:
    """500: the real server stumbles here, too."""
    meta = exception_meta(kind, message)
    return Refusal(500, "UnexpectedError", "Unexpected Internal Error", message, meta=meta)
