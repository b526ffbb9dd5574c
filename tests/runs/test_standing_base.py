"""Whether base medium that stands on a bench serves: by what the vessel it stands in gives."""

from __future__ import annotations

import pytest

from nkloop.runs.made_errors import _as_recorded
from nkloop.runs.session import Session
from nkloop.worklists.medium_vessels import TROUGH, TUBES_50
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist
from nkloop.worklists.plans import MediumSource

from .conftest import Journalled


def made_in(load_name: str, volume_ul: float) -> Worklist:
    """Base medium in portions of 1 mL into a vessel of its own."""
    medium = Liquid(name="GBGM", per_ul={"GBGM": 1.0}, lot="LOT-GBGM-01")
    steps = tuple(
        Step(
            number=n, action="transfer", labware="bottle", well="A1", to_labware="base", to_well="A1", volume_ul=1000,
            tip="tips:A1" if n == 1 else "",
        )
        for n in range(1, round(volume_ul / 1000) + 1)
    )  # fmt: skip
    return Worklist(
        name="base",
        procedure="medium_preparation",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="base", slot="A1", load_name=load_name, barcode="base-1"),
            DeckItem(nickname="bottle", slot="A2", load_name=TUBES_50),
            DeckItem(nickname="tips", slot="B3", load_name="opentrons_flex_96_filtertiprack_1000ul"),
        ),
        fillings=(Filling(labware="bottle", well="A1", volume_ul=40_000, liquid=medium),),
        steps=steps,
    )


@pytest.mark.parametrize(
    ("stands_in", "told"),
    [
        pytest.param(TUBES_50, "", id="tube"),
        pytest.param(TROUGH, "10 mL of it are left, 13.43 mL are needed", id="trough_keeps_more_back"),
    ],
)
def test_what_a_vessel_keeps_back_is_not_counted_on(
    session: Session, journalled: Journalled, stands_in: str, told: str
) -> None:
    """8.43 mL are needed; a tube keeps 0.5 mL back, a trough 5 mL."""
    journalled(made_in(stands_in, 10_000))
    wanted = MediumSource(barcode="base-1", load_name=TUBES_50, well="A1", per_ul={"GBGM": 1.0}, volume_ul=9430)
    of_bench = session.inventory, session.catalogue, session.bench_file.deck
    made, why = _as_recorded(wanted, (), session.records, *of_bench)
    assert (made is None, why) == (bool(told), told)
