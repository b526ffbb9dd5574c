"""Run sheets and labels: what a technician needs is there, in HTML and Markdown, and nothing breaks out."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType

import pytest

from nkloop.labware import Catalogue
from nkloop.quantities import Kind
from nkloop.reports import labels_html, run_labels, run_sheet_html, run_sheets, sheets_markdown
from nkloop.reports.labels import PER_SHEET
from nkloop.reports.qr import qr_svg
from nkloop.reports.run_view import load_rows
from nkloop.reports.sheet_preparation import dilution_sentences
from nkloop.worklists.models import (
    Filling,
    Limits,
    Liquid,
    LotFacts,
    OperatorTask,
    Step,
    Vessel,
    VesselMove,
    Worklist,
)

DAY = date(2026, 11, 25)


@pytest.fixture(scope="module")
def killing(tell: ModuleType) -> Worklist:
    made = tell.worklist("cytotoxicity_assay", 3, "ucb-nk@0")
    assert isinstance(made, Worklist)
    return made


def with_lot(worklist: Worklist, **more: object) -> Worklist:
    """The worklist with its first filling taken from a frozen stock of IL-2."""
    facts = {"id": "LOT-IL2", "component": "IL-2", "expires": date(2027, 1, 1), "on_hand_ul": 1000.0}
    lot = LotFacts.model_validate({**facts, "storage": "-80 °C", "keep_cold": True, **more})
    first = worklist.fillings[0]
    liquid = first.liquid.model_copy(update={"name": "IL-2", "lot": "LOT-IL2"})
    filling = first.model_copy(update={"volume_ul": 400.0, "liquid": liquid})
    return worklist.model_copy(update={"fillings": (filling, *worklist.fillings[1:]), "lots": (lot,)})


def sheet_of(worklist: Worklist, **more: object):
    (made,) = run_sheets((worklist,), None, planned_on=DAY, **more)
    return made


def test_what_has_the_longest_lead_comes_first_and_is_the_next_action(killing):
    sheet = sheet_of(with_lot(killing))
    leads = [row.lead_minutes for row in sheet.take_out]
    assert leads == sorted(leads, reverse=True)
    assert sheet.next_action == "Next, 45 min before the robot starts: thaw on ice, mix gently and spin down: IL-2."


def test_tubes_of_cells_are_taken_out_at_the_step_that_asks_for_them_and_have_labels_to_scan(killing):
    tubes = next(item.nickname for item in killing.deck if item.barcode is None)
    liquid = Liquid(name="HCT 116", per_ul={"target:HCT 116": 100.0}, lot="line:HCT 116")
    task = OperatorTask(kind="confirm", instruction="Bring the cells", labware=(tubes,))
    later = [step.model_copy(update={"number": step.number + 1}) for step in killing.steps]
    made = killing.model_copy(
        update={
            "fillings": (Filling(labware=tubes, well="A1", volume_ul=500, liquid=liquid),),
            "steps": (Step(number=1, action="pause", operator=task), *later),
        }
    )
    (row,) = (one for one in sheet_of(made).take_out if one.liquid == "HCT 116")
    assert (row.when, row.how) == ("at step 1", "count, bring to 1e5 cells/mL, and bring as the step says")
    (load,) = (one for one in sheet_of(made).load if one.lot == "Tumour line HCT 116")
    assert load.scanned == "line:HCT-116"
    (label,) = (one for one in run_labels(made, None, prepared_on=DAY) if one.content == "HCT 116")
    assert (label.code, label.step, label.expires) == ("nkloop:cells:line:HCT-116", "1", "same day")


@pytest.mark.parametrize(
    ("storage", "volume", "when"),
    [
        pytest.param("-20 °C", 11_000.0, "16 h before", id="frozen bottle"),
        pytest.param("-80 °C", 50.0, "45 min before", id="frozen vial"),
        pytest.param("4 °C", 100_000.0, "60 min before", id="cold bottle of medium"),
        pytest.param("4 °C", 10_000.0, "30 min before", id="cold tube of medium"),
        pytest.param("20 °C", 10_000.0, "just before", id="shelf"),
    ],
)
def test_lead_times_follow_storage_and_volume(killing, storage, volume, when):
    made = with_lot(killing, storage=storage, keep_cold=False)
    filling = made.fillings[0].model_copy(update={"volume_ul": volume})
    made = made.model_copy(update={"fillings": (filling, *made.fillings[1:])})
    (row,) = [row for row in sheet_of(made).take_out if row.liquid == "IL-2"]
    assert row.when == when


def test_cultures_of_a_plate_come_together_when_a_step_asks_for_them(killing):
    item = killing.deck[0]
    held = {"A1": Liquid(name="culture reference/U1", per_ul={}), "B1": Liquid(name="culture arm-1/U1", per_ul={})}
    wells = [Filling(labware=item.nickname, well=at, volume_ul=1500.0, liquid=one) for at, one in held.items()]
    fetch = OperatorTask(kind="confirm", instruction="Take the plate out", labware=(item.nickname,))
    steps = (
        Step(number=1, action="pause", operator=fetch),
        *(s.model_copy(update={"number": s.number + 1}) for s in killing.steps),
    )
    others = tuple(f for f in killing.fillings if f.labware != item.nickname)
    more = {"fillings": (*wells, *others), "steps": steps, "limits": Limits(cells_in=(item.nickname,))}
    sheet = sheet_of(killing.model_copy(update=more))
    (taken,) = [row for row in sheet.take_out if "culture" in row.liquid]
    assert (taken.when, taken.volume) == ("at step 1", "3 mL")
    assert taken.liquid.endswith("with 2 cultures")
    (loaded,) = [row for row in sheet.load if "cultures" in row.liquid]
    assert (loaded.liquid, loaded.wells, loaded.volume) == ("cultures (only at step 1)", "A1, B1", "1.5 mL")


def test_cells_that_stand_on_the_deck_at_the_end_are_put_back_by_the_last_line_of_the_steps(tell):
    made = tell.worklist("medium_preparation", 1, "ucb-nk@0")
    filled = next(step.to_labware for step in made.steps if step.action == "transfer")
    sheet = sheet_of(made.model_copy(update={"limits": Limits(cells_in=(filled,))}))
    assert sheet.afterwards.endswith("back into the incubator at once; at most 60 min outside")
    steps = sheets_markdown((sheet,)).partition("### Steps")[2].partition("\n\n###")[0]
    assert steps.strip().splitlines()[-3] == f"- ☐ **{sheet.afterwards}**. Done at ______"
    assert sheet.afterwards in run_sheet_html((sheet,))
    assert "back into the incubator" not in sheets_markdown((sheet_of(made),))


def test_a_critical_addition_is_checked_by_a_second_person(killing):
    sheet = sheet_of(with_lot(killing))
    assert [check.liquid for check in sheet.second_checks] == ["IL-2"]
    assert "400 µL of lot LOT-IL2" in sheet.second_checks[0].what
    (load,) = [row for row in sheet.load if row.liquid == "IL-2"]
    assert (load.expires, load.remaining) == ("2027-01-01", "600 µL")
    assert sheet_of(killing).second_checks == ()


def test_steps_are_gathered_but_every_step_of_a_person_stands_alone(killing):
    blocks = sheet_of(killing).blocks
    people = [block for block in blocks if block.is_person]
    assert len(people) == sum(step.action == "pause" for step in killing.steps)
    assert len(blocks) < len(killing.steps)
    assert blocks[0].steps.startswith("1")
    assert blocks[-1].steps.endswith(f"{killing.steps[-1].number}")


def test_times_are_summed_with_the_start(killing):
    minutes = {0: 5.0, **{step.number: 1.0 for step in killing.steps if step.operator is None}}
    sheet = sheet_of(killing, minutes=(minutes,))
    assert sheet.minutes == sum(minutes.values())
    assert sheet_of(killing).minutes is None


def test_html_has_all_parts_and_does_not_load_anything(killing):
    sheets = run_sheets((killing, killing), None, planned_on=DAY, verdict="ledger passed")
    html = run_sheet_html(sheets, simulated=True)
    assert html.count('<article class="sheet">') == 2
    assert "Part 1 of 2" in html
    assert "SIMULATED BENCH" in html
    assert "://" not in re.sub(r'xmlns="http[^"]*"', "", html)
    for heading in ("Take out", "Deck", "Load and scan", "Steps", "Deviations", "Every step"):
        assert re.search(rf"<h2>(\d )?{heading}</h2>", html), heading
    assert killing.content_hash[:12] in html
    assert run_sheet_html(sheets, simulated=True) == html


def test_text_from_a_recipe_cannot_break_out(killing):
    nasty = '"><script>alert(1)</script> | x'
    bad = killing.model_copy(update={"name": nasty, "recipe_revision": nasty})
    html = run_sheet_html(run_sheets((bad,), None, planned_on=DAY))
    assert "<script>" not in html
    text = sheets_markdown(run_sheets((bad,), None, planned_on=DAY))
    assert "<script>" not in text
    assert "<script>" not in labels_html(run_labels(bad, None, prepared_on=DAY), nasty)


def test_markdown_lists_deck_liquids_pauses_and_signatures(killing):
    text = sheets_markdown(run_sheets((killing,), None, planned_on=DAY))
    assert "- **D1** Assay plate, U-bottom, label " in text
    assert "- **C2** Media and reagents\n" in text
    assert "  - ☐ A3: **K-562**, 9 mL, lot Tumour line K-562" in text
    assert "- **9, person**: Incubate the plate. Incubate at 37 °C (4.0 h). Start ______ end ______" in text
    assert ".. " not in text
    assert "|" not in text  # a table is cut on the pages of Prefect
    assert "left Flex 1-channel 1000 µL" in text
    assert "Done by ______ Checked by ______" in text
    bare = killing.model_copy(update={"fillings": (), "steps": killing.steps[:2]})
    assert sheets_markdown(run_sheets((bare,), None, planned_on=DAY)).count("None.") == 3


def test_the_earliest_start_of_the_robot_stands_at_the_top(killing):
    sheet = sheet_of(with_lot(killing), now=datetime(2026, 11, 25, 23, 30, tzinfo=UTC))
    told = "Begun now, the robot can start at 2026-11-26 00:15 UTC at the earliest."
    assert told in sheet.lead
    assert told in sheets_markdown((sheet,)).partition("### ")[0]
    assert told in run_sheet_html((sheet,)).partition("<h2>")[0]
    assert sheet_of(with_lot(killing)).lead == ""


def test_what_nobody_has_verified_is_said_so(killing):
    made = killing.model_copy(update={"unverified": ("SCF", "IL-7")})
    told = "Unverified values, published and checked by nobody: SCF and IL-7."
    assert told in sheets_markdown((sheet_of(made),))
    assert told in run_sheet_html((sheet_of(made),))
    assert "nverified" not in sheets_markdown((sheet_of(killing),))


def test_dilutions_are_told_in_words(killing):
    rack = killing.deck[0]
    tubes = rack.model_copy(update={"nickname": "mixes", "slot": "A1", "label": "Dilutions", "barcode": None})
    source = killing.fillings[0]
    moves = [(source.labware, source.well, "mixes", "A1", 5.0), ("assay", "H12", "mixes", "A1", 495.0)]
    moves.append(("mixes", "A1", "assay", "H12", 10.0))
    steps = tuple(
        Step(number=n, action="transfer", labware=a, well=b, to_labware=c, to_well=d, volume_ul=v)
        for n, (a, b, c, d, v) in enumerate(moves, 1)
    )
    made = killing.model_copy(update={"deck": (tubes, *killing.deck[1:]), "steps": steps})
    (told,) = sheet_of(made).dilutions
    assert (
        told == f"Dilutions A1: 5 µL {source.liquid.name} and 495 µL assay H12, together 500 µL, a dilution of 1:100."
    )


def test_the_whole_dilution_series_of_every_sample_is_told(killing):
    """Medium comes with eight channels, each series runs down a column of its own."""
    block = next(
        item for item in killing.deck if item.barcode is None and item.load_name == "nest_96_wellplate_2ml_deep"
    )
    trough = block.model_copy(update={"nickname": "medium", "load_name": "nest_1_reservoir_195ml", "label": "Medium"})
    tubes = block.model_copy(update={"nickname": "tubes", "label": "Cells"})
    deck = (block.model_copy(update={"label": "Block"}), trough, tubes)
    fillings = [
        Filling(labware="medium", well="A1", volume_ul=9e4, liquid=Liquid(name="assay medium", per_ul={"m": 1}))
    ]
    steps = []
    for column, sample in enumerate(("arm-1/U1", "reference"), 1):
        liquid = Liquid(name=f"effectors {sample}", per_ul={f"effector:{sample}": 100.0})
        fillings.append(Filling(labware="tubes", well=f"A{column}", volume_ul=500, liquid=liquid))
        moves = [("medium", "A1", block.nickname, f"A{column}", 300.0, 8)]
        moves += [("tubes", f"A{column}", block.nickname, f"A{column}", 100.0, 1)]
        moves += [
            (block.nickname, f"{a}{column}", block.nickname, f"{b}{column}", 100.0, 1) for a, b in ("AB", "BC", "CD")
        ]
        steps += moves
    made = killing.model_copy(
        update={
            "deck": deck,
            "fillings": tuple(fillings),
            "steps": tuple(
                Step(number=n, action="transfer", labware=a, well=b, to_labware=c, to_well=d, volume_ul=v, channels=k)
                for n, (a, b, c, d, v, k) in enumerate(steps, 1)
            ),
        }
    )
    told = dilution_sentences(made, Catalogue.load(Path(__file__).parents[2] / "labware"))
    assert len(told) == 2
    assert told[0] == (
        "Block, arm-1/U1: A1 100 µL effectors arm-1/U1 + 300 µL assay medium (1:4); B1 100 µL A1 + 300 µL assay medium "
        "(1:4); C1 100 µL B1 + 300 µL assay medium (1:4)."
    )
    assert told[1].startswith("Block, reference: A2 100 µL effectors reference")


def test_labels_fill_sheets_of_24(killing):
    labels = run_labels(killing, None, prepared_on=DAY)
    assert labels
    assert all(label.prepared == "2026-11-25" for label in labels)
    assert {label.place for label in labels} >= {item.barcode for item in killing.deck if item.barcode}
    html = labels_html(labels * 30, "many")
    assert html.count('<div class="sheet">') == -(-len(labels) * 30 // PER_SHEET)
    assert html.count('class="label"') == len(labels) * 30


def test_a_qr_code_is_drawn_in_its_size_and_differs_by_text():
    first, second = qr_svg("nkloop:run:1", 20), qr_svg("nkloop:run:2", 20)
    assert 'width="20mm"' in first
    assert first != second
    assert "<title>nkloop:run:1</title>" in first


def test_a_pause_without_time_has_no_timer(killing):
    task = OperatorTask(kind="confirm", instruction="Weld bag B-1 on")
    made = killing.model_copy(update={"steps": (Step(number=1, action="pause", operator=task),)})
    (block,) = sheet_of(made).blocks
    assert (block.text, block.time) == ("Weld bag B-1 on", "")


def diluting(killing: Worklist) -> Worklist:
    """GM-CSF diluted 1:100 in A1, and that again in A2 of a rack of tubes."""
    tubes = "opentrons_6_tuberack_nest_50ml_conical"
    block = killing.deck[0].model_copy(update={"load_name": tubes, "barcode": None, "nickname": "tubes"})
    made = block.model_copy(update={"nickname": "dilutions", "slot": "D1"})
    stock = Liquid(name="GM-CSF", per_ul={"GM-CSF": 100.0, "GBGM": 1.0})
    base = Liquid(name="GBGM", per_ul={"GBGM": 1.0})
    moves = [("tubes", "A2", "A1", 990), ("tubes", "A2", "A2", 990), ("tubes", "A1", "A1", 10)]
    moves.append(("dilutions", "A1", "A2", 10))
    return killing.model_copy(
        update={
            "pipettes": {"left": "flex_1channel_1000"},
            "deck": (block, made, next(item for item in killing.deck if item.nickname == "tips_1000")),
            "fillings": (
                Filling(labware="tubes", well="A1", volume_ul=5_000, liquid=stock),
                Filling(labware="tubes", well="A2", volume_ul=9_000, liquid=base),
            ),
            "steps": tuple(
                Step(
                    number=n, action="transfer", labware=a, well=b, to_labware="dilutions", to_well=c, volume_ul=v,
                    tip=f"tips_1000:A{n}", comment="GM-CSF: dilute 1:100",
                )
                for n, (a, b, c, v) in enumerate(moves, 1)
            ),
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        pytest.param(
            {"GM-CSF": Kind.MASS_CONCENTRATION, "GBGM": Kind.FRACTION},
            {"A1": "GM-CSF 1 µg/mL in GBGM", "A2": "GM-CSF 10 ng/mL in GBGM"},
            id="units",
        ),
        pytest.param(None, {"A1": "GBGM, GM-CSF", "A2": "GBGM, GM-CSF"}, id="names"),
    ],
)
def test_labels_of_intermediates_tell_their_concentration(killing, kinds, told):
    worklist = diluting(killing)
    catalogue = Catalogue.load(Path(__file__).parents[2] / "labware")
    labels = run_labels(worklist, catalogue, prepared_on=DAY, kinds=kinds)
    assert {label.place.split()[-1]: label.content for label in labels} == told


def test_the_rest_of_a_run_leaves_the_deck_as_it_is_also_where_something_is_to_be_done_first(killing):
    made = with_lot(killing)
    kept = made.fillings[0].liquid.model_copy(update={"lot": "left:run-0007:LOT-1"})
    filling = made.fillings[0].model_copy(update={"liquid": kept})
    cold = made.deck[0].model_copy(update={"temperature_c": 4.0})
    rest = made.model_copy(update={"fillings": (filling,), "deck": (cold, *made.deck[1:])})
    told = sheet_of(rest).next_action
    assert told.startswith("Next, 15 min before the robot starts: set the module to")
    assert told.endswith(" Leave the deck as run-0007 left it.")


def test_only_the_stocks_a_thaw_names_wait_for_it(killing):
    made = with_lot(killing)
    frozen = made.fillings[0]
    heparin = frozen.liquid.model_copy(update={"name": "heparin", "lot": "LOT-HEP"})
    beside = frozen.model_copy(update={"well": "D6", "liquid": heparin})
    facts = made.lots[0].model_copy(update={"id": "LOT-HEP", "component": "heparin", "storage": "4 °C"})
    task = OperatorTask(kind="thaw", instruction="Thaw IL-2", minutes=20, temperature_c=4, labware=(frozen.labware,))
    update = {
        "fillings": (frozen, beside),
        "lots": (*made.lots, facts),
        "steps": (Step(number=1, action="pause", operator=task),),
    }
    sheet = sheet_of(made.model_copy(update=update))
    rows = {row.liquid: row for row in sheet.take_out}
    assert (rows["IL-2"].when, rows["IL-2"].how) == ("at step 1", "thaw as the step says")
    assert "thaw" not in rows["heparin"].how
    assert {row.liquid for row in sheet.load} == {"IL-2 (only at step 1)", "heparin"}
    assert rows["heparin"].storage == "4 °C"


def test_labels_of_a_recorded_run_tell_when_and_for_which_vessel(killing):
    ended = {number: datetime(2026, 11, 25, 9, number, tzinfo=UTC) for number in range(1, 5)}
    move = VesselMove(from_vessel="dilutions:A2", to_vessel="U1-reference", volume_ul=500)
    weld = OperatorTask(kind="weld", instruction="Weld it on.", moves=(move,))
    made = diluting(killing)
    made = made.model_copy(
        update={
            "steps": (*made.steps, Step(number=5, action="pause", operator=weld)),
            "limits": Limits(thawed_minutes=60),
        }
    )
    labels = {one.place.split()[-1]: one for one in run_labels(made, None, prepared_on=DAY, ended=ended)}
    assert (labels["A1"].prepared, labels["A1"].expires) == ("2026-11-25 09:03 UTC", "same day")
    assert (labels["A2"].prepared, labels["A2"].expires) == (
        "2026-11-25 09:04 UTC", "at once, ≤ 60 min from the freezer",
    )  # fmt: skip
    assert labels["A2"].batch == f"U1-reference, {made.name}"


def test_what_an_earlier_run_prepared_gets_no_second_label(killing):
    base = killing.deck[0].model_copy(update={"nickname": "base", "barcode": "base-1", "slot": "D3"})
    liquid = Liquid(name="base medium", per_ul={"GBGM": 1.0}, lot="prepared:base-1:A1")
    filling = Filling(labware="base", well="A1", volume_ul=9_000, liquid=liquid)
    made = killing.model_copy(
        update={"deck": (*killing.deck, base), "fillings": (*killing.fillings, filling), "procedure": "cytokine_dosing"}
    )
    labels = run_labels(made, None, prepared_on=DAY)
    assert "base-1" not in {label.place for label in labels}
    # a culture has no shelf life
    assert {label.expires for label in labels if label.place in {i.barcode for i in killing.deck}} == {
        "see batch record"
    }


def test_a_culture_has_no_day_of_use(killing):
    fed = killing.model_copy(update={"procedure": "cytokine_dosing", "use_until": DAY})
    assert not any("may be used until" in one for one in sheet_of(fed).limits)
    medium = killing.model_copy(update={"procedure": "medium_preparation", "use_until": DAY})
    assert f"What is made may be used until {DAY}." in sheet_of(medium).limits


def test_the_head_of_a_sheet_tells_the_limits_that_are_kept(killing):
    assert not any("may be used until" in one for one in sheet_of(killing).limits)
    vector = with_lot(killing, component="CAR vector").model_copy(
        update={"procedure": "cytokine_dosing", "use_until": DAY, "limits": Limits(thawed_minutes=60)}
    )
    told = sheet_of(vector).limits
    assert "CAR vector: at most 60 min from the freezer to the last culture." in told
    assert not any("may be used until" in one for one in told)
    bag = Vessel(name="U1-a", title="bag", lowest_ul=1, capacity_ul=9, volume_ul=5, end_ul=5)
    closed = diluting(killing).model_copy(update={"vessels": (bag,), "fillings": (), "use_until": DAY})
    closed = closed.model_copy(update={"procedure": "cytokine_dosing"})
    assert sheet_of(closed).limits == (
        "Closed vessels: each at most 60 min out of the incubator.", f"What is made may be used until {DAY}.",
    )  # fmt: skip


def test_liquids_are_loaded_in_the_order_of_their_wells(killing):
    made = diluting(killing)
    wells = ("B2", "A1", "A10", "C1", "A2")
    liquids = [
        Filling(labware="tubes", well=well, volume_ul=1_000 + n, liquid=Liquid(name=f"{9 - n}", per_ul={}))
        for n, well in enumerate(wells)
    ]
    assert [row.wells for row in load_rows(made.model_copy(update={"fillings": tuple(liquids)}), None)] == [
        "A1", "C1", "A2", "B2", "A10",
    ]  # fmt: skip


def test_steps_do_not_call_a_filled_tube_empty(killing):
    made = diluting(killing)
    deck = tuple(
        item.model_copy(update={"label": "Dilutions (empty low-bind tubes)"}) if item.nickname == "dilutions" else item
        for item in made.deck
    )
    text = run_sheet_html(run_sheets((made.model_copy(update={"deck": deck}),), None, planned_on=DAY))
    assert "to Dilutions A1" in text
    assert "low-bind tubes) A1" not in text
