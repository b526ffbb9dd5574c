"""What the forms of the flows say: no text the page would swallow, and limits as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nkloop.coordination.loading import load_flow
from nkloop.coordination.runner import FLOWS

FOLDER = Path(__file__).resolve().parents[2] / "flows"


def fields(name: str) -> dict[str, Any]:
    """Every field of every form of a flow, by `Model.field`."""
    from prefect.utilities.callables import parameter_schema

    schema = parameter_schema(getattr(load_flow(FOLDER / f"{name}.py"), name)).model_dump()
    return {
        f"{model}.{key}": field
        for model, definition in schema["definitions"].items()
        for key, field in definition["properties"].items()
    }


@pytest.mark.parametrize("name", FLOWS)
def test_no_word_is_taken_for_markup(name: str) -> None:
    found = fields(name)
    assert found
    assert [key for key, field in found.items() if "<" in field["description"] or "<" in field["title"]] == []


def test_limits_in_words_are_the_limits() -> None:
    volume = fields("prepare_medium")["PrepareMedium.volume_ml"]
    assert (volume["minimum"], volume["maximum"]) == (1, 175)
    assert "1 to 175 mL" in volume["description"]


@pytest.mark.parametrize(("well", "fits"), [("A1", True), ("D6", True), ("I1", False), ("A13", False), ("A12", True)])
def test_a_culture_well_is_one_of_a_plate(well: str, fits: bool) -> None:
    model = load_flow(FOLDER / "dose_cytokines.py").Well
    if fits:
        assert model(well=well).well == well
    else:
        with pytest.raises(ValidationError, match="well"):
            model(well=well)


def test_the_reference_is_not_changed_and_a_well_stands_once() -> None:
    module = load_flow(FOLDER / "dose_cytokines.py")
    scf = module.Factor(component="SCF@expansion_i+expansion_ii", factor=2)
    with pytest.raises(ValidationError, match=r"reference is the recipe unchanged.*a name of its own, such as arm-1-1"):
        module.ArmDose(name="reference", factors=[scf])
    assert module.ArmDose(name="reference", factors=[scf.model_copy(update={"factor": 1.0})]).factors
    assert module.ArmDose(name="arm-1-1", factors=[scf]).factors == [scf]
    with pytest.raises(ValidationError, match="well B3 stands more than once"):
        module.DoseCytokines(wells=[module.Well(well=well) for well in ("A1", "B3", "B3")])


def test_a_well_beyond_the_plate_is_refused_with_its_last_well() -> None:
    module = load_flow(FOLDER / "dose_cytokines.py")
    with pytest.raises(ValidationError, match="well H12 is not on plate-24: its wells are A1 to D6"):
        module.DoseCytokines(wells=[module.Well(well="H12")])
    assert module.DoseCytokines(plate_kind="plate-96", wells=[module.Well(well="H12")]).plate_kind == "plate-96"


def test_a_plate_label_is_not_given_by_default() -> None:
    assert load_flow(FOLDER / "run_cytotoxicity_assay.py").RunCytotoxicityAssay().plate_prefix == ""
