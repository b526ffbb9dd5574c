from __future__ import annotations

import pytest

from nkloop.assays.layout import lay_out
from nkloop.assays.models import EffectorSample, LayoutWell
from nkloop.worklists.plate_columns import MEDIUM, ROWS, TARGETS, Portion, effector_round, target_round


def sample(name):
    return EffectorSample(name=name, arm=name, donor="U1", viability_percent=90, purity_percent=80)


def plate(edge="ring", number=2, seed=3, **more):
    (layout,) = lay_out(
        [sample(f"s{n}") for n in range(number)],
        reference=sample("ref"),
        method="ldh",
        target_line="K562",
        barcodes=["A"],
        replicates=2,
        effector_replicates=1,
        edge=edge,
        seed=seed,
        **more,
    )
    return layout.wells


def delivered(given):
    """What every well receives, from blocks, singles and medium together; each well once."""
    wells = {}
    for block in given.blocks:
        for number in block.plate_columns:
            wells |= {f"{row}{number}": portion for row, portion in zip(ROWS, block.pattern, strict=True)}
    rest = {**given.singles, **dict.fromkeys(given.medium, MEDIUM)}
    assert not set(wells) & set(rest)
    return wells | rest


@pytest.mark.parametrize("edge", ["ring", "all"])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("ratios", [(10, 5, 2.5, 1.25, 0.625, 0.3125), (8, 4, 2, 1)])
def test_every_well_gets_its_share_of_both_rounds_once(edge, wide, ratios):
    wells = plate(edge, ratios=ratios)
    effectors, targets = delivered(effector_round(wells, wide=wide)), delivered(target_round(wells, wide=wide))
    assert set(effectors) == set(targets) == {well.well for well in wells if well.role != "empty"}
    for well in wells:
        if well.role == "empty":
            continue
        with_targets = well.role in {"experimental", "reference_effector", "spontaneous", "maximum"}
        assert targets[well.well] == (TARGETS if with_targets else MEDIUM)
        if well.nominal_ratio:
            assert effectors[well.well] == Portion("effectors", well.sample, well.nominal_ratio)
        else:
            assert effectors[well.well] == MEDIUM


def test_a_ring_plate_is_given_by_one_column_per_sample_and_one_of_targets():
    wells = plate()
    effectors, targets = effector_round(wells, wide=True), target_round(wells, wide=True)
    assert effectors.singles == targets.singles == {}
    kinds = [sorted({p.sample for p in block.pattern if p.sample}) for block in effectors.blocks]
    assert kinds == [["s0"], ["s1"], ["ref"]] or kinds == [["s1"], ["s0"], ["ref"]]
    assert [len(block.plate_columns) for block in effectors.blocks] == [3, 3, 1]
    (block,) = targets.blocks
    assert block.pattern == (MEDIUM, *[TARGETS] * 6, MEDIUM)
    assert len(block.plate_columns) == 7
    assert block.need_ul(100, 30) == pytest.approx(7 * 110 + 30)


def test_nothing_is_shared_with_one_channel_only():
    given = effector_round(plate(), wide=False)
    assert given.blocks == ()
    assert len(given.singles) == 2 * 3 * 6 + 6


def test_a_column_with_an_empty_well_is_given_well_by_well():
    wells = [
        LayoutWell(well=f"{row}2", role="empty" if row == "A" else "spontaneous", replicate=n + 1)
        for n, row in enumerate(ROWS)
    ]
    twin = [well.model_copy(update={"well": f"{well.well[0]}3"}) for well in wells]
    assert target_round([*wells, *twin], wide=True).blocks == ()


def test_a_pattern_that_saves_no_step_is_not_built():
    wells = [
        LayoutWell(well=f"{row}2", role="spontaneous" if row in "BC" else "background", replicate=n + 1)
        for n, row in enumerate(ROWS)
    ]
    once = target_round(wells, wide=True)
    assert (once.blocks, set(once.singles)) == ((), {"B2", "C2"})
    twin = [well.model_copy(update={"well": f"{well.well[0]}3"}) for well in wells]
    assert [block.plate_columns for block in target_round([*wells, *twin], wide=True).blocks] == [(2, 3)]
