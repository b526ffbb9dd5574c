"""Body envelope, version header and error bodies of the robot server."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from nkloop.virtual.robot.refusals import Refusal, invalid_request, outdated_version

API_VERSION = 4
MIN_API_VERSION = 2
LEGACY_PATHS = frozenset({"/health"})
"""Their errors are `{"message", "errorCode"}`."""


def stamp(when: datetime) -> str:
    """A time as the robot writes it."""
    return when.isoformat(timespec="microseconds")


def without_none(value: Any) -> Any:
    """Leave out keys without a value at every depth, as the robot does."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_none(item) for item in value]
    return value


def answer(data: Any = None, *, status: int = 200, links: Any = None, meta: Any = None) -> JSONResponse:
    """The envelope `{data, links, meta}`; parts that are None are left out."""
    return JSONResponse(without_none({"data": data, "links": links, "meta": meta}), status_code=status)


def listing(
    items: list[Any], *, cursor: int = 0, total: int | None = None, links: Any = None, status: int = 200
) -> JSONResponse:
    """The envelope of a list; `total` counts what is not shown, too."""
    meta = {"cursor": cursor, "totalLength": len(items) if total is None else total}
    return answer(items, links=links, meta=meta, status=status)


async def check_version(
    request: Request,
    response: Response,
    opentrons_version: Annotated[str | None, Header()] = None,
) -> None:
    """The header rule: required, `*` or an integer of at least 2; larger ones are served as the newest.

    Raises:
        Refusal: 422 without the header or with a value that is no number, 400 below 2.
    """
    source = {"header": "opentrons-version"}
    if opentrons_version is None:
        raise invalid_request("field required", source)
    if opentrons_version != "*" and not opentrons_version.lstrip("-").isdigit():
        raise invalid_request("value is not a valid integer", source)
    version = API_VERSION if opentrons_version == "*" else min(int(opentrons_version), API_VERSION)
    if version < MIN_API_VERSION:
        raise outdated_version(version)
    if request.url.path in LEGACY_PATHS:
        response.headers.update(_version_headers())


def versioned_router() -> APIRouter:
    """A router whose routes ask every request for the version it speaks."""
    return APIRouter(dependencies=[Depends(check_version)])


def add_error_answers(app: FastAPI) -> None:
    """Let every error on a robot path leave in the robot's shape; paths below `/virtual` keep FastAPI's."""
    app.exception_handler(Refusal)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http_error)


def _version_headers() -> dict[str, str]:
    return {"opentrons-version": str(API_VERSION), "opentrons-min-version": str(MIN_API_VERSION)}


async def _refused(request: Request, refusal: Refusal) -> Response:
    if request.url.path in LEGACY_PATHS and refusal.status == 422:
        field = ".".join(part for pair in refusal.error.get("source", {}).items() for part in pair)
        legacy = {"message": f"{field}: {refusal.error['detail']}", "errorCode": refusal.error["errorCode"]}
        return JSONResponse(legacy, status_code=refusal.status, headers=_version_headers())
    return JSONResponse({"errors": [refusal.error]}, status_code=refusal.status, headers=_version_headers())


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    if request.url.path.startswith("/virtual"):
        return await request_validation_exception_handler(request, error)
    errors = [invalid_request(_message(one), _source(one["loc"])).error for one in error.errors()]
    return JSONResponse({"errors": errors}, status_code=422, headers=_version_headers())


async def _http_error(request: Request, error: HTTPException) -> Response:
    if request.url.path.startswith("/virtual"):
        return await http_exception_handler(request, error)
    refusal = Refusal(error.status_code, "BadRequest", "Bad Request", str(error.detail))
    return JSONResponse({"errors": [refusal.error]}, status_code=error.status_code, headers=_version_headers())


def _message(error: Any) -> str:
    """The wording of pydantic 1, which the real server uses."""
    if error["type"] == "missing":
        return "field required"
    if error["type"] == "literal_error":
        permitted = str(error["ctx"]["expected"]).replace(" or ", ", ")
        return f"value is not a valid enumeration member; permitted: {permitted}"
    return str(error["msg"])


def _source(location: tuple[str | int, ...]) -> dict[str, str]:
    origin, *path = location
    if origin == "body":
        return {"pointer": "/" + "/".join(str(part) for part in path)}
    return {"header" if origin == "header" else "parameter": str(path[-1]) if path else ""}
