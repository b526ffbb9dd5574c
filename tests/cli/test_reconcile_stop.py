"""What an interrupted `nkloop reconcile` says of the run is true."""

from __future__ import annotations

from typing import Any

import pytest

from nkloop.cli import reconcile

from .conftest import Nkloop


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), "its device is told nothing more"),
        (("--stop",), "its device is told nothing more, but may have been told to stop it before"),
    ],
)
def test_an_interruption_says_what_became_of_the_run(
    nkloop: Nkloop, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], told: str
) -> None:
    async def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reconcile, "_reconciled", interrupted)
    monkeypatch.setattr(reconcile, "heed_interrupts", lambda: None)
    ended = nkloop("reconcile", "run-0001", *more)
    assert ended.code == 130
    assert f"run-0001 is not watched here any more; {told}. To look again: " in ended.err
