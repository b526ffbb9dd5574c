"""Broken recipe files: the first line of each is the message it must give."""

import subprocess
import sys
from pathlib import Path

import pytest

from nkloop.errors import RecipeError
from nkloop.recipes import load_recipe

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))


def test_the_recipe_they_are_made_from_is_sound() -> None:
    assert load_recipe(HERE / "small.yaml").id == "small"


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 25


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_with_its_message(path: Path) -> None:
    wanted = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# refused: ")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert wanted in str(caught.value)
    for problem in caught.value.problems:
        assert problem.where.startswith(f"{path}:")
        assert problem.remedy


def test_the_command_line_tells_them_all_without_a_traceback(tmp_path: Path) -> None:
    """In one process: each file is asked for as a user would, and nothing is written."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom nkloop.cli import main\n"
        "for path in sys.argv[1:]:\n"
        "    sys.argv = ['nkloop', 'recipe', 'export', path, '--out', 'out.csv']\n"
        "    try:\n        main()\n"
        "    except SystemExit as ended:\n        assert ended.code == 1, path\n"
        "    else:\n        raise AssertionError(path)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, BROKEN)],
        capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    for path in BROKEN:
        wanted = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# refused: ")
        assert wanted in done.stderr
    assert list(tmp_path.iterdir()) == []
