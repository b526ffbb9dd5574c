"""Every field of a bench file as a page, made from the schema editors use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nkloop.drivers.bench_file import BenchFile
from nkloop.drivers.bench_schema import bench_schema
from nkloop.yamlfile.schema import models_of

_HEAD = """# Fields of a bench file

Made from the schema by `docs/reference/make_bench_fields.py`; what they are for is told in [bench file](bench-file.md).
A field without a default must be written.
"""


def fields_page() -> str:
    """The page, in Markdown: a table for each block of the file."""
    schema = bench_schema()
    blocks = {"BenchFile": schema, **schema["definitions"]}
    models = models_of(BenchFile)
    parts = [_HEAD]
    for name in dict.fromkeys(["BenchFile", *models]):
        parts.append(_table("The file" if name == "BenchFile" else name, models[name].__doc__ or "", blocks[name]))
    return "\n".join(parts)


def _table(title: str, about: str, block: Mapping[str, Any]) -> str:
    lines = [
        f"## {title}",
        "",
        " ".join(about.split()),
        "",
        "| field | kind | default | meaning |",
        "|---|---|---|---|",
    ]
    required = block.get("required", ())
    for name, field in block["properties"].items():
        default = "" if name in required else _default(field.get("default"))
        lines.append(f"| `{name}` | {_kind(field)} | {default} | {_cell(field.get('description', ''))} |")
    return "\n".join([*lines, ""])


def _kind(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    for key in ("anyOf", "allOf"):
        if key in field:
            return " or ".join(dict.fromkeys(_kind(one) for one in field[key]))
    if "$ref" in field:
        name = str(field["$ref"]).rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    kind = {"array": "list", "object": "block", "null": "null"}.get(
        str(field.get("type")), str(field.get("type", "any"))
    )
    if kind == "list" and isinstance(field.get("items"), Mapping) and field["items"]:
        return f"list of {_kind(field['items'])}"
    return kind + _bounds(field)


def _bounds(field: Mapping[str, Any]) -> str:
    told = [
        f"{word} {field[key]:g}"
        for key, word in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if key in field
    ]
    return f" {' '.join(told)}" if told else ""


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if value in ("", [], {}):
        return "empty"
    if isinstance(value, dict | list):
        return "as below"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
