"""Runs that are stopped within a step and repaired: `python -m crash_lab.repairs` (JSON lines).

The flow dies in the middle of a step that moves bulk, the robot stands still, a person finds and stops it, and repairs
without saying what became of the step. Afterwards every target must hold within its tolerance, in the wells as they
are and in every other way the step may have gone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from crash_lab.director import Director
from crash_lab.plan import FLOW, Crash
from crash_lab.procedures import Lab, Procedure
from crash_lab.reality import PhysicalTrigger
from crash_lab.stage import warm_lab
from nkloop.vendor import answers_folder

LAST = ("comment", "aspirate", "dispense")
"""Command of the step that took effect last: nothing was drawn; drawn and not given; given."""
BULK = {
    "cytokine_dosing on an OT-2": "base medium for arm-1-1",
    "medium_preparation on an OT-2": "add human serum",
}
"""Procedure, and the comment of the steps of which the middle one is cut: half of it either way is tolerated."""


def crashes(lab: Lab) -> Iterator[Crash]:
    """One crash per procedure and instant."""
    places = [(procedure, kind) for procedure in lab.procedures for kind in LAST]
    for number, (name, kind) in enumerate(places):
        nth = _nth(lab.procedures[name], BULK[name], kind)
        trigger = PhysicalTrigger(FLOW, nth, "after", is_stopped=True)
        yield Crash(number, name, FLOW, physical=trigger, decision="repair")


def _nth(procedure: Procedure, comment: str, kind: str) -> int:
    """Number of the command of this kind in the middle one of the steps with this comment."""
    steps = [step.number for step in procedure.worklist.steps if step.comment == comment]
    announced = f"step {steps[len(steps) // 2]}:"
    is_in_step = False
    for nth, command in enumerate(procedure.analysis.commands, start=1):
        message = str((command.get("params") or {}).get("message") or "")
        is_in_step = message.startswith(announced) or (is_in_step and not message.startswith("step "))
        if is_in_step and command["commandType"] == kind:
            return nth
    raise LookupError(f"{procedure.name} has no {kind} under {announced}")


def main() -> int:
    """Print one report per crash; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m crash_lab.repairs", description=__doc__)
    parser.add_argument("--procedure", choices=tuple(BULK), help="this one only")
    parser.add_argument("--folder", type=Path, help="where crashes leave their files; those that went wrong stay")
    given = parser.parse_args()
    broken = 0
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        names = [given.procedure] if given.procedure else tuple(BULK)
        lab = warm_lab(answers_folder() or folder / "analyses", names=names)
        director = Director(lab, folder)
        for crash in crashes(lab):
            report = director.stage(crash)
            broken += bool(report.problems)
            sys.stdout.write(json.dumps(asdict(report)) + "\n")
            sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
