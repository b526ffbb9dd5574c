"""Single operations on a front end with tracking: refused before anything is booked, put right after a failure."""

from __future__ import annotations

import asyncio
import math
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.pipetting import Pipetting, side_by_side
from nkloop.drivers.pylabrobot.registry import family_of, simulation_settings
from nkloop.drivers.pylabrobot.resources import Table
from nkloop.errors import BenchError, DeviceError
from nkloop.labware import Catalogue
from nkloop.worklists.models import Filling, Liquid, Worklist

EIGHT = tuple(range(8))


class Bench:
    """A simulated STAR with the small worklist's deck; column 1 of the plate holds 200 µL, H1 only 100."""

    def __init__(self, worklist: Worklist, catalogue: Catalogue) -> None:
        water = Liquid(name="water", per_ul={"water": 1.0})
        fillings = tuple(
            Filling(labware="plate", well=f"{row}1", volume_ul=100 if row == "H" else 200, liquid=water)
            for row in "ABCDEFGH"
        )
        worklist = worklist.model_copy(update={"fillings": (*worklist.fillings, *fillings)})
        family = family_of("star", simulation_settings("star", worklist, catalogue), dict(worklist.pipettes))
        self.table = Table(worklist, catalogue, family)
        self.backend = family.backend(simulated=True)
        self.frontend = adapter.named("liquid_handling:LiquidHandler", "test")(self.backend, self.table.deck)
        self.arm = Pipetting(self.frontend, "star", lambda: family.n_sent)
        self.waste = family.trash(self.table.deck, 8)

    def column(self, number: int) -> list[Any]:
        return self.table.wells("plate", f"A{number}", 8)

    def volumes(self, number: int = 1) -> list[float]:
        return [well.tracker.get_used_volume() for well in self.column(number)]


@pytest_asyncio.fixture
async def bench(worklist: Worklist, catalogue: Catalogue) -> AsyncIterator[Bench]:
    adapter.switch_on()
    made = Bench(worklist, catalogue)
    await made.frontend.setup()
    outcome = await made.arm.pick_up(made.table.spots("tips_1000", "A1", 8), EIGHT)
    assert outcome.is_done
    yield made
    await made.frontend.stop()


BEFORE = [200.0] * 7 + [100.0]


async def test_a_well_that_holds_too_little_leaves_the_other_seven_untouched(bench: Bench) -> None:
    n_sent = len(bench.backend.sent)
    with pytest.raises(DeviceError, match="plate_H1 holds 100 µL, 150 µL are to be drawn"):
        await bench.arm.aspirate(bench.column(1), 150, EIGHT)
    assert bench.volumes() == BEFORE
    assert [bench.arm.held_ul(channel) for channel in EIGHT] == [0.0] * 8
    assert len(bench.backend.sent) == n_sent
    assert (await bench.arm.aspirate(bench.column(1), 100, EIGHT)).is_done
    assert bench.volumes() == [100.0] * 7 + [0.0]


@pytest.mark.parametrize("volume", [0.0, -5.0, math.nan, math.inf])
async def test_what_is_no_volume_is_refused(bench: Bench, volume: float) -> None:
    with pytest.raises(DeviceError, match="is not a volume above 0"):
        await bench.arm.aspirate(bench.column(1), volume, EIGHT)
    with pytest.raises(DeviceError, match="is not a volume above 0"):
        await bench.arm.dispense(bench.column(1), volume, EIGHT)
    assert bench.volumes() == BEFORE


async def test_tips_rooms_and_spots_are_checked_first(bench: Bench) -> None:
    trough = bench.table.wells("trough", "A1", 8)
    assert (await bench.arm.aspirate(trough, 300, EIGHT)).is_done
    with pytest.raises(DeviceError, match="plate_A1 has room for 100 µL, not 300 µL"):
        await bench.arm.dispense(bench.column(1), 300, EIGHT)
    with pytest.raises(DeviceError, match="the tip on channel 0 holds 300 µL, not 310 µL"):
        await bench.arm.dispense(trough, 310, EIGHT)
    with pytest.raises(DeviceError, match=r"has room for .* not 900 µL"):
        await bench.arm.aspirate(trough, 900, EIGHT)
    with pytest.raises(DeviceError, match="channel 0 holds a tip already"):
        await bench.arm.pick_up(bench.table.spots("tips_1000", "A2", 8), EIGHT)
    assert (await bench.arm.drop(bench.waste, EIGHT)).is_done
    with pytest.raises(DeviceError, match="there is no tip at"):
        await bench.arm.pick_up(bench.table.spots("tips_1000", "A1", 8), EIGHT)
    with pytest.raises(DeviceError, match="channel 3 holds no tip"):
        await bench.arm.aspirate(bench.column(1)[:1], 10, (3,))


