"""Labware offsets: what somebody has measured by a labware position check, found on the robot and given to the run.

Software up to 8.2 keeps offsets with the runs they were measured or used in; newer software has a list of its own. On
neither does an offset do anything until it is passed in when a run is created.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nkloop.drivers.interfaces import Finding
from nkloop.frozen import FrozenModel
from nkloop.worklists.models import DeckItem, Worklist

Json = dict[str, Any]
SUBJECT = "labware offsets"
"""What findings about offsets call them."""
SEARCH_PATH = "/labwareOffsets/searches"
"""Where a robot tells the offsets it has stored."""


class Offset(FrozenModel):
    """The offset of one labware of a worklist."""

    nickname: str
    request: Json
    """The entry for `labwareOffsets` of `POST /runs`."""
    origin: str
    """Where it comes from, for people."""

    def __str__(self) -> str:
        vector = self.request["vector"]
        return f"{self.nickname} {vector['x']:+.1f} {vector['y']:+.1f} {vector['z']:+.1f} mm"


def definition_uri(item: DeckItem) -> str:
    """URI of a labware definition as the robot calls it."""
    return f"{item.namespace}/{item.load_name}/{item.version}"


def location(item: DeckItem) -> Json:
    """Place of a labware in the terms of 8.2: its slot, the module there, and the adapter under it."""
    place: Json = {"slotName": item.slot}
    if item.module:
        place["moduleModel"] = item.module
    if item.adapter:
        place["definitionUri"] = f"opentrons/{item.adapter}/1"
    return place


def sequence(item: DeckItem) -> list[Json]:
    """Place of a labware in the terms of newer software, from the labware's side down to the deck."""
    parts: list[Json] = []
    if item.adapter:
        parts.append({"kind": "onLabware", "labwareUri": f"opentrons/{item.adapter}/1"})
    if item.module:
        parts.append({"kind": "onModule", "moduleModel": item.module})
    return [*parts, {"kind": "onAddressableArea", "addressableAreaName": item.slot}]


def from_runs(worklist: Worklist, runs: Sequence[Json]) -> tuple[Offset, ...]:
    """The newest offset of each labware that any run on the robot was made with, newest run first."""
    found = []
    for item in worklist.deck:
        uri, place = definition_uri(item), location(item)
        for run in reversed(runs):
            mine = [one for one in run.get("labwareOffsets") or () if _is_for(one, uri, place)]
            if mine:
                request = {"definitionUri": uri, "location": place, "vector": mine[-1]["vector"]}
                origin = f"run of {str(run.get('createdAt', ''))[:10]}"
                found.append(Offset(nickname=item.nickname, request=request, origin=origin))
                break
    return tuple(found)


def searches(worklist: Worklist) -> Json:
    """Body of a search for the newest offset of each labware in its place."""
    filters = [
        {"definitionUri": definition_uri(item), "locationSequence": sequence(item), "mostRecentOnly": True}
        for item in worklist.deck
    ]
    return {"filters": filters}


def from_search(worklist: Worklist, answers: Iterable[Json]) -> tuple[Offset, ...]:
    """What a search has found, one per labware; of several the last, which is the newest."""
    by_place = {(one["definitionUri"], _key(one["locationSequence"])): one for one in answers}
    found = []
    for item in worklist.deck:
        one = by_place.get((definition_uri(item), _key(sequence(item))))
        if one is not None:
            request = {key: one[key] for key in ("definitionUri", "locationSequence", "vector")}
            origin = f"stored on {str(one.get('createdAt', ''))[:10]}"
            found.append(Offset(nickname=item.nickname, request=request, origin=origin))
    return tuple(found)


def of_run(worklist: Worklist, run: Json) -> tuple[Offset, ...]:
    """The offsets a run on the robot was made with, by whatever software."""
    stored = [one for one in run.get("labwareOffsets") or () if one.get("locationSequence")]
    found = from_search(worklist, stored)
    named = {one.nickname for one in found}
    return (*found, *(one for one in from_runs(worklist, [run]) if one.nickname not in named))


def tell_none_wanted() -> Finding:
    """That the bench file wants no offsets given."""
    told = "none is given to the run, as `labware_offsets: false` of the bench file says"
    return Finding(subject=SUBJECT, found=told, ok=True, is_kept=True)


def tell(worklist: Worklist, found: Sequence[Offset]) -> Finding:
    """Which labware has an offset and which has none; none is no reason not to run."""
    without = [item.nickname for item in worklist.deck if item.nickname not in {one.nickname for one in found}]
    told = [f"{one} ({one.origin})" for one in found]
    if without:
        told.append(f"none for {', '.join(without)}")
    return Finding(subject=SUBJECT, found="; ".join(told), ok=True, is_kept=True)


def _is_for(offset: Json, uri: str, place: Json) -> bool:
    told = offset.get("location") or {}
    return offset.get("definitionUri") == uri and {key: told[key] for key in told if told[key] is not None} == place


def _key(parts: Iterable[Json]) -> tuple[tuple[tuple[str, str], ...], ...]:
    return tuple(tuple(sorted((key, str(value)) for key, value in part.items())) for part in parts)
