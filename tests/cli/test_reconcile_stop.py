"""What an interrupted `nkloop reconcile` says of the run is true."""

from __future__ import annotations

from typing import Any

import pytest

from nkloop.cli import reconcile
from nkloop.errors import RecordError

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


@pytest.mark.parametrize("option", [("--robot-replaced",), ("--other-vessels", "run-0002"), ("--well", "plate:B3")])
def test_what_belongs_to_a_decision_is_refused_without_one(nkloop: Nkloop, option: tuple[str, ...]) -> None:
    ended = nkloop("reconcile", "run-0001", *option)
    assert ended.code == 1
    assert "nothing was decided" in ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), {"replaced": False, "lost": False}),
        (
            ("--robot-replaced", "--other-vessels", "run-0002", "--other-vessels", "run-0003", "--instead-of", "2"),
            {"replaced": True},
        ),
    ],
)
def test_what_a_person_says_of_robot_and_vessels_reaches_the_decision(
    nkloop: Nkloop, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: dict[str, bool]
) -> None:
    asked: list[Any] = []

    def noted(given: Any, workspace: Any) -> None:
        asked.append(given)
        raise RecordError("far enough")

    monkeypatch.setattr(reconcile, "_answered", noted)
    nkloop("reconcile", "run-0001", "--decide", "continue", "--by", "Ada", "--reason", "sent in", *options)
    (given,) = asked
    assert {name: getattr(given, name) for name in told} == told
    assert given.decision["apart"] == (("run-0002", "run-0003") if options else ())
    assert given.decision["instead_of"] == (2 if options else 0)
