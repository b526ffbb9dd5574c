"""A session: recipes by name or revision, one open at a time, progress told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nkloop.errors import BenchError, NkloopError, RecipeError, RecordError, WorkspaceError
from nkloop.recipes.models import Recipe
from nkloop.runs.session import Progress, Session, bench_path, open_session, progress_listener
from nkloop.workspace import Workspace


def test_a_recipe_is_found_by_file_name_and_read_again_when_it_changed(session: Session, recipe: Recipe) -> None:
    assert session.recipe("ucb-nk") == recipe
    assert session.recipe("ucb-nk") is session.recipe("ucb-nk")
    path = session.workspace.recipes / "ucb-nk.yaml"
    path.write_text(path.read_text().replace("component: TPO, amount: 25 ng/mL", "component: TPO, amount: 30 ng/mL"))
    assert session.recipe("ucb-nk") != recipe


def test_a_recipe_is_found_by_its_revision(session: Session, recipe: Recipe) -> None:
    from datetime import UTC, datetime

    session.records.campaigns.add_revision(recipe, at=datetime(2026, 1, 5, tzinfo=UTC))
    assert session.recipe(recipe.revision_id) == recipe
    with pytest.raises(RecordError, match="revision ucb-nk@000 is not recorded"):
        session.recipe("ucb-nk@000")


def test_an_unknown_recipe_names_those_there_are(session: Session) -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'ucb'.*use one of: ucb-dc, ucb-nk, ucb-nk-transduced"):
        session.recipe("ucb")


def test_an_unknown_bench_names_those_there_are(session: Session) -> None:
    with pytest.raises(BenchError, match=r"no bench 'star'.*use one of: .*ot2_spectramax.*virtual"):
        bench_path(session.workspace, "star")


async def test_waiting_for_a_time_that_is_over_does_nothing(session: Session) -> None:
    start = await session.bench.clock.now()
    await session.wait_until(start - timedelta(days=1))
    assert await session.bench.clock.now() == start
    await session.wait_until(start + timedelta(days=2))
    assert await session.today() == (start + timedelta(days=2)).date()


def test_progress_reaches_the_listener_around_the_session(session: Session) -> None:
    told: list[tuple[str, int, int]] = []
    with progress_listener(lambda p: told.append((p.phase, p.current, p.total))):
        session.on_progress = Session.__dataclass_fields__["on_progress"].default_factory()  # type: ignore[misc]
        session.tell("feeding", current=3, total=9)
    assert told == [("feeding", 3, 9)]
    assert isinstance(session.progress, Progress)


async def test_a_session_inside_a_session_is_the_same_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NKLOOP_VIRTUAL_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("NKLOOP_DATABASE_URL", raising=False)
    workspace = Workspace.create(tmp_path / "workspace")
    async with open_session(workspace.flows, "virtual") as outer:
        assert outer.workspace.root == workspace.root
        async with open_session(workspace.root, "virtual") as inner:
            assert inner is outer
    async with open_session(workspace.root, "virtual") as later:
        assert later is not outer
    assert (workspace.state / "records.db").is_file()


@pytest.mark.parametrize(
    ("spoil", "error", "told"),
    [
        pytest.param(lambda root: None, BenchError, "NKLOOP_VIRTUAL_URL is not set", id="no address"),
        pytest.param(
            lambda root: (root / "devices" / "lots" / "virtual.yaml").unlink(),
            NkloopError,
            "virtual.yaml",
            id="no lots",
        ),
        pytest.param(
            lambda root: (root / "labware" / "catalogue.yaml").write_text("- 1"),
            NkloopError,
            "catalogue",
            id="catalogue",
        ),
    ],
)
async def test_what_is_wrong_with_a_workspace_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, error: type[Exception], told: str
) -> None:
    monkeypatch.delenv("NKLOOP_VIRTUAL_URL", raising=False)
    workspace = Workspace.create(tmp_path / "workspace")
    spoil(workspace.root)
    with pytest.raises(error, match=told):
        async with open_session(workspace.root, "virtual"):
            pytest.fail("the session opened")


async def test_outside_a_workspace_there_is_no_session(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="has the folders recipes"):
        async with open_session(tmp_path, "virtual"):
            pytest.fail("the session opened")
