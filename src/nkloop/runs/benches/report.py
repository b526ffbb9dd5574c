"""What a look at a bench gives: one line for each thing looked at."""

from __future__ import annotations

from typing import Literal

from nkloop.frozen import FrozenModel

LineState = Literal["ok", "note", "mend"]


class BenchLine(FrozenModel):
    """One thing looked at."""

    part: str
    """Device or file it belongs to."""
    subject: str
    state: LineState
    """`ok`; `note` when nothing stands in the way of a run but somebody should know; `mend` when no run may start."""
    found: str
    remedy: str = ""


class BenchReport(FrozenModel):
    """A bench and everything looked at."""

    bench: str
    title: str
    simulated: bool
    lines: tuple[BenchLine, ...]

    @property
    def passed(self) -> bool:
        """True when nothing must be mended."""
        return all(line.state != "mend" for line in self.lines)
