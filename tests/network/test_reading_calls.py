"""Network faults on every HTTP call of a plate read on the deck: nothing is lost, read twice, or left to start alone.

`NKLOOP_LONG_TESTS=1` tries every call with every fault; without it each call meets one fault in turn, and those that
change the robot also arrive once after they were given up.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import Bench, load_bench_file
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.opentrons import FlexPlateReader, OpentronsRobot
from nkloop.errors import DeviceError, NkloopError
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.runs.reading import read_plate
from nkloop.runs.reconcile import reconcile_bench
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.robot.service import robot_app

ROOT = Path(__file__).resolve().parents[2]
FILE = load_bench_file(ROOT / "devices" / "flex_byonoy.yaml")
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PLATE = "corning_96_wellplate_360ul_flat"
REQUEST = ReadRequest(barcode="P-1", load_name=PLATE, mode="absorbance", wavelength_nm=450)
WELLS = [f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13)]
EVERY = os.environ.get("NKLOOP_LONG_TESTS") == "1"
MOST_OF_A_KIND = 2
"""Of calls that are repeated (looks at the run), so many are tried."""
AT_ONCE = 3


@dataclass
class Truth:
    """The reader: whether a plate lies in it, and how often it was measured."""

    holds_plate: bool = False
    n_measured: int = 0
    moves: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clock(self) -> Truth:
        return self

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.seconds)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def begin_run(self, analysis: Any) -> Any:
        del analysis
        return SimpleNamespace(apply=lambda command: self.moves.append(command["commandType"]))

    def measure(self, wavelengths_nm: Sequence[int]) -> dict[str, dict[str, float]]:
        if not self.holds_plate:
            raise DeviceError("the reader holds no plate")
        self.n_measured += 1
        return {str(nm): dict.fromkeys(WELLS, 0.5) for nm in wavelengths_nm}


async def analyse(protocol: Path, **_: Any) -> Any:
    """What the maker's software says of every reading at 450 nm."""
    del protocol
    module = {"moduleId": "M"}
    does: list[tuple[str, dict[str, Any]]] = [
        ("absorbanceReader/closeLid", module),
        ("absorbanceReader/initialize", {**module, "sampleWavelengths": [450]}),
        ("absorbanceReader/openLid", module),
        ("moveLabware", {"labwareId": "L", "newLocation": module, "strategy": "manualMoveWithPause"}),
        ("absorbanceReader/closeLid", module),
        ("absorbanceReader/read", {**module, "fileName": "nkloop-reading-P-1-"}),
        ("absorbanceReader/openLid", module),
    ]
    listed: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("loadModule", {"model": "absorbanceReaderV1", "location": {"slotName": "D3"}}, module),
        ("loadLabware", {"location": "offDeck", "loadName": PLATE}, {"labwareId": "L"}),
    ]
    for number, (kind, params) in enumerate(does, start=1):
        listed += [("comment", {"message": f"step {number}: what it does"}, {}), (kind, params, {})]
    commands = [
        {"id": f"c{n}", "key": f"k{n}", "commandType": kind, "status": "succeeded", "params": params, "result": result}
        for n, (kind, params, result) in enumerate(listed)
    ]
    nothing: dict[str, Any] = {key: [] for key in ("errors", "labware", "pipettes", "modules", "liquids")}
    return SimpleNamespace(result="ok", commands=commands, **nothing)


@dataclass
class Person:
    """Puts the plate in when asked."""

    truth: Truth
    name: str = "technician"

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        self.truth.holds_plate = self.truth.holds_plate or request.task.kind == "move_to_reader"
        return OperatorAnswer(confirmed_by="Ada", at=AT)


class Clock:
    async def now(self) -> datetime:
        return AT


SPARE: list[tuple[Truth, VirtualRobot, Any]] = []
"""Robots nobody uses: their routes take longer to build than a reading takes, so they are used again."""


def _robot(folder: Path) -> tuple[Truth, VirtualRobot, Any]:
    """A robot as it comes from the factory, with an empty reader."""
    if not SPARE:
        truth = Truth()
        robot = VirtualRobot(truth, FILE.deck, analyse, folder=folder)
        return truth, robot, robot_app(robot)
    truth, robot, app = SPARE.pop()
    truth.__init__()  # type: ignore[misc]
    robot.__init__(truth, FILE.deck, analyse, folder=folder)  # type: ignore[misc]
    return truth, robot, app


