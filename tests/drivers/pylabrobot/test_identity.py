"""Which device it is that answers: asked over its wire or the network, without moving it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from nkloop.drivers.interfaces import Identified
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.handler import PyLabRobotHandler
from nkloop.errors import DeviceUnreachableError
from nkloop.labware import Catalogue

_HAMILTON = "liquid_handling.backends.hamilton"


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a STAR with eight channels was asked; its serial number is 1234 unless another one is written first."""
    asked: list[str] = []
    answers = {
        "C0RI": "C0RIid0001er00/00si2020sn1234sn0000",
        "C0RT": "C0RTid0001er00/00rt0 0 0 0 0 0 0 0",
        "C0RF": "C0RFid0001er00/00rf7.6S 2020-01-01 A",
    }
    base = adapter.named(f"{_HAMILTON}.base:HamiltonLiquidHandler", "test")

    async def noted(name: str) -> None:
        asked.append(name)

    async def answer(self: Any, id_: Any, cmd: str, *_: Any, **__: Any) -> str:
        serial = asked[0] if asked[0].isdigit() else "1234"
        asked.append(cmd[:4])
        return answers[cmd[:4]].replace("1234", serial)

    monkeypatch.setattr(base, "setup", lambda self: noted("open"))
    monkeypatch.setattr(base, "stop", lambda self: noted("close"))
    monkeypatch.setattr(base, "_write_and_read_command", answer)
    return asked


def a_star(catalogue: Catalogue, **settings: Any) -> PyLabRobotHandler:
    return PyLabRobotHandler("star", model="star", catalogue=catalogue, **settings)


async def test_a_star_tells_its_serial_number_without_being_initialised(catalogue: Catalogue, wire: list[str]) -> None:
    star = a_star(catalogue)
    assert isinstance(star, Identified)
    assert await star.serial_number() == "1234"
    assert wire == ["open", "C0RI", "close"]
    await star.close()


async def test_a_star_without_a_number_in_its_firmware_is_known_by_the_one_of_its_bench_file(
    catalogue: Catalogue, wire: list[str]
) -> None:
    wire.append("0000")
    named, unnamed = a_star(catalogue, backend_settings={"serial_number": "5678"}), a_star(catalogue)
    assert (await named.serial_number(), await unnamed.serial_number()) == ("5678", "")
    for star in (named, unnamed):
        await star.close()


async def test_a_look_at_a_star_moves_nothing(catalogue: Catalogue, wire: list[str]) -> None:
    """PyLabRobot's own setup lifts the channels of a STAR that is initialised, whatever it is told to skip."""
    star = a_star(catalogue)
    found = {one.subject: one for one in await star._family({}).look()}
    assert found["channels"].ok
    assert found["channels"].found == "8 channels"
    assert set(wire) == {"open", "C0RT", "C0RF", "close"}
    await star.close()


async def test_while_a_run_is_under_way_its_wire_is_left_alone(
    catalogue: Catalogue, wire: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    star = a_star(catalogue)
    await star.serial_number()
    monkeypatch.setattr(star, "_under_way", lambda: object())
    assert await star.serial_number() == "1234"
    assert wire.count("open") == 1
    await star.close()


async def test_an_ot2_is_asked_over_the_network(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "away":
            raise httpx.ConnectError("no route to host")
        return httpx.Response(200, json={"robot_serial": "OT2-7"})

    client = httpx.AsyncClient
    monkeypatch.setattr(
        httpx, "AsyncClient", lambda **told: client(transport=httpx.MockTransport(answer), **told)
    )  # fmt: skip
    there, away = (
        PyLabRobotHandler("ot2", model="ot2", catalogue=catalogue, backend_settings={"host": host})
        for host in ("here", "away")
    )
    assert await there.serial_number() == "OT2-7"
    with pytest.raises(DeviceUnreachableError, match="no route to host"):
        await away.serial_number()
    for ot2 in (there, away):
        await ot2.close()


@pytest.mark.parametrize("model", ["star", "evo150"])
async def test_a_device_that_tells_none_is_taken_for_the_same(catalogue: Catalogue, model: str) -> None:
    """PyLabRobot asks an EVO for none; a simulated device has none."""
    device = PyLabRobotHandler("device", model=model, catalogue=catalogue, simulated=model == "star")
    assert await device.serial_number() == ""
    await device.close()
