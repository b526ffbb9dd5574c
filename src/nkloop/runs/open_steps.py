"""A step of unknown outcome as a person is told it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from nkloop.errors import first_of
from nkloop.frozen import FrozenModel
from nkloop.quantities.display import volume_told
from nkloop.runs.eyesight import level_change_mm
from nkloop.runs.possible import reached_wells, sentence
from nkloop.runs.unmixed import Spot
from nkloop.runs.vessels import moved_in
from nkloop.runs.ways import LIQUID, Fate, lacking, mixes_after, mixes_first
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist


class OpenStep(FrozenModel):
    """A step of unknown outcome, in words."""

    number: int
    sentence: str
    alike: str
    """The same without its target, for telling steps together that differ in it only."""
    target: str
    """`plate B1`; empty where nothing is given."""
    why: str
    """Why nobody knows."""
    tip: str
    """Where its tip came from; it may still be on the pipette, or hold liquid in the trash."""
    is_drawn: bool
    """Whether its liquid certainly left its source."""
    level_mm: float | None = None
    """Change of the level of its source or target, whichever is more, in mm; None where it is not known."""
    is_given: bool = False
    """Whether all of its liquid certainly arrived, so that only its mix may be missing."""
    lacking: tuple[Spot, ...] = ()
    """Wells that may lack it while other channels of the step certainly gave."""
    mixes: bool = False
    """Whether it mixes after it has given, so that it may have been cut there."""
    mixes_first: bool = False
    """Whether it mixes its source before its draw, so that it may have been cut there."""
    is_cut_first: bool = False
    """Whether it certainly was cut in that mix, so that it gave nothing."""
    fell_short: bool = False
    """Whether its device never began to give, or to end its mix, so that it may at most have drawn."""
    is_passed: bool = False
    """Whether the device went on behind it, so that it tells nothing of the others."""
    by_hand_ul: float = 0.0
    """What people move in it, in all; they may have moved any part of it."""


def open_step(fate: Fate, worklist: Worklist, catalogue: LabwareLookup, why: str) -> OpenStep:
    """What a person is told of a step, and where its tip came from.

    Args:
        fate: what is known of the step.
        worklist: of the run.
        catalogue: labware types by load name.
        why: why nobody knows more.
    """
    step, tip = fate.step, ""
    for other in worklist.steps:
        if other.number > step.number:
            break
        if other.tip and worklist.mount_of(other) == worklist.mount_of(step):
            tip = other.tip
    liquid = step.action in LIQUID
    gives = step.action == "transfer"
    return OpenStep(
        number=step.number,
        sentence=sentence(step),
        alike=f"{volume_told(step.volume_ul)} from {step.labware} {step.well}" if gives else sentence(step),
        target=f"{step.to_labware} {step.to_well}" if gives else "",
        why=why,
        tip=tip if liquid else "",
        is_drawn=fate.is_drawn,
        is_given=gives and fate.given_ul >= step.volume_ul,
        lacking=lacking(fate, lambda one, is_target: reached_wells(one, worklist, catalogue, is_target=is_target)),
        level_mm=level_change_mm(step, worklist, catalogue),
        mixes=mixes_after(step),
        mixes_first=mixes_first(step),
        is_cut_first=fate.is_cut_first,
        fell_short=fate.fell_short,
        is_passed=fate.is_passed,
        by_hand_ul=moved_in(step),
    )


def grouped(steps: Sequence[OpenStep]) -> list[list[OpenStep]]:
    """Steps one behind the other that differ in their target only."""
    return [
        list(group)
        for _, group in groupby(steps, key=lambda step: (step.alike, step.why, step.is_drawn, step.is_given))
    ]


def together(group: Sequence[OpenStep]) -> str:
    """A group in one sentence, without its numbers."""
    first = group[0]
    drawn = " (its liquid was given)" if first.is_given else " (its liquid was drawn)" if first.is_drawn else ""
    if len(group) == 1:
        return first.sentence + drawn
    targets = list(dict.fromkeys(step.target for step in group if step.target))
    shown = first_of(targets, 4)
    return f"{len(group)} x {first.alike}" + (f" to {shown}" if shown else "") + drawn
