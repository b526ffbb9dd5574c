"""The three protocols with their examples, in the real Opentrons analysis."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nkloop.labware.catalogue import Catalogue
from nkloop.vendor.analysis import Analysis
from nkloop.vendor.client import VendorClient
from nkloop.worklists.analysis_check import compare_steps, read_commands
from nkloop.worklists.csv_format import COLUMNS, from_csv
from nkloop.worklists.interpreter_block import check_protocols_in_sync
from nkloop.worklists.models import Worklist

ROOT = Path(__file__).parents[2]
PROTOCOLS = ROOT / "protocols"
CATALOGUE = Catalogue.load(ROOT / "labware")
PROCEDURES = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
FILES = (*PROCEDURES, *(f"ot2/{procedure}" for procedure in PROCEDURES))
Row = dict[str, str]
Json = dict[str, Any]


def example(procedure: Any) -> str:
    return (PROTOCOLS / f"{procedure}.example.csv").read_text()


def worklist(procedure: Any) -> Worklist:
    return from_csv(example(procedure), name=procedure, procedure=procedure.removeprefix("ot2/"))


async def analysed(vendor: VendorClient, procedure: str, text: str) -> Analysis:
    labware = CATALOGUE.own_definitions
    return await vendor.analyse(PROTOCOLS / f"{procedure}.py", csv=text, labware=labware)


def edited(procedure: str, edit: Callable[[list[Row]], Any]) -> str:
    rows = list(csv.DictReader(io.StringIO(example(procedure))))
    edit(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def steps(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["record"] == "step"]


def moves(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Steps of the robot, without the pauses of a person."""
    return [row for row in steps(rows) if row["action"] != "pause"]


def small_tips(rows: list[Row]) -> list[Row]:
    """Steps that take a new 50 µL tip."""
    return [row for row in steps(rows) if row["tip"].startswith("tips_50:")]


def shaken(rows: list[Row]) -> Row:
    """Put the assay plate on the heater-shaker and shake it at the end."""
    plate = {"slot": "D1", "module": "heaterShakerModuleV1", "adapter": "opentrons_universal_flat_adapter"}
    next(row for row in rows if row["record"] == "labware" and row["name"] == "assay").update(plate)
    last = int(rows[-1]["step"])
    blank = dict.fromkeys(COLUMNS, "")
    rows.append({**blank, "record": "step", "step": str(last + 1), "action": "shake"})
    rows[-1].update(labware="assay", seconds="10", rpm="500")
    return rows[-1]


def of_type(analysis: Analysis, *kinds: str) -> list[Json]:
    return [command for command in analysis.commands if command["commandType"] in kinds]


def test_the_interpreter_is_the_same_in_every_protocol() -> None:
    there = {path.relative_to(PROTOCOLS).with_suffix("").as_posix() for path in PROTOCOLS.rglob("*.py")}
    assert there == set(FILES)
    assert check_protocols_in_sync(PROTOCOLS) == ()


@pytest.mark.parametrize("procedure", FILES)
def test_a_protocol_explains_itself_and_uses_listed_labware_only(procedure: str) -> None:
    text = (PROTOCOLS / f"{procedure}.py").read_text()
    explained = text.split('"""')[1]
    for told in ("What it does", "On the deck before the start", "The worklist", f"{Path(procedure).name}.example.csv"):
        assert told in explained
    listed = re.findall(r'^    "(\w[\w.]+)": "', text.split("LABWARE = {")[1].split("\n}")[0], re.MULTILINE)
    assert len(listed) > 6
    assert [name for name in listed if name not in CATALOGUE] == []


@pytest.mark.parametrize("procedure", FILES)
def test_an_example_neither_overdraws_nor_overfills_nor_reuses_a_tip(procedure: str) -> None:
    plan = worklist(procedure)
    kinds = {item.nickname: CATALOGUE[item.load_name] for item in plan.deck}
    held = {(filling.labware, filling.well): filling.volume_ul for filling in plan.fillings}
    tips: set[str] = set()
    for (labware, _), volume in held.items():
        assert volume <= kinds[labware].working_volume_ul
    for step in plan.steps:
        rack, _, tip = step.tip.partition(":")
        for place in kinds[rack].reached(tip, step.channels) if tip else ():
            assert f"{rack}:{place}" not in tips
            tips.add(f"{rack}:{place}")
        if step.action != "transfer":
            continue
        for well in kinds[step.labware].reached(step.well, step.channels):
            held[step.labware, well] = held.get((step.labware, well), 0) - step.volume_ul
            assert held[step.labware, well] >= kinds[step.labware].dead_volume_ul - 1e-6, step
        for well in kinds[step.to_labware].reached(step.to_well, step.channels):
            held[step.to_labware, well] = held.get((step.to_labware, well), 0) + step.volume_ul
            assert held[step.to_labware, well] <= kinds[step.to_labware].working_volume_ul, step
    assert len(tips) > 20


