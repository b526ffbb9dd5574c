"""Options the lots commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ByOption = Annotated[str, typer.Option("--by", help="Who does it; stands in the audit trail.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stands in the audit trail.")]
