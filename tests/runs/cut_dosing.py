"""A dosing that was cut in its second dose, and a decision about it."""

from __future__ import annotations

from typing import Any

from nkloop.drivers.bench import load_bench_file
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.records.models import JournalEvent, StepEvent
from nkloop.runs.deciding import Decided, decide
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import (
    CheckResult,
    DeckItem,
    Filling,
    Liquid,
    OperatorTask,
    Step,
    Target,
    Verdict,
    Worklist,
)

from .conftest import AT, ROOT

CATALOGUE = Catalogue.load(ROOT / "labware")
DECK = load_bench_file(ROOT / "devices" / "virtual.yaml").deck


def dose(number: int, well: str, volume: float = 50, tip: str = "") -> Step:
    return Step(
        number=number, action="transfer", labware="tubes", well="A1", to_labware="plate", to_well=well,
        volume_ul=volume, tip=tip, dispense_at="rim", comment=f"IL-15 into {well}",
    )  # fmt: skip


def dosing(volume: float = 50, tolerance: float = 5.0) -> Worklist:
    """IL-15 from one tube into three wells with one tip, then mixed by hand."""
    wells = ("A1", "B1", "C1")
    shake = OperatorTask(kind="confirm", instruction="Rock the plate ten times.", labware=("plate",))
    steps = [dose(n, well, volume, "tips:A1" if n == 1 else "") for n, well in enumerate(wells, start=1)]
    medium = Liquid(name="medium", per_ul={"base": 1.0})
    cytokine = Liquid(name="IL-15", per_ul={"base": 1.0, "IL-15": 0.4}, lot="IL15-A")
    reached = 0.4 * volume / (950 + volume)
    return Worklist(
        name="dose day 3",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="plate", slot="D2", load_name="corning_24_wellplate_3.4ml_flat", barcode="P-1"),
            DeckItem(nickname="tubes", slot="D3", load_name="opentrons_24_tuberack_nest_1.5ml_snapcap"),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul"),
        ),
        fillings=(
            *(Filling(labware="plate", well=well, volume_ul=950, liquid=medium) for well in wells),
            Filling(labware="tubes", well="A1", volume_ul=500, liquid=cytokine),
        ),
        steps=(*steps, Step(number=4, action="pause", operator=shake)),
        targets=tuple(
            Target(labware="plate", well=well, component="IL-15", per_ul=reached, tolerance_percent=tolerance)
            for well in wells
        ),
    )


def journal(*events: tuple[int, StepEvent], moved: dict[int, tuple[float, ...]] | None = None) -> list[JournalEvent]:
    told = moved or {}
    return [JournalEvent(number=n, event=e, at=AT, moved_ul=told.get(n, ())) for n, e in events]


CUT = journal((1, "done"), (2, "unknown"), (3, "failed"), (4, "failed"))
"""The run was cut in the second dose."""


async def passes(worklist: Worklist) -> Verdict:
    return Verdict(
        worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(check_ledger(worklist, CATALOGUE, DECK),)
    )


async def refuses(worklist: Worklist) -> Verdict:
    problem = {"message": "too late", "where": "step 1", "remedy": "go home", "rule": "V001"}
    failed = CheckResult(check="ledger", passed=False, seconds=0, problems=(problem,))
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(failed,))


async def decided(records: Records, run_id: str, kind: Any, **more: Any) -> Decided:
    told: dict[str, Any] = {"by": "Ada", "reason": "power cut at 18:00", "at": AT, "verify": passes}
    return await decide(run_id, kind, records=records, catalogue=CATALOGUE, deck=DECK, **(told | more))
