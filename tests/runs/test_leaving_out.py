"""A rest that is refused as a whole is told with the wells to leave out, accepted as they are typed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nkloop.errors import NkloopError, PlanError
from nkloop.records import Records
from nkloop.runs.asking import question
from nkloop.runs.deciding import Decided, decide
from nkloop.runs.leaving_out import is_worth_it, with_wells_to_leave_out
from nkloop.runs.typed_steps import wells_of
from nkloop.runs.weighing import RunPlace, Said

from .conftest import AT
from .test_offers import CATALOGUE, DECK, by_rules, cut_run, examples, told_by_device


async def said(records: Records, run_id: str, **words: Any) -> Decided:
    told: dict[str, Any] = {"by": "Ada", "reason": "looked at the deck", "at": AT, "verify": by_rules}
    return await decide(run_id, "continue", records=records, catalogue=CATALOGUE, deck=DECK, **told, **words)


@pytest.mark.parametrize(
    ("cut", "how", "word", "told"),
    [
        pytest.param(41, "drawn", "drawn", "dilutions A2 holds 160 µL, 70 µL less than the rest draws", id="dilution"),
        pytest.param(50, "mixing", "cut_in_first_mix", "dilutions A4 holds 240 µL, 490 µL less", id="target_cells"),
        pytest.param(44, "drawn", "drawn", "cells A1 holds", id="stock_of_cells"),
        pytest.param(58, "drawn", "drawn", "tubes A1 holds 190 µL, 20 µL less than the rest draws", id="tube"),
        pytest.param(42, "given", "cut_in_first_mix", "assay B7: refused by ledger", id="refused_by_the_ledger"),
        pytest.param(56, "given", "cut_in_first_mix", "assay B11: refused by ledger", id="last_column"),
    ],
)
async def test_the_wells_to_leave_out_are_named_and_accepted_as_they_are_typed(
    cut: int, how: str, word: str, told: str, records: Records
) -> None:
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    run_id = cut_run(records, worklist, told_by_device(worklist, cut, how))
    with pytest.raises(NkloopError) as refused:
        await said(records, run_id, **{word: [cut]})
    assert told in str(refused.value)
    remedies = " ".join(one.remedy for one in refused.value.problems)
    assert "leave out" in remedies
    assert "correct the transfer" not in remedies
    wells = wells_of(re.findall(r"--well (\S+?:[\w-]+)", remedies))
    made = await said(records, run_id, **{word: [cut]}, wells=wells)
    assert made.follow_up is not None
    assert set(made.decision.wells) == set(wells)


def test_wells_without_which_the_rest_is_refused_all_the_same_are_not_named(records: Records) -> None:
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    run = records.journal.run(cut_run(records, worklist, told_by_device(worklist, 44, "drawn")))
    remedy = "leave out what it cannot reach, with --well assay:A3; or --decide discard and plan anew"
    refused = PlanError("cells A1 holds too little", remedy=remedy)
    nothing_said = with_wells_to_leave_out(refused, run, Said(), RunPlace(records, CATALOGUE, DECK))
    assert [one.remedy for one in nothing_said.problems] == ["--decide discard and plan anew"]


def test_nothing_is_left_out_where_all_that_was_to_be_made_would_be(records: Records) -> None:
    """A medium in one tube: to go on without it makes nothing, and discards the tube for good."""
    worklist = examples.EXAMPLES["medium_preparation"]()
    run = records.journal.run(cut_run(records, worklist, told_by_device(worklist, 12, "drawn")))
    place = RunPlace(records, CATALOGUE, DECK)
    made = {(one.labware, one.well) for one in worklist.ends}
    assert made
    assert not is_worth_it(run, [*made, ("dilutions", "A1")], place)
    assert is_worth_it(run, [("dilutions", "A1")], place)
    for offer in question(run.id, records, CATALOGUE, DECK).offers:
        assert offer.refused or not made <= set(offer.wells)
