"""Nothing is made or lost: every component of every random worklist stays the same in sum."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.worklists.contents import Ledger

WELLS = [f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13)]
PLACES = ["water:A1", "tubes:A1", "tubes:B1", "plate:H12", *(f"plate:{well}" for well in WELLS[:20])]


@st.composite
def moves(draw):
    number = draw(st.integers(min_value=1, max_value=25))
    steps = []
    for n in range(number):
        channels = draw(st.sampled_from([1, 1, 1, 8]))
        if channels == 8:
            source, target = draw(st.sampled_from(["water:A1", "plate:A2"])), "plate:A3"
            tip = f"tips_1000:A{1 + n % 6}"
        else:
            source, target = draw(st.sampled_from(PLACES)), draw(st.sampled_from(PLACES))
            tip = draw(st.sampled_from(["", f"tips_1000:{WELLS[95 - n]}"])) if n else f"tips_1000:{WELLS[95]}"
        volume = draw(st.floats(min_value=0.5, max_value=1000))
        mix = draw(st.integers(min_value=0, max_value=3))
        steps.append((source, target, volume, tip, {"channels": channels, "mix_after": mix, "mix_volume_ul": 5.0}))
    return steps


def totals(ledger: Ledger) -> dict[str, float]:
    sums: dict[str, float] = {"volume": 0.0}
    for _, _, contents in ledger.wells():
        sums["volume"] += contents.volume_ul
        for name, amount in contents.amounts.items():
            sums[name] = sums.get(name, 0.0) + amount
    return sums


@given(moves())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_component_is_conserved(worklist_of, transfer, catalogue, steps):
    worklist = worklist_of(*(transfer(*step[:4], **step[4]) for step in steps))
    ledger = Ledger.of(worklist, catalogue)
    before = totals(ledger)
    for step in worklist.steps:
        ledger.apply(step)
    after = totals(ledger)
    assert after == pytest.approx(before, rel=1e-9, abs=1e-6)
    assert all(contents.volume_ul >= 0 for _, _, contents in ledger.wells())
