"""`nkloop bench schema`."""

from __future__ import annotations

from nkloop.cli.common import OutOption, give_schema


def schema(out: OutOption = None) -> None:
    """Write the JSON Schema with which an editor completes and checks a bench file."""
    from nkloop.drivers.bench_schema import schema_text

    give_schema(schema_text(), out, beside="a bench file")
