"""Workspaces are found from inside and made whole or not at all."""

import shutil
from pathlib import Path

import pytest

from nkloop.errors import WorkspaceError
from nkloop.workspace import Workspace, shipped
from nkloop.workspace.folders import FOLDERS


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small workspace that stands in for the shipped one."""
    folder = tmp_path / "shipped"
    for name in FOLDERS:
        (folder / name / "inner").mkdir(parents=True)
        (folder / name / "inner" / "file.yaml").write_text(name)
    (folder / "flows" / "__pycache__").mkdir()
    (folder / "flows" / "__pycache__" / "x.pyc").write_text("")
    (folder / "prefect.yaml").write_text("name: nkloop")
    (folder / "README.md").write_text("not part of a workspace")
    monkeypatch.setattr("nkloop.workspace.folders.shipped", lambda: folder)
    return folder


def test_it_is_found_from_any_folder_inside(source: Path) -> None:
    inside = source / "recipes" / "inner"
    assert Workspace.find(inside).root == Workspace.find(source).root == source.resolve()
    assert Workspace.find(inside / "file.yaml").recipes == source.resolve() / "recipes"


def test_outside_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"neither this folder nor one above.*nkloop init DIR"):
        Workspace.find(tmp_path)


def test_its_folders_have_names(source: Path) -> None:
    workspace = Workspace.find(source)
    assert [getattr(workspace, name) for name in FOLDERS] == [source.resolve() / name for name in FOLDERS]
    assert workspace.state == source.resolve() / ".nkloop"
    assert not workspace.state.exists()


@pytest.mark.parametrize("place", ["new", "deep/er/new", "empty"])
def test_it_is_made_in_a_new_or_empty_folder(source: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    workspace = Workspace.create(tmp_path / place)
    assert Workspace.find(tmp_path / place) == workspace
    made = {str(p.relative_to(workspace.root)) for p in workspace.root.rglob("*") if p.is_file()}
    assert made == {f"{name}/inner/file.yaml" for name in FOLDERS} | {"prefect.yaml"}
    assert not [p for p in workspace.root.iterdir() if p.name.startswith(".")]


def test_a_folder_with_something_in_it_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(WorkspaceError, match=r"mine: the folder is not empty. Remedy: name a new"):
        Workspace.create(tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="this is a file"):
        Workspace.create(tmp_path / "file")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        Workspace.create(tmp_path / "file" / "below")


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("place", ["deep/er/new", "empty"])
def test_a_failure_leaves_nothing_half_done(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, place: str
) -> None:
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    copy = shutil.copytree

    def breaks_late(origin: Path, *args: object, **more: object) -> object:
        if Path(origin).name == "flows":
            raise failure
        return copy(origin, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(shutil, "copytree", breaks_late)
    expected = WorkspaceError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        Workspace.create(tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkout_ships_itself() -> None:
    assert shipped() == Path(__file__).resolve().parents[2]


def test_a_wheel_ships_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "nkloop"
    package.mkdir(parents=True)
    monkeypatch.setattr("nkloop.__file__", str(package / "__init__.py"))
    with pytest.raises(WorkspaceError, match=r"are missing. Remedy: install nkloop again"):
        shipped()
    for name in FOLDERS:
        (package / "_workspace" / name).mkdir(parents=True)
    assert shipped() == (package / "_workspace").resolve()


def test_a_way_round_to_a_full_folder_is_seen_through(source: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(WorkspaceError, match="the folder is not empty"):
        Workspace.create(tmp_path / "a" / ".." / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    assert not (tmp_path / "a").exists()


def test_a_failure_removes_only_what_was_made(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new"

    def meanwhile(*_: object, **__: object) -> None:
        (target / "thesis.txt").write_text("precious")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", meanwhile)
    with pytest.raises(WorkspaceError, match="No space left"):
        Workspace.create(target)
    assert [p.name for p in target.iterdir()] == ["thesis.txt"]
