"""Every HTTP call of a run with every network fault, before and after the robot acted; the suite tries a fifth.

    uv run python benchmarks/network_faults.py

Prints how many calls and faults were tried and how often the journal contradicted the wells (none is right).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from stopwatch import show_machine

ROOT = Path(__file__).resolve().parents[1]
TEST = "tests/network/test_every_call.py::test_no_fault_on_any_call_makes_the_journal_lie"


def main() -> int:
    """Run the whole matrix; exit code 1 when the journal contradicted the wells."""
    show_machine()
    began = time.perf_counter()
    command = [sys.executable, "-m", "pytest", TEST, "-q", "-n", "0", "-s", "-p", "no:cacheprovider"]
    environment = {**os.environ, "NKLOOP_LONG_TESTS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if "contradictions" in line]
    print(told[0] if told else done.stdout[-3000:])
    print(f"{time.perf_counter() - began:.0f} s")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
