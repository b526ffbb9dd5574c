"""Live-cell signals over time: index per well, area under it, killing over time.

The index of a well is its signal over its signal when effectors are added, so wells that were seeded unequally compare.
The signal of a well is the mean of its index over the contact (area over duration); killing is the area that is
missing against targets alone, over the area lysed targets miss: 100 (A_T − A_E) / (A_T − A_M).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nkloop.assays.checks import UNREAD
from nkloop.assays.methods import Method
from nkloop.assays.models import EffectorSample, KillingOverTime, LayoutWell, PlateLayout
from nkloop.assays.readings import PlateReading
from nkloop.assays.readings.values import number
from nkloop.errors import ReadingError

LEAST_TIMES = 3
LEAST_WINDOW = 0.2
"""Index by which targets alone and lysed targets must differ before killing at that time is computed."""
_ADDITION = {"effectors at": 1.0, "effectors at min": 1.0, "effectors at h": 60.0}
_WITHOUT_TARGETS = {"background", "effector_only", "volume_correction"}
Array = NDArray[np.float64]


def kinetic_signals(
    layout: PlateLayout, reading: PlateReading, method: Method, excluded: Collection[str] = ()
) -> tuple[dict[str, float], tuple[KillingOverTime, ...]]:
    """Mean index per well over the contact, and killing over time per sample, line and E:T.

    Raises:
        ReadingError: too few times, none before the addition, the contact is not covered, or wells without a value.
    """
    times, values = _table(layout, reading, method, excluded)
    start = int(np.searchsorted(times, 0.0, side="right")) - 1
    roles = {w.well: w.role for w in layout.wells}
    flat = [w for w, v in values.items() if v[start] <= 0 and roles[w] not in _WITHOUT_TARGETS]
    if flat:
        raise ReadingError(
            f"wells without a signal when effectors are added: {', '.join(sorted(flat)[:8])}",
            where=reading.file,
            remedy="exclude wells in which no targets grew, with a reason",
        )
    index = {w: v[start:] / (v[start] if roles[w] not in _WITHOUT_TARGETS else 1.0) for w, v in values.items()}
    clock = np.maximum(times[start:], 0.0)
    signals = {w: float(np.trapezoid(v, clock) / (clock[-1] - clock[0])) for w, v in index.items()}
    return signals, tuple(_killing(layout, clock, index))


def _table(
    layout: PlateLayout, reading: PlateReading, method: Method, excluded: Collection[str]
) -> tuple[Array, dict[str, Array]]:
    """Times from the addition of effectors, shape (n,), and the signal of every used well, shape (n,) each."""
    frames = sorted((f for f in reading.frames if f.minutes is not None), key=lambda f: f.minutes or 0.0)
    where = reading.file
    if len(frames) < LEAST_TIMES:
        raise ReadingError(
            f"the file holds {len(frames)} time points, {method.name} needs at least {LEAST_TIMES}",
            where=where,
            remedy="export the whole time course with its minutes or hours",
        )
    times = np.array([f.minutes for f in frames], dtype=float) - _addition(reading)
    if times[0] > 0:
        raise ReadingError(
            f"the first time point is {times[0]:g} min after the addition of effectors",
            where=where,
            remedy="export at least one time point before it, or correct the line `effectors at`",
        )
    kept = times <= layout.contact_minutes + 1e-9
    reached = float(times[kept][-1])
    if reached < method.contact.low_minutes:
        raise ReadingError(
            f"the time course ends {reached:g} min after the addition, {method.name} needs "
            f"{method.contact.low_minutes:g}",
            where=where,
            remedy=f"read longer: {method.contact.reason}",
        )
    used = [w.well for w in layout.wells if w.role not in UNREAD and w.well not in excluded]
    lacking = sorted({w for f, keep in zip(frames, kept, strict=True) if keep for w in used if w not in f.values})
    if lacking:
        raise ReadingError(
            f"wells without a value at some time: {', '.join(lacking[:8])}",
            where=where,
            remedy="export every time point of every well, or exclude the well with a reason",
        )
    chosen = [f for f, keep in zip(frames, kept, strict=True) if keep]
    return times[kept], {w: np.array([f.values[w] for f in chosen]) for w in used}


def _addition(reading: PlateReading) -> float:
    """Minutes of the file's clock at which effectors were added: 0 unless a line says otherwise."""
    for name, text in reading.settings.items():
        factor = _ADDITION.get(" ".join(name.lower().replace("[", " ").replace("]", " ").split()))
        if factor is not None:
            value = number(text.removesuffix("min").removesuffix("h").strip(), comma_is_decimal=True)
            if value is None:
                raise ReadingError(f"'{name}' is '{text}', not a time", where=reading.file, remedy="write minutes")
            return value * factor
    return 0.0


def _killing(layout: PlateLayout, clock: Array, index: Mapping[str, Array]) -> list[KillingOverTime]:
    samples = {s.name: s for s in (*layout.samples, *([layout.reference] if layout.reference else []))}
    found = []
    for line in layout.lines:
        alone = _mean(index, layout.with_role("spontaneous", line=line))
        lysed = _mean(index, layout.with_role("maximum", line=line))
        if alone is None:
            continue
        lowest = np.zeros_like(alone) if lysed is None else lysed
        wells = [w for r in ("experimental", "reference_effector") for w in layout.with_role(r, line=line)]
        for sample, ratio in dict.fromkeys((w.sample, w.nominal_ratio) for w in wells):
            own = [w for w in wells if (w.sample, w.nominal_ratio, w.treatment) == (sample, ratio, None)]
            mean = _mean(index, own)
            if mean is not None and sample is not None and ratio is not None:
                found.append(_course(samples[sample], line, ratio, clock, alone, lowest, mean))
    return found


def _course(
    sample: EffectorSample, line: str, ratio: float, clock: Array, alone: Array, lysed: Array, mean: Array
) -> KillingOverTime:
    window = alone - lysed
    open_at = window >= LEAST_WINDOW
    killing = 100 * (alone[open_at] - mean[open_at]) / window[open_at]
    t = clock[open_at]
    area = float(np.trapezoid(killing, t) / (t[-1] - t[0]) / 100) if t.size > 1 else None
    return KillingOverTime(
        sample=sample.name,
        target_line=line,
        nominal_ratio=ratio,
        true_ratio=sample.true_ratio(ratio),
        points=tuple((float(a), float(b)) for a, b in zip(t, killing, strict=True)),
        area=area,
    )


def _mean(index: Mapping[str, Array], wells: Sequence[LayoutWell]) -> Array | None:
    found = [index[w.well] for w in wells if w.well in index]
    return np.mean(found, axis=0) if found else None
