"""What draws itself anew stays away while a person types."""

from __future__ import annotations

import pytest
from rich.text import Text

from nkloop.cli.live import LiveDisplay
from nkloop.drivers.interfaces import OperatorRequest
from nkloop.drivers.terminal_operator import TerminalOperator
from nkloop.worklists.models import OperatorTask


class Line(LiveDisplay):
    """One line."""

    def drawn(self) -> Text:
        return Text("step 1 of 3")


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
