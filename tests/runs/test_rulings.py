"""What a person says of unknown steps: what a device did is always accepted, what it cannot have done never."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.drivers.interfaces import DeviceCommand
from nkloop.errors import PlanError
from nkloop.records.models import JournalEvent, RunRecord, StepEvent, StepRecord, StepRuling
from nkloop.runs.outcomes import SKIPPED, step_outcomes
from nkloop.runs.rulings import rulings_of
from nkloop.runs.typed_steps import numbers_of
from nkloop.runs.ways import fates_of
from nkloop.worklists.models import DeckItem, OperatorTask, Step, Worklist

AT = datetime(2026, 11, 23, tzinfo=UTC)
FORGOTTEN = "flex no longer knows the run"
CUT = {
    "transfer": ("not_happened", "drawn", "given", "cut_in_mix", "cut_in_first_mix"),
    "mix": ("not_happened", "drawn"),
    "delay": ("not_happened",),
    "pause": ("not_happened",),
}
"""How a device may leave a step that it did not end."""


class History(NamedTuple):
    """What truly became of the steps of a run, and what the journal knows of it."""

    worklist: Worklist
    events: tuple[JournalEvent, ...]
    truth: dict[int, str]
    at_screen: frozenset[int]
    """Steps that were skipped without a trace."""

    @property
    def run(self) -> RunRecord:
        steps = tuple(StepRecord(number=e.number, event=e.event, at=AT, detail=e.detail) for e in self.events)
        return RunRecord(
            id="run-0007", name="w", procedure="cytokine_dosing", bench="flex", device="flex", device_run_id="d",
            worklist_hash="a" * 64, recipe_revision=None, state="interrupted", started_at=AT, ended_at=AT,
            n_transfers=len(steps), steps=steps,
        )  # fmt: skip

    def said(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number in self.run.unknown_steps:
            found.setdefault(self.truth[number], []).append(number)
        return found

    def ruled(self, said: dict[str, Any], skipped: Any = ()) -> tuple[StepRuling, ...]:
        return rulings_of(self.run, fates_of(self.worklist, self.events), said, {}, skipped=skipped)


def worklist(actions: list[str]) -> Worklist:
    shake = OperatorTask(kind="confirm", instruction="Rock the plate.", labware=("plate",))
    made: dict[str, dict[str, Any]] = {
        "transfer": {"labware": "plate", "well": "A1", "to_labware": "plate", "to_well": "B1", "volume_ul": 50,
                     "mix_before": 1, "mix_after": 1, "mix_volume_ul": 40},
        "mix": {"labware": "plate", "well": "A1", "volume_ul": 50, "mix_before": 2},
        "delay": {"seconds": 5},
        "pause": {"operator": shake},
    }  # fmt: skip
    steps = tuple(Step(number=n, action=action, **made[action]) for n, action in enumerate(actions, start=1))  # type: ignore[arg-type]
    plate = DeckItem(nickname="plate", slot="D2", load_name="corning_24_wellplate_3.4ml_flat")
    return Worklist(
        name="w",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(plate,),
        fillings=(),
        steps=steps,
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A device works its steps one after the other until it is cut, and forgets all behind the step it was seen at."""
    actions = draw(st.lists(st.sampled_from(sorted(CUT)), min_size=1, max_size=12))
    cut, seen = draw(st.integers(1, len(actions) + 1)), draw(st.integers(1, len(actions)))
    truth, at_screen, asked = dict[int, str](), set[int](), set[int]()
    for number, action in enumerate(actions, start=1):
        truth[number] = "happened" if number < cut else "not_happened"
        if number == cut:
            truth[number] = draw(st.sampled_from(CUT[action]))
        elif number < cut and draw(st.integers(0, 3)) == 0:  # it was not ended, and the device went on behind it
            truth[number] = draw(st.sampled_from(CUT[action]))
            if action != "pause":
                draw(st.sampled_from([at_screen, asked])).add(number)
        elif number > cut and action == "pause":  # people may do their work without any device
            truth[number] = draw(st.sampled_from(["happened", "not_happened"]))
    seen = min(seen, cut)
    events = []
    for number in truth:
        is_unknown = number >= seen or number in asked
        event: StepEvent = "unknown" if is_unknown else "done"
        detail = f"aspirate: overpressure; {SKIPPED}" if number in asked else FORGOTTEN
        events.append(JournalEvent(number=number, event=event, at=AT, detail=detail if is_unknown else ""))
    return History(worklist(actions), tuple(events), truth, frozenset(n for n in at_screen if n >= seen))


