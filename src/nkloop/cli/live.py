"""What changes on the screen while a command works, and is gone when it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Nothing is drawn within it: a person types."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def __enter__(self) -> Self:
        from nkloop.drivers.terminal_operator import TerminalOperator

        if not self._quiet:
            self._live.start()
            TerminalOperator.beside = self.hidden
        return self

    def __exit__(self, *reason: object) -> None:
        from nkloop.drivers.terminal_operator import TerminalOperator

        if not self._quiet:
            TerminalOperator.beside = nullcontext
            self._live.stop()
