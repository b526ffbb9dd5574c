"""The client of the vendor environment: Opentrons analysis, labware definitions, instrument files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nkloop.errors import Problem, VendorError
from nkloop.vendor.analysis import Analysis
from nkloop.vendor.cache import DiskCache
from nkloop.vendor.process import WorkerDied, WorkerProcess

Json = dict[str, Any]

CLOSE_SECONDS = 5.0
"""Longest wait for jobs that were cancelled."""
CSV_PARAMETER = "worklist"
"""Variable name of the one CSV run-time parameter a protocol may have."""


class VendorClient:
    """Asks warm worker processes; any number of jobs may be under way, each worker does one at a time.

    Belongs to the event loop it is first used in. Workers start when they are needed, are restarted when they die,
    and end with `close`, or by themselves when this process ends in whatever way.
    """

    def __init__(
        self,
        cache: Path | None = None,
        workers: int = 1,
        *,
        job_seconds: float = 120.0,
        start_seconds: float = 600.0,
        script: Path | None = None,
    ) -> None:
        """`cache` is a folder for answers (`answers_folder`); None keeps none. Limits are per job, in seconds."""
        self._script = script or Path(str(files("nkloop.vendor").joinpath("worker.py")))
        self._job_seconds = job_seconds
        self._workers = [WorkerProcess(self._script, start_seconds) for _ in range(workers)]
        self._cache_folder = cache
        self._jobs: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> Json:
        """Warm every worker up; return the versions in the vendor environment.

        Raises:
            VendorError: the environment does not start.
        """
        versions: list[Json] = await asyncio.gather(*(self._ask("ping", {}) for _ in self._workers))
        return versions[0]

    async def close(self) -> None:
        """Cancel the jobs under way, so that none of them starts a worker again, and end every worker."""
        jobs = self._jobs - {asyncio.current_task()}
        for job in jobs:
            job.cancel()
        if jobs:
            await asyncio.wait(jobs, timeout=CLOSE_SECONDS)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run."""
        return tuple(worker.pid for worker in self._workers if worker.pid)

    async def analyse(
        self,
        protocol: Path,
        *,
        csv: str = "",
        labware: Sequence[Json] = (),
        values: Json | None = None,
        job_seconds: float | None = None,
    ) -> Analysis:
        """Analyse a protocol with its worklist CSV, custom labware definitions and other run-time values.

        A protocol that fails is an answer, told in `Analysis.errors`.

        Raises:
            VendorError: the file cannot be read, or the worker could not do the job.
            VendorTimeoutError: the job ran past its limit.
        """
        asked = {
            "name": protocol.name,
            "protocol": _text_of(protocol),
            "csv": csv,
            "csv_parameter": CSV_PARAMETER,
            "labware": list(labware),
            "values": values or {},
        }
        return Analysis.from_worker(await self._cached("analyse", asked, job_seconds), protocol.name)

    async def validate_labware(self, definition: Json) -> tuple[Problem, ...]:
        """What the maker's schema and loader refuse in a labware definition.

        Raises:
            VendorError: the worker could not do the job.
        """
        where = str(definition.get("parameters", {}).get("loadName", "labware definition"))
        refused = await self._cached("validate_labware", {"definition": definition})
        return tuple(
            Problem(sentence, where, "correct the definition after the Opentrons labware schema 2")
            for sentence in refused
        )

    async def labware_definition(self, load_name: str, namespace: str = "opentrons", version: int = 1) -> Json:
        """The maker's own definition of a standard labware.

        Raises:
            VendorError: there is no such definition.
        """
        asked = {"load_name": load_name, "namespace": namespace, "version": version}
        definition: Json = await self._cached("labware_definition", asked)
        return definition

    async def parse_instrument_file(self, path: Path, vendor: str) -> Json:
        """An instrument file as an Allotrope simple model; `vendor` is a name allotropy knows (`BMG_MARS`).

        Raises:
            VendorError: the file cannot be read as a file of that vendor.
        """
        asked = {"path": _readable(path), "vendor": vendor}
        content = {**asked, "sha256": _sha256(path)}  # the path is named in the answer
        parsed: Json = await self._cached("parse_instrument_file", asked, content=content)
        return parsed

    async def _cached(self, job: str, asked: Json, seconds: float | None = None, *, content: Json | None = None) -> Any:
        """Answer to a job; `content` is what it depends on, where that is more than what is sent."""
        key = self._cache.key(job, content or asked)
        answer = self._cache.get(key)
        if answer is None:
            answer = await self._ask(job, asked, seconds)
            self._cache.put(key, answer)
        return answer

    async def _ask(self, job: str, asked: Json, seconds: float | None = None) -> Any:
        """Wait for a free worker; when it dies under the job, try once more with a new process."""
        task = asyncio.current_task()
        assert task is not None
        self._jobs.add(task)
        try:
            worker = await self._free.get()
        except BaseException:
            self._jobs.discard(task)
            raise
        try:
            for attempt in (1, 2):
                await worker.start()
                try:
                    return await worker.ask(job, asked, seconds or self._job_seconds)
                except WorkerDied as death:
                    if attempt == 2:
                        raise VendorError(
                            f"the vendor environment died twice at this job; it last said: {death}",
                            where=str(asked.get("name", job)),
                            remedy="run the protocol in the Opentrons App to see what it does; see `nkloop doctor`",
                        ) from death
            raise AssertionError("unreachable")
        finally:
            self._jobs.discard(task)
            self._free.put_nowait(worker)

    @cached_property
    def _free(self) -> asyncio.LifoQueue[WorkerProcess]:
        # The last one used comes first: it is the one that is warm.
        queue: asyncio.LifoQueue[WorkerProcess] = asyncio.LifoQueue()
        for worker in reversed(self._workers):
            queue.put_nowait(worker)
        return queue

    @cached_property
    def _cache(self) -> DiskCache:
        return DiskCache(self._cache_folder, sha256(self._script.read_bytes()).hexdigest())


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VendorError(f"the file cannot be read ({error})", where=str(path), remedy="check the path") from error


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _readable(path: Path) -> str:
    """Absolute path of a file that is there; the worker runs elsewhere."""
    if not path.is_file():
        raise VendorError("there is no such file", where=str(path), remedy="check the path")
    return str(path.resolve())
