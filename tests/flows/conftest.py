"""One temporary Prefect server for the tests of a file, and labs for them."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nkloop.coordination.server import PrefectServer
from nkloop.virtual.process import VirtualBench
from nkloop.workspace import Workspace

from .lab import Lab


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    from prefect.settings import (
        PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_HOME,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    home = tmp_path_factory.mktemp("prefect")
    server = PrefectServer.launch(home, temporary=True)
    try:
        server.wait()
        settings: dict[Any, Any] = {
            PREFECT_API_URL: server.environment["PREFECT_API_URL"],
            PREFECT_HOME: home,
            PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            PREFECT_LOGGING_TO_API_ENABLED: False,
        }
        with temporary_settings(settings):
            yield server
    finally:
        gc.collect()
        server.stop()


@pytest.fixture(scope="module")
def make_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """`make_lab(seed=1)`: a fresh workspace with a bench of its own, of another name with its file's text."""
    with contextlib.ExitStack() as stack:

        def make(name: str = "virtual", text: str = "", **settings: Any) -> Lab:
            workspace = Workspace.create(tmp_path_factory.mktemp("lab") / "lab")
            workspace.state.mkdir()
            if text:
                (workspace.devices / f"{name}.yaml").write_text(text, encoding="utf-8")
            bench = VirtualBench.start(workspace.root, log=workspace.state / "bench.log", bench=name, **settings)
            stack.callback(bench.stop)
            return Lab(workspace, bench, name)

        yield make
