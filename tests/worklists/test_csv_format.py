"""The worklist CSV: exact round trip, and every fault with its line and column."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.errors import WorklistError
from nkloop.worklists.csv_format import COLUMNS, carried, from_csv, to_csv
from nkloop.worklists.models import DeckItem, Filling, Liquid, OperatorTask, Step, Worklist

PROTOCOLS = Path(__file__).parents[2] / "protocols"
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=30)
VOLUME = st.floats(1e-3, 1e6, allow_nan=False, allow_infinity=False)
WELL = st.builds(lambda row, column: f"{row}{column}", st.sampled_from("ABCDEFGH"), st.integers(1, 12))
COUNT = st.integers(0, 20)


@st.composite
def worklists(draw: st.DrawFn) -> Worklist:
    deck = (
        DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_tiprack_200ul", label=draw(TEXT)),
        DeckItem(
            nickname="plate",
            slot="D1",
            load_name="own",
            namespace="nkloop",
            version=draw(st.integers(1, 9)),
            module="heaterShakerModuleV1",
            adapter=draw(st.sampled_from([None, "opentrons_universal_flat_adapter"])),
            temperature_c=draw(st.one_of(st.none(), st.floats(4, 95))),
            barcode=draw(st.sampled_from([None, "P1"])),
        ),
    )
    names = draw(st.lists(TEXT.map(str.split).map(" ".join).filter(bool), max_size=3))
    fillings = [
        Filling(labware="plate", well=draw(WELL), volume_ul=draw(VOLUME), liquid=Liquid(name=name, per_ul={"x": 2.0}))
        for name in names
    ]
    steps = [draw(_steps(number)) for number in range(1, draw(st.integers(2, 6)))]
    return Worklist(
        name="w",
        procedure="medium_preparation",
        pipettes=draw(st.sampled_from([{"left": "flex_1channel_1000"}, {"right": "flex_8channel_1000"}])),
        deck=deck,
        fillings=tuple(fillings),
        steps=tuple(steps),
    )


def _steps(number: int) -> st.SearchStrategy[Step]:
    common: dict[str, Any] = {"number": st.just(number)}
    liquid = {
        **common,
        "labware": st.just("plate"),
        "well": WELL,
        "volume_ul": VOLUME,
        "channels": st.sampled_from([1, 8]),
        "tip": st.sampled_from(["", "tips:A1", "tips:H12"]),
        "mix_before": COUNT,
        "mix_after": COUNT,
        "mix_volume_ul": st.floats(0, 1000),
        "flow_factor": st.floats(0, 2, exclude_min=True),
        "comment": TEXT,
    }
    instruction = TEXT.filter(lambda text: bool(text.split()))
    task = st.builds(OperatorTask, kind=st.sampled_from(["incubate", "store"]), instruction=instruction)
    seconds, rpm = st.floats(0.1, 1e5), st.integers(1, 3000)
    return st.one_of(
        st.builds(Step, action=st.just("transfer"), to_labware=st.just("plate"), to_well=WELL, **liquid),
        st.builds(Step, action=st.just("mix"), **liquid),
        st.builds(Step, action=st.just("pause"), operator=task, **common),
        st.builds(Step, action=st.just("delay"), seconds=seconds, comment=TEXT, **common),
        st.builds(Step, action=st.just("shake"), labware=st.just("plate"), seconds=seconds, rpm=rpm, **common),
    )


@given(worklists())
def test_what_the_csv_carries_comes_back_exactly(worklist: Worklist) -> None:
    text = to_csv(worklist)
    back = from_csv(text, name="w", procedure="medium_preparation")
    assert back == carried(worklist)
    assert to_csv(back) == text


@given(worklists())
def test_each_record_is_one_line_of_all_columns(worklist: Worklist) -> None:
    text = to_csv(worklist)
    rows = list(csv.reader(io.StringIO(text)))
    n_records = len(worklist.pipettes) + len(worklist.deck) + len(worklist.fillings) + len(worklist.steps)
    assert text.count("\n") == len(rows) == 1 + n_records
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_liquids_that_are_known_come_back_with_their_composition() -> None:
    text = (PROTOCOLS / "cytokine_dosing.example.csv").read_text()
    stock = Liquid(name="SCF", per_ul={"SCF": 100.0}, lot="LOT-7")
    worklist = from_csv(text, name="w", procedure="cytokine_dosing", liquids={stock.name: stock})
    liquids = {filling.liquid.name: filling.liquid for filling in worklist.fillings}
    assert liquids[stock.name] is stock
    assert liquids["TPO"].per_ul == {"TPO": 1.0}


@pytest.mark.parametrize("path", sorted(PROTOCOLS.glob("*.example.csv")), ids=lambda path: path.stem)
def test_the_examples_come_back_exactly(path: Path) -> None:
    text = path.read_text()
    procedure: Any = path.name.removesuffix(".example.csv")
    assert to_csv(from_csv(text, name="example", procedure=procedure)) == text


def test_a_spreadsheet_may_add_a_byte_order_mark_and_empty_lines() -> None:
    text = (PROTOCOLS / "medium_preparation.example.csv").read_text()
    disturbed = "\ufeff" + text.replace("\n", "\r\n") + "," * (len(COLUMNS) - 1) + "\r\n"
    first = from_csv(text, name="w", procedure="medium_preparation")
    assert from_csv(disturbed, name="w", procedure="medium_preparation") == first


HEAD = ",".join(COLUMNS)


def line(**cells: str) -> str:
    return ",".join(cells.get(column, "") for column in COLUMNS)


GOOD = {
    "pipette": line(record="pipette", slot="left", load_name="flex_1channel_1000"),
    "tips": line(record="labware", name="tips", slot="A1", load_name="rack"),
    "plate": line(record="labware", name="plate", slot="B1", load_name="plate"),
    "liquid": line(record="liquid", name="medium", labware="plate", well="A1", volume_ul="100"),
}
TRANSFER = {
    "record": "step",
    "step": "1",
    "action": "transfer",
    "labware": "plate",
    "well": "A1",
    "to_labware": "plate",
    "to_well": "B1",
    "volume_ul": "10",
    "tip": "tips:A1",
}


def told(*more: str, head: str = HEAD, **replaced: str) -> str:
    """The problems of a sound worklist with lines replaced and lines added from line 6 on."""
    text = "\n".join([head, *(GOOD | replaced).values(), *more]) + "\n"
    with pytest.raises(WorklistError) as caught:
        from_csv(text, name="w", procedure="medium_preparation")
    return str(caught.value)


def test_the_sound_one_is_read() -> None:
    text = "\n".join([HEAD, *GOOD.values(), line(**TRANSFER)])
    assert from_csv(text, name="w", procedure="medium_preparation").steps[0].volume_ul == 10


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        pytest.param({"volume_ul": "-5"}, "column volume_ul: -5 is negative, must be at least 0", id="negative"),
        pytest.param({"volume_ul": "nan"}, "column volume_ul: 'nan' is not a number", id="nan"),
        pytest.param({"volume_ul": "inf"}, "column volume_ul: 'inf' is not a number", id="infinite"),
        pytest.param({"volume_ul": "10 µL"}, "column volume_ul: '10 µL' is not a number", id="unit"),
        pytest.param({"volume_ul": ""}, "column volume_ul: a transfer line needs it", id="missing"),
        pytest.param({"volume_ul": "0"}, "transfer of 0 µL, must be above 0", id="zero"),
        pytest.param({"to_well": ""}, "column to_well: a transfer line needs it", id="no destination"),
        pytest.param({"record": "stop"}, "column record: record 'stop' is not known", id="record"),
        pytest.param({"action": "dance"}, "column action: action 'dance' is not known", id="action"),
        pytest.param({"tip": "A1"}, "column tip: 'A1' does not name a tip", id="tip syntax"),
        pytest.param({"tip": "gone:A1"}, "column tip: no labware is called 'gone'", id="tip rack"),
        pytest.param({"labware": "gone"}, "column labware: no labware is called 'gone'", id="labware"),
        pytest.param({"channels": "9"}, "column channels: '9': must be less than or equal to 8", id="channels"),
        pytest.param({"mix_before": "2.5"}, "column mix_before: 2.5 is not a whole number", id="whole"),
        pytest.param({"mix_before": "50"}, "column mix_before: '50': must be less", id="mixes"),
        pytest.param({"flow_factor": "3"}, "column flow_factor: '3': must be less", id="flow"),
        pytest.param({"action": "pause"}, "column comment: a pause line needs it", id="pause"),
        pytest.param({"action": "shake"}, "column rpm: a shake line needs it", id="shake"),
        pytest.param({"step": ""}, "column step: a transfer line needs it", id="step"),
    ],
)
def test_a_fault_is_told_with_line_and_column(cells: dict[str, str], sentence: str) -> None:
    problems = told(line(**(TRANSFER | cells)))
    assert any(one.startswith("worklist line 6, ") and sentence in one for one in problems.split("\n")), problems
    assert "Remedy: " in problems


@pytest.mark.parametrize(
    ("replaced", "sentence"),
    [
        ({"pipette": line(record="pipette", slot="top", load_name="p")}, "line 2, column slot: 'top' is not a mount"),
        ({"tips": line(record="labware", slot="A1", load_name="r")}, "line 3, column name: a labware line needs it"),
        ({"tips": line(record="labware", name="Tip", slot="A1", load_name="r")}, "line 3, column name: 'Tip': "),
        ({"tips": line(record="labware", name="plate", slot="A1", load_name="r")}, "line 4, column name: two labware"),
        ({"plate": line(record="labware", name="plate", slot="E1", load_name="r")}, "line 4, column slot: 'E1': "),
        ({"liquid": line(record="liquid", name="m", labware="plate", well="A1")}, "line 5, column volume_ul: "),
    ],
)
def test_a_fault_of_the_deck_is_told_with_line_and_column(replaced: dict[str, str], sentence: str) -> None:
    assert f"worklist {sentence}" in told(line(**TRANSFER), **replaced)


def test_all_faults_are_told_at_once() -> None:
    problems = told(line(**(TRANSFER | {"volume_ul": "-1", "tip": "x"})), line(**(TRANSFER | {"step": "1"})))
    assert [problem.partition(":")[0] for problem in problems.split("\n")] == [
        "worklist line 6, column volume_ul",
        "worklist line 6, column tip",
        "worklist line 6, column tip",
        "worklist line 7, column step",
    ]


def test_a_worklist_without_steps_and_two_pipettes_on_a_mount_are_refused() -> None:
    assert "the worklist has no step" in told()
    assert "two pipettes on the left mount" in told(GOOD["pipette"], line(**TRANSFER))


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (HEAD.replace("volume_ul,", "", 1), "worklist line 1, column volume_ul: the column is missing"),
        (HEAD + ",colour", "worklist line 1, column colour: the column is not known"),
        (HEAD.replace("record,step", "step,record"), "the columns are in another order"),
        (HEAD.replace(",", ";"), "the file is separated by semicolons"),
        ("", "worklist line 1, column record: the file is empty"),
    ],
)
def test_a_wrong_header_is_refused(head: str, sentence: str) -> None:
    assert sentence in told(line(**TRANSFER), head=head)


def test_a_line_with_too_many_cells_is_refused() -> None:
    assert "worklist line 6, column record: 27 cells instead of 26" in told(line(**TRANSFER) + ",x")
