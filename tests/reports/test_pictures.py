"""Charts, plate maps and deck maps."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from nkloop.errors import LabwareError
from nkloop.labware.models import LabwareType
from nkloop.reports import culture_svg, curves_svg, deck_svg, plate_svg, png_data_uri, score_svg, svg
from nkloop.reports.curve_charts import kill_curve_charts
from nkloop.reports.deck_map import labware_title, pipette_title
from nkloop.reports.models import CampaignStory
from nkloop.reports.plate_map import plate_parts
from nkloop.reports.score_charts import culture_chart, kind_of, score_chart
from nkloop.reports.theme import warm_up
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.models import OperatorTask, Step


class OneLabware:
    """A catalogue with one entry."""

    def __getitem__(self, load_name: str) -> LabwareType:
        if load_name != "nest_96_wellplate_2ml_deep":
            raise LabwareError(f"{load_name} is not in the catalogue")
        return LabwareType(
            load_name=load_name, namespace="opentrons", version=1, title="NEST deep-well block", kind="plate", rows=8,
            columns=12, well_volume_ul=2000, working_volume_ul=1800, dead_volume_ul=20, manufacturer="NEST",
            catalogue_number="503001", provenance="maker",
        )  # fmt: skip


def texts(picture: str) -> list[str]:
    """All texts of a picture."""
    return [node.text or "" for node in ElementTree.fromstring(picture).iter() if node.tag.endswith("text")]


def test_charts_follow_the_schema(story: CampaignStory) -> None:
    for chart in (score_chart(story, 1), culture_chart(story, 2), *kill_curve_charts(story, 1)):
        assert chart.to_dict(validate=True)["$schema"]


def test_score_picture_names_every_arm_and_units(story: CampaignStory) -> None:
    said = " ".join(texts(score_svg(story, 1)))
    for words in ("reference", "arm-1-5", "Score (larger is better)", "Mean difference with 95 % interval", "U2"):
        assert words in said
    assert "arm-1-4 (outside limit)" in said


def test_culture_picture_has_units(story: CampaignStory) -> None:
    said = " ".join(texts(culture_svg(story, 1)))
    for words in ("log₁₀ fold expansion", "purity (%)", "Viability (%)", "Killing, AUC (0–1)"):
        assert words in said


def test_kind_tells_reference_best_and_barred_apart(story: CampaignStory) -> None:
    assert kind_of(story, 1, "reference") == "reference recipe"
    assert kind_of(story, 1, "arm-1-4") == "outside a limit"
    kinds = [kind_of(story, r.number, arm.name) for r in story.rounds for arm in r.arms]
    assert kinds.count("best variant") == 1


def test_kill_curves_mark_et50_or_say_why_not(story: CampaignStory) -> None:
    said = [text for picture in (*curves_svg(story, 1), *curves_svg(story, 2)) for text in texts(picture)]
    assert sum(text.startswith("ET50 ") and "not determined" not in text for text in said) == 21
    assert said.count("ET50 not determined") == 1
    assert said.count("plate rejected") == 2
    assert "Lysis (%)" in said


def test_et50_outside_the_range_is_told_as_such(story: CampaignStory) -> None:
    plate = story.plates[1]
    above = plate.curves[0].model_copy(update={"determined": False, "et50_text": "> 8.2", "et50": None})
    changed = plate.model_copy(update={"curves": (above, plate.curves[1])})
    pictures = curves_svg(story.model_copy(update={"plates": (changed,)}), 1)
    assert "ET50 > 8.2" in [text for picture in pictures for text in texts(picture)]


def test_target_lines_have_panels_of_their_own(story: CampaignStory) -> None:
    other = [p.model_copy(update={"target_line": "HL-60", "barcode": f"{p.barcode}-HL"}) for p in story.plates[:2]]
    pictures = curves_svg(story.model_copy(update={"plates": (*story.plates[:2], *other), "observations": ()}), None)
    said = [text for picture in pictures for text in texts(picture)]
    assert "reference (HL-60)" in said
    assert "reference (K-562)" in said


def test_two_plates_of_one_sample_note_both(story: CampaignStory) -> None:
    again = story.plates[1].model_copy(update={"barcode": "NKP-0101", "verdict": "rejected"})
    pictures = curves_svg(story.model_copy(update={"plates": (story.plates[1], again)}), 1)
    said = " ".join("".join(ElementTree.fromstring(picture).itertext()) for picture in pictures)
    assert said.count("ET50") == 2
    assert said.count("plate rejected") == 2


def test_rounds_without_results_have_no_picture(story: CampaignStory) -> None:
    bare = story.model_copy(update={"observations": (), "plates": ()})
    assert score_svg(bare, 1) == ""
    assert culture_svg(bare, 1) == ""
    assert curves_svg(bare, 1) == ()


def test_identifiers_of_a_picture_carry_its_name_and_do_not_count_on(story: CampaignStory) -> None:
    first, second = curves_svg(story, 1), curves_svg(story, 1)
    assert first == second
    found = re.findall(r'\bid="([^"]+)"', first[0])
    assert found
    assert all(name.startswith("curves-1-1-") for name in found)


def test_given_svg_keeps_its_references() -> None:
    text = '<svg xmlns="http://www.w3.org/2000/svg"><clipPath id="c1"/><g clip-path="url(#c1)"/><use href="#c1"/></svg>'
    named = svg(text, name="x")
    assert 'id="x-1"' in named
    assert "url(#x-1)" in named
    assert 'href="#x-1"' in named


def test_png_is_a_png(story: CampaignStory) -> None:
    for picture in (score_chart(story, 1), plate_svg(story.plates[0], detailed=False)):
        head, _, body = png_data_uri(picture, scale=1).partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(body).startswith(b"\x89PNG")


def test_plate_map_shows_roles_signals_and_flags(story: CampaignStory) -> None:
    flagged = next(p for p in story.plates if any(w.flags for w in p.lysis))
    picture = plate_svg(flagged)
    said = texts(picture)
    for code in ("E1", "E2", "e1", "S", "M", "B", "V", "R"):
        assert code in said
    assert said.count("10:1") == 8
    assert "replicate differs by more than 15 %" in picture
    n_flagged = sum(bool(w.flags) for w in flagged.lysis)
    assert picture.count('stroke="#b00020" stroke-width="3"') == n_flagged + 1


def test_small_plate_map_has_letters_only(story: CampaignStory) -> None:
    said = texts(plate_svg(story.plates[0], detailed=False))
    assert "E1" in said
    assert "10:1" not in said


def test_plate_without_signals_and_384_wells(story: CampaignStory) -> None:
    unread = story.plates[0].model_copy(update={"signals": {}, "lysis": ()})
    assert "E1" in texts(plate_svg(unread))
    large = story.plates[0].model_copy(update={"signals": {"P24": 1.0}})
    assert {"P", "24"} <= set(texts(plate_svg(large)))


def test_a_plate_of_384_wells_is_drawn_in_halves_that_can_be_read(story: CampaignStory) -> None:
    large = story.plates[0].model_copy(update={"signals": {"P24": 1.0}})
    left, right = (texts(part) for part in plate_parts(large))
    assert {"A", "P", "1", "12"} <= set(left)
    assert {"A", "P", "13", "24"} <= set(right)
    assert "13" not in left
    assert "12" not in right
    assert len(plate_parts(story.plates[0])) == 1


@pytest.mark.parametrize("procedure", ["medium_preparation", "cytokine_dosing", "cytotoxicity_assay"])
def test_deck_map_shows_every_slot_label_and_trash(tell: ModuleType, procedure: str) -> None:
    worklist = tell.worklist(procedure, 1, "ucb-nk@0")
    said = texts(deck_svg(worklist))
    whole = " ".join(said)
    for slot in (f"{row}{column}" for row in "ABCD" for column in (1, 2, 3)):
        assert slot in said
    assert said.count("Trash bin") == 1
    assert [item.label for item in worklist.deck if item.label not in whole] == []


def test_deck_map_shows_module_temperature_fillings_and_staging(tell: ModuleType) -> None:
    worklist = tell.worklist("cytotoxicity_assay", 1, "ucb-nk@0")
    said = texts(deck_svg(worklist))
    assert "Heater-shaker · 37 °C" in said
    assert "2 wells filled, 22 mL" in said
    assert "Barcode NKP-0001" in said
    staged = worklist.model_copy(update={"deck": (worklist.deck[0].model_copy(update={"slot": "B4"}),)})
    assert "D4" in texts(deck_svg(staged))


def test_the_deck_map_marks_and_counts_what_must_stand_empty(tell: ModuleType) -> None:
    worklist = tell.worklist("medium_preparation", 1, "ucb-nk@0")
    rack = worklist.deck[0].model_copy(
        update={"nickname": "mixes", "slot": "B3", "load_name": "opentrons_24_tuberack_nest_1.5ml_snapcap"}
    )
    source = worklist.fillings[0]
    made = Step(number=1, action="transfer", labware=source.labware, well=source.well, to_labware="mixes",
                to_well="A2", volume_ul=50)  # fmt: skip
    steps = (made, made.model_copy(update={"number": 2, "to_well": "C1"}))
    picture = deck_svg(worklist.model_copy(update={"deck": (*worklist.deck, rack), "steps": steps}))
    assert "2 empty tubes, the robot fills them: C1, A2" in " ".join(texts(picture))
    boxes = [node for node in ElementTree.fromstring(picture).iter() if node.tag.endswith("rect")]
    assert sum(node.get("stroke") == "#d55e00" for node in boxes) == 2


def test_nothing_on_the_deck_map_is_wider_than_its_slot_or_too_small_to_read(tell: ModuleType) -> None:
    worklist = tell.worklist("medium_preparation", 1, "ucb-nk@0")
    item = worklist.deck[0].model_copy(update={"barcode": "medium-expansion_i-20261129-1203-second-trough"})
    plain = worklist.fillings[0]
    lot = plain.liquid.model_copy(update={"name": "granulocyte-macrophage colony-stimulating factor"})
    many = [plain.model_copy(update={"well": f"A{n}", "liquid": lot, "labware": item.nickname}) for n in range(1, 7)]
    thaw = OperatorTask(kind="thaw", instruction="thaw", labware=(item.nickname,), wells=("A1", "A2"))
    pause = Step(number=1, action="pause", operator=thaw)
    shown = worklist.model_copy(update={"deck": (item,), "fillings": tuple(many), "steps": (pause,)})
    picture = ElementTree.fromstring(deck_svg(shown))
    lines = [node for node in picture.iter() if node.tag.endswith("text") and node.get("text-anchor") is None]
    slot = [node for node in picture.iter() if node.tag.endswith("rect")][1]  # the first is the ground
    right = float(slot.get("x", 0)) + float(slot.get("width", 0))
    first = [node for node in lines if float(node.get("x", 0)) < right]
    assert "2 of them not yet: at step 1" in [node.text for node in first]
    for node in first:
        size = float(node.get("font-size", 0))
        assert float(node.get("x", 0)) + 0.54 * size * len(node.text or "") <= right
        assert 180 / float(picture.get("width", 0)) * size >= 3  # mm on a page 180 mm wide


def test_labware_is_called_by_its_title() -> None:
    assert labware_title("nest_96_wellplate_2ml_deep", OneLabware()) == "NEST deep-well block"
    assert labware_title("opentrons_flex_96_tiprack_50ul", OneLabware()) == "Flex 96 tiprack 50 µL"
    assert pipette_title("flex_8channel_1000") == "Flex 8-channel 1000 µL"
    assert pipette_title("other_one") == "other one"


def test_models_do_not_pull_in_charts() -> None:
    code = (
        "import sys, nkloop.reports.models; print([m for m in ('altair', 'vl_convert', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_renderer_started_ahead_draws_the_same(story: CampaignStory) -> None:
    thread = warm_up()
    drawn = score_svg(story, 1)
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert drawn == score_svg(story, 1)


def test_the_deck_of_an_ot2_has_its_own_slots(tell: ModuleType) -> None:
    folder = Path(__file__).parents[2] / "protocols" / "ot2"
    text = (folder / "medium_preparation.example.csv").read_text(encoding="utf-8")
    worklist = from_csv(text, name="medium", procedure="medium_preparation")
    said = texts(deck_svg(worklist))
    assert {str(number) for number in range(1, 13)} <= set(said)
    assert "A1" not in said
    assert "Trash bin" in said
