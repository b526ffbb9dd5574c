"""Cord blood units differ: growth, commitment to the NK lineage, sensitivity, purity, potency."""

from __future__ import annotations

from dataclasses import dataclass

from nkloop.virtual.chance import stream


@dataclass(frozen=True)
class DonorTraits:
    """What makes one unit unlike the median unit; 1.0 is the median everywhere."""

    growth: float = 1.0
    """Factor on every proliferation rate."""
    commitment: float = 1.0
    """Share of the CD34+ cells able to found an NK progeny, against the median unit."""
    il15_need: float = 1.0
    """Factor on the IL-15 concentration at which this unit responds best."""
    contaminants: float = 1.0
    """Factor on the formation of cells other than NK."""
    potency: float = 1.0
    """Factor on killing capacity per NK cell."""
    frailty: float = 1.0
    """Factor on death rates."""


def donor_traits(seed: int, donor: str) -> DonorTraits:
    """Traits of a unit, the same whenever it is asked for.

    The published spread of 600 to 41,000 NK cells per CD34+ over 12 units (StemCell process) is a SD of about
    0.5 log10 in fold; growth and commitment share it here.
    """
    z = stream(seed, "donor", donor).standard_normal(6).clip(-2.5, 2.5)
    return DonorTraits(
        growth=float(1.0 + 0.078 * z[0]),
        commitment=float(10 ** (0.31 * z[1])),
        il15_need=float(10 ** (0.05 * z[2])),
        contaminants=float(10 ** (0.17 * z[3])),
        potency=float(10 ** (0.08 * z[4])),
        frailty=float(10 ** (0.08 * z[5])),
    )
