"""Run-time parameters: what a protocol asks for, read from its source text, and the values a client gives."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from nkloop.errors import DeviceError

_ARGUMENTS = {
    "add_int": ("display_name", "variable_name", "default", "minimum", "maximum", "choices", "description", "unit"),
    "add_float": ("display_name", "variable_name", "default", "minimum", "maximum", "choices", "description", "unit"),
    "add_bool": ("display_name", "variable_name", "default", "description"),
    "add_str": ("display_name", "variable_name", "default", "choices", "description"),
    "add_csv_file": ("display_name", "variable_name", "description"),
}
"""Order of positional arguments of `ParameterContext` (Opentrons Python API 2.20)."""
_TYPES = {"add_int": "int", "add_float": "float", "add_bool": "bool", "add_str": "str", "add_csv_file": "csv_file"}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "str": (str,)}

Parameter = dict[str, Any]
"""A parameter as the robot lists it: `variableName`, `displayName`, `type`, `value`, `default`, `file`, …"""


class ParameterError(DeviceError):
    """A value was given for an unknown parameter, or it has the wrong type or lies outside its bounds."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_parameters(tree: ast.Module) -> tuple[Parameter, ...]:
    """The parameters a protocol defines in `add_parameters`; arguments that are no literals are left out."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "add_parameters"]
    calls = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Call)]
    found = [_read_call(call) for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset))]
    return tuple(parameter for parameter in found if parameter is not None)


def with_values(
    parameters: tuple[Parameter, ...], values: Mapping[str, Any], files: Mapping[str, Mapping[str, str]]
) -> list[Parameter]:
    """The parameters as a client set them; `files` maps variable names to `{id, name}` of a data file.

    Raises:
        ParameterError: unknown parameter, wrong type, outside its bounds or not among its choices.
    """
    names = {parameter["variableName"] for parameter in parameters}
    for name in (*values, *files):
        if name not in names:
            message = f"Parameter {name} is not defined as a parameter for this protocol."
            raise ParameterError("ParameterDefinitionError", message)
    return [_with_value(parameter, values, files) for parameter in parameters]


def missing_files(parameters: list[Parameter]) -> list[str]:
    """Variable names of the CSV parameters that have no file yet."""
    return [one["variableName"] for one in parameters if one["type"] == "csv_file" and "file" not in one]


def _with_value(parameter: Parameter, values: Mapping[str, Any], files: Mapping[str, Mapping[str, str]]) -> Parameter:
    name = parameter["variableName"]
    if name in files:
        return {**parameter, "file": dict(files[name])}
    if name not in values:
        return dict(parameter)
    _check_value(parameter, values[name])
    value = float(values[name]) if parameter["type"] in {"int", "float"} else values[name]
    return {**parameter, "value": value}


def _check_value(parameter: Parameter, value: Any) -> None:
    kind = parameter["type"]
    fits = isinstance(value, _PYTHON_TYPES[kind]) and (kind == "bool" or not isinstance(value, bool))
    if not fits:
        message = f"Parameter value '{value}' has type '{type(value).__name__}', but must be of type '{kind}'."
        raise ParameterError("ParameterValueError", message)
    low, high = parameter.get("min"), parameter.get("max")
    if low is not None and high is not None and not low <= value <= high:
        raise ParameterError("ParameterValueError", f"Parameter must be between {low:g} and {high:g} inclusive.")
    choices = [choice["value"] for choice in parameter.get("choices", ())]
    if choices and value not in choices:
        raise ParameterError("ParameterValueError", f"Parameter must be set to one of the allowed values of {choices}.")


def _read_call(call: ast.Call) -> Parameter | None:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method not in _ARGUMENTS:
        return None
    given = dict(zip(_ARGUMENTS[method], call.args, strict=False))
    given.update({keyword.arg: keyword.value for keyword in call.keywords if keyword.arg})
    arguments = {name: _literal(node) for name, node in given.items()}
    number = float if method in {"add_int", "add_float"} else None
    parameter = {
        "displayName": arguments.get("display_name"),
        "variableName": arguments.get("variable_name"),
        "description": arguments.get("description"),
        "suffix": arguments.get("unit"),
        "type": _TYPES[method],
        "min": _number(arguments.get("minimum")),
        "max": _number(arguments.get("maximum")),
        "choices": _choices(arguments.get("choices")),
        "value": _number(arguments.get("default")) if number else arguments.get("default"),
        "default": _number(arguments.get("default")) if number else arguments.get("default"),
    }
    return {key: value for key, value in parameter.items() if value is not None}


def _choices(choices: Any) -> list[dict[str, Any]] | None:
    if not choices:
        return None
    return [{"displayName": choice["display_name"], "value": choice["value"]} for choice in choices]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
