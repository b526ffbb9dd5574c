"""The form of every flow: fields with names, words and limits, and nothing a person could misspell unnoticed."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import annotated_types
import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from nkloop.coordination.loading import load_flow
from nkloop.coordination.runner import FLOWS
from nkloop.errors import WorkspaceError

FOLDER = Path(__file__).resolve().parents[2] / "flows"


def module(name: str) -> ModuleType:
    return load_flow(FOLDER / f"{name}.py")


def form(name: str) -> type[BaseModel]:
    """The one parameter of a flow."""
    flow = getattr(module(name), name)
    hints = typing.get_type_hints(flow.fn)
    hints.pop("return")
    (parameter,) = hints.values()
    assert issubclass(parameter, BaseModel)
    return parameter


def models(of: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield of
    for field in of.model_fields.values():
        for inner in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from models(inner)


@pytest.mark.parametrize("name", FLOWS)
def test_every_field_is_named_described_and_limited(name: str) -> None:
    for model in models(form(name)):
        assert model.model_config.get("extra") == "forbid", model
        for key, field in model.model_fields.items():
            assert field.title, f"{model.__name__}.{key} has no title"
            assert field.description, f"{model.__name__}.{key} has no description"
            # a factory's default is lost in the form
            assert field.default_factory is None, f"{model.__name__}.{key}"
            kinds = {type(limit) for limit in field.metadata}
            if field.annotation in (int, float):
                assert kinds & {annotated_types.Ge, annotated_types.Gt}, f"{model.__name__}.{key} has no lower limit"
                if key != "seed":
                    assert kinds & {annotated_types.Le, annotated_types.Lt}, f"{model.__name__}.{key} is open"
            if field.annotation is float:
                assert "[" in field.title or "factor" in key, f"{model.__name__}.{key} does not say its unit"


@pytest.mark.parametrize("name", FLOWS)
def test_prefect_makes_a_form_of_it(name: str) -> None:
    from prefect.utilities.callables import parameter_schema

    flow = getattr(module(name), name)
    schema = parameter_schema(flow).model_dump()
    assert list(schema["properties"]) == ["request"]
    for definition in schema["definitions"].values():
        assert definition["additionalProperties"] is False
        assert all(field.get("title") for field in definition["properties"].values())
    assert flow.description
    assert flow.name == name.replace("_", "-")


@pytest.mark.parametrize("name", FLOWS)
def test_a_field_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"rounds_of_arms\n.*Extra inputs"):
        form(name)(**{**required(name), "rounds_of_arms": 3})


@pytest.mark.parametrize("name", FLOWS)
def test_the_form_as_it_opens_is_valid(name: str) -> None:
    made = form(name)(**required(name))
    assert form(name).model_validate_json(made.model_dump_json()) == made


def required(name: str) -> dict[str, Any]:
    fields = form(name).model_fields.items()
    return {key: "campaign-1" for key, field in fields if field.default is PydanticUndefined}


@pytest.mark.parametrize(
    ("name", "model", "values"),
    [
        ("run_campaign", "RunCampaign", {"arms": 1}),
        ("run_campaign", "RunCampaign", {"rounds": 0}),
        ("run_campaign", "RunCampaign", {"campaign": "Über campaign"}),
        ("run_campaign", "RunCampaign", {"feeding": "daily"}),
        ("prepare_medium", "PrepareMedium", {"volume_ml": 0}),
        ("prepare_medium", "PrepareMedium", {"volume_ml": float("nan")}),
        ("dose_cytokines", "Well", {"well": "Z1"}),
        ("dose_cytokines", "Well", {"add_ul": 5000}),
        ("dose_cytokines", "DoseCytokines", {"plate_kind": "plate-7"}),
        ("dose_cytokines", "Factor", {"factor": 10}),
        ("run_cytotoxicity_assay", "Sample", {"viability_percent": 140}),
        ("run_cytotoxicity_assay", "RunCytotoxicityAssay", {"contact_minutes": 60}),
    ],
)
def test_values_outside_the_limits_are_refused_in_the_form(name: str, model: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        getattr(module(name), model)(**values)


def test_a_flow_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"no flow file nothing.py.*nkloop init DIR"):
        load_flow(tmp_path / "nothing.py")


def test_a_flow_file_is_loaded_once() -> None:
    assert module("prepare_medium") is module("prepare_medium")
