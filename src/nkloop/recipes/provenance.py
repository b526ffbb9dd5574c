"""Names of things in a recipe, and where its values come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nkloop.frozen import FrozenModel

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
"""Name that ids and file names are made of: small letters, digits, `-` and `_`."""
ComponentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 .+_-]*$", max_length=40)]


class Source(FrozenModel):
    """Where values come from."""

    title: str
    reference: str
    """DOI, patent number or catalogue page."""
    note: str = ""


class Provenance(FrozenModel):
    """Every value says where it is from and who checked it against that source; nobody yet is `None`."""

    source: str
    """Key into `Recipe.sources`."""
    verified_by: str | None = None
    """Person who compared the value with its source; null for nobody yet."""


class Sourced(FrozenModel):
    """A block that says once where all of its own values are from; blocks inside it say it for theirs."""

    source: str | None = None
    """Key into `Recipe.sources`; null when nothing here was taken from anywhere."""
    verified_by: str | None = None
    """Person who compared the values with their source; null for nobody yet."""
