"""`nkloop bench schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nkloop.cli.common import write_file


def schema(
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file instead of the screen.")] = None,
) -> None:
    """Write the JSON Schema with which an editor completes and checks a bench file."""
    from nkloop.drivers.bench_schema import schema_text

    if out is None:
        typer.echo(schema_text(), nl=False)
        return
    write_file(out, schema_text())
    typer.echo(
        f"Schema written to {out}. First line of a bench file beside it:\n# yaml-language-server: $schema={out.name}"
    )