@given(histories())
def test_what_truly_became_of_the_steps_is_always_accepted(history: History) -> None:
    rulings = history.ruled(history.said(), history.at_screen)
    assert [one.number for one in rulings] == list(history.run.unknown_steps)
    for one in rulings:
        assert one.happened is (history.truth[one.number] == "happened")
        assert one.is_skipped == (one.number in history.at_screen)


@given(st.data(), st.integers(2, 10))
def test_nothing_a_forgetful_device_did_lies_behind_what_it_did_not(data: st.DataObject, n: int) -> None:
    """Of all that may be said of steps without people, the device did only some first ones, and cut one at most."""
    actions = data.draw(st.lists(st.sampled_from(["transfer", "mix", "delay"]), min_size=n, max_size=n))
    events = tuple(JournalEvent(number=k, event="unknown", at=AT, detail=FORGOTTEN) for k in range(1, n + 1))
    truth = {k: data.draw(st.sampled_from(["happened", *CUT[action]])) for k, action in enumerate(actions, start=1)}
    history = History(worklist(actions), events, truth, frozenset())
    whole = next((k for k in truth if truth[k] != "happened"), n + 1)
    if all(truth[k] == "not_happened" for k in truth if k > whole):
        history.ruled(history.said())
        return
    with pytest.raises(PlanError, match="works its steps in their order") as refused:
        history.ruled(history.said())
    # the remedy is right where the steps were skipped at the screen
    remedy = refused.value.problems[0].remedy
    spans = remedy.partition("--skipped-at-screen ")[2].partition(" (")[0]
    history.ruled(history.said(), numbers_of(spans))


@st.composite
def cut_lists(draw: st.DrawFn) -> tuple[Worklist, list[DeviceCommand], str]:
    """The whole list of a run that was cut in its only transfer, and what truly became of that."""
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    mixes = {"mix_before": before, "mix_after": after, "mix_volume_ul": 40 if before or after else 0}
    made = worklist(["transfer"])
    made = made.model_copy(update={"steps": (made.steps[0].model_copy(update=mixes),)})
    strokes = [("aspirate", "first"), ("dispense", "first")] * before
    own = [("aspirate", "own"), ("dispense", "own")]
    acts = [("pickUpTip", ""), *strokes, *own, *[("aspirate", "last"), ("dispense", "last")] * after, ("dropTip", "")]
    cut = draw(st.integers(0, len(acts)))
    error = draw(st.sampled_from([None, "RunStoppedError: Run was cancelled", "Pipette Overpressure"]))
    told = [DeviceCommand(id="0", command_type="comment", status="succeeded", params={"message": "step 1: x"})]
    for number, (kind, phase) in enumerate(acts[:cut], start=1):
        well = "B1" if phase == "last" or (kind, phase) == ("dispense", "own") else "A1"
        params = {"labwareId": "plate", "wellName": well, "volume": 50 if phase == "own" else 40}
        is_cut = number == cut and error is not None
        told.append(
            DeviceCommand(
                id=str(number), command_type=kind, status="failed" if is_cut else "succeeded",
                params=params if phase else {}, error=error if is_cut else None,
            )
        )  # fmt: skip
    done = acts[:cut] if error is None or draw(st.booleans()) else acts[: max(0, cut - 1)]  # it may be told too late
    return made, told, _truth(done, before, after)


def _truth(done: list[tuple[str, str]], before: int, after: int) -> str:
    """What a person sees after these acts."""
    if ("dispense", "own") in done:
        strokes = [kind for kind, phase in done if phase == "last"]
        if strokes.count("dispense") == after:
            return "happened"
        return "cut_in_mix" if strokes and strokes[-1] == "aspirate" else "given"
    if ("aspirate", "own") in done:
        return "drawn"
    return "cut_in_first_mix" if before and done and done[-1] == ("aspirate", "first") else "not_happened"


