"""The question about an interrupted run as a page of Prefect, and the form it is answered in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from prefect.input import RunInput
from pydantic import ConfigDict, Field

from nkloop.coordination.statement_fields import (
    CutInFirstMix,
    CutInMix,
    Drawn,
    Given,
    Happened,
    Moved,
    NotHappened,
    OtherVessels,
    SkippedAtScreen,
    Wells,
)
from nkloop.labware.well_ranges import well_ranges
from nkloop.quantities.display import volume_told
from nkloop.reports.markdown import markdown_text
from nkloop.runs.asking import FOREIGN, Question, held_told
from nkloop.runs.eyesight import too_small
from nkloop.runs.offers import Offer, others_cut
from nkloop.runs.open_steps import grouped, together
from nkloop.runs.possible import PossibleWell
from nkloop.runs.typed_steps import spans
from nkloop.worklists.models import PLATE_READING

_MOST = 12
"""Wells of which every possibility is told on a page."""


class Answer(RunInput):
    """What a person decides about a run with steps of unknown outcome."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["continue", "repair", "discard"] = Field(
        "discard", title="Decision", description="continue, repair or discard"
    )
    decided_by: str = Field(..., title="Your name", description="It is recorded with the decision", min_length=2)
    reason: str = Field(..., title="Reason", description="It is recorded with the decision", min_length=3)
    happened: Happened = ""
    not_happened: NotHappened = ""
    drawn: Drawn = ""
    cut_in_first_mix: CutInFirstMix = ""
    given: Given = ""
    cut_in_mix: CutInMix = ""
    moved: Moved = ""
    skipped_at_screen: SkippedAtScreen = ""
    wells: Wells = ""
    other_vessels: OtherVessels = ""


def question_markdown(asked: Question) -> str:
    """The question as a page: steps nobody knows, wells with every possibility, what may be answered."""
    lines = [f"### {markdown_text(asked.run.id)}: {markdown_text(asked.run.name)}", "", "Nobody knows what became of:"]
    reasons = dict.fromkeys(step.why for step in asked.steps)
    for group in grouped(asked.steps):
        why = f" ({markdown_text(group[0].why)})" if len(reasons) > 1 or len(asked.steps) == 1 else ""
        lines.append(f"- step {spans([step.number for step in group])}: {markdown_text(together(group))}{why}")
    if len(reasons) == 1 and len(asked.steps) > 1:
        lines += ["", f"Why: {markdown_text(next(iter(reasons)) or 'nobody saw their end')}"]
    if asked.run.procedure == PLATE_READING:
        told = (
            "No liquid was moved, and to read the plate again does no harm. Look at the reader, its lid and its plate"
        )
        return "\n".join(
            [*lines, "", f"{told}, put them right, then answer **continue** with what you saw as the reason."]
        )
    if asked.run.is_foreign:
        answers = [f"- {markdown_text(offer.when)}: {_filled_in(offer)}" for offer in asked.offers if not offer.refused]
        return "\n".join([*lines, "", f"{markdown_text(FOREIGN)}, then give one of these answers:", *answers])
    lines += ["", "These wells and vessels depend on it:" if asked.vessels else "These wells depend on it:"]
    lines += _wells(asked.wells)
    for vessel in asked.vessels:
        lines.append(
            f"- {markdown_text(vessel.name)} ({markdown_text(vessel.title)}): {markdown_text(vessel.sentence)}"
        )
    if asked.vessels:
        lines += ["", "Weigh these vessels. Of a step that people did in part, say how much was moved."]
    if blind := too_small({step.number: step.level_mm for step in asked.steps}):
        lines += ["", f"**{markdown_text(blind)}**"]
    if asked.held:
        lines += ["", markdown_text(_in_fields(held_told(asked)))]
    lines += ["", "Look at the deck and the tips, then give one of these answers:"]
    lines += [f"- {markdown_text(offer.when)}: {_filled_in(offer)}" for offer in asked.offers if not offer.refused]
    if told := others_cut(asked.steps):
        lines.append(f"- {markdown_text(_in_fields(told))}")
    if asked.no_repair:
        lines += ["", f"No correction is right either way: {markdown_text(asked.no_repair)}."]
    refused = [one for one in asked.offers if one.refused and one.kind != "repair"]
    lines += [""] if refused else []
    lines += [f"- {markdown_text(f'{one.when}: that cannot be done, {one.refused}')}" for one in refused]
    return "\n".join(lines)


def _wells(wells: Sequence[PossibleWell]) -> list[str]:
    """What the first wells may hold, and which others are in doubt, per labware."""
    lines = [f"- {markdown_text(well.labware)} {well.well}: {_ways(well)}" for well in wells[:_MOST]]
    more: dict[str, list[str]] = {}
    for well in wells[_MOST:]:
        more.setdefault(well.labware, []).append(well.well)
    told = [f"{markdown_text(labware)} {', '.join(well_ranges(names))}" for labware, names in more.items()]
    return [*lines, *([f"- and {len(wells) - _MOST} more: {'; '.join(told)}"] if told else [])]


def _ways(well: PossibleWell) -> str:
    if well.doubt:
        return f"concentration not known: {markdown_text(well.doubt)}"
    if len(well.contents) > 2:
        low, high = map(volume_told, well.volumes_ul)
        return f"{low} to {high}, {len(well.contents)} possibilities"
    return "; or ".join(f"{volume_told(one.volume_ul)} if {markdown_text(one.when)}" for one in well.contents)


def _in_fields(told: str) -> str:
    """The same with the fields of the form in place of options of the command."""
    for option, name in (("--not-happened", "not_happened"), ("--happened", "happened")):
        told = told.replace(option, f"“{Answer.model_fields[name].title}”")
    return told


def _filled_in(offer: Offer) -> str:
    """An answer as the fields of the form."""
    said = {word: spans(numbers) for word, numbers in offer.said.items()}
    said |= {"moved": f"{offer.part_of}=VOLUME mL"} if offer.part_of else {}
    said |= {"wells": ", ".join(f"{labware}:{well}" for labware, well in offer.wells)} if offer.wells else {}
    fields = [f"*{Answer.model_fields[name].title}* `{value}`" for name, value in said.items()]
    return " with ".join([f"**{offer.kind}**", *([", ".join(fields)] if fields else [])])
