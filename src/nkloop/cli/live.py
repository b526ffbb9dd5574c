"""What changes on the screen while a command works, and is gone when it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from nkloop.cli.common import command_name, elsewhere


class LiveDisplay:
    """A few lines on standard error that draw themselves anew; nothing when the command is quiet.

    `drawn` is asked already while this is set up: what it needs must be there before.
    """

    waits_for = ""
    """What somebody is asked to do elsewhere just now, and with which command it is answered."""

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

    @contextmanager
    def asking(self, title: str) -> Iterator[None]:
        """Within it `waits_for` tells what is asked at the desk; said once where nothing is drawn."""
        self.waits_for = f"waits for a person, answer with `{command_name()} operator{elsewhere()}`: {title}"
        if not self._console.is_terminal:
            self._console.print(self.waits_for, markup=False, soft_wrap=True)
        try:
            yield
        finally:
            self.waits_for = ""

    def __enter__(self) -> Self:
        from nkloop.drivers.desk_operator import DeskOperator
        from nkloop.drivers.terminal_operator import TerminalOperator

        if not self._quiet:
            self._live.start()
            TerminalOperator.beside = self.hidden
            DeskOperator.beside = self.asking
        return self

    def __exit__(self, *reason: object) -> None:
        from nkloop.drivers.desk_operator import DeskOperator
        from nkloop.drivers.terminal_operator import TerminalOperator

        if not self._quiet:
            TerminalOperator.beside = nullcontext
            DeskOperator.beside = nullcontext
            self._live.stop()