@given(cut_lists())
def test_what_truly_became_of_a_cut_transfer_is_accepted_whatever_its_device_tells(
    cut: tuple[Worklist, list[DeviceCommand], str],
) -> None:
    made, commands, truth = cut
    events = step_outcomes(made, commands, succeeded=False, at=AT, device="flex")
    history = History(made, events, {1: truth}, frozenset())
    if history.run.unknown_steps:
        history.ruled(history.said())
    else:  # it failed with a command that moves none
        is_given = truth in {"happened", "given", "cut_in_mix"}
        assert (fates_of(made, events)[0].given_ul == 50) == is_given
    begun = sum(one.command_type == "dispense" for one in commands) > made.steps[0].mix_before
    if not begun:
        assert truth in {"not_happened", "cut_in_first_mix", "drawn"}
        for word in ("happened", "given", "cut_in_mix") if history.run.unknown_steps else ():
            with pytest.raises(PlanError, match=r"had not begun to give|gave nothing|mixes nothing"):
                history.ruled({word: [1]})


@given(strokes=st.integers(1, 4), data=st.data())
def test_what_truly_became_of_a_cut_mix_is_accepted(strokes: int, data: st.DataObject) -> None:
    made = worklist(["mix"])
    made = made.model_copy(update={"steps": (made.steps[0].model_copy(update={"mix_before": strokes}),)})
    kinds = ["aspirate", "dispense"] * strokes
    cut, is_late = data.draw(st.integers(0, len(kinds))), data.draw(st.booleans())
    told = [DeviceCommand(id="0", command_type="comment", status="succeeded", params={"message": "step 1: x"})]
    for number, kind in enumerate(kinds[:cut], start=1):
        is_cut = is_late and number == cut
        told.append(
            DeviceCommand(
                id=str(number), command_type=kind, status="failed" if is_cut else "succeeded", params={"volume": 50},
                error="RunStoppedError" if is_cut else None,
            )
        )  # fmt: skip
    done = kinds[: cut - 1] if is_late and cut and data.draw(st.booleans()) else kinds[:cut]
    truth = "drawn" if done and done[-1] == "aspirate" else "happened" if done == kinds else "not_happened"
    events = step_outcomes(made, told, succeeded=False, at=AT, device="flex")
    history = History(made, events, {1: truth}, frozenset())
    history.ruled(history.said())
    if cut < len(kinds):
        with pytest.raises(PlanError, match=r"had not come to the end of its mix.*mixed by hand is mixed once more"):
            history.ruled({"happened": [1]})


def dosed(n: int) -> History:
    events = tuple(JournalEvent(number=k, event="unknown", at=AT, detail=FORGOTTEN) for k in range(1, n + 1))
    return History(worklist(["transfer"] * n), events, {}, frozenset())


def test_a_refusal_names_both_steps_and_what_to_type() -> None:
    with pytest.raises(PlanError) as refused:
        dosed(45).ruled({"happened": [1, 2, 20], "not_happened": [*range(3, 20), *range(21, 46)]})
    problem = refused.value.problems[0]
    assert "step 20 (50 µL from plate A1 to plate B1) is said to have happened" in problem.message
    assert "step 3 (50 µL from plate A1 to plate B1), which comes before it, to have not happened" in problem.message
    assert "--skipped-at-screen 3-19 (" in problem.remedy


def test_what_was_skipped_is_not_all_that_is_to_be_said_of_a_step() -> None:
    """Its failed command may have drawn liquid before."""
    with pytest.raises(PlanError, match=r"step 2 is said to have been skipped.*not what became of its liquid"):
        dosed(3).ruled({"happened": [1, 3]}, [2])
    with pytest.raises(PlanError, match="step 9 of run-0007 is not unknown"):
        dosed(3).ruled({"happened": [1, 2, 3]}, [9])
    assert [one.word for one in dosed(3).ruled({"happened": [1, 3], "drawn": [2]}, [2])] == [
        "happened", "drew its liquid and lost it, skipped at the device's screen", "happened",
    ]  # fmt: skip
