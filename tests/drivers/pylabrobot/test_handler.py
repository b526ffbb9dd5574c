"""Runs on simulated devices: told step by step and fenced; and what stands in their way before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace as Kit
from typing import Any

import pytest

from nkloop.drivers.interfaces import FoundRun, KeepsTips
from nkloop.drivers.pylabrobot import stations
from nkloop.drivers.pylabrobot.handler import PyLabRobotHandler
from nkloop.errors import BenchError, DeviceError, RecordError, StaleHolderError
from nkloop.labware import Catalogue
from nkloop.worklists.models import DeckItem, Step, Worklist

Make = Callable[..., PyLabRobotHandler]


async def test_every_step_is_told_before_and_after_with_what_each_channel_moved(
    make: Make, worklist: Worklist, kit: Kit
) -> None:
    handler = make(worklist)
    run_id, state = await kit.run_through(handler, worklist)
    told = handler.on_step
    assert state.status == "succeeded"
    assert told.events == [(n, event) for n in (1, 2, 3, 4) for event in ("sent", "done")]
    assert told.moved == {1: (50.0,) * 8, 2: (20.0,), 3: (), 4: (40.0,)}
    wells = handler.run(run_id).table
    assert wells.well("plate", "A1").tracker.get_used_volume() == pytest.approx(30)
    assert wells.well("plate", "B2").tracker.get_used_volume() == pytest.approx(20)
    kinds = [command.command_type for command in await handler.commands(run_id)]
    assert kinds.count("aspirate") == kinds.count("dispense") == 5
    assert kinds[-1] == "dropTip"
    assert await handler.files(run_id) == ()


async def test_sent_is_told_before_anything_of_the_step_is_written(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    written: dict[tuple[int, str], int] = {}

    def told(number: int, event: str, **_: Any) -> None:
        written[number, event] = len(handler.backend.sent)

    handler.on_step = told
    await kit.run_through(handler, worklist)
    assert written[1, "sent"] == 0
    assert written[1, "sent"] < written[1, "done"] == written[2, "sent"] < written[2, "done"]


async def test_the_fence_is_asked_before_every_operation(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    asked: list[int] = []
    handler.fence = lambda: asked.append(len(handler.backend.sent))
    await kit.run_through(handler, worklist)
    assert set(range(len(handler.backend.sent))) <= {0, *asked} | {1}  # the first pick-up also defines the tip


async def test_a_pause_shows_its_instruction_and_waits(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    assert (await handler.state(run_id)).status == "idle"
    await handler.play(run_id)
    state = await kit.until(handler, run_id, "paused")
    assert (state.status, state.pause_message) == ("paused", "step 3: Incubate 5 min")
    n_sent = len(handler.backend.sent)
    assert handler.backend.sent[-1].startswith("C0TR"), "tips are dropped before people come near"
    await asyncio.sleep(0.02)
    assert len(handler.backend.sent) == n_sent
    await handler.play(run_id)
    assert (await kit.until(handler, run_id)).status == "succeeded"
    await handler.play(run_id)
    assert handler.on_step.events.count((4, "sent")) == 1


async def test_a_stale_holder_sends_nothing_more_not_even_to_drop_tips(
    make: Make, worklist: Worklist, kit: Kit
) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)

    def fence() -> None:
        if len(handler.backend.sent) >= 3:
            raise StaleHolderError("another process has taken the device over", where="star")

    handler.fence = fence
    await handler.play(run_id)
    state = await kit.until(handler, run_id)
    assert state.status == "failed"
    assert "another process" in state.errors[0]
    assert [sent[:4] for sent in handler.backend.sent] == ["C0TT", "C0TP", "C0AS"]
    assert handler.on_step.events[-1] == (1, "failed")
    assert handler.on_step.moved[1] == (0.0,) * 8


async def test_a_journal_that_cannot_be_written_stops_the_run_before_the_step(
    make: Make, worklist: Worklist, kit: Kit
) -> None:
    handler = make(worklist)

    def told(number: int, event: str, **_: Any) -> None:
        if (number, event) == (2, "sent"):
            raise RecordError("the disk is full", where="records.db")

    handler.on_step = told
    _, state = await kit.run_through(handler, worklist)
    assert state.status == "failed"
    assert "the disk is full" in state.errors[0]
    assert sum(sent.startswith("C0DS") for sent in handler.backend.sent) == 1


async def test_both_pipettes_share_the_channels_and_a_tip_needed_later_is_parked(make: Make, kit: Kit) -> None:
    worklist = kit.a_worklist(
        kit.transfer(1, "trough:A1", "plate:A1", 20, "tips_50:A1"),
        kit.transfer(2, "trough:A1", "plate:A2", 20, "tips_50:A2", channels=8),
        kit.transfer(3, "trough:A1", "plate:A1", 20),
        kit.transfer(4, "trough:A1", "plate:A3", 20, "tips_50:A3", channels=8),
        kit.transfer(5, "trough:A1", "plate:B1", 20, "tips_50:B1"),
    )
    handler = make(worklist)
    run_id, state = await kit.run_through(handler, worklist)
    assert state.errors == ()
    commands = [(c.command_type, c.params.get("wellName")) for c in await handler.commands(run_id)]
    tips = [command for command in commands if "Tip" in command[0]]
    assert tips == [
        ("pickUpTip", "A1"),
        ("returnTip", "A1"),
        ("pickUpTip", "A2"),
        ("dropTip", None),
        ("pickUpTip", "A1"),
        ("dropTip", None),
        ("pickUpTip", "A3"),
        ("dropTip", None),
        ("pickUpTip", "B1"),
        ("dropTip", None),
    ]
    assert handler.run(run_id).table.well("plate", "A1").tracker.get_used_volume() == pytest.approx(40)


async def test_liquid_classes_give_flow_blow_out_and_correction_by_what_is_drawn(make: Make, kit: Kit) -> None:
    cells = {
        "name": "cells",
        "components": ("effector:*",),
        "aspirate_ul_s": 80,
        "dispense_ul_s": 60,
        "blow_out_ul": 2,
        "correction": ({"wanted_ul": 10, "commanded_ul": 11}, {"wanted_ul": 100, "commanded_ul": 102}),
        "source": "weighed",
    }
    water = {"name": "water", "aspirate_ul_s": 200, "dispense_ul_s": 150, "source": "guess"}
    worklist = kit.a_worklist(
        kit.transfer(1, "trough:A1", "plate:A1", 20, "tips_50:A1"),
        kit.transfer(2, "trough:A2", "plate:A2", 40, "tips_50:B1", flow_factor=0.5),
    )
    handler = make(worklist, liquid_classes=(cells, water))
    await kit.run_through(handler, worklist)
    drawn = [sent for sent in handler.backend.sent if sent.startswith("C0AS")]
    assert "as2000" in drawn[0]
    assert "av00413" in drawn[1]  # 40 µL wanted: 11 + 30/90 * 91 = 41.33
    assert "as0400" in drawn[1]
    assert "ba0020" in drawn[1]


async def test_shakers_and_temperature_devices_do_their_work_and_people_the_rest(make: Make, kit: Kit) -> None:
    shake = Step(number=1, action="shake", labware="plate", seconds=60, rpm=600)
    deck = list(kit.a_worklist(shake).deck)
    deck[0] = deck[0].model_copy(update={"temperature_c": 4.0, "module": "temperatureModuleV2"})
    worklist = kit.a_worklist(shake, Step(number=2, action="delay", seconds=600), deck=tuple(deck))
    devices = (
        {"slot": "A1", "kind": "temperature", "model": "inheco_cpac", "settings": {"index": 1}},
        {"slot": "B1", "kind": "heater_shaker", "model": "simulated"},
    )
    handler = make(worklist, stations=devices)
    _, state = await kit.run_through(handler, worklist)
    assert state.status == "succeeded"
    opened = handler._stations.open
    stopped = [("stop", 0.0), ("unlock", 0.0)]
    assert opened["B1"].asked == [*stopped, ("lock", 0.0), ("shake", 600), *stopped]
    assert opened["A1"].asked == [("temperature", 4.0)]

    alone = make(worklist)
    run_id = await alone.prepare(worklist)
    await alone.play(run_id)
    messages = []
    while (state := await kit.until(alone, run_id, "paused")).status == "paused":
        messages.append(state.pause_message)
        await alone.play(run_id)
    assert state.status == "succeeded"
    assert messages == [
        "Bring trough in slot A1 to 4 °C: this bench has no device that does it.",
        "step 1: Shake plate at 600 rpm for 60 s, put it back.",
    ]


async def test_a_shaker_that_a_killed_program_left_shaking_stands_still_before_the_first_step(
    make: Make, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlives = stations.SimulatedStation()
    outlives.asked.append(("shake", 300))

    async def same(self: stations.Stations, station: Any) -> Any:
        return outlives

    monkeypatch.setattr(stations.Stations, "_build", same)
    worklist = kit.a_worklist(kit.transfer(1, "trough:A1", "plate:A1", 30, "tips_50:A1"))
    handler = make(worklist, stations=({"slot": "B1", "kind": "shaker", "model": "simulated"},))
    asked_before: list[int] = []
    handler.on_step = lambda number, event, **_: asked_before.append(len(outlives.asked))
    _, state = await kit.run_through(handler, worklist)
    assert state.status == "succeeded"
    assert outlives.asked == [("shake", 300), ("stop", 0.0), ("unlock", 0.0)]
    assert asked_before[0] == 3

    await kit.run_through(handler, worklist)
    assert len(outlives.asked) == 3, "what this program has stopped is not asked again"


@pytest.mark.parametrize(("model", "keeps"), [("star", False), ("evo150", True), ("ot2", True)])
def test_only_a_star_drops_the_tips_that_a_killed_program_left(
    make: Make, worklist: Worklist, model: str, keeps: bool
) -> None:
    handler = make(worklist, model)
    assert isinstance(handler, KeepsTips)
    assert handler.keeps_tips == keeps


async def test_a_run_lives_in_this_process_only(make: Make, worklist: Worklist, kit: Kit) -> None:
    first, second = make(worklist), make(worklist)
    run_id, _ = await kit.run_through(first, worklist)
    assert await first.find_runs(worklist) == (FoundRun(id=run_id, is_played=True),)
    assert await second.find_runs(worklist) == ()
    with pytest.raises(DeviceError, match=r"remembers nothing after a restart.*reconcile"):
        await second.state(run_id)


async def test_only_one_run_at_a_time(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    run_id = await handler.prepare(worklist)
    await handler.play(run_id)
    await kit.until(handler, run_id, "paused")
    with pytest.raises(DeviceError, match=f"run {run_id} is paused"):
        await handler.prepare(worklist)
    busy = next(finding for finding in await handler.preflight(worklist) if finding.subject == "other runs")
    assert (busy.ok, busy.found) == (False, f"run {run_id} is paused")


# -- preflight ----------------------------------------------------------------------------------------------------


async def refusals(handler: PyLabRobotHandler, worklist: Worklist) -> dict[str, tuple[str, str]]:
    """Findings that stand in the way, by subject."""
    return {f.subject: (f.found, f.remedy) for f in await handler.preflight(worklist) if not f.ok}


async def test_a_worklist_that_fits_has_nothing_in_its_way(make: Make, worklist: Worklist) -> None:
    assert await refusals(make(worklist), worklist) == {}


async def test_what_does_not_fit_the_deck_is_told_with_what_to_do(make: Make, worklist: Worklist, kit: Kit) -> None:
    handler = make(worklist)
    extra = (
        DeckItem(nickname="lost", slot="D3", load_name="corning_96_wellplate_360ul_flat"),
        DeckItem(nickname="strange", slot="A1", load_name="no_such_plate"),
        DeckItem(nickname="misplaced", slot="C1", load_name="corning_96_wellplate_360ul_flat"),
        DeckItem(nickname="foreign", slot="C2", load_name="opentrons_96_filtertiprack_20ul"),
    )
    wrong = await refusals(handler, worklist.model_copy(update={"deck": (*worklist.deck, *extra)}))
    assert wrong["lost"][0] == "slot D3 is on no carrier"
    assert "carriers" in wrong["lost"][1]
    assert wrong["strange"][0] == "labware no_such_plate is not known"
    assert "takes tips" in wrong["misplaced"][0]
    assert "cannot take the tips of opentrons_96_filtertiprack_20ul" in wrong["foreign"][0]


async def test_labware_too_tall_for_its_carrier_is_refused(make: Make, kit: Kit) -> None:
    deck = (
        DeckItem(nickname="trough", slot="A1", load_name="nest_12_reservoir_15ml"),
        DeckItem(nickname="tubes", slot="B1", load_name="opentrons_15_tuberack_nest_15ml_conical"),
        DeckItem(nickname="tips_50", slot="C1", load_name="opentrons_flex_96_filtertiprack_50ul"),
    )
    worklist = kit.a_worklist(kit.transfer(1, "trough:A1", "tubes:A1", 20, "tips_50:A1"), deck=deck)
    low = make(worklist)
    assert await refusals(low, worklist) == {}
    high = make(
        worklist,
        carriers=(
            {"rail": 1, "kind": "TIP_CAR_480_A00", "slots": ("C1",)},
            {"rail": 8, "kind": "PLT_CAR_L5AC_A00", "slots": ("A1", "B1")},
        ),
    )
    found, remedy = (await refusals(high, worklist))["deck"]
    assert "tubes ends" in found
    assert "channels pass at 245 mm" in found
    assert "flat" in remedy


async def test_volumes_and_stations_out_of_range_are_refused(make: Make, kit: Kit) -> None:
    worklist = kit.a_worklist(
        kit.transfer(1, "trough:A1", "plate:A1", 2, "tips_50:A1"),
        Step(number=2, action="shake", labware="plate", seconds=1, rpm=3000),
    )
    evo = make(worklist, "evo150", stations=({"slot": "B1", "kind": "shaker", "model": "inheco_thermoshake"},))
    wrong = await refusals(evo, worklist)
    assert wrong["step 1"][0] == "2 µL is outside 3 to inf µL"
    assert wrong["shaking plate"][0] == "the shaker in slot B1 does 100 to 2000 rpm, 3000 rpm is asked"


async def test_a_real_tecan_needs_taught_heights(catalogue: Catalogue, worklist: Worklist, kit: Kit) -> None:
    settings = kit.simulation_settings("evo150", worklist, catalogue).model_dump(exclude_defaults=True)
    taught = {"corning_96_wellplate_360ul_flat": {"start": 1900, "dispense": 1950, "end": 2000}}
    evo = PyLabRobotHandler("evo", model="evo150", catalogue=catalogue, heights=taught, **settings)
    wrong = await refusals(evo, worklist)
    assert wrong["tip waste"][0] == "its place is not taught"
    assert wrong["nest_12_reservoir_15ml"][0] == "its heights are not taught"
    assert "corning_96_wellplate_360ul_flat" not in wrong
    await evo.close()


async def test_an_ot2_refuses_eight_channels_and_slots_of_a_flex(make: Make, worklist: Worklist) -> None:
    wrong = await refusals(make(worklist, "ot2"), worklist)
    assert "one channel of an OT-2 only" in wrong["right pipette"][0]
    assert "nkloop.drivers.opentrons" in wrong["right pipette"][1]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": "no_such_robot"}, "liquid handler 'no_such_robot' is not known.*starlet"),
        ({"carriers": ({"rail": 1, "kind": "flat", "slots": ("A1", "A1")},)}, "slot A1 is on two carrier sites"),
        ({"colour": "red"}, "colour"),
        ({"stations": ({"slot": "A1", "kind": "shaker", "model": "no_such"},)}, "station 'no_such' is not known"),
        (
            {
                "model": "evo100",
                "liquid_classes": (
                    {"name": "w", "aspirate_ul_s": 1, "dispense_ul_s": 1, "blow_out_ul": 5, "source": "x"},
                ),
            },
            "takes no correction and no blow-out for a Tecan",
        ),
        (
            {
                "liquid_classes": (
                    {
                        "name": "w",
                        "aspirate_ul_s": 1,
                        "dispense_ul_s": 1,
                        "source": "x",
                        "correction": (
                            {"wanted_ul": 10, "commanded_ul": 12},
                            {"wanted_ul": 20, "commanded_ul": 11},
                        ),
                    },
                )
            },
            "the correction must rise",
        ),
    ],
)
def test_settings_that_do_not_fit_are_told(catalogue: Catalogue, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(BenchError, match=told):
        PyLabRobotHandler("star", catalogue=catalogue, **{"model": "star", **settings})


@pytest.mark.parametrize(
    ("carriers", "told"),
    [
        (({"rail": 1, "kind": "NO_SUCH_CARRIER", "slots": ("A1",)},), "has no NO_SUCH_CARRIER"),
        (({"rail": 1, "kind": "flat", "slots": ("A1",) + (None,) * 5},), "it has 5 sites, 6 slots are named"),
        (
            (
                {"rail": 1, "kind": "flat", "slots": ("A1",)},
                {"rail": 3, "kind": "flat", "slots": ("A2",)},
            ),
            "already occupied",
        ),
        (({"rail": 55, "kind": "flat", "slots": ("A1",)},), "does not fit"),
    ],
)
async def test_a_deck_that_cannot_be_built_is_told_by_an_inspection(
    catalogue: Catalogue, carriers: Any, told: str
) -> None:
    from nkloop.worklists.bench_deck import BenchDeck, PipetteAccuracy, PipetteSpec

    accuracy = (PipetteAccuracy(volume_ul=50, systematic_percent=1, random_cv_percent=1),)
    pipette = PipetteSpec(
        mount="left",
        load_name="flex_1channel_1000",
        channels=1,
        min_volume_ul=5,
        max_volume_ul=1000,
        accuracy=accuracy,
        source="x",
    )
    handler = PyLabRobotHandler("star", model="star", catalogue=catalogue, simulated=True, carriers=carriers)
    found = await handler.inspect(BenchDeck(model="flex", pipettes=(pipette,)))
    assert any(told in finding.found and not finding.ok for finding in found), found
    await handler.close()
