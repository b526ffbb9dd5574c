"""A culture on the bench: seeding, feeding, counting, storing, harvesting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from nkloop.errors import BenchError, DeviceError
from nkloop.virtual.containers import Well
from nkloop.virtual.counting import count_cells
from nkloop.virtual.tasks import perform
from nkloop.virtual.world import World
from nkloop.worklists.models import OperatorTask

STORE = OperatorTask(kind="store", instruction="into the incubator", labware=("culture",))
MEDIUM = {"SCF": 0.025, "Flt3L": 0.025, "TPO": 0.025, "IL-7": 0.025, "human serum": 0.1, "GBGM": 0.9}
DAY = 86_400.0


def seeded(kit: Any, world: World, **changes: float) -> Any:
    """A culture plate with 1.5 mL in A1 and A2, seeded and put into the incubator."""
    deck = kit.deck().put("tips", "A1", "tips_1000").put("culture", "C2", "culture_24", barcode="C1")
    deck.put("tubes", "B1", "tubes_15ml")
    deck.fill("tubes", "A1", 5000, "donor:U1", cells=1000.0, **{**MEDIUM, **changes})
    deck.fill("tubes", "B1", 10_000, "GBGM")
    deck.load(world)
    script = kit.script(world, deck)
    for well in ("A1", "A2"):
        for _ in range(2):
            script.move(("tubes", "B1"), ("culture", well), 675)
        script.move(("tubes", "A1"), ("culture", well), 150, mix_before=900)
    perform(world, STORE, {})
    return script


def feed(kit: Any, world: World, medium: dict[str, float]) -> None:
    """Pour everything dissolved anew: what the tests need of a feeding."""
    for name in ("A1", "A2"):
        well = world.touch(world.containers["C1"], name)
        for key in list(well.amounts):
            if ":" not in key:
                del well.amounts[key]
        well.amounts.update({key: share * well.volume_ul for key, share in medium.items()})


def test_a_fed_culture_grows_in_the_incubator_and_a_forgotten_one_is_reported(kit: Any, world: World) -> None:
    seeded(kit, world)
    feed(kit, world, MEDIUM)
    start = world.containers["C1"].wells["A1"].cells("cd34")
    assert start == pytest.approx(0.9 * 1000 * 150, rel=0.3)
    world.clock.advance(3 * DAY)
    (count,) = world.count("C1", ["A1"])
    assert count.viable_cells > 1.8 * start
    assert 1.4 < count.volume_ml < 1.55
    perform(world, OperatorTask(kind="confirm", instruction="look"), {})
    world.move(world.containers["C1"], "deck", None)
    world.clock.advance(2 * DAY)
    grown = world.touch(world.containers["C1"], "A1").cells("cd34", "progenitor")
    assert grown < 1.4 * count.viable_cells
    assert {i.kind for i in world.incidents} == {"out_of_incubator"}


def test_before_a_long_wait_people_clear_the_deck(kit: Any, world: World) -> None:
    seeded(kit, world)
    culture = world.containers["C1"]
    for hours, place in ((0.5, "deck"), (48, "incubator")):
        world.move(culture, "deck", None)
        world.wait_until(world.clock.now() + timedelta(hours=hours))
        assert culture.place == place
    assert world.incidents == []


def test_a_medium_with_a_forgotten_component_grows_worse(kit: Any) -> None:
    def cells(medium: dict[str, float]) -> float:
        world = kit.make_world(1)
        seeded(kit, world)
        feed(kit, world, medium)
        world.clock.advance(3 * DAY)
        return world.touch(world.containers["C1"], "A1").cells("cd34", "progenitor")

    assert cells({**MEDIUM, "SCF": 0.0}) < 0.8 * cells(MEDIUM)


def test_it_does_not_matter_how_often_somebody_looks(kit: Any) -> None:
    def cells(looks: int) -> float:
        world = kit.make_world(1)
        seeded(kit, world)
        feed(kit, world, MEDIUM)
        for _ in range(looks):
            world.clock.advance(3 * DAY / looks)
            world.contents()
        return world.touch(world.containers["C1"], "A1").cells("cd34", "progenitor")

    assert cells(1) == pytest.approx(cells(24), rel=0.08)


def test_wells_differ_a_little_and_the_world_is_reproducible(kit: Any) -> None:
    def cells(seed: int) -> tuple[float, float]:
        world = kit.make_world(seed)
        seeded(kit, world)
        feed(kit, world, MEDIUM)
        world.clock.advance(3 * DAY)
        shown = world.contents()["C1"]
        return shown["A1"]["amounts"]["cd34:U1"], shown["A2"]["amounts"]["cd34:U1"]

    assert cells(1) == cells(1)
    assert cells(1) != cells(2)
    assert cells(1)[0] != cells(1)[1]


def test_water_leaves_and_is_accounted_for(kit: Any, world: World) -> None:
    seeded(kit, world)
    before = world.containers["C1"].wells["A1"].volume_ul + world.containers["C1"].wells["A2"].volume_ul
    world.clock.advance(5 * DAY)
    wells = [world.touch(world.containers["C1"], name) for name in ("A1", "A2")]
    after = sum(well.volume_ul for well in wells)
    assert 0.98 * before < after < before
    assert after + world.evaporated.volume_ul == pytest.approx(before)


def test_a_count_is_noisy_as_an_instrument_is() -> None:
    well = Well(1500, {"nk:U1": 9e5, "other:U1": 1e5, "dead:U1": 1e5})
    counts = [count_cells("C1", "A1", well, np.random.default_rng(seed))[0] for seed in range(400)]
    densities = np.array([count.viable_per_ml for count in counts])
    assert densities.mean() == pytest.approx(1e6 / 1.5, rel=0.02)
    assert densities.std() / densities.mean() == pytest.approx(0.08, rel=0.15)
    assert np.std([count.viability_percent for count in counts]) == pytest.approx(1.5, rel=0.15)
    assert np.mean([count.purity_percent for count in counts]) == pytest.approx(90, abs=0.3)
    assert all(0 <= count.purity_percent <= 100 for count in counts)


def test_an_empty_well_counts_nothing_and_an_unknown_one_is_refused(kit: Any, world: World) -> None:
    seeded(kit, world)
    (empty,) = world.count("C1", ["D6"])
    assert empty.viable_per_ml == 0
    with pytest.raises(DeviceError, match="no labware with barcode 'X'"):
        world.count("X", ["A1"])
    with pytest.raises(DeviceError, match="C1 has no well H1"):
        world.count("C1", ["H1"])


def harvest(kit: Any, world: World, cells: float = 100.0, volume: float = 500.0) -> Well:
    """A tube of washed cells out of C1 A1."""
    deck = kit.deck().put("tubes", "B1", "tubes_15ml")
    deck.fill("tubes", "A1", volume, "harvest:C1:A1", cells=cells, **{"assay medium": 1.0})
    deck.load(world)
    well: Well = world.nicknames["tubes"].wells["A1"]
    return well


def test_a_harvest_is_washed_and_inherits_the_error_of_the_count(kit: Any, world: World) -> None:
    seeded(kit, world)
    feed(kit, world, {**MEDIUM, "IL-2": 1.0})
    world.clock.advance(2 * DAY)
    (count,) = world.count("C1", ["A1"])
    source = world.containers["C1"].wells["A1"]
    true = source.cells("cd34", "progenitor", "nk", "myeloid", "other", "dead") / source.volume_ul
    believed = count.viable_per_ml / 1000 / (count.viability_percent / 100)
    well = harvest(kit, world)
    found = well.cells("cd34", "progenitor", "nk", "myeloid", "other", "dead") / 500
    assert found == pytest.approx(100 * true / believed, rel=0.01)
    assert "IL-2" not in well.amounts
    assert well.amounts["assay medium"] == 500
    assert well.amounts["ldh"] > 0
    assert world.drains["wash"].volume_ul > 0


def test_more_cells_than_there_are_cannot_be_harvested(kit: Any, world: World) -> None:
    seeded(kit, world)
    present = world.containers["C1"].wells["A1"].cells("cd34", "dead")
    well = harvest(kit, world, cells=10_000)
    assert well.cells("cd34", "progenitor", "nk", "myeloid", "other", "dead") == pytest.approx(0.9 * present, rel=0.02)
    assert "short_supply" in {i.kind for i in world.incidents}
    assert world.containers["C1"].wells["A1"].volume_ul == pytest.approx(0)


def test_what_is_harvested_has_to_exist(kit: Any, world: World) -> None:
    with pytest.raises(BenchError, match="no labware with barcode 'C1' was ever used"):
        harvest(kit, world)
    seeded(kit, world)
    world.containers["C1"].wells["A1"].empty()
    with pytest.raises(BenchError, match="well A1 of C1 is empty"):
        harvest(kit, world)
    world.containers["C1"].wells["A1"].add(Well(10, {}))
    with pytest.raises(BenchError, match="without cells"):
        harvest(kit, world, cells=0.0)
