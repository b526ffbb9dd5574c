"""Steps that fail: what each channel moved as far as anybody knows, and tips that are dropped."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace as Kit
from typing import Any

import pytest

from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.handler import PyLabRobotHandler
from nkloop.worklists.models import Worklist

Make = Callable[..., PyLabRobotHandler]
EIGHT = tuple(range(8))


def star_error(channels: tuple[int, ...], reason: str) -> Exception:
    """What PyLabRobot raises when a STAR answers that these channels failed."""
    star = "liquid_handling.backends.hamilton.STAR_backend"
    codes = {"clot": "03/81", "no liquid": "06/70", "no tip": "08/75", "drive": "02/52"}
    answer = adapter.named(f"{star}:star_firmware_string_to_error", "test")(
        error_code_dict={f"P{channel + 1}": codes[reason] for channel in channels}, raw_response="C0DSid0001er99/00"
    )
    error: Exception = adapter.named(f"{star}:convert_star_firmware_error_to_plr_error", "test")(answer)
    return error


class Broken:
    """One operation of a backend that fails on some channels, or altogether."""

    def __init__(self, channels: tuple[int, ...] = (), *, reason: str = "clot", writes: bool = True) -> None:
        self.channels, self.reason, self.writes = channels, reason, writes

    def into(self, handler: PyLabRobotHandler, operation: str) -> None:
        async def fail(*_: Any, **__: Any) -> None:
            if self.writes:
                await handler.backend._write_and_read_command(None, "C0XX")
            if self.channels:
                raise star_error(self.channels, self.reason)
            raise TimeoutError("no answer within 30 s")

        setattr(handler.backend, operation, fail)


@pytest.mark.parametrize(
    ("operation", "fault", "event", "moved", "detail"),
    [
        pytest.param(
            "pick_up_tips", Broken((7,), reason="no tip"), "failed", 0, "channel 7: No tip", id="a tip not picked up"
        ),
        pytest.param("pick_up_tips", Broken((7,), reason="drive"), "failed", 0, "channel 7: Dis", id="a tip, blocked"),
        pytest.param("aspirate", Broken((2,)), "unknown", 0, "350 µL drawn from trough A1 are", id="one did not draw"),
        pytest.param("aspirate", Broken(EIGHT, reason="no liquid"), "failed", 0, "8 of 8", id="nobody drew"),
        pytest.param("aspirate", Broken(EIGHT), "unknown", 0, "Clot detected", id="all may have drawn"),
        pytest.param("aspirate", Broken(), "unknown", 0, "no answer within 30 s", id="no answer"),
        pytest.param("aspirate", Broken(writes=False), "failed", 0, "no answer", id="nothing was written"),
        pytest.param("dispense", Broken((0, 1)), "unknown", 300, "100 µL of it arrived in part", id="two did not give"),
    ],
)
async def test_a_failed_step_says_what_is_known(
    make: Make, worklist: Worklist, kit: Kit, operation: str, fault: Broken, event: str, moved: float, detail: str
) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    fault.into(handler, operation)
    await handler.play(run_id)
    state = await kit.until(handler, run_id)
    told = handler.on_step
    assert state.status == "failed"
    assert state.errors[0].startswith("step 1 of small: ")
    assert told.events == [(1, "sent"), (1, event)]
    assert sum(told.moved[1]) == moved
    assert detail in told.details[1]


def tips_left(handler: PyLabRobotHandler, run_id: str) -> list[int]:
    """Channels with a tip, by what PyLabRobot believes."""
    return [channel for channel in EIGHT if handler.run(run_id)._frontend.head[channel].has_tip]


async def test_tips_that_seven_of_eight_channels_took_are_dropped(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    Broken((7,), reason="no tip").into(handler, "pick_up_tips")
    await handler.play(run_id)
    await kit.until(handler, run_id)
    assert tips_left(handler, run_id) == []
    assert handler.backend.sent[-1].startswith("C0TR")


async def test_parked_tips_that_seven_of_eight_channels_took_again_are_dropped(make: Make, kit: Kit) -> None:
    worklist = kit.a_worklist(
        kit.transfer(1, "trough:A1", "plate:A1", 20, "tips_50:A1", channels=8),
        kit.transfer(2, "trough:A1", "plate:A2", 20, "tips_50:A2"),
        kit.transfer(3, "trough:A1", "plate:A3", 20, channels=8),
    )
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    pick_up, count = handler.backend.pick_up_tips, 0

    async def third_fails(*args: Any, **kwargs: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise star_error((7,), "no tip")
        await pick_up(*args, **kwargs)

    handler.backend.pick_up_tips = third_fails
    await handler.play(run_id)
    state = await kit.until(handler, run_id)
    assert "channel 7: No tip picked up" in state.errors[0]
    assert tips_left(handler, run_id) == []


@pytest.mark.parametrize(("operation", "moved"), [("aspirate", ()), ("dispense", (0.0,))])
async def test_a_plunger_that_stopped_in_its_movement_may_have_moved_a_part(
    make: Make, kit: Kit, operation: str, moved: tuple[float, ...]
) -> None:
    worklist = kit.a_worklist(kit.transfer(1, "trough:A1", "plate:A1", 30, "tips_50:A1"))
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    Broken((0,), reason="drive").into(handler, operation)
    await handler.play(run_id)
    await kit.until(handler, run_id)
    assert handler.on_step.events == [(1, "sent"), (1, "unknown")]
    assert handler.on_step.moved[1] == moved
    assert "Dispensing drive movement error" in handler.on_step.details[1]


async def test_all_liquid_arrived_before_a_mix_failed_so_the_volumes_are_known(make: Make, kit: Kit) -> None:
    step = kit.transfer(1, "trough:A1", "plate:A1", 30, "tips_50:A1", mix_after=3, mix_volume_ul=10)
    worklist = kit.a_worklist(step)
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    dispense = handler.backend.dispense

    async def gives_once(*args: Any, **kwargs: Any) -> None:
        await dispense(*args, **kwargs)
        Broken((0,), reason="no liquid").into(handler, "aspirate")

    handler.backend.dispense = gives_once
    await handler.play(run_id)
    await kit.until(handler, run_id)
    assert handler.on_step.events == [(1, "sent"), (1, "failed")]
    assert handler.on_step.moved[1] == (30.0,)


async def test_a_mix_cut_short_with_liquid_in_the_tip_is_unknown(make: Make, kit: Kit) -> None:
    worklist = kit.a_worklist(
        kit.transfer(1, "trough:A1", "plate:A1", 30, "tips_50:A1", mix_before=2, mix_volume_ul=10)
    )
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    Broken((0,)).into(handler, "dispense")
    await handler.play(run_id)
    await kit.until(handler, run_id)
    assert handler.on_step.events == [(1, "sent"), (1, "unknown")]
    assert handler.on_step.moved[1] == ()
