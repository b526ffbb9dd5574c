"""Deep wells that mirror a culture plate: rows, mixtures, volumes, and what channels reach at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nkloop.worklists.mirrored_wells import Move, may_mirror, mirror_wells, placed_wells, together
from nkloop.worklists.plans import WellFeeding

PLATE, PLATE_24, DEEP = (
    "corning_96_wellplate_360ul_flat",
    "corning_24_wellplate_3.4ml_flat",
    "nest_96_wellplate_2ml_deep",
)
NAMES = [f"{row}{column}" for column in range(1, 13) for row in "ABCDEFGH"]
MOST = 1700.0


def fed(names, volume=100.0):
    return [WellFeeding(well=name, arm="reference", donor="U1", add_ul=volume) for name in names]


layouts = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 9)), min_size=1, max_size=96, unique_by=lambda w: w[0]
)


@given(layout=layouts, volume=st.sampled_from([100.0, 800.0]))
@settings(max_examples=40, deadline=None)
def test_every_well_is_fed_once_from_its_row_with_its_mixture(catalogue, layout, volume):
    index = dict(layout)
    mirror = mirror_wells(fed(index, volume), index, catalogue[DEEP], MOST)
    assert sorted(name for one in mirror for name in one.feeds) == sorted(index)
    assert len({one.well for one in mirror}) == len(mirror)
    for one in mirror:
        assert {index[name] for name in one.feeds} == {one.mixture}
        assert {name[0] for name in one.feeds} == {one.well[0]}
        assert one.volume_ul == pytest.approx(volume * len(one.feeds))
        assert one.volume_ul <= MOST


@given(layout=layouts)
@settings(max_examples=40, deadline=None)
def test_a_mixture_that_is_placed_has_one_deep_well_for_all(catalogue, layout):
    index = dict(layout)
    placed = placed_wells(fed(index), index, catalogue[DEEP], 9600.0)
    assert sorted(one.mixture for one in placed) == sorted(set(index.values()))
    assert sorted(name for one in placed for name in one.feeds) == sorted(index)
    assert len({one.well for one in placed}) == len(placed)


def test_columns_share_deep_wells_where_no_row_asks_for_two_mixtures(catalogue):
    index = {"A1": 0, "B1": 1, "A2": 0, "B2": 1, "C3": 2, "A4": 1}
    mirror = mirror_wells(fed(index), index, catalogue[DEEP], MOST)
    assert {(one.well, one.feeds) for one in mirror} == {
        ("A1", ("A1", "A2")), ("B1", ("B1", "B2")), ("C1", ("C3",)), ("A2", ("A4",))
    }  # fmt: skip


def test_nothing_mirrors_wells_that_take_more_than_a_deep_well_gives(catalogue):
    wells, index = fed(["A1", "B1"], 1701.0), {"A1": 0, "B1": 1}
    assert mirror_wells(wells, index, catalogue[DEEP], MOST) == ()
    assert placed_wells(wells, index, catalogue[DEEP], MOST) == ()


@pytest.mark.parametrize(
    ("plate", "names", "may"),
    [
        pytest.param(PLATE, ["A1", "D1"], True, id="two in a column"),
        pytest.param(PLATE, ["A1", "A2"], False, id="one in each column"),
        pytest.param(PLATE_24, ["A1", "B1"], False, id="wells too far apart"),
    ],
)
def test_only_neighbours_9_mm_apart_are_worth_mirroring(catalogue, plate, names, may):
    assert may_mirror(catalogue[plate], fed(names)) == may


def moves(*ends, volume=100.0, kind=True):
    return [Move(("arms", source), ("culture", target), volume, kind) for source, target in ends]


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        pytest.param(moves(*((f"{r}2", f"{r}5") for r in "ABCDEFGH")), [8], id="a column"),
        pytest.param(moves(("C1", "A1"), ("D1", "B1"), ("E1", "C1")), [3], id="part of one, in other rows"),
        pytest.param(moves(("A1", "A1"), ("C1", "B1")), [1, 1], id="sources apart"),
        pytest.param(moves(("A1", "A1"), ("B1", "C1")), [1, 1], id="targets apart"),
        pytest.param(moves(("A1", "A1"), ("A1", "B1")), [1, 1], id="one source"),
        pytest.param(moves(("A1", "A1")) + moves(("B1", "B1"), volume=90.0), [1, 1], id="volumes differ"),
        pytest.param(moves(("A1", "A1")) + moves(("B1", "B1"), kind=False), [1, 1], id="cells in one only"),
    ],
)
def test_channels_move_together_what_stands_alike_at_both_ends(catalogue, asked, runs):
    kinds = {"arms": catalogue[DEEP], "culture": catalogue[PLATE]}
    found = list(together(reversed(asked), kinds))
    assert [len(run) for run in found] == runs
    assert sorted(move for run in found for move in run) == sorted(asked)
