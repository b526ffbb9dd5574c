"""A culture is in the vessel that is named, else in the smallest that can hold what is in it now."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.errors import PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.held_bags import guesses_note, held_in, range_problems
from nkloop.worklists.present_table import Present, read_present


@pytest.fixture(scope="module")
def bags():
    return BagCatalogue.load(Path(__file__).parents[2] / "labware")


def holding(millilitres, vessel=""):
    return Present(volume_ul=1000 * millilitres, per_ul={}, vessel=vessel)


@pytest.mark.parametrize(
    ("vessel", "millilitres", "named", "kind"),
    [
        ("bag", 55, "", "bag-100"),
        ("bag", 60.5, "", "bag-500"),
        ("bag", 5, "", "bag-100"),
        ("bag", 55, "bag-500", "bag-500"),
        ("bag-500", 55, "", "bag-500"),
        ("bag-500", 55, "bag-1000", "bag-1000"),
        ("bioreactor", 55, "", "bioreactor-500"),
    ],
)
def test_what_it_is_in_goes_by_its_name_or_by_what_it_holds(bags, vessel, millilitres, named, kind):
    assert held_in(bags, vessel, "U1-a", holding(millilitres, named)).name == kind


@pytest.mark.parametrize(
    ("vessel", "millilitres", "named", "message"),
    [
        ("bag-100", 61, "", "bag U1-a: it is said to hold 61 mL, .* takes 60 mL. Remedy: .* column vessel"),
        ("bag", 61, "bag-100", "bag U1-a: it is said to hold 61 mL"),
        ("bag", 800, "", "bag U1-a: no bag holds 800 mL, the largest, bag-1000, takes 700 mL"),
        ("bag", 61, "bag-7", "bag U1-a: there is no bag 'bag-7'"),
    ],
)
def test_what_cannot_be_in_it_is_refused(bags, vessel, millilitres, named, message):
    with pytest.raises(PlanError, match=message):
        held_in(bags, vessel, "U1-a", holding(millilitres, named))


def test_a_kind_that_nobody_named_is_told(bags):
    (told,) = guesses_note(bags, "bag", {"a": holding(55), "b": holding(80), "c": holding(55, "bag-500")}, "--vessel")
    assert "now: a as bag-100; b as bag-500." in told
    assert guesses_note(bags, "bag-500", {"a": holding(55)}, "--vessel") == ()
    assert guesses_note(bags, "bag", {"a": holding(55, "bag-500")}, "--vessel") == ()


@pytest.mark.parametrize(
    ("final", "drained_to", "message"),
    [
        (80, 40, ""),
        (80, 2, ""),
        (80, 1.9, "draining would leave 1.9 mL, 2 mL cannot be drained"),
        (49, 40, "would hold 49 mL, .* needs 50 mL"),
        (301, None, "would hold 301 mL, .* takes 300 mL. Remedy: .* column vessel of the table"),
    ],
)
def test_the_range_holds_for_what_a_culture_is_left_with(bags, final, drained_to, message):
    drained = None if drained_to is None else 1000 * drained_to
    problems = list(range_problems(bags, "bag-500", 1000 * final, "U1-a", drained_to_ul=drained))
    assert len(problems) == bool(message)
    if message:
        with pytest.raises(PlanError, match=message):
            raise PlanError.from_problems(problems)


def test_the_table_may_name_the_vessel_of_bags_alone(tmp_path):
    table = tmp_path / "bags.csv"
    table.write_text("bag,volume,vessel\nU1-a,55 mL,bag-500\nU1-b,55 mL,\n", encoding="utf-8")
    found = read_present(table, (), ["U1-a", "U1-b"], "bag")
    assert {name: one.vessel for name, one in found.items()} == {"U1-a": "bag-500", "U1-b": ""}
    table.write_text("well,volume,vessel\nA1,1 mL,bag-500\n", encoding="utf-8")
    with pytest.raises(PlanError, match="'vessel' is nothing the arms of this plan add"):
        read_present(table, (), ["A1"], "well")


def test_the_table_may_name_a_vessel_as_its_label_does(tmp_path):
    table = tmp_path / "bags.csv"
    table.write_text("bag,volume\nU1-a-grow,55 mL\n", encoding="utf-8")
    found = read_present(table, (), ["U1-a"], "bag", called={"U1-a-grow": "U1-a"})
    assert [(name, one.label) for name, one in found.items()] == [("U1-a", "U1-a-grow")]
    with pytest.raises(PlanError, match="bag 'U1-a-grow' has no arm in this plan"):
        read_present(table, (), ["U1-a"], "bag")
    table.write_text("bag,volume\nU1-a-grow,55 mL\nU1-a,55 mL\n", encoding="utf-8")
    with pytest.raises(PlanError, match="bag U1-a stands twice"):
        read_present(table, (), ["U1-a"], "bag", called={"U1-a-grow": "U1-a"})
