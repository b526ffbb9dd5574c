"""Plate layouts: which well holds what, on as few plates as possible, every plate with all its controls.

On the inner 60 wells of a 96-well plate (the outer ring holds medium against evaporation) the controls take four
columns: target spontaneous 6, target maximum 6, background 3 + volume correction 3, reference effector 3 E:T × 2.
The other six columns hold samples: E:T from row B to row G, one column per replicate and per effector-only replicate.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nkloop.assays.methods import method_named
from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout, WellRole
from nkloop.errors import AssayError

Edge = Literal["ring", "all"]
ROWS = "ABCDEFGH"
COLUMNS = range(1, 13)
REFERENCE_RATIOS = 3
REFERENCE_REPLICATES = 2
_CONTROLS: tuple[tuple[WellRole, int], ...] = (
    ("spontaneous", 6),
    ("maximum", 6),
    ("background", 3),
    ("volume_correction", 3),
)


@dataclass(frozen=True)
class _Frame:
    """Where samples and controls go on a plate."""

    sample_rows: str
    sample_columns: tuple[int, ...]
    control_wells: tuple[str, ...]
    """24 wells, in the order the controls are placed."""


def capacity(n_ratios: int = 6, *, replicates: int = 3, effector_replicates: int = 3, edge: Edge = "ring") -> int:
    """Number of samples that fit one plate beside its controls.

    Raises:
        AssayError: the E:T series is longer than a column, or not even one sample fits.
    """
    frame = _frame(n_ratios, edge)
    needed = replicates + effector_replicates
    fits = len(frame.sample_columns) // needed
    if fits < 1:
        raise AssayError(
            f"one sample needs {needed} columns ({replicates} replicates + {effector_replicates} effector-only), "
            f"the plate has {len(frame.sample_columns)} beside the controls",
            where=f"layout, edge '{edge}'",
            remedy="use fewer replicates, for example 2 with 1 effector-only",
        )
    return fits


def lay_out(
    samples: Sequence[EffectorSample],
    *,
    reference: EffectorSample | None,
    method: str,
    target_line: str,
    barcodes: Sequence[str],
    ratios: Sequence[float] = (10, 5, 2.5, 1.25, 0.625, 0.3125),
    replicates: int = 3,
    effector_replicates: int = 3,
    edge: Edge = "ring",
    targets_per_well: float = 1e4,
    contact_minutes: float = 240,
    seed: int | None = None,
) -> tuple[PlateLayout, ...]:
    """Lay samples out on 96-well plates, packed in the order given; plate i carries `barcodes[i]`.

    `ratios` are nominal E:T, highest first. With `seed` the order of the columns on each plate is random and saved;
    without, it is fixed. `edge="all"` uses the outer ring too: up to six E:T stay in rows B-G and the controls go to
    rows A and H; seven or eight E:T use whole columns. Without a reference its wells stay empty.

    Raises:
        AssayError: what is asked does not fit or makes no sense; every reason is named.
    """
    method_named(method)
    _check_request(samples, reference, ratios, replicates, effector_replicates)
    per_plate = capacity(len(ratios), replicates=replicates, effector_replicates=effector_replicates, edge=edge)
    groups = [tuple(samples[i : i + per_plate]) for i in range(0, len(samples), per_plate)]
    _check_barcodes(barcodes, len(groups), per_plate)
    frame = _frame(len(ratios), edge)
    return tuple(
        PlateLayout(
            barcode=barcode,
            method=method,
            target_line=target_line,
            targets_per_well=targets_per_well,
            contact_minutes=contact_minutes,
            ratios=tuple(float(r) for r in ratios),
            samples=group,
            reference=reference,
            wells=_wells(
                frame,
                group,
                reference,
                tuple(float(r) for r in ratios),
                replicates,
                effector_replicates,
                None if seed is None else random.Random(f"{seed}/{number}"),
                edge,
            ),
            seed=seed,
        )
        for number, (barcode, group) in enumerate(zip(barcodes, groups, strict=False))
    )


def reference_ratios(ratios: Sequence[float]) -> tuple[float, ...]:
    """The three E:T at which the reference effector is tested: every second of the series, or the first three."""
    chosen = ratios[::2] if len(ratios) >= 2 * REFERENCE_RATIOS - 1 else ratios
    return tuple(chosen[:REFERENCE_RATIOS])


def _frame(n_ratios: int, edge: Edge) -> _Frame:
    longest = 6 if edge == "ring" else 8
    if n_ratios > longest:
        raise AssayError(
            f"{n_ratios} E:T do not fit a column of {longest} wells",
            where=f"layout, edge '{edge}'",
            remedy=f"use at most {longest} E:T",
        )
    if edge == "ring":
        controls = tuple(f"{row}{column}" for column in range(8, 12) for row in "BCDEFG")
        return _Frame("BCDEFG", tuple(range(2, 8)), controls)
    if n_ratios <= 6:
        # rows A and H hold 24 wells, exactly the controls; alternating puts half of every control in each row
        controls = tuple(f"{row}{column}" for column in COLUMNS for row in "AH")
        return _Frame("BCDEFG", tuple(COLUMNS), controls)
    controls = tuple(f"{row}{column}" for column in range(10, 13) for row in ROWS)
    return _Frame(ROWS, tuple(range(1, 10)), controls)


def _wells(
    frame: _Frame,
    samples: Sequence[EffectorSample],
    reference: EffectorSample | None,
    ratios: Sequence[float],
    replicates: int,
    effector_replicates: int,
    chance: random.Random | None,
    edge: Edge,
) -> tuple[LayoutWell, ...]:
    kinds: tuple[tuple[WellRole, int], ...] = (("experimental", replicates), ("effector_only", effector_replicates))
    columns = list(frame.sample_columns)
    if chance is not None:
        chance.shuffle(columns)
    placed: list[LayoutWell] = []
    jobs = [(s.name, role, n) for s in samples for role, count in kinds for n in range(1, count + 1)]
    for column, (sample, role, replicate) in zip(columns, jobs, strict=False):
        for row, ratio in zip(frame.sample_rows, ratios, strict=False):
            placed.append(
                LayoutWell(well=f"{row}{column}", role=role, sample=sample, nominal_ratio=ratio, replicate=replicate)
            )
    placed += _control_wells(frame, reference, ratios)
    used = {well.well for well in placed}
    rest = (f"{row}{column}" for row in ROWS for column in COLUMNS if f"{row}{column}" not in used)
    placed += [LayoutWell(well=w, role="medium_ring" if edge == "ring" and _is_outer(w) else "empty") for w in rest]
    return tuple(sorted(placed, key=lambda well: (well.well[0], int(well.well[1:]))))


def _control_wells(frame: _Frame, reference: EffectorSample | None, ratios: Sequence[float]) -> list[LayoutWell]:
    free = iter(frame.control_wells)
    placed = [
        LayoutWell(well=next(free), role=role, replicate=n) for role, count in _CONTROLS for n in range(1, count + 1)
    ]
    if reference is not None:
        placed += [
            LayoutWell(
                well=next(free), role="reference_effector", sample=reference.name, nominal_ratio=ratio, replicate=n
            )
            for ratio in reference_ratios(ratios)
            for n in range(1, REFERENCE_REPLICATES + 1)
        ]
    return placed


def _is_outer(well: str) -> bool:
    return well[0] in "AH" or well[1:] in {"1", "12"}


def _check_request(
    samples: Sequence[EffectorSample],
    reference: EffectorSample | None,
    ratios: Sequence[float],
    replicates: int,
    effector_replicates: int,
) -> None:
    where = "layout"
    if not samples:
        raise AssayError("there is no sample to lay out", where=where, remedy="name at least one effector sample")
    everyone = [*samples, *([reference] if reference else [])]
    names = [s.name for s in everyone]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise AssayError(f"sample named twice: {', '.join(twice)}", where=where, remedy="give each sample its own name")
    for sample in everyone:
        if sample.true_ratio(1.0) <= 0:
            raise AssayError(
                f"sample {sample.name} has no NK cells (purity {sample.purity_percent:g} %, viability "
                f"{sample.viability_percent:g} %), so its true E:T is 0",
                where=where,
                remedy="leave this sample out or correct its counts",
            )
    if len(ratios) < 3:
        raise AssayError(
            f"{len(ratios)} E:T given, a curve needs at least 3", where=where, remedy="test at least 3 E:T, better 6"
        )
    if not all(0 < r < float("inf") for r in ratios) or list(ratios) != sorted(set(ratios), reverse=True):
        shown = ", ".join(f"{r:g}" for r in ratios)
        raise AssayError(f"E:T {shown} do not fall from well to well", where=where, remedy="list E:T highest first")
    for name, count in (("replicates", replicates), ("effector_replicates", effector_replicates)):
        if count < 1:
            raise AssayError(f"{name} is {count}, must be at least 1", where=where, remedy=f"set {name} to 1 or more")


def _check_barcodes(barcodes: Sequence[str], n_plates: int, per_plate: int) -> None:
    if len(barcodes) < n_plates:
        raise AssayError(
            f"the samples need {n_plates} plates with {per_plate} samples each, {len(barcodes)} barcodes given",
            where="layout",
            remedy=f"give {n_plates} barcodes or fewer samples",
        )
    used = list(barcodes[:n_plates])
    if len(set(used)) < len(used):
        raise AssayError("a plate barcode is given twice", where="layout", remedy="every plate has its own barcode")
