"""Layouts: the canonical map, packing, and requests that cannot be laid out."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nkloop.assays import capacity, lay_out
from nkloop.assays.layout import reference_ratios
from nkloop.assays.models import EffectorSample, PlateLayout
from nkloop.errors import AssayError


def samples(n: int) -> list[EffectorSample]:
    return [
        EffectorSample(name=f"arm-{i}/U1", arm=f"arm-{i}", donor="U1", viability_percent=90, purity_percent=80)
        for i in range(n)
    ]


def laid_out(n: int = 1, **settings: object) -> tuple[PlateLayout, ...]:
    return lay_out(
        samples(n),
        **{  # type: ignore[arg-type]
            "reference": None,
            "method": "ldh",
            "target_line": "K-562",
            "barcodes": [f"P{i}" for i in range(n)],
            **settings,
        },
    )


def test_canonical_map_fills_the_inner_sixty_wells(plate: PlateLayout) -> None:
    counts = Counter(w.role for w in plate.wells)
    assert counts == {
        "experimental": 18,
        "effector_only": 18,
        "spontaneous": 6,
        "maximum": 6,
        "background": 3,
        "volume_correction": 3,
        "reference_effector": 6,
        "medium_ring": 36,
    }
    ring = {w.well for w in plate.with_role("medium_ring")}
    assert all(w[0] in "AH" or w[1:] in {"1", "12"} for w in ring)


def test_ratios_fall_from_row_b_to_row_g_so_columns_are_dilution_columns(pair: PlateLayout) -> None:
    for column in range(2, 8):
        wells = {w.well[0]: w for w in pair.wells if w.well[1:] == str(column)}
        ratios = [wells[row].nominal_ratio for row in "BCDEFG"]
        assert ratios == [10, 5, 2.5, 1.25, 0.625, 0.3125]
        assert len({(wells[row].sample, wells[row].role, wells[row].replicate) for row in "BCDEFG"}) == 1


def test_two_samples_in_duplicate_share_the_inner_wells(pair: PlateLayout) -> None:
    assert Counter(w.sample for w in pair.with_role("experimental")) == {"arm-1/U1": 12, "arm-2/U1": 12}
    assert not pair.with_role("empty")


@pytest.mark.parametrize(
    ("n_ratios", "settings", "expected"),
    [
        pytest.param(6, {}, 1, id="canonical"),
        pytest.param(6, {"replicates": 2, "effector_replicates": 1}, 2, id="duplicate"),
        pytest.param(6, {"edge": "all"}, 2, id="whole_plate"),
        pytest.param(6, {"edge": "all", "replicates": 2, "effector_replicates": 1}, 4, id="whole_plate_duplicate"),
        pytest.param(8, {"edge": "all", "replicates": 2, "effector_replicates": 1}, 3, id="eight_ratios"),
    ],
)
def test_capacity(n_ratios: int, settings: dict[str, object], expected: int) -> None:
    assert capacity(n_ratios, **settings) == expected  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 9),
    replicates=st.integers(1, 4),
    alone=st.integers(1, 2),
    n_ratios=st.integers(3, 8),
    edge=st.sampled_from(["ring", "all"]),
    seed=st.none() | st.integers(0, 5),
)
def test_every_plate_is_complete_and_no_well_is_used_twice(
    n: int, replicates: int, alone: int, n_ratios: int, edge: str, seed: int | None
) -> None:
    ratios = [10 / 2**i for i in range(n_ratios)]
    settings = {"replicates": replicates, "effector_replicates": alone, "edge": edge}
    if edge == "ring" and n_ratios > 6:
        with pytest.raises(AssayError, match="do not fit a column of 6 wells"):
            laid_out(n, ratios=ratios, **settings)
        return
    plates = laid_out(n, ratios=ratios, seed=seed, **settings)
    assert [s.name for p in plates for s in p.samples] == [s.name for s in samples(n)]
    assert len(plates) == -(-n // capacity(n_ratios, **settings))  # type: ignore[arg-type]
    for layout in plates:
        assert len({w.well for w in layout.wells}) == len(layout.wells) == 96
        counts = Counter(w.role for w in layout.wells)
        assert (counts["spontaneous"], counts["maximum"]) == (6, 6)
        assert (counts["background"], counts["volume_correction"]) == (3, 3)
        for s in layout.samples:
            assert len(layout.with_role("experimental", s.name)) == n_ratios * replicates
            assert len(layout.with_role("effector_only", s.name)) == n_ratios * alone


def test_a_seed_moves_columns_and_is_repeatable() -> None:
    fixed = laid_out(2, replicates=2, effector_replicates=1)
    moved = laid_out(2, replicates=2, effector_replicates=1, seed=3)
    assert moved == laid_out(2, replicates=2, effector_replicates=1, seed=3)
    assert [w.sample for w in moved[0].wells] != [w.sample for w in fixed[0].wells]
    assert moved[0].seed == 3


def test_reference_is_tested_at_three_falling_ratios(plate: PlateLayout) -> None:
    wells = plate.with_role("reference_effector")
    assert Counter(w.nominal_ratio for w in wells) == {10.0: 2, 2.5: 2, 0.625: 2}
    assert all((a.nominal_ratio or 0) >= (b.nominal_ratio or 0) for a, b in pairwise(wells))
    assert reference_ratios((4, 2, 1)) == (4, 2, 1)


def test_without_reference_its_wells_stay_empty() -> None:
    assert len(laid_out()[0].with_role("empty")) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"ratios": (10, 1)}, "2 E:T given, a curve needs at least 3", id="two_doses"),
        pytest.param({"ratios": (1, 5, 10)}, "do not fall", id="rising"),
        pytest.param({"ratios": (10, 5, float("nan"))}, "do not fall", id="nan"),
        pytest.param({"ratios": (10, 5, 0)}, "do not fall", id="zero"),
        pytest.param({"replicates": 0}, "replicates is 0", id="no_replicates"),
        pytest.param({"replicates": 5, "effector_replicates": 3}, "needs 8 columns", id="too_many_replicates"),
        pytest.param({"method": "chromium"}, "no assay method 'chromium'", id="unknown_method"),
        pytest.param({"barcodes": []}, "need 1 plates with 1 samples each, 0 barcodes", id="no_barcode"),
    ],
)
def test_impossible_requests_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        laid_out(**settings)


def test_samples_need_own_names_cells_and_own_plates() -> None:
    one = samples(1)[0]
    rest = {"method": "ldh", "target_line": "K-562", "barcodes": ["P1", "P1"]}
    with pytest.raises(AssayError, match="named twice: arm-0/U1"):
        lay_out([one], reference=one, **rest)  # type: ignore[arg-type]
    with pytest.raises(AssayError, match="no NK cells"):
        lay_out([one.model_copy(update={"purity_percent": 0.0})], reference=None, **rest)  # type: ignore[arg-type]
    with pytest.raises(AssayError, match="no sample"):
        lay_out([], reference=None, **rest)  # type: ignore[arg-type]
    with pytest.raises(AssayError, match="barcode is given twice"):
        lay_out(samples(2), reference=None, **rest)  # type: ignore[arg-type]
