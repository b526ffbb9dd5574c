"""Amounts with units that cannot be confused: one pint registry, and activity as a dimension per substance."""

from nkloop.quantities.amount import (
    Amount,
    CellDensity,
    Concentration,
    Dose,
    Duration,
    RemainingVolume,
    Share,
    SpecificActivity,
    Volume,
)
from nkloop.quantities.units import Kind

__all__ = [
    "Amount",
    "CellDensity",
    "Concentration",
    "Dose",
    "Duration",
    "Kind",
    "RemainingVolume",
    "Share",
    "SpecificActivity",
    "Volume",
]
