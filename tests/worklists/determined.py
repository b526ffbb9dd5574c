"""Which rules have to catch a slip, told from the slip alone: what the mutated step moves, from where to where."""

from __future__ import annotations

from nkloop.worklists.models import Step, Worklist

LEAST_UL, MOST_UL = 5.0, 1000.0
"""Reliable minimum and maximum of the pipettes of the bench."""


def slipped(before: Worklist, after: Worklist) -> tuple[int, Step]:
    """Place and step of the first difference."""
    pairs = enumerate(zip(before.steps, after.steps, strict=False))
    index = next(index for index, (old, new) in pairs if old != new)
    return index, after.steps[index]


def tip_ul(w: Worklist, index: int) -> float:
    """Volume of the tip a step works with."""
    channels = w.steps[index].channels
    tip = next(s.tip for s in reversed(w.steps[: index + 1]) if s.tip and s.channels == channels)
    rack = next(item.load_name for item in w.deck if item.nickname == tip.partition(":")[0])
    return float(rack.rpartition("_")[2].removesuffix("ul"))


def is_there(w: Worklist, labware: str, well: str, catalogue) -> bool:
    load_name = next(item.load_name for item in w.deck if item.nickname == labware)
    return well in catalogue[load_name].wells


def is_target(w: Worklist, step: Step) -> bool:
    return any((one.labware, one.well) == (step.to_labware, step.to_well) for one in w.targets)


def rules_of_more(before, after, catalogue):
    """Above the tip it is refused as that, else the source gives out; all but a share of the bulk is off target."""
    index, step = slipped(before, after)
    yield {"V004"} if step.volume_ul > min(tip_ul(after, index), MOST_UL) else {"V002"}
    if step.labware != "bulk":
        yield {"V060", "V064"}


def rules_of_less(before, after, catalogue):
    _, step = slipped(before, after)
    if step.volume_ul < LEAST_UL:
        yield {"V003"}
    if is_target(before, step):
        yield {"V060"}


def rules_of_another_destination(before, after, catalogue):
    index, step = slipped(before, after)
    if not is_there(after, step.to_labware, step.to_well, catalogue):
        yield {"V006"}
    yield {"V060"} if is_target(before, before.steps[index]) else {"V060", "V064"}


def rules_of_another_source(before, after, catalogue):
    index, step = slipped(before, after)
    spot = (step.labware, step.well)
    filled = {(one.labware, one.well) for one in after.fillings}
    # eight channels fill the wells below the one that is named, too
    filled |= {(one.to_labware, f"{row}{one.to_well[1:]}") for one in after.steps[:index] if one.to_well
               for row in ("ABCDEFGH" if one.channels == 8 else one.to_well[0])}  # fmt: skip
    if not is_there(after, *spot, catalogue):
        yield {"V006"}
    elif spot not in filled:
        yield {"V002"}
    if is_target(before, step):
        yield {"V060"}


def rules_of_twice(before, after, catalogue):
    """A stock is entered with the tip that has been in the well; a share of the bulk is what is missing there."""
    _, step = slipped(before, after)
    if step.labware in {"stocks", "tubes"} and step.dispense_at != "rim":
        yield {"V013"}
    yield {"V002"} if step.labware == "bulk" else {"V060", "V064"}


DETERMINED = {
    "volume_times_ten": rules_of_more,
    "volume_divided_by_ten": rules_of_less,
    "destination_shifted": rules_of_another_destination,
    "source_shifted": rules_of_another_source,
    "step_duplicated": rules_of_twice,
}
"""Kinds of mutation to the rules of the slip at hand: of each set yielded at least one catches it."""
