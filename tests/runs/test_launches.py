"""The same place of a launch is done once, however often the launch resumes; a new launch does it anew."""

from __future__ import annotations

from collections.abc import Callable

from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.models import RunDecision
from nkloop.runs.launches import Launch, kept_once, last_of, planned_once
from nkloop.worklists.models import Worklist

from .conftest import AT

Journalled = Callable[..., str]


class Plan(FrozenModel):
    """A plan that differs every time it is made."""

    attempt: int
    worklist: Worklist


def test_places_are_counted_in_order_and_the_same_when_the_launch_resumes() -> None:
    first, resumed = Launch("flow-1"), Launch("flow-1")
    places = [first.place(what) for what in ("a", "b", "a")]
    assert places == ["flow-1/a/1", "flow-1/b/1", "flow-1/a/2"]
    assert [resumed.place(what) for what in ("a", "b", "a")] == places
    assert Launch("").place("a") is None


def test_what_was_done_at_a_place_is_found_and_only_there(
    records: Records, worklist: Worklist, journalled: Journalled
) -> None:
    run_id = journalled(worklist, occurrence="flow-1/a/1")
    found = last_of("flow-1/a/1", records)
    assert found is not None
    assert found.id == run_id
    assert [last_of(other, records) for other in ("flow-1/a/2", "flow-2/a/1", None)] == [None, None, None]


def test_an_attempt_that_moved_nothing_does_not_count_and_the_last_of_a_chain_does(
    records: Records, worklist: Worklist, journalled: Journalled
) -> None:
    journalled(worklist, "interrupted", "failed", occurrence="flow-1/a/1")
    assert last_of("flow-1/a/1", records) is None
    cut = journalled(worklist, "interrupted", "unknown", occurrence="flow-1/a/1")
    left = worklist.model_copy(update={"name": "rest"})
    decided = RunDecision(run_id=cut, decision="continue", by="Ada", reason="the levels were read", at=AT)
    records.decisions.add(decided, follow_up=left)
    rest = journalled(left, occurrence="flow-1/a/1", parent=cut)
    found = last_of("flow-1/a/1", records)
    assert found is not None
    assert (found.id, found.state) == (rest, "succeeded")


async def test_a_plan_is_made_anew_until_a_part_of_it_was_begun(
    records: Records, worklist: Worklist, journalled: Journalled
) -> None:
    attempts = 0

    async def make() -> Plan:
        nonlocal attempts
        attempts += 1
        return Plan(attempt=attempts, worklist=worklist.model_copy(update={"name": f"attempt {attempts}"}))

    async def planned(launch: Launch) -> Plan:
        return await planned_once(launch, "feeding", Plan, records, make, lambda plan: [plan.worklist])

    assert (await planned(Launch("flow-1"))).attempt == 1
    second = await planned(Launch("flow-1"))
    assert second.attempt == 2, "nothing was run of the first, so the stock of today counts"
    journalled(second.worklist, "interrupted", "unknown", occurrence="flow-1/x/1")
    assert await planned(Launch("flow-1")) == second
    assert (await planned(Launch("flow-2"))).attempt == 3
    assert (await planned(Launch(""))).attempt == 4
    assert records.audit.verify_chain() == ()


async def test_a_kept_value_stays_for_its_launch(records: Records) -> None:
    values = iter(range(10))

    class Label(FrozenModel):
        text: str

    async def make() -> Label:
        return Label(text=f"plate-{next(values)} at {AT:%H:%M}")

    first = await kept_once(Launch("flow-1"), "label", Label, records, make)
    assert await kept_once(Launch("flow-1"), "label", Label, records, make) == first
    assert await kept_once(Launch("flow-2"), "label", Label, records, make) != first
