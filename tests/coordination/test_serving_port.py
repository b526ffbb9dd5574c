"""A port that is taken and a workspace that is served are refused before anything is started."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nkloop.coordination.only_one import PID_FILE, only_one
from nkloop.coordination.server import PrefectServer, require_free
from nkloop.errors import DeviceError, DeviceUnreachableError, WorkspaceError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_taken_port_is_named_with_a_way_out(taken: int, tmp_path: Path) -> None:
    told = rf"port {taken} of 127.0.0.1 is taken by another program. Remedy: choose another with --port N"
    with pytest.raises(DeviceError, match=told):
        require_free(taken)
    with pytest.raises(DeviceError, match=told):
        PrefectServer.launch(tmp_path / "prefect", port=taken)
    assert not (tmp_path / "prefect").exists()


def test_a_port_is_free_again_when_its_listener_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    require_free(port)


def test_an_answer_of_another_program_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit(3)"], stdin=subprocess.PIPE)

    def answers(client: httpx.Client, url: str) -> httpx.Response:
        ended.communicate()  # our process goes down while the other program answers
        return httpx.Response(200)

    monkeypatch.setattr(httpx.Client, "get", answers)
    server = PrefectServer(ended, 4200, {}, tmp_path / "server.log")
    with pytest.raises(DeviceUnreachableError, match=r"server.log: the Prefect server ended by itself with code 3"):
        server.wait(5)


def test_one_serve_for_each_workspace(tmp_path: Path) -> None:
    state, log = tmp_path / ".nkloop", tmp_path / "flows.log"
    with only_one(state, log=log):
        assert (state / PID_FILE).read_text() == f"{os.getpid()}\n"
        told = rf"already being served by process {os.getpid()}, which logs to {re.escape(str(log))}. Remedy: .*stop it"
        with pytest.raises(WorkspaceError, match=told), only_one(state, log=log):
            pytest.fail("two served the same workspace")
        assert (state / PID_FILE).exists()
    assert not (state / PID_FILE).exists()


def test_the_file_of_a_killed_process_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / PID_FILE).write_text("1\n")  # process 1 is always alive, and never ours
    with only_one(tmp_path, log=tmp_path / "flows.log"):
        assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"


def test_a_state_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WorkspaceError, match=r"serve.pid: cannot be written"),
        only_one(tmp_path / "file" / "state", log=tmp_path / "flows.log"),
    ):
        pytest.fail("served from nowhere")
