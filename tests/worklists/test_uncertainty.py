"""Predicted errors against closed forms and against simulated pipetting."""

from __future__ import annotations

import numpy as np
import pytest

from nkloop.errors import PlanError
from nkloop.worklists.accuracy import volume_error
from nkloop.worklists.uncertainty import predict

N = 6000
TIP = "tips_1000:A1"


def simulated(worklist, deck, spot, component, *, seed=1):
    """Concentrations of one well when every single transfer is off by chance, pipetted N times."""
    chance = np.random.default_rng(seed)
    volume: dict = {}
    amount: dict = {}
    for filling in worklist.fillings:
        key = filling.labware, filling.well
        volume[key] = np.full(N, filling.volume_ul)
        amount[key] = np.full(N, filling.volume_ul * filling.liquid.per_ul.get(component, 0.0))
    for step in worklist.steps:
        source, target = (step.labware, step.well), (step.to_labware, step.to_well)
        moved = step.volume_ul * (1 + volume_error(deck.pipette(1), step.volume_ul).random * chance.standard_normal(N))
        share = moved / volume[source]
        given = amount[source] * share
        volume[source], amount[source] = volume[source] - moved, amount[source] - given
        volume[target] = volume.get(target, 0.0) + moved
        amount[target] = amount.get(target, 0.0) + given
    return amount[spot] / volume[spot]


def cv(values):
    return 100 * values.std() / values.mean()


CHAINS = {
    "one dilution": [("water:A1", "plate:A1", 190), ("tubes:A1", "plate:A1", 10)],
    "a half and half": [("water:A1", "plate:A1", 100), ("tubes:A1", "plate:A1", 100)],
    "two steps and a dose": [
        ("water:A1", "tubes:B1", 495), ("tubes:A1", "tubes:B1", 5),
        ("water:A1", "tubes:C1", 990), ("tubes:B1", "tubes:C1", 10),
        ("water:A1", "plate:A1", 250), ("tubes:C1", "plate:A1", 7),
    ],
    "one intermediate drawn twice into a well": [
        ("water:A1", "tubes:B1", 95), ("tubes:A1", "tubes:B1", 5),
        ("water:A1", "plate:A1", 100), ("tubes:B1", "plate:A1", 20), ("tubes:B1", "plate:A1", 20),
    ],
    "a well that is drawn from and filled again": [
        ("water:A1", "plate:A1", 150), ("tubes:A1", "plate:A1", 8), ("plate:A1", "plate:B1", 100),
        ("water:A1", "plate:A1", 60), ("tubes:A1", "plate:A1", 6),
    ],
    "six steps down a row": [
        move
        for row, (a, b) in enumerate(["AB", "BC", "CD", "DE", "EF", "FG"])
        for move in (("water:A1", f"plate:{b}1", 90), (("tubes:A1" if row == 0 else f"plate:{a}1"), f"plate:{b}1", 9))
    ],
}  # fmt: skip


@pytest.mark.parametrize("moves", [pytest.param(moves, id=name) for name, moves in CHAINS.items()])
def test_the_predicted_cv_is_that_of_simulated_pipetting(worklist_of, transfer, catalogue, deck, moves):
    worklist = worklist_of(*(transfer(source, target, volume, TIP) for source, target, volume in moves))
    last = moves[-1][1]
    spot = tuple(last.split(":"))
    predicted = predict(worklist, catalogue, deck, [spot])[spot]["dye"].cv_percent
    assert predicted == pytest.approx(cv(simulated(worklist, deck, spot, "dye")), rel=0.1)


def test_a_dilution_has_the_error_of_its_closed_form(worklist_of, transfer, catalogue, deck):
    worklist = worklist_of(transfer("water:A1", "plate:A1", 190, TIP), transfer("tubes:A1", "plate:A1", 10, TIP))
    told = predict(worklist, catalogue, deck)["plate", "A1"]["dye"]
    few, much = volume_error(deck.pipette(1), 10), volume_error(deck.pipette(1), 190)
    # c = s v / (v + w): a relative error of v or of w changes c by the diluent's share
    share = 190 / 200
    assert told.cv_percent == pytest.approx(100 * share * (few.random**2 + much.random**2) ** 0.5)
    assert told.bias_percent == pytest.approx(100 * share * (few.systematic + much.systematic))


def test_equal_volumes_of_one_pipette_share_their_systematic_error(worklist_of, transfer, catalogue, deck):
    half = worklist_of(transfer("water:A1", "plate:A1", 100, TIP), transfer("tubes:A1", "plate:A1", 100, TIP))
    told = predict(half, catalogue, deck)["plate", "A1"]["dye"]
    assert told.bias_percent == pytest.approx(0, abs=1e-9)
    assert told.cv_percent == pytest.approx(100 * 0.5 * 2**0.5 * volume_error(deck.pipette(1), 100).random)


