"""Pipetting error, carry-over, dead volume, spills, tips; and that nothing ever vanishes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import DeviceError
from nkloop.virtual.containers import Contents, total
from nkloop.virtual.pipetting import PipetteError, interpolate
from nkloop.virtual.world import World

STOCK = ("tubes", "A1")


def three(kit: Any, world: World, volume: float = 10_000) -> Any:
    """Tips, a rack with IL-15 stock in A1 and base in B1, a trough with base, a 96-well plate."""
    deck = kit.deck()
    deck.put("tips", "A1", "tips_1000").put("tubes", "B1", "tubes_15ml").put("trough", "B2", "trough_1")
    deck.put("plate", "C2", "assay_96", barcode="P1")
    deck.fill("tubes", "A1", volume, "IL-15").fill("tubes", "B1", volume, "GBGM")
    deck.fill("tubes", "C1", 5000, "line:K-562", cells=100.0).fill("trough", "A1", 100_000, "GBGM")
    deck.load(world)
    return kit.script(world, deck)


def everything(world: World, script: Any) -> Contents:
    """All that exists: wells, tips, drains."""
    wells = [
        w
        for c in {id(c): c for c in [*world.deck.values(), *world.containers.values()]}.values()
        for w in c.wells.values()
    ]
    tips = [tip.contents for p in script.execution._pipettes.values() for tip in p.tips]
    return total([*wells, *tips, *world.drains.values()])


def test_a_transfer_moves_about_what_was_asked(kit: Any, world: World) -> None:
    script = three(kit, world)
    script.move(STOCK, ("plate", "C5"), 100)
    well = world.containers["P1"].wells["C5"]
    assert well.volume_ul == pytest.approx(100, rel=0.03)
    assert well.volume_ul != 100
    assert well.amounts["IL-15"] == pytest.approx(100 * 100, rel=0.15)
    assert world.incidents == []


def test_eight_channels_reach_a_column_and_one_trough(kit: Any, world: World) -> None:
    script = three(kit, world)
    before = world.nicknames["trough"].wells["A1"].volume_ul
    script.move(("trough", "A1"), ("plate", "A3"), 50, mount="right")
    wells = world.containers["P1"].wells
    assert sorted(wells) == [f"{row}3" for row in "ABCDEFGH"]
    assert before - world.nicknames["trough"].wells["A1"].volume_ul == pytest.approx(
        sum(w.volume_ul for w in wells.values()), rel=0.002
    )


def test_a_nozzle_layout_of_one_uses_one_channel(kit: Any, world: World) -> None:
    script = three(kit, world)
    script.do("configureNozzleLayout", pipetteId="right", configurationParams={"style": "SINGLE"})
    script.move(("trough", "A1"), ("plate", "A3"), 50, mount="right")
    assert list(world.containers["P1"].wells) == ["A3"]


def test_four_front_nozzles_reach_four_rows_and_leave_the_other_tips(kit: Any, world: World) -> None:
    script = three(kit, world)
    layout = {"style": "QUADRANT", "primaryNozzle": "H1", "frontRightNozzle": "H1", "backLeftNozzle": "E1"}
    script.do("configureNozzleLayout", pipetteId="right", configurationParams=layout)
    script.do("pickUpTip", pipetteId="right", labwareId="tips", wellName="D1")
    script.draw("trough", "A1", 50, "right").give("plate", "F3", 50, "right").drop("right")
    assert sorted(world.containers["P1"].wells) == ["C3", "D3", "E3", "F3"]
    assert world.nicknames["tips"].used_tips == {"A1", "B1", "C1", "D1"}
    script.do("configureNozzleLayout", pipetteId="right", configurationParams={"style": "ALL"})
    script.do("pickUpTip", pipetteId="right", labwareId="tips", wellName="A2")
    script.draw("trough", "A1", 50, "right").give("plate", "A4", 50, "right").drop("right")
    assert len(world.containers["P1"].wells) == 12
    assert world.incidents == []


def test_a_kept_tip_carries_a_thousandth_over(kit: Any, world: World) -> None:
    script = three(kit, world)
    script.tip().draw("tubes", "A1", 500).give("plate", "A1", 250).give("plate", "A2", 250)
    script.draw("tubes", "B1", 200).give("plate", "A4", 200).drop()
    carried = world.containers["P1"].wells["A4"].amounts["IL-15"]
    assert 0 < carried < 0.004 * 500 * 100
    assert world.drains["tips"].volume_ul > 0


def test_drawing_more_than_there_is_draws_air_and_leaves_the_residual(kit: Any, world: World) -> None:
    script = three(kit, world, volume=400)
    script.do("comment", message="step 7: take the last drop").tip().draw("tubes", "A1", 500)
    assert world.nicknames["tubes"].wells["A1"].volume_ul == pytest.approx(0.3 * 300)
    (incident,) = world.incidents
    assert (incident.kind, incident.step) == ("air_drawn", 7)
    assert incident.volume_ul == pytest.approx(500 - 310, rel=0.1)


def test_overfilling_spills(kit: Any, world: World) -> None:
    script = three(kit, world)
    script.move(STOCK, ("plate", "A1"), 300).move(STOCK, ("plate", "A1"), 100)
    assert world.containers["P1"].wells["A1"].volume_ul == pytest.approx(330)
    assert world.drains["spill"].volume_ul == pytest.approx(70, rel=0.1)
    assert [i.kind for i in world.incidents] == ["spill"]


def test_a_tip_is_there_only_once(kit: Any, world: World) -> None:
    script = three(kit, world)
    for _ in range(2):
        script.do("pickUpTip", pipetteId="left", labwareId="tips", wellName="A1").drop()
    script.draw("tubes", "A1", 100)
    assert [i.message for i in world.incidents] == [
        "tips_1000 has no tip at A1 any more",
        "the left pipette has no tip; nothing moves",
    ]
    assert world.nicknames["tubes"].wells["A1"].volume_ul == 10_000


def test_an_empty_slot_gives_air_and_a_wrong_labware_is_noticed(kit: Any, world: World) -> None:
    script = three(kit, world)
    del world.deck["B1"]
    script.tip().draw("tubes", "A1", 100)
    assert [i.kind for i in world.incidents] == ["wrong_labware", "air_drawn"]
    world.deck["B1"] = world.deck["C2"]
    script.draw("tubes", "A1", 1)
    assert "expects tubes_15ml" in world.incidents[2].message


def test_the_robot_can_throw_liquid_away_and_move_labware(kit: Any, world: World) -> None:
    script = three(kit, world)
    script.tip().draw("tubes", "A1", 100)
    script.do("moveToAddressableArea", pipetteId="left", addressableAreaName="movableTrashA3")
    script.do("dispenseInPlace", pipetteId="left", volume=100, flowRate=100)
    assert world.drains["waste"].volume_ul == pytest.approx(100, rel=0.03)
    script.do("moveLabware", labwareId="plate", newLocation={"slotName": "D2"})
    assert world.deck["D2"].barcode == "P1"
    script.draw("tubes", "A1", 50).do("moveToWell", pipetteId="left", labwareId="plate", wellName="B2")
    script.do("dispenseInPlace", pipetteId="left", volume=50, flowRate=100)
    assert world.containers["P1"].wells["B2"].volume_ul == pytest.approx(50, rel=0.03)


def test_what_was_never_loaded_is_refused(kit: Any, world: World) -> None:
    script = three(kit, world)
    with pytest.raises(DeviceError, match="pipette nobody was never loaded"):
        script.do("dropTipInPlace", pipetteId="nobody")
    with pytest.raises(DeviceError, match="labware ghost was never loaded"):
        script.tip().draw("ghost", "A1", 10)
    with pytest.raises(DeviceError, match="has no well Z9"):
        script.draw("tubes", "Z9", 10)


def test_cells_are_drawn_only_from_a_mixed_tube(kit: Any, world: World) -> None:
    script = three(kit, world)
    world.clock.advance(3600)
    cells = ("tubes", "C1")
    script.move(cells, ("plate", "A1"), 100).move(cells, ("plate", "A2"), 100, mix_before=800)
    settled, mixed = (world.containers["P1"].wells[name].cells("target", "lysed") for name in ("A1", "A2"))
    assert settled < 0.1 * mixed
    assert mixed == pytest.approx(10_000, rel=0.3)


def test_a_shake_suspends_and_a_module_heats(kit: Any, world: World) -> None:
    script = three(kit, world)
    world.clock.advance(3600)
    script.do("loadModule", model="heaterShakerModuleV1", location={"slotName": "B1"})
    script.execution._load_module({"location": {"slotName": "B1"}}, {"moduleId": "hs"})
    script.do("heaterShaker/setAndWaitForShakeSpeed", moduleId="hs", rpm=500)
    script.do("heaterShaker/setTargetTemperature", moduleId="hs", celsius=37)
    tubes = world.nicknames["tubes"]
    assert tubes.wells["C1"].cell_share(world.clock.seconds) == 1.0
    assert tubes.temperature_c == 37


ACTION = st.tuples(
    st.sampled_from(["draw", "give", "blow", "drop", "trash"]),
    st.sampled_from(["tubes", "trough", "plate"]),
    st.sampled_from(["A1", "B1", "C1"]),
    st.floats(1, 1000),
    st.sampled_from(["left", "right"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTION, max_size=25), seed=st.integers(0, 5))
def test_nothing_vanishes_whatever_the_robot_does(
    kit: Any, actions: list[tuple[str, str, str, float, str]], seed: int
) -> None:
    world = kit.make_world(seed)
    script = three(kit, world)
    before = everything(world, script)
    for what, labware, well, volume, mount in actions:
        well = "A1" if labware == "trough" or mount == "right" else well
        labware = "trough" if mount == "right" and labware == "tubes" else labware
        if what in {"draw", "give"} and not script.execution._pipettes[mount].tips:
            script.tip(mount)
        if what == "draw":
            script.draw(labware, well, volume, mount)
        elif what == "give":
            script.give(labware, well, volume, mount)
        elif what == "blow":
            script.do("blowout", pipetteId=mount, labwareId=labware, wellName=well, flowRate=700)
        elif what == "trash":
            script.do("moveToAddressableArea", pipetteId=mount, addressableAreaName="trash")
            script.do("blowOutInPlace", pipetteId=mount, flowRate=700)
        else:
            script.drop(mount)
    after = everything(world, script)
    assert after.volume_ul == pytest.approx(before.volume_ul)
    for key, amount in before.amounts.items():
        assert after.amounts[key] == pytest.approx(amount), key
    assert all(w.volume_ul >= -1e-9 for c in world.deck.values() for w in c.wells.values())


def test_the_same_seed_moves_the_same_volumes(kit: Any) -> None:
    def volumes(seed: int) -> list[float]:
        world = kit.make_world(seed)
        script = three(kit, world)
        for column in range(1, 6):
            script.move(STOCK, ("plate", f"A{column}"), 50)
        return [well.volume_ul for well in world.containers["P1"].wells.values()]

    assert volumes(3) == volumes(3)
    assert volumes(3) != volumes(4)


def test_error_follows_the_specification(kit: Any) -> None:
    spec = kit.bench_deck(systematic=2.0, random=0.5).pipettes[0]
    assert interpolate(spec.accuracy, 1, "systematic_percent") == 10
    assert interpolate(spec.accuracy, 5000, "systematic_percent") == 2
    assert 2 < interpolate(spec.accuracy, 50, "systematic_percent") < 10
    rng = np.random.default_rng(0)
    biases = []
    for seed in range(300):
        error = PipetteError(spec, seed)
        draws = [error.true_volume(1000, 0, rng) for _ in range(20)]
        biases.append(np.mean(draws) / 1000 - 1)
        assert np.std(draws) < 12
    assert max(map(abs, biases)) < 0.02 + 0.005
    assert 0.005 < np.std(biases) < 0.015
