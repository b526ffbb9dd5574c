"""How far off the concentrations of a plan may be predicted to be."""

from __future__ import annotations

from pydantic import Field

from nkloop.frozen import FrozenModel

_STRICTEST_PERCENT = 0.01


class ErrorLimits(FrozenModel):
    """Largest predicted error of a concentration; a plan beyond it is refused or made another way."""

    cv_percent: float = Field(default=5.0, gt=0, le=100)
    """Largest predicted random error; each step of a dilution has 2 to 5 % by hand, the whole is held to that."""
    bias_percent: float = Field(default=12.0, gt=0, le=100)
    """Largest predicted systematic error: two smallest volumes of a Flex pipette (5 % each), diluents and base."""

    def less(self, cv_percent: float, bias_percent: float) -> ErrorLimits:
        """Limits with so much taken off each, in percentage points; something is always left of them."""
        return ErrorLimits(
            cv_percent=max(_STRICTEST_PERCENT, self.cv_percent - cv_percent),
            bias_percent=max(_STRICTEST_PERCENT, self.bias_percent - bias_percent),
        )

    def looser(self, other: ErrorLimits) -> ErrorLimits:
        """The larger of each."""
        return ErrorLimits(
            cv_percent=max(self.cv_percent, other.cv_percent), bias_percent=max(self.bias_percent, other.bias_percent)
        )

    def stricter(self, other: ErrorLimits) -> ErrorLimits:
        """The smaller of each."""
        return ErrorLimits(
            cv_percent=min(self.cv_percent, other.cv_percent), bias_percent=min(self.bias_percent, other.bias_percent)
        )
