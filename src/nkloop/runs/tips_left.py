"""Tips for steps whose tip is gone: the run that picked it up has ended and dropped it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from nkloop.errors import LabwareError
from nkloop.labware.models import LabwareType
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import FULL_RACK, LEFT_TIP, Step, Worklist


def with_tips(
    worklist: Worklist,
    steps: Sequence[Step],
    catalogue: LabwareLookup,
    spent: Collection[str] = (),
    earlier: Sequence[Step] = (),
) -> tuple[Step, ...]:
    """Steps of a worklist, in order, that can be played alone: one that kept a tip gets a fresh one where none is held,
    and so does one whose tip is spent.

    It is the first tip of the same rack that no step of the worklist uses; when there is none, the tip that was used
    before, so that the rack has to be replaced by a full one.

    Args:
        worklist: of the run.
        steps: those that are still to be done.
        catalogue: labware types by load name.
        spent: tips (`rack:well`) that steps may have picked up which are done again.
        earlier: steps of the runs that this one continues, on the same racks.
    """
    racks = _Racks(worklist, catalogue, earlier)
    held: set[str] = set()
    made = []
    for step in steps:
        if step.action == "pause":
            held.clear()
        if step.action in {"transfer", "mix"}:
            mount = worklist.mount_of(step) or ""
            lacks_tip = step.tip in spent or (not step.tip and mount not in held)
            if lacks_tip and (tip := racks.fresh(step)):
                policy = LEFT_TIP if racks.is_unused(tip) else FULL_RACK
                step = step.model_copy(update={"tip": tip, "tip_policy": policy})
            held.add(mount)
        made.append(step)
    return tuple(made)


class _Racks:
    """Which tips of a worklist's racks no step uses."""

    def __init__(self, worklist: Worklist, catalogue: LabwareLookup, earlier: Sequence[Step] = ()) -> None:
        self._worklist, self._catalogue = worklist, catalogue
        self._given = set[str]()
        steps = (*worklist.steps, *earlier)
        self._used = {tip for step in steps if step.tip for tip in self._names(step.tip, step.channels)}

    def fresh(self, step: Step) -> str:
        """A tip like the one the step kept; empty when the worklist never picked one up for it."""
        before = self._kept_by(step)
        if not before:
            return ""
        rack = before.partition(":")[0]
        kind = self._kind(rack)
        for well in kind.wells if kind is not None else ():
            names = set(self._names(f"{rack}:{well}", step.channels))
            if len(names) == step.channels and not names & self._used:
                self._used |= names
                self._given.add(f"{rack}:{well}")
                return f"{rack}:{well}"
        return before

    def is_unused(self, tip: str) -> bool:
        """Whether a tip given out here is one that no step of the worklist uses."""
        return tip in self._given

    def _kept_by(self, step: Step) -> str:
        mount, tip = self._worklist.mount_of(step), ""
        for other in self._worklist.steps:
            if other.number > step.number:
                break
            if other.tip and self._worklist.mount_of(other) == mount:
                tip = other.tip
        return tip

    def _kind(self, rack: str) -> LabwareType | None:
        try:
            return self._catalogue[self._worklist.item(rack).load_name]
        except (LabwareError, KeyError):
            return None

    def _names(self, tip: str, channels: int) -> Iterator[str]:
        rack, _, well = tip.partition(":")
        kind = self._kind(rack)
        try:
            reached = kind.reached(well, channels) if kind is not None else (well,)
        except LabwareError:
            reached = ()
        for name in reached:
            yield f"{rack}:{name}"
