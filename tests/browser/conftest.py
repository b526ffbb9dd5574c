"""Headless Chromium, and `nkloop serve` in a workspace of its own."""

from __future__ import annotations

import contextlib
import html
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from nkloop.reports import campaign_html

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--enable-logging=stderr",
)
_CONSOLE = re.compile(r':CONSOLE[:(]\d+\)?\] "(.*?)", source:', re.DOTALL)
OPEN_SECONDS = 90.0
START_SECONDS = 300.0
STOP_SECONDS = 45.0


@dataclass(frozen=True)
class Page:
    """What the browser made of an address."""

    dom: str
    console: tuple[str, ...]
    """Messages of the page in the browser's console, errors and refused loads among them."""
    requests: tuple[str, ...]
    """Addresses the page itself asked for over the network; the browser's own business is left out."""

    @property
    def words(self) -> str:
        """Text with single blanks, without tags, styles and scripts."""
        text = re.sub(r"<(script|style)\b.*?</\1>", " ", self.dom, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


@dataclass(frozen=True)
class Browser:
    """Headless Chromium; every call is a process with an empty profile."""

    program: str
    folder: Callable[[], Path]

    def open(self, address: str, *, virtual_ms: int = 15_000) -> Page:
        """Load a page, let its scripts run for `virtual_ms` of virtual time, and tell what it became."""
        log = self.folder() / "net.json"
        dom, said = self._run(f"--virtual-time-budget={virtual_ms}", f"--log-net-log={log}", "--dump-dom", address)
        return Page(dom, tuple(_CONSOLE.findall(said)), _asked_by_page(json.loads(log.read_text(encoding="utf-8"))))

    def print(self, address: str) -> bytes:
        """The page as PDF."""
        return self._written("page.pdf", "--print-to-pdf", address)

    def picture(self, address: str) -> bytes:
        """The top of the page as PNG, 1000 x 1400 pixels."""
        return self._written("page.png", "--screenshot", address, "--window-size=1000,1400")

    def _written(self, name: str, option: str, address: str, *more: str) -> bytes:
        file = self.folder() / name
        self._run(*more, f"{option}={file}", address)
        return file.read_bytes()

    def _run(self, *arguments: str) -> tuple[str, str]:
        command = [self.program, *QUIET, f"--user-data-dir={self.folder()}", *arguments]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **pipes) as process:
            try:
                out, said = process.communicate(timeout=OPEN_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        assert process.returncode == 0, said[-2000:]
        return out, said


def _asked_by_page(log: dict[str, Any]) -> tuple[str, ...]:
    """Requests with an origin; the browser's own (its clock, its updates) have none."""
    asked = [event.get("params", {}) for event in log["events"]]
    return tuple(
        p["url"]
        for p in asked
        if isinstance(p, dict) and "url" in p and p.get("initiator") not in {None, "not an origin"}
    )


@dataclass(frozen=True)
class Service:
    """A running `nkloop serve`."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def api(self, method: str, path: str, **json_body: Any) -> Any:
        """Answer of the Prefect REST interface."""
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = client.request(method, f"{self.url}/api{path}", json=json_body if method == "POST" else None)
        assert answer.is_success, answer.text
        return answer.json()

    def deployment(self, flow: str) -> dict[str, Any]:
        """The one deployment of a flow."""
        (found,) = self.api("POST", "/deployments/filter", flows={"name": {"any_": [flow]}})
        assert isinstance(found, dict)
        return found

    def children(self) -> tuple[int, ...]:
        """Process ids of Prefect server, virtual bench and runner."""
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
        return tuple(int(pid) for pid in listed.stdout.split())

    def stop(self) -> None:
        """Press Ctrl+C, and kill by process id what is left after that."""
        if self.process.poll() is not None:
            return
        started = self.children()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in (self.process.pid, *started):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            raise


def _free_port() -> int:
    """A port that is free together with the next one, which the reports take."""
    while True:
        with socket.socket() as probe, socket.socket() as beside, contextlib.suppress(OSError, OverflowError):
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            beside.bind(("127.0.0.1", port + 1))
            return port


def _await_start(service: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "Ctrl+C stops everything" not in (said := service.log.read_text(encoding="utf-8")):
        assert service.process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.2)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(NAMES)})")
    return Browser(program, lambda: tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the report of the campaign that the report tests tell."""
    spec = importlib.util.spec_from_file_location("browser_story", Path(__file__).parents[1] / "reports" / "story.py")
    assert spec is not None
    assert spec.loader is not None
    story = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(story)
    file = tmp_path_factory.mktemp("report") / "campaign.html"
    file.write_text(campaign_html(story.campaign()), encoding="utf-8")
    return file.as_uri()


@pytest.fixture(scope="module")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`nkloop init`, then `nkloop serve` in what it made. Needs the browser: nobody else looks at the pages."""
    nkloop = str(Path(sys.executable).with_name("nkloop"))
    folder = tmp_path_factory.mktemp("service")
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("NKLOOP_", "PREFECT_"))}
    subprocess.run([nkloop, "init", str(folder / "lab")], env=ours, check=True, capture_output=True)
    port, log = _free_port(), folder / "serve.log"
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            [nkloop, "serve", "--port", str(port)],
            env=ours,
            cwd=folder / "lab",
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        served = Service(process, f"http://127.0.0.1:{port}", log)
        try:
            _await_start(served)
            yield served
        finally:
            served.stop()
