"""`nkloop plan dosing` and `nkloop plan cytotoxicity` as they are typed."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nkloop.records.models import Context, JournalEvent
from nkloop.runs.stock import opened
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.models import Verdict, Worklist
from nkloop.workspace import Workspace

Nkloop = Callable[..., Any]
DOSING = ("plan", "dosing", "--recipe", "ucb-nk", "--stage", "expansion_i", "--donors", "U1,U2")
ARMS = "arm,SCF [ng/mL],IL-7\narm-a,40,x0.5\n"


@pytest.fixture
def arms(workspace: Workspace) -> Path:
    path = workspace.root / "arms.csv"
    path.write_text(ARMS, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_plate_passes_the_three_checks(nkloop: Nkloop, workspace: Workspace, arms: Path) -> None:
    ended = nkloop(
        *DOSING, "--vessel", "plate-96", "--arms", arms, "--csv", "out/dose.csv", "--map", "map.csv", "--json"
    )
    assert ended.code == 0, ended.err
    plan = ended.json
    assert [check["check"] for check in plan["verdict"]["checks"]] == [
        "ledger", "opentrons analysis", "pylabrobot tracking",
    ]  # fmt: skip
    text = (workspace.root / "out" / "dose.csv").read_text(encoding="utf-8")
    assert from_csv(text, name="dose", procedure="cytokine_dosing").n_transfers == len(plan["transfers"])
    mapped = list(csv.DictReader((workspace.root / "map.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["well"] for row in mapped] == [row["well"] for row in plan["positions"]] == ["A1", "B1", "C1", "D1"]


@pytest.mark.parametrize("vessel", ["plate-6", "plate-48"])
def test_every_plate_ends_on_target(nkloop: Nkloop, arms: Path, by_ledger: None, vessel: str) -> None:
    plan = nkloop(*DOSING, "--vessel", vessel, "--arms", arms, "--seed", "7", "--json").json
    dosed = [row for row in plan["composition"] if row["basis"] == "dosed"]
    assert {row["component"] for row in dosed} == {"SCF", "Flt3L", "TPO", "IL-7"}
    assert all(abs(row["deviation_percent"]) < 2 and row["cv_percent"] is not None for row in dosed)
    assert {(row["arm"], row["donor"]) for row in plan["positions"]} == {
        (arm, donor) for arm in ("reference", "arm-a") for donor in ("U1", "U2")
    }
    assert all(row["seed"] == 7 for row in plan["positions"])


def test_a_factorial_says_what_it_can_tell(nkloop: Nkloop, by_ledger: None) -> None:
    levels = "SCF=x0.5,x2;Flt3L=x0.5,x2;TPO=x0.5,x2"
    ended = nkloop(*DOSING, "--vessel", "plate-24", "--factorial", levels, "--generator", "TPO=SCF*Flt3L")
    assert ended.code == 0
    assert "resolution III" in ended.out
    assert "defining relation I = SCF·Flt3L·TPO" in ended.out


def test_arms_leave_out_and_add_components_in_plates_and_bags(
    nkloop: Nkloop, workspace: Workspace, by_ledger: None
) -> None:
    (workspace.root / "arms.csv").write_text("arm,TPO,IL-4 [ng/mL],SCF\nno-tpo,0,,\nplus-il4,,20,\nmuch-scf,,,x40\n")
    for vessel in (("plate-24",), ("bag", "--volume", "100 mL")):
        plan = nkloop(*DOSING[:-1], "U1", "--vessel", *vessel, "--arms", "arms.csv", "--json").json
        held = {(row["destination"], row["component"]): row for row in plan["composition"]}
        of_arm = {name: next(d for d, _ in held if name in d) for name in ("reference", "no-tpo", "plus-il4")}
        dropped = held[of_arm["no-tpo"], "TPO"]
        assert (dropped["target"], dropped["expected"], dropped["deviation_percent"]) == (0, 0, None)
        assert held[of_arm["plus-il4"], "IL-4"]["expected"] == pytest.approx(20, rel=0.02)
        assert held[of_arm["reference"], "IL-4"]["expected"] == 0
        assert any("1000 ng/mL of SCF is outside its plausible range" in told for told in plan["warnings"])
        assert any("no plausible range of IL-4" in told for told in plan["warnings"])
        commands = [note for note in plan["notes"] if "plan medium" in note]
        assert commands
        assert not any("--leave-out IL-4" in note for note in commands)
    factorial = nkloop(*DOSING, "--vessel", "plate-24", "--factorial", "TPO=0,x1;IL-4=0,20 ng/mL", "--json").json
    assert {row["arm"] for row in factorial["positions"]} == {"reference", "run-1", "run-2", "run-3"}


HELD_BEFORE = "bag,volume [mL],cells [cells/mL],SCF [ng/mL],IL-7 [ng/mL],IL-15 [ng/mL],IL-2 [IU/mL]"


def test_a_transfer_tells_what_the_medium_before_brings(nkloop: Nkloop, workspace: Workspace, by_ledger: None) -> None:
    (workspace.root / "bags.csv").write_text(f"{HELD_BEFORE},heparin [µg/mL]\nU1-reference,100,4e6,10,10,5,0,20\n")
    asked = ("plan", "dosing", "--recipe", "ucb-nk", "--stage", "differentiation", "--donors", "U1", "--vessel")
    more = ("--day", "14", "--action", "transfer", "--present", "bags.csv")
    plan = nkloop(*asked, "bioreactor", *more, "--json").json
    rows = {row["component"]: row for row in plan["composition"]}
    assert {name for name, row in rows.items() if row["basis"] == "carried"} == {"heparin", "LIF", "MIP-1a", "Flt3L"}
    # a quarter of the new volume is the old medium: 20 µg/mL as measured, 50 pg/mL as the recipe has it
    assert rows["heparin"]["expected"] == pytest.approx(5, rel=0.01)
    assert rows["LIF"]["expected"] == pytest.approx(12.5, rel=0.01)
    assert (rows["LIF"]["target"], rows["LIF"]["deviation_percent"]) == (0, None)
    assert rows["human serum"]["basis"] == "undosed"
    assert rows["human serum"]["expected"] == pytest.approx(0.25 * 10 + 0.75 * 2, rel=0.01)
    assert any(note.startswith("25 % of the volume afterwards is medium of expansion_ii") for note in plan["notes"])
    (carried,) = [told for told in plan["warnings"] if "brings what stage differentiation has not" in told]
    assert "heparin 5 µg/mL (20 % of it)" in carried
    assert any("human serum 4 instead of 2 % v/v" in told for told in plan["warnings"])
    again = nkloop(*asked, "bioreactor", *more, "--from-stage", "differentiation", "--json").json
    assert not [row for row in again["composition"] if row["basis"] == "carried" and row["component"] != "heparin"]
    assert "has no stage 'nowhere'" in nkloop(*asked, "bioreactor", *more, "--from-stage", "nowhere").err


@pytest.mark.parametrize(
    ("suspended", "percent"),
    [
        pytest.param("base", 0, id="base medium"),
        pytest.param("none", -10, id="base liquid alone"),
        pytest.param("expansion_i", 0, id="complete medium"),
    ],
)
def test_what_cells_are_suspended_in_counts(
    nkloop: Nkloop, workspace: Workspace, arms: Path, by_ledger: None, suspended: str, percent: float
) -> None:
    for vessel in (("plate-24",), ("bag", "--volume", "100 mL")):
        plan = nkloop(*DOSING, "--vessel", *vessel, "--arms", arms, "--suspended-in", suspended, "--json").json
        off = [row["deviation_percent"] for row in plan["composition"] if row["basis"] == "undosed"]
        assert off == pytest.approx([percent] * len(off), abs=0.6)
        dosed = [row["deviation_percent"] for row in plan["composition"] if row["basis"] == "dosed"]
        assert max(map(abs, dosed)) < 2
        assert any("off target and not dosed" in told for told in plan["warnings"]) == (percent != 0)
    words = {"base": "base medium", "none": "GBGM alone", "expansion_i": "complete medium of expansion_i"}[suspended]
    assert any(f"into warm {words}" in step["instruction"] for step in plan["operator_steps"])


def test_what_all_arms_have_alike_comes_with_the_base_or_is_dosed(
    nkloop: Nkloop, workspace: Workspace, arms: Path, by_ledger: None
) -> None:
    asked = (*DOSING, "--vessel", "bag", "--volume", "100 mL", "--arms", arms, "--json")
    alike, dosed = nkloop(*asked).json, nkloop(*asked, "--constant", "dose").json
    assert set(alike["dosed"]) == {"SCF", "IL-7"}
    assert set(dosed["dosed"]) == {"SCF", "Flt3L", "TPO", "IL-7"}
    assert sum(alike["tips"].values()) < sum(dosed["tips"].values())
    command = alike["base_medium"]["command"]
    assert "--leave-out SCF" in command
    assert "--leave-out TPO" not in command
    for plan in (alike, dosed):
        tpo = [row for row in plan["composition"] if row["component"] == "TPO"]
        assert {row["basis"] for row in tpo} == {"undosed" if plan is alike else "dosed"}
        assert all(abs(row["deviation_percent"]) < 2 for row in tpo)
    assert "'some' is no way" in nkloop(*asked, "--constant", "some").err


@pytest.mark.parametrize(
    "vessel",
    [
        pytest.param(("plate-24",), id="plate"),
        pytest.param(("bag", "--volume", "20 mL"), id="bag"),
        pytest.param(("bag", "--volume", "100 mL"), id="bag of which people take more than a tube holds"),
    ],
)
def test_the_printed_command_makes_the_base_medium_that_the_dose_takes(
    nkloop: Nkloop, workspace: Workspace, arms: Path, by_ledger: None, vessel: tuple[str, ...]
) -> None:
    dose = nkloop(*DOSING[:-1], "U1", "--vessel", *vessel, "--arms", arms, "--json").json
    taken = next(one for one in dose["parts"][0]["worklist"]["deck"] if one["nickname"] == "base")
    asked = dose["base_medium"]
    assert (asked["barcode"], asked["load_name"]) == (taken["barcode"], taken["load_name"])
    assert any(asked["command"] in note for note in dose["notes"])
    medium = nkloop(*shlex.split(asked["command"])[1:], "--json").json
    made = [one for one in medium["parts"][0]["worklist"]["deck"] if one["barcode"]]
    assert (made[0]["barcode"], made[0]["load_name"]) == (taken["barcode"], taken["load_name"])


def test_a_refusal_tells_the_unit_slip_behind_it(nkloop: Nkloop, workspace: Workspace) -> None:
    (workspace.root / "arms.csv").write_text("arm,SCF [µg/mL]\nslip,50\n", encoding="utf-8")
    ended = nkloop(*DOSING, "--vessel", "plate-24", "--arms", "arms.csv")
    assert ended.code == 1
    assert "SCF" in ended.err.partition("Remedy: ")[0]
    assert "is outside its plausible range" in ended.err.partition("Remedy: ")[2]


def test_another_cytokine_is_no_misspelling(nkloop: Nkloop, workspace: Workspace) -> None:
    (workspace.root / "arms.csv").write_text("arm,IL-21 [ng/mL]\nwith-21,20\n", encoding="utf-8")
    ended = nkloop(*DOSING, "--vessel", "plate-24", "--arms", "arms.csv")
    assert "add a lot of it (docs/how-to/add-a-cytokine.md)" in ended.err
    assert "did you mean" not in ended.err


def test_cells_in_a_medium_nobody_knows_are_refused(nkloop: Nkloop, arms: Path) -> None:
    ended = nkloop(*DOSING, "--vessel", "plate-24", "--arms", arms, "--suspended-in", "PBS")
    assert ended.code == 1
    assert "cells cannot be suspended in 'PBS'" in ended.err


def test_bags_get_labelled_tubes_for_what_they_hold(
    nkloop: Nkloop, workspace: Workspace, arms: Path, by_ledger: None
) -> None:
    (workspace.root / "bags.csv").write_text(
        "bag,volume [mL],SCF [ng/mL],Flt3L [ng/mL],TPO [ng/mL],IL-7 [ng/mL]\n"
        "U1-reference,40,10,10,12,5\nU1-arm-a,40,12,10,12,5\n"
    )
    asked = [*DOSING[:-1], "U1", "--vessel", "bag", "--day", "3", "--arms", arms, "--present", "bags.csv"]
    plan = nkloop(*asked, "--json", "--map", "tubes.csv").json
    assert [tube["bag"] for tube in plan["tubes"]] == ["U1-reference", "U1-arm-a"]
    assert all(tube["delivered_ul"] == 5000 and tube["final_ul"] == 40_000 for tube in plan["tubes"])
    for kind, volume in (("drain", 20_000), ("fill", 15_000), ("weld", 5000)):
        moves = [move for step in plan["operator_steps"] if step["kind"] == kind for move in step["moves"]]
        assert [move["volume_ul"] for move in moves] == [volume] * 2
    assert (workspace.root / "tubes.csv").read_text().count("\n") == 3
    told = nkloop(*asked)
    shown = " ".join(told.out.split())
    assert "for U1-reference reference/U1: " in shown
    assert "Labels: dose expansion_i, day 3; prepared" in shown


def test_what_remains_is_counted_and_dense_cultures_are_split(
    nkloop: Nkloop, workspace: Workspace, arms: Path, by_ledger: None
) -> None:
    lines = [f"{well},1.5 mL,4e5 cells/mL,5,5,5,5" for well in ("A1", "B1", "C1", "D1")]
    head = "well,volume,cells,SCF [ng/mL],Flt3L [ng/mL],TPO [ng/mL],IL-7 [ng/mL]"
    (workspace.root / "present.csv").write_text("\n".join([head, *lines]))
    asked = [*DOSING, "--vessel", "plate-24", "--day", "6", "--arms", arms, "--present", "present.csv"]
    for action, found in (("exchange", "spent medium"), ("split", "split"), ("transfer", "of the new plate")):
        plan = nkloop(*asked, "--action", action, "--json").json
        assert any(found in row["purpose"] for row in plan["transfers"]), action
        assert all(abs(row["deviation_percent"]) < 2 for row in plan["composition"])
        assert any("out of the incubator" in step["instruction"] for step in plan["operator_steps"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param(("--vessel", "plate-7"), "there is no plate 'plate-7'", id="plate"),
        pytest.param(("--vessel", "lab_48_wells"), "there is no bag 'lab_48_wells', and no plate", id="vessel"),
        pytest.param(("--vessel", "bag-7", "--volume", "100 mL"), "there is no bag 'bag-7'", id="bag"),
        pytest.param(("--vessel", "bag", "--replicates", "2"), "--replicates is about wells", id="bag replicates"),
        pytest.param(("--vessel", "bag", "--outer", "avoid"), "--outer is about wells", id="bag outer"),
        pytest.param(
            ("--vessel", "bag", "--volume", "100 mL", "--cells-out", "15"),
            "outside the incubator for about 20 min, at most 15 min are allowed",
            id="bag too long out",
        ),
        pytest.param(("--vessel", "bag"), "the volume of bag U1-reference is not known", id="bag volume"),
        pytest.param(("--vessel", "plate-24", "--day", "40"), "day 40 is outside stage expansion_i", id="day"),
        pytest.param(("--vessel", "plate-24", "--action", "shake"), "there is no action 'shake'", id="action"),
        pytest.param(
            ("--vessel", "plate-24", "--action", "exchange"), "exchange needs to know what stands", id="blind"
        ),
        pytest.param(("--vessel", "plate-24", "--outer", "some"), "'some' is no policy for outer wells", id="outer"),
        pytest.param(("--vessel", "plate-6", "--outer", "avoid"), "0 of them away from the edge", id="no inner wells"),
        pytest.param(("--vessel", "plate-24", "--volume", "5 mL"), "its working volume is 2000 µL", id="volume"),
        pytest.param(("--vessel", "plate-24", "--volume", "5 ng/mL"), "is not a volume above 0", id="volume unit"),
        pytest.param(("--vessel", "plate-24", "--campaign", "c-9"), "c-9", id="campaign"),
        pytest.param(
            ("--vessel", "plate-24", "--campaign", "c", "--factorial", "SCF=x1,x2"),
            "arms are given in two ways",
            id="two ways",
        ),
        pytest.param(("--vessel", "plate-6", "--replicates", "9"), "need 18 wells", id="replicates"),
        pytest.param(("--vessel", "plate-24", "--donors", "U1,U1"), "U1 stands there more than once", id="donor twice"),
        pytest.param(("--vessel", "plate-24", "--hours", "1e9"), "1e+09 h ago is longer than the 720 h", id="hours"),
        pytest.param(("--vessel", "plate-24", "--donors", "../U1"), "'../U1' cannot be a name", id="donor as a path"),
        pytest.param(("--vessel", "plate-24", "--stage", "nowhere"), "has no stage 'nowhere'", id="stage"),
    ],
)
def test_a_request_that_cannot_be_planned_is_told(nkloop: Nkloop, more: tuple[str, ...], message: str) -> None:
    ended = nkloop(*DOSING, *more)
    assert ended.code == 1
    assert message in " ".join(ended.err.split())
    assert "Remedy" in ended.err


def test_a_killing_plate_tells_the_cells_of_every_well(nkloop: Nkloop, workspace: Workspace, by_ledger: None) -> None:
    (workspace.root / "samples.csv").write_text("arm,donor,viability,purity\nreference,U1,91,82\narm-1,U1,88,75\n")
    plan = nkloop("plan", "cytotoxicity", "--arms", "samples.csv", "--json").json
    wanted = {row["component"] for row in plan["composition"]}
    assert wanted == {"effector reference/U1", "effector arm-1/U1", "effector reference effector/PB-NK", "target K-562"}
    assert all(abs(row["deviation_percent"]) < 5 for row in plan["composition"])
    targets = [row for row in plan["composition"] if row["component"] == "target K-562"]
    assert {row["target"] for row in targets} == {10_000}
    assert all(0 < row["cv_percent"] < 5 for row in plan["composition"])
    # each step of the effectors' dilution adds to what may be wrong with them
    mine = {
        row["target"]: row["bias_percent"] for row in plan["composition"] if row["component"] == "effector arm-1/U1"
    }
    assert [mine[cells] for cells in sorted(mine)] == sorted(mine.values(), reverse=True)
    assert min(mine.values()) > 0
    (workspace.root / "layout.json").write_text(json.dumps(plan["layouts"][0]))
    again = nkloop("plan", "cytotoxicity", "--layout", "layout.json", "--json").json
    assert again["transfers"] == plan["transfers"]


def test_a_killing_plate_that_was_used_is_planned_and_not_offered_to_be_run(
    nkloop: Nkloop, workspace: Workspace, by_ledger: None
) -> None:
    (workspace.root / "samples.csv").write_text("arm,donor,viability,purity\nreference,U1,91,82\n")
    asked = ("plan", "cytotoxicity", "--arms", "samples.csv", "--csv", "killing.csv")
    assert "To run it: " in nkloop(*asked).out
    worklist = Worklist.model_validate(
        json.loads((workspace.root / "killing.plan.json").read_text())["parts"][0]["worklist"]
    )
    with opened(workspace) as records:
        verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=())
        run_id = records.journal.create_run(
            worklist, verdict, bench="virtual", device="flex", at=datetime.now(UTC), context=Context()
        )
        done = [JournalEvent(number=step.number, event="done", at=datetime.now(UTC)) for step in worklist.steps]
        records.journal.append_events(run_id, done)
    ended = nkloop(*asked)
    assert ended.code == 0
    told = " ".join(ended.out.split())
    assert f"filled before, by {run_id}" in told
    assert "with another --plate, such as killing" in told
    assert "It cannot be run as it is: see the warnings." in told
    assert "To run it" not in told


def test_the_run_sheet_of_a_killing_plate_names_its_recipe(
    nkloop: Nkloop, workspace: Workspace, by_ledger: None
) -> None:
    (workspace.root / "samples.csv").write_text("arm,donor,viability,purity\nreference,U1,91,82\n")
    asked = ("plan", "cytotoxicity", "--arms", "samples.csv", "--sheet", "sheet.html")
    for more, told in (((), "Recipe none"), (("--recipe", "ucb-nk"), "Recipe ucb-nk@")):
        assert nkloop(*asked, *more).code == 0
        assert told in (workspace.root / "sheet.html").read_text(encoding="utf-8")


def test_the_run_sheet_of_a_killing_plate_names_the_containers_to_take(
    nkloop: Nkloop, workspace: Workspace, by_ledger: None
) -> None:
    """Where the stock is counted; before that a run asks for the code of the lot."""
    (workspace.root / "samples.csv").write_text("arm,donor,viability,purity\nreference,U1,91,82\n")
    assert nkloop("plan", "cytotoxicity", "--arms", "samples.csv", "--sheet", "sheet.md").code == 0
    told = (workspace.root / "sheet.md").read_text(encoding="utf-8")
    assert "LOT-LDHSTOP-01" in told
    assert "LDHSTOP-01-01" not in told
    lots = workspace.devices / "lots" / "virtual.yaml"
    assert nkloop("lots", "import", lots, "--by", "Ada").code == 0
    ended = nkloop("plan", "cytotoxicity", "--arms", "samples.csv", "--sheet", "sheet.md")
    assert ended.code == 0
    told = (workspace.root / "sheet.md").read_text(encoding="utf-8")
    assert "LDHLYSIS-01-01 " in told
    assert "LDHSUBSTRATE-01-01 " in told
    assert "lot LOT-LDHSTOP-01, scan LDHSTOP-01-01 " in told  # in the loading list, too


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("arm,donor,viability\na,U1,90\n", "has no column purity", id="column"),
        pytest.param("arm,donor,viability,purity\na,U1,190,80\n", "190 is outside 0 to 100 %", id="percent"),
        pytest.param("arm,donor,viability,purity\na,U1,90,80\na,U1,90,80\n", "sample a/U1 stands twice", id="twice"),
        pytest.param("arm,donor,viability,purity\na,U1,90,\n", "the cell is empty", id="empty"),
        pytest.param("arm,donor,viability,purity\na,../U1,90,80\n", "'../U1' cannot be a name", id="name"),
    ],
)
def test_a_broken_sample_table_is_refused(nkloop: Nkloop, workspace: Workspace, text: str, message: str) -> None:
    (workspace.root / "samples.csv").write_text(text)
    ended = nkloop("plan", "cytotoxicity", "--arms", "samples.csv")
    assert ended.code == 1
    assert message in ended.err


def test_a_layout_that_is_none_is_refused(nkloop: Nkloop, workspace: Workspace) -> None:
    (workspace.root / "layout.json").write_text('{"barcode": "P"}')
    ended = nkloop("plan", "cytotoxicity", "--layout", "layout.json")
    assert ended.code == 1
    assert "layout.json: method" in ended.err
    assert "name either a layout or a table of samples" in nkloop("plan", "cytotoxicity").err


def test_what_is_wrong_with_many_wells_is_said_once_with_the_wells(nkloop: Nkloop) -> None:
    ended = nkloop(*DOSING, "--vessel", "plate-24", "--volume", "15 mL")
    assert ended.code == 1
    assert ended.err.count("the well would hold 15000 µL") == 1
    assert "wells A1, B1: the well would hold" in ended.err


@pytest.mark.parametrize("kind", ["plate-24", "corning_24_wellplate_3.4ml_flat"])
def test_a_kind_of_plate_is_no_barcode(nkloop: Nkloop, kind: str) -> None:
    ended = nkloop(*DOSING, "--vessel", "plate-24", "--plate", kind)
    assert ended.code == 1
    assert f"name the kind with --vessel {kind}" in ended.err


def test_wells_that_hold_the_same_are_one_table(nkloop: Nkloop, by_ledger: None) -> None:
    ended = nkloop(*DOSING, "--vessel", "plate-24")
    assert ended.code == 0, ended.err
    assert ended.out.count("TPO ") == nkloop(*DOSING[:-1], "U1", "--vessel", "plate-24").out.count("TPO ")
    assert "A1 (reference/U1)," in ended.out


@pytest.mark.parametrize(
    "vessel", [pytest.param(("plate-24",), id="plate"), pytest.param(("bag", "--volume", "100 mL"), id="bag")]
)
def test_what_the_base_brings_has_the_errors_of_the_plan_that_makes_it(
    nkloop: Nkloop, by_ledger: None, vessel: tuple[str, ...]
) -> None:
    plan = nkloop(*DOSING, "--vessel", *vessel, "--suspended-in", "base", "--constant", "auto", "--json").json
    known = plan["base_medium"]["errors"]
    made = nkloop(*shlex.split(plan["base_medium"]["command"])[1:], "--json").json
    for row in made["composition"]:
        told = {name: known[row["component"]][name] for name in ("cv_percent", "bias_percent")}
        assert told == pytest.approx({name: row[name] for name in told}, abs=0.006)
    brought = [row for row in plan["composition"] if row["basis"] == "undosed"]
    assert {"GM-CSF", "human serum"} <= {row["component"] for row in brought}
    for row in brought:
        assert known[row["component"]]["bias_percent"] - 0.01 <= row["bias_percent"] <= 12
        assert row["cv_percent"] is not None


def test_the_base_is_held_to_the_limits_that_are_asked_for(nkloop: Nkloop, by_ledger: None) -> None:
    asked = (*DOSING, "--vessel", "plate-24", "--json")
    for limit, stricter in ((None, False), ("9", True)):
        plan = nkloop(*asked, *(() if limit is None else ("--max-bias", limit))).json
        assert ("--max-bias 9" in plan["base_medium"]["command"]) == stricter
        assert all(row["bias_percent"] <= float(limit or 12) for row in plan["composition"])
        worst = max(one["bias_percent"] for one in plan["base_medium"]["errors"].values())
        assert (worst <= 9) == stricter


def test_a_base_that_was_made_has_the_errors_of_its_run(nkloop: Nkloop, workspace: Workspace, by_ledger: None) -> None:
    asked = (*DOSING, "--vessel", "plate-24", "--json")
    command = shlex.split(nkloop(*asked).json["base_medium"]["command"])[1:]
    made = nkloop(*command, "--json").json
    worklist = Worklist.model_validate(made["parts"][0]["worklist"])
    at = datetime(2026, 11, 23, 8, tzinfo=UTC)
    verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=())
    with opened(workspace) as records:
        run = records.journal.create_run(worklist, verdict, bench="virtual", device="flex", at=at, context=Context())
        records.journal.append_event(run, [s.number for s in worklist.steps], "done", at=at, device="flex")
        records.journal.set_run_state(run, "succeeded", ended_at=at)
    told = nkloop(*asked).json["base_medium"]
    assert told["errors_from"] == f"of run {run}, which prepared it"
    # another volume is more than what stands there: it has to be made anew
    more = nkloop(*asked, "--replicates", "8").json["base_medium"]
    assert more["errors_from"] == "of its own plan, with the lots at hand"
