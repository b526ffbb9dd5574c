"""The schema editors use for bench files, and the shipped files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from nkloop.drivers.bench_schema import FILE_NAME, bench_schema, schema_text
from nkloop.yamlfile import load_yaml

FOLDER = Path(__file__).resolve().parents[2] / "devices"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_the_shipped_schema_is_the_one_of_the_model() -> None:
    assert (FOLDER / FILE_NAME).read_text(encoding="utf-8") == schema_text()
    Draft7Validator.check_schema(bench_schema())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_editor_accepts_the_shipped_benches_and_knows_its_schema(path: Path) -> None:
    data, _ = load_yaml(path)
    Draft7Validator(bench_schema()).validate(data)
    assert path.read_text(encoding="utf-8").startswith(f"# yaml-language-server: $schema={FILE_NAME}\n")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("colour",), "red", id="unknown_field"),
        pytest.param(("deck", "model"), "robot", id="model"),
        pytest.param(("plate_reader", "driver"), "Reader", id="driver"),
        pytest.param(("plate_reader", "modes", 0, "mode"), "smell", id="mode"),
        pytest.param(("plate_reader", "modes", 0, "range_nm"), [400], id="range"),
        pytest.param(("locks",), "flex", id="locks"),
    ],
)
def test_an_editor_marks_what_is_broken(path: tuple[Any, ...], value: Any) -> None:
    data, _ = load_yaml(FOLDER / "virtual.yaml")
    inside = data
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    assert list(Draft7Validator(bench_schema()).iter_errors(data))


def test_the_schema_explains_every_field_of_a_device() -> None:
    fields = bench_schema()["definitions"]["DeviceSpec"]["properties"]
    assert all(field.get("description") for field in fields.values())
