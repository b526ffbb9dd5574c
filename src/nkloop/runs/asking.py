"""The question a person is asked about an interrupted run: what nobody knows, and what may be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nkloop.frozen import FrozenModel
from nkloop.records import Records
from nkloop.records.models import HELD_BACK, RunRecord
from nkloop.runs.answers import close_confirmed
from nkloop.runs.offers import Offer, offers_for
from nkloop.runs.open_steps import OpenStep, open_step
from nkloop.runs.possible import PossibleWell, possible_wells, sentence
from nkloop.runs.typed_steps import spans
from nkloop.runs.vessels import HeldVessel, in_doubt, vessels_after
from nkloop.runs.weighing import RunPlace, fates_told
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist

FOREIGN = (
    "Whether its steps went on labware of this run, and what its wells held before, is not in the records: ask who was "
    "at the robot, look at the level of the wells"
)
"""What is to be known of a run that was not begun from here."""


class Question(FrozenModel):
    """What a person is shown before deciding."""

    run: RunRecord
    steps: tuple[OpenStep, ...]
    wells: tuple[PossibleWell, ...]
    left: tuple[int, ...]
    """Numbers of the steps that certainly were not done."""
    vessels: tuple[HeldVessel, ...] = ()
    """Closed vessels, and tubes that people empty, of which nobody knows what they hold."""
    held: tuple[int, ...] = ()
    """Numbers of unknown steps behind a pause that nobody was asked to end: they count as not happened unless a person
    says that somebody went on at the device's own screen. They are not among `steps`."""
    held_at: str = ""
    """That pause, in words."""
    offers: tuple[Offer, ...] = ()
    """What may be answered; those that would be refused say why."""

    @property
    def no_repair(self) -> str:
        """Why no correction is right whatever the unknown steps did; empty where one is, or where none is asked for."""
        return next((one.refused for one in self.offers if one.kind == "repair"), "")


def question(run_id: str, records: Records, catalogue: LabwareLookup, deck: BenchDeck) -> Question:
    """What is unknown of a run, and what its wells may hold.

    Raises:
        RecordError: the run is not recorded.
    """
    close_confirmed(run_id, records)
    run = records.journal.run(run_id)
    worklist, events = records.journal.worklist(run.worklist_hash), records.journal.events(run_id)
    fates = fates_told(worklist, events, run)
    why = {step.number: step.detail for step in run.steps}
    unknown = [fate for fate in fates if fate.what == "unknown"]
    undone = [fate.step.number for fate in fates if fate.what in {"not", "partly"}]
    held = run.held_steps if run.needs_decision else ()
    asked = Question(
        run=run,
        steps=tuple(open_step(fate, worklist, catalogue, why.get(fate.step.number, "")) for fate in unknown),
        wells=() if run.is_foreign else possible_wells(worklist, fates, catalogue, deck),
        left=tuple(n for n in undone if n not in set(held)),
        held=held,
        held_at=_held_at(worklist, why, held),
        vessels=() if run.is_foreign else in_doubt(vessels_after(worklist, fates, catalogue, deck)),
    )
    offers = offers_for(
        run,
        asked.steps,
        RunPlace(records, catalogue, deck),
        has_wells=bool(asked.wells),
        has_vessels=bool(asked.vessels),
    )
    return asked.model_copy(update={"offers": offers})


def held_told(asked: Question) -> str:
    """Why some unknown steps count as not happened, in a sentence or two."""
    return (
        f"Step {spans(asked.held)} cannot have happened by itself: the robot waits at {asked.held_at}, and nobody was "
        "asked to let it go on. It counts as not happened; only if somebody went on at the robot's own screen, say so "
        "with --happened."
    )


def _held_at(worklist: Worklist, why: Mapping[int, str], held: Sequence[int]) -> str:
    """The pause that held the device back, as people are told it."""
    number = why[held[0]].rpartition(HELD_BACK)[2].strip() if held else ""
    return next((f"step {number} ({sentence(step)})" for step in worklist.steps if str(step.number) == number), "")
