"""First independent check: the worklist followed through our own contents ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.models import CheckResult, Worklist


def check_ledger(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None = None) -> CheckResult:
    """Follow every step and compare the end contents with the worklist's targets.

    Args:
        worklist: what is checked.
        catalogue: labware types by load name.
        deck: the bench's pipettes, modules and trash; without it only the worklist itself is checked.
    """
    started = time.perf_counter()
    problems = [*deck_problems(worklist, deck), *number_problems(worklist)]
    ledger = follow(worklist, catalogue, deck)
    problems += ledger.violations
    problems += target_problems(worklist, ledger)
    return CheckResult.of("ledger", time.perf_counter() - started, tuple(problems))


def follow(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None = None) -> Ledger:
    """Return the ledger after the last step, violations included."""
    ledger = Ledger.of(worklist, catalogue, deck)
    for step in worklist.steps:
        ledger.apply(step)
    ledger.drop_all()
    return ledger


def number_problems(worklist: Worklist) -> Iterator[Problem]:
    """Steps that are not numbered 1, 2, 3, ...; a robot command is traced to its step by this number."""
    for expected, step in enumerate(worklist.steps, start=1):
        if step.number != expected:
            yield Problem(
                f"step {step.number} stands at place {expected}",
                f"step {step.number}",
                "number steps from 1",
                rules.STEP_NUMBERS,
            )
            return


def deck_problems(worklist: Worklist, deck: BenchDeck | None) -> Iterator[Problem]:
    """Slots taken twice, labware on the trash or on a module that is not there."""
    for slot, count in Counter(item.slot for item in worklist.deck).items():
        if count > 1:
            yield Problem(
                f"{count} labware stand in slot {slot}", f"slot {slot}", "give each its own slot", rules.SLOT_TAKEN
            )
    if deck is None:
        return
    module_slots = {module.slot: module for module in deck.modules}
    for item in worklist.deck:
        where = f"{item.nickname} in {item.slot}"
        if item.slot == deck.trash_slot:
            yield Problem(f"slot {item.slot} holds the trash", where, "use a free slot", rules.SLOT_TAKEN)
        module = module_slots.get(item.slot)
        if item.module is not None and (module is None or module.load_name != item.module):
            there = ", ".join(f"{m.load_name} in {m.slot}" for m in deck.modules) or "none"
            remedy = f"modules of the bench: {there}"
            yield Problem(f"no module {item.module} in slot {item.slot}", where, remedy, rules.MODULE_MISSING)
        if item.module is None and module is not None:
            told = f"slot {item.slot} holds module {module.load_name}"
            yield Problem(told, where, "name the module or move it", rules.MODULE_MISSING)


def target_problems(worklist: Worklist, ledger: Ledger) -> Iterator[Problem]:
    """Wells that do not hold what they shall hold at the end."""
    held = {(nickname, well): contents.per_ul for nickname, well, contents in ledger.wells()}
    for target in worklist.targets:
        reached = held.get((target.labware, target.well), {}).get(target.component, 0.0)
        allowed = target.tolerance_percent / 100 * target.per_ul
        if abs(reached - target.per_ul) > allowed + 1e-12:
            off = f"{100 * (reached / target.per_ul - 1):+.1f} %" if target.per_ul else "should be absent"
            yield Problem(
                f"{target.component} is {reached:.4g} per µL, target {target.per_ul:.4g} ± "
                f"{target.tolerance_percent:g} % ({off})",
                f"{target.labware} {target.well}",
                "correct the transfers into this well",
                rules.OFF_TARGET,
            )
