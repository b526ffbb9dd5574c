"""Arm tables, factorials and tables of contents: what they give, and what each broken one is refused with."""

from __future__ import annotations

import re
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.quantities import Amount
from nkloop.recipes import load_recipe
from nkloop.worklists.arm_levels import range_warnings
from nkloop.worklists.arm_table import read_arm_table
from nkloop.worklists.arms import complete_arms, factorial_arms, levels_told
from nkloop.worklists.dosing_request import added_ingredients, arm_concentration
from nkloop.worklists.present_table import read_present

ROOT = Path(__file__).parents[2]
BROKEN = Path(__file__).parent / "broken_arms"
RECIPE = load_recipe(ROOT / "recipes" / "ucb-nk.yaml")
STAGE = "expansion_i"
MORE = ("IL-21", "IL-4")
"""Components of the lot list that the recipe does not know."""
SCF, IL7 = "SCF@expansion_i+expansion_ii", "IL-7@expansion_i+expansion_ii"


def expected() -> dict[str, str]:
    text = (BROKEN / "expected.txt").read_text(encoding="utf-8")
    return {name: told.strip() for name, told in re.findall(r"^\[(.+?)\]\n(.*?)(?=\n\[|\Z)", text, re.M | re.S)}


def read(path: Path) -> object:
    if path.parent.name == "arms":
        return read_arm_table(path, RECIPE, STAGE, more=MORE)
    added = added_ingredients(RECIPE, RECIPE.stage(STAGE), (), "plan")
    return read_present(path, added, ["A1", "B1"])


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "arms.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_broken_table_has_its_message():
    assert {f"{path.parent.name}/{path.name}" for path in BROKEN.glob("*/*.csv")} == set(expected())
    assert len(expected()) >= 15


@pytest.mark.parametrize("name", sorted(expected()))
def test_a_broken_table_is_refused_with_every_problem(name):
    with pytest.raises(PlanError) as told:
        read(BROKEN / name)
    assert str(told.value) == expected()[name]
    assert all(problem.remedy and problem.where for problem in told.value.problems)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("arm,SCF,IL-7\narm-1,50 ng/mL,x0.5\narm-2,x0.5,\n", id="units in cells"),
        pytest.param("arm,SCF [ng/mL],IL-7 (x)\narm-1,50,0.5\narm-2,12.5,\n", id="units in headers"),
        pytest.param("arm;SCF;IL-7\narm-1;0.05 µg/mL;0.5x\narm-2;×0.5;\n", id="semicolons and signs"),
        pytest.param("arm,component,amount\narm-1,SCF,x2\narm-1,IL-7,12.5 ng/mL\narm-2,SCF,x0.5\n", id="long"),
        pytest.param("# tested in week 12\narm,SCF,IL-7\nreference,,\narm-1,x2,x0.5\n\narm-2,x0.5,\n", id="comment"),
    ],
)
def test_wide_and_long_tables_give_the_same_arms(tmp_path, text):
    arms = read_arm_table(write(tmp_path, text), RECIPE, STAGE)
    assert [arm.name for arm in arms] == ["reference", "arm-1", "arm-2"]
    assert [(arm.factors[SCF], arm.factors[IL7]) for arm in arms] == [(1, 1), (2, 0.5), (0.5, 1)]
    assert [arm.origin for arm in arms] == ["reference", "exploration", "exploration"]


def test_a_workbook_gives_the_same_arms_as_csv(tmp_path):
    book = openpyxl.Workbook()
    for row in (["arm", "SCF [ng/mL]", "IL-7"], ["arm-1", 50, "x0.5"], ["arm-2", 12.5, None]):
        book.active.append(row)
    book.save(tmp_path / "arms.xlsx")
    made = read_arm_table(tmp_path / "arms.xlsx", RECIPE, STAGE)
    assert [(arm.factors[SCF], arm.factors[IL7]) for arm in made] == [(1, 1), (2, 0.5), (0.5, 1)]


