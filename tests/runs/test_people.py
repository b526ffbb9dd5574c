"""How people are asked during a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.runs.people import answer_pause, load_deck
from nkloop.worklists.models import Liquid, OperatorTask, Worklist

LABWARE = Path(__file__).parents[2] / "labware"


async def _unsettled() -> str:
    return ""


async def test_pictures_name_labware_as_the_run_sheet_does(
    bench: Bench, records: Records, worklist: Worklist, journalled: Callable[..., str], operator: Any
) -> None:
    catalogue, run_id = Catalogue.load(LABWARE), journalled(worklist, "planned")
    known = replace(bench, catalogue=catalogue)
    await load_deck(worklist, known, records, run_id)
    await answer_pause("step 2: 4 h at 37 °C", worklist, known, records, run_id, moot=_unsettled)
    title = catalogue["corning_96_wellplate_360ul_flat"].title
    assert [title[:20] in request.picture for request in operator.asked] == [True, True]


@pytest.mark.parametrize(
    ("lot", "kind", "told"),
    [
        ("L-1", "confirm", "Load the deck as listed, check lots and volumes"),
        ("L-1", "thaw", "Load the deck as listed, except what a later step brings, check"),
        ("left:run-0004:L-1", "confirm", "Leave on the deck what run-0004 left there, load the rest of what is listed"),
    ],
)
async def test_loading_is_asked_for_as_far_as_it_is_due(
    bench: Bench,
    records: Records,
    worklist: Worklist,
    journalled: Callable[..., str],
    operator: Any,
    lot: str,
    kind: Any,
    told: str,
) -> None:
    (filling,) = worklist.fillings
    liquid = Liquid(name="x", per_ul={"base": 1.0}, lot=lot)
    task = OperatorTask(kind=kind, instruction="do it", labware=(filling.labware,), wells=(filling.well,))
    steps = (worklist.steps[1].model_copy(update={"operator": task}), worklist.steps[2])
    asked = worklist.model_copy(update={"fillings": (filling.model_copy(update={"liquid": liquid}),), "steps": steps})
    await load_deck(asked, bench, records, journalled(asked, "planned"))
    assert operator.asked[0].task.instruction.startswith(told)
