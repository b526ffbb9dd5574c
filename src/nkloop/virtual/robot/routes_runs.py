"""Routes for runs, their actions and their commands."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from nkloop.virtual.robot.answers import answer, listing, without_none
from nkloop.virtual.robot.interfaces import Command
from nkloop.virtual.robot.refusals import Refusal, run_not_current
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.run import ActionType, Run

PAGE_LENGTH = 20
SUMMARY = ("id", "key", "commandType", "createdAt", "startedAt", "completedAt", "status", "params", "error", "notes")


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
    """Only `current: false` changes anything."""

    current: bool | None = None


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
    router = APIRouter()
    _add_commands(router, robot)
    _add_state(router, robot)

    @router.post("/runs")
    async def create(body: RunBody | None = None) -> JSONResponse:
        wanted = body.data if body else RunRequest()
        run = robot.create_run(wanted.protocol_id, wanted.values, wanted.files, wanted.offsets)
        return answer(run.shown(), status=201)

    @router.get("/runs")
    async def every(page_length: int | None = Query(default=None, alias="pageLength")) -> JSONResponse:
        current = robot.current_run_id
        links = {"current": {"href": f"/runs/{current}"}} if current else {}
        runs = robot.runs if page_length is None else robot.runs[-page_length:]
        return listing([run.shown() for run in runs], total=len(robot.runs), links=links)

    @router.get("/runs/{run_id}")
    async def one(run_id: str) -> JSONResponse:
        return answer(robot.run(run_id).shown())

    @router.patch("/runs/{run_id}")
    async def update(run_id: str, body: RunUpdateBody) -> JSONResponse:
        run = robot.run(run_id)
        if body.data.current is False:
            run = robot.dismiss_run(run_id)
        return answer(run.shown())

    @router.delete("/runs/{run_id}")
    async def remove(run_id: str) -> JSONResponse:
        robot.delete_run(run_id)
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
        run = robot.run(run_id)
        start = _start(run, cursor, page_length)
        page = [_summary(command) for command in run.commands[start : start + page_length]]
        links = {"current": _link(run)} if run.commands else {}
        return listing(page, cursor=start, total=len(run.commands), links=links)

    @router.get("/runs/{run_id}/commands/{command_id}")
    async def one(run_id: str, command_id: str) -> JSONResponse:
        return answer(robot.run(run_id).command(command_id))

    @router.get("/runs/{run_id}/commandsAsPreSerializedList")
    async def serialized(run_id: str) -> JSONResponse:
        run = robot.run(run_id)
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
        found = robot.run(run_id).command_errors
        return listing(found[cursor : cursor + page_length], cursor=cursor, total=len(found))

    @router.get("/runs/{run_id}/currentState")
    async def state(run_id: str) -> JSONResponse:
        run = robot.run(run_id)
        if not run.is_current:
            raise run_not_current(f"Run {run_id} is not the current run")
        engaged = robot.hardware.is_estop_engaged
        done = next((one for one in reversed(run.commands) if "completedAt" in one), None)
        last = {"id": done["id"], "href": f"/runs/{run_id}/commands/{done['id']}"} if done else None
        data = {"estopEngaged": engaged, "activeNozzleLayouts": run.nozzle_layouts()}
        return answer(data, links={"lastCompleted": last})


def _start(run: Run, cursor: int | None, page_length: int) -> int:
    """Without a cursor the page begins at the running command, or ends at the last one."""
    last = max(len(run.commands) - 1, 0)
    if cursor is None:
        is_running = bool(run.commands) and run.commands[-1]["status"] == "running"
        cursor = last if is_running else len(run.commands) - page_length
    return max(0, min(cursor, last))


def _summary(command: Command) -> dict[str, Any]:
    return {key: command[key] for key in SUMMARY if key in command}


def _link(run: Run) -> dict[str, Any]:
    command = run.commands[-1]
    return {
        "href": f"/runs/{run.id}/commands/{command['id']}",
        "meta": {
            "runId": run.id,
            "commandId": command["id"],
            "index": len(run.commands) - 1,
            "key": command["key"],
            "createdAt": command["createdAt"],
        },
    }
