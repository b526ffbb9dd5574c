"""Names of flow runs: the one a person gave stays, one that Prefect made up says what the run is about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect.context import FlowRunContext
from prefect.utilities.names import generate_slug

from nkloop.coordination import run_names
from nkloop.coordination.run_names import is_made_up, run_name


def named(monkeypatch: pytest.MonkeyPatch, given: str, *, campaign: str | None = None, day: float | None = None) -> str:
    """What a run with this name is called."""
    request = SimpleNamespace(purpose="feed plate-3, expansion")
    context = SimpleNamespace(flow_run=SimpleNamespace(name=given), parameters={"request": request})
    monkeypatch.setattr(FlowRunContext, "get", classmethod(lambda cls: cast(Any, context)))
    session = SimpleNamespace(campaign=campaign, round=2, progress=SimpleNamespace(day=day))
    monkeypatch.setattr(run_names, "session_here", lambda: session if campaign else None)
    return run_name()


@pytest.mark.parametrize("name", ["feed-monday", "Batch 7, day 3", "my-own-name", "first plate", "alpha"])
def test_a_name_that_was_given_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(monkeypatch, name) == name


def test_what_prefect_makes_up_is_known_as_such() -> None:
    assert [name for _ in range(200) if not is_made_up(name := generate_slug(2))] == []


@pytest.mark.parametrize("name", ["Gorgeous-Marmot", "alpha4-canis-majoris", "zeta73-bootis-anomaly"])
def test_what_the_pages_put_into_the_form_is_known_as_made_up(name: str) -> None:
    assert is_made_up(name)


def test_a_made_up_name_says_what_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(monkeypatch, "smart-pony").startswith("feed plate-3, expansion, 2")
    assert named(monkeypatch, "smart-pony").endswith(" UTC")


def test_runs_of_a_campaign_are_told_apart_by_round_and_day(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(monkeypatch, "smart-pony", campaign="c", day=7.0) == "feed plate-3, expansion, round 2, day 7"
    assert named(monkeypatch, "smart-pony", campaign="c") == "feed plate-3, expansion, round 2"
