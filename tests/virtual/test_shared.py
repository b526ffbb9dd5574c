"""The virtual bench of a workspace: several commands use it, it ends with the last of them, however that ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.virtual.test_process import gone

from nkloop.errors import BenchError
from nkloop.virtual.shared import _started, is_there, serving, shared_bench

ROOT = Path(__file__).resolve().parents[2]
USER = """
import sys, time
from pathlib import Path
from nkloop.virtual.shared import shared_bench
with shared_bench(Path(sys.argv[1]), Path(sys.argv[2])) as url:
    print(url, flush=True)
    time.sleep(60)
"""


def answers(url: str) -> bool:
    request = urllib.request.Request(f"{url}/health", headers={"Opentrons-Version": "*"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        return bool(answer.status == 200)


def bench_pid(state: Path) -> int:
    return int(json.loads((state / "virtual-virtual" / "serving").read_text())["pid"])


def test_the_bench_outlives_who_started_it_and_ends_with_its_last_user(tmp_path: Path) -> None:
    root, state = tmp_path / "workspace", tmp_path / "state"
    for folder in ("devices", "labware"):
        shutil.copytree(ROOT / folder, root / folder)
    assert not is_there(state, "virtual")
    with shared_bench(root, state) as url:
        assert is_there(state, "virtual")
        command = [sys.executable, "-c", USER, str(root), str(state)]
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        with other.stdout as told:
            assert told.readline().strip() == url, "both use the same bench"
        pid = bench_pid(state)
    time.sleep(0.6)
    assert answers(url), "the other still uses it"
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert gone(pid), "nobody uses it any more"
    _started.pop(state / "virtual-virtual").stop()  # whoever started it has left it to the other


def test_two_benches_never_work_with_one_folder(tmp_path: Path) -> None:
    with serving(tmp_path), pytest.raises(BenchError, match="another virtual bench works"), serving(tmp_path):
        pass
    with serving(tmp_path):
        pass
