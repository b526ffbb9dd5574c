"""Filing a run away on the robot once it has ended; a robot in compliance mode wants it signed before."""

from __future__ import annotations

from nkloop.drivers.interfaces import ENDED
from nkloop.drivers.opentrons.client import UNCLEAR, Json, RobotClient


async def file_away(client: RobotClient, run_id: str) -> None:
    """Have the robot file away a run that has ended: only then do its commands outlive a loss of power.

    In compliance mode the run is signed first, where the account says by whom. A run under way, and one that is
    filed away already, is left alone.

    Raises:
        DeviceError: the robot refused, for example because somebody has to sign the run first.
        DeviceUnreachableError: the robot does not answer.
    """
    run = await _run(client, run_id)
    if not run.get("current") or run["status"] not in ENDED:
        return
    signs_as = client.account.signs_as if client.account else None
    if signs_as and not run.get("signedBy"):
        try:
            await client.patch(f"/runs/{run_id}", {"signedBy": signs_as})
        except UNCLEAR:
            if not (await _run(client, run_id)).get("signedBy"):
                raise
    try:
        await client.patch(f"/runs/{run_id}", {"current": False})
    except UNCLEAR:
        if (await _run(client, run_id)).get("current"):
            raise


async def _run(client: RobotClient, run_id: str) -> Json:
    run: Json = (await client.get(f"/runs/{run_id}"))["data"]
    return run