@given(
    st.lists(st.floats(0.5, 2).map(lambda f: round(f, 3)).filter(lambda f: f != 1), min_size=1, max_size=6, unique=True)
)
def test_factors_survive_the_table(factors):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        lines = [f"arm-{n},{25 * factor!r} ng/mL" for n, factor in enumerate(factors)]
        arms = read_arm_table(write(Path(folder), "\n".join(["arm,SCF", *lines])), RECIPE, STAGE)
    assert [arm.factors[SCF] for arm in arms[1:]] == pytest.approx(factors)


def test_an_activity_is_read_where_the_recipe_has_one(tmp_path):
    arms = read_arm_table(write(tmp_path, "arm,IL-2\narm-1,500 IU/mL\n"), RECIPE, "differentiation")
    assert arms[1].factors["IL-2@differentiation"] == 0.5


def test_a_factorial_gives_arms_without_the_run_that_is_the_reference():
    arms, design = factorial_arms(RECIPE, STAGE, "SCF=x1,x2; IL-7=x0.5,x1")
    assert len(design.runs) == 4
    assert [(arm.name, arm.factors[SCF], arm.factors[IL7]) for arm in arms] == [
        ("reference", 1, 1),
        ("run-1", 1, 0.5),
        ("run-2", 2, 0.5),
        ("run-3", 2, 1),
    ]


def test_a_fraction_may_go_beyond_what_the_loop_would_propose():
    arms, design = factorial_arms(RECIPE, STAGE, "SCF=x0.1,x10;Flt3L=x0.5,x2;TPO=x0.5,x2", ["TPO=SCF*Flt3L"])
    assert (len(arms), design.resolution) == (5, 3)
    assert len(factorial_arms(RECIPE, STAGE, "SCF=x0.5,x2;Flt3L=x0.5,x2;TPO=x0.5,x2;IL-7=x0.5,x2")[0]) == 17


def test_a_factorial_leaves_components_out_and_adds_what_the_stage_has_not():
    arms, design = factorial_arms(RECIPE, STAGE, "TPO=0,x1; IL-21=0,20 ng/mL; LIF=x1,100 pg/mL", more=MORE)
    assert len(design.runs) == 8
    found = {(concentration(arm, "TPO"), concentration(arm, "IL-21"), concentration(arm, "LIF")) for arm in arms}
    assert len(arms) == len(found) == 8
    assert {tpo for tpo, _, _ in found} == {0, 25}
    assert {il21 for _, il21, _ in found} == {None, 20}
    assert {round(lif, 9) for _, _, lif in found} == {50, 100}


@pytest.mark.parametrize(
    ("levels", "generators", "message"),
    [
        pytest.param("IL-15=x0.5,x2", [], "'x0.5' is a factor, and stage expansion_i has no IL-15", id="other stage"),
        pytest.param("SCF=0.5,x2", [], "'0.5' has no unit", id="no unit"),
        pytest.param("SCF=x2,50 ng/mL", [], "level 50 ng/mL stands twice", id="same level"),
        pytest.param("IL-99=0,5 ng/mL", [], "'IL-99' is not in stage expansion_i", id="unknown"),
        pytest.param("SCF=x0,-5 ng/mL", [], "'-5 ng/mL' is below 0", id="negative"),
        pytest.param("SCF=x0.5,x2;SCF=x1,x2", [], "SCF stands twice", id="twice"),
        pytest.param("SCF=x0.5,x2", ["TPO"], "'TPO' is not a generator", id="no generator"),
    ],
)
def test_a_factorial_that_cannot_be_read_is_refused(levels, generators, message):
    with pytest.raises(PlanError, match=message):
        factorial_arms(RECIPE, STAGE, levels, generators)


def concentration(arm, component, stage=STAGE):
    amount = arm_concentration(RECIPE, stage, arm, component)
    return None if amount is None else amount.magnitude


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("20 % v/v", "20 % v/v of IL-21 is fraction, no concentration of something dissolved", id="share"),
        pytest.param("20", "'20' has no unit. Remedy: write 25 ng/mL, or the unit in the header as", id="no unit"),
    ],
)
def test_a_component_of_which_only_a_lot_is_known_needs_a_concentration(tmp_path, value, told):
    with pytest.raises(PlanError, match=re.escape(told)):
        read_arm_table(write(tmp_path, f"arm,IL-21\narm-1,{value}\n"), RECIPE, STAGE, more=MORE)


