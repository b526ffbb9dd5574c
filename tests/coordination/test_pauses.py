"""Flow runs that wait for a person, found from outside of Prefect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from nkloop.coordination.pauses import ADDRESS_FILE, pauses, prefect_address
from nkloop.errors import DeviceUnreachableError

RUN = {
    "id": "56c0",
    "name": "prepare medium expansion_i",
    "state": {
        "timestamp": "2026-11-28T23:28:52Z",
        "state_details": {"pause_timeout": "2026-11-29T23:28:52Z", "run_input_keyset": {"description": "load-text"}},
    },
}


class Prefect(BaseHTTPRequestHandler):
    """Answers the two questions there are, and keeps the first."""

    asked: ClassVar[dict[str, Any]] = {}
    busy: ClassVar[int] = 0
    """Questions that are answered with 503 first."""

    def do_POST(self) -> None:
        if Prefect.busy:
            Prefect.busy -= 1
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        Prefect.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._say([RUN])

    def do_GET(self) -> None:
        self._say("## Load the deck: medium\n\nLoad it." if self.path.endswith("/input/load-text") else "")

    def _say(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Prefect)
    thread = Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join()


def test_a_paused_flow_is_told_with_its_question_and_its_page(server: str) -> None:
    (pause,) = pauses(f"{server}/api", "virtual")
    assert (pause.asked, pause.flow_run) == ("Load the deck: medium", "prepare medium expansion_i")
    assert pause.page == f"{server}/runs/flow-run/56c0"
    assert pause.until is not None
    assert pause.until > pause.since
    assert Prefect.asked["flow_runs"]["tags"] == {"all_": ["nkloop", "virtual"]}


@pytest.mark.parametrize("n_busy", [2, 9])
def test_a_busy_server_is_asked_again_for_a_while(server: str, monkeypatch: pytest.MonkeyPatch, n_busy: int) -> None:
    monkeypatch.setattr("nkloop.coordination.pauses._WAITS", (0.0, 0.0))
    monkeypatch.setattr(Prefect, "busy", n_busy)
    if n_busy == 2:
        assert len(pauses(f"{server}/api")) == 1
        return
    with pytest.raises(DeviceUnreachableError, match=r"is busy \(503, its database is locked\).*in a few seconds"):
        pauses(f"{server}/api")


def test_a_server_that_does_not_answer_is_told() -> None:
    with pytest.raises(DeviceUnreachableError, match="the Prefect server does not answer: ConnectError"):
        pauses("http://127.0.0.1:9/api")


def test_the_address_is_that_of_the_environment_or_of_the_one_who_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert prefect_address(tmp_path) == ""
    (tmp_path / ADDRESS_FILE).write_text("http://127.0.0.1:4200\n")
    assert prefect_address(tmp_path) == "http://127.0.0.1:4200/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://lab:4200/api/")
    assert prefect_address(tmp_path) == "http://lab:4200/api"
