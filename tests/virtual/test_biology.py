"""Growth and differentiation: published outcomes, wrong media, an optimum inside the range, donors."""

from __future__ import annotations

import ast
import math
import statistics
from itertools import pairwise
from pathlib import Path

import pytest

import nkloop
from nkloop.virtual.biology import grow, respond
from nkloop.virtual.components import CULTURE_KINDS, is_cell
from nkloop.virtual.donors import DonorTraits, donor_traits

VOLUME = 1500.0
EARLY = {"SCF": 25.0, "Flt3L": 25.0, "TPO": 25.0, "IL-7": 25.0}
MIDDLE = {"SCF": 25.0, "Flt3L": 25.0, "IL-7": 25.0, "IL-15": 20.0}
LATE = {"SCF": 20.0, "IL-7": 20.0, "IL-15": 20.0, "IL-2": 1000.0}
LOW = {"GM-CSF": 0.01, "G-CSF": 0.25, "IL-6": 0.05, "LIF": 0.05, "MIP-1a": 0.2}
FEEDING_DAYS = (0, 3, 6, 9, 12, 14, 17.5, 21, 24.5, 28, 31.5, 35)
MEDIAN = DonorTraits()


def medium(day: float, factors: dict[str, float]) -> dict[str, float]:
    """The published medium of a day with some components changed, per µL."""
    dose = {**(EARLY if day < 9 else MIDDLE if day < 14 else LATE), **LOW}
    serum = 0.10 if day < 14 else 0.02
    content = {name: amount / 1000 * factors.get(name, 1.0) for name, amount in dose.items()}
    if day < 14:
        content["heparin"] = 25.0
    return {**content, "human serum": serum * factors.get("human serum", 1.0), "GBGM": 1 - serum}


def culture(
    factors: dict[str, float] | None = None, donor: DonorTraits = MEDIAN, vigour: float = 1.0
) -> dict[str, float]:
    """35 days with splits as a person would do them; log10 fold, purity, viability, potency per NK cell."""
    factors = factors or {}
    amounts = {name: share * VOLUME for name, share in medium(0, factors).items()}
    amounts |= {"cd34:U": 0.9 * 100 * VOLUME, "dead:U": 0.1 * 100 * VOLUME}
    kept = 1.0
    for day, next_day in pairwise(FEEDING_DAYS):
        if day > 0:
            kept *= exchange(amounts, medium(day, factors), 100 if day < 14 else 1000, 0.85 if day in (9, 14) else 0.5)
        grow(amounts, VOLUME, (next_day - day) * 24, lambda _: donor)
    living = sum(amounts[f"{kind}:U"] for kind in CULTURE_KINDS)
    nk = amounts["nk:U"]
    return {
        "log_fold": math.log10(max(1e-9, nk / kept / (100 * VOLUME))),
        "purity": nk / living,
        "viability": living / (living + amounts["dead:U"]),
        "potency": amounts["lytic:U"] / nk,
        "myeloid": amounts["myeloid:U"] / living,
    }


def exchange(amounts: dict[str, float], fresh: dict[str, float], seeding_per_ul: float, share: float) -> float:
    """Split back to the seeding density, or exchange settled medium; returns the share of cells kept."""
    density = sum(amounts[f"{kind}:U"] for kind in CULTURE_KINDS) / VOLUME / seeding_per_ul
    is_split = density > 1.5
    share = min(0.85, max(0.5, 1 - 1 / density)) if is_split else share
    for key in amounts:
        if is_split or not is_cell(key):
            amounts[key] *= 1 - share
    for key, per_ul in fresh.items():
        amounts[key] = amounts.get(key, 0.0) + per_ul * share * VOLUME
    return 1 - share if is_split else 1.0


def score(result: dict[str, float]) -> float:
    """Roughly what the loop optimises; killing saturates with potency."""
    return result["log_fold"] + 0.5 * math.sqrt(result["potency"]) + 0.5 * result["purity"]


OPTIMUM = {"IL-15": 2.2, "SCF": 1.8, "IL-2": 0.5, "Flt3L": 1.5, "TPO": 0.7}


def test_the_published_recipe_gives_published_outcomes() -> None:
    result = culture()
    assert 3.1 < result["log_fold"] < 3.5
    assert 0.85 < result["purity"] < 0.92
    assert 0.88 < result["viability"] < 0.92
    assert 0.5 < result["potency"] < 1.0
    assert result["myeloid"] < 0.02


def test_a_better_recipe_than_the_published_one_exists() -> None:
    best, reference = culture(OPTIMUM), culture()
    assert 0.25 < best["log_fold"] - reference["log_fold"] < 0.5
    assert 0.04 < best["purity"] - reference["purity"] < 0.09
    assert best["potency"] > 1.15 * reference["potency"]
    assert best["viability"] > 0.85


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_taking_everything_to_a_bound_is_worse_than_the_published_recipe(factor: float) -> None:
    assert score(culture(dict.fromkeys([*OPTIMUM, "IL-7"], factor))) < score(culture()) - 0.3


