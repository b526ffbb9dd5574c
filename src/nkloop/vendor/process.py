"""One worker process: started, asked one thing at a time, killed with all it started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from nkloop.errors import VendorError, VendorTimeoutError

_LONGEST_ANSWER = 512 * 1024 * 1024
_LINES_KEPT = 40


class WorkerDied(Exception):
    """The process ended before it answered; carries what it last wrote to stderr."""


class WorkerProcess:
    """A worker script in its own environment and its own session, so that Ctrl+C reaches only us."""

    def __init__(self, script: Path, start_seconds: float) -> None:
        """`start_seconds` includes building the environment on a fresh machine."""
        self._script = script
        self._start_seconds = start_seconds
        self._process: Process | None = None
        self._home: Path | None = None
        self._drain: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        self._last_id = 0

    @property
    def is_alive(self) -> bool:
        """True while the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Process id while it runs; it is also the id of its process group."""
        return self._process.pid if self._process and self.is_alive else None

    @property
    def last_words(self) -> str:
        """The last lines of stderr."""
        return "\n".join(self._said)

    async def start(self) -> None:
        """Start the process and wait until it is ready; does nothing when it runs.

        Raises:
            VendorError: it did not become ready; the message has the tail of its stderr.
        """
        if self.is_alive:
            return
        await self.kill()
        self._said.clear()
        self._home = Path(tempfile.mkdtemp(prefix="nkloop-vendor-"))
        try:
            self._process = await _uninterrupted(
                asyncio.create_subprocess_exec(
                    *_command(self._script),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=PIPE,
                    env=_environment(self._home),
                    start_new_session=True,
                    limit=_LONGEST_ANSWER,
                )
            )
            self._drain = asyncio.create_task(self._drain_stderr(self._process))
            async with asyncio.timeout(self._start_seconds):
                ready = await self._read_line()
            if not ready.get("ready"):
                raise WorkerDied
        except (WorkerDied, TimeoutError, OSError) as error:
            await self.kill()
            raise VendorError(
                f"the vendor environment did not start within {self._start_seconds:g} s"
                if isinstance(error, TimeoutError)
                else f"the vendor environment did not start: {self.last_words[-1500:] or error or 'it said nothing'}",
                where=str(self._script),
                remedy="see `nkloop doctor`; the first start needs a package index to build the environment",
            ) from error
        except BaseException:
            await self.kill()
            raise

    async def ask(self, job: str, request: dict[str, Any], seconds: float) -> Any:
        """Send one request and wait for its answer. A cancelled or overdue request kills the process.

        Raises:
            WorkerDied: the process ended before it answered.
            VendorTimeoutError: no answer within the time limit.
            VendorError: the worker answered that it could not do the job.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        self._last_id += 1
        line = json.dumps({**request, "id": self._last_id, "job": job}) + "\n"
        try:
            async with asyncio.timeout(seconds):
                with contextlib.suppress(ConnectionError):  # a dead process shows as the end of its answers
                    self._process.stdin.write(line.encode())
                    await self._process.stdin.drain()
                answer = await self._read_line()
                if answer.get("id") != self._last_id:
                    raise WorkerDied(f"answer {answer.get('id')} to request {self._last_id}")
        except TimeoutError as error:
            await self.kill()
            raise VendorTimeoutError(
                f"job {job} ran past its limit of {seconds:g} s",
                where=str(request.get("name") or request.get("path") or job),
                remedy="look for a loop without end in the protocol, or raise the limit",
            ) from error
        except BaseException:
            await self.kill()
            raise
        if not answer["ok"]:
            raise VendorError(answer["error"], where=job, remedy="correct what was asked")
        return answer["value"]

    async def close(self, seconds: float = 5.0) -> None:
        """Let the process end by closing its stdin; kill it when it does not."""
        if self._process is not None and self.is_alive:
            assert self._process.stdin is not None
            self._process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End the process and everything it started, and remove its folder; may run in two tasks at once."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if self._drain is not None:
                await asyncio.wait({self._drain}, timeout=2)
                self._drain.cancel()
            process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves the pipes open otherwise
            if self._process is process:
                self._process = None
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    async def _read_line(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            if self._drain is not None:
                await asyncio.wait({self._drain}, timeout=2)
            raise WorkerDied(self.last_words[-1500:])
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _drain_stderr(self, process: Process) -> None:
        """Read stderr without end: a full pipe would block the worker. Lines may be of any length."""
        assert process.stderr is not None
        rest = ""
        while chunk := await process.stderr.read(65536):
            *lines, rest = (rest + chunk.decode(errors="replace")).split("\n")
            rest = rest[-2000:]
            self._said.extend(line[:2000] for line in lines)
        if rest:
            self._said.append(rest)


async def _uninterrupted(spawning: Coroutine[Any, Any, Process]) -> Process:
    """Wait for a process to be made, also when cancelled: asyncio cancelled within this never comes back (3.11)."""
    task = asyncio.ensure_future(spawning)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        process = await task
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
        raise


def _command(script: Path) -> list[str]:
    import uv  # found beside this package, in a checkout and in a wheel

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--python", python, "--script", str(script)]


def _environment(home: Path) -> dict[str, str]:
    # Settings of the environment we run in must not leak into the worker's own.
    dropped = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "UV_PROJECT_ENVIRONMENT"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "NKLOOP_WORKER_HOME": str(home), "PYTHONUTF8": "1"}
