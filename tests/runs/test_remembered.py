"""A killing assay that was cut behind an incubation is carried on: the plate was incubated, and a person says so."""

from __future__ import annotations

from functools import cache

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.labware import Catalogue
from nkloop.records.models import StepRuling
from nkloop.runs.follow_up import continued
from nkloop.runs.ways import Fate, fates_of
from nkloop.worklists import rules
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import Limits, Liquid, OperatorTask, Step, Vessel, VesselMove, Worklist
from nkloop.worklists.time_rules import time_problems

from .conftest import ROOT
from .cut_dosing import dosing
from .test_ways import FORGOTTEN, events

CATALOGUE = Catalogue.load(ROOT / "labware")
DECK = load_bench_file(ROOT / "devices" / "virtual.yaml").deck


@cache
def assay() -> Worklist:
    path = ROOT / "protocols" / "cytotoxicity_assay.example.csv"
    read = from_csv(path.read_text(encoding="utf-8"), name="assay", procedure="cytotoxicity_assay")
    # a CSV tells liquids by their names only; which are cells, the rules know by what they hold
    fillings = tuple(one.model_copy(update={"liquid": with_cells(one.liquid)}) for one in read.fillings)
    return read.model_copy(update={"fillings": fillings, "targets": ()})


def with_cells(liquid: Liquid) -> Liquid:
    (name,) = liquid.per_ul
    if name.startswith("effectors "):
        return liquid.model_copy(
            update={"per_ul": {name.replace("effectors ", "effector:"): 2000.0, "assay medium": 1.0}}
        )
    if name == "K-562":
        return liquid.model_copy(update={"per_ul": {"target:K-562": 100.0, "assay medium": 1.0}})
    return liquid


def pauses(kind: str) -> list[int]:
    return [step.number for step in assay().steps if step.operator is not None and step.operator.kind == kind]


def cut_in(number: int, *, happened: bool = True) -> tuple[Fate, ...]:
    """Everything before a step was done, and a person saw what became of it."""
    told = events(*["done"] * (number - 1), FORGOTTEN, *["failed"] * (len(assay().steps) - number))
    return fates_of(assay(), told, [StepRuling(number=number, happened=happened)])


def broken(made: Worklist) -> list[str]:
    """Rules the rest breaks that the whole assay does not."""
    known = {problem["rule"] for problem in check_ledger(assay(), CATALOGUE, DECK).problems}
    return [one["message"] for one in check_ledger(made, CATALOGUE, DECK).problems if one["rule"] not in known]


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("after", ["incubation_with_targets", "lysis", "spin", "supernatant"])
def test_the_rest_of_an_assay_is_right_wherever_it_was_cut(after: str, happened: bool) -> None:
    first, second, _ = pauses("incubate")
    (spin,) = pauses("centrifuge")
    cut = {"incubation_with_targets": first + 1, "lysis": second - 3, "spin": spin + 2, "supernatant": spin + 5}[after]
    made = continued("run-0007", assay(), cut_in(cut, happened=happened), CATALOGUE, DECK)
    assert broken(made) == []
    told = made.steps[0].operator
    assert told is not None
    assert told.instruction.startswith("Done in run-0007, before it was interrupted: ")
    assert "do again only what the interruption has undone" in told.instruction
    assert told.minutes == 0, "nobody waits for it once more"
    assert [step.number for step in made.steps] == list(range(1, len(made.steps) + 1))


def test_an_incubation_that_is_still_to_come_is_not_told_as_done() -> None:
    first = pauses("incubate")[0]
    made = continued("run-0007", assay(), cut_in(first - 1), CATALOGUE, DECK)
    assert broken(made) == []
    instructions = [step.operator.instruction for step in made.steps if step.operator is not None]
    assert not any(told.startswith("Done in run-0007") and "Incubate the assay plate" in told for told in instructions)


def test_a_rest_that_was_left_out_stays_left_out() -> None:
    """A plate whose incubation never was done is refused as it always was."""
    first = pauses("incubate")[0]
    steps = [step for step in assay().steps if step.number != first]
    steps = [step.model_copy(update={"number": number}) for number, step in enumerate(steps, start=1)]
    without = assay().model_copy(update={"steps": tuple(steps)})
    told = events(*["done"] * (first - 1), *["failed"] * (len(steps) - first + 1))
    made = continued("run-0007", without, fates_of(without, told), CATALOGUE, DECK)
    rules_broken = {problem["rule"] for problem in check_ledger(made, CATALOGUE, DECK).problems}
    assert rules.PAUSE_MISSING in rules_broken


def test_what_needs_no_rest_gets_no_pause() -> None:
    dosed = next(step for step in assay().steps if step.operator is None)
    made = continued("run-0007", assay(), cut_in(dosed.number), CATALOGUE, DECK)
    assert not any(step.operator is not None and step.operator.instruction.startswith("Done in") for step in made.steps)


def test_cells_settle_once_more_before_medium_is_drained_off_them_in_the_rest() -> None:
    """The rest is not refused (V075) because its vessel settled in the run that was cut."""
    settle = OperatorTask(kind="settle", instruction="Stand B-1 upright in the incubator.", minutes=30)
    move = VesselMove(from_vessel="B-1", volume_ul=40_000, is_without_cells=True)
    drain = OperatorTask(kind="drain", instruction="Drain 40 mL of supernatant off B-1.", minutes=5, moves=(move,))
    bag = Vessel(name="B-1", title="bag", lowest_ul=20_000, capacity_ul=300_000, volume_ul=80_000, end_ul=40_000)
    first, second, *_ = dosing().steps
    numbered = [first.model_copy(update={"number": 2}), second.model_copy(update={"number": 3})]
    pauses = (Step(number=1, action="pause", operator=settle), Step(number=4, action="pause", operator=drain))
    extra = {"steps": (pauses[0], *numbered, pauses[1]), "vessels": (bag,), "limits": Limits(settling_minutes=30)}
    worklist = dosing().model_copy(update=extra)
    fates = fates_of(worklist, events("done", "done", "failed", "failed"))
    made = continued("run-1", worklist, fates, CATALOGUE, DECK)
    assert not list(time_problems(made, busy_minutes(made, DECK)))
    rest, *_ = [step.operator for step in made.steps if step.operator is not None]
    assert (rest.kind, rest.instruction.partition(",")[0]) == ("settle", "B-1 rested in run-1")
    assert 29 <= rest.minutes <= 30
