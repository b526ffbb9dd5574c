"""`python -m nkloop.virtual`: the virtual bench as a process of its own."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

from nkloop.errors import NkloopError
from nkloop.virtual.server import BenchSettings, announce_on_stdout, serve_shared_bench, serve_virtual_bench


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; the first line on stdout is `{"url", "pid"}`. Exit code 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m nkloop.virtual", description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--bench", default="virtual")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", action="append", default=[], help="name of a fault; may be given several times")
    parser.add_argument("--state", type=Path, default=None, help="folder of what outlives this process")
    parser.add_argument("--not-before", type=datetime.fromisoformat, default=None, help="earliest time on its clock")
    parser.add_argument("--compliance", action="store_true")
    parser.add_argument("--parent", type=int, default=None, help="end when this process, which started us, ends")
    parser.add_argument("--shared", type=Path, default=None, help="folder of a bench that ends with its last user")
    given = parser.parse_args(arguments)
    try:
        settings = BenchSettings(
            bench=given.bench,
            speed=given.speed,
            seed=given.seed,
            faults=tuple(given.fault),
            state=given.state,
            not_before=given.not_before,
            compliance=given.compliance,
        )
        if given.shared is None:
            serve_virtual_bench(given.workspace, given.port, settings, announce=announce_on_stdout, parent=given.parent)
        else:
            serve_shared_bench(given.workspace, given.port, settings, given.shared)
    except NkloopError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
