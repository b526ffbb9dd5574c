"""Every kind of slip in the worklists of all procedures is caught, and by which rule; nothing valid is refused."""

from __future__ import annotations

import importlib.util
import random
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from nkloop.worklists.analysis_check import check_analysis
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.light_rules import light_problems
from nkloop.worklists.temperature_rules import temperature_problems

HERE = Path(__file__).parent
SEEDS = 12


def load(name: str, path: Path) -> ModuleType:
    """Test folders are not packages; a helper beside the tests is loaded by its path."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mutations = load("mutations", HERE / "mutations.py")
determined = load("determined", HERE / "determined.py")
examples = load("make_examples", HERE.parent / "protocols" / "make_examples.py")
PROCEDURES = tuple(examples.EXAMPLES)
KINDS = [pytest.param(kind, rules, id=kind.__name__) for kind, rules in mutations.KINDS.items()]


@pytest.fixture(scope="module")
def shipped():
    """Worklists of all procedures from the shipped recipe and lots, with catalogue and bench."""
    _, _, catalogue, deck = examples.shipped()
    return {name: make() for name, make in examples.EXAMPLES.items()}, catalogue, deck


def rules_broken(worklist, catalogue, deck):
    result = check_ledger(worklist, catalogue, deck)
    assert result.passed == (not result.problems)
    assert all(problem["where"] and problem["remedy"] and problem["rule"] for problem in result.problems)
    warm = {p.rule for p in temperature_problems(worklist, busy_minutes(worklist, deck), catalogue)}
    light = {p.rule for p in light_problems(worklist, busy_minutes(worklist, deck), catalogue)}
    return warm | light | {problem["rule"] for problem in (*result.problems, *result.warnings)}


@pytest.mark.parametrize(("mutate", "rules"), KINDS)
def test_every_kind_is_caught_by_its_rule(shipped, mutate, rules):
    worklists, catalogue, deck = shipped
    tried = 0
    for procedure, worklist in worklists.items():
        for seed in range(SEEDS):
            mutated = mutate(worklist, random.Random(f"{procedure} {seed}"))
            if mutated is None or mutated == worklist:
                continue
            tried += 1
            found = rules_broken(mutated, catalogue, deck)
            of_slip = determined.DETERMINED.get(mutate.__name__, lambda *_: ())(worklist, mutated, catalogue)
            for wanted in (rules, *of_slip):
                assert found & wanted, f"{procedure}, seed {seed}: {sorted(found)} instead of {sorted(wanted)}"
    assert tried >= SEEDS


def test_there_are_many_kinds_and_they_reach_most_rules_of_the_ledger():
    assert len(mutations.KINDS) >= 25
    reached = Counter(rule for rules in mutations.KINDS.values() for rule in rules)
    ledger = {f"V{n:03d}" for n in (*range(1, 7), *range(10, 16), *range(20, 27), 30, 31, 32, 33, 34, 37)}
    assert ledger <= reached.keys()


def test_what_is_not_mutated_passes_without_a_warning(shipped):
    worklists, catalogue, deck = shipped
    assert any(lot.light_sensitive for worklist in worklists.values() for lot in worklist.lots)
    for name, worklist in worklists.items():
        assert rules_broken(worklist, catalogue, deck) == set(), name


@pytest.mark.parametrize(
    "mutate",
    [mutations.volume_divided_by_ten, mutations.sources_swapped, mutations.tip_used_again, mutations.step_removed],
    ids=lambda mutate: mutate.__name__,
)
@pytest.mark.parametrize("seed", range(3))
def test_a_robot_with_a_mutated_csv_is_caught_and_the_first_line_names_the_step(shipped, robot, mutate, seed):
    worklists, catalogue, deck = shipped
    worklist = worklists["medium_preparation"]
    mutated = mutate(worklist, random.Random(seed))
    result = check_analysis(worklist, robot(mutated), catalogue, deck)
    assert not result.passed
    assert result.problems[0]["where"].startswith("step ")
    assert result.problems[0]["rule"] in {"V081", "V082"}


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_one_wrong_volume_makes_few_lines(shipped, procedure):
    worklists, catalogue, deck = shipped
    worklist = worklists[procedure]
    most = 0
    for seed in range(SEEDS):
        mutated = mutations.volume_times_ten(worklist, random.Random(seed))
        most = max(most, len(check_ledger(mutated, catalogue, deck).problems))
    assert most <= 6


def test_the_first_breach_is_told_and_its_repeats_are_counted(shipped):
    worklists, catalogue, deck = shipped
    worklist = worklists["medium_preparation"]
    base = worklist.fillings[0].model_copy(update={"volume_ul": 20_000.0})
    short = worklist.model_copy(update={"fillings": (base, *worklist.fillings[1:])})
    told = [p for p in check_ledger(short, catalogue, deck).problems if p["rule"] == "V002"]
    assert len(told) == 1
    assert "follow from it" in told[0]["message"]
    first = next(step.number for step in worklist.steps if step.labware == base.labware)
    assert told[0]["where"] in {f"step {first}", f"step {first + 1}"}
