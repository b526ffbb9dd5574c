"""Starts a virtual bench as a subprocess and stops it again."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from nkloop.errors import BenchError

START_SECONDS = 30.0
STOP_SECONDS = 5.0


class VirtualBench:
    """A running virtual bench; stop it, or leave its `with` block. It also ends when this process does."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process = process
        self.url = url

    @classmethod
    def start(
        cls,
        workspace: Path,
        *,
        log: Path,
        speed: float = 0.0,
        seed: int = 1,
        port: int = 0,
        bench: str = "virtual",
        faults: Sequence[str] = (),
        state: Path | None = None,
        not_before: datetime | None = None,
        shared: Path | None = None,
    ) -> Self:
        """Start the bench of a workspace and return once it answers.

        `log` takes what the bench writes on stderr. `port` 0 takes a free one. `speed` is bench seconds per wall
        second, 0 as fast as possible. `faults` shall happen. With a `state` folder, a bench started on it again has
        the same wells, tips and time, and its robot knows what a real one would. Its clock is moved on
        to `not_before`, a time with zone, when it is behind.
        With `shared`, a folder, it ends with the last command that uses it (`nkloop.virtual.shared`), not with this
        process.

        Raises:
            BenchError: it ended or stayed silent instead of answering; the message quotes its log.
        """
        settings = {"workspace": workspace, "bench": bench, "port": port, "speed": speed, "seed": seed}
        options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        options += [part for name in faults for part in ("--fault", name)]
        options += [] if state is None else ["--state", str(state)]
        options += [] if not_before is None else ["--not-before", not_before.isoformat()]
        options += ["--parent", str(os.getpid())] if shared is None else ["--shared", str(shared)]
        return cls.launch([sys.executable, "-m", "nkloop.virtual", *options], log=log)

    @classmethod
    def launch(cls, command: list[str], *, log: Path) -> Self:
        """Start a command that tells its address on stdout as a bench does, in a process group of its own.

        Raises:
            BenchError: it ended or stayed silent instead of answering.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + START_SECONDS
        with log.open("ab") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            assert process.stdout is not None
            with process.stdout as output:
                bench = cls(process, _announced(output, deadline, log))
            _wait_for_health(bench, deadline, log)
        except BaseException:  # Ctrl+C included: a process nobody has in hand would run for ever
            _end(process)
            raise
        return bench

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """False once the process has ended."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process, gently first; does nothing when it has ended already."""
        _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _announced(output: IO[bytes], deadline: float, log: Path) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        is_ready = bool(selector.select(max(deadline - time.monotonic(), 0)))
    line = output.readline() if is_ready else b""
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError, TypeError) as error:
        reason = "told no address" if is_ready else f"was silent for {START_SECONDS:g} s"
        raise _failure(reason, log) from error


def _wait_for_health(bench: VirtualBench, deadline: float, log: Path) -> None:
    request = urllib.request.Request(f"{bench.url}/health", headers={"Opentrons-Version": "*"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        try:
            with opener.open(request, timeout=max(deadline - time.monotonic(), 0.1)):
                return
        except (urllib.error.URLError, OSError):
            if not bench.is_running:
                raise _failure("ended before it answered", log) from None
            time.sleep(0.05)
    raise _failure(f"did not answer within {START_SECONDS:g} s", log)


def _failure(reason: str, log: Path) -> BenchError:
    told = log.read_text(errors="replace").strip()[-2000:] or "nothing"
    return BenchError(
        f"the virtual bench {reason}; it wrote: {told}",
        where=str(log),
        remedy="mend what the log names, or start it by hand with `nkloop virtual-robot` to see it",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
