"""Whether a worklist belongs to the procedure its file is named after."""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.models import Worklist

OWN_LABWARE: dict[str, frozenset[str]] = {
    "medium_preparation": frozenset({"medium"}),
    "cytokine_dosing": frozenset({"culture", "arms", "doses"}),
    "cytotoxicity_assay": frozenset({"assay"}),
}
"""Nicknames of the labware that only one procedure has: what it makes or works on."""


def procedure_problems(worklist: Worklist) -> Iterator[Problem]:
    """A worklist without any labware of its procedure, or with that of another one."""
    names = {item.nickname for item in worklist.deck}
    fits = [procedure for procedure, own in OWN_LABWARE.items() if names & own]
    own = OWN_LABWARE[worklist.procedure]
    wanted = " or ".join(f"'{name}'" for name in sorted(own))
    for other in fits:
        if other != worklist.procedure:
            labware = ", ".join(sorted(names & OWN_LABWARE[other]))
            told = f"'{labware}' on the deck belongs to {other}, the file is named after {worklist.procedure}"
            yield Problem(told, "file name", f"rename the file to {other}.<anything>.csv", rules.WRONG_PROCEDURE)
    if not fits:
        told = f"no labware is called {wanted}, which every worklist of {worklist.procedure} has"
        yield Problem(told, "file name", "rename the file after its procedure", rules.WRONG_PROCEDURE)
