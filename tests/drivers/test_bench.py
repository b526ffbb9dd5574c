"""Bench files: read with line numbers, variables filled when opened, devices built from dotted paths."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.drivers import bench as bench_module
from nkloop.drivers.bench import fill_variables, load_bench_file, open_bench
from nkloop.drivers.clock import SystemClock
from nkloop.drivers.opentrons import OpentronsRobot
from nkloop.errors import BenchError, DeviceError

TEXT = """\
name: lab
title: Lab
simulated: false
deck:
  model: flex
  pipettes:
    - mount: left
      load_name: flex_1channel_1000
      channels: 1
      min_volume_ul: 5
      max_volume_ul: 1000
      accuracy: [{volume_ul: 1000, systematic_percent: 0.5, random_cv_percent: 0.2}]
      source: maker
liquid_handler:
  driver: nkloop.drivers.opentrons:OpentronsRobot
  settings: {name: flex-1, url: "${FLEX_URL}", poll_seconds: 2}
plate_reader:
  driver: nkloop.drivers.pylabrobot:PyLabRobotReader
  settings:
    backend: pylabrobot.plate_reading.chatterbox:PlateReaderChatterboxBackend
cell_counter: {driver: "nkloop.drivers.manual_counter:ManualCounter"}
operator: {driver: "nkloop.drivers.operators:PrefectOperator"}
clock: {driver: "nkloop.drivers.clock:SystemClock"}
lots: lots.yaml
locks: [flex-1]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(bench_module.Catalogue, "load", classmethod(lambda cls, folder: {"loaded from": folder}))
    return SimpleNamespace(root=tmp_path, **{name: tmp_path / name for name in ("protocols", "labware", "state")})


def written(tmp_path: Path, text: str = TEXT) -> Path:
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    return path


async def test_a_bench_is_built_from_its_file(tmp_path: Path, workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEX_URL", "http://10.0.0.7:31950")
    bench = open_bench(load_bench_file(written(tmp_path)), workspace)
    assert isinstance(bench.liquid_handler, OpentronsRobot)
    assert (bench.liquid_handler.name, bench.liquid_handler.poll_seconds) == ("flex-1", 2)
    assert isinstance(bench.clock, SystemClock)
    assert (bench.name, bench.plate_reader.name, bench.operator.name) == ("lab", "plate reader", "operator")
    await bench.close()


def test_loading_needs_no_variables_but_opening_does(
    tmp_path: Path, workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLEX_URL", raising=False)
    file = load_bench_file(written(tmp_path))
    with pytest.raises(BenchError, match="environment variable FLEX_URL is not set") as caught:
        open_bench(file, workspace)
    assert "liquid_handler.settings.url" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param("model: flex", "model: tricontinent", r"lab\.yaml:5:10: deck\.model", id="model"),
        pytest.param("max_volume_ul: 1000", "max_volume_ul: -1", r"lab\.yaml:11:22: .*must be above 0", id="volume"),
        pytest.param("simulated: false", "simulatd: false", "simulatd", id="spelling"),
        pytest.param("nkloop.drivers.clock:SystemClock", "SystemClock", r"clock\.driver", id="driver_path"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(BenchError, match=told):
        load_bench_file(written(tmp_path, TEXT.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param("clock:SystemClock", "clock:Sundial", "clock:Sundial' cannot be imported", id="class"),
        pytest.param("drivers.clock:", "drivers.clocks:", "clocks:SystemClock' cannot be imported", id="module"),
        pytest.param("clock:SystemClock", "clock:LONGEST_NAP_S", "is not a class", id="not_a_class"),
        pytest.param("ChatterboxBackend", "NoBackend", "cannot be imported", id="backend"),
    ],
)
def test_a_device_that_cannot_be_built_is_told(
    tmp_path: Path, workspace: Any, monkeypatch: pytest.MonkeyPatch, old: str, new: str, told: str
) -> None:
    monkeypatch.setenv("FLEX_URL", "http://10.0.0.7:31950")
    with pytest.raises(BenchError, match=told):
        open_bench(load_bench_file(written(tmp_path, TEXT.replace(old, new))), workspace)


def test_variables_are_filled_at_every_depth() -> None:
    settings = {"url": "${HOST}:${PORT}", "inner": {"list": ["${HOST}", 3]}, "plain": "$HOST"}
    assert fill_variables(settings, "here", {"HOST": "h", "PORT": "1"}) == {
        "url": "h:1",
        "inner": {"list": ["h", 3]},
        "plain": "$HOST",
    }


async def test_closing_goes_on_past_a_device_that_fails(
    tmp_path: Path, workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_URL", "http://10.0.0.7:31950")
    bench = open_bench(load_bench_file(written(tmp_path)), workspace)
    closed = []

    async def fails() -> None:
        raise DeviceError("stuck")

    async def closes() -> None:
        closed.append("reader")

    monkeypatch.setattr(bench.liquid_handler, "close", fails)
    monkeypatch.setattr(bench.plate_reader, "close", closes)
    with pytest.raises(DeviceError, match="stuck"):
        await bench.close()
    assert closed == ["reader"]