async def test_channels_that_fail_are_named_and_only_the_others_have_moved(bench: Bench) -> None:
    failures = adapter.named("liquid_handling.errors:ChannelizedError", "test")

    async def broken(*_: Any, **__: Any) -> None:
        await bench.backend._write_and_read_command(None, "C0AS")
        raise failures(errors={2: RuntimeError("clot"), 5: RuntimeError("no liquid")})

    bench.backend.aspirate = broken
    outcome = await bench.arm.aspirate(bench.column(1), 50, EIGHT)
    assert outcome.moved == (True, True, False, True, True, False, True, True)
    assert not outcome.is_certain, "a clot is found after something was drawn"
    assert "2 of 8 channels failed (channel 2: clot; channel 5: no liquid)" in str(outcome.error)
    assert bench.volumes() == [150.0, 150.0, 200.0, 150.0, 150.0, 200.0, 150.0, 50.0]
    assert [bench.arm.held_ul(channel) for channel in EIGHT] == [50, 50, 0, 50, 50, 0, 50, 50]
    assert pickle.loads(pickle.dumps(outcome.error)).problems == outcome.error.problems  # type: ignore[union-attr]


@pytest.mark.parametrize(("writes", "is_certain"), [(False, True), (True, False)])
async def test_an_error_is_certain_only_when_nothing_had_been_written(
    bench: Bench, writes: bool, is_certain: bool
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        if writes:
            await bench.backend._write_and_read_command(None, "C0AS")
        raise TimeoutError

    bench.backend.aspirate = broken
    outcome = await bench.arm.aspirate(bench.column(1), 50, EIGHT)
    assert (outcome.is_done, outcome.is_certain) == (False, is_certain)
    assert "TimeoutError" in str(outcome.error)
    assert bench.volumes() == BEFORE


async def test_a_cancelled_operation_books_nothing(bench: Bench) -> None:
    async def endless(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    bench.backend.aspirate = endless
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bench.arm.aspirate(bench.column(1), 100, EIGHT), 0.01)
    assert bench.volumes() == BEFORE
    assert bench.arm.held_ul(0) == 0.0


async def test_tracking_and_strictness_are_set_again_before_every_operation(bench: Bench) -> None:
    resources, strictness = adapter.part("resources"), adapter.part("liquid_handling.strictness")
    resources.set_volume_tracking(False)
    strictness.set_strictness(strictness.Strictness.IGNORE)
    assert (await bench.arm.aspirate(bench.column(1), 50, EIGHT)).is_done
    assert bench.volumes()[0] == 150.0
    outcome = await bench.arm.dispense(bench.column(1), 50, EIGHT, no_such_argument=1)
    assert "no_such_argument" in str(outcome.error)
    assert outcome.is_certain


def test_channels_in_a_trough_stand_nine_millimetres_apart_the_first_at_the_back() -> None:
    assert [place.y for place in side_by_side(8)] == [31.5, 22.5, 13.5, 4.5, -4.5, -13.5, -22.5, -31.5]
    assert [place.y for place in side_by_side(2, backwards=-1)] == [-4.5, 4.5]


def test_no_labware_is_fetched_from_the_network() -> None:
    adapter.switch_on()
    try:
        racks = adapter.part("resources.opentrons.tip_racks")
    except ModuleNotFoundError:
        pytest.skip("this release has no Opentrons racks that could be fetched")
    with pytest.raises(BenchError, match="would fetch a labware definition"):
        racks.opentrons_96_tiprack_300ul("rack")
