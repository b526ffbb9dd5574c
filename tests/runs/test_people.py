"""How people are asked during a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.scanning import Scans
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.records.models import RunState
from nkloop.runs.people import answer_pause, load_deck
from nkloop.worklists.models import Liquid, LotFacts, OperatorTask, Worklist

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


@pytest.mark.parametrize("barcode", [None, "P-1"])
async def test_tubes_of_cells_are_scanned_when_they_are_brought_and_plates_of_cells_by_their_barcode(
    bench: Bench,
    records: Records,
    worklist: Worklist,
    journalled: Callable[..., str],
    operator: Any,
    barcode: str | None,
) -> None:
    (filling,) = worklist.fillings
    liquid = Liquid(name="RPMI 8226", per_ul={"target:RPMI 8226": 2000.0}, lot="line:RPMI 8226")
    task = OperatorTask(kind="confirm", instruction="Bring it", labware=(filling.labware,))
    deck = tuple(
        item.model_copy(update={"barcode": barcode}) if item.nickname == filling.labware else item
        for item in worklist.deck
    )
    brings = worklist.steps[1].model_copy(update={"operator": task})
    asked = worklist.model_copy(
        update={
            "deck": deck,
            "fillings": (filling.model_copy(update={"liquid": liquid}),),
            "steps": (brings, worklist.steps[2]),
        }
    )
    run_id = journalled(asked, "planned")
    await load_deck(asked, bench, records, run_id)
    await answer_pause(f"step {brings.number}: bring it", asked, bench, records, run_id, moot=_unsettled)
    loading, bringing = operator.asked
    assert loading.lots == ()
    if barcode is not None:
        assert (bringing.lots, bringing.barcodes) == ((), {filling.labware: barcode})
        assert filling.labware not in loading.barcodes
        assert "which comes at step 2 and is scanned then" in Scans.of(loading).take(barcode).told
        return
    (lot,) = bringing.lots
    assert (lot.accepted, lot.component) == ({"line:RPMI-8226", "RPMI-8226"}, "RPMI 8226")
    assert lot.goes_to.startswith(f"slot {asked.item(filling.labware).slot}: {filling.well} ")
    assert [one.step for one in loading.later_lots] == [brings.number]


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


@pytest.mark.parametrize(
    ("keeps_tips", "before", "is_told"),
    [(True, "interrupted", True), (True, "failed", True), (True, "succeeded", False), (False, "interrupted", False)],
)
async def test_tips_that_a_run_before_may_have_left_on_the_arm_are_looked_for(
    bench: Bench,
    records: Records,
    worklist: Worklist,
    journalled: Callable[..., str],
    operator: Any,
    keeps_tips: bool,
    before: RunState,
    is_told: bool,
) -> None:
    bench = replace(bench, file=bench.file.model_copy(update={"name": "virtual"}))
    bench.liquid_handler.keeps_tips = keeps_tips  # type: ignore[attr-defined]
    cut = journalled(worklist, before, "failed")
    await load_deck(worklist, bench, records, journalled(worklist.model_copy(update={"name": "rest"}), "planned"))
    told = f"See that no tip hangs on the arm of flex, which does not feel one: {cut} did not come to its end."
    assert (told in operator.asked[0].task.instruction) == is_told


async def test_a_time_that_was_cut_short_is_a_deviation_of_the_run(
    bench: Bench, records: Records, worklist: Worklist, journalled: Callable[..., str], operator: Any
) -> None:
    operator.early = "8 of 240 min have passed since it was asked"
    run_id = journalled(worklist, "planned")
    await answer_pause("step 2: 4 h at 37 °C", worklist, bench, records, run_id, moot=_unsettled)
    (remark,) = records.journal.remarks(run_id)
    assert remark.sentence.startswith("shortened by Ada, ")
    assert "8 of 240 min have passed" in remark.sentence


async def test_loading_tells_what_has_to_be_begun_beforehand(
    bench: Bench, records: Records, worklist: Worklist, journalled: Callable[..., str], operator: Any
) -> None:
    (filling,) = worklist.fillings
    lot = LotFacts(id="L-1", component="serum", expires=date(2099, 1, 1), on_hand_ul=1e6, storage="-20 °C",
                   container_ul=40_000)  # fmt: skip
    liquid = Liquid(name="serum", per_ul={"serum": 1.0}, lot="L-1")
    fillings = (filling.model_copy(update={"liquid": liquid}),)
    asked = worklist.model_copy(update={"fillings": fillings, "lots": (lot,), "steps": worklist.steps[2:]})
    await load_deck(asked, bench, records, journalled(asked, "planned"))
    told = operator.asked[0].task.instruction
    assert "begin it now and confirm when it is over" in told
    assert "16 h before the robot starts: thaw overnight at 2–8 °C: serum." in told
