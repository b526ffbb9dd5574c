"""One warm vendor environment for all processes of the lab: worklists that follow a crash are analysed there."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

from nkloop.errors import NkloopError, VendorError
from nkloop.vendor import VendorClient

LONGEST_LINE = 256 * 1024 * 1024


class SharedVendor(VendorClient):
    """A vendor client whose jobs are done by the lab's analyst."""

    def __init__(self, address: str, cache: Path) -> None:
        """`address` is the analyst's socket; answers are kept in `cache`."""
        super().__init__(cache)
        self._address = address

    async def _ask(self, job: str, asked: dict[str, Any], seconds: float | None = None) -> Any:
        reader, writer = await asyncio.open_unix_connection(self._address, limit=LONGEST_LINE)
        writer.write(json.dumps({"job": job, "asked": asked}).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline())
        writer.close()
        if "error" in answer:
            raise VendorError(answer["error"], where=job, remedy="look at the analyst of the crash lab")
        return answer["result"]


def start_analyst() -> tuple[str, int]:
    """Fork the analyst; its address and process id. Its worker starts with the first job."""
    address = f"\0crash-lab-{os.getpid()}"
    process = multiprocessing.get_context("fork").Process(target=_run, args=(address,), name="analyst", daemon=True)
    process.start()
    assert process.pid is not None
    return address, process.pid


def _run(address: str) -> None:
    asyncio.run(_serve(address))


async def _serve(address: str) -> None:
    async with VendorClient() as vendor:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told = json.loads(await reader.readline())
            try:
                answer = {"result": await vendor._ask(told["job"], told["asked"])}
            except NkloopError as error:
                answer = {"error": str(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(answer, address, limit=LONGEST_LINE)
        await server.serve_forever()
