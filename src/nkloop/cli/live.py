"""What changes on the screen while a command works, and is gone when it has ended."""

from __future__ import annotations

from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live


class LiveDisplay:
    """A few lines on standard error that draw themselves anew; nothing when the command is quiet.

    `drawn` is asked already while this is set up: what it needs must be there before.
    """

    def __init__(self, *, quiet: bool, per_second: float) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._live = Live(
            console=self._console, get_renderable=self.drawn, refresh_per_second=per_second, transient=True
        )

    def drawn(self) -> RenderableType:
        """What is to be seen now."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if not self._quiet:
            self._live.start()
        return self

    def __exit__(self, *reason: object) -> None:
        if not self._quiet:
            self._live.stop()
