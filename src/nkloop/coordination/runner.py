"""Serves every flow of a workspace as a deployment; run as `python -m nkloop.coordination.runner WORKSPACE BENCH`."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any, cast

from nkloop.coordination.choices import keep_offered
from nkloop.coordination.loading import load_flow
from nkloop.coordination.locks import ensure_limits
from nkloop.drivers.bench import load_bench_file
from nkloop.errors import NkloopError
from nkloop.records import Records
from nkloop.runs.session import bench_path
from nkloop.workspace import Workspace

logger = logging.getLogger(__name__)
FLOWS = (
    "prepare_medium",
    "dose_cytokines",
    "run_cytotoxicity_assay",
    "improve_recipe",
    "run_campaign",
    "watch_inbox",
    "reconcile_run",
)


async def deployments(workspace: Workspace, bench: str) -> list[Any]:
    """One deployment per flow, named after it and tagged with the bench.

    Runs wait for each other at the locks of their bench. A concurrency limit of the deployment would not do: Prefect
    gives its slot up when a run pauses for a person, and ends the run when the lease is to be renewed.
    """
    from prefect.flows import Flow

    made = []
    for name in FLOWS:
        flow: Any = await cast(Any, Flow.from_source)(source=str(workspace.root), entrypoint=f"flows/{name}.py:{name}")
        made.append(
            await flow.to_deployment(
                name=flow.name,
                description=(flow.description or "").strip(),
                tags=["nkloop", bench],
                enforce_parameter_schema=True,
            )
        )
    return made


async def main(root: Path, bench: str) -> None:
    """Serve until the process is told to stop."""
    from prefect import aserve

    workspace = Workspace.find(root)
    await ensure_limits(load_bench_file(bench_path(workspace, bench)).locks)
    served = await deployments(workspace, bench)
    beside = [
        asyncio.create_task(_recovered(workspace, bench)),
        asyncio.create_task(_offered(workspace)),
    ]
    try:
        await aserve(*served)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _offered(workspace: Workspace) -> None:
    """Keep the lists of the forms up to date."""
    from prefect.utilities.callables import parameter_schema

    flows = [getattr(load_flow(workspace.root / "flows" / f"{name}.py"), name) for name in FLOWS]
    records = Records.open(workspace.state)
    try:
        await keep_offered(workspace, records, {flow.name: parameter_schema(flow).model_dump() for flow in flows})
    finally:
        records.close()


async def _recovered(workspace: Workspace, bench: str) -> None:
    """Close what an interruption left open on the bench before this service was started."""
    from nkloop.runs.recovery import recover
    from nkloop.runs.session import open_session

    try:
        async with open_session(workspace.root, bench) as session:
            for found in await recover(session):
                logger.warning("%s (%s) was left open: %s", found.run.id, found.run.name, found.told)
    except NkloopError as error:  # the flows ask again when they start, and refuse then
        logger.warning("what was left open on %s is not closed yet: %s", bench, error)
    except Exception:  # nobody awaits this task, so nobody else would tell
        logger.exception("what was left open on %s is not closed yet", bench)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
