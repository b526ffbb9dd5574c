"""How long `nkloop demo` takes, and how much of it is start-up: a demo of one round and one of two."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from stopwatch import seconds, show_budget, show_machine

BUDGET_SECONDS = 60.0


def main() -> None:
    """Print the time of the demo as shipped, of its start, and of each round."""
    show_machine()
    one, two = (_demo_seconds(rounds) for rounds in (1, 2))
    show_budget("nkloop demo, two rounds", two, BUDGET_SECONDS)
    each = two - one
    print(f"each round {each:.1f} s ({each / two:.0%} of the demo); start, proposal and report {one - each:.1f} s")


def _demo_seconds(rounds: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = ["nkloop", "demo", "--rounds", str(rounds), "--json", "--directory", str(Path(folder) / "demo")]
        return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


if __name__ == "__main__":
    main()
