"""What a run leaves on the robot: its commands, the files it made, what its plate reader measured."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from nkloop.drivers.interfaces import DeviceCommand, DeviceFile
from nkloop.drivers.opentrons.analysis import leaf_errors
from nkloop.drivers.opentrons.client import Json, RobotClient
from nkloop.errors import DeviceError, DeviceUnreachableError, RunForgottenError

PAGE = 200
"""Commands per request; the server's own default of 20 would make many."""
READ = "absorbanceReader/read"


def require_known(run: Json, where: str) -> None:
    """Refuse a run whose record the robot has lost.

    Raises:
        RunForgottenError: the robot was switched off or restarted before it had filed the run away.
    """
    if run.get("ok", True) is False:
        raise RunForgottenError(
            f"the robot has lost its record of run {run['id']}: {(run.get('dataError') or {}).get('detail', '')}",
            where=where,
            remedy="it was switched off or restarted during or after the run; look at the deck, then decide what holds",
        )


async def commands_of(client: RobotClient, run_id: str) -> tuple[DeviceCommand, ...]:
    """All commands of a run, in pages.

    Raises:
        RunForgottenError: the robot no longer knows the run or what it did.
        DeviceUnreachableError: it tells fewer commands than it says there are; steps would be taken for undone.
    """
    found: list[DeviceCommand] = []
    while True:
        page = await client.get(f"/runs/{run_id}/commands", cursor=len(found), pageLength=PAGE)
        found.extend(as_command(item) for item in page["data"])
        if len(found) >= (total := page["meta"]["totalLength"]):
            return tuple(found)
        if not page["data"]:
            raise DeviceUnreachableError(
                f"the robot tells {len(found)} of the {total} commands of run {run_id}",
                where=client.name,
                remedy="ask again when it is at rest: nkloop runs --open",
            )


async def files_of(client: RobotClient, run: Json, commands: tuple[DeviceCommand, ...]) -> tuple[DeviceFile, ...]:
    """Files the run made, and one JSON file per plate it read with the numbers as the robot has them.

    Raises:
        DeviceError: a file is gone already; the robot deletes its oldest without a word.
    """
    return tuple([file async for file in copied_files(client, run, commands)])


async def copied_files(
    client: RobotClient, run: Json, commands: tuple[DeviceCommand, ...]
) -> AsyncIterator[DeviceFile]:
    """The same, one by one: what is copied out already stays at hand when a later file is gone; raises the same."""
    for file_id in run.get("outputFileIds") or ():
        about = await client.find(f"/dataFiles/{file_id}")
        if about is None:
            raise DeviceError(
                f"the robot has deleted file {file_id} of run {run['id']}",
                where=client.name,
                remedy="read the plate again; the numbers of a plate reader also stand in its commands",
            )
        content = await client.download(f"/dataFiles/{file_id}/download")
        yield DeviceFile(name=about["data"]["name"], media_type="text/csv", content=content)
    reads = [command for command in commands if command.command_type == READ and command.status == "succeeded"]
    for number, one in enumerate(reads, start=1):
        yield await _reading(client, run["id"], number, one)


async def _reading(client: RobotClient, run_id: str, number: int, command: DeviceCommand) -> DeviceFile:
    told = (await client.get(f"/runs/{run_id}/commands/{command.id}"))["data"]
    document = {
        "command": command.id,
        "completedAt": command.completed_at,
        "data": (told.get("result") or {}).get("data"),
    }
    content = json.dumps(document, indent=1, sort_keys=True).encode()
    return DeviceFile(name=f"absorbance_{number}.json", media_type="application/json", content=content)


def as_command(item: dict[str, Any]) -> DeviceCommand:
    """A command as the robot lists it."""
    error = item.get("error")
    return DeviceCommand(
        id=item["id"],
        command_type=item["commandType"],
        status=item["status"],
        params=item.get("params") or {},
        started_at=item.get("startedAt"),
        completed_at=item.get("completedAt"),
        error="; ".join(leaf_errors([error])) if error else None,
        intent=item.get("intent"),
        failed_command_id=item.get("failedCommandId"),
    )