def test_a_volume_in_parts_averages_its_random_error_but_not_its_bias(worklist_of, transfer, catalogue, deck):
    dye = transfer("tubes:A1", "plate:A1", 100, TIP)
    whole = worklist_of(transfer("water:A1", "plate:A1", 200, TIP), dye)
    parts = worklist_of(*[transfer("water:A1", "plate:A1", 50, TIP)] * 4, dye)
    error = volume_error(deck.pipette(1), 50)
    share, of_dye = 2 / 3, volume_error(deck.pipette(1), 100)
    told = predict(parts, catalogue, deck)["plate", "A1"]["dye"]
    assert told.cv_percent == pytest.approx(100 * share * (error.random**2 / 4 + of_dye.random**2) ** 0.5)
    assert told.bias_percent == pytest.approx(100 * share * (error.systematic + of_dye.systematic))
    assert predict(whole, catalogue, deck)["plate", "A1"]["dye"].bias_percent == pytest.approx(told.bias_percent)


def test_the_bias_bound_holds_for_any_signs_and_is_reached(worklist_of, transfer, catalogue, deck):
    moves = CHAINS["two steps and a dose"]
    worklist = worklist_of(*(transfer(*move, TIP) for move in moves))
    bound = predict(worklist, catalogue, deck)["plate", "A1"]["dye"].bias_percent

    def reached(signs):
        held = {"tubes:A1": (500.0, 1000.0), "water:A1": (10_000.0, 0.0)}
        for source, target, volume in moves:
            moved = volume * (1 + signs[volume] * volume_error(deck.pipette(1), volume).systematic)
            from_volume, from_amount = held[source]
            given = from_amount * moved / from_volume
            held[source] = (from_volume - moved, from_amount - given)
            to_volume, to_amount = held.get(target, (0.0, 0.0))
            held[target] = (to_volume + moved, to_amount + given)
        return held["plate:A1"][1] / held["plate:A1"][0]

    volumes = sorted({volume for *_, volume in moves})
    nominal = reached(dict.fromkeys(volumes, 0))
    worst = max(
        abs(reached(dict(zip(volumes, signs, strict=True))) / nominal - 1)
        for signs in np.array(np.meshgrid(*[[-1, 1]] * len(volumes))).reshape(len(volumes), -1).T
    )
    assert 100 * worst == pytest.approx(bound, rel=0.1)


def test_wells_fed_from_one_intermediate_are_wrong_together(worklist_of, transfer, catalogue, deck):
    moves = [
        ("water:A1", "tubes:B1", 495), ("tubes:A1", "tubes:B1", 5),
        ("tubes:B1", "plate:A1", 100), ("tubes:B1", "plate:B1", 100), ("plate:B1", "plate:A1", 50),
    ]  # fmt: skip
    worklist = worklist_of(*(transfer(*move, TIP) for move in moves))
    told = predict(worklist, catalogue, deck)
    # mixing two draws of one liquid gives that liquid: only what the intermediate got wrong remains
    assert told["plate", "A1"]["dye"].cv_percent == pytest.approx(told["tubes", "B1"]["dye"].cv_percent)


def test_eight_channels_between_two_troughs_average_out(worklist_of, transfer, catalogue, deck):
    tip = "tips_1000:A2"
    eight = worklist_of(
        transfer("water:A1", "water:A2", 125, tip, channels=8), transfer("tubes:A1", "water:A2", 250, "tips_1000:H1")
    )
    error, of_dye = volume_error(deck.pipette(8), 125), volume_error(deck.pipette(1), 250)
    told = predict(eight, catalogue, deck)["water", "A2"]["dye"]
    assert told.cv_percent == pytest.approx(100 * 0.8 * (error.random**2 / 8 + of_dye.random**2) ** 0.5)


def test_only_wells_that_hold_a_component_have_an_error_for_it(worklist_of, transfer, catalogue, deck):
    worklist = worklist_of(transfer("water:A1", "plate:A1", 100, TIP))
    told = predict(worklist, catalogue, deck)
    assert set(told) == {("plate", "A1")}
    assert set(told["plate", "A1"]) == {"water"}
    assert told["plate", "A1"]["water"].cv_percent == 0


def test_a_volume_below_the_table_is_refused(worklist_of, transfer, catalogue, deck):
    with pytest.raises(PlanError, match="its table starts at 5 µL"):
        predict(worklist_of(transfer("water:A1", "plate:A1", 2, TIP)), catalogue, deck)


def test_a_bench_without_the_pipette_is_refused(worklist_of, transfer, catalogue, deck):
    eight = worklist_of(transfer("water:A1", "water:A2", 100, "tips_1000:A1", channels=8))
    single = deck.model_copy(update={"pipettes": deck.pipettes[:1]})
    with pytest.raises(PlanError, match="no pipette with 8 channels"):
        predict(eight, catalogue, single)
