"""Network faults on every HTTP call of a run, before and after the robot acted: journal and wells never part.

The calls are those one undisturbed run makes, so a call that is added to the driver is covered by itself.
`NKLOOP_LONG_TESTS=1` tries every call with every fault; without it every call meets a tenth of the faults, each fault
another tenth of the calls, and each call arrives once after it was given up.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import pytest

from nkloop.drivers.interfaces import DeviceState
from nkloop.drivers.opentrons import OpentronsRobot
from nkloop.drivers.opentrons.results import as_command

EVERY = os.environ.get("NKLOOP_LONG_TESTS") == "1"
SHARE = 1 if EVERY else 10
MOST_OF_A_KIND = 2
"""Of calls that are repeated (looks at the run), so many are tried."""
AT_ONCE = 3
UNATTENDED = {"error_recovery": "fail"}
"""Settings with which a run makes the most calls."""


async def undisturbed_calls(open_lab: Any) -> list[Any]:
    """Every call of one run in which nothing goes wrong."""
    async with open_lab("undisturbed", driver=UNATTENDED) as lab:
        run = await lab.dose()
        assert run.state == "succeeded"
        assert lab.contradictions() == []
        return [call for call in dict.fromkeys(lab.wire.calls) if call.number <= MOST_OF_A_KIND]


async def what_goes_wrong(open_lab: Any, name: str, call: Any, kind: str, when: str) -> list[str]:
    """Let one call go wrong, come back later, and say what is not as it should be."""
    async with open_lab(name, driver=UNATTENDED) as lab:
        lab.wire.fault = (call, kind, when)
        told = await lab.dose()
        was_met = lab.wire.fault is None
        await lab.reconcile()
        acts = len(lab.wells.acts)
        ready = [f"{run} lies ready on the robot and the journal does not know of it" for run in lab.left_ready()]
        found = [*ready, *lab.contradictions(), *(f"{run} is still under way" for run in lab.under_way())]
        if not any(run.needs_decision for run in lab.runs()) and acts == 0:
            again = await lab.dose()
            found += [f"the second attempt: {again}"] if isinstance(again, Exception) else []
            found += lab.contradictions()
            acts = len(lab.wells.acts)
        await asyncio.gather(asyncio.sleep(0.03), *lab.wire.underway, return_exceptions=True)
        if len(lab.wells.acts) != acts:
            found.append("something moved after everything was over")
        if not was_met:
            found.append("the call was never made")
        words = f"{call}, {kind} {when} the robot acted (told: {told if isinstance(told, Exception) else told.state})"
        return [f"{words}: {one}" for one in found]


@pytest.mark.timeout(1800 if EVERY else 600)
async def test_no_fault_on_any_call_makes_the_journal_lie(open_lab: Any, faults: Any) -> None:
    calls = await undisturbed_calls(open_lab)
    cases = [
        (call, kind, when)
        for place, call in enumerate(calls)
        for number, (kind, when) in enumerate(faults)
        if (place + number) % SHARE == 0 or kind == "late"
    ]
    assert {call.method for call in calls} >= {"GET", "POST", "PATCH", "PUT"}
    assert len(calls) >= 20
    gate = asyncio.Semaphore(AT_ONCE)

    async def tried(number: int, call: Any, kind: str, when: str) -> list[str]:
        async with gate:
            return await what_goes_wrong(open_lab, f"case-{number}", call, kind, when)

    results = await asyncio.gather(*(tried(number, *case) for number, case in enumerate(cases)))
    wrong = [words for result in results for words in result]
    sys.stderr.write(f"{len(calls)} calls, {len(cases)} faults, {len(wrong)} contradictions\n")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:20])


async def test_a_journal_that_lies_would_be_noticed(
    open_lab: Any, planned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that plays nothing and says that everything was done."""
    played: list[str] = []

    async def play(self: Any, run_id: str) -> None:
        played.append(run_id)

    async def state(self: Any, run_id: str) -> DeviceState:
        return DeviceState(status="succeeded" if played else "idle")

    async def commands(self: Any, run_id: str) -> tuple[Any, ...]:
        return tuple(as_command(one) for one in planned)

    for method in (play, state, commands):
        monkeypatch.setattr(OpentronsRobot, method.__name__, method)
    async with open_lab("liar") as lab:
        await lab.dose()
        assert "step 1 is certain to be done, but was not" in lab.contradictions()


@pytest.mark.usefixtures("vessels_of_old")
async def test_a_step_made_twice_would_be_noticed(open_lab: Any) -> None:
    async with open_lab("twice") as lab:
        await lab.dose()
        await lab.dose()
        assert "step 1 made dispense 2 times" in lab.contradictions()
