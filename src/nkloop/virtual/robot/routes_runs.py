"""Routes for runs, their actions and the commands they have executed."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from nkloop.virtual.robot.answers import answer, listing, versioned_router, without_none
from nkloop.virtual.robot.interfaces import Command
from nkloop.virtual.robot.past_run import PastRun
from nkloop.virtual.robot.refusals import Refusal
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.run import ActionType, Run

PAGE_LENGTH = 20
SUMMARY = (
    *("id", "key", "commandType", "createdAt", "startedAt", "completedAt", "status", "params", "error", "notes"),
    "intent",
    "failedCommandId",
)


class RunRequest(BaseModel):
    """What to run."""

    protocol_id: str | None = Field(default=None, alias="protocolId")
    values: dict[str, Any] = Field(default_factory=dict, alias="runTimeParameterValues")
    files: dict[str, str] = Field(default_factory=dict, alias="runTimeParameterFiles")
    offsets: list[dict[str, Any]] = Field(default_factory=list, alias="labwareOffsets")


class RunBody(BaseModel):
    """Body of `POST /runs`."""

    data: RunRequest


class RunUpdate(BaseModel):
    """`current: false` dismisses the run, `signedBy` signs it."""

    current: bool | None = None
    signed_by: str | None = Field(default=None, alias="signedBy")


class RunUpdateBody(BaseModel):
    """Body of `PATCH /runs/{id}`."""

    data: RunUpdate


class Action(BaseModel):
    """What to do with the run."""

    action: ActionType = Field(alias="actionType")


class ActionBody(BaseModel):
    """Body of `POST /runs/{id}/actions`."""

    data: Action


def run_router(robot: VirtualRobot) -> APIRouter:
    """`/runs`."""
    router = versioned_router()
    _add_commands(router, robot)
    _add_state(router, robot)

    @router.post("/runs")
    async def create(body: RunBody | None = None) -> JSONResponse:
        wanted = body.data if body else RunRequest()
        run = robot.create_run(wanted.protocol_id, wanted.values, wanted.files, wanted.offsets)
        return answer(run.shown(), status=201)

    @router.get("/runs")
    async def every(page_length: int | None = Query(default=None, alias="pageLength")) -> JSONResponse:
        current, every_run = robot.runs.current_id, robot.runs.all()
        links = {"current": {"href": f"/runs/{current}"}} if current else {}
        runs = every_run if page_length is None else every_run[-page_length:]
        return listing([run.shown() for run in runs], total=len(every_run), links=links)

    @router.get("/runs/{run_id}")
    async def one(run_id: str) -> JSONResponse:
        return answer(robot.runs.get(run_id).shown())

    @router.patch("/runs/{run_id}")
    async def update(run_id: str, body: RunUpdateBody) -> JSONResponse:
        run = robot.runs.get(run_id)
        if body.data.signed_by is not None:
            run = robot.runs.sign(run_id, body.data.signed_by)
        if body.data.current is False:
            run = robot.runs.dismiss(run_id)
        return answer(run.shown())

    @router.delete("/runs/{run_id}")
    async def remove(run_id: str) -> JSONResponse:
        robot.runs.delete(run_id)
        return answer()

    @router.post("/runs/{run_id}/actions")
    async def act(run_id: str, body: ActionBody) -> JSONResponse:
        return answer(robot.act(run_id, body.data.action), status=201)

    return router


def _add_commands(router: APIRouter, robot: VirtualRobot) -> None:
    @router.get("/runs/{run_id}/commands")
    async def every(
        run_id: str,
        cursor: int | None = None,
        page_length: int = Query(default=PAGE_LENGTH, alias="pageLength"),
    ) -> JSONResponse:
        run = robot.runs.get(run_id)
        start = _start(run, cursor, page_length)
        page = [_summary(command) for command in run.commands[start : start + page_length]]
        links = {"current": _link(run, run.commands[-1])} if run.commands else {}
        if isinstance(run, Run) and run.recovers_from is not None:
            links["currentlyRecoveringFrom"] = _link(run, run.recovers_from)
        return listing(page, cursor=start, total=len(run.commands), links=links)

    @router.get("/runs/{run_id}/commands/{command_id}")
    async def one(run_id: str, command_id: str) -> JSONResponse:
        return answer(robot.runs.get(run_id).command(command_id))

    @router.get("/runs/{run_id}/commandsAsPreSerializedList")
    async def serialized(run_id: str) -> JSONResponse:
        run = robot.runs.get(run_id)
        if run.is_current and not run.has_ended:
            detail = "Pre-serialized commands are only available after a run has ended."
            title = "Pre-Serialized commands not available."
            raise Refusal(503, "PreSerializedCommandsNotAvailable", title, detail)
        return listing([json.dumps(without_none(command)) for command in run.commands])


def _add_state(router: APIRouter, robot: VirtualRobot) -> None:
    @router.get("/runs/{run_id}/commandErrors")
    async def errors(
        run_id: str, cursor: int = 0, page_length: int = Query(default=PAGE_LENGTH, alias="pageLength")
    ) -> JSONResponse:
        found = robot.runs.get(run_id).command_errors
        return listing(found[cursor : cursor + page_length], cursor=cursor, total=len(found))

    @router.get("/runs/{run_id}/currentState")
    async def state(run_id: str) -> JSONResponse:
        run = robot.runs.under_control(run_id)
        engaged = robot.hardware.is_estop_engaged
        done = next((one for one in reversed(run.commands) if "completedAt" in one), None)
        last = {"id": done["id"], "href": f"/runs/{run_id}/commands/{done['id']}"} if done else None
        data = {"estopEngaged": engaged, "activeNozzleLayouts": run.nozzle_layouts()}
        return answer(data, links={"lastCompleted": last})


def _start(run: Run | PastRun, cursor: int | None, page_length: int) -> int:
    """Without a cursor the page begins at the running or the failed command, or ends at the last one."""
    last = max(len(run.commands) - 1, 0)
    if cursor is None:
        is_running = bool(run.commands) and run.commands[-1]["status"] == "running"
        is_held = isinstance(run, Run) and run.recovers_from is not None
        cursor = last if is_running or is_held else len(run.commands) - page_length
    return max(0, min(cursor, last))


def _summary(command: Command) -> dict[str, Any]:
    return {key: command[key] for key in SUMMARY if key in command}


def _link(run: Run | PastRun, command: Command) -> dict[str, Any]:
    return {
        "href": f"/runs/{run.id}/commands/{command['id']}",
        "meta": {
            "runId": run.id,
            "commandId": command["id"],
            "index": run.commands.index(command),
            "key": command["key"],
            "createdAt": command["createdAt"],
        },
    }
