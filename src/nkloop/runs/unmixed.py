"""Wells whose concentration nobody knows, because something was drawn from a well before it was mixed.

The ledger counts what is drawn as of the well's mean. That is true of a mixed well only: of one whose mix failed nobody
knows how much of each component left it, so neither what stayed in it nor what was made from it is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nkloop.runs.ways import Fate, Reaches
from nkloop.worklists.models import Step

Spot = tuple[str, str]
"""Nickname and well."""


def unmixed_wells(fates: Sequence[Fate], reaches: Reaches) -> dict[Spot, str]:
    """Wells of unknown concentration, with the reason in a sentence.

    A device works its steps in order, so an unknown mix is in doubt only where the device went on behind it. A mix
    before anything was drawn makes good one that failed; afterwards it is too late.
    """
    unmixed: dict[Spot, str] = {}
    doubtful: dict[Spot, str] = {}
    for fate in fates:
        step = fate.step
        if step.action == "mix":
            _note_mix(unmixed, fate, tuple(reaches(step, False)))
        elif step.action == "transfer" and fate.what != "not":
            for source, targets in _paired(step, reaches):
                if step.mix_before and fate.what == "done":
                    unmixed.pop(source, None)
                if why := doubtful.get(source) or unmixed.get(source):
                    doubtful |= dict.fromkeys((source, *targets), why)
            if step.mix_after:
                _note_mix(unmixed, fate, tuple(reaches(step, True)))
    return doubtful


def _note_mix(unmixed: dict[Spot, str], fate: Fate, wells: Sequence[Spot]) -> None:
    if fate.what == "unknown" and not fate.is_passed:
        return  # nothing that follows has happened unless this has
    for spot in wells:
        unmixed.pop(spot, None)
        if fate.what != "done":
            how = "may not have mixed" if fate.what == "unknown" else "did not mix"
            unmixed[spot] = f"step {fate.step.number} {how} {' '.join(spot)} before it was drawn from"


def _paired(step: Step, reaches: Reaches) -> Iterator[tuple[Spot, tuple[Spot, ...]]]:
    """Each source with the wells its channel gives into; with all of them where a trough stands on one side."""
    sources, targets = tuple(reaches(step, False)), tuple(reaches(step, True))
    if len(sources) == len(targets):
        yield from ((source, (target,)) for source, target in zip(sources, targets, strict=True))
    else:
        yield from ((source, targets) for source in sources)
