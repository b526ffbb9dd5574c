"""Who works on a run that is not over, as `nkloop runs` and `nkloop run show` tell it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.runs.conftest import AT

from nkloop.labware import Catalogue
from nkloop.records import Records, schema
from nkloop.records.models import Claim, Context
from nkloop.records.processes import this_process
from nkloop.runs.run_facts import run_facts
from nkloop.runs.standing import standing_of
from nkloop.worklists.models import DeckItem, Verdict, Worklist

HERE = this_process()


@pytest.fixture
def claim(records: Records) -> Claim:
    return records.claims.claim(("flex",), "assay")


@pytest.fixture
def run_id(worklist: Worklist, verdict: Verdict, records: Records, claim: Claim) -> str:
    """A run of which the first step was sent."""
    first = worklist.steps[0].model_copy(update={"tip": "tips:A1"})
    tips = DeckItem(nickname="tips", slot="B3", load_name="opentrons_flex_96_filtertiprack_1000ul")
    parts = {"steps": (first, *worklist.steps[1:]), "deck": (*worklist.deck, tips)}
    worklist = worklist.model_copy(update=parts)
    run_id = records.journal.create_run(
        worklist, verdict, bench="lab", device="flex", at=AT, context=Context(), claim=claim
    )
    numbers = [step.number for step in worklist.steps]
    records.journal.append_event(run_id, numbers, "intended", at=AT, device="flex", claim=claim)
    records.journal.append_event(run_id, numbers[:1], "sent", at=AT, device="flex", claim=claim)
    records.journal.set_run_state(run_id, "running", started_at=AT, claim=claim)
    return run_id


def test_a_run_under_way_is_told_with_who_holds_it_and_is_no_deviation(run_id: str, records: Records) -> None:
    facts = run_facts(run_id, records, Catalogue.load(Path(__file__).resolve().parents[2] / "labware"))
    assert facts.standing is not None
    assert facts.standing.is_under_way
    told = facts.standing.told
    assert told.startswith(f"under way: flex is held by assay (process {HERE.pid} on {HERE.host}) since 20")
    assert facts.deviations == ()
    unsure = [well.sentence for well in facts.wells if " to " in well.sentence]
    assert unsure == ["150 µL to 200 µL", "0 µL to 50 µL"], "why is told once, for the whole run"


def test_a_process_that_was_killed_is_told_at_once(run_id: str, records: Records) -> None:
    gone = HERE._replace(started="1")  # the number was given to a later process
    with records._database.writing() as connection:
        connection.execute(sa.update(schema.device_holders).values(process=gone.mark))
    standing = standing_of(records.journal.run(run_id), records)
    assert standing is not None
    assert not standing.is_under_way
    told = f"its process has ended: assay (process {HERE.pid} on {HERE.host}); its lease was last renewed at 20"
    assert standing.told.startswith(told)


def test_a_silent_holder_of_another_machine_is_told_when_its_lease_ran_out(run_id: str, records: Records) -> None:
    mark = json.dumps({**HERE._asdict(), "host": "elsewhere"})
    with records._database.writing() as connection:
        connection.execute(sa.update(schema.device_holders).values(process=mark))
    (holder,) = records.claims.of_run(run_id)
    run = records.journal.run(run_id)
    before, after = (standing_of(run, records, holder.expires_at + timedelta(seconds=s)) for s in (-1, 1))
    assert before is not None
    assert before.is_under_way
    assert after is not None
    assert not after.is_under_way
    assert "nobody is heard of it" in after.told
    assert f"last renewed at {holder.claimed_at:%Y-%m-%d %H:%M:%S} UTC and has run out" in after.told


def test_a_device_given_back_is_told_and_a_run_that_is_over_needs_nobody(
    run_id: str, records: Records, claim: Claim
) -> None:
    records.claims.release(claim)
    standing = standing_of(records.journal.run(run_id), records)
    assert standing is not None
    assert (standing.is_under_way, "given back" in standing.told) == (False, True)
    again = records.claims.claim(("flex",), "end")
    records.journal.set_run_state(run_id, "stopped", ended_at=AT, claim=again)
    assert standing_of(records.journal.run(run_id), records) is None
