"""Looks at a robot: OT-2 and Flex, calibration, serial numbers, clock, offsets, marks; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from nkloop.drivers.opentrons import OpentronsRobot
from nkloop.drivers.opentrons import preflight as look
from nkloop.drivers.opentrons.offsets import from_runs, from_search, of_run, searches, sequence, tell
from nkloop.errors import BenchError
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.service import robot_app
from nkloop.worklists.bench_deck import BenchDeck, ModuleSpec
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist

Json = dict[str, Any]
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
URI = "nkloop/nkloop_plate/1"
ON_SHAKER = {
    "slotName": "D1",
    "moduleModel": "heaterShakerModuleV1",
    "definitionUri": "opentrons/opentrons_universal_flat_adapter/1",
}


def bench_deck(model: str, pipette: str, slot: str) -> BenchDeck:
    accuracy = [{"volume_ul": 20, "systematic_percent": 4, "random_cv_percent": 2}]
    mounted = {
        "mount": "left", "load_name": pipette, "channels": 1, "min_volume_ul": 20, "max_volume_ul": 300,
        "accuracy": accuracy, "source": "test",
    }  # fmt: skip
    module = {"slot": slot, "load_name": "heaterShakerModuleV1", "serial_number": "HS-1"}
    return BenchDeck.model_validate({"model": model, "pipettes": [mounted], "modules": [module]})


OT2 = bench_deck("ot2", "p300_single_gen2", "1")
FLEX = bench_deck("flex", "flex_1channel_1000", "D1")


def ot2_worklist() -> Worklist:
    """A transfer on an OT-2 whose plate stands on the shaker."""
    step = Step(number=1, action="transfer", labware="plate", well="A1", to_labware="plate", to_well="B1", volume_ul=50)
    filling = Filling(labware="plate", well="A1", volume_ul=200, liquid=Liquid(name="x", per_ul={"base": 1.0}))
    plate = DeckItem(
        nickname="plate", slot="1", load_name="corning_96_wellplate_360ul_flat", module="heaterShakerModuleV1"
    )
    return Worklist(
        name="ot2", procedure="cytokine_dosing", pipettes={"left": "p300_single_gen2"}, deck=(plate,),
        fillings=(filling,), steps=(step,),
    )  # fmt: skip


class World:
    """Stands still."""

    clock: Any = None

    def begin_run(self, analysis: Any) -> Any:
        raise AssertionError("nothing is run here")

    def __init__(self) -> None:
        self.clock = self

    def now(self) -> datetime:
        return NOW

    def advance(self, seconds: float) -> None: ...


Make = Callable[..., tuple[OpentronsRobot, VirtualRobot]]


@pytest.fixture(scope="module")
def built() -> list[tuple[VirtualRobot, Any]]:
    """One robot with its routes, which take longer to build than a test takes."""
    return []


@pytest.fixture
def make(tmp_path: Path, built: list[tuple[VirtualRobot, Any]]) -> Make:
    """A driver in front of a virtual robot fresh from the factory; one per test."""

    def make_one(deck: BenchDeck, **robot_is: Any) -> tuple[OpentronsRobot, VirtualRobot]:
        for folder in (tmp_path, tmp_path / "ot2"):
            folder.mkdir(exist_ok=True)
            robot_type = "OT-2" if folder.name == "ot2" else "Flex"
            text = f'requirements = {{"robotType": "{robot_type}", "apiLevel": "2.20"}}\n'
            (folder / "cytokine_dosing.py").write_text(text)
        settings: dict[str, Any] = {"folder": tmp_path, **robot_is}
        arguments: Any = (World(), deck, lambda *_, **__: pytest.fail("analysed"))
        if built:
            built[0][0].__init__(*arguments, **settings)  # type: ignore[misc]
        else:
            made = VirtualRobot(*arguments, **settings)
            built.append((made, robot_app(made)))
        virtual, app = built[0]
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        catalogue: Any = None
        driver = OpentronsRobot(
            "robot", "http://localhost", protocols=tmp_path, catalogue=catalogue, deck=deck,
            trash_slot=deck.trash_slot, transport=transport,
        )  # fmt: skip
        return driver, virtual

    return make_one


def wrong(findings: tuple[Any, ...]) -> dict[str, str]:
    assert all(finding.remedy for finding in findings if not finding.ok)
    return {finding.subject: finding.found for finding in findings if not finding.ok}


def found(findings: tuple[Any, ...]) -> dict[str, str]:
    return {finding.subject: finding.found for finding in findings}


async def test_an_ot2_that_fits_passes(make: Make) -> None:
    driver, _ = make(OT2)
    told = await driver.preflight(ot2_worklist())
    assert wrong(told) == {}
    assert found(told)["emergency stop"] == "not reported"
    assert found(told)["deck configuration 12"] == "fixedTrashSlot (needs fixedTrashSlot)"
    assert found(told)["deck calibration"] == "OK"
    assert "deck configuration 1" not in found(told)


async def test_a_worklist_of_the_other_robot_is_refused(make: Make) -> None:
    driver, _ = make(FLEX)
    told = wrong(await driver.preflight(ot2_worklist()))
    assert told["robot"].startswith("Flex virtual-flex")
    assert told["left pipette"] == "p1000_single_flex (needs p300_single_gen2)"


@pytest.mark.parametrize("deck", [OT2, FLEX], ids=["ot2", "flex"])
async def test_a_pipette_nobody_calibrated_is_told(make: Make, deck: BenchDeck) -> None:
    driver, virtual = make(deck)
    assert wrong(await driver.inspect(deck)) == {}
    virtual.hardware.calibrated_at = None
    told = wrong(await driver.inspect(deck))
    assert told.pop("left pipette calibration") == "never"
    assert told == ({"deck calibration": "IDENTITY"} if deck is OT2 else {})


@pytest.mark.parametrize("deck", [OT2, FLEX], ids=["ot2", "flex"])
async def test_another_module_of_the_same_model_is_told_by_its_serial_number(make: Make, deck: BenchDeck) -> None:
    driver, virtual = make(deck)
    virtual.hardware.modules[0].serial = "HS-9"
    slot = deck.modules[0].slot
    told = wrong(await driver.inspect(deck))
    assert told == {f"module in {slot}": "heaterShakerModuleV1 HS-9 is connected, the bench file has HS-1"}


async def test_a_look_tells_versions_bare_and_what_the_robot_keeps(make: Make) -> None:
    driver, _ = make(FLEX)
    told = found(await driver.inspect(FLEX))
    assert (told["software"], told["firmware"], told["serial number"]) == ("8.2.0", "virtual", "virtual")
    assert told["free space"].startswith(
        "room for 20 more runs beside 0 and room for 50 more data files beside 0, then"
    )
    assert told["error recovery"] == "the robot waits for a person, who is asked; goes on from its own screen only"


@pytest.mark.parametrize(
    ("runs", "files", "told"),
    [
        (
            19,
            50,
            "room for 1 more run beside 19 and no room for another data file beside 50, then the oldest are dropped",
        ),
        (20, None, "no room for another run beside 20, then the oldest are dropped"),
    ],
)
def test_a_full_robot_is_told_so(runs: int, files: int | None, told: str) -> None:
    assert look.tell_space(runs, files, "8.2.0").found.startswith(told)


async def test_a_mark_is_read_by_another_nkloop_and_never_fails(make: Make) -> None:
    driver, virtual = make(FLEX)
    assert await driver.marked() is None
    await driver.mark({"holder": "lab-pc, process 7", "token": 3})
    assert virtual.client_data == {"nkloop": {"holder": "lab-pc, process 7", "token": 3}}
    assert found(await driver.inspect(FLEX))["nkloop"] == "last held: holder lab-pc, process 7, token 3"


async def test_a_mark_that_cannot_be_left_is_no_error(robot: OpentronsRobot, fake: Any) -> None:
    fake.faults["PUT /clientData/nkloop"] = "refused"
    await robot.mark({"holder": "lab-pc"})
    assert fake.count("PUT /clientData/nkloop") == 1


async def test_every_change_asks_the_fence_and_no_look_does(make: Make) -> None:
    driver, _ = make(FLEX)
    asked: list[str] = []
    driver.fence = lambda: asked.append("fence")
    await driver.inspect(FLEX)
    await driver.preflight(ot2_worklist())
    assert asked == []
    await driver.mark({})
    assert asked == ["fence"]


@pytest.mark.parametrize(
    ("off", "ok", "words"),
    [
        (timedelta(0), True, "as this computer"),
        (timedelta(minutes=-4), True, "as this computer"),
        (timedelta(minutes=42), False, "42 min ahead of this computer"),
        (timedelta(hours=-3), False, "3 h 0 min behind this computer"),
    ],
)
def test_the_clock_of_the_robot_may_be_minutes_off(off: timedelta, ok: bool, words: str) -> None:
    finding = look.check_clock({"systemTime": (NOW + off).isoformat()}, NOW)
    assert (finding.ok, finding.found) == (ok, words)
    assert look.check_clock(None, NOW).found == "not reported"


def test_a_pipette_that_is_not_well_is_told() -> None:
    item = {"mount": "left", "instrumentType": "pipette", "instrumentName": "p1000_single_flex", "ok": False}
    [finding] = look.check_pipettes([{**item, "subsystem": "pipette_left"}], {"left": "flex_1channel_1000"})
    assert not finding.ok
    assert finding.found == "p1000_single_flex does not work: pipette_left"


def test_modules_without_a_serial_number_in_the_file_are_told_by_model() -> None:
    spec = ModuleSpec(slot="C1", load_name="temperatureModuleV2")
    connected = [{"moduleModel": "temperatureModuleV2", "serialNumber": "T-1"}]
    assert [one.ok for one in look.check_modules(connected, [spec])] == [True]
    assert [one.ok for one in look.check_modules([], [spec])] == [False]


def a_run(day: int, *offsets: Json) -> Json:
    return {"createdAt": f"2026-11-{day}T08:00:00Z", "labwareOffsets": list(offsets)}


def an_offset(z: float, uri: str = URI, **place: Any) -> Json:
    return {"definitionUri": uri, "location": {**ON_SHAKER, **place}, "vector": {"x": 0.1, "y": 0.0, "z": z}}


def test_offsets_come_from_the_newest_run_that_has_one_in_the_same_place(worklist: Worklist) -> None:
    runs = [a_run(20, an_offset(1.0)), a_run(21, an_offset(2.0), an_offset(9.0, slotName="C1")), a_run(22)]
    offsets = from_runs(worklist, runs)
    assert [one.request["vector"]["z"] for one in offsets] == [2.0]
    assert offsets[0].request["location"] == ON_SHAKER
    told = tell(worklist, offsets)
    assert told.found == "plate +0.1 +0.0 +2.0 mm (run of 2026-11-21); none for tips"
    assert told.ok


def test_an_offset_of_another_labware_or_place_is_not_taken(worklist: Worklist) -> None:
    other = an_offset(1.0, uri="opentrons/nest_96_wellplate_200ul_flat/1")
    assert from_runs(worklist, [a_run(20, other, an_offset(1.0, slotName="D2"))]) == ()
    assert tell(worklist, ()).found == "none for tips, plate"


def test_newer_software_is_searched_for_the_newest_offset_of_each_place(worklist: Worklist) -> None:
    filters = searches(worklist)["filters"]
    assert filters[0]["locationSequence"] == [{"kind": "onAddressableArea", "addressableAreaName": "A1"}]
    assert [part["kind"] for part in filters[1]["locationSequence"]] == ["onLabware", "onModule", "onAddressableArea"]
    stored = {
        "id": "o1", "definitionUri": URI, "locationSequence": sequence(worklist.deck[1]),
        "vector": {"x": 0.0, "y": 0.2, "z": 0.3}, "createdAt": "2026-11-01T00:00:00Z",
    }  # fmt: skip
    [offset] = from_search(worklist, [stored])
    assert set(offset.request) == {"definitionUri", "locationSequence", "vector"}
    assert str(offset) == "plate +0.0 +0.2 +0.3 mm"


async def test_offsets_are_given_to_the_run(robot: OpentronsRobot, fake: Any, worklist: Worklist) -> None:
    fake.runs["old"] = {"id": "old", "status": "succeeded", "actions": [], **a_run(20, an_offset(0.5))}
    run_id = await robot.prepare(worklist)
    assert fake.created[-1]["labwareOffsets"] == [
        {"definitionUri": URI, "location": ON_SHAKER, "vector": {"x": 0.1, "y": 0.0, "z": 0.5}}
    ]
    assert run_id in fake.runs
    assert robot.given[0].found == "plate +0.1 +0.0 +0.5 mm (run of 2026-11-20); none for tips"


async def test_a_run_that_waited_already_has_the_offsets_it_was_made_with(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    run_id = await robot.prepare(worklist)
    assert robot.given[0].found == "none for tips, plate"
    fake.runs["measured since"] = {"id": "new", "status": "succeeded", "actions": [], **a_run(20, an_offset(0.5))}
    assert await robot.prepare(worklist) == run_id
    assert robot.given[0].found == "none for tips, plate"
    newer = {"definitionUri": URI, "locationSequence": sequence(worklist.deck[1]), "vector": {"x": 0, "y": 0, "z": 2}}
    assert [str(one) for one in of_run(worklist, {"labwareOffsets": [newer]})] == ["plate +0.0 +0.0 +2.0 mm"]


async def test_a_bench_file_that_wants_no_offsets_is_told(robot: OpentronsRobot, worklist: Worklist) -> None:
    robot._applies_offsets = False
    await robot.prepare(worklist)
    (told,) = [one for one in await robot.preflight(worklist) if one.is_kept]
    assert robot.given == (told,)
    assert told.found == "none is given to the run, as `labware_offsets: false` of the bench file says"


async def test_the_offset_list_of_newer_software_is_asked_and_no_run_is_looked_through(
    robot: OpentronsRobot, fake: Any, worklist: Worklist
) -> None:
    stored = {"definitionUri": URI, "locationSequence": sequence(worklist.deck[1]), "createdAt": "2026-11-02"}
    fake.stored_offsets = [{**stored, "id": "o1", "vector": {"x": 0.0, "y": 0.0, "z": 0.7}}]
    fake.runs["old"] = {"id": "old", "status": "succeeded", "actions": [], **a_run(20, an_offset(0.5))}
    told = found(await robot.preflight(worklist))["labware offsets"]
    assert told == "plate +0.0 +0.0 +0.7 mm (stored on 2026-11-02); none for tips"
    await robot.prepare(worklist)
    [offset] = fake.created[-1]["labwareOffsets"]
    assert offset["vector"]["z"] == 0.7
    assert "location" not in offset


@pytest.mark.parametrize(
    ("settings", "url", "told"),
    [
        pytest.param({"username": "ada"}, "http://localhost", "'password' is missing", id="missing"),
        pytest.param({"user": "ada"}, "http://localhost", "'user' is not known", id="unknown"),
        pytest.param(
            {"username": "ada", "password": "x", "reason": "run"}, "http://localhost", "fewer than 10", id="reason"
        ),
        pytest.param(
            {"username": "ada", "password": "x", "reason": "NK dosing runs"}, "http://192.0.2.7:31950",
            r"would go to http://192\.0\.2\.7:31950 in the open", id="open",
        ),
    ],
)  # fmt: skip
def test_an_account_that_cannot_work_is_refused_when_the_bench_is_built(
    tmp_path: Path, settings: dict[str, str], url: str, told: str
) -> None:
    nothing: Any = None
    with pytest.raises(BenchError, match=told) as caught:
        OpentronsRobot("flex", url, protocols=tmp_path, catalogue=nothing, account=settings)
    assert "Remedy" in str(caught.value)
