"""`nkloop doctor` asks what can be asked of a bench without moving anything, and says what it did not ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from nkloop.cli.doctor import Line, _bench_lines
from nkloop.workspace import Workspace

DEVICES = """liquid_handler:
  driver: nkloop.drivers.opentrons:OpentronsRobot
  settings:
    url: {url}
plate_reader:
  driver: {reader}
  settings:
    backend: nkloop.virtual.reader:VirtualReaderBackend
    backend_settings:
      url: http://127.0.0.1:9
cell_counter:
  driver: nkloop.drivers.manual_counter:ManualCounter
operator:
  driver: nkloop.drivers.operators:PrefectOperator
clock:
  driver: nkloop.drivers.clock:SystemClock
lots: lots/virtual.yaml
"""
SILENT = "http://127.0.0.1:9"


class Robot(BaseHTTPRequestHandler):
    """Answers a request for its health that carries the header, as a Flex does."""

    def do_GET(self) -> None:
        known = self.path == "/health" and self.headers["Opentrons-Version"] == "*"
        self.send_response(200 if known else 422)
        self.end_headers()
        self.wfile.write(b'{"name": "flex-1", "api_version": "8.2.0"}')

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def robot() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Robot) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("NKLOOP_VIRTUAL_URL", raising=False)
    return Workspace.create(tmp_path / "lab")


def lines(workspace: Workspace, url: str, reader: str = "nkloop.drivers.pylabrobot:PyLabRobotReader") -> list[Line]:
    shipped = (workspace.devices / "virtual.yaml").read_text(encoding="utf-8")
    deck = shipped.partition("liquid_handler:\n")[0].replace("simulated: true", "simulated: false")
    deck += "locks: [lab-flex]\n"
    (workspace.devices / "lab.yaml").write_text(deck + DEVICES.format(url=url, reader=reader), encoding="utf-8")
    return _bench_lines(workspace.root, "lab")


def test_every_device_has_its_line(workspace: Workspace, robot: str) -> None:
    bench, handler, *others, clock = lines(workspace, robot)
    assert (bench.subject, bench.state) == ("bench 'lab'", "present")
    assert (handler.state, handler.found) == ("present", f"flex-1 at {robot}, software 8.2.0")
    assert [line.subject.strip() for line in others] == ["plate reader", "cell counter", "operator"]
    assert all("the device itself was not asked" in line.found for line in others)
    assert clock.found.endswith("UTC")


def test_a_silent_robot_is_missing(workspace: Workspace) -> None:
    handler = lines(workspace, SILENT)[1]
    assert handler.state == "missing"
    assert f"no answer from {SILENT}" in handler.found
    assert "switch it on" in handler.remedy


def test_a_driver_that_cannot_be_built_hides_no_silent_robot(workspace: Workspace) -> None:
    bench, handler = lines(workspace, SILENT, reader="nkloop.drivers.pylabrobot:Gone")
    assert (bench.state, handler.state) == ("missing", "missing")
    assert "plate_reader" in bench.found


def test_a_simulated_bench_is_asked_only_where_one_runs(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench,) = _bench_lines(workspace.root, "virtual")
    assert bench.state == "present"
    assert "started by nkloop demo" in bench.found
    monkeypatch.setenv("NKLOOP_VIRTUAL_URL", SILENT)
    states = {line.subject.strip(): line.state for line in _bench_lines(workspace.root, "virtual")}
    assert (states["liquid handler"], states["clock"]) == ("missing", "missing")
