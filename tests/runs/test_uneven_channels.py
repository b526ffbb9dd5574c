"""A column of which some channels gave and one did not, as a clot on a channel of a STAR leaves it."""

from __future__ import annotations

import pytest

from nkloop.cli.run.question import typed
from nkloop.errors import PlanError
from nkloop.records import Records
from nkloop.records.models import StepRuling
from nkloop.runs.asking import question
from nkloop.runs.possible import possible_wells, replay
from nkloop.runs.ways import fates_of
from nkloop.worklists.models import Step, Worklist

from .conftest import AT, Journalled
from .cut_dosing import CATALOGUE, DECK, decided, dosing, journal

SEVEN = (50.0, 50.0, 50.0, 0.0, 50.0, 50.0, 50.0, 50.0)
TOLD = journal((1, "unknown"), (2, "failed"), moved={1: SEVEN})
KINDS = {"plate": "corning_96_wellplate_360ul_flat", "tubes": "nest_12_reservoir_15ml"}


def columns() -> Worklist:
    """50 µL out of a trough into each well of two columns."""
    base = dosing()
    steps = tuple(
        Step(
            number=n, action="transfer", labware="tubes", well="A1", to_labware="plate", to_well=f"A{n}", volume_ul=50,
            tip=f"tips:A{n}", channels=8,
        )
        for n in (1, 2)
    )  # fmt: skip
    deck = tuple(one.model_copy(update={"load_name": KINDS.get(one.nickname, one.load_name)}) for one in base.deck)
    trough = base.fillings[-1].model_copy(update={"volume_ul": 8000.0})
    pipettes = {"right": "flex_8channel_1000"}
    return base.model_copy(
        update={"pipettes": pipettes, "deck": deck, "fillings": (trough,), "steps": steps, "targets": ()}
    )


@pytest.fixture
def uneven(records: Records, journalled: Journalled) -> str:
    run_id = journalled(columns(), "planned")
    records.journal.append_events(run_id, TOLD)
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


def test_only_the_well_of_the_channel_that_did_not_give_is_in_doubt() -> None:
    fates = fates_of(columns(), TOLD)
    (well,) = possible_wells(columns(), fates, CATALOGUE, DECK)
    assert (well.well, well.volumes_ul) == ("D1", (0, 50))
    assert well.contents[0].when == "step 1 gave with 7 of 8 channels and did nothing more"
    ledger = replay(columns(), fates, CATALOGUE, DECK, how={1: "drawn"})
    assert [ledger.well("plate", f"{row}1").volume_ul for row in "ABCDEFGH"] == list(SEVEN)


@pytest.mark.parametrize("said", ["drawn", "not_happened"])
async def test_what_seven_channels_gave_is_not_given_again_to_all_eight(
    records: Records, uneven: str, said: str
) -> None:
    with pytest.raises(PlanError, match=r"7 of 8 channels.*get it twice.*--happened 1 --well plate:D1") as refused:
        await decided(records, uneven, "continue", **{said: [1]})
    assert "--drawn" not in str(refused.value)
    made = await decided(records, uneven, "continue", happened=[1], wells=[("plate", "D1")])
    assert made.decision.rulings == (StepRuling(number=1, happened=True),)
    assert made.follow_up is not None
    assert [step.to_well for step in made.follow_up.steps] == ["A2"]


async def test_the_question_offers_to_leave_out_the_well_that_lacks_it(records: Records, uneven: str) -> None:
    asked = question(uneven, records, CATALOGUE, DECK)
    offered = [typed(one).partition(" --by")[0] for one in asked.offers if not one.refused]
    assert offered == ["discard", "continue --happened 1 --well plate:D1", "continue --happened 1"]
