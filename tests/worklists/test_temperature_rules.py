"""Cold liquids that come to cells, followed through what is poured together."""

from __future__ import annotations

import pytest

from nkloop.worklists.models import Liquid
from nkloop.worklists.temperature_rules import cold_arrivals


@pytest.fixture
def cold_medium_and_cells(worklist_of, transfer):
    """Medium from an earlier run, cold, and cells in a tube; the steps are those given as source, target, µL."""
    liquids = {
        "water": Liquid(name="medium", per_ul={"water": 1.0}, lot="prepared:M-1:A1"),
        "tubes": Liquid(name="U1", per_ul={"donor:U1": 1000.0, "water": 1.0}, lot="donor:U1"),
    }

    def make(*moves):
        worklist = worklist_of(*(transfer(source, target, ul, "tips_1000:A1") for source, target, ul in moves))
        fillings = (
            one.model_copy(update={"liquid": liquids.get(one.labware, one.liquid)}) for one in worklist.fillings
        )
        return worklist.model_copy(update={"fillings": tuple(fillings)})

    return make


def arrivals(worklist, catalogue):
    return [(one.step, one.well, pytest.approx(one.share)) for one in cold_arrivals(worklist, {}, catalogue)]


def test_cold_medium_on_cells_is_told_with_its_share(cold_medium_and_cells, catalogue):
    poured = cold_medium_and_cells(("tubes:A1", "plate:A1", 10), ("water:A1", "plate:A1", 90))
    assert arrivals(poured, catalogue) == [(2, "A1", 0.9)]


def test_a_well_that_was_overdrawn_counts_from_nothing(cold_medium_and_cells, catalogue):
    poured = cold_medium_and_cells(
        ("tubes:A1", "plate:A1", 10), ("plate:A1", "plate:A2", 60), ("water:A1", "plate:A1", 50)
    )
    assert arrivals(poured, catalogue) == [(3, "A1", 1.0)]
