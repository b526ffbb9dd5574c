"""A plate read by a Flex in its own reader, on the shipped bench with simulated hardware: real driver, true wells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.bench import Bench, load_bench_file
from nkloop.drivers.opentrons import FlexPlateReader, OpentronsRobot
from nkloop.errors import DeviceHeldError, OperatorRefusedError
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.runs.reading import read_plate
from nkloop.vendor import VendorClient, answers_folder
from nkloop.virtual.app import create_app
from nkloop.virtual.book import WorldBook
from nkloop.virtual.operator import VirtualOperator
from nkloop.virtual.robot.robot import VirtualRobot
from nkloop.virtual.world import World
from nkloop.worklists.models import DeckItem, Worklist

ROOT = Path(__file__).resolve().parents[2]
PLATE = "corning_96_wellplate_360ul_flat"
REQUEST = ReadRequest(barcode="P-1", load_name=PLATE, mode="absorbance", wavelength_nm=450, reference_wavelength_nm=650)


class Setup:
    """The bench `flex_byonoy` whose robot is simulated."""

    def __init__(self, bench: Bench, tmp_path: Path, vendor: VendorClient) -> None:
        file = load_bench_file(ROOT / "devices" / "flex_byonoy.yaml")
        self.world = World.create(ROOT, file, 1)
        self.robot = VirtualRobot(WorldBook(self.world), file.deck, vendor.analyse, folder=tmp_path / "robot")
        self.book = WorldBook(self.world)
        transport = httpx.ASGITransport(app=create_app(self.book, self.robot))
        catalogue = Catalogue.load(ROOT / "labware")
        usual: dict[str, Any] = {"catalogue": catalogue, "deck": file.deck, "transport": transport}
        reader = FlexPlateReader("reader", "http://r", poll_seconds=0.005, **usual)
        handler = OpentronsRobot("flex", "http://r", protocols=ROOT / "protocols", **usual)
        operator = VirtualOperator("operator", "http://r", transport)
        self.bench = replace(
            bench, file=file, plate_reader=reader, liquid_handler=handler, operator=cast(Any, operator)
        )
        self.world.place(DeckItem(nickname="plate", slot="C2", load_name=PLATE, barcode="P-1"), "P-1")


@pytest.fixture
async def vendor() -> Any:
    async with VendorClient(answers_folder()) as client:
        yield client


@pytest.mark.vendor
async def test_the_plate_is_read_and_its_files_are_kept_with_the_run_it_comes_from(
    bench: Bench, records: Records, worklist: Worklist, journalled: Any, tmp_path: Path, vendor: VendorClient
) -> None:
    lab = Setup(bench, tmp_path, vendor)
    run_id = journalled(worklist)
    reading = await read_plate(lab.bench, REQUEST, records, run_id=run_id)
    assert len(reading.values) == 96
    assert reading.serial_number == "absorbanceReaderV1-3"
    assert reading.read_at == datetime(2026, 11, 23, 8, 0, tzinfo=UTC), "by the bench's clock"
    assert lab.world.in_reader == "P-1"
    assert [one.barcode for one in records.results.readings()] == ["P-1"]
    kept = records.journal.run(run_id).files
    assert [one.name for one in kept] == [
        "nkloop-reading-P-1-450nm.csv",
        "nkloop-reading-P-1-650nm.csv",
        "absorbance_1.json",
    ]
    assert reading.file_sha256 == kept[0].sha256
    assert [run.status for run in lab.robot.runs.all()] == ["succeeded"]


@pytest.mark.vendor
async def test_a_plate_nobody_puts_in_leaves_the_robot_stopped_and_a_robot_in_use_is_left_alone(
    bench: Bench, records: Records, operator: Any, tmp_path: Path, vendor: VendorClient
) -> None:
    lab = Setup(bench, tmp_path, vendor)
    operator.declines, operator.because = "into the reader", ": the plate is broken"
    with pytest.raises(OperatorRefusedError, match="the plate is broken"):
        await read_plate(replace(lab.bench, operator=operator), REQUEST, records)
    assert [run.status for run in lab.robot.runs.all()] == ["stopped"]
    records.claims.claim(lab.bench.file.locks, "another run")
    with pytest.raises(DeviceHeldError, match="another run"):
        await read_plate(lab.bench, REQUEST, records)
    assert records.results.readings() == ()
