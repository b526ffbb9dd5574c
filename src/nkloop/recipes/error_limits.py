"""How far off the concentrations of a plan may be predicted to be."""

from __future__ import annotations

from pydantic import Field

from nkloop.frozen import FrozenModel


class ErrorLimits(FrozenModel):
    """Largest predicted error of a concentration; a plan beyond it is refused or made another way."""

    cv_percent: float = Field(default=5.0, gt=0, le=100)
    """Largest predicted random error; each step of a dilution has 2 to 5 % by hand, the whole is held to that."""
    bias_percent: float = Field(default=12.0, gt=0, le=100)
    """Largest predicted systematic error: two smallest volumes of a Flex pipette (5 % each), diluents and base."""
