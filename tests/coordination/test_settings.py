"""The server of our own and what it is told; what reaches the pages of Prefect."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from nkloop.coordination import server as servers
from nkloop.coordination.artifacts import key
from nkloop.coordination.server import PrefectServer
from nkloop.coordination.settings import SHIPPED, TEMPORARY, environment
from nkloop.errors import DeviceUnreachableError

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
time.sleep(60)
"""


def sleeping(tmp_path: Path) -> PrefectServer:
    """A process that never answers."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    return PrefectServer(process, 9, {}, tmp_path / "server.log")


def test_every_setting_shipped_is_one_prefect_knows() -> None:
    from prefect.settings import Settings

    known = Settings.model_json_schema()
    names = {
        variable
        for definition in (known, *known["$defs"].values())
        for field in definition.get("properties", {}).values()
        for variable in field.get("supported_environment_variables", ())
    }
    assert {name for name in (*SHIPPED, *TEMPORARY) if name.startswith("PREFECT_")} - names == set()


def test_leases_survive_a_restart_and_nothing_is_told_to_anybody(tmp_path: Path) -> None:
    settings = environment(tmp_path, "http://127.0.0.1:4200/api")
    assert settings["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith(".filesystem")
    assert settings["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert (settings["PREFECT_HOME"], settings["DO_NOT_TRACK"]) == (str(tmp_path), "1")
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in settings
    assert "memory" in environment(tmp_path, "x", temporary=True)["PREFECT_SERVER_DATABASE_CONNECTION_URL"]


def test_clients_of_a_server_on_this_machine_load_one_certificate(tmp_path: Path) -> None:
    settings = environment(tmp_path / "prefect", "http://127.0.0.1:4200/api", temporary=True)
    context = ssl.create_default_context(cafile=settings["PREFECT_API_SSL_CERT_FILE"])
    assert len(context.get_ca_certs()) == 1
    assert "PREFECT_API_TLS_INSECURE_SKIP_VERIFY" not in settings
    assert "PREFECT_API_SSL_CERT_FILE" not in environment(tmp_path, "https://prefect.example/api")


def test_a_server_that_does_not_answer_in_time_is_told(tmp_path: Path) -> None:
    server = sleeping(tmp_path)
    try:
        with pytest.raises(DeviceUnreachableError, match=r"did not answer at http://127.0.0.1:9 within 0.3 s.*its log"):
            server.wait(0.3)
    finally:
        server.stop()
    assert server.process.poll() is not None


def test_a_server_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    server = sleeping(tmp_path)
    server.stop()
    with pytest.raises(DeviceUnreachableError, match=r"did not answer|ended by itself"):
        server.wait(60)
    server.stop()


def test_a_server_that_does_not_go_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        monkeypatch.setattr(servers, "STOP_SECONDS", 0.2)
        PrefectServer(process, 9, {}, tmp_path / "log").stop()
    assert process.returncode == -9


@pytest.mark.parametrize(
    ("parts", "expected"),
    [(("run-sheet",), "run-sheet"), (("Run sheet", "ucb_nk"), "run-sheet-ucb-nk"), (("µL / well!",), "l-well")],
)
def test_artifact_keys_are_lower_case_with_dashes(parts: tuple[str, ...], expected: str) -> None:
    assert key(*parts) == expected
