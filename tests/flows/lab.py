"""A workspace with a virtual bench, on which flows are run as their forms would run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client

from nkloop.coordination.loading import load_flow
from nkloop.records import Records
from nkloop.runs.session import Session, open_session
from nkloop.virtual.process import VirtualBench
from nkloop.workspace import Workspace

FLOWS = Path(__file__).resolve().parents[2] / "flows"


@dataclass(frozen=True)
class Lab:
    """A workspace and its virtual bench."""

    workspace: Workspace
    bench: VirtualBench
    name: str = "virtual"
    """Name of the bench."""

    def flow(self, name: str, **fields: Any) -> Any:
        """Run a flow as its form would."""
        (ended,) = self.flows((name, fields))
        return ended

    def flows(self, *wanted: tuple[str, dict[str, Any]]) -> list[Any]:
        """Run flows one after the other in one session, which starts one environment for their analyses."""

        async def run(session: Session) -> list[Any]:
            ended = []
            for name, fields in wanted:
                module = load_flow(FLOWS / f"{name}.py")
                model = getattr(module, "".join(part.capitalize() for part in name.split("_")))
                ended.append(await getattr(module, name)(model(**fields)))
            return ended

        return list(self.session(run))

    def session(self, work: Callable[[Session], Any]) -> Any:
        """Do something in a session of this workspace; the flows share it."""

        async def inside() -> Any:
            async with open_session(self.workspace.root, self.name) as session:
                return await work(session)

        with self.address():
            return asyncio.run(inside())

    @contextlib.contextmanager
    def address(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NKLOOP_VIRTUAL_URL", self.bench.url)
            patch.delenv("NKLOOP_DATABASE_URL", raising=False)
            yield

    @contextlib.contextmanager
    def records(self) -> Iterator[Records]:
        opened = Records.open(self.workspace.state)
        yield opened
        opened.close()

    def ask(self, path: str) -> Any:
        """What the bench itself says."""
        request = urllib.request.Request(f"{self.bench.url}{path}", headers={"Opentrons-Version": "*"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)


def artifacts(key: str) -> list[str]:
    """Data of the artifacts with this key, newest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    async def read() -> list[str]:
        async with get_client() as client:
            found = await client.read_artifacts(
                artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])), limit=50
            )
            return [str(one.data) for one in sorted(found, key=lambda one: str(one.created), reverse=True)]

    return asyncio.run(read())


async def resumed(answer: dict[str, Any]) -> None:
    """Answer the next question that waits on the server."""
    async with get_client() as client:
        while True:
            for run in await client.read_flow_runs():
                if run.state is not None and run.state.is_paused():
                    await client.resume_flow_run(run.id, run_input=answer)
                    return
            await asyncio.sleep(0.1)
