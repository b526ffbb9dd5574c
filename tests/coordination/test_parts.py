"""Parts of a plan in their order: the deck is changed before a part that begins, not before what is left of one."""

from __future__ import annotations

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.coordination import work
from nkloop.coordination.work import Begun, carry_out_parts

DONE: Any = SimpleNamespace(id="run-0001")


async def passed() -> Any:
    return None


@pytest.mark.parametrize(
    ("second", "cut", "changes"),
    [
        pytest.param(Begun("second"), (), ["second"], id="not begun"),
        pytest.param(Begun("second", done=DONE), (), [], id="done already"),
        pytest.param(Begun("second"), ("second",), [], id="cut, its rest stands there"),
    ],
)
async def test_the_deck_is_changed_before_a_part_that_begins(
    monkeypatch: pytest.MonkeyPatch, second: Begun, cut: tuple[str, ...], changes: list[str]
) -> None:
    changed: list[str] = []

    async def change(task: Any, worklist: str, *_: Any) -> None:
        changed.append(worklist)

    async def carried_out(session: Any, worklist: str, **_: Any) -> Any:
        return SimpleNamespace(id=worklist)

    async def begun(session: Any, worklist: str, rows: Any) -> Begun:
        return {"first": Begun("first", done=DONE), "second": second}[worklist]

    for name, stand_in in (("change_deck", change), ("carry_out", carried_out), ("_begun", begun)):
        monkeypatch.setattr(work, name, stand_in)
    monkeypatch.setattr(work, "require", lambda verdict, worklist: None)
    monkeypatch.setattr(work, "last_of", lambda occurrence, records: DONE if occurrence in cut else None)
    session: Any = SimpleNamespace(bench=None, records=None)
    first: Any = SimpleNamespace(worklist="first", before=None)
    later: Any = SimpleNamespace(worklist="second", before="change the deck")
    verdicts: list[Awaitable[Any]] = [Verified(), Verified()]
    await carry_out_parts(session, [first, later], phase="dosing", verdicts=verdicts)
    assert changed == changes


class Verified:
    """A verdict that may be awaited more than once."""

    def __await__(self) -> Any:
        return passed().__await__()
