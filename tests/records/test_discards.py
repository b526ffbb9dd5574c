"""No run goes into wells whose contents somebody has discarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nkloop.errors import RecordError


@pytest.mark.usefixtures("vessels_of_old")
def test_a_rest_does_not_go_into_a_well_that_another_run_had_discarded(lab: Any) -> None:
    """The other run moved nothing, so that only its decision stands in the way."""
    run_id, left = lab.cut()
    other = lab.ended(lab.opened(lab.worklist.model_copy(update={"name": "other"})), "failed", "failed", "failed")
    lab.decide(other, "discard", wells=(("plate", "B1"),))
    told = rf"P-1 B1: was discarded after {other} by Ada"
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: lab.opened(left, parent=run_id),
        lambda: lab.decide(run_id, left=left),
    )
    for again in attempts:
        with pytest.raises(RecordError, match=told):
            again()


def test_a_rest_that_was_made_without_a_well_may_still_reach_it_with_its_column(lab: Any) -> None:
    run_id = lab.ended(lab.opened(lab.worklist), "done", "failed", "failed")
    lab.decide(run_id, left=lab.rest(run_id), wells=(("plate", "B1"),))
    first = lab.ended(lab.opened(lab.rest(run_id), parent=run_id), "failed", "failed")
    lab.decide(first, "discard", wells=(("plate", "A1"),))
    with pytest.raises(RecordError, match=rf"P-1 A1: was discarded after {first}"):
        lab.opened(lab.rest(run_id), parent=run_id)


def test_a_worklist_of_its_own_is_refused_discarded_wells_where_it_is_opened(lab: Any) -> None:
    lab.decide(lab.ended(lab.opened(lab.worklist), "unknown"), "discard", wells=(("plate", "B1"),))
    with pytest.raises(RecordError, match="P-1 B1: was discarded"):
        lab.opened(lab.worklist.model_copy(update={"name": "later"}), known=())
