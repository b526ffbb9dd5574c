"""A Prefect server of our own, on 127.0.0.1, as a child process that is stopped by its process id."""

from __future__ import annotations

import contextlib
import errno
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
from nkloop.errors import DeviceError, DeviceUnreachableError

START_SECONDS = 240.0
"""A process that ended is noticed at once; one that starts on a busy machine is waited for this long."""
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
        """Start the server and return at once; `wait` tells when it answers. `port` 0 takes a free one.

        Raises:
            DeviceError: the port is taken.
        """
        if port:
            require_free(port)
        home.mkdir(parents=True, exist_ok=True)
        port = port or _free_port()
        settings = environment(home, f"http://127.0.0.1:{port}/api", temporary=temporary)
        log = home / "server.log"
        module = f"nkloop.coordination.{'temporary' if temporary else 'lasting'}_server"
        command = [sys.executable, "-m", "uvicorn", "--factory", f"{module}:create_app"]
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
                    answer = client.get(f"{self.url}/api/health")
                    # Another program on the port may have answered while ours went down because of it.
                    if answer.status_code == httpx.codes.OK and self.process.poll() is None:
                        return
                time.sleep(0.1)
        code = self.process.poll()
        reason = f"did not answer at {self.url} within {seconds:g} s"
        raise DeviceUnreachableError(
            f"the Prefect server {reason if code is None else f'ended by itself with code {code}'}",
            where=str(self.log),
            remedy="read the end of its log; another program may hold the port: choose one with --port N",
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


def require_free(port: int) -> None:
    """Refuse a port of 127.0.0.1 that cannot be listened on.

    Raises:
        DeviceError: another program listens there, or it takes more rights.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does; else closed ones count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (
                "is taken by another program" if error.errno == errno.EADDRINUSE else f"is refused: {error.strerror}"
            )
            raise DeviceError(
                f"port {port} of 127.0.0.1 {reason}", remedy=f"choose another with --port N, for example {port + 10}"
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
