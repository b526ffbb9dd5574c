"""Arms against the reference: scipy's Dunnett test without blocks, fixed blocks where the mixed model has no say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import dunnett

from nkloop.feedback.arm_effects import Value, compare_to_reference


def values(n_donors: int, donor_sd: float, *, plates: int = 1, seed: int = 0) -> list[Value]:
    chance = np.random.default_rng(seed)
    made = []
    for d in range(n_donors):
        donor = donor_sd * chance.standard_normal()
        for p in range(plates):
            plate = 0.3 * chance.standard_normal()
            for a in range(4):
                name = "reference" if a == 0 else f"arm-{a}"
                y = donor + plate + 0.4 * a + 0.2 * chance.standard_normal()
                made.append(Value(name, f"U{d}", f"P{d}-{p}", y))
    return made


def test_without_blocks_it_is_dunnetts_test() -> None:
    chance = np.random.default_rng(0)
    groups = [chance.standard_normal(6) + m for m in (0, 0.5, 1.2, 2)]
    expected = dunnett(*groups[1:], control=groups[0], rng=np.random.default_rng(1))
    interval = expected.confidence_interval()
    rows = [Value("reference" if a == 0 else f"a{a}", "D", "P", float(y)) for a in range(4) for y in groups[a]]
    for i, found in enumerate(compare_to_reference(rows)):
        assert found.p == pytest.approx(expected.pvalue[i], abs=2e-3)
        assert found.ci_low == pytest.approx(interval.low[i], abs=1e-2)
        assert found.ci_high == pytest.approx(interval.high[i], abs=1e-2)
        assert found.model == "fixed blocks"


@pytest.mark.parametrize("plates", [1, 2], ids=["one_plate", "two_plates"])
def test_the_mixed_model_of_complete_blocks_gives_differences_within_donors(plates: int) -> None:
    rows = values(5, 1.0, plates=plates)
    for found in compare_to_reference(rows):
        own = {(v.donor, v.plate): v.value for v in rows if v.arm == found.arm}
        base = {(v.donor, v.plate): v.value for v in rows if v.arm == "reference"}
        assert found.effect == pytest.approx(np.mean([own[k] - base[k] for k in own]), abs=1e-6)
        assert found.model == "mixed"
        assert found.ci_low < found.single_low < found.effect < found.single_high < found.ci_high


def test_donors_that_do_not_differ_lead_to_fixed_blocks_and_it_is_told() -> None:
    rows = [Value(a, f"U{d}", f"P{d}", v) for d in range(4) for a, v in (("reference", 0.0), ("arm-1", 1.0))]
    scatter = (0.1, -0.1, -0.1, 0.1, -0.1, 0.1, 0.1, -0.1)
    rows = [Value(r.arm, r.donor, r.plate, r.value + s) for r, s in zip(rows, scatter, strict=True)]
    (found,) = compare_to_reference(rows)
    assert found.model == "fixed blocks"
    assert "at its bound" in found.note or "mixed model" in found.note


def test_what_cannot_be_estimated_is_left_out() -> None:
    assert compare_to_reference([Value("reference", "U1", "P", 1.0), Value("arm-1", "U1", "P", 2.0)]) == ()
    assert compare_to_reference([Value("arm-1", "U1", "P", 2.0)]) == ()
    assert compare_to_reference([Value("reference", "U1", "P", 1.0), Value("arm-1", "U2", "P", 2.0)]) == ()


@pytest.mark.parametrize("n_donors", [2, 5])
def test_arms_on_plates_of_their_own_are_compared_within_donors_and_it_is_told(n_donors: int) -> None:
    """Plates as blocks would split each difference between arm and plate at will, with intervals around nothing."""
    rows = [replace(v, plate=f"plate of {v.arm}") for v in values(n_donors, 1.0)]
    for found in compare_to_reference(rows):
        own = {v.donor: v.value for v in rows if v.arm == found.arm}
        base = {v.donor: v.value for v in rows if v.arm == "reference"}
        assert found.effect == pytest.approx(np.mean([own[k] - base[k] for k in own]), abs=1e-6)
        assert "arms stand on plates of their own" in found.note


def test_an_arm_on_the_plate_of_the_reference_keeps_plates_as_blocks() -> None:
    """Ordinary least squares by statsmodels, for plates that carry some of the arms each."""
    import pandas as pd
    from statsmodels.formula.api import ols

    rows = [v for v in values(2, 1.0, plates=3) if not (v.arm == "arm-3" and v.plate.endswith("-0"))]
    frame = pd.DataFrame([{"arm": v.arm, "donor": v.donor, "plate": v.plate, "y": v.value} for v in rows])
    expected = ols("y ~ C(arm, Treatment('reference')) + C(plate)", frame).fit()
    for found in compare_to_reference(rows):
        name = f"C(arm, Treatment('reference'))[T.{found.arm}]"
        assert found.effect == pytest.approx(expected.params[name])
        assert found.standard_error == pytest.approx(expected.bse[name])
        assert found.freedom == expected.df_resid
        assert "plates of their own" not in found.note
