"""The operator loads the deck; truth is in the lots, not in the plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nkloop.errors import BenchError
from nkloop.virtual.loading import load_deck
from nkloop.virtual.stocks import LABEL_CV, Stocks
from nkloop.virtual.world import World
from nkloop.worklists.models import OperatorTask, Step, VesselMove


def one(kit: Any, lot: str | None, volume: float = 1000, **per_ul: float) -> Any:
    """A deck with one tube."""
    return kit.deck().put("tubes", "B1", "tubes_15ml").fill("tubes", "A1", volume, lot, **per_ul)


def amounts(world: World, well: str = "A1") -> dict[str, float]:
    """What the tube holds."""
    return world.nicknames["tubes"].wells[well].amounts


def test_a_lot_holds_what_it_truly_holds_and_not_what_the_plan_believes(kit: Any, world: World) -> None:
    one(kit, "IL-15", **{"IL-15": 5.0}).load(world)
    assert amounts(world)["IL-15"] == pytest.approx(100 * 1000, rel=0.1)
    assert amounts(world)["base"] == 1000


def test_true_content_scatters_around_the_label(kit: Any) -> None:
    contents = [Stocks([kit.lot("IL-7", "100 µg/mL")], seed).per_ul("IL-7")["IL-7"] for seed in range(300)]
    assert np.mean(contents) == pytest.approx(100, rel=0.01)
    assert np.std(contents) == pytest.approx(100 * LABEL_CV, rel=0.2)


def test_activity_comes_from_the_certificate(kit: Any) -> None:
    content = Stocks([kit.lot("IL-2", "100 µg/mL")], 1).per_ul("IL-2")["IL-2"]
    assert content == pytest.approx(1640, rel=0.1)
    unlabelled = Stocks([kit.lot("IL-2", "1e6 IU/mL", specific_activity=None)], 1).per_ul("IL-2")["IL-2"]
    assert unlabelled == pytest.approx(1000, rel=0.1)


def test_serum_brings_its_ldh(kit: Any, world: World) -> None:
    deck = one(kit, "human serum").fill("tubes", "A2", 1000, "assay medium").fill("tubes", "A3", 1000, "GBGM")
    deck.load(world)
    assert amounts(world)["ldh"] == pytest.approx(20 * amounts(world, "A2")["ldh"])
    assert "ldh" not in amounts(world, "A3")


@pytest.mark.parametrize(
    ("lot", "density", "keys", "alive"),
    [
        ("donor:U1", 1000.0, {"cd34:U1", "dead:U1"}, 0.9),
        ("line:K-562", 100.0, {"target:K-562", "lysed:K-562"}, 0.96),
        ("reference:PB-NK", 500.0, {"nk:PB-NK", "other:PB-NK", "dead:PB-NK"}, 0.81),
        ("sample:run-1-U1", 500.0, {"nk:run-1-U1", "other:run-1-U1", "dead:run-1-U1"}, 0.81),
    ],
)
def test_cells_come_alive_at_about_the_density_asked_for(
    kit: Any, world: World, lot: str, density: float, keys: set[str], alive: float
) -> None:
    one(kit, lot, cells=density).load(world)
    found = amounts(world)
    n_cells = sum(found[key] for key in keys)
    assert n_cells == pytest.approx(density * 1000, rel=0.25)
    assert n_cells != density * 1000
    first = next(key for key in found if key.split(":")[0] in {"cd34", "target", "nk"})
    assert found[first] / n_cells == pytest.approx(alive, abs=0.06)


@pytest.mark.parametrize(
    ("lot", "per_ul", "message"),
    [
        ("LOT-7", {}, "lot LOT-7 is not in the lot list"),
        (None, {}, "names no lot"),
        ("donor:U1", {}, "filled without cells"),
        ("donor:", {"cells": 5.0}, "filled without cells"),
        ("fridge:milk", {}, "'fridge:milk' is no known kind of liquid"),
        ("prepared:M1:A1", {}, "no labware with barcode 'M1' was ever used"),
    ],
)
def test_a_liquid_nobody_knows_is_refused(
    kit: Any, world: World, lot: str | None, per_ul: dict[str, float], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        one(kit, lot, **per_ul).load(world)
    assert world.deck == {}
    assert world.clock.seconds == 0


def test_every_problem_is_told_at_once(kit: Any, world: World) -> None:
    deck = one(kit, "LOT-7").fill("tubes", "Z9", 5, "GBGM").fill("ghost", "A1", 5, "GBGM").put("x", "B2", "unknown")
    with pytest.raises(BenchError) as caught:
        deck.load(world)
    assert len(caught.value.problems) == 4


def test_a_known_barcode_keeps_its_contents_and_a_wrong_belief_is_noted(kit: Any, world: World) -> None:
    kit.deck().put("tubes", "B1", "tubes_15ml", barcode="M1").fill("tubes", "A1", 5000, "GBGM").load(world)
    again = kit.deck().put("medium", "C1", "tubes_15ml", barcode="M1").fill("medium", "A1", 4500, "nonsense")
    again.load(world)
    assert world.nicknames["medium"].wells["A1"].volume_ul == 5000
    assert world.incidents == []
    kit.deck().put("medium", "C1", "tubes_15ml", barcode="M1").fill("medium", "A1", 9000, None).load(world)
    assert [i.kind for i in world.incidents] == ["plan_differs"]
    with pytest.raises(BenchError, match="M1 is labware tubes_15ml, the worklist expects trough_1"):
        kit.deck().put("medium", "C1", "trough_1", barcode="M1").load(world)


@pytest.mark.parametrize(
    ("made_ul", "by_hand", "incidents"),
    [
        pytest.param(56_000, True, [], id="made in one batch with what people run in"),
        pytest.param(21_000, True, [], id="a later part, or a rest"),
        pytest.param(40_000, True, ["plan_differs"], id="too little for the bags"),
        pytest.param(12_000, True, ["plan_differs"], id="too little for the robot"),
        pytest.param(56_000, False, ["plan_differs"], id="nobody runs anything in"),
    ],
)
def test_people_pour_their_share_of_the_base_medium_off_and_only_that_is_no_incident(
    kit: Any, world: World, made_ul: float, by_hand: bool, incidents: list[str]
) -> None:
    """The robot's share is 21 mL; 15 mL are run into each of two bags."""
    kit.deck().put("medium", "C1", "trough_1", barcode="B1").fill("medium", "A1", made_ul, "GBGM").load(world)
    deck = kit.deck().put("base", "C1", "trough_1", barcode="B1").fill("base", "A1", 21_000, "prepared:B1:A1")
    whole = deck.worklist()
    if by_hand:
        moves = tuple(VesselMove(to_vessel=bag, volume_ul=15_000) for bag in ("bag-1", "bag-2"))
        task = OperatorTask(kind="fill", instruction="Run it in.", moves=moves)
        whole = whole.model_copy(update={"steps": (Step(number=1, action="pause", operator=task),)})
    load_deck(world, whole, {})
    assert [one.kind for one in world.incidents] == incidents
    left = world.containers["B1"].wells["A1"].volume_ul
    assert left == pytest.approx(made_ul if incidents else 21_000, rel=1e-3)
    assert (world.drains["by hand"].volume_ul if "by hand" in world.drains else 0) == pytest.approx(
        made_ul - left, abs=99
    )


