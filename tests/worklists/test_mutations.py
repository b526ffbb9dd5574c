"""Seeded mutations of planned worklists: every kind is caught, and what is unchanged is never refused."""

from __future__ import annotations

import random
from datetime import date

import pytest

from nkloop.quantities import Amount
from nkloop.worklists.analysis_check import check_analysis
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.medium import plan_medium

TODAY, USE_UNTIL = date(2026, 11, 23), date(2026, 12, 1)


@pytest.fixture(scope="module")
def planned(recipe, stocks, deck, catalogue):
    return plan_medium(
        recipe,
        "grow",
        Amount(30, "mL"),
        stocks,
        deck,
        catalogue,
        use_until=USE_UNTIL,
        today=TODAY,
        destination_barcode="M-1",
    ).worklist


def replace_step(worklist, index, **changes):
    steps = list(worklist.steps)
    steps[index] = steps[index].model_copy(update=changes)
    return worklist.model_copy(update={"steps": tuple(steps)})


def transfers(worklist, wanted=lambda step: True):
    return [i for i, step in enumerate(worklist.steps) if step.action == "transfer" and wanted(step)]


def into_medium(step):
    return step.to_labware == "medium" and step.labware != "base"


def overfill(w, rng):
    filling = rng.choice(w.fillings)
    others = tuple(f for f in w.fillings if f is not filling)
    return w.model_copy(update={"fillings": (*others, filling.model_copy(update={"volume_ul": 500_000.0}))})


def overdraw(w, rng):
    filling = rng.choice([f for f in w.fillings if f.labware == "stocks"])
    others = tuple(f for f in w.fillings if f is not filling)
    return w.model_copy(update={"fillings": (*others, filling.model_copy(update={"volume_ul": 6.0}))})


def absent_tip(w, rng):
    return replace_step(w, rng.choice(transfers(w, lambda s: s.tip)), tip="tips_9:A1")


def no_tip(w, rng):
    first = transfers(w)[0]
    return replace_step(w, first, tip="")


def reused_tip(w, rng):
    with_tips = transfers(w, lambda s: s.tip.startswith("tips_50:"))
    first, second = rng.sample(with_tips, 2)
    return replace_step(w, max(first, second), tip=w.steps[min(first, second)].tip)


def kept_tip(w, rng):
    return replace_step(w, transfers(w, into_medium)[-1], tip="")


def swapped_wells(w, rng):
    stocks = transfers(w, lambda s: s.labware == "stocks")
    first, second = stocks[0], stocks[-1]
    wells = w.steps[first].well, w.steps[second].well
    return replace_step(replace_step(w, first, well=wells[1]), second, well=wells[0])


def wrong_volume(w, rng):
    index = rng.choice(transfers(w, lambda s: into_medium(s) and s.volume_ul < 100))
    return replace_step(w, index, volume_ul=w.steps[index].volume_ul * rng.choice([0.1, 0.5, 2.0]))


def missing_labware(w, rng):
    lost = rng.choice(w.deck)
    return w.model_copy(update={"deck": tuple(item for item in w.deck if item is not lost)})


def missing_pipette(w, rng):
    return w.model_copy(update={"pipettes": {"right": "flex_8channel_1000"}})


def too_small_volume(w, rng):
    return replace_step(w, rng.choice(transfers(w)), volume_ul=2.0)


def too_large_volume(w, rng):
    return replace_step(w, rng.choice(transfers(w)), volume_ul=1001.0)


def unknown_well(w, rng):
    return replace_step(w, rng.choice(transfers(w)), to_well="Q1")


def dropped_step(w, rng):
    gone = rng.choice(transfers(w, into_medium))
    return w.model_copy(update={"steps": tuple(s for i, s in enumerate(w.steps) if i != gone)})


def on_the_trash(w, rng):
    item = w.deck[0].model_copy(update={"slot": "A3"})
    return w.model_copy(update={"deck": (item, *w.deck[1:])})


def warm_stocks_elsewhere(w, rng):
    deck = tuple(i.model_copy(update={"slot": "D3"}) if i.nickname == "stocks" else i for i in w.deck)
    return w.model_copy(update={"deck": deck})


MUTATIONS = (
    overfill,
    overdraw,
    absent_tip,
    no_tip,
    reused_tip,
    kept_tip,
    swapped_wells,
    wrong_volume,
    missing_labware,
    missing_pipette,
    too_small_volume,
    too_large_volume,
    unknown_well,
    dropped_step,
    on_the_trash,
    warm_stocks_elsewhere,
)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_the_ledger_catches_every_kind_of_mutation(planned, catalogue, deck, mutate, seed):
    mutated = mutate(planned, random.Random(seed))
    assert mutated != planned
    result = check_ledger(mutated, catalogue, deck)
    assert not result.passed
    assert all(problem["where"] and problem["remedy"] for problem in result.problems)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "mutate", [absent_tip, reused_tip, kept_tip, swapped_wells, wrong_volume, dropped_step], ids=lambda m: m.__name__
)
def test_a_robot_with_a_mutated_csv_is_caught_by_the_step(planned, catalogue, deck, robot, mutate, seed):
    mutated = mutate(planned, random.Random(seed))
    result = check_analysis(planned, robot(mutated), catalogue, deck)
    assert not result.passed
    assert any(problem["where"].startswith("step ") for problem in result.problems)


def test_what_is_not_mutated_passes(planned, catalogue, deck, robot):
    assert check_ledger(planned, catalogue, deck).passed
    assert check_analysis(planned, robot(planned), catalogue, deck).passed