@pytest.mark.parametrize(
    ("component", "low", "high"),
    [("IL-15", 1.2, 3.0), ("IL-2", 0.3, 0.8), ("Flt3L", 1.0, 2.2), ("SCF", 1.2, 3.2), ("IL-7", 0.6, 1.6)],
)
def test_each_dose_has_its_best_inside_the_range(component: str, low: float, high: float) -> None:
    grid = [0.25 * 4 ** (i / 6) for i in range(13)]
    scores = [score(culture({**OPTIMUM, component: factor})) for factor in grid]
    best = scores.index(max(scores))
    assert low <= grid[best] <= high
    assert scores[0] < scores[best] - 0.03
    assert scores[-1] < scores[best] - 0.03


def test_no_point_on_a_coarse_grid_beats_the_optimum_by_much() -> None:
    best = score(culture(OPTIMUM))
    for il15 in (0.25, 1, 4):
        for scf in (0.25, 1, 4):
            for il2 in (0.25, 1, 4):
                for flt3l in (0.25, 1, 4):
                    assert score(culture({"IL-15": il15, "SCF": scf, "IL-2": il2, "Flt3L": flt3l})) < best


def test_forgotten_il15_gives_few_nk_cells() -> None:
    forgotten = culture({"IL-15": 0.0})
    assert forgotten["log_fold"] < culture()["log_fold"] - 1.5
    assert forgotten["purity"] < 0.1


def test_gm_csf_in_nanograms_makes_myeloid_cells() -> None:
    slipped = culture({"GM-CSF": 1000.0})
    assert slipped["myeloid"] > 0.8
    assert slipped["purity"] < 0.05


def test_cells_need_serum_fresh_medium_and_room() -> None:
    reference = culture()["log_fold"]
    assert culture({"human serum": 0.0})["log_fold"] < reference - 1
    crowded = {"nk:U": 6000 * VOLUME, **{k: v * VOLUME for k, v in medium(20, {}).items()}}
    grow(crowded, VOLUME, 48, lambda _: MEDIAN)
    assert crowded["nk:U"] < 6000 * VOLUME
    left = {"nk:U": 500 * VOLUME, **{k: v * VOLUME for k, v in medium(20, {}).items()}}
    grow(left, VOLUME, 48, lambda _: MEDIAN)
    early_gain = left["nk:U"] / (500 * VOLUME)
    before = left["nk:U"]
    grow(left, VOLUME, 24 * 14, lambda _: MEDIAN)
    grow(left, VOLUME, 48, lambda _: MEDIAN)
    assert early_gain > 1.3
    assert left["nk:U"] < 4 * before


def test_donors_differ_as_widely_as_published() -> None:
    results = [culture(donor=donor_traits(seed, f"U{n}")) for seed in range(4) for n in range(60)]
    assert 0.4 < statistics.stdev(r["log_fold"] for r in results) < 0.6
    assert 0.03 < statistics.stdev(r["purity"] for r in results) < 0.07
    assert statistics.median(r["log_fold"] for r in results) == pytest.approx(culture()["log_fold"], abs=0.15)


def test_a_donor_is_the_same_person_in_every_run_and_another_in_another_world() -> None:
    assert donor_traits(1, "U1") == donor_traits(1, "U1")
    assert donor_traits(1, "U1") != donor_traits(1, "U2")
    assert donor_traits(1, "U1") != donor_traits(2, "U1")


def test_cytokines_decay_and_steps_of_any_length_agree() -> None:
    def grown(hours: list[float]) -> dict[str, float]:
        amounts = {"cd34:U": 100 * VOLUME, **{k: v * VOLUME for k, v in medium(0, {}).items()}}
        for step in hours:
            grow(amounts, VOLUME, step, lambda _: MEDIAN)
        return amounts

    whole, parts = grown([72.0]), grown([1.0] * 72)
    assert whole["SCF"] == pytest.approx(0.5 * 25 / 1000 * VOLUME, rel=1e-6)
    assert parts["SCF"] == pytest.approx(whole["SCF"])
    assert parts["progenitor:U"] == pytest.approx(whole["progenitor:U"], rel=0.08)


def test_a_response_peaks_at_its_best_concentration() -> None:
    assert respond(0, 20, 0.5) == 0
    assert respond(20, 20, 0.5) == 1
    assert respond(5, 20, 0.5) == pytest.approx(respond(80, 20, 0.5))


def test_nobody_outside_the_virtual_bench_imports_the_biology() -> None:
    source = Path(nkloop.__file__).parent
    for path in source.rglob("*.py"):
        if source / "virtual" in path.parents:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        names += [f"{n.module}.{a.name}" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names]
        assert not [name for name in names if "virtual.biology" in name], path
