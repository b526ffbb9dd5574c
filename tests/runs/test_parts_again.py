"""A plan of parts that is repeated: what was done to the end once more is not done a third time."""

from __future__ import annotations

import pytest

from nkloop.cli.run.chosen_parts import require_choice, times_done
from nkloop.cli.run.playing import Order
from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.records.models import RunDecision
from nkloop.worklists.models import PlannedOn, Worklist
from nkloop.worklists.parts import Part

from .conftest import AT, Journalled

AGAIN = Order("plan.json", "virtual", "", is_allowed=False, is_again=True, wait_seconds=0, quiet=True)


@pytest.fixture
def both(worklist: Worklist) -> tuple[Part, Part]:
    return Part(worklist=worklist), Part(worklist=worklist.model_copy(update={"name": "part 2"}))


def ask(parts: tuple[Part, ...], records: Records) -> None:
    def refuse(digest: str) -> None:
        records.journal.require_first(digest, "virtual", (), (), is_part=True)

    require_choice(parts, AGAIN, refuse, lambda digest: times_done(records, digest, "virtual"))


@pytest.mark.usefixtures("vessels_of_old")
def test_a_repetition_that_was_cut_is_not_repeated_from_its_first_part(
    both: tuple[Part, Part], records: Records, journalled: Journalled
) -> None:
    for part in both:
        journalled(part.worklist)
    ask(both, records)
    journalled(both[0].worklist)
    journalled(both[1].worklist, "interrupted")
    with pytest.raises(RecordError, match="part 2 of 2 was done to the end less often") as refused:
        ask(both, records)
    assert "--part 2 --again" in refused.value.problems[0].remedy


@pytest.mark.usefixtures("vessels_of_old")
def test_a_part_that_was_done_with_its_rest_was_done_to_the_end(
    both: tuple[Part, Part], records: Records, journalled: Journalled
) -> None:
    journalled(both[0].worklist)
    cut = journalled(both[1].worklist, "interrupted")
    rest = both[1].worklist.model_copy(update={"name": "rest"})
    decided = RunDecision(run_id=cut, decision="continue", by="Ada", reason="power cut", at=AT)
    records.decisions.add(decided, follow_up=rest)
    journalled(rest, parent=cut)
    ask(both, records)


def test_parts_that_fill_vessels_are_planned_anew_and_not_offered_to_be_repeated(
    both: tuple[Part, Part], records: Records, journalled: Journalled
) -> None:
    journalled(both[0].worklist)
    with pytest.raises(RecordError) as refused:
        ask(both, records)
    remedy = refused.value.problems[-1].remedy
    assert "--part 2" in remedy
    assert "only run once more by a plan made anew, which takes vessels of its own" in remedy
    assert "--again" not in remedy


def test_parts_that_fed_a_standing_plate_are_not_sent_to_be_planned_anew(
    both: tuple[Part, Part], records: Records, journalled: Journalled
) -> None:
    before = (PlannedOn(barcode="P-1", run="run-0000", wells=("A1",)),)
    parts = tuple(Part(worklist=one.worklist.model_copy(update={"planned_on": before})) for one in both)
    journalled(parts[0].worklist)
    with pytest.raises(RecordError) as refused:
        ask(parts, records)
    remedy = refused.value.problems[-1].remedy
    assert remedy.endswith("those that were run are done: planned anew they would feed the same plate a second time")
