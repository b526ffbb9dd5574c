"""Plates in and out of an automated incubator; the list of what is inside survives a crash in the middle of a move."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.pylabrobot.incubator import PyLabRobotIncubator
from nkloop.errors import BenchError, DeviceError


def incubator(folder: Path | None = None, **changes: Any) -> PyLabRobotIncubator:
    settings = {"model": "simulated", "racks": ("cytomat_rack_23mm_21", "cytomat_rack_50mm_10"), **changes}
    return PyLabRobotIncubator("Cytomat 2", state_folder=folder, **settings)


async def test_plates_go_in_and_out_by_their_barcode(tmp_path: Path) -> None:
    device = incubator(tmp_path)
    await device.store("P-1")
    await device.store("P-2")
    assert device.plates["P-1"] != device.plates["P-2"]
    await device.fetch("P-1")
    assert list(device.plates) == ["P-2"]
    assert device.backend.asked == [("in", "P-1"), ("in", "P-2"), ("out", "P-1")]
    found = {finding.subject: (finding.found, finding.ok) for finding in await device.inspect()}
    assert found == {"Cytomat 2": ("37.0 °C, P-2", True), "plate on its way": ("none", True)}
    await device.close()


async def test_a_look_does_not_open_a_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def opened() -> None:
        raise AssertionError("opening moves it")

    device = incubator()
    monkeypatch.setattr(device, "_model", "C6000")
    monkeypatch.setattr(device.backend, "setup", opened)
    found = {finding.subject: finding.found for finding in await device.inspect()}
    assert found["Cytomat 2"] == "not asked: opening it moves its handler, no plate"
    await device.close()


async def test_after_a_restart_the_places_are_still_taken(tmp_path: Path) -> None:
    first = incubator(tmp_path)
    await first.store("P-1")
    await first.close()
    second = incubator(tmp_path)
    await second.store("P-2")
    assert second.plates["P-2"] != second.plates["P-1"] == first.plates["P-1"]
    await second.fetch("P-1")
    assert second.backend.asked == [("in", "P-2"), ("out", "P-1")]
    await second.close()


async def test_the_errand_of_a_plate_outlives_the_program_until_it_goes_in_again(tmp_path: Path) -> None:
    first, second = incubator(tmp_path), incubator(tmp_path)
    await first.store("P-1")
    since = await first.since("P-1")
    assert await first.was_since("P-1", "run-0001: step 3") is None
    await first.fetch("P-1", "run-0001: step 3")
    await second.store("P-2")
    assert await second.was_since("P-1", "run-0001: step 3") == since
    assert await second.was_since("P-1", "run-0002: step 3") is None
    await second.store("P-1")
    await second.fetch("P-1")
    assert await second.was_since("P-1", "run-0001: step 3") is None
    await first.close()
    await second.close()


async def test_what_a_plate_was_taken_in_for_outlives_the_program(tmp_path: Path) -> None:
    first = incubator(tmp_path)
    await first.store("P-1", errand="a database, run-0001 step 3")
    await first.store("P-2")
    await first.close()
    second = incubator(tmp_path)
    assert await second.errand_of("P-1") == "a database, run-0001 step 3"
    assert await second.errand_of("P-2") == await second.errand_of("P-3") == ""
    await second.fetch("P-1")
    assert await second.errand_of("P-1") == ""
    await second.close()


async def test_a_plate_nobody_saw_come_out_is_out_for_its_errand_when_that_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: Any, **__: Any) -> None:
        raise RuntimeError("power cut")

    device = incubator(tmp_path)
    await device.store("P-1")
    monkeypatch.setattr(device.backend, "fetch_plate_to_loading_tray", dies)
    with pytest.raises(DeviceError):
        await device.fetch("P-1", "run-0001: step 3")
    assert await device.was_since("P-1", "run-0001: step 3") is None
    device.settle("P-1", is_inside=False)
    assert await device.was_since("P-1", "run-0001: step 3") is not None
    await device.close()


async def test_what_another_process_moved_meanwhile_is_known_before_the_next_move(tmp_path: Path) -> None:
    one, other = incubator(tmp_path), incubator(tmp_path)
    await one.store("P-1")
    await other.store("P-2")
    await other.fetch("P-1")
    await one.store("P-3")
    await one.fetch("P-2")
    assert list(one.plates) == ["P-3"]
    assert await other.since("P-2") is None
    await one.close()
    await other.close()


async def test_no_plate_goes_where_another_process_has_put_one_meanwhile(tmp_path: Path) -> None:
    one, other = incubator(tmp_path), incubator(tmp_path)
    await one.store("P-1")
    await one.store("P-2")
    await other.fetch("P-1")
    await other.fetch("P-2")
    await other.store("P-2")
    await one.store("P-3")
    places = {barcode: (site.rack, site.position) for barcode, site in one.plates.items()}
    assert places == {"P-2": (0, 0), "P-3": (0, 1)}
    await one.fetch("P-2")
    assert list(one.plates) == ["P-3"]
    await one.close()
    await other.close()


@pytest.mark.parametrize(("is_inside", "left"), [(True, ["P-1"]), (False, [])])
async def test_a_plate_whose_way_nobody_saw_stops_everything_until_a_person_settles_it(
    tmp_path: Path, is_inside: bool, left: list[str]
) -> None:
    device = incubator(tmp_path)
    await device.store("P-1")

    async def dies(*_: Any, **__: Any) -> None:
        raise TimeoutError("no answer")

    device.backend.fetch_plate_to_loading_tray = dies
    with pytest.raises(DeviceError, match="P-1 was not brought out: no answer"):
        await device.fetch("P-1")
    await device.close()
    again = incubator(tmp_path)
    with pytest.raises(DeviceError, match="P-1 was on its way when the program ended"):
        await again.store("P-9")
    assert [finding.ok for finding in await again.inspect()] == [True, False]
    again.settle("P-1", is_inside=is_inside)
    assert list(again.plates) == left
    await again.store("P-9")
    await again.close()


async def test_what_cannot_be_is_refused_before_anything_moves(tmp_path: Path) -> None:
    device = incubator(tmp_path, racks=("cytomat_rack_95mm_5",))
    for number in range(5):
        await device.store(f"P-{number}")
    n_asked = len(device.backend.asked)
    with pytest.raises(DeviceError, match="P-1 is inside already"):
        await device.store("P-1")
    with pytest.raises(DeviceError, match=r"P-7 is not inside \(P-0, P-1, P-2, P-3, P-4 is\)"):
        await device.fetch("P-7")
    with pytest.raises(DeviceError, match="No free site"):
        await device.store("P-8")
    with pytest.raises(DeviceError, match=r"P-7 is not on the list \(P-0, P-1"):
        device.settle("P-7", is_inside=False)
    with pytest.raises(DeviceError, match=r"P-1 is on the list as inside already.*--out"):
        device.settle("P-1", is_inside=True)
    assert len(device.backend.asked) == n_asked
    await device.close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "fridge"}, "incubator 'fridge' is not known.*C6000"),
        ({"racks": ()}, "it has no racks"),
        ({"racks": ("no_such_rack",)}, "has no no_such_rack"),
        ({"model": "C6000"}, "cannot be built.*nkloop.devices"),
    ],
)
def test_settings_that_do_not_fit_are_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BenchError, match=told):
        incubator(**changes)


def test_a_list_that_cannot_be_read_is_no_empty_incubator(tmp_path: Path) -> None:
    (tmp_path / "incubator-Cytomat-2.json").write_text(json.dumps({"plates": {"P-1": {"rack": -1}}}))
    with pytest.raises(BenchError, match="list of plates cannot be read"):
        incubator(tmp_path)
