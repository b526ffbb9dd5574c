"""What an antibody or a CAR adds to the killing, with its interval; and the matrix of a drug with NK cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nkloop.assays.fitting.distributions import t_quantile
from nkloop.assays.models import Effect, EffectorSample, MatrixPoint, PlateLayout, WellLysis

LOW_CD16 = 20.0
"""CD16+ share of NK cells (%) below which an antibody is expected to add nothing."""


@dataclass(frozen=True)
class _Series:
    """Replicate means of one condition over true E:T, lowest first, with the scatter of its replicates."""

    ratios: tuple[float, ...]
    means: tuple[float, ...]
    counts: tuple[int, ...]
    within: float
    """Sum of squares of the replicates about their means."""
    own_control: float = 0.0
    """Variance of the effector-only mean that only this series was corrected by, in variances of one well."""

    @property
    def freedom(self) -> int:
        return sum(self.counts) - len(self.counts)

    @classmethod
    def of(cls, wells: Iterable[WellLysis], own_control: float = 0.0) -> _Series:
        grouped: dict[float, list[float]] = {}
        for well in wells:
            grouped.setdefault(well.true_ratio, []).append(well.lysis_percent)
        ratios = tuple(sorted(grouped))
        means = tuple(float(np.mean(grouped[r])) for r in ratios)
        within = sum(float(np.sum((np.array(grouped[r]) - np.mean(grouped[r])) ** 2)) for r in ratios)
        return cls(ratios, means, tuple(len(grouped[r]) for r in ratios), within, own_control)

    def factor(self, k: int) -> float:
        """Variance of a mean in variances of one well."""
        return 1 / self.counts[k] + self.own_control

    def at(self, ratio: float) -> tuple[float, float] | None:
        """Mean at a true E:T and the variance factor of it; linear over log10 E:T, None outside the tested range."""
        x = np.log10(self.ratios)
        want = np.log10(ratio)
        if want < x[0] - 1e-9 or want > x[-1] + 1e-9:
            return None
        k = int(np.clip(np.searchsorted(x, want), 1, len(x) - 1)) if len(x) > 1 else 0
        if k == 0:
            return self.means[0], self.factor(0)
        share = float(np.clip((want - x[k - 1]) / (x[k] - x[k - 1]), 0, 1))
        mean = (1 - share) * self.means[k - 1] + share * self.means[k]
        return mean, (1 - share) ** 2 * self.factor(k - 1) + share**2 * self.factor(k)


def effects_of(
    layout: PlateLayout, lysis: Sequence[WellLysis], window_errors: Mapping[str, float] | None = None
) -> tuple[Effect, ...]:
    """Differences a plate was made for; empty on a plate of another kind or without lysis.

    `window_errors` maps lines to the relative standard error of their signal window: every lysis of a line is a share
    of that window, so a difference is as uncertain as the window, in proportion to its size.
    """
    made = {"adcc": _antibody_effects, "car": _car_effects}.get(layout.kind)
    return () if made is None else tuple(made(layout, lysis, window_errors or {}))


def matrix_of(layout: PlateLayout, lysis: Sequence[WellLysis]) -> tuple[MatrixPoint, ...]:
    """Mean lysis of every combination of dose and E:T of a matrix plate, both margins and the untreated corner.

    The corner (no drug, no NK cells) is 0 by definition of lysis.
    """
    if layout.kind != "drug-matrix":
        return ()
    points = []
    for treatment in (t.name for t in layout.treatments):
        for line in layout.lines:
            for sample in (s.name for s in layout.samples):
                points += _matrix(lysis, line, sample, treatment)
    return tuple(points)


def _matrix(lysis: Sequence[WellLysis], line: str, sample: str, treatment: str) -> list[MatrixPoint]:
    grouped: dict[tuple[float, float], list[float]] = {}
    for well in lysis:
        if well.target_line == line and well.sample in {sample, ""} and well.treatment in {treatment, ""}:
            grouped.setdefault((well.dose or 0.0, well.true_ratio), []).append(well.lysis_percent)
    if not grouped:
        return []
    grouped.setdefault((0.0, 0.0), [0.0])
    return [
        MatrixPoint(
            target_line=line,
            sample=sample,
            treatment=treatment,
            dose=dose,
            true_ratio=ratio,
            lysis_percent=float(np.mean(values)),
            n=len(values),
        )
        for (dose, ratio), values in sorted(grouped.items())
    ]


def _antibody_effects(
    layout: PlateLayout, lysis: Sequence[WellLysis], window_errors: Mapping[str, float]
) -> Iterable[Effect]:
    antibodies = [t.name for t in layout.treatments if t.kind == "antibody"]
    isotypes = [t.name for t in layout.treatments if t.kind == "isotype"]
    for sample in layout.samples:
        cd16 = "CD16 was not recorded" if sample.cd16_percent is None else f"{sample.cd16_percent:g} % CD16+"
        expected = sample.cd16_percent is None or sample.cd16_percent >= LOW_CD16
        for line in layout.lines:
            own = [w for w in lysis if w.sample == sample.name and w.target_line == line]
            for antibody in antibodies:
                treated = [w for w in own if w.treatment == antibody]
                for other in ("", *isotypes):
                    plain = [w for w in own if w.treatment == other]
                    about = {
                        "kind": "adcc",
                        "target_line": line,
                        "sample": sample.name,
                        "against": other or "no antibody",
                        "treatment": antibody,
                        "is_expected": expected,
                    }
                    name = f"{sample.name} ({cd16}), {antibody} on {line}"
                    series = _Series.of(treated), _Series.of(plain)
                    yield from _differences(*series, about, name, window_errors.get(line, 0.0))


def _car_effects(
    layout: PlateLayout, lysis: Sequence[WellLysis], window_errors: Mapping[str, float]
) -> Iterable[Effect]:
    cars = [s for s in layout.samples if s.is_car]
    for car in cars:
        plain = next((s for s in layout.samples if s.is_car is False and s.donor == car.donor), None)
        if plain is None:
            continue
        for line in layout.lines:
            negative = line in layout.antigen_negative
            about = {
                "kind": "car",
                "target_line": line,
                "sample": car.name,
                "against": plain.name,
                "is_expected": not negative,
            }
            own = [w for w in lysis if w.target_line == line and not w.treatment]
            name = f"{car.name} on {line}{', antigen-negative' if negative else ''}"
            treated = [w for w in own if w.sample == car.name]
            control = [w for w in own if w.sample == plain.name]
            series = _Series.of(treated, _own_control(layout, car)), _Series.of(control, _own_control(layout, plain))
            yield from _differences(*series, about, name, window_errors.get(line, 0.0))


def _own_control(layout: PlateLayout, sample: EffectorSample) -> float:
    """Two samples are corrected by effector-only wells of their own, whose errors do not cancel."""
    wells = layout.with_role("effector_only", sample.name)
    ratios = {well.nominal_ratio for well in wells}
    return len(ratios) / len(wells) if wells else 0.0


def _differences(
    treated: _Series,
    plain: _Series,
    about: dict[str, object],
    name: str,
    window_error: float,
) -> Iterable[Effect]:
    """Differences at every true E:T both cover, and their mean.

    Both stand on one plate, so the error of the spontaneous wells and of effector-only wells they share cancels; that
    of the window and of effector-only wells of their own (`own_control`) does not. The scatter of the replicates is
    pooled over the E:T of both (equal variances, effector-only wells as well), which
    gives the interval its degrees of freedom.
    """
    if not treated.ratios or not plain.ratios:
        return
    a, b = treated, plain
    freedom = a.freedom + b.freedom
    variance = (a.within + b.within) / freedom if freedom > 0 else None
    rows = []
    for k, (ratio, mean) in enumerate(zip(a.ratios, a.means, strict=True)):
        other = b.at(ratio)
        if other is not None:
            rows.append((ratio, mean - other[0], a.factor(k) + other[1]))
    for ratio, difference, factor in rows:
        error = None if variance is None else (variance * factor + (window_error * difference) ** 2) ** 0.5
        yield _effect(about, name, ratio, difference, error, freedom)
    if len(rows) > 1:
        # a mean of the other series may serve two E:T when purities differ; the interval is then a little short
        mean, factor = float(np.mean([r[1] for r in rows])), sum(r[2] for r in rows) / len(rows) ** 2
        error = None if variance is None else (variance * factor + (window_error * mean) ** 2) ** 0.5
        yield _effect(about, name, None, mean, error, freedom)


def _effect(
    about: dict[str, object],
    name: str,
    ratio: float | None,
    difference: float,
    error: float | None,
    freedom: int,
) -> Effect:
    place = "over all E:T" if ratio is None else f"at true E:T {ratio:.3g}"
    update: dict[str, object] = {"true_ratio": ratio, "difference": difference}
    if error is None:
        words = f"{name} {place}: {difference:+.1f} points against {about['against']}; no replicates, no interval"
        return Effect.model_validate({**about, **update, "reason": words})
    half = float(t_quantile(0.975, freedom)) * error
    low, high = difference - half, difference + half
    is_different = low > 0 or high < 0
    verdict = "more" if low > 0 else "less" if high < 0 else "no difference"
    if not about["is_expected"]:
        verdict += ", as expected" if not is_different else ", which was not expected here"
    words = (
        f"{name} {place}: {difference:+.1f} points ({low:+.1f} to {high:+.1f}) against {about['against']}: {verdict}"
    )
    update |= {"ci_low": low, "ci_high": high, "is_different": is_different, "reason": words}
    return Effect.model_validate({**about, **update})
