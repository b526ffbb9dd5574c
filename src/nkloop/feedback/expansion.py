"""Cumulative expansion of a culture from which cells were discarded at splits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nkloop.errors import FeedbackError


def cumulative_fold(nk_harvested: float, cd34_seeded: float, kept_fractions: Sequence[float] = ()) -> float:
    """NK cells at harvest per CD34+ cell seeded, as if no cell had been discarded.

    fold = (harvested / seeded) / product of the fractions of the culture kept at each split (0 to 1].

    Raises:
        FeedbackError: a count or fraction is not a positive finite number, or a fraction is above 1.
    """
    for name, count in (("NK cells harvested", nk_harvested), ("CD34+ cells seeded", cd34_seeded)):
        if not (math.isfinite(count) and count > 0):
            raise FeedbackError(
                f"{name}: {count:g}, must be above 0",
                where="cumulative fold",
                remedy="count again; an arm that gave no cells has no fold",
            )
    for index, kept in enumerate(kept_fractions, start=1):
        if not 0 < kept <= 1:
            raise FeedbackError(
                f"split {index} kept a fraction of {kept:g}, must be above 0 and at most 1",
                where="cumulative fold",
                remedy="give the share of the culture that went on",
            )
    return nk_harvested / cd34_seeded / math.prod(kept_fractions)
