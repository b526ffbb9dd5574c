"""What a dose takes from earlier runs is looked for before anybody scans or loads anything."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nkloop.cli.run.earlier import require_earlier
from nkloop.cli.run.source import BaseMedium
from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.models import StepRecord

TUBES_15, TUBES_50 = "opentrons_15_tuberack_nest_15ml_conical", "opentrons_6_tuberack_nest_50ml_conical"
BASE = BaseMedium(barcode="base-x", command="nkloop plan medium ucb-nk --barcode base-x")


def _worklist(load_name: str, lot: str | None) -> Any:
    fillings = [SimpleNamespace(liquid=SimpleNamespace(lot=lot), labware="base")] if lot else []
    return SimpleNamespace(deck=[SimpleNamespace(barcode="base-x", load_name=load_name)], fillings=fillings)


def _records(*worklists: Any, bench: str = "virtual", event: Any = "done") -> Records:
    step = StepRecord(number=1, event=event, at=datetime(2026, 11, 29, tzinfo=UTC))
    runs = [SimpleNamespace(bench=bench, worklist_hash=n, steps=[step]) for n in range(len(worklists))]
    journal = SimpleNamespace(with_labware=lambda barcodes: runs, worklist=worklists.__getitem__)
    return cast(Records, SimpleNamespace(journal=journal))


DOSE = _worklist(TUBES_50, "prepared:base-x:A1")


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(_records(), id="nothing was run"),
        pytest.param(_records(DOSE), id="only taken from"),
        pytest.param(_records(_worklist(TUBES_50, None), bench="flex_1"), id="on another bench"),
    ],
)
def test_a_base_medium_that_nobody_made_is_refused_with_the_command_that_makes_it(records: Records) -> None:
    with pytest.raises(RecordError, match="'base-x' was never made on this bench") as refused:
        require_earlier([DOSE], records, "virtual", BASE)
    assert refused.value.problems[0].remedy == f"make the base medium first: `{BASE.command}`"


def test_a_base_medium_in_another_container_is_refused() -> None:
    with pytest.raises(RecordError, match=f"was made in labware {TUBES_15}, the worklist takes it from {TUBES_50}"):
        require_earlier([DOSE], _records(_worklist(TUBES_15, None)), "virtual", BASE)


def test_a_base_medium_that_was_made_is_taken() -> None:
    require_earlier([DOSE], _records(_worklist(TUBES_50, None)), "virtual")
    require_earlier([_worklist(TUBES_50, "lot-1")], _records(), "virtual")
