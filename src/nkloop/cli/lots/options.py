"""Options the lots commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ByOption = Annotated[str, typer.Option("--by", help="Who does it; stands in the audit trail.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stands in the audit trail.")]


def required_text(value: str, option: str, what: str) -> str:
    """A text a person must give.

    Raises:
        InventoryError: it is empty.
    """
    from nkloop.errors import InventoryError

    if value.strip():
        return value.strip()
    raise InventoryError("it is empty", where=option, remedy=f"write {what}")
