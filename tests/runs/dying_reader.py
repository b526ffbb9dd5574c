"""A program that reads a plate on the deck of a robot and dies by `kill -9` on the way; started by the tests."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.bench import Bench, load_bench_file
from nkloop.drivers.interfaces import OperatorAnswer, OperatorRequest
from nkloop.drivers.opentrons import FlexPlateReader, OpentronsRobot
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.runs.reading import read_plate
from nkloop.virtual.operator import VirtualOperator

ROOT = Path(__file__).resolve().parents[2]
FILE = load_bench_file(ROOT / "devices" / "flex_byonoy.yaml")
PLATE = "corning_96_wellplate_360ul_flat"
REQUEST = ReadRequest(barcode="P-1", load_name=PLATE, mode="absorbance", wavelength_nm=450, reference_wavelength_nm=650)
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PLACES = ("run made", "prepared", "waits for the plate", "measuring", "closed")


def dies(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


class Clock:
    """Stands still."""

    async def now(self) -> datetime:
        return AT

    async def sleep_until(self, when: datetime) -> None: ...


class Person:
    """Does in the world what is asked, after `before` was told of it."""

    name = "technician"

    def __init__(self, hands: Any) -> None:
        self.hands, self.asked = hands, list[OperatorRequest]()
        self.before: Any = lambda request: None

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        self.asked.append(request)
        self.before(request)
        if request.task.kind == "move_to_reader":
            return cast(OperatorAnswer, await self.hands.perform(request))
        return OperatorAnswer(confirmed_by="Ada", at=AT)


def flex_bench(url: str, **settings: Any) -> tuple[Bench, FlexPlateReader, Person]:
    """The shipped bench with the robot at an address."""
    usual: dict[str, Any] = {"catalogue": Catalogue.load(ROOT / "labware"), "deck": FILE.deck, "poll_seconds": 0.02}
    usual |= settings
    reader = FlexPlateReader("plate reader", url, **usual)
    robot = OpentronsRobot("flex", url, protocols=ROOT / "protocols", **usual)
    person = Person(VirtualOperator("operator", url, settings.get("transport")))
    return Bench(FILE, robot, reader, cast(Any, None), person, Clock()), reader, person


async def read(records_url: str, url: str, place: str, run_id: str) -> None:
    bench, reader, person = flex_bench(url)
    records = Records(records_url)
    if place == "run made":
        written = records.journal.set_run_state

        def writes(changed: str, state: Any, **rest: Any) -> None:
            dies() if state == "prepared" else written(changed, state, **rest)

        records.journal.set_run_state = writes  # type: ignore[method-assign]
    elif place == "prepared":
        reader.play = dies  # type: ignore[method-assign]
    elif place == "waits for the plate":
        person.before = dies
    elif place == "measuring":
        play = reader.play

        async def plays(device_run_id: str) -> None:
            await play(device_run_id)
            if person.asked:
                dies()

        reader.play = plays  # type: ignore[method-assign]
    else:
        records.results.add_reading = dies  # type: ignore[method-assign]
    await read_plate(bench, REQUEST, records, run_id=run_id)


if __name__ == "__main__":
    asyncio.run(read(*sys.argv[1:]))
