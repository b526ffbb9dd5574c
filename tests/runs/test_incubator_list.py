"""The list of an incubator is put right by a command, with who and why in the records; nothing moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.bench_file import IncubatorSpec
from nkloop.drivers.incubating import IncubatingOperator
from nkloop.drivers.interfaces import OperatorRequest
from nkloop.drivers.pylabrobot import PyLabRobotIncubator
from nkloop.errors import BenchError, DeviceError, DeviceHeldError
from nkloop.records import Records
from nkloop.runs.beside import beside_held
from nkloop.runs.incubator_list import before_told, kept_plates, settle_plate
from nkloop.runs.people import ask
from nkloop.worklists.models import OperatorTask

FOR_RUN_7 = "database a1b2: run-0007 step 3"


@pytest.fixture
async def storage(tmp_path: Path) -> PyLabRobotIncubator:
    """P-1 is inside for something else."""
    device = PyLabRobotIncubator(
        "Cytomat 2", model="simulated", racks=("cytomat_rack_23mm_21",), state_folder=tmp_path, bench_name="fake"
    )
    await device.store("P-1", errand=FOR_RUN_7)
    return device


@pytest.fixture
def own(bench: Bench, storage: PyLabRobotIncubator) -> Bench:
    file = bench.file.model_copy(update={"incubator": IncubatorSpec(driver="a.b:C", lock="cytomat")})
    return replace(bench, file=file, operator=IncubatingOperator(bench.operator, storage, bench.clock, "fake"))


async def test_a_plate_that_is_inside_for_something_else_is_taken_out_and_the_task_goes_on(
    own: Bench, records: Records, storage: PyLabRobotIncubator
) -> None:
    task = OperatorTask(kind="incubate", instruction="4 h", labware=("assay",), minutes=1)
    request = OperatorRequest(title="incubate", task=task, barcodes={"assay": "P-1"}, errands=("run-0009 step 1",))
    with pytest.raises(DeviceError, match="`nkloop bench incubator settle fake P-1 --out --by NAME --reason WHY`"):
        await ask(request, own, records, step=None)
    assert before_told(kept_plates(own)[0]).endswith(f" UTC, for {FOR_RUN_7}")
    assert await settle_plate(own, records, "P-1", is_inside=False, by="Bo", reason="it stood there") == "P-1 is out"
    assert kept_plates(own) == ()
    (action,) = records.journal.actions(None)
    assert (action.confirmed_by, action.title, action.note) == (
        "Bo", "incubator of fake: P-1 is out", "it stood there",
    )  # fmt: skip
    assert FOR_RUN_7 in action.instruction
    assert storage.backend.asked == [("in", "P-1")], "nothing moves"
    await ask(request, own, records, step=None)
    assert storage.backend.asked == [("in", "P-1"), ("in", "P-1"), ("out", "P-1")]
    assert records.audit.verify_chain() == ()


async def test_what_cannot_be_is_refused_and_nobody_is_said_to_have_said_it(own: Bench, records: Records) -> None:
    for plate, is_inside, told in (("P-9", False, "P-9 is not on the list"), ("P-1", True, "as inside already")):
        with pytest.raises(DeviceError, match=told):
            await settle_plate(own, records, plate, is_inside=is_inside, by="Bo", reason="looked")
    assert records.journal.actions(None) == ()


async def test_the_list_is_not_changed_while_somebody_moves_a_plate(own: Bench, records: Records) -> None:
    claim = records.claims.claim(("cytomat",), "another program", lease_seconds=60)
    with pytest.raises(DeviceHeldError, match="another program"):
        await settle_plate(own, records, "P-1", is_inside=False, by="Bo", reason="looked")
    records.claims.release(claim)
    assert [one.barcode for one in kept_plates(own)] == ["P-1"]


async def test_who_is_killed_between_the_records_and_the_list_says_it_once_more(
    own: Bench, records: Records, storage: PyLabRobotIncubator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(storage, "_write", lambda stored: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            await settle_plate(own, records, "P-1", is_inside=False, by="Bo", reason="looked")
    assert [one.barcode for one in kept_plates(own)] == ["P-1"]
    await settle_plate(own, records, "P-1", is_inside=False, by="Bo", reason="looked")
    assert (kept_plates(own), len(records.journal.actions(None))) == ((), 2)


async def test_a_plate_on_its_way_is_listed_and_a_bench_without_an_incubator_told(
    own: Bench, bench: Bench, records: Records, storage: PyLabRobotIncubator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object, **__: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(storage.backend, "take_in_plate", dies)
    with pytest.raises(DeviceError):
        await storage.store("P-2")
    told = {one.barcode: before_told(one) for one in kept_plates(own)}
    assert told["P-2"] == "not inside, nobody saw the end of its way"
    with pytest.raises(DeviceError, match=r"place of P-2 inside is not known.*settle fake P-2 --out"):
        await settle_plate(own, records, "P-2", is_inside=True, by="Bo", reason="looked")
    await settle_plate(own, records, "P-2", is_inside=False, by="Bo", reason="it lay on the tray")
    assert [one.barcode for one in kept_plates(own)] == ["P-1"]
    async with beside_held(own, "incubator", records, "is free again"):
        pass
    with pytest.raises(BenchError, match="has no incubator that nkloop drives"):
        kept_plates(bench)
