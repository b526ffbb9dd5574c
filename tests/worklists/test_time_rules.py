"""Time and predicted error: what takes too long or is too uncertain is told with the step and both values."""

from __future__ import annotations

import pytest

from nkloop.worklists.error_rules import error_problems
from nkloop.worklists.models import Limits, OperatorTask, Target
from nkloop.worklists.time_rules import time_problems


@pytest.fixture(scope="module")
def killing(worklist_of, transfer):
    """Targets out of a tube onto three wells of the assay plate, then an incubation of 100 min."""
    made = worklist_of(
        *(transfer("tubes:A1", f"plate:A{n}", 20, "tips_50:A1" if n == 1 else "") for n in (1, 2, 3)),
        {
            "action": "pause",
            "operator": OperatorTask(kind="incubate", instruction="Incubate", labware=("assay",), minutes=100),
        },
    )
    deck = tuple(i.model_copy(update={"nickname": "assay"}) if i.nickname == "plate" else i for i in made.deck)
    steps = tuple(s.model_copy(update={"to_labware": "assay"}) if s.action == "transfer" else s for s in made.steps)
    tube = made.fillings[1]
    liquid = tube.liquid.model_copy(update={"per_ul": {"target:K-562": 100.0}})
    fillings = (made.fillings[0], tube.model_copy(update={"liquid": liquid}))
    return made.model_copy(update={"deck": deck, "steps": steps, "fillings": fillings})


def rules_of(worklist, minutes):
    return [(p.rule, p.where) for p in time_problems(worklist, minutes)]


def test_targets_that_reach_the_last_well_late_are_told(killing):
    assert rules_of(killing, {1: 1.0, 2: 2.0, 3: 2.9}) == []
    (late,) = time_problems(killing, {1: 1.0, 2: 3.0, 3: 2.5})
    assert (late.rule, late.where) == ("V071", "step 3")
    assert late.message == "targets reach the last well 5.5 min after the first, at most 5.0 min (5 % of 100 min)"


def test_cells_too_long_on_the_deck_are_told_at_the_step_that_passes_the_limit(killing):
    short = killing.model_copy(update={"limits": Limits(cells_out_minutes=10, stagger_percent=50)})
    assert rules_of(short, {1: 4.0, 2: 4.0, 3: 1.0}) == []
    assert rules_of(short, {1: 4.0, 2: 7.0, 3: 1.0}) == [("V070", "step 2")]


def test_time_without_cells_is_free(worklist_of, transfer):
    plain = worklist_of(transfer("water:A1", "plate:A1", 100, "tips_1000:A1"))
    assert rules_of(plain, {1: 1e4}) == []


def test_predicted_errors_are_judged_only_against_limits(worklist_of, transfer, catalogue, deck):
    made = worklist_of(
        transfer("water:A1", "plate:A1", 90, "tips_1000:A1"),
        transfer("tubes:A1", "plate:A1", 10, "tips_50:A1"),
        targets=(Target(labware="plate", well="A1", component="dye", per_ul=0.2),),
    )
    assert error_problems(made, catalogue, deck) == []
    strict = made.model_copy(update={"limits": Limits(cv_percent=0.01, bias_percent=0.01)})
    (told,) = error_problems(strict, catalogue, deck)
    assert told.rule == "V062"
    assert told.where == "plate A1"
    assert "of dye is" in told.message
    assert error_problems(strict, catalogue, None) == []
