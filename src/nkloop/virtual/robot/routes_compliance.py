"""Routes for accounts and calibration: tokens of the compliance mode, and what an OT-2 tells of its calibration."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from nkloop.virtual.robot.answers import versioned_router
from nkloop.virtual.robot.compliance import TOKEN_PATH, Denied
from nkloop.virtual.robot.robot import VirtualRobot


def compliance_router(robot: VirtualRobot) -> APIRouter:
    """`/auth/oauth2/token`, `/calibration/status`, `/calibration/pipette_offset`."""
    router = versioned_router()

    @router.post(TOKEN_PATH)
    async def token(request: Request) -> JSONResponse:
        if robot.compliance is None:
            raise HTTPException(404, "Not Found")
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        granted = robot.compliance.grant(form)
        if isinstance(granted, Denied):
            return JSONResponse(granted.body, status_code=granted.status)
        return JSONResponse(granted)

    @router.get("/calibration/status")
    async def status() -> dict[str, Any]:
        at, nothing = robot.hardware.calibrated_at, [0.0, 0.0, 0.0]
        deck = {
            "type": "attitude",
            "matrix": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            "source": "user" if at else "default",
            "status": {"markedBad": False},
            **({"lastModified": at} if at else {}),
        }
        mounts = {mount: {"single": nothing, "multi": nothing} for mount in ("left", "right")}
        state = "OK" if at else "IDENTITY"
        return {"deckCalibration": {"status": state, "data": deck}, "instrumentCalibration": mounts}

    @router.get("/calibration/pipette_offset")
    async def offsets() -> dict[str, Any]:
        return {"data": robot.hardware.pipette_offsets()}

    return router
