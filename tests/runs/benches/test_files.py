"""What is wrong with a bench file beyond its fields."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from nkloop.errors import InventoryError
from nkloop.runs.benches.files import bench_problems
from nkloop.runs.lot_files import load_lots

DEVICES = Path(__file__).resolve().parents[3] / "devices"


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """The virtual bench with its lists, alone in a folder."""
    for name in ("lots/virtual.yaml", "lines/virtual.yaml", "virtual.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text((DEVICES / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path / "virtual.yaml"


def changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def real(text: str) -> str:
    """The virtual bench as if its devices were there."""
    return text.replace("simulated: true", "simulated: false").replace("poll_seconds: 0.03", "poll_seconds: 2")


@pytest.mark.parametrize("path", sorted(DEVICES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_benches_are_sound(path: Path) -> None:
    assert bench_problems(path) == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param("lines: lines/", f"lines: {'9' * 5000}/", r": lines: there is no 9999", id="name of no file"),
        pytest.param("name: virtual", "name: lab", r"virtual\.yaml:\d+:7: name: name is 'lab'", id="name"),
        pytest.param("virtual.counter:V", "virtual.counter:W", r"cell_counter\.driver: .*WirtualCounter", id="driver"),
        pytest.param(
            "lots: lots/virtual", "lots: lots/none", r" lots: there is no lots/none\.yaml.*lots/virtual", id="lots"
        ),
        pytest.param(
            "lines: lines/virtual", "lines: lots/virtual", r": lines: lots/virtual\.yaml cannot be used", id="kind"
        ),
        pytest.param("lines: lines/virtual", "lines: lines/none", r" lines: there is no lines/none\.yaml", id="lines"),
    ],
)
def test_a_wrong_reference_is_told_with_its_line(bench: Path, old: str, new: str, told: str) -> None:
    (problem,) = bench_problems(changed(bench, old, new))
    assert re.search(told, str(problem)), problem
    assert problem.remedy


def test_what_is_wrong_with_a_list_is_told_as_it_is_of_the_list_itself(bench: Path) -> None:
    lots = changed(bench.parent / "lots/virtual.yaml", "expires: 2027-08-31", "expires: 2027-08-32")
    with pytest.raises(InventoryError) as told:
        load_lots(lots)
    assert bench_problems(bench) == told.value.problems


def test_two_benches_with_one_robot_need_a_common_lock(bench: Path) -> None:
    twin = bench.with_name("twin.yaml")
    text = bench.read_text(encoding="utf-8").replace("name: virtual", "name: twin")
    twin.write_text(real(text), encoding="utf-8")
    assert bench_problems(twin) == ()
    changed(twin, "locks: [virtual-flex]", "locks: [other]")
    for path in (bench, twin):
        (problem,) = bench_problems(path)
        assert "no lock is common to both" in problem.message
        assert ": locks" in problem.where


def test_two_benches_with_one_reader_hold_it_under_one_name(bench: Path) -> None:
    twin = bench.with_name("twin.yaml")
    text = bench.read_text(encoding="utf-8").replace("name: virtual", "name: twin")
    twin.write_text(real(text), encoding="utf-8")
    for path in (bench, twin):
        changed(path, "      url: ${NKLOOP_VIRTUAL_URL}", "      url: http://reader")
    (problem,) = bench_problems(twin)
    assert "the plate reader is that of bench virtual, but the two hold it under different names" in problem.message
    assert "plate_reader" in problem.where
    for path in (bench, twin):
        changed(path, "plate_reader:\n", "plate_reader:\n  lock: reader\n")
    assert bench_problems(twin) == ()


def test_tips_and_adapters_are_those_of_the_catalogue(bench: Path) -> None:
    devices = bench.parent / "devices"
    devices.mkdir()
    for name in ("lots", "lines", "virtual.yaml"):
        (bench.parent / name).rename(devices / name)
    shutil.copytree(DEVICES.parent / "labware", bench.parent / "labware")
    path = changed(
        devices / "virtual.yaml", "filtertiprack_50ul, volume_ul: 50}", "filtertiprack_50ul, volume_ul: 200}"
    )
    changed(path, "filtertiprack_1000ul,", "filtertiprak_1000ul,")
    changed(path, "opentrons_universal_flat_adapter", "opentrons_universal_flat_adaptr")
    told = [str(problem) for problem in bench_problems(path)]
    assert len(told) == 3
    assert "'opentrons_flex_96_filtertiprak_1000ul' is not in the labware catalogue. Remedy: did you mean" in told[0]
    assert "did you mean 'opentrons_universal_flat_adapter'" in told[1]
    assert "virtual.yaml:47:68: deck.tips.opentrons_flex_96_filtertiprack_50ul.volume_ul: 200 µL, but" in told[2]
