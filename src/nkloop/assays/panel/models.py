"""A tumour line as the panel tells it, and as a lab has it in culture."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from nkloop.frozen import FrozenModel


class Seeding(FrozenModel):
    """How targets come into an assay well."""

    cells_per_well: float = Field(gt=0)
    hours_before: tuple[float, float]
    """Time from seeding to the addition of effectors, shortest and longest; 0 for the same day."""
    plate: Literal["round bottom", "V bottom", "flat"]
    note: str = ""


class TumourLine(FrozenModel):
    """One tumour line of the panel."""

    name: str
    """As the collection spells it, for example `K-562`; the only spelling layouts and labels use."""
    indication: str
    catalogue: str
    """Catalogue numbers: ATCC without prefix, DSMZ with `ACC`."""
    medium: str
    """Basal medium and serum; where the collections disagree, both."""
    growth: Literal["suspension", "adherent", "mixed"]
    seeding: Seeding
    sensitivity: str
    """How readily NK cells kill it, as the literature says; not a measurement of this lab."""
    note: str = ""
    source: str
    verified_by: str | None = None
    """Who saw the catalogue number on the collection's page; null: nobody yet."""

    @property
    def verified(self) -> bool:
        """Whether the catalogue number was seen on the collection's page."""
        return self.verified_by is not None


class Panel(FrozenModel):
    """The file of the panel."""

    lines: tuple[TumourLine, ...] = Field(min_length=1)


class StockLimits(FrozenModel):
    """How old the checks of a line may be, and how often it may have been passaged."""

    max_passage: int = Field(default=30, ge=1)
    str_days: int = Field(default=365, ge=1)
    """Days a short-tandem-repeat profile counts."""
    mycoplasma_days: int = Field(default=30, ge=1)
    """Days a mycoplasma test counts."""
    source: str = Field(min_length=1)
    verified_by: str | None = None


class CulturedLine(FrozenModel):
    """One line a lab has in culture; what nobody wrote down is null and blocks a run."""

    line: str
    passage: int | None = Field(default=None, ge=0)
    str_date: date | None = None
    str_result: Literal["match", "mismatch"] | None = None
    mycoplasma_date: date | None = None
    mycoplasma_result: Literal["negative", "positive"] | None = None
    note: str = ""


class LineStock(FrozenModel):
    """The cell lines of a lab: `devices/lines/<bench>.yaml`."""

    limits: StockLimits
    lines: tuple[CulturedLine, ...]
