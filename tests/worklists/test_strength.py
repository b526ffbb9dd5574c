from __future__ import annotations

import pytest

from nkloop.errors import PlanError
from nkloop.quantities import Amount
from nkloop.worklists.strength import in_unit, stock_liquid, stock_per_ul


def test_mass_and_mass_need_no_factor(lot_of):
    assert stock_per_ul(lot_of("SCF", "100 µg/mL"), Amount(25, "ng/mL")) == pytest.approx(100)


def test_activity_from_mass_goes_through_the_certificate(lot_of):
    lot = lot_of("IL-2", "100 µg/mL", specific_activity="16.4e6 IU/mg")
    wanted = Amount(1000, "IU/mL", substance="IL-2")
    assert stock_per_ul(lot, wanted) == pytest.approx(1640)
    # 1000 IU/mL is 61 ng/mL at 16.4e6 IU/mg
    assert 100 * 1.0 / stock_per_ul(lot, wanted) == pytest.approx(0.061, rel=1e-2)


def test_activity_from_activity_belongs_to_the_substance(lot_of):
    lot = lot_of("IL-2", "1640 IU/µL")
    assert stock_per_ul(lot, Amount(1000, "IU/mL", substance="IL-2")) == pytest.approx(1640)
    with pytest.raises(PlanError, match="1640 IU/µL of IL-2 cannot be told as mass concentration"):
        stock_per_ul(lot, Amount(61, "ng/mL"))


def test_activity_without_a_certificate_is_refused(lot_of):
    with pytest.raises(
        PlanError, match=r"LOT-IL-2: IL-2 is wanted in IU/mL: 100 µg/mL.*cannot be told as activity.*certificate"
    ):
        stock_per_ul(lot_of("IL-2", "100 µg/mL"), Amount(1000, "IU/mL", substance="IL-2"))


def test_molar_from_mass_is_refused(lot_of):
    with pytest.raises(PlanError, match="SR1 is wanted in nM: 1 mg/mL of SR1 cannot be told as molar"):
        stock_per_ul(lot_of("SR1", "1 mg/mL"), Amount(750, "nM"))


def test_the_carrier_counts_as_base_only_when_the_lot_says_so(lot_of):
    wanted = Amount(25, "ng/mL")
    assert stock_liquid(lot_of("SCF", "100 µg/mL"), wanted, "GBGM").per_ul == pytest.approx({"SCF": 100, "GBGM": 1})
    other = stock_liquid(lot_of("SCF", "100 µg/mL", carrier="PBS"), wanted, "GBGM")
    assert other.per_ul == pytest.approx({"SCF": 100, "PBS": 1})
    assert other.lot == "LOT-SCF"
    whole = stock_liquid(lot_of("serum", "100 % v/v"), Amount(10, "% v/v"), "GBGM")
    assert whole.per_ul == {"serum": 1.0}
    half = stock_liquid(lot_of("serum", "50 % v/v"), Amount(10, "% v/v"), "GBGM")
    assert half.per_ul == pytest.approx({"serum": 0.5, "GBGM": 0.5})


def test_back_into_the_unit_people_wrote():
    assert in_unit(1e-5, Amount(10, "pg/mL"), "GM-CSF") == pytest.approx(10)
    assert in_unit(1.0, Amount(1000, "IU/mL", substance="IL-2"), "IL-2") == pytest.approx(1000)
    assert in_unit(0.1, Amount(10, "% v/v"), "serum") == pytest.approx(10)
