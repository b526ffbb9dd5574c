"""Routes for data files, protocols and their analyses."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from nkloop.virtual.robot.answers import answer, listing, versioned_router
from nkloop.virtual.robot.protocol_source import read_protocol
from nkloop.virtual.robot.refusals import invalid_request, no_data_file
from nkloop.virtual.robot.robot import VirtualRobot


class AnalysisRequest(BaseModel):
    """What to analyse with."""

    values: dict[str, Any] = Field(default_factory=dict, alias="runTimeParameterValues")
    files: dict[str, str] = Field(default_factory=dict, alias="runTimeParameterFiles")
    is_forced: bool = Field(default=False, alias="forceReAnalyze")


class AnalysisBody(BaseModel):
    """Body of `POST /protocols/{id}/analyses`."""

    data: AnalysisRequest = Field(default_factory=AnalysisRequest)


def file_router(robot: VirtualRobot) -> APIRouter:
    """`/dataFiles`."""
    router = versioned_router()

    @router.post("/dataFiles")
    async def upload(file: Annotated[UploadFile | None, File()] = None) -> JSONResponse:
        if file is None:
            raise no_data_file()
        stored, is_new = robot.files.add(file.filename or "", await file.read())
        return answer(stored.shown(), status=201 if is_new else 200)

    @router.get("/dataFiles")
    async def every() -> JSONResponse:
        return listing([file.shown() for file in robot.files.all()])

    @router.get("/dataFiles/{file_id}")
    async def one(file_id: str) -> JSONResponse:
        return answer(robot.files.get(file_id).shown())

    @router.get("/dataFiles/{file_id}/download")
    async def download(file_id: str) -> Response:
        return PlainTextResponse(robot.files.get(file_id).content)

    return router


def protocol_router(robot: VirtualRobot) -> APIRouter:
    """`/protocols`."""
    router = versioned_router()
    _add_analyses(router, robot)

    @router.post("/protocols")
    async def upload(
        files: Annotated[list[UploadFile], File()],
        key: Annotated[str | None, Form()] = None,
        values: Annotated[str | None, Form(alias="runTimeParameterValues")] = None,
        file_ids: Annotated[str | None, Form(alias="runTimeParameterFiles")] = None,
    ) -> JSONResponse:
        source = read_protocol([(file.filename or "", await file.read()) for file in files], robot.model)
        chosen = _json_object(values, "runTimeParameterValues")
        chosen_files = _json_object(file_ids, "runTimeParameterFiles")
        protocol, started, is_new = robot.protocols.add(source, key, chosen, chosen_files)
        return answer(protocol.shown(started), status=201 if is_new else 200)

    @router.get("/protocols")
    async def every() -> JSONResponse:
        return listing([protocol.shown() for protocol in robot.protocols.all()])

    @router.get("/protocols/ids")
    async def ids() -> JSONResponse:
        return listing([protocol.id for protocol in robot.protocols.all()])

    @router.get("/protocols/{protocol_id}")
    async def one(protocol_id: str) -> JSONResponse:
        protocol = robot.protocols.get(protocol_id)
        runs = [{"id": run.id, "href": f"/runs/{run.id}"} for run in robot.runs.all() if run.protocol_id == protocol.id]
        return answer(protocol.shown(), links={"referencingRuns": runs})

    @router.get("/protocols/{protocol_id}/dataFiles")
    async def data_files(protocol_id: str) -> JSONResponse:
        analyses = robot.protocols.get(protocol_id).analyses
        used = {one["file"]["id"] for record in analyses for one in record.parameters if "file" in one}
        return listing([file.shown() for file in robot.files.all() if file.id in used])

    @router.delete("/protocols/{protocol_id}")
    async def remove(protocol_id: str) -> JSONResponse:
        robot.protocols.remove(protocol_id)
        return answer()

    return router


def _add_analyses(router: APIRouter, robot: VirtualRobot) -> None:
    @router.get("/protocols/{protocol_id}/analyses")
    async def every(protocol_id: str) -> JSONResponse:
        return listing([record.shown() for record in robot.protocols.get(protocol_id).analyses])

    @router.get("/protocols/{protocol_id}/analyses/{analysis_id}")
    async def one(protocol_id: str, analysis_id: str) -> JSONResponse:
        return answer(robot.protocols.get(protocol_id).analysis(analysis_id).shown())

    @router.post("/protocols/{protocol_id}/analyses")
    async def start(protocol_id: str, body: AnalysisBody | None = None) -> JSONResponse:
        protocol = robot.protocols.get(protocol_id)
        wanted = body.data if body else AnalysisRequest()
        started, is_pending = robot.protocols.analyse(protocol, wanted.values, wanted.files, is_forced=wanted.is_forced)
        shown = started if is_pending else None
        return listing(protocol.summaries(shown), status=201 if is_pending else 200)


def _json_object(text: str | None, field: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError as error:
        raise invalid_request(f"value is not valid JSON: {error}", {"pointer": f"/{field}"}) from error
    if not isinstance(value, dict):
        raise invalid_request("value is not a JSON object", {"pointer": f"/{field}"})
    return value
