"""Serves a virtual bench until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nkloop.errors import BenchError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from nkloop.drivers.bench_file import BenchFile
    from nkloop.workspace import Workspace

HOST = "127.0.0.1"
PARENT_POLL_SECONDS = 0.5
GRACE_SECONDS = 3
Announce = Callable[[str], None]
"""Told the address once the port is bound."""


def serve_virtual_bench(
    workspace: Path,
    port: int,
    speed: float,
    seed: int,
    bench: str = "virtual",
    *,
    announce: Announce | None = None,
    parent: int | None = None,
) -> None:
    """Serve the virtual bench of a workspace; see `serve` for port, `announce` and `parent`.

    `speed` is bench seconds per wall second, 0 as fast as possible.

    Raises:
        BenchError: no such bench file, a wrong one, a speed below 0, or a port that cannot be used.
    """
    if not speed >= 0:
        raise BenchError(f"speed {speed:g} must be at least 0", remedy="use 1 for real time, 0 for as fast as possible")
    from nkloop.drivers.bench import load_bench_file
    from nkloop.workspace import Workspace

    found = Workspace(root=workspace.resolve())
    file = load_bench_file(found.devices / f"{bench}.yaml")
    serve(lambda: _application(found, file, speed, seed), port, announce=announce, parent=parent)


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
            application(), log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
        )
        if announce is not None:
            announce(f"http://{HOST}:{listener.getsockname()[1]}")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def announce_on_stdout(url: str) -> None:
    """Tell the parent process the address as one line of JSON."""
    sys.stdout.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


def _application(workspace: Workspace, file: BenchFile, speed: float, seed: int) -> FastAPI:
    from nkloop.vendor.client import VendorClient
    from nkloop.virtual.app import create_app
    from nkloop.virtual.robot.robot import VirtualRobot
    from nkloop.virtual.world import World

    # The same folder as everywhere else: what the planner had analysed is not analysed again here.
    vendor = VendorClient(cache=workspace.state / "analyses")
    world = World.create(workspace.root, file, seed)
    folder = workspace.state / "virtual-robot"
    robot = VirtualRobot(world, file.deck, vendor.analyse, folder=folder, speed=speed, name=file.name)
    return create_app(world, robot, also_close=vendor.close)


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
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS + 1)
    os._exit(1)
