"""The JSON Schema of a YAML file people write, so that an editor completes, explains and checks it."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

from pydantic import BaseModel

from nkloop.yamlfile.problems import models_in


def editor_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    """The schema of a file, as JSON Schema draft 7, which the editors in use understand best.

    It knows names of fields, units and allowed words, and explains a field by the text below it in its class. What
    spans several fields (sums, ranges, references) is told when the file is read.
    """
    schema = model.model_json_schema(mode="validation")
    models = models_of(model)
    for name, definition in {**schema.get("$defs", {}), model.__name__: schema}.items():
        if name in models:
            _explain(definition, models[name])
    plain = {**{k: v for k, v in schema.items() if k != "$defs"}, "definitions": schema.get("$defs", {})}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **cast(dict[str, Any], _draft_7(plain)),
        "title": title,
    }


def as_text(schema: Mapping[str, Any]) -> str:
    """A schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _draft_7(value: Any) -> Any:
    """Pairs as plain lists of two, references into `definitions`, no field titles that only repeat the name."""
    if isinstance(value, Mapping):
        made = {key: _draft_7(inner) for key, inner in value.items() if key != "prefixItems"}
        if "prefixItems" in value:
            made["items"] = _draft_7(value["prefixItems"][0])
        if isinstance(made.get("$ref"), str):
            # draft 7 reads nothing beside a reference, so its neighbours go around it
            reference = {"$ref": made.pop("$ref").replace("#/$defs/", "#/definitions/")}
            return {"allOf": [reference], **made} if made else reference
        return made
    return [_draft_7(item) for item in value] if isinstance(value, list) else value


def _explain(definition: dict[str, Any], model: type[BaseModel]) -> None:
    documented: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel:
            documented.update(field_texts(ancestor))
    for name, field in definition.get("properties", {}).items():
        field.pop("title", None)
        told = documented.get(name)
        if told:
            form = field.get("description")
            field["description"] = f"{told} {form}." if form else told


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """The string below each field of a class, as one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    found = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in pairwise(statements):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            told = text.value.value if isinstance(text.value, ast.Constant) else None
            if isinstance(told, str):
                found[field.target.id] = " ".join(told.split())
    return found


def models_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """A model and all models inside it, by name."""
    found: dict[str, type[BaseModel]] = {}
    open_ones = [model]
    while open_ones:
        here = open_ones.pop()
        if here.__name__ not in found:
            found[here.__name__] = here
            open_ones += [inner for field in here.model_fields.values() for inner in models_in(field.annotation)]
    return found
