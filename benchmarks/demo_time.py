"""How long `nkloop demo` takes, and how much processor time all of its processes need for it.

Wall time depends on what else the machine does; processor time over the number of cores is what it cannot fall below.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from pathlib import Path

from stopwatch import seconds, show_budget, show_machine

BUDGET_SECONDS = 60.0


def main() -> None:
    """Print wall time against the budget, and processor time."""
    show_machine()
    before = _processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        command = ["nkloop", "demo", "--json", "--directory", str(Path(folder) / "demo")]
        wall = seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    used = _processor_seconds() - before
    cores = os.cpu_count() or 1
    show_budget("nkloop demo, two rounds of six arms", wall, BUDGET_SECONDS)
    print(f"processor time {used:.1f} s, at least {used / cores:.1f} s on {cores} cores; load {os.getloadavg()[0]:.2f}")


def _processor_seconds() -> float:
    """User and system time of all ended child processes and theirs, in s."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    main()
