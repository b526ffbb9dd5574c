"""Secrets out of Prefect blocks, for the `${block:NAME}` of bench files."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nkloop.errors import BenchError

_REMEDY = "save it as a Secret block: prefect block create secret, or Blocks in the Prefect UI; check PREFECT_API_URL"


def read_block(name: str) -> str:
    """The text a Prefect Secret block holds.

    Raises:
        BenchError: there is no such block, it holds no text, or the Prefect server does not answer.
    """
    try:
        # benches are opened inside event loops, and a loop cannot wait for itself
        with ThreadPoolExecutor(max_workers=1) as pool:
            value = pool.submit(asyncio.run, _loaded(name)).result()
    # Prefect raises ValueError for an absent block, its own errors for a silent server and httpx's for a broken one.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BenchError(f"Prefect block '{name}' cannot be read: {reason}", remedy=_REMEDY) from error
    if not isinstance(value, str) or not value:
        raise BenchError(f"Prefect block '{name}' holds no text", remedy=_REMEDY)
    return value


async def _loaded(name: str) -> Any:
    from prefect.blocks.system import Secret

    block: Any = await Secret.aload(name)
    return block.get()
