"""The JSON Schema of a bench file, so that an editor completes, explains and checks while somebody writes."""

from __future__ import annotations

from typing import Any

from nkloop.drivers.bench_file import BenchFile
from nkloop.yamlfile.schema import as_text, editor_schema

FILE_NAME = "bench.schema.json"
"""Name beside the bench files; their first line points to it."""


def bench_schema() -> dict[str, Any]:
    """The schema of a bench file; what spans several fields is told by `nkloop check`."""
    return editor_schema(BenchFile, "Bench")


def schema_text() -> str:
    """The schema as the text of its file."""
    return as_text(bench_schema())
