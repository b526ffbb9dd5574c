"""Seeded mutations of worklists: what a slip of a planner, a person or a spreadsheet looks like.

Each takes a worklist and a random generator and returns the mutated worklist, or None where it does not apply.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta

from nkloop.worklists.models import DeckItem, OperatorTask, Step, Worklist

Mutation = Callable[[Worklist, random.Random], Worklist | None]
Wanted = Callable[[Step], bool]


def indices(w: Worklist, wanted: Wanted) -> list[int]:
    return [index for index, step in enumerate(w.steps) if wanted(step)]


def pick(w: Worklist, rng: random.Random, wanted: Wanted) -> int | None:
    found = indices(w, wanted)
    return rng.choice(found) if found else None


def is_transfer(step: Step) -> bool:
    return step.action == "transfer"


def with_step(w: Worklist, index: int | None, **changes: object) -> Worklist | None:
    if index is None:
        return None
    steps = list(w.steps)
    steps[index] = steps[index].model_copy(update=changes)
    return w.model_copy(update={"steps": tuple(steps)})


def renumbered(w: Worklist, steps: list[Step]) -> Worklist:
    numbered = [step.model_copy(update={"number": number}) for number, step in enumerate(steps, 1)]
    return w.model_copy(update={"steps": tuple(numbered)})


def with_item(
    w: Worklist, wanted: Callable[[DeckItem], bool], rng: random.Random, **changes: object
) -> Worklist | None:
    found = [item for item in w.deck if wanted(item)]
    if not found:
        return None
    chosen = rng.choice(found)
    return w.model_copy(update={"deck": tuple(i.model_copy(update=changes) if i is chosen else i for i in w.deck)})


def with_filling(w: Worklist, rng: random.Random, wanted: Callable[..., bool], **changes: object) -> Worklist | None:
    found = [filling for filling in w.fillings if wanted(filling)]
    if not found:
        return None
    chosen = rng.choice(found)
    made = tuple(f.model_copy(update=changes) if f is chosen else f for f in w.fillings)
    return w.model_copy(update={"fillings": made})


def next_well(well: str, rng: random.Random, *, columns: bool) -> str:
    row, column = well[0], int(well[1:])
    if columns:
        return f"{row}{column + rng.choice([-1, 1])}"
    return f"{chr(ord(row) + rng.choice([-1, 1]))}{column}"


# -- volumes and wells -----------------------------------------------------------------------------------------------


def volume_times_ten(w, rng):
    index = pick(w, rng, is_transfer)
    return with_step(w, index, volume_ul=w.steps[index].volume_ul * 10)


def volume_divided_by_ten(w, rng):
    index = pick(w, rng, is_transfer)
    return with_step(w, index, volume_ul=w.steps[index].volume_ul / 10)


def volume_not_finite(w, rng):
    return with_step(w, pick(w, rng, is_transfer), volume_ul=rng.choice([math.inf, math.nan]))


def volume_below_the_pipette(w, rng):
    return with_step(w, pick(w, rng, is_transfer), volume_ul=2.0)


def volume_above_the_tip(w, rng):
    return with_step(w, pick(w, rng, is_transfer), volume_ul=1001.0)


def destination_shifted(w, rng):
    index = pick(w, rng, lambda s: is_transfer(s) and s.to_labware != "dilutions")
    step = w.steps[index]
    return with_step(w, index, to_well=next_well(step.to_well, rng, columns=step.channels == 8))


def source_shifted(w, rng):
    index = pick(w, rng, is_transfer)
    step = w.steps[index]
    return with_step(w, index, well=next_well(step.well, rng, columns=step.channels == 8))


def sources_swapped(w, rng):
    stocks = indices(w, lambda s: is_transfer(s) and s.labware in {"stocks", "donors", "tubes"})
    pairs = [(a, b) for a in stocks for b in stocks if a < b and w.steps[a].well != w.steps[b].well]
    pairs = [(a, b) for a, b in pairs if w.steps[a].labware == w.steps[b].labware != "donors"]
    # two stocks of one strength drawn in the same volume into one vessel come to the same
    pairs = [(a, b) for a, b in pairs if w.steps[a].volume_ul != w.steps[b].volume_ul]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    return with_step(with_step(w, a, well=w.steps[b].well), b, well=w.steps[a].well)


def well_that_does_not_exist(w, rng):
    return with_step(w, pick(w, rng, is_transfer), to_well="Q1")


def filling_too_small(w, rng):
    return with_filling(w, rng, lambda f: True, volume_ul=4.0)


def filling_too_large(w, rng):
    return with_filling(w, rng, lambda f: True, volume_ul=500_000.0)


# -- tips ------------------------------------------------------------------------------------------------------------


def tip_kept(w, rng):
    """Into a source of the inventory with the tip that has just been in a well holding something else."""
    wet = [
        index
        for index in indices(w, lambda s: is_transfer(s) and s.tip != "")
        if index and w.steps[index].labware in {"stocks", "bulk"} and w.steps[index - 1].action == "transfer"
        and w.steps[index - 1].mix_after and w.steps[index - 1].channels == w.steps[index].channels
    ]  # fmt: skip
    return with_step(w, rng.choice(wet), tip="") if wet else None


def tip_missing_at_the_start(w, rng):
    return with_step(w, indices(w, is_transfer)[0], tip="")


def tip_used_again(w, rng):
    tips = indices(w, lambda s: is_transfer(s) and s.tip != "")
    pairs = [(a, b) for a in tips for b in tips if a < b and w.steps[a].channels == w.steps[b].channels]
    pairs = [p for p in pairs if w.steps[p[0]].tip.split(":")[0] == w.steps[p[1]].tip.split(":")[0]]
    a, b = rng.choice(pairs)
    return with_step(w, b, tip=w.steps[a].tip)


def tip_of_no_rack(w, rng):
    return with_step(w, pick(w, rng, lambda s: s.tip != ""), tip="tips_9:A1")


def tip_of_a_plate(w, rng):
    other = rng.choice([i.nickname for i in w.deck if "tiprack" not in i.load_name])
    return with_step(w, pick(w, rng, lambda s: s.tip != ""), tip=f"{other}:A1")


# -- deck ------------------------------------------------------------------------------------------------------------


def labware_swapped(w, rng):
    """A rack of small tips where a large one stands, or a plate where a tube rack stands."""
    racks = [i for i in w.deck if i.load_name.endswith("_1000ul")]
    if not racks:
        return None
    lost = rng.choice(racks)
    return with_item(w, lambda i: i is lost, rng, load_name="opentrons_flex_96_filtertiprack_50ul")


def tip_rack_in_the_place_of_a_vessel(w, rng):
    used = {f.labware for f in w.fillings}
    return with_item(w, lambda i: i.nickname in used, rng, load_name="opentrons_flex_96_filtertiprack_200ul")


def labware_missing(w, rng):
    lost = rng.choice(w.deck)
    return w.model_copy(update={"deck": tuple(item for item in w.deck if item is not lost)})


def labware_unknown(w, rng):
    return with_item(w, lambda i: True, rng, load_name="corning_24_wellplate_3.4ml_round")


def slot_taken(w, rng):
    first, second = rng.sample(w.deck, 2)
    return with_item(w, lambda i: i is second, rng, slot=first.slot)


def slot_of_the_trash(w, rng):
    return with_item(w, lambda i: True, rng, slot="A3")


def module_moved(w, rng):
    return with_item(w, lambda i: i.module is not None, rng, slot="A3")


def nickname_twice(w, rng):
    first, second = rng.sample(w.deck, 2)
    return with_item(w, lambda i: i is second, rng, nickname=first.nickname)


def pipette_not_there(w, rng):
    return w.model_copy(update={"pipettes": {"left": "flex_1channel_50"}})


def channels_changed(w, rng):
    index = pick(w, rng, is_transfer)
    return with_step(w, index, channels=9 - w.steps[index].channels)


# -- order -----------------------------------------------------------------------------------------------------------


def step_removed(w, rng):
    wells = {(t.labware, t.well) for t in w.targets}
    index = pick(w, rng, lambda s: is_transfer(s) and (s.to_labware, s.to_well) in wells)
    return renumbered(w, [step for i, step in enumerate(w.steps) if i != index])


def step_lost_from_the_file(w, rng):
    gone = rng.randrange(len(w.steps) - 1)
    return w.model_copy(update={"steps": tuple(step for i, step in enumerate(w.steps) if i != gone)})


def step_duplicated(w, rng):
    goals = {t.labware for t in w.targets}
    index = pick(w, rng, lambda s: is_transfer(s) and s.to_labware in goals)
    steps = list(w.steps)
    return renumbered(w, [*steps[: index + 1], steps[index].model_copy(update={"tip": ""}), *steps[index + 1 :]])


def steps_swapped(w, rng):
    index = rng.randrange(len(w.steps) - 1)
    steps = list(w.steps)
    steps[index], steps[index + 1] = steps[index + 1], steps[index]
    return w.model_copy(update={"steps": tuple(steps)})


def moved_to_front(w: Worklist, wanted: Wanted) -> Worklist | None:
    chosen = [step for step in w.steps if wanted(step)]
    if not chosen:
        return None
    return renumbered(w, [*chosen, *[step for step in w.steps if not wanted(step)]])


def lysis_first(w, rng):
    return moved_to_front(w, lambda s: s.comment.startswith("lysis buffer"))


def stop_solution_first(w, rng):
    return moved_to_front(w, lambda s: s.comment.startswith("stop solution"))


def stock_before_base(w, rng):
    return moved_to_front(w, lambda s: is_transfer(s) and s.labware == "stocks" and s.to_labware in {"medium", "arms"})


def pause_removed(w, rng):
    index = pick(w, rng, lambda s: s.operator is not None and ("195 min" in s.comment or "Centrifuge" in s.comment
                                                               or "plate in the dark" in s.comment))  # fmt: skip
    return renumbered(w, [s for i, s in enumerate(w.steps) if i != index]) if index is not None else None


def pause_unnamed(w, rng):
    index = pick(w, rng, lambda s: s.operator is not None)
    if index is None:
        return None
    return with_step(w, index, operator=w.steps[index].operator.model_copy(update={"instruction": " "}))


# -- mixing and cells ------------------------------------------------------------------------------------------------


def mix_removed(w, rng):
    """All mixing of one intermediate dilution, as when a column of the CSV is cleared."""
    spots = {(s.labware, s.well) for s in w.steps if s.action == "mix" and s.labware == "dilutions"}
    if not spots:
        return None
    spot = rng.choice(sorted(spots))
    kept = [s for s in w.steps if not (s.action == "mix" and (s.labware, s.well) == spot)]
    return renumbered(
        w, [s.model_copy(update={"mix_after": 0}) if (s.to_labware, s.to_well) == spot else s for s in kept]
    )


def cells_not_mixed(w, rng):
    steps = [s.model_copy(update={"mix_before": 0, "mix_after": 0}) for s in w.steps]
    cells = {"donors", "cells"} & {item.nickname for item in w.deck}
    return w.model_copy(update={"steps": tuple(steps)}) if cells else None


def flow_too_fast_for_cells(w, rng):
    return with_step(w, pick(w, rng, lambda s: is_transfer(s) and s.labware in {"donors", "cells"}), flow_factor=1.0)


def cells_on_the_cold_block(w, rng):
    return with_item(w, lambda i: i.nickname in {"donors", "cells"}, rng, temperature_c=4.0)


def donor_swapped(w, rng):
    """Cells of one donor into the well of another."""
    seeds = indices(w, lambda s: is_transfer(s) and s.labware == "donors")
    pairs = [(a, b) for a in seeds for b in seeds if w.steps[a].well != w.steps[b].well]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    return with_step(w, a, to_well=w.steps[b].to_well)


# -- lots and targets ------------------------------------------------------------------------------------------------


def with_lot_changed(w: Worklist, rng: random.Random, **changes: object) -> Worklist:
    chosen = rng.choice(w.lots)
    lots = tuple(lot.model_copy(update=changes) if lot is chosen else lot for lot in w.lots)
    return w.model_copy(update={"lots": lots})


def lot_expired(w, rng):
    return with_lot_changed(w, rng, expires=w.use_until - timedelta(days=1))


def lot_nearly_empty(w, rng):
    return with_lot_changed(w, rng, on_hand_ul=3.0)


def lot_not_listed(w, rng):
    lost = rng.choice(w.lots)
    return w.model_copy(update={"lots": tuple(lot for lot in w.lots if lot is not lost) or (lost,)})


def cold_stock_at_room_temperature(w, rng):
    return with_item(w, lambda i: i.nickname == "stocks", rng, temperature_c=None)


def stock_receives(w, rng):
    stocks = [f for f in w.fillings if f.labware == "stocks"]
    if not stocks:
        return None
    spot = rng.choice(stocks)
    index = pick(w, rng, lambda s: is_transfer(s) and s.labware == "base" and s.channels == 1)
    return with_step(w, index, to_labware="stocks", to_well=spot.well)


def unit_slip(w, rng):
    """ng for µg in a certificate: a thousandfold weaker or stronger stock."""
    named = {t.component for t in w.targets}
    found = [f for f in w.fillings if named & f.liquid.per_ul.keys()]
    chosen = rng.choice(found)
    factor = rng.choice([1e-3, 1e3])
    per_ul = {n: v * factor if n in named and v != 1.0 else v for n, v in chosen.liquid.per_ul.items()}
    liquid = chosen.liquid.model_copy(update={"per_ul": per_ul})
    return with_filling(w, rng, lambda f: f is chosen, liquid=liquid)


def target_changed(w, rng):
    index = rng.randrange(len(w.targets))
    targets = list(w.targets)
    targets[index] = targets[index].model_copy(update={"per_ul": targets[index].per_ul * 2})
    return w.model_copy(update={"targets": tuple(targets)})


def target_forgotten(w, rng):
    """A component nobody asked for in this well, because its target is gone while other wells keep theirs."""
    counted = [
        t
        for t in w.targets
        if sum(o.component == t.component for o in w.targets) > 1
        and sum((o.labware, o.well) == (t.labware, t.well) for o in w.targets) > 1
    ]
    if not counted:
        return None
    lost = rng.choice(counted)
    return w.model_copy(update={"targets": tuple(t for t in w.targets if t is not lost)})


def warming_left_out(w, rng):
    index = pick(w, rng, lambda s: s.operator is not None and s.operator.kind == "warm")
    return renumbered(w, [s for i, s in enumerate(w.steps) if i != index]) if index is not None else None


def warming_of_another_labware(w, rng):
    index = pick(w, rng, lambda s: s.operator is not None and s.operator.kind == "warm")
    if index is None:
        return None
    return with_step(w, index, operator=w.steps[index].operator.model_copy(update={"labware": ("waste",)}))


def warming_cut_short(w, rng):
    waits = [i for i, s in enumerate(w.steps) if s.operator is not None and s.operator.kind in {"warm", "thaw"}]
    if not any(w.steps[i].operator.kind == "warm" for i in waits):
        return None
    for index in waits:
        w = with_step(w, index, operator=w.steps[index].operator.model_copy(update={"minutes": 1.0}))
    return w


def person_comes_back_late(w, rng):
    if not any(lot.keep_cold for lot in w.lots):
        return None
    last = max(indices(w, lambda s: s.action in {"mix", "transfer"} and (s.to_labware or s.labware) != "culture"))
    late = OperatorTask(kind="confirm", instruction="look at the deck", minutes=rng.uniform(130, 300))
    wait = Step(number=1, action="pause", operator=late, comment=late.instruction)
    return renumbered(w, [*w.steps[:last], wait, *w.steps[last:]])


def reagent_on_the_deck_from_the_start(w, rng):
    index = pick(w, rng, lambda s: s.operator is not None and s.operator.kind == "equilibrate")
    return renumbered(w, [s for i, s in enumerate(w.steps) if i != index]) if index is not None else None


ENDS = {"V060", "V063", "V064"}
"""What a well ends with: off target, unlike its neighbours, or of another volume."""

KINDS: dict[Mutation, set[str]] = {
    volume_times_ten: {"V002", "V004"},
    volume_divided_by_ten: ENDS,
    volume_not_finite: {"V005"},
    volume_below_the_pipette: {"V003"},
    volume_above_the_tip: {"V004"},
    destination_shifted: ENDS,
    source_shifted: ENDS,
    sources_swapped: {"V060", "V061"},
    well_that_does_not_exist: {"V006"},
    filling_too_small: {"V002"},
    filling_too_large: {"V001"},
    tip_kept: {"V012", "V013"},
    tip_missing_at_the_start: {"V011"},
    tip_used_again: {"V010"},
    tip_of_no_rack: {"V015"},
    tip_of_a_plate: {"V022"},
    labware_swapped: {"V004"},
    tip_rack_in_the_place_of_a_vessel: {"V022"},
    labware_missing: {"V020", "V015"},
    labware_unknown: {"V021"},
    slot_taken: {"V023"},
    slot_of_the_trash: {"V023"},
    module_moved: {"V023", "V024"},
    nickname_twice: {"V025"},
    pipette_not_there: {"V026"},
    channels_changed: {"V006", "V011", "V026", "V060", "V063", "V001", "V002"},
    step_removed: {"V011", "V060", "V064"},
    step_lost_from_the_file: {"V030"},
    step_duplicated: {"V002", "V060", "V064"},
    steps_swapped: {"V030"},
    lysis_first: {"V032"},
    stop_solution_first: {"V033"},
    stock_before_base: {"V034"},
    pause_removed: {"V037"},
    pause_unnamed: {"V031"},
    mix_removed: {"V041"},
    cells_not_mixed: {"V040"},
    flow_too_fast_for_cells: {"V042"},
    cells_on_the_cold_block: {"V044"},
    donor_swapped: {"V043"},
    lot_expired: {"V050"},
    lot_nearly_empty: {"V052"},
    lot_not_listed: {"V051", "V052"},
    cold_stock_at_room_temperature: {"V053"},
    stock_receives: {"V014"},
    unit_slip: {"V060"},
    target_changed: {"V060"},
    target_forgotten: {"V061"},
    warming_left_out: {"V072"},
    warming_of_another_labware: {"V072"},
    warming_cut_short: {"V072"},
    person_comes_back_late: {"V073", "V011"},
    reagent_on_the_deck_from_the_start: {"V054"},
}
"""Every kind with the rules of which at least one must catch it."""
