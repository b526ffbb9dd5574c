"""Lines at the terminal: what was typed before a question is shown is no answer to it."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from nkloop.drivers.keyboard import Keyboard, ask, forget_typed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no terminals of this kind")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The side of a terminal on which is typed; its other side is standard input."""
    typing, reading = os.openpty()
    with os.fdopen(reading, "r", encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield typing
        os.close(typing)


def type_when_shown(keys: int, capsys: pytest.CaptureFixture[str], prompt: str, line: str) -> threading.Thread:
    def wait_and_type() -> None:
        shown = ""
        while prompt not in shown:
            shown += capsys.readouterr().out
            time.sleep(0.01)
        os.write(keys, line.encode())

    thread = threading.Thread(target=wait_and_type)
    thread.start()
    return thread


def test_what_is_typed_ahead_answers_nothing(keys: int, capsys: pytest.CaptureFixture[str]) -> None:
    os.write(keys, b"P-1\nAda\n")
    thread = type_when_shown(keys, capsys, "Your name: ", "Bea\n")
    assert ask("Your name: ") == "Bea\n"
    thread.join()


async def test_nor_does_it_in_a_run(keys: int, capsys: pytest.CaptureFixture[str]) -> None:
    os.write(keys, b"Ada\n")
    thread = type_when_shown(keys, capsys, "Your name: ", "Bea\n")
    assert await asyncio.wait_for(Keyboard().listen("Your name: "), 5) == "Bea\n"
    thread.join()


async def test_a_line_goes_to_the_question_that_stands_and_not_to_one_withdrawn(
    keys: int, capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard = Keyboard()
    withdrawn = asyncio.create_task(keyboard.listen("Choose: "))
    await asyncio.sleep(0.01)
    withdrawn.cancel()
    await asyncio.wait((withdrawn,))
    thread = type_when_shown(keys, capsys, "Your name: ", "Bea\n")
    assert await asyncio.wait_for(keyboard.listen("Your name: "), 5) == "Bea\n"
    thread.join()


def test_what_a_file_or_pipe_holds_is_all_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Ada\n"))
    forget_typed()
    assert (ask("Your name: "), ask("Your name: ")) == ("Ada\n", None)
