"""Serves a virtual bench until it is told to stop."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nkloop.errors import BenchError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from nkloop.drivers.bench_file import BenchFile
    from nkloop.virtual.robot.compliance import Compliance
    from nkloop.workspace import Workspace

HOST = "127.0.0.1"
MEMORY, SERIAL = "robot.sqlite", "serial.txt"
"""Files of the state folder."""
USER, PASSWORD = "operator", "virtual"
"""The one account of a virtual robot in compliance mode."""
PARENT_POLL_SECONDS = 0.5
GRACE_SECONDS = 3
Announce = Callable[[str], None]
"""Told the address once the port is bound."""


@dataclass(frozen=True)
class BenchSettings:
    """How a virtual bench shall be."""

    bench: str = "virtual"
    """Its bench file; the deck of the file decides whether the robot is a Flex or an OT-2."""
    speed: float = 0.0
    """Bench seconds per wall second, 0 as fast as possible."""
    seed: int = 1
    faults: tuple[str, ...] = ()
    """Names of `nkloop.virtual.robot.faults.FAULTS`."""
    state: Path | None = None
    """Folder for what outlives the process: `world.jsonl` (every physical act), `robot.sqlite`, `serial.txt`."""
    compliance: bool = False
    """Whether the robot asks for an account: user `operator`, password `virtual`."""
    not_before: datetime | None = None
    """Earliest time on its clock, with zone; what stands there lives on until then. A bench that is given one follows
    the time of people from then on: its clock is moved on between runs when it is behind.
    """


def serve_virtual_bench(
    workspace: Path,
    port: int,
    settings: BenchSettings,
    *,
    announce: Announce | None = None,
    parent: int | None = None,
) -> None:
    """Serve the virtual bench of a workspace; see `serve` for port, `announce` and `parent`.

    Raises:
        BenchError: no such bench file, a wrong one, a speed below 0, an unknown fault, a port that cannot be used, or
            another bench works with the same state folder.
    """
    from nkloop.virtual.shared import serving_by_hand

    if settings.state is None:
        _serve_bench(workspace, port, settings, announce, parent)
        return
    with serving_by_hand(settings.state) as told:
        _serve_bench(workspace, port, settings, _noted(told, announce or (lambda url: None)), parent)


def _noted(told: int, announce: Announce) -> Announce:
    """Announce, after the address is written where the commands of the workspace look for it."""

    def note(url: str) -> None:
        os.write(told, json.dumps({"url": url, "pid": os.getpid()}).encode())
        announce(url)

    return note


def _serve_bench(
    workspace: Path, port: int, settings: BenchSettings, announce: Announce | None, parent: int | None = None
) -> None:
    if not settings.speed >= 0:
        remedy = "use 1 for real time, 0 for as fast as possible"
        raise BenchError(f"speed {settings.speed:g} must be at least 0", remedy=remedy)
    from nkloop.drivers.bench import load_bench_file
    from nkloop.virtual.robot.faults import Faults
    from nkloop.workspace import Workspace

    Faults(settings.faults)
    found = Workspace(root=workspace.resolve())
    file = load_bench_file(found.devices / f"{settings.bench}.yaml")
    serve(lambda: _application(found, file, settings), port, announce=announce, parent=parent)


def serve_shared_bench(workspace: Path, port: int, settings: BenchSettings, folder: Path) -> None:
    """Serve the virtual bench of a workspace until the last command that uses it has ended, however it ended.

    Raises:
        BenchError: as `serve_virtual_bench`; also when another bench works with this folder.
    """
    from nkloop.virtual.shared import serving

    with serving(folder) as told:
        threading.Thread(target=_end_unused, args=(folder,), daemon=True).start()
        _serve_bench(workspace, port, settings, _noted(told, announce_on_stdout))


def serve(
    application: Callable[[], FastAPI], port: int, *, announce: Announce | None = None, parent: int | None = None
) -> None:
    """Serve on 127.0.0.1 until an interrupt or termination signal comes.

    `port` 0 takes a free one; it is bound before the application is built, and `announce` is told the address then.
    With `parent` the process ends by itself when that process does.

    Raises:
        BenchError: the port cannot be used.
    """
    import uvicorn

    with _bound(port) as listener:
        if parent is not None:
            threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        config = uvicorn.Config(
            application(), log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=GRACE_SECONDS
        )
        if announce is not None:
            announce(f"http://{HOST}:{listener.getsockname()[1]}")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def announce_on_stdout(url: str) -> None:
    """Tell the parent process the address as one line of JSON."""
    sys.stdout.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


def _application(workspace: Workspace, file: BenchFile, settings: BenchSettings) -> FastAPI:
    from nkloop.vendor import VendorClient, answers_folder
    from nkloop.virtual.app import create_app
    from nkloop.virtual.book import WorldBook
    from nkloop.virtual.robot.robot import VirtualRobot
    from nkloop.virtual.routes import Home
    from nkloop.virtual.shared import BOOK
    from nkloop.virtual.world import World

    # The same folder as everywhere else: what the planner had analysed is not analysed again here.
    vendor = VendorClient(cache=answers_folder(workspace.state))
    state = settings.state
    book = WorldBook(World.create(workspace.root, file, settings.seed), None if state is None else state / BOOK)
    if settings.not_before is not None and settings.not_before > book.clock.now():
        book.wait_until(settings.not_before)
    robot = VirtualRobot(
        book,
        file.deck,
        vendor.analyse,
        folder=workspace.state / "virtual-robot",
        speed=settings.speed,
        name=file.name,
        memory=None if state is None else state / MEMORY,
        faults=settings.faults,
        compliance=_accounts() if settings.compliance else None,
        serial=kept_serial(state),
    )
    robot.on_power_loss = _vanish
    wall = None if settings.not_before is None else lambda: datetime.now(UTC)
    ledger = "" if state is None else str((state / BOOK).resolve())
    home = Home(workspace=str(workspace.root), bench=file.name, ledger=ledger)
    return create_app(book, robot, also_close=vendor.close, wall=wall, home=home)


def kept_serial(state: Path | None) -> str:
    """Serial number of a robot: the same for all that go on with one folder, a new one for each that forgets."""
    made = f"virtual-{secrets.token_hex(4)}"
    if state is None:
        return made
    kept = state / SERIAL
    if not kept.is_file():
        begun = kept.with_suffix(".new")
        begun.write_text(made, encoding="utf-8")
        begun.replace(kept)  # whole or not at all, whenever the process is killed
    return kept.read_text(encoding="utf-8").strip()


def _accounts() -> Compliance:
    from nkloop.virtual.robot.compliance import ALL_SCOPES, Compliance

    return Compliance({USER: (PASSWORD, ALL_SCOPES)}, now=time.monotonic)


def _vanish() -> None:
    """End as a computer without power does: at once, with nothing tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def _bound(port: int) -> socket.socket:
    # asyncio switches Nagle off only on sockets that say they are TCP; with it every small answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        remedy = "choose another port, or 0 for a free one"
        raise BenchError(f"port {port} on {HOST} cannot be used: {error}", remedy=remedy) from error
    listener.listen(128)
    return listener


def _end_with(parent: int) -> None:
    """End this process when it is no longer a child of `parent`, gracefully first."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    _end()


def _end_unused(folder: Path) -> None:
    """End this process when no command uses the bench of a folder."""
    from nkloop.virtual.shared import wait_until_unused

    wait_until_unused(folder, PARENT_POLL_SECONDS)
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS + 1)
    os._exit(1)