def test_carrying_a_known_plate_leaves_its_cells_settled(kit: Any, world: World) -> None:
    deck = (
        kit.deck().put("culture", "C2", "culture_24", barcode="C1").fill("culture", "A1", 1000, "donor:U1", cells=9.0)
    )
    deck.load(world)
    well = world.containers["C1"].wells["A1"]
    assert well.cell_share(world.clock.seconds) == 1.0
    world.clock.advance(86_400)
    kit.deck().put("culture", "C2", "culture_24", barcode="C1").load(world)
    assert well.cell_share(world.clock.seconds) < 0.05


def test_a_consumable_is_new_at_every_load(kit: Any, world: World) -> None:
    one(kit, "GBGM").load(world)
    one(kit, "GBGM", volume=300).load(world)
    assert world.nicknames["tubes"].wells["A1"].volume_ul == 300
    assert world.drains["discarded"].volume_ul == 1000


def test_prepared_liquid_leaves_the_container_it_was_made_in(kit: Any, world: World) -> None:
    kit.deck().put("tubes", "B1", "tubes_15ml", barcode="M1").fill("tubes", "A1", 5000, "IL-15").load(world)
    one(kit, "prepared:M1:A1", volume=2000).load(world)
    assert world.containers["M1"].wells["A1"].volume_ul == 3000
    assert amounts(world)["IL-15"] == pytest.approx(0.4 * 5000 * 100, rel=0.1)
    assert world.containers["M1"].place == "fridge"
    one(kit, "prepared:M1:A1", volume=9000).load(world)
    assert world.nicknames["tubes"].wells["A1"].volume_ul == 3000
    assert [i.kind for i in world.incidents] == ["short_supply"]


def test_a_module_sets_the_temperature(kit: Any, world: World) -> None:
    kit.deck().put("tubes", "C1", "tubes_15ml", temperature_c=4).load(world)
    assert world.nicknames["tubes"].temperature_c == 4


def test_what_was_left_stays_with_what_was_to_be_brought_beside_it(kit: Any, world: World) -> None:
    """A rest: the tube in A1 was left, that in A2 would have been brought later, that in A3 is new."""
    one(kit, "GBGM", 4000).fill("tubes", "A2", 500, "IL-15").load(world)
    before = dict(amounts(world, "A2"))
    rest = one(kit, "left:run-0001:GBGM", 4000).fill("tubes", "A2", 500, "IL-15").fill("tubes", "A3", 700, "GBGM")
    rest.load(world)
    assert world.incidents == []
    assert world.nicknames["tubes"].wells["A1"].volume_ul == 4000
    assert amounts(world, "A2") == before
    assert world.nicknames["tubes"].wells["A3"].volume_ul == 700
