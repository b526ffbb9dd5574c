"""Routes that tell what the robot is: health, hardware, deck, settings."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from nkloop.virtual.robot.answers import answer, listing, versioned_router
from nkloop.virtual.robot.deck import check_fixtures
from nkloop.virtual.robot.protocol_source import MAX_API_LEVEL
from nkloop.virtual.robot.refusals import no_client_data, not_on_ot2
from nkloop.virtual.robot.robot import VirtualRobot

LOGS = ("serial", "can_bus", "api", "server", "update_server", "touchscreen")
LINKS = {
    "apiLog": "/logs/api.log",
    "serialLog": "/logs/serial.log",
    "serverLog": "/logs/server.log",
    "oddLog": "/logs/touchscreen.log",
    "apiSpec": "/openapi.json",
    "systemTime": "/system/time",
}


class Fixture(BaseModel):
    """What is mounted on a cutout."""

    cutoutFixtureId: str  # noqa: N815 - name on the wire
    cutoutId: str  # noqa: N815 - name on the wire
    opentronsModuleSerialNumber: str | None = None  # noqa: N815 - name on the wire


class Fixtures(BaseModel):
    """A deck configuration."""

    cutoutFixtures: list[Fixture]  # noqa: N815 - name on the wire


class DeckBody(BaseModel):
    """Body of `PUT /deck_configuration`."""

    data: Fixtures


class RecoverySettings(BaseModel):
    """Whether a run waits for a person after a recoverable error."""

    enabled: bool | None = None


class RecoveryBody(BaseModel):
    """Body of `PATCH /errorRecovery/settings`."""

    data: RecoverySettings


class ClientDataBody(BaseModel):
    """Body of `PUT /clientData/{key}`."""

    data: dict[str, Any]


def system_router(robot: VirtualRobot) -> APIRouter:
    """Health, instruments, modules, deck, door, emergency stop, error recovery, client data."""
    router = versioned_router()
    _add_hardware(router, robot)
    _add_settings(router, robot)

    @router.get("/health")
    async def health(response: Response) -> dict[str, Any]:
        return {
            "name": robot.name,
            "robot_model": robot.model.robot_type,
            "api_version": "8.2.0",
            "fw_version": "virtual",
            "board_revision": "UNKNOWN",
            "logs": [f"/logs/{log}.log" for log in LOGS],
            "system_version": "0.0.0",
            "maximum_protocol_api_version": list(MAX_API_LEVEL),
            "minimum_protocol_api_version": list(robot.model.oldest_api_level),
            "robot_serial": robot.serial,
            "links": LINKS,
        }

    @router.get("/system/time")
    async def time() -> JSONResponse:
        link = {"href": "/system/time", "meta": None}
        return answer({"systemTime": robot.system_time(), "id": "time"}, links={"self": link})

    return router


def _add_hardware(router: APIRouter, robot: VirtualRobot) -> None:
    @router.get("/instruments")
    async def instruments() -> JSONResponse:
        return listing(robot.hardware.instruments())

    @router.get("/modules")
    async def modules() -> JSONResponse:
        return listing([module.shown() for module in robot.hardware.modules])

    def deck() -> JSONResponse:
        hardware = robot.hardware
        return answer({"cutoutFixtures": hardware.fixtures, "lastModifiedAt": hardware.fixtures_changed_at})

    @router.get("/deck_configuration")
    async def deck_configuration() -> JSONResponse:
        return deck()

    @router.put("/deck_configuration")
    async def set_deck_configuration(body: DeckBody) -> JSONResponse:
        if not robot.model.is_flex:
            raise not_on_ot2()
        fixtures = [fixture.model_dump(exclude_none=True) for fixture in body.data.cutoutFixtures]
        check_fixtures(fixtures)
        robot.hardware.fixtures, robot.hardware.fixtures_changed_at = fixtures, robot.now()
        return deck()

    @router.get("/robot/door/status")
    async def door() -> JSONResponse:
        status = "open" if robot.hardware.is_door_open else "closed"
        return answer({"status": status, "doorRequiredClosedForProtocol": robot.model.is_flex})

    @router.get("/robot/control/estopStatus")
    async def emergency_stop() -> JSONResponse:
        if not robot.model.is_flex:
            raise not_on_ot2()
        is_engaged = robot.hardware.is_estop_engaged
        return answer(
            {
                "status": "physicallyEngaged" if is_engaged else "disengaged",
                "leftEstopPhysicalStatus": "engaged" if is_engaged else "disengaged",
                "rightEstopPhysicalStatus": "disengaged",
            }
        )


def _add_settings(router: APIRouter, robot: VirtualRobot) -> None:
    def recovery() -> JSONResponse:
        return answer({"enabled": robot.is_error_recovery_enabled})

    @router.get("/errorRecovery/settings")
    async def recovery_settings() -> JSONResponse:
        return recovery()

    @router.patch("/errorRecovery/settings")
    async def set_recovery(body: RecoveryBody) -> JSONResponse:
        if body.data.enabled is not None:
            robot.enable_error_recovery(body.data.enabled)
        return recovery()

    @router.delete("/errorRecovery/settings")
    async def reset_recovery() -> JSONResponse:
        robot.enable_error_recovery(True)
        return recovery()

    @router.put("/clientData/{key}")
    async def put_client_data(key: str, body: ClientDataBody) -> JSONResponse:
        robot.client_data[key] = body.data
        return answer(body.data)

    @router.get("/clientData/{key}")
    async def get_client_data(key: str) -> JSONResponse:
        if key not in robot.client_data:
            raise no_client_data(key)
        return answer(robot.client_data[key])

    @router.delete("/clientData/{key}")
    async def delete_client_data(key: str) -> JSONResponse:
        if key not in robot.client_data:
            raise no_client_data(key)
        return answer(robot.client_data.pop(key))
