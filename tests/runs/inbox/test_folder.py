"""Whole files only, and where they go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nkloop.errors import WorkspaceError
from nkloop.runs.inbox.folder import QuietFiles, file_away, reason_of


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quiet(tmp_path: Path, clock: Clock) -> QuietFiles:
    return QuietFiles(tmp_path, 5.0, clock)


def test_a_file_that_grows_is_not_taken(quiet: QuietFiles, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "plate.csv"
    for second in range(0, 12, 4):
        clock.at = second
        path.write_text("x" * (second + 1))
        assert quiet.look() == ()
    assert quiet.waiting
    clock.at = 13.5
    assert quiet.look() == (path,)


def test_a_file_written_anew_with_the_same_size_is_not_taken(quiet: QuietFiles, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "plate.csv"
    path.write_text("old")
    quiet.look()
    clock.at = 4
    path.write_text("new")
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))
    assert quiet.look() == ()
    clock.at = 6
    assert quiet.look() == ()


def test_a_file_renamed_into_place_is_watched_from_then_on(quiet: QuietFiles, clock: Clock, tmp_path: Path) -> None:
    draft = tmp_path / "plate.csv.part"
    draft.write_text("old and complete")
    os.utime(draft, (1, 1))
    assert quiet.look() == ()
    clock.at = 100
    draft.rename(tmp_path / "plate.csv")
    assert quiet.look() == ()
    clock.at = 105
    assert [path.name for path in quiet.look()] == ["plate.csv"]


@pytest.mark.parametrize(
    "name",
    [
        *(".hidden.csv", "~$plate.xlsx", "plate.tmp", "plate.csv.filepart", "plate.csv.crdownload", "plate.csv~"),
        *("Thumbs.db", "plate.csv.reason.txt"),
    ],
)
def test_unfinished_and_foreign_names_are_left_alone(
    quiet: QuietFiles, clock: Clock, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("x")
    quiet.look()
    clock.at = 60
    assert quiet.look() == ()
    assert not quiet.waiting


def test_empty_files_folders_and_open_workbooks_are_left_alone(quiet: QuietFiles, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "done").mkdir()
    (tmp_path / "open.xlsx").write_text("x")
    (tmp_path / "~$open.xlsx").write_text("x")
    (tmp_path / "link.csv").symlink_to(tmp_path / "open.xlsx")
    quiet.look()
    clock.at = 60
    assert quiet.look() == ()
    (tmp_path / "~$open.xlsx").unlink()
    assert [path.name for path in quiet.look()] == ["open.xlsx"]


def test_a_share_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"gone: the inbox cannot be read.*Remedy: make the folder, mount"):
        QuietFiles(tmp_path / "gone", 0).look()


def test_files_of_one_name_are_kept_side_by_side(tmp_path: Path) -> None:
    placed = []
    for text in ("first", "second"):
        (tmp_path / "plate.csv").write_text(text)
        placed.append(file_away(tmp_path / "plate.csv", tmp_path, "quarantine", reason=f"{text} reason"))
    assert placed == ["quarantine/plate.csv", "quarantine/plate-2.csv"]
    for name, text in zip(placed, ("first", "second"), strict=True):
        assert (tmp_path / name).read_text() == text
        assert reason_of(tmp_path / name).read_text() == f"{text} reason\n"


def test_a_file_another_inbox_took_leaves_no_reason_behind(tmp_path: Path) -> None:
    assert file_away(tmp_path / "gone.csv", tmp_path, "quarantine", reason="why") == ""
    assert list((tmp_path / "quarantine").iterdir()) == []
