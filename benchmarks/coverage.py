"""Simulated plates with known truth: coverage of the 95 % intervals and bias, for curves, potency and combinations."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from nkloop.assays import analyse
from nkloop.assays.combination import CombinationData, analyse_combination
from nkloop.assays.designs import DesignRequest, DoseSeries, design
from nkloop.assays.fitting.batch import fit_batch
from nkloop.assays.fitting.data import CurveData, Request
from nkloop.assays.fitting.logistic import ANCHOR, NAMES, SLOPE, TOP, Level, logistic, move_anchor
from nkloop.assays.fitting.profile import profile_interval
from nkloop.assays.fitting.solver import Flags
from nkloop.assays.models import EffectorSample, PlateLayout, Treatment
from nkloop.assays.potency.data import PotencyData
from nkloop.assays.potency.parallel_curve import analyse_curves
from nkloop.assays.potency.parallel_line import Question, analyse_lines
from stopwatch import show_machine

RATIOS = np.repeat([10.0, 5.0, 2.5, 1.25, 0.625, 0.3125], 3)


def main() -> None:
    """Print coverage (wanted: 93 to 97 %) and bias (wanted: below 1 %) over simulated plates, 2,000 unless said."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    show_machine()
    chance = np.random.default_rng(2026)
    _curves(n, chance)
    _potency(n, chance)
    _parallel_curves(n, chance)
    _effects("adcc", n, chance)
    _effects("car", n, chance)
    _combination(max(n // 20, 20), chance)


def _share(hits: Flags) -> str:
    share = 100 * float(np.mean(hits))
    return f"{share:.1f} % ({'met' if 93 <= share <= 97 else 'NOT MET'})"


def _curves(n: int, chance: np.random.Generator) -> None:
    truth = np.array([0.0, 92.0, np.log10(1.6), 1.2, 1.0])
    log_ratio = np.log10(RATIOS)
    exact = logistic(truth[None], log_ratio[None])[0]
    lysis = exact + 4 * chance.standard_normal((n, RATIOS.size))
    fit = fit_batch(CurveData.of(RATIOS, lysis), Request("3pl"))
    for j in (TOP, ANCHOR, SLOPE):
        low, high = profile_interval(fit, j)
        print(f"3PL of lysis, {n} plates, {NAMES[j]}: covered {_share((low <= truth[j]) & (truth[j] <= high))}")
    half = Level(50.0, is_response=True)
    low, high = profile_interval(fit, ANCHOR, level=half)
    where = float(move_anchor(truth[None], half)[0])
    print(f"ET50 (50 % lysis): covered {_share((low <= where) & (where <= high))}")
    found = 10 ** move_anchor(fit.parameters, half)
    for name, bias in (
        ("ET50", np.mean(found) / 10**where - 1),
        ("top", np.mean(fit.parameters[:, TOP]) / truth[TOP] - 1),
    ):
        print(f"bias of {name}: {100 * bias:+.2f} % ({'met' if abs(bias) < 0.01 else 'NOT MET'})")


def _potency(n: int, chance: np.random.Generator) -> None:
    doses = np.log10(np.repeat([1.0, 2.0, 4.0, 8.0], 3))
    names = ("S",) * 12 + ("T",) * 12
    x = np.concatenate([doses, doses])
    hits, found = [], []
    for _ in range(n):
        y = 10 + 8 * x + np.array([0.0] * 12 + [8 * np.log10(1.25)] * 12) + 0.8 * chance.standard_normal(24)
        result = analyse_lines(PotencyData(names, x, y, y), Question("S", "crd"))
        hits.append(_holds(result.ci_low_if_valid, 1.25, result.ci_high_if_valid))
        found.append(np.log10(result.potency_if_valid or np.nan))
    bias = 10 ** float(np.nanmean(found)) / 1.25 - 1
    print(f"parallel-line potency, {n} assays: covered {_share(np.array(hits))}, bias {100 * bias:+.2f} %")


def _holds(low: float | None, truth: float, high: float | None) -> bool:
    return low is not None and high is not None and low <= truth <= high


def _parallel_curves(n: int, chance: np.random.Generator) -> None:
    """Assays whether or not their validity tests pass: selecting by a test would change what an interval promises."""
    x = np.log10(np.tile(np.repeat(np.geomspace(0.1, 30, 7), 3), 2))
    names = ("S",) * 21 + ("T",) * 21
    shift = np.repeat([0.0, np.log10(1.25)], 21)
    exact = logistic(np.array([[5.0, 95.0, np.log10(2.0), 1.3, 1.0]]), (x + shift)[None])[0][0]
    hits, found = [], []
    for _ in range(n):
        y = exact + 4 * chance.standard_normal(x.size)
        result = analyse_curves(PotencyData(names, x, y, y), Question("S", "4pl"))
        hits.append(_holds(result.ci_low_if_valid, 1.25, result.ci_high_if_valid))
        found.append(np.log10(result.potency_if_valid or np.nan))
    bias = 10 ** float(np.nanmean(found)) / 1.25 - 1
    print(f"parallel 4PL potency, {n} assays: covered {_share(np.array(hits))}, bias {100 * bias:+.2f} %")


def _effects(kind: Literal["adcc", "car"], n: int, chance: np.random.Generator) -> None:
    """Whole plates from raw signals, so that the error of the controls is in the truth as well."""
    layout = _effect_layout(kind)
    truth = {"rituximab": 20.0, "car": 20.0}
    exact, noise = _signals(layout, truth), 0.03
    each: list[bool] = []
    mean: list[bool] = []
    bias: list[float] = []
    for _ in range(n):
        signals = {well: value + noise * chance.standard_normal() for well, value in exact.items()}
        for effect in analyse(layout, signals).effects:
            if effect.against not in {"no antibody", "plain/U1"}:
                continue
            (mean if effect.true_ratio is None else each).append(_holds(effect.ci_low, 20.0, effect.ci_high))
            bias += [effect.difference / 20.0 - 1] if effect.true_ratio is None else []
    print(
        f"{kind} effect, {n} plates: per E:T covered {_share(np.array(each))}, mean {_share(np.array(mean))}, ", end=""
    )
    print(f"bias {100 * float(np.mean(bias)):+.2f} %")


def _effect_layout(kind: Literal["adcc", "car"]) -> PlateLayout:
    def sample(name: str, **more: Any) -> EffectorSample:
        return EffectorSample(
            name=f"{name}/U1", arm=name, donor="U1", viability_percent=100, purity_percent=100, **more
        )

    request: dict[str, Any] = {"kind": kind, "lines": ("Raji",), "ratios": (4, 2, 1), "seed": 3, "plate_wells": 384}
    if kind == "car":
        samples = (sample("car", is_car=True), sample("plain", is_car=False))
        request |= {"samples": samples, "lines": ("Raji", "K-562"), "antigen_negative": ("K-562",)}
    else:
        antibody, isotype = (
            DoseSeries(treatment=Treatment(name=name, kind=kind_, unit="µg/mL"), doses=(10,))
            for name, kind_ in (("rituximab", "antibody"), ("IgG1", "isotype"))
        )
        request |= {"samples": (sample("pb", cd16_percent=88),), "treatments": (antibody, isotype)}
    (layout,) = design(DesignRequest.model_validate({**request, "replicates": 3})).layouts
    return layout


def _signals(layout: PlateLayout, extra: Mapping[str, float]) -> dict[str, float]:
    """Mean absorbance of every well: 10 % lysis per E:T, and what an antibody or a CAR adds on every line."""
    values = {}
    for well in layout.wells:
        ratio = well.nominal_ratio or 0.0
        lysis = 100.0 if well.role == "maximum" else 0.0
        if well.sample is not None and well.role == "experimental":
            lysis = 10.0 * ratio + extra.get(well.treatment or "", 0.0) + extra.get(well.sample.partition("/")[0], 0.0)
        has_targets = well.role in {"experimental", "treated_target", "reference_effector", "spontaneous", "maximum"}
        reagent = 0.02 if well.role in {"maximum", "volume_correction"} else 0.0
        values[well.well] = 0.1 + reagent + 0.02 * ratio + (0.15 + 0.0085 * lysis if has_targets else 0.0)
    return values


def _combination(n: int, chance: np.random.Generator) -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(np.repeat([0, 1, 2, 4, 8], 3), [0, 1, 3, 9, 27]))
    one, two = 80 * a / (a + 2), 60 * b / (b + 5)
    exact = one + two - one * two / 100
    hits = []
    for seed in range(n):
        effect = exact + 3 * chance.standard_normal(exact.size)
        result = analyse_combination(CombinationData(a.astype(float), b.astype(float), effect), seed=seed)
        hits += [_holds(c.ci_low, 0.0, c.ci_high) for c in result.bliss.cells]
    print(f"Bliss excess per dose pair, {n} matrices of {len(result.bliss.cells)}: covered {_share(np.array(hits))}")


if __name__ == "__main__":
    main()