@pytest.mark.vendor
@pytest.mark.timeout(600)
@pytest.mark.asyncio(loop_scope="session")
class TestAnalysed:
    """What the robot would do."""

    @pytest.mark.parametrize("procedure", [*PROCEDURES, "ot2/cytokine_dosing"])
    async def test_each_step_is_announced_and_moves_what_it_says(self, vendor: VendorClient, procedure: str) -> None:
        plan = worklist(procedure)
        analysis = await analysed(vendor, procedure, example(procedure))
        assert analysis.errors == ()
        said = [command["params"]["message"] for command in of_type(analysis, "comment")]
        assert [int(message.removeprefix("step ").split(":")[0]) for message in said] == [s.number for s in plan.steps]
        names = {item["id"]: item["displayName"] for item in analysis.labware if "displayName" in item}
        labels = {item.nickname: item.label for item in plan.deck}
        number = 0
        moved: dict[int, list[Any]] = {step.number: [] for step in plan.steps}
        for command in of_type(analysis, "comment", "aspirate", "dispense"):
            params = command["params"]
            if command["commandType"] == "comment":
                number = int(params["message"].removeprefix("step ").split(":")[0])
            else:
                place = (names[params["labwareId"]], params["wellName"])
                moved[number].append((command["commandType"], *place, params["volume"]))
        for step in plan.steps:
            if step.action == "transfer":
                taken = ("aspirate", labels[step.labware], step.well, step.volume_ul)
                given = ("dispense", labels[step.to_labware], step.to_well, step.volume_ul)
                assert len(moved[step.number]) == 2 + 2 * (step.mix_before + step.mix_after)
                assert moved[step.number][2 * step.mix_before :][:2] == [taken, given]

    @pytest.mark.parametrize("procedure", PROCEDURES)
    async def test_no_tip_is_held_at_a_pause_or_at_the_end(self, vendor: VendorClient, procedure: str) -> None:
        analysis = await analysed(vendor, procedure, example(procedure))
        held: set[str] = set()
        picked = 0
        for command in of_type(analysis, "pickUpTip", "dropTipInPlace", "waitForResume"):
            if command["commandType"] == "pickUpTip":
                picked += 1
                held.add(command["params"]["pipetteId"])
            elif command["commandType"] == "dropTipInPlace":
                held.remove(command["params"]["pipetteId"])
            else:
                assert not held
                assert re.match(r"step \d+: \w", command["params"]["message"])
        assert not held
        assert picked == sum(bool(step.tip) for step in worklist(procedure).steps)

    async def test_liquids_are_shown_where_they_stand(self, vendor: VendorClient) -> None:
        analysis = await analysed(vendor, "cytokine_dosing", example("cytokine_dosing"))
        plan = worklist("cytokine_dosing")
        shown = {
            (well, volume)
            for command in of_type(analysis, "loadLiquid")
            for well, volume in command["params"]["volumeByWell"].items()
        }
        assert shown == {(filling.well, filling.volume_ul) for filling in plan.fillings}
        assert {liquid["displayName"] for liquid in analysis.liquids} == {f.liquid.name for f in plan.fillings}

    async def test_modules_are_set_before_the_first_step(self, vendor: VendorClient) -> None:
        analysis = await analysed(vendor, "medium_preparation", example("medium_preparation"))
        kinds = [command["commandType"] for command in analysis.commands]
        assert kinds.index("temperatureModule/waitForTemperature") < kinds.index("comment")
        assert of_type(analysis, "temperatureModule/setTargetTemperature")[0]["params"]["celsius"] == 4

    async def test_a_shaker_is_latched_for_the_robot_and_open_for_the_operator(self, vendor: VendorClient) -> None:
        analysis = await analysed(vendor, "cytotoxicity_assay", edited("cytotoxicity_assay", shaken))
        assert analysis.errors == ()
        latch = "open"
        for command in analysis.commands:
            kind = command["commandType"]
            if kind.endswith("LabwareLatch"):
                latch = "open" if "/open" in kind else "closed"
            elif kind in ("aspirate", "dispense", "heaterShaker/setAndWaitForShakeSpeed"):
                assert latch == "closed"
            elif kind == "waitForResume":
                assert latch == "open"
        assert latch == "open"
        kinds = [command["commandType"] for command in analysis.commands]
        shake = kinds.index("heaterShaker/setAndWaitForShakeSpeed")
        assert kinds[shake : shake + 3] == [kinds[shake], "waitForDuration", "heaterShaker/deactivateShaker"]

    async def test_a_heated_shaker_is_awaited_and_switched_off_at_the_end(self, vendor: VendorClient) -> None:
        def heat(rows: list[Row]) -> None:
            shaken(rows).update(action="delay", seconds="90")
            next(row for row in rows if row["name"] == "assay").update(temperature_c="37")

        analysis = await analysed(vendor, "cytotoxicity_assay", edited("cytotoxicity_assay", heat))
        assert analysis.errors == ()
        kinds = [command["commandType"] for command in analysis.commands]
        assert kinds.index("heaterShaker/waitForTemperature") < kinds.index("comment")
        assert kinds.index("heaterShaker/deactivateHeater") > len(kinds) - kinds[::-1].index("aspirate")
        (wait,) = of_type(analysis, "waitForDuration")
        assert wait["params"]["seconds"] == 90

    async def test_a_dispense_from_the_rim_is_one_in_the_analysis_too(self, vendor: VendorClient) -> None:
        def drop(rows: list[Row]) -> None:
            row = next(row for row in steps(rows) if row["action"] == "transfer" and not row["mix_after"])
            row.update(dispense_at="rim")

        text = edited("medium_preparation", drop)
        plan = from_csv(text, name="rim", procedure="medium_preparation")
        analysis = await analysed(vendor, "medium_preparation", text)
        assert list(compare_steps(plan, read_commands(plan, analysis.commands, CATALOGUE)[0])) == []
        touching = worklist("medium_preparation")
        (told,) = compare_steps(touching, read_commands(touching, analysis.commands, CATALOGUE)[0])
        assert "from the rim of" in told.message

    async def test_the_tip_stays_in_the_liquid_and_off_the_bottom(self, vendor: VendorClient) -> None:
        analysis = await analysed(vendor, "medium_preparation", example("medium_preparation"))
        plan = worklist("medium_preparation")
        (rack,) = [one for one in plan.deck if one.load_name == "opentrons_6_tuberack_nest_50ml_conical"]
        (serum,) = [item["id"] for item in analysis.labware if item.get("displayName") == rack.label]
        (filled,) = [one.volume_ul for one in plan.fillings if (one.labware, one.well) == (rack.nickname, "A1")]
        taken = [step.volume_ul for step in plan.steps if (step.labware, step.well) == (rack.nickname, "A1")]
        draws = [c["params"] for c in of_type(analysis, "aspirate") if c["params"]["labwareId"] == serum]
        tube = await vendor.labware_definition("opentrons_6_tuberack_nest_50ml_conical", "opentrons", 1)
        depth = tube["wells"]["A1"]["depth"]
        heights = [depth + draw["wellLocation"]["offset"]["z"] for draw in draws if draw["wellName"] == "A1"]
        levels = [depth * (filled - sum(taken[: n + 1])) / 50000 for n in range(len(taken))]
        assert all(1 <= height < level for height, level in zip(heights, levels, strict=True))
        assert heights == sorted(heights, reverse=True)
        assert heights[0] > 10

    @pytest.mark.parametrize(
        ("edit", "told"),
        [
            pytest.param(
                lambda rows: moves(rows)[0].update(volume_ul="1200"),
                r"worklist line \d+, column volume_ul: 1200 µL is outside 5 to 1000 µL",
                id="volume above the tip",
            ),
            pytest.param(
                lambda rows: small_tips(rows)[0].update(volume_ul="60"),
                r"column volume_ul: 60 µL is outside 5 to 50 µL of this pipette and tip\. Remedy: split",
                id="volume above a small tip",
            ),
            pytest.param(
                lambda rows: small_tips(rows)[0].update(volume_ul="2"),
                r"column volume_ul: 2 µL is outside 5 to 50 µL.*pre-dilution",
                id="volume below the pipette",
            ),
            pytest.param(
                lambda rows: rows[2].update(load_name="magic_stone"),
                r"column load_name: this protocol does not use magic_stone\. Remedy: use op.*; or add it to LABWARE",
                id="labware of no use here",
            ),
            pytest.param(
                lambda rows: rows[2].update(load_name="magic_reservoir"),
                r"use magic_reservoir\. Remedy: use nest_12_reservoir_15ml, nest_1_reservoir_195ml; or add it",
                id="labware of a kind in use here",
            ),
            pytest.param(
                lambda rows: rows[2].update(load_name="magic_plate"),
                r"use magic_plate\. Remedy: add it to LABWARE",
                id="labware of a kind not in use here",
            ),
            pytest.param(
                lambda rows: rows[2].update(version="99"),
                r"line 4, column load_name: nest_1_reservoir_195ml cannot stand in A1 \(.*99",
                id="labware that is not there",
            ),
            pytest.param(
                lambda rows: rows[2].update(slot="A3"),
                r"line 4, column load_name: .* cannot stand in A3 \(.*Remedy: check slot and module",
                id="slot taken",
            ),
            pytest.param(
                lambda rows: moves(rows)[0].update(to_labware="gone"),
                "column to_labware: no labware is called 'gone'",
                id="unknown labware",
            ),
            pytest.param(
                lambda rows: moves(rows)[0].update(well="B7"), "column well: base has no well 'B7'", id="unknown well"
            ),
            pytest.param(
                lambda rows: moves(rows)[0].update(action="shake"),
                "column action: this protocol has no action 'shake'. Remedy: use transfer",
                id="action of no use here",
            ),
            pytest.param(
                lambda rows: small_tips(rows)[1].update(tip=small_tips(rows)[0]["tip"]),
                "column tip: tip tips_50:A12 has been used before",
                id="used tip",
            ),
            pytest.param(lambda rows: moves(rows)[0].update(tip=""), "the pipette holds no tip here", id="no tip"),
            pytest.param(
                lambda rows: moves(rows)[0].update(tip="base:A1"), "'base:A1' is not on a loaded tip rack", id="no rack"
            ),
            pytest.param(
                lambda rows: moves(rows)[0].update(tip="tips_50:J1"),
                "column tip: there is no well 'J1'",
                id="tip place",
            ),
            pytest.param(
                lambda rows: small_tips(rows)[0].update(channels="8", labware="base", well="A1", to_well="B1"),
                r"column to_well: 8 channels do not fit B1 of 4 rows",
                id="eight channels",
            ),
            pytest.param(
                lambda rows: rows.pop(1), "column channels: no pipette with 8 channels is loaded", id="no pipette"
            ),
            pytest.param(
                lambda rows: moves(rows)[0].update(volume_ul="-3"), "'-3' is not a number of at least 0", id="negative"
            ),
            pytest.param(
                lambda rows: moves(rows)[0].update(volume_ul="nan"), "'nan' is not a number of at least 0", id="nan"
            ),
            pytest.param(lambda rows: steps(rows)[1].update(step="1"), "column step: step 1 after step 1", id="order"),
            pytest.param(lambda rows: rows[0].update(record="robot"), "line 2, column record: 'robot'", id="record"),
            pytest.param(
                lambda rows: steps(rows)[-1].update(action="pause", comment=""),
                "a pause without an instruction",
                id="silent pause",
            ),
        ],
    )
    async def test_a_line_that_cannot_be_done_is_refused_before_anything_moves(
        self, vendor: VendorClient, edit: Callable[[list[Row]], Any], told: str
    ) -> None:
        analysis = await analysed(vendor, "medium_preparation", edited("medium_preparation", edit))
        assert analysis.result == "not-ok"
        (error,) = analysis.errors
        sentence = f"{error['where']}: {error['message']}. Remedy: {error['remedy']}"
        assert re.search(told, sentence), sentence
        assert of_type(analysis, "pickUpTip", "aspirate", "dispense") == []

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "worklist line 1, column record: the header is not that of a worklist"),
            (example("medium_preparation").replace(",", ";"), "worklist line 1, column record: the header"),
            (example("medium_preparation") + "step,99\n", "column record: 2 cells instead of 26"),
        ],
        ids=["empty", "semicolons", "short line"],
    )
    async def test_a_file_that_is_no_worklist_is_refused(self, vendor: VendorClient, text: str, told: str) -> None:
        analysis = await analysed(vendor, "medium_preparation", text or "\n")
        assert told in f"{analysis.errors[0]['where']}: {analysis.errors[0]['message']}"

    async def test_a_shake_needs_a_shaker(self, vendor: VendorClient) -> None:
        def spoil(rows: list[Row]) -> None:
            shaken(rows).update(labware="detection")

        analysis = await analysed(vendor, "cytotoxicity_assay", edited("cytotoxicity_assay", spoil))
        assert analysis.errors[0]["message"] == "'detection' is not on a heater-shaker"
