"""What draws itself anew stays away while a person types."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from rich.text import Text

from nkloop.cli.common import command_name
from nkloop.cli.live import LiveDisplay
from nkloop.cli.run.display import RunDisplay
from nkloop.drivers.desk_operator import DeskOperator
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.terminal_operator import TerminalOperator
from nkloop.worklists.models import OperatorTask


class Line(LiveDisplay):
    """One line."""

    def drawn(self) -> Text:
        return Text("step 1 of 3")


class Desk:
    """A list of requests on which the one there is gets answered at the second look."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def ask(self, request: OperatorRequest, key: str) -> int:
        return 1

    def answered(self, number: int) -> OperatorAnswer:
        self._look()
        return OperatorAnswer(confirmed_by="Ada", at=datetime(2026, 11, 29, tzinfo=UTC))

    def taken(self, number: int) -> None: ...

    def withdraw(self, number: int, why: str) -> None: ...

    def waiting(self) -> int:
        return 1


@pytest.mark.parametrize("quiet", [False, True])
async def test_what_waits_at_the_desk_is_told_in_the_terminal_of_the_run(
    quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    request = OperatorRequest(title="Weld, step 39", task=OperatorTask(kind="weld", instruction="Weld it"))
    seen: list[str] = []
    with RunDisplay(quiet=quiet) as display:
        desk = Desk(lambda: seen.append(display.drawn().plain))
        await DeskOperator("technician", requests=desk).perform(request)
        assert display.drawn().plain == ""
    told = "" if quiet else f"waits for a person, answer with `{command_name()} operator`: Weld, step 39"
    assert set(seen) == {told}
    assert capsys.readouterr().err.strip() == told


@pytest.mark.parametrize("quiet", [False, True])
async def test_nothing_is_drawn_while_a_person_is_asked(quiet: bool) -> None:
    request = OperatorRequest(title="Weld", task=OperatorTask(kind="weld", instruction="Weld it"))
    seen: list[bool] = []

    async def typed(prompt: str) -> str:
        seen.append(display._live.is_started)
        return "Ada"

    with Line(quiet=quiet, per_second=4) as display:
        assert display._live.is_started is not quiet
        answer = await TerminalOperator("technician", say=lambda line: None, listen=typed).perform(request)
        assert display._live.is_started is not quiet
    assert answer.confirmed_by == "Ada"
    assert seen
    assert not any(seen)
    assert not display._live.is_started
