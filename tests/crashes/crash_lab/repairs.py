"""Runs that are stopped within a step and repaired or continued: `python -m crash_lab.repairs` (JSON lines).

The flow dies in the middle of a step that moves bulk, the robot stands still, a person finds and stops it, and repairs
without saying what became of the step. Afterwards every target must hold within its tolerance, in the wells as they
are and in every other way the step may have gone.

The same in the mix after a transfer: a person says that it had given its liquid, with or without liquid in the tip.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from crash_lab.director import Director, print_reports
from crash_lab.plan import FLOW, Crash
from crash_lab.procedures import Lab, Procedure
from crash_lab.reality import PhysicalTrigger
from crash_lab.stage import warm_lab
from nkloop.records.models import DecisionKind
from nkloop.runs.ways import mixes_after
from nkloop.vendor import answers_folder

LAST = ("comment", "aspirate", "dispense")
"""Command of the step that took effect last: nothing was drawn; drawn and not given; given."""
BULK = {
    "cytokine_dosing on an OT-2": "base medium for arm-1-1",
    "medium_preparation on an OT-2": "add human serum",
}
"""Procedure, and the comment of the steps of which the middle one is cut: half of it either way is tolerated."""


IN_MIX = (("dispense", 1), ("aspirate", 2))
"""Command of a transfer that mixes that took effect last, and the how manieth of its kind: given; with liquid of the
first stroke of its mix in the tip."""


def crashes(lab: Lab) -> Iterator[Crash]:
    """One crash per procedure and instant."""
    number = itertools.count()
    for name in lab.procedures:
        worklist = lab.procedures[name].worklist
        bulk = [step.number for step in worklist.steps if step.comment == BULK[name]]
        mixing = [step.number for step in worklist.steps if mixes_after(step)]
        for kind in LAST:
            yield _cut(next(number), lab.procedures[name], bulk, kind, 1, "repair")
        for kind, nth in IN_MIX:
            yield _cut(next(number), lab.procedures[name], mixing, kind, nth, "continue")


def _cut(number: int, procedure: Procedure, steps: Sequence[int], kind: str, nth: int, decision: DecisionKind) -> Crash:
    """A crash in the middle one of these steps."""
    at = _command(procedure, steps[len(steps) // 2], kind, nth)
    trigger = PhysicalTrigger(FLOW, at, "after", is_stopped=True)
    return Crash(number, procedure.name, FLOW, physical=trigger, decision=decision)


def _command(procedure: Procedure, step: int, kind: str, of_kind: int) -> int:
    """Number of the n-th command of this kind in a step."""
    announced, is_in_step = f"step {step}:", False
    for nth, command in enumerate(procedure.analysis.commands, start=1):
        message = str((command.get("params") or {}).get("message") or "")
        is_in_step = message.startswith(announced) or (is_in_step and not message.startswith("step "))
        of_kind -= is_in_step and command["commandType"] == kind
        if of_kind == 0:
            return nth
    raise LookupError(f"{procedure.name} has no such {kind} under {announced}")


def main() -> int:
    """Print one report per crash; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m crash_lab.repairs", description=__doc__)
    parser.add_argument("--procedure", choices=tuple(BULK), help="this one only")
    parser.add_argument("--folder", type=Path, help="where crashes leave their files; those that went wrong stay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        names = [given.procedure] if given.procedure else tuple(BULK)
        lab = warm_lab(answers_folder() or folder / "analyses", names=names)
        director = Director(lab, folder)
        return print_reports(map(director.stage, crashes(lab)))


if __name__ == "__main__":
    raise SystemExit(main())
