"""Every vessel in every mode, planned as a person types it, judged by the ledger and by PyLabRobot's trackers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nkloop.cli.plan import planned as planned_module
from nkloop.drivers.pylabrobot.tracking import check_tracking
from nkloop.records.models import Context, JournalEvent
from nkloop.runs.stock import opened
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import CELLS_OUT_MINUTES, CheckResult, Verdict, Worklist
from nkloop.worklists.time_rules import time_problems
from nkloop.workspace import Workspace

Nkloop = Callable[..., Any]
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
DOSING = ("plan", "dosing", "--recipe", "ucb-nk", "--stage", "expansion_i", "--seed", "7")
HELD = "SCF [ng/mL],Flt3L [ng/mL],TPO [ng/mL],IL-7 [ng/mL]"
MODES = ("seed", "exchange", "top-up", "dilute", "split", "transfer")
# mL of a well that is full, and of one that has room
PLATES = {"plate-96": (0.2, 0.1), "plate-48": (0.7, 0.4), "plate-24": (1.5, 0.8), "plate-6": (2.8, 1.5)}
IS_ROOMY = {"top-up", "dilute"}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Worklist]:
    """The worklists that were verified; verdicts come from the two checks that need no vendor environment."""
    parts_seen: list[Worklist] = []

    async def verified(parts: Any, workspace: Workspace, catalogue: Any, file: Any) -> tuple[Verdict, ...]:
        def verdict(part: Worklist) -> Verdict:
            parts_seen.append(part)
            late = tuple(time_problems(part, busy_minutes(part, file.deck)))
            checks = (
                check_ledger(part, catalogue, file.deck),
                CheckResult.of("ledger", 0.0, late),
                check_tracking(part, catalogue),
            )
            return Verdict(worklist=part.name, worklist_hash=part.content_hash, checks=checks)

        return tuple(verdict(part) for part in parts)

    monkeypatch.setattr(planned_module, "verified", verified)
    return parts_seen


@pytest.fixture
def arms(workspace: Workspace) -> Path:
    path = workspace.root / "arms.csv"
    path.write_text("arm,SCF [ng/mL],IL-7\narm-a,40,x0.5\n", encoding="utf-8")
    return path


def present(workspace: Workspace, kind: str, names: tuple[str, ...], volume: str, cells: str) -> Path:
    path = workspace.root / "present.csv"
    lines = [f"{name},{volume},{cells},5,5,5,5" for name in names]
    path.write_text("\n".join([f"{kind},volume,cells,{HELD}", *lines]), encoding="utf-8")
    return path


def printed(page: Path) -> str:
    """The text of a page as a person reads it, its blanks of one size."""
    return " ".join(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")).split())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("vessel", PLATES)
def test_a_plate_ends_on_target_in_every_mode(
    nkloop: Nkloop, workspace: Workspace, arms: Path, seen: list[Worklist], vessel: str, mode: str
) -> None:
    wells = ("A1", "B1", "C1", "D1") if vessel != "plate-6" else ("A1", "B1", "A2", "B2")
    asked = [*DOSING, "--vessel", vessel, "--donors", "U1,U2", "--arms", arms, "--action", mode]
    if mode != "seed":
        full, roomy = PLATES[vessel]
        volume, cells = (roomy, "1.6e5") if mode in IS_ROOMY else (full, "4e5")
        asked += ["--day", "3", "--present", present(workspace, "well", wells, f"{volume} mL", f"{cells} cells/mL")]
    plan = nkloop(*asked, "--json")
    assert plan.code == 0, (plan.err, plan.json["verdict"])
    rows = [row for row in plan.json["composition"] if row["basis"] == "dosed"]
    assert len(rows) == 4 * 4
    beside = [row for row in plan.json["composition"] if row["basis"] != "dosed"]
    assert len(beside) == 4 * 7
    # what stands there is taken to be medium of the stage, which the fresh base does not change
    assert [round(row["deviation_percent"]) for row in beside] == [-10 if mode == "seed" else 0] * len(beside)
    assert ("off target and not dosed" in str(plan.json["warnings"])) == (mode == "seed"), plan.json["warnings"]
    assert max(abs(row["deviation_percent"]) for row in rows) < 2
    for worklist in seen:
        assert worklist.limits.cells_out_minutes == CELLS_OUT_MINUTES
        assert worklist.limits.cells_in == (() if mode == "seed" else ("culture",))
        told = [s.operator.instruction for s in worklist.steps if s.operator is not None]
        assert any(("donor tubes" if mode == "seed" else "out of the incubator") in text for text in told)


RESPONSE = ("0", "0.1", "0.3", "1", "3", "10", "30", "100")
"""ng/mL of a dose-response: none, then a span of a thousand."""


@pytest.mark.parametrize("vessel", ["plate-96", "plate-48", "plate-24"])
def test_doses_a_thousandfold_apart_come_from_several_dilutions(
    nkloop: Nkloop, workspace: Workspace, seen: list[Worklist], vessel: str
) -> None:
    table = workspace.root / "arms.csv"
    rows = [f"dose-{number},{dose},x{1 + 0.1 * number:.1f}" for number, dose in enumerate(RESPONSE)]
    table.write_text("\n".join(["arm,SCF [ng/mL],IL-7", *rows]), encoding="utf-8")
    plan = nkloop(*DOSING, "--vessel", vessel, "--donors", "U1", "--arms", table, "--json")
    assert plan.code == 0, plan.err
    reached = {row["destination"]: row for row in plan.json["composition"] if row["component"] == "SCF"}
    assert sorted(row["target"] for row in reached.values()) == sorted([25.0, *map(float, RESPONSE)])
    assert all(abs(row["expected"] - row["target"]) <= 0.02 * row["target"] for row in reached.values())
    (told,) = [note for note in plan.json["notes"] if note.startswith("SCF is pre-diluted")]
    assert re.search(r"; \d+ doses? from [^.]+, \d+ from 1:", told), told
    assert plan.json["feeding"] == ("columns" if vessel == "plate-96" else "arms")
    assert ("out of one vessel for each arm would be" in str(plan.json["notes"])) == (vessel == "plate-96")
    (worklist,) = seen
    doses = [step for step in worklist.steps if step.comment.startswith("SCF for")]
    assert len(doses) == 8
    assert min(step.volume_ul for step in doses) >= 5


@pytest.mark.parametrize(
    ("mode", "volume", "final_ml", "cells", "told"),
    [
        pytest.param("exchange", None, 40, 1.6e5, ("drain 20 mL of supernatant", "run in 15 mL"), id="exchange"),
        pytest.param(
            "exchange",
            "56 mL",
            56,
            1.143e5,
            ("Do not mix. Weld a waste bag on, drain 20 mL", "run in 31 mL"),
            id="exchange into more volume",
        ),
        pytest.param("top-up", None, 45, 1.422e5, (), id="top up with the dose alone"),
        pytest.param("dilute", None, 50, 1e5, ("run in 5 mL",), id="dilute to the seeding density"),
        pytest.param("split", None, 40, 1e5, ("gently and drain 15 mL", "run in 10 mL"), id="split to the density"),
    ],
)
def test_a_bag_ends_on_target_in_every_mode(
    nkloop: Nkloop,
    workspace: Workspace,
    arms: Path,
    seen: list[Worklist],
    mode: str,
    volume: str | None,
    final_ml: float,
    cells: float,
    told: tuple[str, ...],
) -> None:
    counted = "1.25e5 cells/mL" if mode == "dilute" else "1.6e5 cells/mL"
    table = present(workspace, "bag", ("U1-reference", "U1-arm-a"), "40 mL", counted)
    asked = ["--vessel", "bag", "--donors", "U1", "--arms", arms, "--day", "3", "--present", table, "--action", mode]
    asked += ["--volume", volume] if volume is not None else []
    plan = nkloop(*DOSING, *asked, "--json", "--labels", "labels.html", "--sheet", "sheet.html")
    assert plan.code == 0, plan.err
    labels = printed(workspace.root / "labels.html")
    for tube in plan.json["tubes"]:
        assert tube["label"]["batch"] in labels
        assert tube["label"]["content"] in labels
        assert tube["label"]["prepared"][:16].replace("T", " ") not in labels, "nobody filled it yet"
        assert tube["label"]["expires"] in labels
    assert labels.count("____:____") == labels.count("Prepared ")
    assert "<!DOCTYPE html>" in (workspace.root / "sheet.html").read_text(encoding="utf-8")[:50]
    orders = [note for note in plan.json["notes"] if "plan medium" in note]
    assert len(orders) == 1, "one order of base medium, for the deck and for people"
    assert ("in one batch" in orders[0]) == bool(plan.json["base_by_hand_ul"])
    assert [tube["final_ul"] for tube in plan.json["tubes"]] == [1000 * final_ml] * 2
    assert max(abs(row["deviation_percent"]) for row in plan.json["composition"]) < 2
    assert {row["basis"] for row in plan.json["composition"]} == {"dosed", "undosed"}
    done = [step["instruction"] for step in plan.json["operator_steps"] if step["kind"] in {"drain", "fill"}]
    assert len(done) == 2 * len(told)
    assert all(words in text for words, text in zip(told, done, strict=False)), done
    ended = [vessel.end_cells_per_ul for worklist in seen for vessel in worklist.vessels]
    assert ended == pytest.approx([cells / 1000] * 2, rel=0.001)


@pytest.mark.parametrize(
    ("mode", "cells", "message"),
    [
        pytest.param("dilute", "1e5", "not denser than", id="not dense"),
        pytest.param("dilute", "1.05e5", "the dose brings 5 mL", id="less room than the dose"),
        pytest.param("transfer", "9e4", "Remedy: wait until they are", id="too thin to move"),
    ],
)
def test_a_bag_that_cannot_be_thinned_is_told(
    nkloop: Nkloop, workspace: Workspace, arms: Path, seen: list[Worklist], mode: str, cells: str, message: str
) -> None:
    table = present(workspace, "bag", ("U1-reference", "U1-arm-a"), "40 mL", f"{cells} cells/mL")
    asked = ["--vessel", "bag", "--donors", "U1", "--arms", arms, "--day", "3", "--present", table, "--action", mode]
    ended = nkloop(*DOSING, *asked)
    assert (ended.code, seen) == (1, [])
    assert message in " ".join(ended.err.split())


VECTOR = (
    "plan",
    "dosing",
    "--recipe",
    "ucb-nk-transduced",
    "--stage",
    "expansion_ii",
    "--step",
    "vector",
    "--donors",
    "U1",
)


@pytest.mark.parametrize(
    ("vessel", "kind", "names", "volume"),
    [
        pytest.param("plate-24", "well", ("A1", "B1"), "1.5 mL", id="plate"),
        pytest.param("bag", "bag", ("U1-reference", "U1-untransduced"), "100 mL", id="bags"),
    ],
)
def test_a_vector_and_its_control_are_planned_on_every_paper(
    nkloop: Nkloop,
    workspace: Workspace,
    seen: list[Worklist],
    vessel: str,
    kind: str,
    names: tuple[str, ...],
    volume: str,
) -> None:
    (workspace.root / "counted.csv").write_text(
        "\n".join([f"{kind},volume,cells", *(f"{name},{volume},2e5 cells/mL" for name in names)]), encoding="utf-8"
    )
    papers = ("--map", "map.csv", "--sheet", "sheet.html", "--labels", "labels.html", "--json")
    plan = nkloop(*VECTOR, "--vessel", vessel, "--day", "10", "--present", "counted.csv", *papers)
    assert plan.code == 0, plan.err
    told = {one["arm"]: one for one in plan.json["additions"]}
    assert (told["reference"]["liquid"], told["untransduced"]["liquid"]) == ("CAR vector", "GBGM")
    assert told["reference"]["volume_ul"] == told["untransduced"]["volume_ul"]
    assert told["reference"]["thinned_percent"] == told["untransduced"]["thinned_percent"]
    assert plan.json["without"] == [told["untransduced"]["vessel"]]
    assert 20 < plan.json["thawed_minutes"] < 60
    table = (workspace.root / "map.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[2:4] for line in table[1:]] == [["reference", "U1"], ["untransduced", "U1"]]
    kinds = [step["kind"] for step in plan.json["operator_steps"]]
    assert kinds.count("thaw") == 1
    assert kinds.index("thaw") < len(kinds) - 2
    labels = printed(workspace.root / "labels.html")
    assert all(tube["label"]["content"] in labels for tube in plan.json["tubes"])
    assert len(plan.json["tubes"]) == (0 if vessel == "plate-24" else 2)
    assert "A second person checks" in (workspace.root / "sheet.html").read_text(encoding="utf-8")


def test_a_step_on_another_day_or_too_slow_is_refused(
    nkloop: Nkloop, workspace: Workspace, seen: list[Worklist]
) -> None:
    (workspace.root / "counted.csv").write_text(
        "bag,volume,cells\nU1-reference,100 mL,2e5 cells/mL\nU1-untransduced,100 mL,2e5 cells/mL", encoding="utf-8"
    )
    asked = [*VECTOR, "--vessel", "bag", "--present", "counted.csv"]
    for more, message in (
        (["--day", "11"], "step vector belongs to day 10, day 11 was asked for"),
        (["--volume", "90 mL"], "--volume 90 mL means nothing beside --step vector"),
        (["--action", "top-up"], "--action top-up means nothing beside --step vector"),
        (["--thawed", "25"], "after it left the freezer; at most 25 min"),
    ):
        ended = nkloop(*asked, *more)
        assert (ended.code, seen) == (1, [])
        assert message in " ".join(ended.err.split())


def test_a_plan_for_bags_says_which_batch_it_is_for_and_which_names_another_has_used(
    nkloop: Nkloop, workspace: Workspace, arms: Path, seen: list[Worklist]
) -> None:
    table = present(workspace, "bag", ("U1-reference", "U1-arm-a"), "40 mL", "5e5 cells/mL")
    asked = [*DOSING, "--vessel", "bag", "--donors", "U1", "--arms", arms, "--day", "3", "--present", table]
    first = nkloop(*asked, "--batch", " A ", "--json").json
    assert first["batch"] == "A"
    assert "batch" not in nkloop(*asked, "--json").json
    worklist = Worklist.model_validate(first["parts"][0]["worklist"])
    with opened(workspace) as records:
        verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=())
        run_id = records.journal.create_run(
            worklist, verdict, bench="virtual", device="flex", at=AT, context=Context(batch="A")
        )
        done = [JournalEvent(number=step.number, event="done", at=AT) for step in worklist.steps]
        records.journal.append_events(run_id, done)
    told = f"were used by {run_id} ({worklist.name}) of batch A"
    assert not [one for one in nkloop(*asked, "--batch", "A", "--json").json["warnings"] if told in one]
    (warning,) = [one for one in nkloop(*asked, "--batch", "B", "--json").json["warnings"] if told in one]
    assert warning.endswith("this plan is for batch B: write the batch on the labels")


@pytest.fixture
def seeded(nkloop: Nkloop, workspace: Workspace, seen: list[Worklist]) -> Workspace:
    """A workspace whose records know that the wells of culture-1 were filled with 1.5 mL."""
    plan = nkloop(*DOSING, "--donors", "U1", "--vessel", "plate-24", "--replicates", "2", "--json")
    assert plan.code == 0, plan.err
    part = Worklist.model_validate(plan.json["parts"][0]["worklist"])
    verdict = Verdict(worklist=part.name, worklist_hash=part.content_hash, checks=())
    with opened(workspace) as records:
        run = records.journal.create_run(part, verdict, bench="virtual", device="flex", at=AT, context=Context())
        records.journal.append_event(run, [step.number for step in part.steps], "done", at=AT, device="flex")
        records.journal.set_run_state(run, "succeeded", ended_at=AT)
    return workspace


FED = (*DOSING, "--donors", "U1", "--vessel", "plate-24", "--replicates", "2", "--day", "3")


def test_a_table_that_differs_from_the_records_is_told_on_every_paper(nkloop: Nkloop, seeded: Workspace) -> None:
    table = present(seeded, "well", ("A1", "B1"), "0.9 mL", "2e5 cells/mL")
    feed = (*FED, "--present", table, "--volume", "1.5 mL")
    plan = nkloop(*feed, "--sheet", "sheet.html", "--json")
    assert plan.code == 0, plan.err
    (told,) = [one for one in plan.json["warnings"] if "records" in one]
    assert "records of plate culture-1: 900 µL in A1 where the records have 1.5 mL (40 % less), 900 µL in B1" in told
    assert told in printed(seeded.root / "sheet.html")
    nkloop(*feed, "--sheet", "sheet.md")
    assert "900 µL in A1 where the records have 1.5 mL" in (seeded.root / "sheet.md").read_text(encoding="utf-8")
    assert "900 µL in A1 where the records have 1.5 mL" in " ".join(nkloop(*feed).out.split())
    # of a plate the records do not know nothing is said, nor where the table agrees
    other = nkloop(*feed, "--plate", "culture-9", "--json").json
    present(seeded, "well", ("A1", "B1"), "1.45 mL", "2e5 cells/mL")
    same = nkloop(*feed, "--json").json
    assert not [one for plan in (other, same) for one in plan["warnings"] if "records" in one]


@pytest.mark.parametrize("volume", ["1.8 mL", "0.7 mL"])
def test_a_volume_that_cannot_be_needs_a_reason(nkloop: Nkloop, seeded: Workspace, volume: str) -> None:
    feed = (*FED, "--present", present(seeded, "well", ("A1", "B1"), volume, "2e5 cells/mL"))
    refused = nkloop(*feed)
    assert refused.code != 0
    assert "in A1 where the records have 1.5 mL" in refused.err
    assert "--present-as-told" in refused.err
    plan = nkloop(*feed, "--present-as-told", "by hand", "--sheet", "sheet.html", "--json")
    assert plan.code == 0, plan.err
    assert "Plate culture-1 is taken to hold what --present says: by hand." in plan.json["notes"]
    assert any("records of plate culture-1" in one for one in plan.json["warnings"])
    assert "says: by hand." in printed(seeded.root / "sheet.html")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param(("--vessel", "plate-24", "--present-as-told", "by hand"), "without --present", id="no_table"),
        pytest.param(("--vessel", "bag", "--present-as-told", "by hand"), "--present-as-told", id="bags"),
    ],
)
def test_a_reason_without_a_plate_and_table_is_refused(nkloop: Nkloop, more: tuple[str, ...], message: str) -> None:
    refused = nkloop(*DOSING, "--donors", "U1", *more)
    assert refused.code != 0
    assert message in refused.err
