"""What is wrong with the deck of a bench file that its model cannot place: each with the line of the value itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nkloop.worklists.bench_deck import SLOT_PATTERNS, SLOTS_IN_WORDS
from nkloop.yamlfile import Finding
from nkloop.yamlfile.plain import block, items, number
from nkloop.yamlfile.problems import one_of
from nkloop.yamlfile.reader import YamlPath

PIPETTES: Mapping[str, tuple[str, ...]] = {
    "flex": ("flex_1channel_50", "flex_8channel_50", "flex_1channel_1000", "flex_8channel_1000"),
    "ot2": ("p20_single_gen2", "p300_single_gen2", "p1000_single_gen2", "p20_multi_gen2", "p300_multi_gen2",
            "p10_single", "p50_single", "p300_single", "p1000_single", "p10_multi", "p50_multi", "p300_multi"),
}  # fmt: skip
"""Load names of the maker's pipettes with one or eight channels, by robot."""
MODULES = ("heaterShakerModuleV1", "temperatureModuleV1", "temperatureModuleV2", "absorbanceReaderV1",
           "magneticBlockV1", "magneticModuleV1", "magneticModuleV2", "thermocyclerModuleV1", "thermocyclerModuleV2",
           "flexStackerModuleV1")  # fmt: skip
"""Load names of the maker's modules."""


def deck_findings(data: Any) -> Iterator[Finding]:
    """Findings on the plain data of a bench file, which may be malformed."""
    deck = block(data, "deck")
    model = deck.get("model")
    for path, pipette in items(data, ("deck", "pipettes")):
        yield from _pipette(path, pipette, str(model))
    yield from _slots(deck, str(model))
    speeds = deck.get("speeds")
    if isinstance(speeds, dict):
        names = [one["load_name"] for _, one in items(deck, ("pipettes",)) if isinstance(one.get("load_name"), str)]
        if set(names) <= set(PIPETTES.get(str(model), names)):  # else the name to mend is that of the pipette
            yield from _rates(speeds.get("flow_ul_s"), names)


def _pipette(path: YamlPath, pipette: Mapping[str, Any], model: str) -> Iterator[Finding]:
    name, known = pipette.get("load_name"), PIPETTES.get(model, ())
    if isinstance(name, str) and known and name not in known:
        told = f"'{name}' is no pipette of the {model}"
        yield Finding((*path, "load_name"), told, one_of(name, known))
    low, high = (number(pipette.get(key)) for key in ("min_volume_ul", "max_volume_ul"))
    if low is not None and high is not None and low >= high:
        told = f"{low:g} µL is not below max_volume_ul, {high:g} µL"
        yield Finding((*path, "min_volume_ul"), told, "correct one of them")
    seen: set[float] = set()
    for inner, line in items(pipette, ("accuracy",)):
        volume, at = number(line.get("volume_ul")), (*path, *inner, "volume_ul")
        if volume is None:
            continue
        if high is not None and volume > high:
            yield Finding(at, f"{volume:g} µL is above max_volume_ul, {high:g} µL", "correct one of them")
        if volume in seen:
            yield Finding(at, f"{volume:g} µL stands twice in this table", "keep one of them")
        seen.add(volume)


def _slots(deck: Mapping[str, Any], model: str) -> Iterator[Finding]:
    """Slots the deck does not have, and slots that two things stand in."""
    pattern = SLOT_PATTERNS.get(model)
    taken: dict[str, str] = {}
    trash = deck.get("trash_slot")
    if isinstance(trash, str) and trash and model != "ot2":
        taken[trash] = "the trash"
        if pattern and not re.fullmatch(pattern, trash):
            yield _no_slot(("deck", "trash_slot"), trash, model)
    for inner, module in items(deck, ("modules",)):
        path, slot, name = ("deck", *inner), module.get("slot"), module.get("load_name")
        if isinstance(name, str) and name not in MODULES:
            hint = one_of(name, MODULES)
            yield Finding((*path, "load_name"), f"'{name}' is no module that is known here", hint)
        if not isinstance(slot, str):
            continue
        if pattern and not re.fullmatch(pattern, slot):
            yield _no_slot((*path, "slot"), slot, model)
        elif slot in taken:
            yield Finding((*path, "slot"), f"slot {slot} holds {taken[slot]} already", "give each a slot of its own")
        taken.setdefault(slot, str(name))


def _no_slot(path: YamlPath, slot: str, model: str) -> Finding:
    return Finding(path, f"the deck of the {model} has no slot {slot}", f"name one of {SLOTS_IN_WORDS[model]}")


def _rates(rates: Any, names: list[str]) -> Iterator[Finding]:
    for name, rate in rates.items() if isinstance(rates, dict) else ():
        path = ("deck", "speeds", "flow_ul_s", name)
        if name not in names:
            hint = one_of(name, names)
            yield Finding(path, f"'{name}' is none of the pipettes of this deck", hint)
        flow = number(rate)
        if flow is not None and flow <= 0:
            yield Finding(path, f"{flow:g} µL/s must be above 0", "correct the number")
