"""Vessels that stay unfinished because something else was thrown away: what they hold now, and what they lack."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from nkloop.errors import first_of
from nkloop.frozen import FrozenModel
from nkloop.quantities.display import volume_told
from nkloop.runs.possible import possible_wells, reached_wells, replay
from nkloop.runs.typed_steps import spans
from nkloop.runs.unmixed import Spot
from nkloop.runs.ways import Fate
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist

_PLANS = {
    "medium_preparation": "nkloop plan medium",
    "cytokine_dosing": "nkloop plan dosing",
    "cytotoxicity_assay": "nkloop plan cytotoxicity",
}


class Unfinished(FrozenModel):
    """Wells of one labware that hold as much and lack as much as each other."""

    labware: str
    barcode: str | None
    wells: tuple[str, ...]
    holds: str
    """Volume now, or the least and most it may be."""
    lacks_ul: float
    """Volume in µL that was to go into each and will not."""
    steps: tuple[int, ...]
    """Steps that will not be done."""
    is_known: bool
    """Whether it is known what they hold; only then can a plan start from it."""
    plan: str
    """Command that makes such a plan."""

    @property
    def sentence(self) -> str:
        """Where, what they hold and what they lack."""
        name = f"{self.labware} ({self.barcode})" if self.barcode else self.labware
        shown = first_of(self.wells, 8)
        each = "each " if len(self.wells) > 1 else ""
        lacks = f"lack{'' if len(self.wells) > 1 else 's'} {each}{volume_told(self.lacks_ul)}"
        return f"{name} {shown}: {self.holds}, {lacks} (step {spans(self.steps)})"


def unfinished_vessels(
    worklist: Worklist,
    fates: Sequence[Fate],
    gone: Collection[Spot],
    catalogue: LabwareLookup,
    deck: BenchDeck | None = None,
) -> tuple[Unfinished, ...]:
    """Wells, other than those discarded, into which something was still to be given.

    A well that only hands on what it gets (a dilution on its way) is left out, unless the plan sets a target for it.
    """
    open_steps = [fate for fate in fates if fate.step.action == "transfer" and fate.what != "done"]
    wanted = {(one.labware, one.well) for one in worklist.targets} | {(one.labware, one.well) for one in worklist.ends}
    passing = {spot for fate in open_steps for spot in reached_wells(fate.step, worklist, catalogue, is_target=False)}
    lacking: dict[Spot, list[Fate]] = {}
    for fate in open_steps:
        for spot in reached_wells(fate.step, worklist, catalogue, is_target=True):
            if spot not in gone and (spot in wanted or spot not in passing):
                lacking.setdefault(spot, []).append(fate)
    alike: dict[tuple[str, str, float], list[Unfinished]] = {}
    for one in _each(worklist, fates, lacking, catalogue, deck):
        alike.setdefault((one.labware, one.holds, one.lacks_ul), []).append(one)
    return tuple(map(_together, alike.values()))


def told_of_unfinished(found: Sequence[Unfinished]) -> list[str]:
    """What is said of unfinished vessels, line by line, with what can be done; empty when there are none."""
    if not found:
        return []
    lines = ["Unfinished because of that, and not discarded:", *(f"  {one.sentence}" for one in found)]
    known = [one for one in found if one.is_known]
    if found[0].plan != _PLANS["cytokine_dosing"]:
        lines.append(
            f"No plan finishes them: plan the whole anew ({found[0].plan}), in fresh labware of its own barcode."
        )
        return lines
    if any(one.barcode for one in known):
        lines.append(f"To finish them, make a new plan ({found[0].plan}): it starts from what they hold now.")
    if any(not one.barcode for one in known):
        lines.append("What has no barcode is known to no later plan: give it one in the plan, or make it anew.")
    if len(known) < len(found):
        lines.append("Where nobody knows what a well holds, no plan starts from it: measure it, or discard it as well.")
    return lines


def _each(
    worklist: Worklist,
    fates: Sequence[Fate],
    lacking: dict[Spot, list[Fate]],
    catalogue: LabwareLookup,
    deck: BenchDeck | None,
) -> Iterator[Unfinished]:
    barcodes = {item.nickname: item.barcode for item in worklist.deck}
    possible = possible_wells(worklist, fates, catalogue, deck)
    unsure = {(one.labware, one.well): " to ".join(dict.fromkeys(map(volume_told, one.volumes_ul))) for one in possible}
    ledger = replay(worklist, fates, catalogue, deck)
    for (nickname, well), open_steps in lacking.items():
        spot = (nickname, well)
        yield Unfinished(
            labware=nickname,
            barcode=barcodes.get(nickname),
            wells=(well,),
            holds=f"{unsure[spot]}, nobody knows" if spot in unsure else volume_told(ledger.volume_ul(nickname, well)),
            lacks_ul=round(sum(fate.step.volume_ul - fate.given_ul for fate in open_steps), 6),
            steps=tuple(fate.step.number for fate in open_steps),
            is_known=spot not in unsure,
            plan=_PLANS[worklist.procedure],
        )


def _together(group: Sequence[Unfinished]) -> Unfinished:
    wells = tuple(well for one in group for well in one.wells)
    steps = tuple(sorted({step for one in group for step in one.steps}))
    return group[0].model_copy(update={"wells": wells, "steps": steps})
