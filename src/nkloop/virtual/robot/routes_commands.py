"""Routes that take single commands: in runs, in maintenance runs, and without any run; recovery of runs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from nkloop.virtual.robot.answers import answer, versioned_router
from nkloop.virtual.robot.maintenance import MaintenanceRun
from nkloop.virtual.robot.recovery import Reaction
from nkloop.virtual.robot.refusals import no_maintenance_run, run_not_found
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.sent_commands import Intent, check_command_type


class SentCommand(BaseModel):
    """One command."""

    command_type: str = Field(alias="commandType")
    params: dict[str, Any] = Field(default_factory=dict)
    intent: Intent = "setup"
    failed_command_id: str | None = Field(alias="failedCommandId", default=None)


class CommandBody(BaseModel):
    """Body of `POST …/commands`."""

    data: SentCommand


class WantedError(BaseModel):
    """The error a rule is about."""

    errorType: str  # noqa: N815 - name on the wire


class WantedCommand(BaseModel):
    """The command a rule is about."""

    commandType: str  # noqa: N815 - name on the wire
    error: WantedError


class Criteria(BaseModel):
    """When a rule applies."""

    command: WantedCommand


class Rule(BaseModel):
    """What to do after one kind of failure."""

    matchCriteria: Criteria  # noqa: N815 - name on the wire
    ifMatch: Reaction  # noqa: N815 - name on the wire


class Policy(BaseModel):
    """Rules; the first that matches decides."""

    policyRules: list[Rule]  # noqa: N815 - name on the wire


class PolicyBody(BaseModel):
    """Body of `PUT /runs/{id}/errorRecoveryPolicy`."""

    data: Policy


class OffsetBody(BaseModel):
    """Body of `POST /runs/{id}/labware_offsets`."""

    data: dict[str, Any]


def command_router(robot: VirtualRobot) -> APIRouter:
    """`/runs/{id}/commands`, recovery policy and offsets of a run, `/commands`, `/maintenance_runs`."""
    router = versioned_router()
    _add_maintenance(router, robot)

    @router.post("/runs/{run_id}/commands")
    async def send_to_run(run_id: str, body: CommandBody) -> JSONResponse:
        sent = body.data
        check_command_type(sent.command_type)
        command = robot.send_to_run(run_id, sent.command_type, sent.params, sent.intent, sent.failed_command_id)
        # as recorded: the answer does not repeat which failed command it mends, only the list of commands does
        told = {key: value for key, value in command.items() if key != "failedCommandId"}
        return answer(told, status=201)

    @router.put("/runs/{run_id}/errorRecoveryPolicy")
    async def policy(run_id: str, body: PolicyBody) -> JSONResponse:
        run = robot.runs.under_control(run_id)
        run.recovery_rules = [rule.model_dump() for rule in body.data.policyRules]
        return answer()

    @router.post("/runs/{run_id}/labware_offsets")
    async def offset(run_id: str, body: OffsetBody) -> JSONResponse:
        run = robot.runs.under_control(run_id)
        run.offsets.append(robot.runs.offset(body.data))
        return answer(run.offsets[-1], status=201)

    @router.post("/commands")
    async def send(body: CommandBody) -> JSONResponse:
        check_command_type(body.data.command_type)
        return answer(robot.send("stateless", body.data.command_type, body.data.params), status=201)

    return router


def _add_maintenance(router: APIRouter, robot: VirtualRobot) -> None:
    def known(run_id: str) -> MaintenanceRun:
        if robot.maintenance is None or robot.maintenance.id != run_id:
            raise run_not_found(run_id)
        return robot.maintenance

    @router.post("/maintenance_runs")
    async def create() -> JSONResponse:
        robot.maintenance = MaintenanceRun(robot.now())
        return answer(robot.maintenance.shown(), status=201)

    @router.get("/maintenance_runs/current_run")
    async def current() -> JSONResponse:
        if robot.maintenance is None:
            raise no_maintenance_run()
        link = {"href": f"/maintenance_runs/{robot.maintenance.id}"}
        return answer(robot.maintenance.shown(), links={"current": link})

    @router.post("/maintenance_runs/{run_id}/commands")
    async def send(run_id: str, body: CommandBody) -> JSONResponse:
        run = known(run_id)
        check_command_type(body.data.command_type)
        run.commands.append(robot.send(run.id, body.data.command_type, body.data.params))
        return answer(run.commands[-1], status=201)

    @router.delete("/maintenance_runs/{run_id}")
    async def end(run_id: str) -> JSONResponse:
        known(run_id)
        robot.maintenance = None
        return answer()
