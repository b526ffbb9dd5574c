"""New revisions by factors, the diff between recipes, and the procedure in words."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import RecipeError
from nkloop.quantities import Amount
from nkloop.recipes import Recipe, apply_factors, diff, load_recipe, save_recipe
from nkloop.recipes.changes import SIMULATED, simulated_values

SCF, IL2, TPO = "SCF@expansion_i+expansion_ii", "IL-2@differentiation", "TPO@expansion_i"


def _apply(recipe: Recipe, factors: dict[str, float]) -> Recipe:
    return apply_factors(recipe, factors, reason="more cells", source="campaign-1")


def test_factors_make_a_proposed_child(recipe: Recipe) -> None:
    child = _apply(recipe, {SCF: 2.0, IL2: 1 / 3, TPO: 1.0})
    assert child.revision.number == recipe.revision.number + 1
    assert child.revision.parent == recipe.revision_id
    assert (child.revision.status, child.revision.reason) == ("proposed", "more cells")
    assert child.revision_id != recipe.revision_id
    assert child.stage("expansion_i").medium.amount_of("SCF") == Amount(50, "ng/mL")
    assert child.stage("expansion_ii").medium.amount_of("SCF") == Amount(50, "ng/mL")
    assert child.stage("differentiation").medium.amount_of("SCF") == Amount(20, "ng/mL")
    assert child.stage("differentiation").medium.amount_of("IL-2") == Amount(333, "IU/mL", substance="IL-2")


def test_only_what_changed_cites_the_campaign(recipe: Recipe) -> None:
    child = _apply(recipe, {SCF: 2.0})
    cites = [(s.id, i.component) for s in child.stages for i in s.medium.ingredients if i.source == "campaign-1"]
    assert cites == [("expansion_i", "SCF"), ("expansion_ii", "SCF")]
    assert "campaign-1" in child.sources
    assert child.sources.keys() - recipe.sources.keys() == {"campaign-1"}


def test_the_same_change_is_the_same_revision_whatever_the_reason(recipe: Recipe) -> None:
    one = _apply(recipe, {SCF: 2.0})
    other = apply_factors(recipe, {SCF: 2.0}, reason="other words", source="campaign-1")
    assert one.revision_id == other.revision_id


def test_nothing_to_change_is_no_new_revision(recipe: Recipe) -> None:
    assert _apply(recipe, {SCF: 1.0, IL2: 1.0004}) is recipe
    assert _apply(recipe, {}) is recipe


@pytest.mark.parametrize(
    ("factors", "match"),
    [
        ({"SCF@expansion_i": 2.0}, r"may not vary 'SCF@expansion_i', it may vary: SCF@.*did you mean"),
        ({"GBGM@differentiation": 2.0}, r"may not vary 'GBGM@differentiation'"),
        ({SCF: 4.5}, r"factor 4.5 is outside 0.25 to 4"),
        ({SCF: 0.2}, r"factor 0.2 is outside 0.25 to 4"),
        ({SCF: float("nan")}, r"factor nan is outside 0.25 to 4"),
        ({SCF: -1.0, IL2: 9.0}, r"factor -1 is outside(.|\n)*factor 9 is outside"),
    ],
)
def test_factors_the_recipe_does_not_allow_are_refused(recipe: Recipe, factors: dict[str, float], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        _apply(recipe, factors)


def test_an_amount_may_not_leave_its_plausible_range(recipe: Recipe) -> None:
    child = _apply(recipe, {SCF: 4.0})
    child = _apply(child, {SCF: 4.0})
    with pytest.raises(RecipeError, match=r"expansion_i.medium.additives.SCF.amount: 1600 ng/mL of SCF is outside"):
        _apply(child, {SCF: 4.0})


@settings(max_examples=30, deadline=None)
@given(factors=st.dictionaries(st.sampled_from([SCF, IL2, TPO]), st.floats(0.25, 4.0)))
def test_the_diff_shows_the_factors(recipe: Recipe, factors: dict[str, float]) -> None:
    rows = diff(recipe, _apply(recipe, factors))
    shown = {(row.component, row.stage): row.factor for row in rows}
    for key, factor in factors.items():
        component, stages = key.split("@")
        for stage in stages.split("+"):
            assert shown.get((component, stage), 1.0) == pytest.approx(factor, rel=0.02)
    assert {row.component for row in rows} <= {key.split("@")[0] for key in factors}


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(factors=st.dictionaries(st.sampled_from([SCF, IL2, TPO]), st.floats(0.25, 4.0)))
def test_a_revision_reads_back_from_its_file(recipe: Recipe, tmp_path: Path, factors: dict[str, float]) -> None:
    child = _apply(recipe, factors)
    save_recipe(child, tmp_path / "child.yaml")
    again = load_recipe(tmp_path / "child.yaml")
    assert again == child
    assert again.revision_id == child.revision_id


def test_the_diff_tells_what_came_and_went(recipe: Recipe) -> None:
    without = recipe.model_copy(update={"stages": recipe.stages[:2]})
    gone = diff(recipe, without)
    assert {row.stage for row in gone} == {"differentiation"}
    assert all(row.after is None and row.factor is None for row in gone)
    assert len(diff(without, recipe)) == len(gone) == 9
    assert diff(recipe, recipe) == ()


def test_what_a_simulation_taught_says_so(recipe: Recipe) -> None:
    child = apply_factors(recipe, {SCF: 2.0}, reason="more cells", source="campaign-1", note=SIMULATED)
    assert child.revision.reason == "more cells SIMULATED bench: not evidence about real cells."
    assert child.sources["campaign-1"].note.endswith(f"; {SIMULATED}")
    assert simulated_values(child) == ("SCF in Expansion I", "SCF in Expansion II")
    assert child.revision_id != _apply(recipe, {SCF: 2.0}).revision_id
    assert simulated_values(recipe) == simulated_values(_apply(recipe, {SCF: 2.0})) == ()


def test_a_simulated_campaign_cannot_hide_behind_a_source_of_its_name(recipe: Recipe) -> None:
    real = _apply(recipe, {SCF: 2.0})
    child = apply_factors(real, {IL2: 2.0}, reason="more", source="campaign-1", note=SIMULATED)
    assert "IL-2 in Differentiation" in simulated_values(child)
