"""The fence is asked after the token and right before every request that changes the robot, the second one too."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from nkloop.errors import StaleHolderError
from nkloop.virtual.robot.compliance import ALL_SCOPES, Compliance

ACCOUNT = {"username": "ada", "password": "secret", "reason": "NK dosing by nkloop"}
CHANGE, TOKEN = "POST /runs", "POST /auth/oauth2/token"


@pytest.fixture
def gate() -> Compliance:
    return Compliance({"ada": ("secret", ALL_SCOPES)}, now=time.monotonic, token_seconds=60.0)


def listen(lab: Any) -> list[str]:
    """What is sent and when the fence is asked, in its order."""
    heard: list[str] = []
    deliver = lab.wire.handle_async_request

    async def carry(request: httpx.Request) -> httpx.Response:
        heard.append(f"{request.method} {request.url.path}")
        return await deliver(request)

    lab.wire.handle_async_request = carry
    lab.bench.liquid_handler.fence = lambda: heard.append("fence")
    return heard


async def test_the_fence_comes_after_the_token_and_again_before_a_second_attempt(
    open_lab: Any, gate: Compliance
) -> None:
    async with open_lab("lab", compliance=gate, driver={"account": ACCOUNT}) as lab:
        heard = listen(lab)
        await lab.bench.liquid_handler._client.post("/runs", {})
        assert heard == [TOKEN, "fence", CHANGE]
        heard.clear()
        gate.tokens.clear()
        await lab.bench.liquid_handler._client.post("/runs", {})
        assert heard == ["fence", CHANGE, TOKEN, "fence", CHANGE]


async def test_a_robot_taken_over_while_a_token_is_fetched_is_not_changed(open_lab: Any, gate: Compliance) -> None:
    async with open_lab("lab", compliance=gate, driver={"account": ACCOUNT}) as lab:
        heard = listen(lab)

        def taken_over() -> None:
            raise StaleHolderError("another process holds the robot")

        lab.bench.liquid_handler.fence = taken_over
        with pytest.raises(StaleHolderError):
            await lab.bench.liquid_handler._client.post("/runs", {})
        assert heard == [TOKEN]
