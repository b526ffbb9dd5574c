"""Geometry for devices that do not know Opentrons' definitions: complete, on a grid, within the footprint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.labware import make_outlines

from nkloop.errors import LabwareError
from nkloop.labware import Catalogue
from nkloop.labware.outlines import Outline, known_outline, outline_of

FOLDER = Path(__file__).resolve().parents[2] / "labware"
CATALOGUE = Catalogue.load(FOLDER)


def definition(name: str = "nkloop_costar3799_96_wellplate_330ul_round") -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", CATALOGUE.entries, ids=lambda entry: entry.load_name)
def test_every_labware_that_holds_something_has_an_outline_of_its_shape(entry: Any) -> None:
    if entry.kind == "adapter":
        return
    try:
        outline = known_outline(CATALOGUE, entry.load_name)
    except LabwareError as error:
        pytest.fail(f"{error}; or run {make_outlines.COMMAND}")
    assert (outline.rows, outline.columns) == (entry.rows, entry.columns)
    assert (outline.tip_overlap is not None) == (entry.kind == "tip_rack")
    reach = outline.depth - outline.tip_overlap if outline.tip_overlap is not None else 0.0
    assert entry.tip_reach_mm == pytest.approx(reach, abs=0.01)
    for well in entry.wells:
        x, y = outline.centre(well)
        assert outline.across[0] / 2 <= x <= outline.size[0] - outline.across[0] / 2
        assert outline.across[1] / 2 <= y <= outline.size[1] - outline.across[1] / 2


def test_a_definition_is_reduced_to_its_grid() -> None:
    outline = outline_of(definition())
    assert outline.first == (14.38, 74.23)
    assert outline.pitch == (9.0, 9.0)
    assert outline.centre("H12") == (pytest.approx(113.38), pytest.approx(11.23))
    assert (outline.shape, outline.depth, outline.tip_overlap) == ("round", 11.3, None)


@pytest.mark.parametrize(
    ("well", "change"), [("C5", {"x": 51.0}), ("H12", {"depth": 9.0})], ids=["out of the grid", "another depth"]
)
def test_wells_that_are_not_alike_are_refused(well: str, change: dict[str, float]) -> None:
    uneven = definition()
    uneven["wells"][well] |= change
    with pytest.raises(LabwareError, match=f"well {well} is not one of an even grid of equal wells"):
        outline_of(uneven)


@pytest.mark.parametrize("change", [{"size": (0, 1, 1)}, {"across": (float("nan"), 1)}, {"depth": 0}])
def test_sizes_are_above_zero(change: dict[str, Any]) -> None:
    fields = outline_of(definition()).model_dump() | change
    with pytest.raises(ValidationError):
        Outline.model_validate(fields)


def test_writing_the_outlines_says_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "outlines.json"
    monkeypatch.setattr(make_outlines, "MAKER_FILE", file)
    for entry in CATALOGUE.entries:
        path = make_outlines.definition_path(tmp_path, entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(definition()), encoding="utf-8")
    make_outlines.main(tmp_path)
    written = json.loads(file.read_text(encoding="utf-8"))
    assert f"{len(written)} outlines in {file}, new: none, gone: none" in capsys.readouterr().out
    make_outlines.definition_path(tmp_path, CATALOGUE["corning_96_wellplate_360ul_flat"]).unlink()
    with pytest.raises(SystemExit, match="no definition of corning_96_wellplate_360ul_flat, version 1"):
        make_outlines.main(tmp_path)
