"""`nkloop design cytotoxicity` to `nkloop analyse plate`, as a person with files uses them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from nkloop.assays.layouts import read_layouts
from nkloop.workspace import Workspace

ARMS = "arm-1/U1:82:91,arm-2/U1:80:90"


def read_file(layout: Path, path: Path, header: str = "mode: absorbance\nwavelength: 490\n") -> Path:
    """A reader file written from the layout table alone, as any other program could."""
    with layout.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [f"barcode: {rows[0]['plate']}", *header.splitlines(), "reference wavelength: 680", "well,value"]
    for number, row in enumerate(r for r in rows if r["role"] not in {"medium_ring", "empty"}):
        ratio = float(row["nominal_ratio"] or 0)
        lysis = {"maximum": 1.0}.get(row["role"], 0.0)
        if row["role"] in {"experimental", "reference_effector"}:
            lysis = 1 / (1 + (1.5 / float(row["true_ratio"])) ** 1.2)
        targets = row["role"] in {"experimental", "reference_effector", "spontaneous", "maximum"}
        value = 0.1 + 0.02 * ratio + (0.15 + 1.5 * lysis if targets else 0.0) + 0.002 * (number % 3)
        lines.append(f"{row['well']},{value:.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def files(nkloop: Any, workspace: Workspace) -> tuple[Path, Path]:
    layout = workspace.root / "layout.csv"
    ended = nkloop("design", "cytotoxicity", "--arms", ARMS, "--replicates", "2", "--effector-replicates", "1",
                   "--seed", "7", "--name", "P", "--csv", layout)  # fmt: skip
    assert ended.code == 0, ended.err
    assert "the map is the one the robot planner knows" in " ".join(ended.out.split())
    return layout, read_file(layout, workspace.root / "read.csv")


def test_a_plate_from_design_to_json(nkloop: Any, files: tuple[Path, Path]) -> None:
    ended = nkloop("analyse", "plate", "--method", "ldh", "--layout", files[0], "--reading", files[1], "--json")
    assert ended.code == 0, ended.err
    told = ended.json
    assert told["verdict"] == "accepted"
    assert {"well", "lysis_percent", "flags", "true_ratio", "nominal_ratio"} <= set(told["wells"][0])
    assert {"name", "value", "limit", "source", "outcome", "reason"} <= set(told["quality"][0])
    assert [row["arm"] for row in told["samples"]] == ["arm-1", "arm-2"]
    for row in told["samples"]:
        assert row["ci_low"] < row["et50"] < row["ci_high"]
        assert row["et50"] == pytest.approx(1.5, rel=0.05)
        assert 0 < row["auc"] < 1
        assert row["lytic_units"] == pytest.approx(1e7 / (1e4 * row["et50"]))
        assert row["lytic_units_low"] == pytest.approx(1e7 / (1e4 * row["ci_high"]))
        assert row["lytic_units_high"] == pytest.approx(1e7 / (1e4 * row["ci_low"]))
        assert row["auc_low"] <= row["auc"] <= row["auc_high"]
    assert told["reading"]["file"] == "read.csv"
    assert len(told["reading"]["file_sha256"]) == 64


def test_lytic_units_at_a_stated_lysis_and_number_of_targets(nkloop: Any, files: tuple[Path, Path]) -> None:
    """30 % lysis on the curve the file was made from lies at 1.5 (0.3 / 0.7)^(1 / 1.2)."""
    command = ("analyse", "plate", "--layout", files[0], "--reading", files[1], "--lytic-percent", "30")
    told = nkloop(*command, "--lytic-targets", "5000", "--json").json
    thirty = 1.5 * (0.3 / 0.7) ** (1 / 1.2)
    for row in told["samples"]:
        assert row["lytic_units"] == pytest.approx(1e7 / (5000 * thirty), rel=0.05)
        assert row["lytic_units_low"] < row["lytic_units"] < row["lytic_units_high"]
        assert row["lytic_units_text"] == "per 10^7 effectors at 30 % lysis of 5000 targets"
    shown = nkloop(*command)
    assert "Lytic units per 10^7 effectors at 30 % lysis of 10000 targets" in shown.out
    refused = nkloop(*command[:-1], "100")
    assert (refused.code, refused.out) == (1, "")
    assert "lytic units at 100 % lysis: the percentage must lie between 0 and 100" in refused.err
    assert "0 targets: a lytic unit needs more than 0" in nkloop(*command, "--lytic-targets", "0").err


def test_report_exclusion_and_history(nkloop: Any, files: tuple[Path, Path], workspace: Workspace) -> None:
    history = workspace.root / "history.csv"
    history.write_text("lysis_percent\n40\n41\n39\n40\n42\n", encoding="utf-8")
    (layout,) = read_layouts(files[0])
    well = layout.with_role("experimental")[0].well
    report = workspace.root / "plate.html"
    ended = nkloop("analyse", "plate", "--layout", files[0], "--reading", files[1], "--exclude", f"{well}=air bubble",
                   "--by", "A. Person", "--history", history, "--report", report)  # fmt: skip
    assert ended.code == 0, ended.err
    assert f"{well} excluded by A. Person: air bubble" in ended.out
    assert "With every well:" in ended.out
    assert "reference effector" in ended.out
    page = report.read_text(encoding="utf-8")
    for said in ("air bubble", "A. Person", "The same plate with every well", "Plate quality", "<svg", "Westgard"):
        assert said in page


@pytest.mark.parametrize(
    ("header", "more", "message"),
    [
        pytest.param("mode: luminescence\n", (), "read in luminescence, ldh needs absorbance", id="mode"),
        pytest.param("mode: absorbance\n", ("--method", "calcein"), "calcein needs fluorescence", id="method"),
        pytest.param("mode: absorbance\n", ("--method", "mtt"), "there is no assay method 'mtt'", id="no method"),
        pytest.param("mode: absorbance\n", ("--exclude", "B2"), "'B2' names no well with a reason", id="no reason"),
        pytest.param("mode: absorbance\n", ("--exclude", "B2=x"), "wells are excluded by nobody", id="nobody"),
        pytest.param("mode: absorbance\n", ("--history", "none.csv"), "none.csv", id="no history"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(
    nkloop: Any, files: tuple[Path, Path], header: str, more: tuple[str, ...], message: str
) -> None:
    read_file(files[0], files[1], header)
    ended = nkloop("analyse", "plate", "--layout", files[0], "--reading", files[1], *more)
    assert ended.code == 1
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_a_method_of_the_lab_is_used_without_code(nkloop: Any, files: tuple[Path, Path], workspace: Workspace) -> None:
    from nkloop.assays.methods.files import FOLDER

    own = workspace.methods
    own.mkdir(parents=True)
    text = (FOLDER / "ldh.yaml").read_text(encoding="utf-8")
    (own / "ldh-450.yaml").write_text(
        text.replace("name: ldh", "name: ldh-450").replace("wavelength_nm: 490", "wavelength_nm: 450"), encoding="utf-8"
    )
    read_file(files[0], files[1], "mode: absorbance\nwavelength: 450\n")
    ended = nkloop("analyse", "plate", "--method", "ldh-450", "--layout", files[0], "--reading", files[1], "--json")
    assert ended.code == 0, ended.err
    assert ended.json["method"] == "ldh-450"
    (own / "ldh-450.yaml").write_text(text.replace("formula: release", "formula: relase"), encoding="utf-8")
    wrong = nkloop("analyse", "plate", "--method", "ldh-450", "--layout", files[0], "--reading", files[1])
    assert wrong.code == 1
    assert "ldh-450.yaml:3:10: formula: 'relase' is not allowed here. Remedy: did you mean 'release'?" in wrong.err


@pytest.mark.parametrize("picture", ["map.svg", "map.png", "map.html"])
def test_a_design_of_several_plates_is_drawn_and_told(nkloop: Any, workspace: Workspace, picture: str) -> None:
    ended = nkloop("design", "cytotoxicity", "--arms", ARMS, "--lines", "K-562,HL-60", "--seed", "3",
                   "--grid", workspace.root / "grid.csv", "--picture", workspace.root / picture, "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    told = ended.json
    assert (told["seed"], told["can_run_on_robot"]) == (3, False)
    assert "one target line per plate" in told["robot"]
    assert {need["role"] for need in told["demand"]} == {"effector", "target"}
    stem = [workspace.root / picture] if picture.endswith("html") else sorted(workspace.root.glob("map-*"))
    assert len(stem) == (1 if picture.endswith("html") else len(told["layouts"]))
    assert all(path.stat().st_size > 1000 for path in stem)
    assert len(read_layouts(workspace.root / "grid.csv")) == len(told["layouts"])


def test_a_design_asks_for_the_cells_its_plan_takes(nkloop: Any, workspace: Workspace) -> None:
    layout = workspace.root / "layout.csv"
    robot = ("design", "cytotoxicity", "--arms", "arm-1/U1:82:90", "--seed", "3", "--csv", layout)
    designed = nkloop(*robot, "--json").json["demand"]
    planned = nkloop("plan", "cytotoxicity", "--layout", layout, "--json").json
    assert planned["cells_to_prepare"] == designed
    nk = next(one for one in designed if one["name"] == "arm-1/U1")
    assert nk["cells_needed"] == sum(need["cells"] for need in planned["effectors"] if need["sample"] == "arm-1/U1")
    assert nk["cells_in_wells"] < nk["viable_needed"] == pytest.approx(0.9 * nk["cells_needed"])
    assert any("arm-1/U1: prepare" in note and "of them viable" in note for note in planned["notes"])
    told = nkloop(*robot).out
    assert "as bench virtual takes them" in told
    assert "viable or not, as nominal E:T does" in told


def test_a_design_beyond_the_bench_counts_cells_for_a_person(nkloop: Any) -> None:
    ended = nkloop("design", "cytotoxicity", "--arms", "arm-1/U1:82:90", "--seed", "3", "--bench", "nowhere", "--json")
    assert ended.code == 0
    assert all(one["beyond"].endswith("by hand") for one in ended.json["demand"])
    assert any("bench nowhere cannot carry it out" in told for told in ended.json["warnings"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--plate", "1536"), "--plate: '1536' is not allowed", id="plate"),
        pytest.param(("--kind", "magic"), "--kind: 'magic' is not allowed", id="kind"),
        pytest.param(("--ratios", "ten"), "--ratios: 'ten' is not a number", id="ratio"),
        pytest.param(("--drug", "x"), "'x' is not a drug with its doses", id="drug"),
        pytest.param(("--lines", "K562"), "did you mean 'K-562'", id="line"),
        pytest.param(("--picture", "map.gif"), "a picture cannot be written as '.gif'", id="picture"),
    ],
)
def test_a_design_that_makes_no_sense_is_refused(nkloop: Any, arguments: tuple[str, ...], message: str) -> None:
    ended = nkloop("design", "cytotoxicity", "--arms", ARMS, *arguments)
    assert ended.code == 1
    assert message in ended.err
    wrong = nkloop("design", "cytotoxicity", "--arms", "arm-1/U1:182")
    assert "'arm-1/U1:182' is not an arm with percentages" in wrong.err


def test_a_matrix_goes_from_design_to_the_combination_analysis(nkloop: Any, workspace: Workspace) -> None:
    layout, table = workspace.root / "layout.csv", workspace.root / "combination.csv"
    made = nkloop(
        *("design", "cytotoxicity", "--kind", "drug-matrix", "--arms", "nk/U1:90:95", "--drug", "drug:1,3,10:nM"),
        *("--ratios", "4,2,1", "--plate", "384", "--seed", "1", "--csv", layout),
    )
    assert made.code == 0, made.err
    reading = read_file(layout, workspace.root / "read.csv")
    ended = nkloop("analyse", "plate", "--layout", layout, "--reading", reading, "--combination", table, "--json")
    assert ended.code == 0, ended.err
    assert len(ended.json["matrix"]) == 4 * 4
    combined = nkloop("analyse", "combination", table, "--no-advice", "--json")
    assert combined.code == 0, combined.err
    plain = nkloop("design", "cytotoxicity", "--arms", ARMS, "--seed", "1", "--csv", layout, "--edge", "all")
    assert plain.code == 0
    read_file(layout, reading)
    for_none = nkloop(
        *("analyse", "plate", "--layout", layout, "--reading", reading, "--plate", "plate-1", "--combination", table)
    )
    assert "the plate holds no matrix of doses and E:T" in for_none.err


def test_a_result_is_kept_once_and_the_contact_is_checked(
    nkloop: Any, files: tuple[Path, Path], workspace: Workspace
) -> None:
    plate = ("analyse", "plate", "--layout", files[0], "--reading", files[1])
    assert nkloop(*plate, "--record").code == 0
    again = nkloop(*plate, "--record")
    assert (again.code, "is kept already" in again.err) == (1, True)
    text = files[1].read_text(encoding="utf-8")
    files[1].write_text("read at: 2026-03-01T18:00:00+00:00\n" + text, encoding="utf-8")
    late = nkloop(*plate, "--started", "2026-03-01T08:00:00+00:00")
    assert "the plate was read 600 min after effectors met targets, ldh allows 245 to 340" in late.err
    assert "'noon' is not a time" in nkloop(*plate, "--started", "noon").err


def test_a_design_goes_to_the_planner_only_with_its_line_in_order(
    nkloop: Any, files: tuple[Path, Path], workspace: Workspace
) -> None:
    lines = workspace.devices / "lines" / "virtual.yaml"
    text = lines.read_text(encoding="utf-8")
    lines.write_text(text.replace("{line: K-562, passage: 8", "{line: K-562, passage: 80"), encoding="utf-8")
    ended = nkloop("plan", "cytotoxicity", "--layout", files[0])
    assert ended.code == 1
    assert "cell line K-562: it is at passage 80, at most 30 is allowed" in ended.err
