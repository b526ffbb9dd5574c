"""`nkloop recipe`: schema, procedure, tables, and what they refuse."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Nkloop

from nkloop.recipes import load_recipe
from nkloop.workspace import Workspace


def test_the_schema_is_written_with_the_line_an_editor_needs(nkloop: Nkloop, tmp_path: Path) -> None:
    assert json.loads(nkloop("recipe", "schema").out)["title"] == "Culture recipe"
    ended = nkloop("recipe", "schema", "--out", tmp_path / "s.json")
    assert "# yaml-language-server: $schema=s.json" in ended.out
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["properties"]["stages"]


@pytest.mark.parametrize("ending", ["csv", "xlsx", "yaml", "json"])
def test_what_is_exported_is_imported_again(nkloop: Nkloop, workspace: Workspace, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"r.{ending}"
    assert nkloop("recipe", "export", "ucb-dc", "--out", file).code == 0
    refused = nkloop("recipe", "import", file)
    assert (refused.code, refused.out) == (1, "")
    assert "there is a recipe ucb-dc.yaml already" in refused.err
    assert nkloop("recipe", "import", file, "--name", "copy").code == 0
    copy, original = (load_recipe(workspace.recipes / f"{name}.yaml") for name in ("copy", "ucb-dc"))
    assert copy == original


def test_importing_over_a_recipe_keeps_its_comments(nkloop: Nkloop, workspace: Workspace, tmp_path: Path) -> None:
    file, path = tmp_path / "r.csv", workspace.recipes / "ucb-nk.yaml"
    nkloop("recipe", "export", "ucb-nk", "--out", file)
    before = path.read_text(encoding="utf-8")
    table = file.read_text(encoding="utf-8")
    assert "ingredient,expansion_i,TPO,amount,25 ng/mL" in table
    file.write_text(
        table.replace("expansion_i,TPO,amount,25 ng/mL", "expansion_i,TPO,amount,30 ng/mL"), encoding="utf-8"
    )
    assert nkloop("recipe", "import", file, "--replace").code == 0
    assert path.read_text(encoding="utf-8") == before.replace("TPO, amount: 25 ng/mL", "TPO, amount: 30 ng/mL")


def test_a_broken_table_is_refused_before_anything_is_written(
    nkloop: Nkloop, workspace: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "r.csv"
    nkloop("recipe", "export", "ucb-nk", "--out", file)
    text = file.read_text(encoding="utf-8").replace("25 ng/mL", "25 mg/mL")
    file.write_text(text, encoding="utf-8")
    ended = nkloop("recipe", "import", file, "--name", "broken")
    assert ended.code == 1
    assert ended.err.count("outside its plausible range") >= 4
    assert "r.csv:" in ended.err
    assert not (workspace.recipes / "broken.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        pytest.param(("sop", "ucb-nk", "--stage", "expansion"), "has no stage 'expansion'", id="stage"),
        pytest.param(("sop", "ucb-nk", "--volume", "100"), "'100' is not a number with a unit", id="volume_unit"),
        pytest.param(("sop", "ucb-nk", "--volume", "5 L"), "prepare several batches", id="volume_too_large"),
        pytest.param(("sop", "ucb-nk", "--lots", "nope.yaml"), "nope.yaml", id="lots"),
        pytest.param(("export", "ucb-nk", "--out", "r.pdf"), "'pdf' is no format", id="format"),
        pytest.param(("export", "ucb-nk", "--format", "xlsx"), "cannot be shown on the screen", id="workbook"),
        pytest.param(("import", "nope.csv"), "cannot be read", id="no_file"),
        pytest.param(("import", "nope.yaml"), "cannot be read", id="no_yaml"),
        pytest.param(("diff", "ucb-nk", "nope"), "there is no recipe 'nope'", id="diff"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(nkloop: Nkloop, arguments: tuple[str, ...], match: str) -> None:
    ended = nkloop("recipe", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert match in ended.err
    assert "Traceback" not in ended.err


def test_a_procedure_is_written_for_one_stage(nkloop: Nkloop, tmp_path: Path) -> None:
    file = tmp_path / "sop.md"
    ended = nkloop("recipe", "sop", "ucb-nk", "--stage", "differentiation", "--volume", "100 mL", "--out", file)
    assert ended.code == 0
    text = file.read_text(encoding="utf-8")
    assert "## 3. Differentiation: day 14 to 35" in text
    assert "of IL-2 (LOT-IL2-01)" in text


def test_a_diff_shows_both_products_side_by_side(nkloop: Nkloop) -> None:
    ended = nkloop("recipe", "diff", "ucb-nk", "ucb-dc")
    assert ended.code == 0
    assert "Stages added: expansion, maturation" in ended.out
    assert "10000" in ended.out


def test_the_cost_of_a_batch_and_its_arms_is_told(nkloop: Nkloop, tmp_path: Path) -> None:
    """Only TPO differs: twice 25 ng/mL in 100 mL of the first stage are 2.5 µg more, at 15000 EUR for 15 mL."""
    arms = tmp_path / "arms.csv"
    arms.write_text("arm,TPO\narm-a,x2\n", encoding="utf-8")
    given = ("ucb-nk", "--volume", "expansion_i=100 mL", "--volume", "differentiation=0.5 L")
    told = nkloop("recipe", "cost", *given, "--arms", arms, "--json").json
    assert told["batch"]["cost_eur"] == pytest.approx(sum(one["cost_eur"] for one in told["stages"].values()), abs=0.02)
    more = told["arms"]["arm-a"]["cost_eur"] - told["arms"]["reference"]["cost_eur"]
    assert more == pytest.approx(2.5 / 100 * 1000, abs=0.02)
    assert told["arms"]["reference"]["factor"] == 1
    shown = nkloop("recipe", "cost", *given, "--arms", arms)
    assert (shown.code, "arm-a" in shown.out, "sum" in shown.out) == (0, True, True)


@pytest.mark.parametrize(
    ("volumes", "told"),
    [
        pytest.param(("100 mL",), "--volume: '100 mL' names no stage. Remedy: write expansion_i=", id="no stage"),
        pytest.param(("growth=1 L",), "ucb-nk has no stage 'growth'. Remedy: use expansion_i", id="unknown stage"),
        pytest.param(("expansion_i=1 L", "expansion_i=2 L"), "stage expansion_i is given twice", id="twice"),
        pytest.param(("expansion_i=1 mg",), "1 mg is not a volume above 0", id="a mass"),
        pytest.param(("expansion_i=",), "Remedy", id="nothing"),
    ],
)
def test_volumes_that_have_no_cost_are_refused(nkloop: Nkloop, volumes: tuple[str, ...], told: str) -> None:
    ended = nkloop("recipe", "cost", "ucb-nk", *(text for one in volumes for text in ("--volume", one)))
    assert (ended.code, ended.out) == (1, "")
    assert told in ended.err
    assert ended.err.startswith("error: ")
