"""Which uploads are protocols, and what their parameters are."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.virtual.robot.parameters import ParameterError, missing_files, read_parameters, with_values
from nkloop.virtual.robot.protocol_source import read_protocol
from nkloop.virtual.robot.refusals import Refusal

HEAD = 'requirements = {"robotType": "Flex", "apiLevel": "2.20"}\n'
RUN = "def run(ctx):\n    pass\n"


@pytest.mark.parametrize(
    ("uploads", "told"),
    [
        pytest.param([("a.py", f"{HEAD}def run(ctx:\n")], r"\(a.py, line 2\)", id="syntax"),
        pytest.param([("a.py", HEAD)], r"No function 'run\(ctx\)' defined", id="no_run"),
        pytest.param([("a.py", RUN)], "apiLevel not declared", id="no_level"),
        pytest.param([("a.py", HEAD + 'metadata = {"apiLevel": "2.20"}\n' + RUN)], "declared twice", id="two_levels"),
        pytest.param([("a.py", HEAD.replace("2.20", "2.99") + RUN)], "API version 2.99 is not", id="too_new"),
        pytest.param([("a.py", HEAD.replace("2.20", "2.14") + RUN)], "2.15 or newer", id="too_old"),
        pytest.param([("a.py", HEAD.replace("2.20", "two") + RUN)], "incorrectly formatted", id="no_version"),
        pytest.param([("a.py", "requirements = dict(a=1)\n" + RUN)], "Could not read", id="computed"),
        pytest.param([("a.py", HEAD.replace("Flex", "OT-2") + RUN)], "for OT-2 robots", id="other_robot"),
        pytest.param([("a.json", "{}")], "a.json is not a known Opentrons format", id="unknown_json"),
        pytest.param([("a.py", HEAD + RUN), ("b.json", "{")], "b.json is not a known", id="broken_json"),
        pytest.param([("a.csv", "1")], "No valid protocol file found", id="no_main"),
        pytest.param([("a.py", HEAD + RUN), ("b.py", "")], "Could not pick single main", id="two_mains"),
        pytest.param([("a.py", HEAD + RUN), ("b.zip", "")], "unrecognized file extension", id="zip"),
    ],
)
def test_what_is_no_protocol_is_refused(uploads: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(Refusal, match=told) as caught:
        read_protocol([(name, text.encode()) for name, text in uploads])
    assert caught.value.status == 422


def test_the_hash_does_not_depend_on_the_order_of_files() -> None:
    labware = json.dumps({"schemaVersion": 2, "ordering": [], "wells": {}, "parameters": {}}).encode()
    uploads = [("a.py", (HEAD + RUN).encode()), ("x.json", labware), ("y.csv", b"1")]
    assert read_protocol(uploads).content_hash == read_protocol(uploads[::-1]).content_hash
    assert read_protocol(uploads).content_hash != read_protocol(uploads[:2]).content_hash


def parameters(calls: str) -> tuple[dict[str, Any], ...]:
    return read_parameters(ast.parse(f"def add_parameters(p):\n    {calls}\n"))


def test_parameters_are_read_from_the_source() -> None:
    found = parameters(
        'p.add_str("Tips", "tips", default="a", choices=[{"display_name": "A", "value": "a"}]);'
        "p.add_int(variable_name='n', display_name='N', default=LIMIT, minimum=1, maximum=3);"
        "print('not a parameter')"
    )
    assert found[0] == {
        "displayName": "Tips",
        "variableName": "tips",
        "type": "str",
        "choices": [{"displayName": "A", "value": "a"}],
        "value": "a",
        "default": "a",
    }
    assert found[1] == {"displayName": "N", "variableName": "n", "type": "int", "min": 1.0, "max": 3.0}
    assert read_parameters(ast.parse("x = 1")) == ()


@pytest.mark.parametrize(
    ("call", "values", "told"),
    [
        pytest.param("p.add_int('N', 'n', 2, 1, 3)", {"m": 1}, "m is not defined", id="unknown"),
        pytest.param("p.add_int('N', 'n', 2, 1, 3)", {"n": 4}, "between 1 and 3 inclusive", id="above"),
        pytest.param("p.add_int('N', 'n', 2, 1, 3)", {"n": 0}, "between 1 and 3 inclusive", id="below"),
        pytest.param("p.add_int('N', 'n', 2, 1, 3)", {"n": "x"}, "'str', but must be of type 'int'", id="text"),
        pytest.param("p.add_int('N', 'n', 2, 1, 3)", {"n": True}, "'bool', but must be of type 'int'", id="flag"),
        pytest.param("p.add_bool('N', 'n', True)", {"n": 1}, "'int', but must be of type 'bool'", id="number"),
        pytest.param(
            "p.add_str('N', 'n', 'a', [{'display_name': 'A', 'value': 'a'}])", {"n": "b"}, "allowed values", id="choice"
        ),
    ],
)
def test_wrong_values_are_refused(call: str, values: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        with_values(parameters(call), values, {})


@given(st.integers(-5, 10))
def test_a_value_is_taken_exactly_when_it_is_within_bounds(value: int) -> None:
    found = parameters("p.add_float('N', 'n', 2.0, 1, 3)")
    if 1 <= value <= 3:
        assert with_values(found, {"n": value}, {})[0]["value"] == value
    else:
        with pytest.raises(ParameterError, match="must be between"):
            with_values(found, {"n": value}, {})


def test_a_csv_parameter_is_missing_until_it_has_a_file() -> None:
    found = parameters("p.add_csv_file('Worklist', 'worklist')")
    assert missing_files(with_values(found, {}, {})) == ["worklist"]
    given_file = with_values(found, {}, {"worklist": {"id": "1", "name": "a.csv"}})
    assert missing_files(given_file) == []
    assert found[0].get("file") is None
