"""What people say a plate holds is held against the records, with bounds for evaporation, samples and assays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nkloop.errors import PlanError
from nkloop.runs.session import Session
from nkloop.runs.told_contents import difference_warning, differences, differences_on, require_possible
from nkloop.worklists.contents import WellContents
from nkloop.worklists.models import DeckItem, Worklist
from nkloop.worklists.present_table import Present

RECORDED = {"A1": WellContents(1500.0, {"SCF": 60.0}), "B1": WellContents(200.0, {}), "C1": WellContents(0.0, {})}


def table(volume_ul: float, well: str = "A1") -> dict[str, Present]:
    return {well: Present(volume_ul=volume_ul, per_ul={})}


@pytest.mark.parametrize(
    ("told", "well", "differs", "impossible"),
    [
        pytest.param(1500, "A1", False, False, id="as_recorded"),
        pytest.param(1280, "A1", False, False, id="evaporated"),
        pytest.param(1270, "A1", True, False, id="too_much_gone"),
        pytest.param(900, "A1", True, False, id="well_below"),
        pytest.param(740, "A1", True, True, id="below_half"),
        pytest.param(1529, "A1", False, False, id="read_a_little_high"),
        pytest.param(1531, "A1", True, True, id="liquid_from_nowhere"),
        pytest.param(151, "B1", False, False, id="a_sample_of_a_small_well"),
        pytest.param(149, "B1", True, False, id="more_than_a_sample"),
        pytest.param(100, "C1", False, False, id="empty_by_the_records"),
        pytest.param(100, "D1", False, False, id="not_in_the_records"),
    ],
)
def test_volumes_have_bounds(told: float, well: str, differs: bool, impossible: bool) -> None:
    found = differences(table(told, well), RECORDED)
    assert (bool(found), any(one.is_impossible for one in found)) == (differs, impossible)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        pytest.param({"SCF": 0.047}, "", id="within"),
        pytest.param({"SCF": 0.001}, "", id="decayed_or_eaten"),
        pytest.param({"SCF": 0.05}, "25 % more SCF in A1 than the records have", id="above"),
        pytest.param({"IL-7": 0.01}, "IL-7 in A1 where the records have none", id="of_nothing"),
        pytest.param({"IL-7": 0.0}, "", id="none_of_nothing"),
    ],
)
def test_concentrations_have_a_bound_above(held: dict[str, float], said: str) -> None:
    found = differences({"A1": Present(volume_ul=1500, per_ul=held)}, RECORDED)
    assert "".join(one.sentence for one in found) == said
    require_possible("P-1", found)


def test_the_largest_differences_are_named() -> None:
    recorded = {f"{row}1": WellContents(1000.0, {}) for row in "ABCDEF"}
    told = {
        f"{row}1": Present(volume_ul=volume, per_ul={})
        for row, volume in zip("ABCDEF", range(800, 680, -20), strict=True)
    }
    warning = difference_warning("P-1", differences(told, recorded))
    assert "plate P-1: 700 µL in F1 where the records have 1 mL (30 % less), 720 µL in E1" in warning
    assert "and 2 more" in warning
    with pytest.raises(PlanError, match=r"1\.5 mL in A1 .* \(50 % more\); at most 2 % more and at least 50 % of it"):
        require_possible("P-1", differences(table(1500), {"A1": WellContents(1000.0, {})}))


def test_only_what_the_bench_knows_is_compared(
    session: Session, worklist: Worklist, journalled: Callable[..., str]
) -> None:
    rack = DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul")
    first, *rest = worklist.steps
    tipped = (first.model_copy(update={"tip": "tips:A1"}), *rest)
    tipped = (*tipped[:-1], tipped[-1].model_copy(update={"tip": "tips:B1"}))
    journalled(worklist.model_copy(update={"deck": (*worklist.deck, rack), "steps": tipped}))

    def found(barcode: str, bench: str) -> int:
        bench_deck = session.bench_file.deck
        return len(differences_on(table(20, "B1"), barcode, bench, session.records, session.catalogue, bench_deck))

    (run,) = session.records.journal.with_labware(("P-1",))
    assert found("P-1", run.bench) == 1
    assert found("P-1", "another") == 0
    assert found("P-2", run.bench) == 0
