"""Arm tables, factorials and tables of contents: what they give, and what each broken one is refused with."""

from __future__ import annotations

import re
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.recipes import load_recipe
from nkloop.worklists.arm_table import read_arm_table
from nkloop.worklists.arms import complete_arms, factorial_arms
from nkloop.worklists.dosing_request import added_ingredients
from nkloop.worklists.present_table import read_present

ROOT = Path(__file__).parents[2]
BROKEN = Path(__file__).parent / "broken_arms"
RECIPE = load_recipe(ROOT / "recipes" / "ucb-nk.yaml")
STAGE = "expansion_i"
SCF, IL7 = "SCF@expansion_i+expansion_ii", "IL-7@expansion_i+expansion_ii"


def expected() -> dict[str, str]:
    text = (BROKEN / "expected.txt").read_text(encoding="utf-8")
    return {name: told.strip() for name, told in re.findall(r"^\[(.+?)\]\n(.*?)(?=\n\[|\Z)", text, re.M | re.S)}


def read(path: Path) -> object:
    if path.parent.name == "arms":
        return read_arm_table(path, RECIPE, STAGE)
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


def test_a_fraction_keeps_to_the_limits_of_the_loop():
    arms, design = factorial_arms(RECIPE, STAGE, "SCF=x0.5,x2;Flt3L=x0.5,x2;TPO=x0.5,x2", ["TPO=SCF*Flt3L"])
    assert (len(arms), design.resolution) == (5, 3)
    with pytest.raises(PlanError, match=r"4 components changed .*, at most 3"):
        factorial_arms(RECIPE, STAGE, "SCF=x0.5,x2;Flt3L=x0.5,x2;TPO=x0.5,x2;IL-7=x0.5,x2")


@pytest.mark.parametrize(
    ("levels", "generators", "message"),
    [
        pytest.param("IL-15=x0.5,x2", [], "component 'IL-15' is not varied in this stage", id="other stage"),
        pytest.param("SCF=0.5,x2", [], "'0.5' of SCF is not a factor", id="no factor"),
        pytest.param("SCF=x0.5,x2;SCF=x1,x2", [], "SCF stands twice", id="twice"),
        pytest.param("SCF=x0.5,x2", ["TPO"], "'TPO' is not a generator", id="no generator"),
    ],
)
def test_a_factorial_that_cannot_be_read_is_refused(levels, generators, message):
    with pytest.raises(PlanError, match=message):
        factorial_arms(RECIPE, STAGE, levels, generators)


def test_a_stage_that_is_not_there_or_varies_nothing_is_refused():
    with pytest.raises(PlanError, match="ucb-nk has no stage 'nowhere'"):
        complete_arms(RECIPE, "nowhere", ())


def test_contents_are_read_with_units_of_cells_and_headers(tmp_path):
    added = added_ingredients(RECIPE, RECIPE.stage(STAGE), (), "plan")
    text = "well,volume,cells [cells/mL],SCF,Flt3L [pg/mL],TPO [ng/mL],IL-7 [ng/mL]\nA1,1.5 mL,4e5,5 ng/mL,5000,5,0\n"
    (held,) = read_present(write(tmp_path, text), added, ["A1"]).values()
    assert held.volume_ul == 1500
    assert held.cells_per_ul == pytest.approx(400)
    assert held.per_ul == pytest.approx({"SCF": 0.005, "Flt3L": 0.005, "TPO": 0.005, "IL-7": 0})
