"""Reports are read over HTTP, and linked only where somebody serves them."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from nkloop.coordination.report_pages import REPORTS_URL, report_link, reports_served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "run 1.html").write_text("<p>a run", encoding="utf-8")
    (tmp_path / "records.db").write_text("not for everybody")
    return folder


def test_reports_and_nothing_else_can_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with reports_served(folder, port=0) as address, httpx.Client(trust_env=False) as client:
        monkeypatch.setenv(REPORTS_URL, address)
        answer = client.get(report_link(folder / "run 1.html"))
        assert (answer.status_code, answer.text) == (200, "<p>a run")
        assert answer.headers["content-type"] == "text/html"
        assert client.get(f"{address}/%2e%2e/records.db").status_code == 404
        assert client.put(f"{address}/run.html", content="x").status_code == 501
        assert client.delete(f"{address}/run%201.html").status_code == 501
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)


def test_a_taken_port_gives_way_to_a_free_one(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with reports_served(folder, port=port) as address:
            assert address != f"http://127.0.0.1:{port}"
            assert httpx.get(address, trust_env=False).status_code == 200


def test_without_a_server_there_is_no_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REPORTS_URL, raising=False)
    assert report_link(folder / "run 1.html") == ""
