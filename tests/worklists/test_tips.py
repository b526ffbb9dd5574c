"""Racks and tips."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.labware.catalogue import Catalogue
from nkloop.worklists.bench_deck import BenchDeck, PipetteSpec, TipRackSpec
from nkloop.worklists.tips import TipRack, fitting, why_kept, why_new

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "labware")
RACK = "opentrons_flex_96_filtertiprack_200ul"


def rack() -> TipRack:
    return TipRack("tips", TipRackSpec(load_name=RACK, volume_ul=200), CATALOGUE[RACK])


@given(st.lists(st.integers(1, 8), max_size=40))
def test_no_tip_is_taken_twice_and_idle_nozzles_meet_none(wanted: list[int]) -> None:
    one, seen = rack(), set[str]()
    for channels in wanted:
        names = one.take(channels)
        if not names:
            continue
        assert len(names) == channels
        assert not seen.intersection(names)
        if 1 < channels < 8:
            behind = {f"{row}{names[0][1:]}" for row in "ABCDEFGH" if row < names[0][0]}
            assert behind <= seen, "tips would stand under the idle nozzles"
        seen.update(names)


def test_a_begun_column_is_used_up_before_the_next() -> None:
    one = rack()
    assert one.take(3) == ("A12", "B12", "C12")
    assert one.take(4) == ("D12", "E12", "F12", "G12")
    assert one.take(2) == ("A11", "B11")
    assert one.take(8)[0] == "A1"
    assert one.take(1) == ("H12",)


def pipette(name: str, largest: float, channels: int = 1) -> PipetteSpec:
    line = {"volume_ul": largest, "systematic_percent": 1, "random_cv_percent": 1}
    told = {"mount": "left", "load_name": name, "channels": channels, "min_volume_ul": 1, "max_volume_ul": largest}
    return PipetteSpec.model_validate({**told, "accuracy": [line], "source": "test"})


def stocked(model: str, spec: PipetteSpec, *tips: TipRackSpec) -> BenchDeck:
    return BenchDeck.model_validate({"model": model, "pipettes": (spec,), "tips": tips})


@pytest.mark.parametrize(
    ("name", "largest", "volume", "size"),
    [
        pytest.param("p20_single_gen2", 20, 5, 20, id="p20"),
        pytest.param("p20_single_gen2", 20, 500, 20, id="p20 is asked for more than its tip takes"),
        pytest.param("p300_single_gen2", 300, 5, 200, id="p300"),
        pytest.param("p1000_single_gen2", 1000, 150, 1000, id="p1000"),
    ],
)
def test_each_pipette_of_an_ot2_has_its_own_tips(name: str, largest: float, volume: float, size: float) -> None:
    spec = pipette(name, largest)
    assert [one.volume_ul for one in fitting(stocked("ot2", spec), spec, volume)] == [size]


def test_wide_bore_tips_are_for_cells_only() -> None:
    spec = pipette("flex_1channel_1000", 1000)
    wide = TipRackSpec(load_name="wide", volume_ul=1000, wide_bore=True, filter=False)
    plain = TipRackSpec(load_name="plain", volume_ul=200, filter=False)
    usual = TipRackSpec(load_name="usual", volume_ul=200)
    deck = stocked("flex", spec, wide, plain, usual)
    assert [one.load_name for one in fitting(deck, spec, 100, gentle=True)] == ["wide", "usual", "plain"]
    assert [one.load_name for one in fitting(deck, spec, 100)] == ["usual", "plain"]


def test_the_reason_names_what_was_touched() -> None:
    assert why_new(None, frozenset()) == "new: no tip is held"
    assert why_new(frozenset({"IL-7", "base"}), frozenset({"base"})) == "new: the last one touched IL-7"
    assert why_new(frozenset({"base"}), frozenset({"base"})).startswith("new: each source")
    assert why_kept(frozenset({"base"}), frozenset({"base", "IL-7"})).startswith("kept: it has touched nothing but")
