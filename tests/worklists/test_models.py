from __future__ import annotations

import pytest
from pydantic import ValidationError

from nkloop.errors import Problem
from nkloop.worklists.models import CheckResult, Step, Verdict


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"action": "transfer", "labware": "a", "well": "A1", "volume_ul": 5},
            "a transfer needs source and destination",
        ),
        ({"action": "mix", "labware": "a", "well": "A1"}, "mix of 0 µL, must be above 0"),
        ({"action": "pause"}, "a pause needs an operator task"),
        ({"action": "mix", "labware": "a", "well": "A1", "volume_ul": float("nan")}, "finite number"),
        ({"action": "delay", "seconds": -1}, "greater than or equal to 0"),
    ],
)
def test_a_step_needs_what_its_action_asks_for(fields, message):
    with pytest.raises(ValidationError, match=message):
        Step.model_validate({"number": 1, **fields})


def test_transfers_count_every_channel(worklist_of, transfer):
    worklist = worklist_of(
        transfer("water:A1", "plate:A1", 50, "tips_50:A1", channels=8),
        transfer("water:A1", "plate:A2", 50, "tips_50:A12"),
        {"action": "delay", "seconds": 3},
    )
    assert worklist.n_transfers == 9
    assert worklist.item("plate").slot == "B3"
    with pytest.raises(KeyError):
        worklist.item("nowhere")


def test_equal_worklists_have_equal_hashes(worklist_of, transfer):
    one, same = (worklist_of(transfer("water:A1", "plate:A1", 50, "tips_50:A1")) for _ in range(2))
    other = worklist_of(transfer("water:A1", "plate:A1", 51, "tips_50:A1"))
    assert one.content_hash == same.content_hash != other.content_hash


def test_a_verdict_passes_only_when_every_check_did():
    good = CheckResult.of("ledger", 0.1, ())
    bad = CheckResult.of("pylabrobot tracking", 0.1, (Problem("too little", "step 3", "fill more"),))
    assert bad.problems == ({"message": "too little", "where": "step 3", "remedy": "fill more", "rule": ""},)
    assert [
        Verdict(worklist="w", worklist_hash="0", checks=checks).passed for checks in ((), (good,), (good, bad))
    ] == [False, True, False]
