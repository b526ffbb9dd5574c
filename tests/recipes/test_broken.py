"""Broken recipes: each a small slip in the shipped file, each with the message it must give."""

import contextlib
import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nkloop.errors import RecipeError
from nkloop.recipes import load_recipe
from nkloop.recipes.checks import find_problems
from nkloop.recipes.models import Recipe
from nkloop.yamlfile import load_yaml

SCF = "component: SCF, amount: 25 ng/mL"
TPO = "component: TPO, amount: 25 ng/mL"
IL2 = "component: IL-2, amount: 1000 IU/mL"

BROKEN = [
    # amounts
    pytest.param(TPO, "component: TPO, amount: -25 ng/mL", r"TPO.amount: -25 ng/mL must be above 0", id="negative"),
    pytest.param(TPO, "component: TPO, amount: 0 ng/mL", r"TPO.amount: 0 ng/mL must be above 0", id="zero"),
    pytest.param(TPO, "component: TPO, amount: nan ng/mL", r"'nan ng/mL' is not a finite amount", id="nan_text"),
    pytest.param(TPO, "component: TPO, amount: .nan", r"nan is not an amount, it is not finite", id="nan"),
    pytest.param(TPO, "component: TPO, amount: .inf", r"inf is not an amount, it is not finite", id="infinite"),
    pytest.param(
        TPO, "component: TPO, amount: 25", r"25 is not an amount, it has no unit.*like 25 ng/mL", id="no_unit"
    ),
    pytest.param(TPO, "component: TPO, amount: null", r"nothing \(null\) is not an amount", id="null"),
    pytest.param(TPO, "component: TPO", r"additives.TPO.amount: field 'amount' is missing", id="missing_amount"),
    pytest.param(TPO, "component: TPO, amount: '2,5 ng/mL'", r"comma between digits.*decimal point", id="comma"),
    pytest.param(TPO, "component: TPO, amount: 25 ng/mLL", r"unit 'ng/mLL' is not known.*for example ng/mL", id="unit"),
    pytest.param(TPO, "component: TPO, amount: 25 ng", r"25 ng measures mass, not mass concentration", id="wrong_kind"),
    pytest.param(
        TPO,
        "component: TPO, amount: 25 mg/mL",
        r"ucb.yaml:9\d:36: .*25 mg/mL of TPO is outside its plausible range 0.5 ng/mL to 500 ng/mL.*"
        r"factor of 1000000 if 25 ng/mL was meant",
        id="million_too_strong",
    ),
    pytest.param(
        "GM-CSF, amount: 10 pg/mL",
        "GM-CSF, amount: 100 ng/mL",
        r"100 ng/mL of GM-CSF is outside .* 1 pg/mL to 1 ng/mL.*factor of 1000 if 100 pg/mL",
        id="dendritic_dose",
    ),
    pytest.param(
        TPO,
        "component: TPO, amount: 25 pg/mL",
        r"outside .*factor of 1000 if 25 ng/mL was meant",
        id="thousand_too_weak",
    ),
    pytest.param(
        IL2,
        "component: IL-2, amount: 61 ng/mL",
        r"61 ng/mL of IL-2 measures mass concentration.*dosed by activity.*only through the certificate of a lot",
        id="mass_for_activity",
    ),
    pytest.param(
        TPO, "component: TPO, amount: 25 IU/mL", r"measures activity concentration.*certificate", id="activity_for_mass"
    ),
    pytest.param(IL2, "component: IL-2, amount: 1000 U/mL", r"'U/mL' does not say which unit of activity", id="bare_u"),
    pytest.param(IL2, "component: IL-2, amount: 1 MIU/mL", r"1 MIU/mL of IL-2 is outside", id="mega"),
    # percentages
    pytest.param(
        "amount: 98 % v/v",
        "amount: 90 % v/v",
        r"differentiation.medium: percentages sum to 92 % \(GBGM 90 % v/v \+ human serum 2 % v/v\), must be 100 ± 0.2",
        id="sum_92",
    ),
    pytest.param("amount: 98 % v/v", "amount: 98.3 % v/v", r"percentages sum to 100.3 %", id="sum_just_outside"),
    pytest.param("fraction: 50 % v/v", "fraction: 150 %", r"fraction 150 % v/v is more than the whole", id="fraction"),
    # names
    pytest.param(TPO, "component: TP0, amount: 25 ng/mL", r"unknown component 'TP0', known: .*mean 'TPO'", id="typo"),
    pytest.param(TPO, "component: Dexamethasone, amount: 25 ng/mL", r"unknown component.*define it", id="unknown"),
    pytest.param(TPO, SCF, r"expansion_i.medium: component listed twice in one medium: SCF", id="listed_twice"),
    pytest.param(
        "{name: TPO,", "{name: SCF,", r":\d+:12: components.SCF.name: 'SCF' is defined twice", id="defined_twice"
    ),
    pytest.param("component: GBGM", "component: SCF", r"SCF is a cytokine, not a base medium", id="no_base"),
    pytest.param(
        "amount: 10 % v/v, source: spanholtz-2011",
        "amount: 10 %, source: spanholz",
        r"unknown source 'spanholz', known: estimate, .*mean 'spanholtz-201",
        id="source",
    ),
    pytest.param("role: serum", "role: serun", r"'serun' is not allowed here. Remedy: did you mean 'serum'", id="role"),
    pytest.param("product: NK", "product: CAR-T", r"product: 'CAR-T' is not allowed here", id="product"),
    pytest.param("id: ucb-nk", "id: UCB NK", r"ucb.yaml:\d+:5: id: 'UCB NK' has a form that is not allowed", id="id"),
    # fields
    pytest.param(
        "max_step_factor", "max_stepfactor", r"loop.max_stepfactor: .*did you mean 'max_step_factor'", id="field"
    ),
    pytest.param("max_step_factor: 2", "max_step_factor: 1", r"1 must be above 1", id="step_of_one"),
    pytest.param("highest_factor: 4}", "highest_factor: 0.5}", r"highest_factor: 0.5 must be at least 1", id="factor"),
    pytest.param(
        "title: Expansion I\n", "title: Expansion I\n    title: again\n", r"'title' stands twice", id="key_twice"
    ),
    pytest.param("  vary:\n", "  vary:\n   -\n", r"loop.vary\[1\]: a list of 8 is not a block", id="syntax"),
    pytest.param("stages:\n", "stages: nothing\nolder:\n", r"stages: 'nothing' is not a list", id="stages_text"),
    # stages
    pytest.param(
        "start_day: 14", "start_day: 15", r"starts on day 15, but stage 'expansion_ii' ends on day 14", id="gap"
    ),
    pytest.param(
        "start_day: 9", "start_day: 8", r"starts on day 8, but stage 'expansion_i' ends on day 9", id="overlap"
    ),
    pytest.param("start_day: 0", "start_day: 1", r"starts on day 1, but the culture starts on day 0", id="late_start"),
    pytest.param(
        "end_day: 35", "end_day: 14", r"stage ends on day 14, must be after its start on day 14", id="empty_stage"
    ),
    pytest.param("end_day: 35", "end_day: .inf", r"end_day: inf is not a finite number", id="endless"),
    pytest.param("id: expansion_ii", "id: expansion_i", r"'expansion_i' is defined twice in stages", id="stage_twice"),
    pytest.param(
        "every: 3.5 d", "every: 3.5 min", r"every 3.5 min is outside 6 h to the 21 d of the stage", id="refresh_min"
    ),
    pytest.param("every: 3.5 d", "every: 35 d", r"every 35 d is outside 6 h to the 21 d", id="refresh_late"),
    pytest.param("1e6 cells/mL", "1e6 cells/µL", r"1e6 cells/µL is outside 1000 to 1e8 cells/mL", id="density"),
    pytest.param("1e6 cells/mL", "1e6", r"1000000.0 is not an amount, it has no unit", id="density_number"),
    pytest.param("low: 70, high: 100", "low: 100, high: 70", r"low 100 is above high 70", id="expected_order"),
    pytest.param("low: 70, high: 100", "low: 70, high: 110", r"up to 110, must be at most 100", id="expected_percent"),
    # limits of the loop
    pytest.param(
        "{component: TPO, stages", "{component: TP, stages", r"vary.TP.component: unknown component 'TP'", id="vary"
    ),
    pytest.param(
        "stages: [expansion_i],", "stages: [expansion],", r"unknown stage 'expansion', known", id="vary_stage"
    ),
    pytest.param(
        "stages: [expansion_i],", "stages: [differentiation],", r"TPO is not in the medium of stage diff", id="absent"
    ),
    pytest.param(
        "{component: TPO, stages", "{component: GBGM, stages", r"varying it would break the sum", id="vary_base"
    ),
    pytest.param(
        "{component: TPO, stages", "{component: SCF, stages", r"expansion_i is varied twice", id="varied_twice"
    ),
    pytest.param(
        "plausible: [1 pg/mL, 1 ng/mL]", "plausible: [1 ng/mL, 1 pg/mL]", r"range 1 ng/mL to 1 pg/mL is not", id="range"
    ),
]


