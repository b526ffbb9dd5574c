from __future__ import annotations

import pytest

from nkloop.assays.models import LayoutWell
from nkloop.errors import PlanError
from nkloop.worklists.effector_block import arrange
from nkloop.worklists.effectors import PlateTooLargeError
from nkloop.worklists.plate_columns import MEDIUM, ROWS, TARGETS, BlockColumn, Portion, Round

RATIOS = (10.0, 5.0, 2.5, 1.25, 0.625, 0.3125)


def cells(sample, ratio):
    return Portion("effectors", sample, ratio)


def uniform(sample, *columns, ratios=RATIOS):
    return BlockColumn((MEDIUM, *(cells(sample, ratio) for ratio in ratios), MEDIUM), columns)


@pytest.fixture
def block_of(catalogue):
    def make(effectors, targets=None):
        block = catalogue["nest_96_wellplate_2ml_deep"]
        return arrange(effectors, targets or Round(), effector_ul=100, target_ul=50, block=block)

    return make


def test_columns_stand_side_by_side_with_the_volume_their_wells_need(block_of):
    targets = Round((BlockColumn((MEDIUM, *[TARGETS] * 6, MEDIUM), (2, 3, 4, 5)),))
    made = block_of(Round((uniform("a", 2, 3), uniform("b", 4))), targets)
    assert [(one.anchor, one.need_ul) for one in made.effectors] == [("A1", 250), ("A2", 140)]
    assert [(one.anchor, one.need_ul) for one in made.targets] == [("A3", 250)]
    assert [level.well for level in made.levels["b"]] == ["B2", "C2", "D2", "E2", "F2", "G2"]
    assert [level.ratio for level in made.levels["b"]] == list(RATIOS)
    assert {sample: one.number for sample, one in made.own_column.items()} == {"a": 1, "b": 2}
    assert made.effectors[0].wells_of(MEDIUM) == ("A1", "H1")


def test_repeated_dilutions_are_copied(block_of):
    made = block_of(Round((uniform("ref", 11, ratios=(10.0, 10.0, 2.5, 2.5, 0.625, 0.625)),)))
    assert [(level.well, level.copies) for level in made.levels["ref"]] == [
        ("B1", (("C1", 140),)),
        ("D1", (("E1", 140),)),
        ("F1", (("G1", 140),)),
    ]
    assert made.own_column == {}


def test_dilutions_given_one_by_one_stand_in_a_column_of_their_own(block_of):
    given = Round((uniform("a", 2),), {"B4": cells("b", 5.0), "C3": cells("b", 10.0), "A5": cells("a", 5.0)})
    made = block_of(given)
    assert [(level.well, level.serves) for level in made.levels["b"]] == [("A2", ("C3",)), ("B2", ("B4",))]
    assert made.levels["a"][1].serves == ("A5",)
    assert made.own_column["a"].number == 1


def test_a_block_that_is_full_says_so(block_of):
    columns = tuple(uniform(f"s{n}", n) for n in range(1, 13))
    assert len(block_of(Round(columns)).effectors) == 12
    with pytest.raises(PlateTooLargeError, match="need 13 columns, the block has 12"):
        block_of(Round(columns), Round((BlockColumn((TARGETS,) * 8, (1, 2)),)))
    many = {f"A{n}": cells("s", float(n)) for n in range(1, 10)}
    with pytest.raises(PlateTooLargeError, match="s has 9 E:T, a column of the block takes 8"):
        block_of(Round(singles=many))


def test_a_well_without_a_ratio_is_refused(block_of):
    well = LayoutWell(well="B2", role="experimental", sample="a")
    with pytest.raises(PlanError, match="a well of a has no E:T"):
        block_of(Round(singles={well.well: cells("a", 0.0)}))


def test_rows_are_those_of_the_plate():
    assert uniform("a", 2).rows_of(cells("a", 5.0)) == ("C",)
    assert len(ROWS) == 8
