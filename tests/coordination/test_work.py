"""What the log of a flow says while a worklist is worked on."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.coordination import work


def test_a_check_that_takes_minutes_is_not_told_as_done(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    async def verify(worklist: Any) -> str:
        told.append(caplog.text)
        return "verdict"

    session: Any = SimpleNamespace(verifier=SimpleNamespace(verify=verify))
    worklist: Any = SimpleNamespace(name="feed culture-1")
    with caplog.at_level(logging.INFO, logger="nkloop.coordination.work"):
        assert asyncio.run(work._verify.fn(session, worklist)) == "verdict"
    assert "feed culture-1 is being checked" in told[0]
