"""One thread and loop per device, one call at a time, whoever asks; cancelling does not cut a call short."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nkloop.drivers.pylabrobot.owner import DeviceOwner
from nkloop.errors import DeviceError


class Device:
    """Notices two calls at once and remembers who called."""

    def __init__(self) -> None:
        self.busy, self.threads, self.done = 0, set[int](), list[int]()
        self.loops = set[int]()

    async def work(self, number: int) -> int:
        self.busy += 1
        assert self.busy == 1, "two calls at once"
        self.threads.add(threading.get_ident())
        self.loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.005)
        self.busy -= 1
        self.done.append(number)
        return number


def test_calls_from_many_loops_and_threads_reach_the_device_one_after_the_other() -> None:
    owner, device = DeviceOwner("star"), Device()

    async def several(first: int) -> list[int]:
        return await asyncio.gather(*(owner.call(lambda n=n: device.work(n)) for n in range(first, first + 4)))

    threads = [threading.Thread(target=lambda i=i: asyncio.run(several(10 * i))) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owner.close()
    assert sorted(device.done) == sorted(10 * i + n for i in range(3) for n in range(4))
    assert len(device.threads) == len(device.loops) == 1
    assert not device.threads & {threading.get_ident()}


async def test_a_cancelled_caller_leaves_the_call_to_its_end() -> None:
    owner, device = DeviceOwner("star"), Device()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(owner.call(lambda: device.work(1)), 0.001)
    assert await owner.call(lambda: device.work(2)) == 2
    assert device.done == [1, 2]
    owner.close()


async def test_what_the_device_raises_reaches_the_caller() -> None:
    owner = DeviceOwner("star")

    async def fail() -> None:
        raise DeviceError("no channel 9", where="star")

    with pytest.raises(DeviceError, match="no channel 9"):
        await owner.call(fail)
    owner.close()
    owner.close()
    assert not owner.is_running


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeoutError(), "it does not shake: TimeoutError. Remedy: look at it"),
        (OSError("wire cut"), "it does not shake: wire cut. Remedy: look at it"),
        (ImportError("pyusb is not installed"), "it does not shake: pyusb is not installed. Remedy: install the wires"),
    ],
)
async def test_what_a_driver_raises_is_told_in_one_sentence(error: Exception, told: str) -> None:
    async def work() -> None:
        raise error

    owner = DeviceOwner("shaker")
    try:
        with pytest.raises(DeviceError) as caught:
            await owner.asked(work, "it does not shake", "look at it", "slot 3")
    finally:
        owner.close()
    assert str(caught.value).startswith(f"slot 3: {told}")
