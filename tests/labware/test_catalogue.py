"""Reading the catalogue: every problem with its file and line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from nkloop.errors import LabwareError
from nkloop.labware.catalogue import Catalogue

FOLDER = Path(__file__).parents[2] / "labware"
COSTAR = "nkloop_costar3799_96_wellplate_330ul_round"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "labware"))


def edit(folder: Path, old: str, new: str, file: str = "catalogue.yaml") -> int:
    """Replace the first occurrence; return its line number."""
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def test_every_entry_says_where_its_values_come_from() -> None:
    catalogue = Catalogue.load(FOLDER)
    assert len(catalogue.load_names) >= 17
    for entry in catalogue.entries:
        assert len(entry.provenance) > 40
        assert entry.dead_volume_ul <= entry.working_volume_ul <= entry.well_volume_ul


def test_what_it_does_not_list_is_refused() -> None:
    catalogue = Catalogue.load(FOLDER)
    assert "magic_plate" not in catalogue
    assert COSTAR in catalogue
    with pytest.raises(LabwareError, match=r"labware magic_plate is not in the catalogue\. Remedy: add it"):
        catalogue["magic_plate"]


def test_own_definitions_are_at_hand_and_those_of_the_maker_are_not() -> None:
    catalogue = Catalogue.load(FOLDER)
    definition = catalogue.definition(COSTAR)
    assert definition is not None
    assert definition["namespace"] == "nkloop"
    assert definition in catalogue.own_definitions
    assert catalogue.definition("nest_1_reservoir_195ml") is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        pytest.param("rows: 4\n", "rows: 40\n", r"rows: 40 must be at most 16\. Remedy: correct the number", id="rows"),
        pytest.param("kind: plate", "kind: dish", "kind: 'dish' is not allowed here. Remedy: write 'plate'", id="kind"),
        pytest.param("well_volume_ul: 3400", "well_volume_ul: -1", "well_volume_ul: -1 must be at least 0", id="neg"),
        pytest.param(
            "well_volume_ul: 3400", "well_volume_ul: .nan", "well_volume_ul: nan is not a finite number", id="nan"
        ),
        pytest.param(
            "version: 1\n",
            "version: 1\n    colour: red\n",
            "colour: field 'colour' is not known here",
            id="unknown field",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_line(folder: Path, old: str, new: str, sentence: str) -> None:
    line = edit(folder, old, new) + new.count("\n") // 2
    with pytest.raises(LabwareError, match=rf"catalogue\.yaml:{line}:\d+: labware\.\S+\.{sentence}"):
        Catalogue.load(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("working_volume_ul: 2000", "working_volume_ul: 4000", "working volume 4000 µL is above the 3400 µL"),
        ("dead_volume_ul: 5000", "dead_volume_ul: 180000", "dead volume 180000 µL leaves nothing of 180000 µL"),
        ("tiprack_200ul", "tiprack_50ul", "opentrons_flex_96_tiprack_50ul stands twice, first in line 5"),
    ],
)
def test_entries_that_contradict_are_told_with_the_line_of_the_entry(
    folder: Path, old: str, new: str, sentence: str
) -> None:
    edit(folder, old, new)
    with pytest.raises(LabwareError, match=rf"catalogue\.yaml:\d+:5: labware\.\S+: .*{sentence}"):
        Catalogue.load(folder)


def test_a_value_of_the_wrong_kind_is_told_where_it_stands(folder: Path) -> None:
    line = edit(folder, "rows: 4\n", "rows: four\n")
    with pytest.raises(LabwareError) as caught:
        Catalogue.load(folder)
    (problem,) = caught.value.problems
    assert re.fullmatch(rf".*catalogue\.yaml:{line}:11: labware\.corning_24_\S+\.rows", problem.where)
    assert (problem.message, problem.remedy) == ("'four' is not a whole number", "write a whole number")


def test_every_problem_is_told_at_once(folder: Path) -> None:
    edit(folder, "rows: 4\n", "rows: 40\n")
    edit(folder, "dead_volume_ul: 5000", "dead_volume_ul: 180000")
    edit(folder, '"brandId": [\n      "3799"', '"brandId": [\n      "1"', f"{COSTAR}.json")
    with pytest.raises(LabwareError) as caught:
        Catalogue.load(folder)
    assert len(caught.value.problems) == 3


def test_unreadable_files_are_told_with_their_line(folder: Path) -> None:
    line = edit(folder, "  - load_name: nest_1_", "  - load_name: [nest_1_")
    with pytest.raises(LabwareError, match=r"catalogue\.yaml:\d+:\d+: this is not valid YAML") as caught:
        Catalogue.load(folder)
    told = re.search(r"yaml:(\d+)", str(caught.value))
    assert told
    assert abs(int(told[1]) - line) <= 1
    (folder / "catalogue.yaml").write_text("plates: []\n")
    with pytest.raises(LabwareError, match=r"catalogue\.yaml:1: the catalogue has no list `labware`"):
        Catalogue.load(folder)
    (folder / "catalogue.yaml").unlink()
    with pytest.raises(LabwareError, match="the catalogue cannot be read"):
        Catalogue.load(folder)


def test_a_broken_or_absent_definition_is_told(folder: Path) -> None:
    line = edit(folder, '"dimensions": {', '"dimensions": {,', f"{COSTAR}.json")
    with pytest.raises(LabwareError, match=rf"{COSTAR}\.json:{line}: not readable as JSON"):
        Catalogue.load(folder)
    (folder / f"{COSTAR}.json").unlink()
    with pytest.raises(
        LabwareError, match=rf"catalogue\.yaml:\d+:5: labware.{COSTAR}: .* no definition {COSTAR}\.json beside it"
    ):
        Catalogue.load(folder)


def test_a_catalogue_is_read_anew_when_one_of_its_files_changes(folder: Path) -> None:
    first = Catalogue.load(folder)
    assert Catalogue.load(FOLDER) is first, "the same content in another folder"
    edit(folder, "rows: 4\n", "rows: 2\n")
    assert [one.rows for one in Catalogue.load(folder).entries] != [one.rows for one in first.entries]
    edit(folder, "rows: 2\n", "rows: 4\n")
    (folder / f"{COSTAR}.json").rename(folder / f"{COSTAR}_.json")
    with pytest.raises(LabwareError, match="there is no definition"):
        Catalogue.load(folder)
