"""Reports over HTTP: a browser follows no `file://` link from a Prefect page."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

REPORTS_URL = "NKLOOP_REPORTS_URL"
"""Environment variable with the address under which flows link their reports."""


class _ReadOnly(SimpleHTTPRequestHandler):
    """GET and HEAD of the files of one folder."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to `nkloop serve`."""


@contextmanager
def reports_served(folder: Path, *, port: int) -> Iterator[str]:
    """Serve a folder read-only on 127.0.0.1 from a thread, on `port` or, when it is taken, a free one; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = partial(_ReadOnly, directory=str(folder))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, name="reports", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def report_link(path: Path) -> str:
    """Address of a report where somebody serves them, otherwise empty."""
    address = os.environ.get(REPORTS_URL, "")
    return f"{address.rstrip('/')}/{quote(path.name)}" if address else ""
