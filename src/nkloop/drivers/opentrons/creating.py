"""Storing files and making a run on a robot; what may have arrived is asked for before anything is sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from nkloop.drivers.interfaces import ENDED
from nkloop.drivers.opentrons.client import UNCLEAR, FormFile, Json, RobotClient
from nkloop.drivers.opentrons.looking import current_run, has_phantom
from nkloop.errors import DeviceError


async def stored(
    client: RobotClient, path: str, files: list[FormFile], fields: dict[str, str], attribute: str, value: str
) -> str:
    """Upload and return the id; after a lost answer the robot is asked, and sent it again only if it lacks it.

    The same content again would give the same id, but a robot that was not asked is not sent anything twice.

    Args:
        client: of the robot.
        path: where files of this kind are sent and listed.
        files: what is sent.
        fields: sent beside the files.
        attribute: by which the robot's list tells what it is.
        value: of that attribute.

    Raises:
        DeviceError: the robot refused a file.
        DeviceUnreachableError: the robot does not answer.
    """
    try:
        return str((await client.upload(path, files, fields))["data"]["id"])
    except UNCLEAR:
        listed = (await client.get(path))["data"]
        known = [str(item["id"]) for item in listed if item.get(attribute) == value]
        if known:
            return known[-1]
    return str((await client.upload(path, files, fields))["data"]["id"])


def protocol_key(files: Sequence[FormFile]) -> str:
    """Name of a protocol on the robot: the same name always means the same files."""
    return hashlib.sha256(b"\0".join(content for _, (_, content, _) in files)).hexdigest()[:32]


async def created(client: RobotClient, runs: Json, request: Json, is_ours: Callable[[Json], bool]) -> str:
    """Our idle run: one that waits already, or a new one; never one over a run of somebody else that has not ended.

    Args:
        client: of the robot.
        runs: the robot's answer to `GET /runs` of just now.
        request: what the run is made from.
        is_ours: whether a run is ours, idle and was never played.

    Raises:
        DeviceError: another run is in the way, or the robot refused.
        DeviceUnreachableError: the robot does not answer; no run of ours is left that could start by itself.
    """

    def waiting(told: Json) -> str | None:
        current = current_run(told)
        return str(current["id"]) if current is not None and is_ours(current) else None

    if (found := waiting(runs)) is not None:
        return found
    current = current_run(runs)
    if current is not None and current["status"] not in ENDED:
        # Creating a run over an idle one replaces it without a word, whoever made it.
        raise DeviceError(
            f"run {current['id']} on the robot is {current['status']}",
            where=client.name,
            remedy="let it end or cancel it on the robot's screen",
        )
    # A phantom left over from an earlier fault makes the robot answer 500 once, which clears it.
    attempts = 2 if has_phantom(runs) else 1
    for attempt in range(1, attempts + 1):
        try:
            await client.post("/runs", request)
        except UNCLEAR:
            found = waiting(await client.get("/runs"))
            if found is None and attempt == attempts:
                raise
            if found is None:
                continue
        # Whoever delivered the request twice has made two runs: the one that is current counts.
        found = waiting(await client.get("/runs"))
        if found is not None:
            return found
        raise DeviceError(
            "the run was made, and then another run took its place on the robot",
            where=client.name,
            remedy="find out who else uses the robot, then start again",
        )
    raise AssertionError("unreachable: the last attempt returns or raises")
