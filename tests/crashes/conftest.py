"""The crash lab as its tests start it: a process of its own, because it forks and adopts whatever is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
SECONDS = 540
CrashLab = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def crash_lab(tmp_path_factory: pytest.TempPathFactory) -> CrashLab:
    """`crash_lab("director", "--crashes", "40")`: run a command of the lab; what it printed, one object per line."""

    def run(command: str, *arguments: str) -> list[dict[str, Any]]:
        environment = {**os.environ, "PYTHONPATH": str(HERE), "OPENBLAS_NUM_THREADS": "1"}
        environment.pop("NKLOOP_DATABASE_URL", None)
        ended = subprocess.run(
            [sys.executable, "-m", f"crash_lab.{command}", *arguments],
            cwd=tmp_path_factory.mktemp(command),
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ended.returncode in {0, 1}, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    return run