@pytest.mark.parametrize(("before", "after", "match"), BROKEN)
def test_a_slip_is_refused_where_it_stands(
    shipped_text: str, tmp_path: Path, before: str, after: str, match: str
) -> None:
    assert before in shipped_text
    path = tmp_path / "ucb.yaml"
    path.write_text(shipped_text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(RecipeError, match=match) as caught:
        load_recipe(path)
    for problem in caught.value.problems:
        assert problem.where.startswith(f"{path}:"), "file and line are told"
        assert problem.remedy, f"no remedy in: {problem}"


def test_all_slips_of_a_file_are_told_at_once(shipped_text: str, tmp_path: Path) -> None:
    text = shipped_text.replace(TPO, "component: TP0, amount: -1 ng/mL").replace("start_day: 14", "start_day: 15")
    text = text.replace("amount: 98 % v/v", "amount: 90 % v/v").replace(IL2, "component: IL-2, amount: 61 ng/mL")
    path = tmp_path / "ucb.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    told = str(caught.value)
    for part in ("-1 ng/mL must be above", "starts on day 15", "sum to 92 %", "61 ng/mL of IL-2 measures"):
        assert part in told
    lines = [int(problem.where.split(":")[1]) for problem in caught.value.problems]
    assert lines == sorted(lines)


def _paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from _paths(value, (*path, key))


@pytest.mark.parametrize("junk", [None, [], {}, -1, "x", True, float("nan"), "5 IU/mL", [[1]], {"name": 3}], ids=repr)
def test_junk_anywhere_never_ends_in_a_traceback(shipped_text: str, tmp_path: Path, junk: Any) -> None:
    """Whatever stands in whatever place, the model refuses in its own words and the checks bear it."""
    (tmp_path / "ucb.yaml").write_text(shipped_text, encoding="utf-8")
    whole, _ = load_yaml(tmp_path / "ucb.yaml")
    places = [path for path in _paths(whole) if path]
    for path in random.Random(1).sample(places, 60):
        data = copy.deepcopy(whole)
        inside = data
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = junk
        list(find_problems(data))
        with contextlib.suppress(ValidationError):  # a refusal is right; anything else is a defect
            Recipe.model_validate(data)
