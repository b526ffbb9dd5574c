"""How long `nkloop --help` takes, beside an empty Python process: heavy imports must wait until they are needed."""

from __future__ import annotations

import subprocess
import sys

from stopwatch import seconds, show_budget, show_machine

BUDGET_SECONDS = 0.5
REPEATS = 7


def main() -> None:
    """Print the best of several runs: what the program needs, not what the machine was busy with."""
    show_machine()
    empty = _best([sys.executable, "-c", "pass"])
    full = _best(["nkloop", "--help"])
    print(f"empty Python process: {empty:.2f} s")
    show_budget("nkloop --help", full, BUDGET_SECONDS)


def _best(command: list[str]) -> float:
    return min(seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(REPEATS))


if __name__ == "__main__":
    main()