def test_an_arm_leaves_a_component_out_or_has_one_the_stage_lacks(tmp_path):
    text = (
        "arm,TPO,LIF [pg/mL],IL-15,IL-21 [ng/mL],SCF\n"
        "no-tpo,0,,,,\nno-lif,,0,,,\nplus-il15,,,20 ng/mL,,\nplus-il21,,,0,30,x12\nless-scf,,,,,0.001 x\n"
    )
    arms = {arm.name: arm for arm in read_arm_table(write(tmp_path, text), RECIPE, STAGE, more=MORE)}
    names = ("TPO", "LIF", "IL-15", "IL-21", "SCF")
    told = {name: tuple(concentration(arm, one) for one in names) for name, arm in arms.items()}
    assert told == {
        "reference": (25, 50, None, None, 25),
        "no-tpo": (0, 50, None, None, 25),
        "no-lif": (25, 0, None, None, 25),
        "plus-il15": (25, 50, 20, None, 25),
        "plus-il21": (25, 50, None, 30, 300),
        "less-scf": (25, 50, None, None, pytest.approx(0.025)),
    }
    added = added_ingredients(RECIPE, RECIPE.stage(STAGE), (), "plan", tuple(arms.values()))
    assert {i.component for i in added} == {*names, "Flt3L", "IL-7"}
    for arm in arms.values():
        assert Arm.model_validate_json(arm.model_dump_json()) == arm
    assert range_warnings(RECIPE, STAGE, arms.values()) == (
        "the recipe has no plausible range of IL-21: nobody checked 30 ng/mL for a slip",
        "arm less-scf: 0.025 ng/mL of SCF is outside its plausible range 0.5 ng/mL to 500 ng/mL; check the unit: it is "
        "off by a factor of 1000 if 25 ng/mL was meant",
    )


def test_components_that_an_arm_changes_cannot_be_left_to_the_base():
    arms = complete_arms(RECIPE, STAGE, [("arm-1", {"SCF": 0.0}, "line 2")])
    with pytest.raises(PlanError, match="arms differ in SCF, which they would not be given"):
        added_ingredients(RECIPE, RECIPE.stage(STAGE), ("TPO",), "plan", arms)


def test_an_activity_that_only_arms_have_survives_json():
    arms = complete_arms(RECIPE, STAGE, [("arm-1", {"IL-2": Amount(500, "IU/mL", substance="IL-2")}, "line 2")])
    again = Arm.model_validate_json(arms[1].model_dump_json())
    assert again.amounts["IL-2@expansion_i"].canonical == pytest.approx(0.5)


def test_a_stage_that_is_not_there_is_refused():
    with pytest.raises(PlanError, match="ucb-nk has no stage 'nowhere'"):
        complete_arms(RECIPE, "nowhere", ())


def test_contents_are_read_with_units_of_cells_and_headers(tmp_path):
    added = added_ingredients(RECIPE, RECIPE.stage(STAGE), (), "plan")
    text = "well,volume,cells [cells/mL],SCF,Flt3L [pg/mL],TPO [ng/mL],IL-7 [ng/mL]\nA1,1.5 mL,4e5,5 ng/mL,5000,5,0\n"
    (held,) = read_present(write(tmp_path, text), added, ["A1"]).values()
    assert held.volume_ul == 1500
    assert held.cells_per_ul == pytest.approx(400)
    assert held.per_ul == pytest.approx({"SCF": 0.005, "Flt3L": 0.005, "TPO": 0.005, "IL-7": 0})


def test_what_stands_behind_the_name_of_a_run_is_told():
    arms, _ = factorial_arms(RECIPE, STAGE, "SCF=x0.5,x1;TPO=0,x1;IL-21=20 ng/mL,40 ng/mL", more=MORE)
    told = {arm.name: levels_told(RECIPE, arm) for arm in arms}
    assert told["reference"] == "as the recipe"
    assert len(set(told.values())) == len(arms)
    assert "SCF x0.5, TPO x0, IL-21 20 ng/mL" in told.values()
    assert "IL-21 40 ng/mL" in told.values()
