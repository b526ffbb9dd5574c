"""How far a pipetted volume is off: the maker's table of a pipette, interpolated between its volumes."""

from __future__ import annotations

from bisect import bisect_left
from math import log

from nkloop.errors import PlanError
from nkloop.frozen import FrozenModel
from nkloop.worklists.bench_deck import PipetteSpec

_SLACK_UL = 1e-6


class VolumeError(FrozenModel):
    """Relative errors of one pipetted volume, as fractions (0.01 is 1 %)."""

    systematic: float
    """Bound of the error every transfer of this volume shares, either way."""
    random: float
    """Standard deviation of what differs from transfer to transfer."""


def volume_error(pipette: PipetteSpec, volume_ul: float) -> VolumeError:
    """Errors of a volume: linear in the logarithm of the volume between two lines of the table.

    Makers test at few volumes and relative errors fall roughly with the logarithm between them (ISO 8655-2 tests at
    10, 50 and 100 % of the nominal volume). Above the largest volume tested its values hold; below the smallest
    nothing is known, because the error may grow without bound there.

    Raises:
        PlanError: the volume is below the smallest one the table has.
    """
    table = sorted(pipette.accuracy, key=lambda line: line.volume_ul)
    if volume_ul < table[0].volume_ul - _SLACK_UL:
        raise PlanError(
            f"the error of {volume_ul:g} µL is not known for {pipette.load_name}: its table starts at "
            f"{table[0].volume_ul:g} µL",
            where=f"pipette {pipette.mount}",
            remedy="pipette more by diluting first, or add a line for this volume to the bench file",
        )
    above = bisect_left([line.volume_ul for line in table], volume_ul)
    if above == len(table) or above == 0:
        line = table[min(above, len(table) - 1)]
        return VolumeError(systematic=line.systematic_percent / 100, random=line.random_cv_percent / 100)
    low, high = table[above - 1], table[above]
    share = log(volume_ul / low.volume_ul) / log(high.volume_ul / low.volume_ul)
    return VolumeError(
        systematic=(low.systematic_percent + share * (high.systematic_percent - low.systematic_percent)) / 100,
        random=(low.random_cv_percent + share * (high.random_cv_percent - low.random_cv_percent)) / 100,
    )
