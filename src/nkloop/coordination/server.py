"""A Prefect server of our own, on 127.0.0.1, as a child process that is stopped by its process id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from nkloop.coordination.settings import environment
from nkloop.errors import DeviceUnreachableError

START_SECONDS = 90.0
STOP_SECONDS = 10.0


@dataclass
class PrefectServer:
    """A running Prefect server."""

    process: subprocess.Popen[bytes]
    port: int
    environment: dict[str, str]
    """What a client must have in its environment to use this server."""
    log: Path
    temporary: bool = False
    """True when nothing of it is to be kept."""

    @classmethod
    def launch(cls, home: Path, *, port: int = 0, temporary: bool = False) -> PrefectServer:
        """Start the server and return at once; `wait` tells when it answers. `port` 0 takes a free one."""
        home.mkdir(parents=True, exist_ok=True)
        port = port or _free_port()
        settings = environment(home, f"http://127.0.0.1:{port}/api", temporary=temporary)
        log = home / "server.log"
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
        with log.open("ab") as stream:
            process = subprocess.Popen(
                command,
                env={**os.environ, **settings, "PREFECT_UI_API_URL": settings["PREFECT_API_URL"]},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl+C reaches us alone; we stop the server when the flows have ended
            )
        return cls(process, port, settings, log, temporary)

    @property
    def url(self) -> str:
        """Address of the user interface."""
        return f"http://127.0.0.1:{self.port}"

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Return when the server answers.

        Raises:
            DeviceUnreachableError: it ended or did not answer in time.
        """
        deadline = time.monotonic() + seconds
        with httpx.Client(timeout=2, verify=False, trust_env=False) as client:
            while time.monotonic() < deadline and self.process.poll() is None:
                with contextlib.suppress(httpx.HTTPError):
                    if client.get(f"{self.url}/api/health").status_code == httpx.codes.OK:
                        return
                time.sleep(0.1)
        raise DeviceUnreachableError(
            f"the Prefect server did not answer at {self.url} within {seconds:g} s",
            where=str(self.log),
            remedy="read the end of its log; another program may hold the port",
        )

    def stop(self) -> None:
        """Stop the server by its process id; kill it when it does not go."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGKILL if self.temporary else signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
