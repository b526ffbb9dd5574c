"""Closed vessels after a run that was cut: what people have moved, may have moved, and still have to move.

A task moves its volumes one after the other, so that how much of it was done is one number: the volume moved in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nkloop.errors import PlanError
from nkloop.frozen import FrozenModel
from nkloop.quantities.display import volume_told
from nkloop.runs.possible import possible_wells, replay
from nkloop.runs.typed_steps import spans
from nkloop.runs.ways import Fate, ways_of
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Step, Vessel, VesselMove, Worklist
from nkloop.worklists.vessel_rules import carry, held_at_start

_SAME_UL = 1e-6
_READ_UL = 100.0
"""What nobody sees on a scale."""


class PossibleVolume(FrozenModel):
    """One possibility of a vessel."""

    when: str
    """What must have happened for it; empty where nothing is in doubt."""
    volume_ul: float


class HeldVessel(FrozenModel):
    """A closed vessel beside the robot, or a tube that people empty into one, and what it holds."""

    name: str
    title: str
    """Its kind; `tube` on the deck."""
    volumes: tuple[PossibleVolume, ...]

    @property
    def is_known(self) -> bool:
        """Whether there is one possibility only."""
        return len(self.volumes) == 1

    @property
    def sentence(self) -> str:
        """Its volume, or every one it may have with what must have happened."""
        if self.is_known:
            return volume_told(self.volumes[0].volume_ul)
        told = "; or ".join(f"{volume_told(one.volume_ul)} if {one.when}" for one in self.volumes)
        return f"{told}; or anything between"


def moved_in(step: Step) -> float:
    """µL that people move in a step, in all of its moves."""
    return sum(move.volume_ul for move in step.moves)


def left_of(step: Step, moved_ul: float) -> Step | None:
    """A task of which a part was done: what is left of it, with what was done told; None when nothing is left."""
    left = tuple(_split(step.moves, moved_ul)[1])
    if not left or step.operator is None:
        return None
    told = ", then ".join(_words(move) for move in left)
    instruction = (
        f"{volume_told(moved_ul)} of this were moved before it was interrupted: {step.operator.instruction} Do only "
        f"the rest: {told}. The weights in all still hold."
    )
    task = step.operator.model_copy(update={"instruction": instruction, "moves": left})
    return step.model_copy(update={"operator": task, "comment": instruction if step.comment else ""})


def vessels_now(worklist: Worklist, fates: Iterable[Fate]) -> tuple[Vessel, ...]:
    """The closed vessels of a worklist with what they hold after what certainly was moved."""
    held = held_at_start(worklist, {})
    for move in _certain(fates):
        carry(move, held)
    return tuple(
        vessel.model_copy(
            update={"volume_ul": max(0.0, held[vessel.name].volume_ul), "cells_per_ul": held[vessel.name].cells_per_ul}
        )
        for vessel in worklist.vessels
    )


def emptied(fates: Iterable[Fate]) -> dict[str, float]:
    """µL that people certainly took out of each vessel and each tube of the deck (`labware:well`)."""
    taken: dict[str, float] = {}
    for move in _certain(fates):
        taken[move.from_vessel] = taken.get(move.from_vessel, 0.0) + move.volume_ul
    return taken


def held_vessels(worklist: Worklist, fates: Sequence[Fate], tubes: Mapping[str, float]) -> tuple[HeldVessel, ...]:
    """What people have filled or emptied, or may have, with every volume it may hold.

    Args:
        worklist: of the run.
        fates: what became of its steps.
        tubes: what the robot left in the tubes of the deck that people empty, by `labware:well`; others are left out.
    """
    # those of a device that forgot a thousand steps are as many ways
    fates = [fate for fate in fates if fate.step.moves]
    concerned = {
        name for fate in fates if fate.what != "not" for move in fate.step.moves for name in _ends(move) if name
    }
    titles = {vessel.name: vessel.title for vessel in worklist.vessels} | dict.fromkeys(tubes, "tube")
    found: dict[str, dict[float, str]] = {name: {} for name in titles if name in concerned}
    for when, moves in _possible(fates):
        held = held_at_start(worklist, tubes)
        for move in moves:
            carry(move, held)
        for name, volumes in found.items():
            volumes.setdefault(round(max(0.0, held[name].volume_ul), 3), when)
    return tuple(
        HeldVessel(
            name=name,
            title=titles[name],
            volumes=tuple(PossibleVolume(when=when, volume_ul=ul) for ul, when in volumes.items()),
        )
        for name, volumes in found.items()
    )


def vessels_after(
    worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup, deck: BenchDeck | None = None
) -> tuple[HeldVessel, ...]:
    """The same by the ledger; a tube of which nobody knows what the robot gave into it is told among the wells."""
    names = {move.from_vessel for fate in fates for move in fate.step.moves if ":" in move.from_vessel}
    if not names:
        return held_vessels(worklist, fates, {})
    unsure = {f"{one.labware}:{one.well}" for one in possible_wells(worklist, fates, catalogue, deck)}
    ledger = replay(worklist, fates, catalogue, deck)
    spots = {name: name.partition(":") for name in sorted(names - unsure)}
    return held_vessels(worklist, fates, {name: ledger.volume_ul(spot[0], spot[2]) for name, spot in spots.items()})


def short_vessels(worklist: Worklist, vessels: Iterable[HeldVessel]) -> tuple[str, ...]:
    """Closed vessels that do not hold what they shall hold at the end, or may not, one sentence each."""
    ends = {vessel.name: vessel.end_ul for vessel in worklist.vessels}
    return tuple(
        f"{one.name} ({one.title}): {one.sentence}; planned were {volume_told(ends[one.name])}"
        for one in vessels
        if one.name in ends and any(abs(now.volume_ul - ends[one.name]) > _READ_UL for now in one.volumes)
    )


def in_doubt(vessels: Iterable[HeldVessel]) -> tuple[HeldVessel, ...]:
    """Those of which nobody knows what they hold."""
    return tuple(vessel for vessel in vessels if not vessel.is_known)


def require_said(run_id: str, fates: Iterable[Fate]) -> None:
    """Refuse to go on while nobody has said of a step in which people move liquid how much of it they did.

    Raises:
        PlanError: the steps and how it is said.
    """
    open_steps = [fate.step for fate in fates if fate.what == "unknown" and fate.step.moves]
    if open_steps:
        number = open_steps[0].number
        raise PlanError(
            f"nobody has said whether people did step {spans([step.number for step in open_steps])}, and no addition "
            "makes it good",
            where=f"run {run_id}",
            remedy="weigh the vessels, then say --happened, --not-happened, or how much of it was moved: "
            f"--moved '{number}=10 mL'",
        )


def require_part(run_id: str, step: Step, moved_ul: float) -> None:
    """Refuse a volume that cannot have been moved in a step.

    Raises:
        PlanError: people move nothing in it, or it would be all of it.
    """
    whole = moved_in(step)
    if not whole:
        raise PlanError(
            f"people move no liquid in step {step.number}, so no part of it was moved",
            where=f"run {run_id}",
            remedy=f"say whether it happened: --happened {step.number} or --not-happened {step.number}",
        )
    if not _SAME_UL < moved_ul < whole - _SAME_UL:
        raise PlanError(
            f"{volume_told(moved_ul)} is no part of step {step.number}, in which {volume_told(whole)} are moved in all",
            where=f"run {run_id}",
            remedy=f"all of it: --happened {step.number}; nothing: --not-happened {step.number}",
        )


def _possible(fates: Sequence[Fate]) -> Iterator[tuple[str, list[VesselMove]]]:
    """Every way things may have gone, with the moves that were done; also those in which a task was cut in its middle.

    Of a task with one move only its ends are told: anything between is possible as well.
    """
    for way in ways_of(fates):
        done = [fate._replace(what="done") if way.how.get(fate.step.number) == "done" else fate for fate in fates]
        yield way.when, list(_certain(done))
        for place, fate in enumerate(done):
            if fate.what == "unknown":
                for count in range(1, len(fate.step.moves)):
                    moved = sum(move.volume_ul for move in fate.step.moves[:count])
                    cut = [*done[:place], fate._replace(what="partly", given_ul=moved), *done[place + 1 :]]
                    yield f"step {fate.step.number} was cut after {volume_told(moved)}", list(_certain(cut))
                break


def _certain(fates: Iterable[Fate]) -> Iterator[VesselMove]:
    for fate in fates:
        if fate.what == "done":
            yield from fate.step.moves
        elif fate.what == "partly":
            yield from _split(fate.step.moves, fate.given_ul)[0]


def _split(moves: Iterable[VesselMove], moved_ul: float) -> tuple[list[VesselMove], list[VesselMove]]:
    """What was done of moves that are done one after the other, and what is left of them."""
    done, left = list[VesselMove](), list[VesselMove]()
    for move in moves:
        now = min(move.volume_ul, moved_ul)
        moved_ul -= now
        for volume, some in ((now, done), (move.volume_ul - now, left)):
            if volume > _SAME_UL:
                some.append(move.model_copy(update={"volume_ul": volume}))
    return done, left


def _ends(move: VesselMove) -> tuple[str, str]:
    return move.from_vessel, move.to_vessel


def _words(move: VesselMove) -> str:
    source, target = move.from_vessel or "base medium", move.to_vessel or "waste"
    return f"{volume_told(move.volume_ul)} from {source} to {target}"
