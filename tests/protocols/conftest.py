"""One warm worker for all tests of a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from nkloop.vendor.client import VendorClient


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vendor() -> AsyncIterator[VendorClient]:
    async with VendorClient() as client:
        yield client
