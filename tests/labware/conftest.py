"""One warm worker for all tests of a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from nkloop.vendor import VendorClient, answers_folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vendor() -> AsyncIterator[VendorClient]:
    async with VendorClient(answers_folder()) as client:
        yield client
