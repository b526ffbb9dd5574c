"""Serves every flow of a workspace as a deployment; run as `python -m nkloop.coordination.runner WORKSPACE BENCH`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

from nkloop.coordination.locks import ensure_limits
from nkloop.drivers.bench import load_bench_file
from nkloop.runs.session import bench_path
from nkloop.workspace import Workspace

FLOWS = ("prepare_medium", "dose_cytokines", "run_cytotoxicity_assay", "improve_recipe", "run_campaign", "watch_inbox")


async def deployments(workspace: Workspace, bench: str) -> list[Any]:
    """One deployment per flow, named after it and tagged with the bench; robots take one run at a time, others wait."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.flows import Flow

    made = []
    for name in FLOWS:
        flow: Any = await cast(Any, Flow.from_source)(source=str(workspace.root), entrypoint=f"flows/{name}.py:{name}")
        limit = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)
        made.append(
            await flow.to_deployment(
                name=flow.name,
                description=(flow.description or "").strip(),
                tags=["nkloop", bench],
                enforce_parameter_schema=True,
                concurrency_limit=limit,
            )
        )
    return made


async def main(root: Path, bench: str) -> None:
    """Serve until the process is told to stop."""
    from prefect import aserve

    workspace = Workspace.find(root)
    await ensure_limits(load_bench_file(bench_path(workspace, bench)).locks)
    await aserve(*await deployments(workspace, bench))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