class Lab:
    """One bench whose robot reads plates, and the network to it."""

    def __init__(self, folder: Path, migrated: Path, faulty_wire: Any, catalogue: Any) -> None:
        folder.mkdir()
        shutil.copy(migrated, folder / "records.db")
        self.records = Records(f"sqlite:///{folder / 'records.db'}")
        self.truth, self.robot, self._app = _robot(folder / "robot")
        self.wire = faulty_wire(self._app)
        usual: dict[str, Any] = {"catalogue": catalogue, "deck": FILE.deck, "transport": self.wire}
        usual |= {"poll_seconds": 0.02}
        reader = FlexPlateReader("plate reader", "http://r", **usual)
        handler = OpentronsRobot("flex", "http://r", protocols=ROOT / "protocols", **usual)
        person = Person(self.truth)
        self.bench = Bench(FILE, handler, reader, cast(Any, None), person, cast(Any, Clock()))

    async def read(self) -> Reading | NkloopError:
        """Read the plate as a user does; an error is what he is told."""
        try:
            return await read_plate(self.bench, REQUEST, self.records)
        except NkloopError as error:
            return error

    def contradictions(self) -> list[str]:
        """Where journal, readings and robot contradict each other; those of our runs name them. Empty is right."""
        runs = self.records.journal.runs()
        known = {run.device_run_id for run in runs}
        measured = sum(step.event == "done" for run in runs for step in run.steps if step.number == 6)
        found = [f"{run.id} is still open" for run in runs if not run.is_over]
        found += [f"{run.id} is {run.status} on the robot" for run in self.robot.runs.all() if not run.has_ended]
        strange = [run for run in self.robot.runs.all() if run.id not in known and run.shown().get("startedAt")]
        found += [f"{run.id} was played and the journal does not know it" for run in strange]
        if measured > self.truth.n_measured:
            found.append(f"{measured} measurements are journalled, {self.truth.n_measured} were made")
        if len(self.records.results.readings()) != measured and not any(run.needs_decision for run in runs):
            found.append(f"{measured} measurements, {len(self.records.results.readings())} readings")
        return found

    async def close(self) -> None:
        await asyncio.gather(*self.wire.underway, return_exceptions=True)
        await self.robot.close()
        self.records.close()
        SPARE.append((self.truth, self.robot, self._app))


async def what_goes_wrong(lab: Lab, call: Any, kind: str, when: str) -> list[str]:
    """Let one call go wrong, come back, read once more where nothing was read; say what is not as it should be."""
    lab.wire.fault = (call, kind, when)
    told = await lab.read()
    was_met = lab.wire.fault is None
    lab.wire.fault = None
    await asyncio.gather(*lab.wire.underway, return_exceptions=True)
    await reconcile_bench(lab.bench, lab.records)
    # what arrives after it was given up leaves at most an idle run, which the next reading takes for its own
    found = [one for one in lab.contradictions() if kind != "late" or "run-" in one]
    if not any(run.needs_decision for run in lab.records.journal.runs()) and not lab.records.results.readings():
        again = await lab.read()
        found += [f"the second attempt: {again}"] if isinstance(again, Exception) else []
        found += lab.contradictions()
    found += [] if was_met else ["the call was never made"]
    words = f"{call}, {kind} {when} the robot acted (told: {told if isinstance(told, Exception) else 'read'})"
    return [f"{words}: {one}" for one in found]


@pytest.mark.timeout(1800 if EVERY else 300)
async def test_no_fault_on_any_call_of_a_reading_loses_it(
    tmp_path: Path, migrated: Path, faulty_wire: Any, faults: Any
) -> None:
    catalogue = Catalogue.load(ROOT / "labware")
    first = Lab(tmp_path / "undisturbed", migrated, faulty_wire, catalogue)
    assert isinstance(await first.read(), Reading)
    assert first.contradictions() == []
    calls = [call for call in dict.fromkeys(first.wire.calls) if call.number <= MOST_OF_A_KIND]
    assert {call.method for call in calls} >= {"GET", "POST", "PATCH", "PUT"}
    await first.close()
    cases = [
        (call, kind, when)
        for place, call in enumerate(calls)
        for number, (kind, when) in enumerate(faults)
        if EVERY or place % len(faults) == number or (kind == "late" and call.method == "POST")
    ]
    gate = asyncio.Semaphore(AT_ONCE)

    async def tried(number: int, call: Any, kind: str, when: str) -> list[str]:
        async with gate:
            lab = Lab(tmp_path / f"case-{number}", migrated, faulty_wire, catalogue)
            try:
                return await what_goes_wrong(lab, call, kind, when)
            finally:
                await lab.close()

    results = await asyncio.gather(*(tried(number, *case) for number, case in enumerate(cases)))
    wrong = [words for result in results for words in result]
    sys.stderr.write(f"{len(calls)} calls, {len(cases)} faults, {len(wrong)} contradictions\n")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:20])
