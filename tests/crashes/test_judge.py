"""The judge of the crash lab finds what is wrong: otherwise no crash would prove anything."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.labware import Catalogue
from nkloop.records.models import RunDecision, RunRecord, StepRecord, StepRuling
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Target, Worklist

AT = datetime(2026, 1, 5, tzinfo=UTC)
PLANNED = Counter({"draw": 1, "give": 1})


CATALOGUE = Catalogue.load(Path(__file__).resolve().parents[2] / "labware")
LAB = SimpleNamespace(catalogue=CATALOGUE)
TUBE, A1, B1 = ("slot D3", "A1"), ("P-1", "A1"), ("P-1", "B1")
"""How the world names the wells of `dosing`."""


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("crash_lab.judge")


@pytest.fixture
def hidden(judge: Any) -> Any:
    return importlib.import_module("crash_lab.hidden")


def dosing(tolerance: float = 5.0, **more: Any) -> Worklist:
    """100 µL out of a tube into each of two wells that hold 900 µL of medium."""
    stock, medium = Liquid(name="IL-15", per_ul={"IL-15": 1.0}), Liquid(name="medium", per_ul={"base": 1.0})
    return Worklist(
        name="w", procedure="cytokine_dosing", pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="plate", slot="D2", load_name="corning_24_wellplate_3.4ml_flat", barcode="P-1"),
            DeckItem(nickname="tubes", slot="D3", load_name="opentrons_24_tuberack_nest_1.5ml_snapcap"),
        ),
        fillings=(
            Filling(labware="tubes", well="A1", volume_ul=1000, liquid=stock),
            *(Filling(labware="plate", well=well, volume_ul=900, liquid=medium) for well in ("A1", "B1")),
        ),
        steps=tuple(
            Step(
                number=number, action="transfer", labware="tubes", well="A1", to_labware="plate", to_well=well,
                volume_ul=100, **more,
            )
            for number, well in enumerate(("A1", "B1"), start=1)
        ),
        targets=tuple(
            Target(labware="plate", well=well, component="IL-15", per_ul=0.1, tolerance_percent=tolerance)
            for well in ("A1", "B1")
        ),
    )  # fmt: skip


def acts(hidden: Any, *told: tuple[str, int, str, float, tuple[str, str]]) -> Any:
    """What took effect: device run, step, `aspirate` or `dispense`, µL, well."""
    made = [hidden.Act(run, step, kind, "left", volume, (spot,)) for run, step, kind, volume, spot in told]
    return hidden.Physical(acts=made)


def gave(device_run: str, step: int, spot: tuple[str, str], volume: float = 100) -> list[Any]:
    return [(device_run, step, "aspirate", volume, TUBE), (device_run, step, "dispense", volume, spot)]


def run(number: int = 1, device_run: str = "r1", **step: Any) -> RunRecord:
    return RunRecord(
        id=f"run-000{number}", name="w", procedure="medium_preparation", bench="b", device="flex",
        device_run_id=device_run, worklist_hash="h", recipe_revision=None, state="interrupted", started_at=AT,
        ended_at=AT, n_transfers=1, steps=(StepRecord(number=1, at=AT, **step),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "detail", "did", "is_right"),
    [
        pytest.param("done", "", {"draw": 1, "give": 1}, True, id="done_and_done"),
        pytest.param("done", "", {"draw": 1}, False, id="done_but_half"),
        pytest.param("done", "", {}, False, id="done_but_nothing"),
        pytest.param("done", "", {"draw": 2, "give": 2}, False, id="done_twice"),
        pytest.param("failed", "not started: the robot knows no such run", {}, True, id="not_started"),
        pytest.param("failed", "not started: the robot knows no such run", {"draw": 1}, False, id="started_after_all"),
        pytest.param("failed", "overpressure", {"draw": 1}, True, id="failed_half_way"),
        pytest.param("intended", "", {"draw": 1}, False, id="never_sent_but_done"),
        pytest.param("unknown", "", {"draw": 1}, True, id="unknown_half"),
        pytest.param("unknown", "", {"draw": 2, "give": 1}, False, id="unknown_but_twice"),
    ],
)
def test_a_step_is_held_against_what_took_effect(
    judge: Any, event: str, detail: str, did: dict[str, int], is_right: bool
) -> None:
    record = run(event=event, detail=detail)
    problems = list(judge.step_problems(record, record.steps[0], Counter(did), PLANNED))
    assert bool(problems) != is_right


def test_a_step_in_two_runs_and_a_run_nobody_knows_are_found(judge: Any, tmp_path: Path) -> None:
    places = importlib.import_module("crash_lab.places").Places(tmp_path)
    lines: list[dict[str, Any]] = [{"begin": "r1"}, {"begin": "r2"}, {"begin": "r3"}]
    lines += [{"run": name, "planned": "draw", "kind": "aspirate", "step": 1} for name in ("r1", "r2", "r3")]
    places.physical.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    physical = judge.read_physical(places)
    known = (run(1, "r1", event="unknown"), run(2, "r2", event="unknown"))
    assert list(judge.twice(known, physical)) == ["steps [1] were executed in two runs"]
    assert list(judge.twice(known[:1], physical)) == []
    assert list(judge.strangers(known, physical)) == ["the robot executed run r3, of which the journal knows nothing"]


def decided(kind: Any, *rulings: StepRuling) -> RunDecision:
    return RunDecision(run_id="run-0001", decision=kind, by="Ada", reason="looked at it", at=AT, rulings=rulings)


def chain(*events: tuple[Any, Any], kind: Any = "continue", ended: Any = "succeeded") -> tuple[RunRecord, ...]:
    """A run that was cut and the one that carried it on, each with the events of its two steps."""
    steps = [tuple(StepRecord(number=n, event=e, at=AT) for n, e in enumerate(two, start=1)) for two in events]
    first = run(1, "r1", event="done").model_copy(update={"steps": steps[0], "decision": decided(kind)})
    if len(steps) == 1:
        return (first.model_copy(update={"decision": None, "state": ended}),)
    return first, run(2, "r2", event="done").model_copy(update={"steps": steps[1], "state": ended})


def of(worklist: Worklist, runs: tuple[RunRecord, ...]) -> list[tuple[Worklist, RunRecord]]:
    return [(worklist, one) for one in runs if one.steps]


DONE_ONCE = [("done", "done")]
CUT = [("done", "unknown"), ("done", "done")]


@pytest.mark.parametrize(
    ("runs", "did", "told"),
    [
        pytest.param(chain(*DONE_ONCE), [*gave("r1", 1, A1), *gave("r1", 2, B1)], "", id="as_planned"),
        pytest.param(
            chain(*CUT), [*gave("r1", 1, A1), ("r1", 2, "aspirate", 100, TUBE), *gave("r2", 1, B1)], "",
            id="lost_and_done",
        ),
        pytest.param(
            chain(*CUT), [*gave("r1", 1, A1), *gave("r1", 2, B1), *gave("r2", 1, B1)],
            "P-1 B1 was given 200 µL over 2 runs, planned are 100 µL: more than once", id="given_twice",
        ),
        pytest.param(
            chain(*CUT), gave("r1", 1, A1),
            "P-1 B1 was given 0 µL over 2 runs, planned are 100 µL: not whole", id="missing",
        ),
        pytest.param(
            chain(("done", "unknown"), ended="interrupted"), gave("r1", 1, A1), "", id="missing_but_not_at_its_end"
        ),
        pytest.param(
            chain(*CUT),
            [*gave("r1", 1, A1), *gave("r2", 1, B1), *gave("r2", 2, A1)],
            "300 µL were drawn from slot D3 A1, planned are 200 µL", id="drawn_too_often",
        ),
        pytest.param(
            chain(*DONE_ONCE), [*gave("r1", 1, A1), *gave("r1", 1, ("P-1", "C1"), 50), *gave("r1", 2, B1)],
            "P-1 C1 was given 50 µL over 1 runs, planned are 0 µL: more than once", id="into_a_strange_well",
        ),
    ],
)  # fmt: skip
def test_what_a_chain_of_runs_gave_is_held_against_the_plan(
    judge: Any, hidden: Any, runs: tuple[RunRecord, ...], did: list[Any], told: str
) -> None:
    problems = list(judge.chain_problems(LAB, dosing(), of(dosing(), runs), acts(hidden, *did)))
    assert problems == [] if not told else told in problems


def test_a_repair_may_add_what_was_unknown_and_no_more(judge: Any, hidden: Any) -> None:
    runs, worklist = chain(*CUT, kind="repair"), dosing(tolerance=60)
    halved = [*gave("r1", 1, A1), *gave("r1", 2, B1), *gave("r2", 1, B1, 50)]
    assert list(judge.chain_problems(LAB, worklist, of(worklist, runs), acts(hidden, *halved))) == []
    again = [*halved, *gave("r2", 2, A1, 101)]
    problems = list(judge.chain_problems(LAB, worklist, of(worklist, runs), acts(hidden, *again)))
    assert "P-1 A1 was given 201 µL over 2 runs, planned are 100 µL: more than once" in problems
    assert "351 µL were drawn from slot D3 A1, planned are 200 µL" in problems


def test_a_target_that_is_missed_in_the_wells_is_found(judge: Any, hidden: Any) -> None:
    runs = chain(*CUT, kind="repair")
    halved = [*gave("r1", 1, A1), *gave("r2", 1, B1, 50)]
    (problem,) = judge.chain_problems(LAB, dosing(), of(dosing(), runs), acts(hidden, *halved))
    assert problem == "plate B1 holds 0.0526316 of IL-15 per µL, 0.1 ± 5 % were promised"


@pytest.mark.parametrize(
    ("tolerance", "is_right"),
    [pytest.param(60, True, id="wide_enough_either_way"), pytest.param(45, False, id="right_only_as_it_went")],
)
def test_a_repair_that_is_right_only_in_the_way_it_went_is_found(
    judge: Any, hidden: Any, tolerance: float, is_right: bool
) -> None:
    """Given and half given once more: 43 % too much; had it not been given, half is 47 % too little."""
    runs, worklist = chain(*CUT, kind="repair"), dosing(tolerance=tolerance)
    physical = acts(hidden, *gave("r1", 1, A1), *gave("r1", 2, B1), *gave("r2", 1, B1, 50))
    assert list(judge.chain_problems(LAB, worklist, of(worklist, runs), physical)) == []
    problems = list(judge.repair_problems(LAB, worklist, of(worklist, runs), physical))
    assert (problems == []) == is_right
    assert all("had its unknown steps (2,) gone otherwise, plate B1 holds 0.0526" in one for one in problems)


def test_only_a_repair_that_succeeded_is_held_to_every_way(judge: Any, hidden: Any) -> None:
    worklist, physical = dosing(), acts(hidden, *gave("r1", 1, A1))
    for runs in (chain(*CUT), chain(*CUT, kind="repair", ended="interrupted")):
        assert list(judge.repair_problems(LAB, worklist, of(worklist, runs), physical)) == []


def test_steps_are_imagined_in_every_way_their_order_allows(hidden: Any) -> None:
    first, second = ([hidden.Act("r1", n, kind) for kind in ("aspirate", "dispense")] for n in (1, 2))
    truth = [hidden.Act("r1", 0, "begin"), first[0], hidden.Act("r2", 0, "begin"), hidden.Act("r2", 1, "dispense")]
    ways = [
        [act for act in way if act.run == "r1" and act.step]
        for way in hidden.imagined(truth, "r1", [(1, first), (2, second)])
    ]
    assert ways == [[], first[:1], first, [*first, second[0]], [*first, *second]]
    for way in hidden.imagined(truth, "r1", [(1, first)]):
        assert [act.run for act in way][-2:] == ["r2", "r2"], "what came later stays behind it"


def test_wells_are_mixed_anew_from_what_took_effect(hidden: Any) -> None:
    did = [*gave("r1", 1, A1), ("r1", 2, "aspirate", 100, TUBE)]
    physical = acts(hidden, *did)
    physical.acts += [hidden.Act("r1", 2, "pickUpTip", "left"), hidden.Act("r1", 2, "dispense", "left", 100, (B1,))]
    wells = hidden.composed(dosing(), physical.acts)
    assert wells[A1][hidden.VOLUME] == pytest.approx(1000)
    assert wells[A1]["IL-15"] == pytest.approx(100)
    assert wells[TUBE][hidden.VOLUME] == pytest.approx(800), "what was drawn is gone, wherever it went"
    assert wells[B1] == {hidden.VOLUME: 900, "base": 900}, "a fresh tip holds nothing of the old one"


def test_what_a_step_moved_is_added_up_by_well(hidden: Any) -> None:
    physical = acts(hidden, *gave("r1", 1, A1), ("r1", 1, "aspirateInPlace", 30, A1), ("r1", 2, "blowout", 0, B1))
    assert {step: dict(net) for step, net in hidden.net_of(iter(physical.acts)).items()} == {1: {TUBE: -100, A1: 70}}


@pytest.mark.parametrize(
    ("did", "seen"),
    [
        pytest.param([], "not_happened", id="nothing"),
        pytest.param([("r1", 2, "aspirate", 100, TUBE)], "drawn", id="in_the_tip"),
        pytest.param(gave("r1", 2, B1), "happened", id="there"),
        pytest.param([("r1", 2, "aspirate", 100, TUBE), ("r1", 2, "dispense", 60, B1)], "halfway", id="some_of_it"),
        pytest.param([("r1", 2, "aspirate", 45, TUBE)], "cut_in_first_mix", id="cut_in_the_mix_before"),
        pytest.param([("r1", 2, "aspirate", 40, TUBE)], "halfway", id="another_volume"),
        pytest.param(
            [("r1", 2, "aspirate", 45, TUBE), ("r1", 2, "dispense", 45, TUBE)], "not_happened", id="mixed_only"
        ),
        pytest.param([*gave("r1", 2, B1), ("r1", 2, "aspirate", 45, B1)], "cut_in_mix", id="cut_in_its_mix"),
        pytest.param(
            [*gave("r1", 2, B1), ("r1", 2, "aspirate", 45, B1), ("r1", 2, "dispense", 45, B1)], "given", id="mixed_once"
        ),
    ],
)  # fmt: skip
def test_a_person_at_the_deck_sees_what_is_true(hidden: Any, did: list[Any], seen: str) -> None:
    cut = run(event="unknown").model_copy(
        update={"steps": (StepRecord(number=1, event="done", at=AT), StepRecord(number=2, event="unknown", at=AT))}
    )
    worklist = dosing(
        mix_before=2 if seen == "cut_in_first_mix" else 0, mix_after=2 if seen in {"given", "cut_in_mix"} else 0,
        mix_volume_ul=45,
    )  # fmt: skip
    told = hidden.look_at(cut, worklist, acts(hidden, *gave("r1", 1, A1), *did))
    assert {name: numbers for name, numbers in asdict(told).items() if numbers} == {seen: (2,)}


def test_a_well_may_lack_what_a_person_saw_go_out_of_its_mix_and_no_more(judge: Any, hidden: Any) -> None:
    worklist = dosing(tolerance=60, mix_after=2, mix_volume_ul=45)
    cut, later = chain(*CUT)
    did = [*gave("r1", 1, A1), *gave("r1", 2, B1), ("r1", 2, "aspirate", 45, B1)]
    for ruling, is_right in (
        (StepRuling(number=2, happened=False, is_drawn=True, is_given=True), True),
        (StepRuling(number=2, happened=False, is_given=True), False),
    ):
        runs = (cut.model_copy(update={"decision": decided("continue", ruling)}), later)
        problems = list(judge.chain_problems(LAB, worklist, of(worklist, runs), acts(hidden, *did)))
        assert (problems == []) == is_right, problems


@pytest.mark.parametrize(
    ("ruling", "tube", "well"),
    [
        pytest.param(None, (800, 900), (900, 1000), id="nobody_knows"),
        pytest.param(StepRuling(number=2, happened=True), (800, 800), (1000, 1000), id="happened"),
        pytest.param(StepRuling(number=2, happened=False), (900, 900), (900, 900), id="did_not"),
        pytest.param(StepRuling(number=2, happened=False, is_drawn=True), (800, 800), (900, 900), id="lost"),
        pytest.param(StepRuling(number=2, happened=False, is_given=True), (800, 800), (1000, 1000), id="unmixed"),
        pytest.param(StepRuling(number=2, happened=False, is_cut_first=True), (855, 855), (900, 900), id="cut_first"),
        pytest.param(
            StepRuling(number=2, happened=False, is_given=True, is_drawn=True), (800, 800), (955, 955), id="cut_in_mix"
        ),
    ],
)
def test_wells_are_bounded_by_what_journal_and_person_say(
    judge: Any, ruling: StepRuling | None, tube: tuple[float, float], well: tuple[float, float]
) -> None:
    rulings = [] if ruling is None else [ruling]
    cut, _ = chain(*CUT)
    worklist = dosing(
        mix_before=2 if ruling and ruling.is_cut_first else 0, mix_after=2 if ruling and ruling.is_given else 0,
        mix_volume_ul=45,
    )  # fmt: skip
    bounds = judge._bounds(
        LAB, worklist, [(worklist, cut.model_copy(update={"decision": decided("continue", *rulings)}))]
    )
    assert bounds["tubes", "A1"] == tube
    assert bounds["plate", "B1"] == well


def test_one_unclear_step_may_have_been_cut_in_its_mix(judge: Any) -> None:
    worklist = dosing(mix_after=3, mix_volume_ul=80)
    (cut,) = chain(("unknown", "unknown"), ended="interrupted")
    bounds = judge._bounds(LAB, worklist, [(worklist, cut)])
    assert (bounds["plate", "A1"], bounds["plate", "B1"]) == ((820, 1000), (820, 1000))


def test_a_run_that_is_not_over_or_was_begun_twice_is_found(judge: Any, hidden: Any) -> None:
    (done,) = chain(*DONE_ONCE)
    open_run = done.model_copy(update={"state": "running", "steps": ()})
    assert list(judge._run_problems(open_run, hidden.Physical())) == ["run-0001 is still running"]
    twice = hidden.Physical(begun=Counter({"r1": 2}))
    assert list(judge._run_problems(open_run.model_copy(update={"state": "stopped"}), twice)) == [
        "run-0001 was begun 2 times"
    ]
