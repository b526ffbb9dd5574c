"""Second independent check: what Opentrons' own analysis says the robot would do, command by command."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any, NamedTuple, Protocol

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cascades import as_consequence
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.models import CheckResult, Step, Worklist, channels_of

_ANNOUNCED = re.compile(r"^step (\d+):")
_RIM_MM = 0.5
_MOST = 3
_VOLUME_TOLERANCE_UL = 0.005
"""The CSV carries volumes rounded to a hundredth of a µL."""


class AnalysisLike(Protocol):
    """What is needed of an analysis."""

    @property
    def result(self) -> str:
        """`ok` when the robot's software accepts the protocol."""

    @property
    def errors(self) -> Sequence[Mapping[str, Any]]:
        """Problems with `message`, `where`, `remedy`."""

    @property
    def commands(self) -> Sequence[Mapping[str, Any]]:
        """Commands with `commandType`, `params` and `result`."""


class Operation(NamedTuple):
    """One pipette command in the words of the worklist."""

    kind: str
    channels: int
    labware: str
    well: str
    volume_ul: float = 0.0
    at_rim: bool = False
    """A dispense from the rim of the well, out of touch with what stands in it."""
    mount: str = ""
    """Mount of the pipette, where the worklist names it."""

    def __str__(self) -> str:
        if self.kind == "pick_up":
            return f"pick up tip {self.labware}:{self.well} ({self.channels} channels)"
        place = "from the rim of" if self.at_rim else "at"
        return f"{self.kind} {self.volume_ul:g} µL {place} {self.labware} {self.well} ({self.channels} channels)"


def check_analysis(
    worklist: Worklist, analysis: AnalysisLike, catalogue: LabwareLookup, deck: BenchDeck | None = None
) -> CheckResult:
    """Compare the commands of the analysis with the worklist, step by step, and the contents both end with."""
    started = time.perf_counter()
    problems = list(refusals(analysis))
    if not problems:
        done, loaded = read_commands(worklist, analysis.commands, catalogue)
        problems = [*loaded, *compared(worklist, done, catalogue, deck)]
    return CheckResult.of("opentrons analysis", time.perf_counter() - started, tuple(problems))


def compared(
    worklist: Worklist,
    done: Done,
    catalogue: LabwareLookup,
    deck: BenchDeck | None = None,
    *,
    tolerance_ul: float | None = None,
) -> list[Problem]:
    """Differences between what a robot does and what was planned, first of the steps, then of the contents.

    Args:
        worklist: what was planned.
        done: the robot's operations by step.
        catalogue: labware types.
        deck: pipettes of the bench.
        tolerance_ul: how far a volume may be off because the robot's commands carry no more digits; such a volume
            counts as the planned one, so that rounding does not add up to a difference in contents.
    """
    steps = list(compare_steps(worklist, done, tolerance_ul=tolerance_ul or _VOLUME_TOLERANCE_UL))
    rounded = done if tolerance_ul is None or steps else _as_planned(worklist, done)
    ends = list(compare_ends(worklist, rounded, catalogue, deck))
    return [*_shortened(steps), *(as_consequence(ends, steps[0].where) if steps else _shortened(ends))]


def _as_planned(worklist: Worklist, done: Done) -> Done:
    """The robot's operations with the volumes that were asked for; both have the same operations."""
    planned = {step.number: planned_operations(step) for step in worklist.steps}
    return {
        number: [one._replace(volume_ul=plan.volume_ul) for plan, one in zip(planned[number], operations, strict=True)]
        for number, operations in done.items()
    }


def _shortened(problems: Sequence[Problem]) -> list[Problem]:
    """The first few differences; the rest is counted, since one shift makes every later step differ."""
    if len(problems) <= _MOST:
        return list(problems)
    rest = as_consequence(problems[_MOST:], "the same cause, most likely")
    return [*problems[:_MOST], *rest]


def refusals(analysis: AnalysisLike) -> Iterator[Problem]:
    """What the robot's software says against the worklist."""
    for error in analysis.errors:
        told, where, remedy = (str(error.get(key, "")) for key in ("message", "where", "remedy"))
        yield Problem(told or str(error), where, remedy, rules.ROBOT_REFUSES)
    if analysis.result != "ok" and not analysis.errors:
        told = f"the analysis ended with '{analysis.result}'"
        yield Problem(told, "protocol", "run the analysis by hand", rules.ROBOT_REFUSES)


def planned_operations(step: Step) -> tuple[Operation, ...]:
    """Pipette commands that carry a step out."""
    if step.action not in {"transfer", "mix"}:
        return ()
    rack, _, tip_well = step.tip.partition(":")
    picked = (Operation("pick_up", step.channels, rack, tip_well, mount=step.mount),) if step.tip else ()
    if step.action == "mix":
        repeated = _mixed(step, step.labware, step.well, step.volume_ul, step.mix_before + step.mix_after)
        return picked + repeated
    return (
        *picked,
        *_mixed(step, step.labware, step.well, step.mix_volume_ul, step.mix_before),
        Operation("aspirate", step.channels, step.labware, step.well, step.volume_ul, mount=step.mount),
        Operation(
            *("dispense", step.channels, step.to_labware, step.to_well, step.volume_ul),
            at_rim=step.dispense_at == "rim",
            mount=step.mount,
        ),
        *_mixed(step, step.to_labware, step.to_well, step.mix_volume_ul, step.mix_after),
    )


def _mixed(step: Step, labware: str, well: str, volume: float, times: int) -> tuple[Operation, ...]:
    both = tuple(
        Operation(kind, step.channels, labware, well, volume, mount=step.mount) for kind in ("aspirate", "dispense")
    )
    return both * times


Done = dict[int, list[Operation]]


def read_commands(
    worklist: Worklist, commands: Sequence[Mapping[str, Any]], catalogue: LabwareLookup
) -> tuple[Done, list[Problem]]:
    """Sort the pipette commands under the step that was announced before them.

    Returns:
        Operations per announced step number, and what could not be understood.
    """
    reader = _Reader(worklist, catalogue)
    for command in commands:
        reader.read(command)
    return reader.done, reader.problems


class _Reader:
    """Follows labware, modules, pipettes and announcements through a list of commands."""

    def __init__(self, worklist: Worklist, catalogue: LabwareLookup) -> None:
        self.catalogue = catalogue
        self.load_names = {item.nickname: item.load_name for item in worklist.deck}
        self.by_slot = {item.slot: item for item in worklist.deck}
        self.done: Done = {}
        self.problems: list[Problem] = []
        self.slots: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.mounts: dict[str, str] = {}
        self.channels: dict[str, int] = {}
        self.all_channels: dict[str, int] = {}
        self.last: dict[str, tuple[str, str]] = {}
        self.step = 0

    def read(self, command: Mapping[str, Any]) -> None:
        """Follow one command: what it loads, announces or moves, with the step that was announced last."""
        kind, params = str(command.get("commandType", "")), command.get("params", {})
        result = command.get("result") or {}
        if kind in {"comment", "waitForResume", "pause"}:
            self._announce(str(params.get("message", "")))
        elif kind == "loadModule":
            self.slots[result["moduleId"]] = params["location"]["slotName"]
        elif kind == "loadLabware":
            self._load(params, result)
        elif kind == "loadPipette":
            pipette = result["pipetteId"]
            self.mounts[pipette] = str(params.get("mount", ""))
            self.channels[pipette] = self.all_channels[pipette] = channels_of(params["pipetteName"])
        elif kind == "configureNozzleLayout":
            pipette = params["pipetteId"]
            self.channels[pipette] = active_nozzles(params, self.all_channels.get(pipette, 1))
        elif kind in _OPERATIONS:
            self._operate(_OPERATIONS[kind], params)

    def _announce(self, message: str) -> None:
        match = _ANNOUNCED.match(message)
        if match is None:
            return
        self.step = int(match[1])
        self.done.setdefault(self.step, [])

    def _load(self, params: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        place = params.get("location", {})
        if not isinstance(place, dict):
            return
        slot = place.get("slotName") or place.get("addressableAreaName")
        slot = slot or self.slots.get(place.get("moduleId") or place.get("labwareId") or "", "")
        self.slots[result["labwareId"]] = slot
        item = self.by_slot.get(slot)
        if item is None:
            told = f"the robot loads {params['loadName']} into {slot}, which the worklist leaves empty"
            self.problems.append(Problem(told, f"slot {slot}", _REMEDY, rules.ROBOT_DECK))
        elif params["loadName"] == item.load_name:
            self.names[result["labwareId"]] = item.nickname
        elif params["loadName"] != item.adapter:
            told = f"the robot loads {params['loadName']}, the worklist has {item.load_name}"
            self.problems.append(Problem(told, f"slot {slot}", _REMEDY, rules.ROBOT_DECK))

    def _operate(self, kind: str, params: Mapping[str, Any]) -> None:
        pipette = params["pipetteId"]
        if "labwareId" in params:
            self.last[pipette] = self._place_of(pipette, params)
        labware, well = self.last.get(pipette, ("", ""))
        volume = float(params.get("volume", 0.0))
        at_rim = kind == "dispense" and _is_at_rim(params.get("wellLocation") or {})
        channels, mount = self.channels.get(pipette, 1), self.mounts.get(pipette, "")
        done = Operation(kind, channels, labware, well, volume, at_rim, mount)
        self.done.setdefault(self.step, []).append(done)

    def _place_of(self, pipette: str, params: Mapping[str, Any]) -> tuple[str, str]:
        """Labware and the well of the uppermost channel; a part of the nozzles is steered by its lowest one."""
        nickname, well = self.names.get(params["labwareId"], params["labwareId"]), params["wellName"]
        channels = self.channels.get(pipette, 1)
        if channels < self.all_channels.get(pipette, 1) and nickname in self.load_names:
            well = self.catalogue[self.load_names[nickname]].uppermost(well, channels)
        return nickname, well


def active_nozzles(params: Mapping[str, Any], everything: int) -> int:
    """Nozzles that a `configureNozzleLayout` command leaves at work, of a pipette with one column of them."""
    layout = params.get("configurationParams") or {}
    if layout.get("style") == "SINGLE":
        return 1
    if layout.get("style") != "QUADRANT":
        return everything
    return ord(layout["frontRightNozzle"][0]) - ord(layout["backLeftNozzle"][0]) + 1


def _is_at_rim(location: Mapping[str, Any]) -> bool:
    """True when the tip stands at the rim of the well or above it; heights in mm, from the top where it says so."""
    return location.get("origin") == "top" and float((location.get("offset") or {}).get("z", 0.0)) >= -_RIM_MM


_OPERATIONS = {
    "pickUpTip": "pick_up",
    "aspirate": "aspirate",
    "aspirateInPlace": "aspirate",
    "dispense": "dispense",
    "dispenseInPlace": "dispense",
}


def compare_steps(worklist: Worklist, done: Done, *, tolerance_ul: float = _VOLUME_TOLERANCE_UL) -> Iterator[Problem]:
    """Steps the robot does not announce, does not know, or carries out differently by more than `tolerance_ul`."""
    for step in worklist.steps:
        where = f"step {step.number}"
        if step.number not in done:
            remedy = "use the protocol file of this procedure"
            yield Problem("the robot never announces this step", where, remedy, rules.NOT_ANNOUNCED)
            continue
        planned, seen = planned_operations(step), done[step.number]
        for number, (plan, robot) in enumerate(zip(planned, seen, strict=False)):
            if not _same(plan, robot, tolerance_ul):
                told = f"the robot would {robot}, planned is {plan} (command {number + 1})"
                yield Problem(told, where, _REMEDY, rules.ROBOT_DIFFERS)
                break
        else:
            if len(planned) != len(seen):
                told = f"the robot makes {len(seen)} pipette moves, planned are {len(planned)}"
                yield Problem(told, where, _REMEDY, rules.ROBOT_DIFFERS)
    known = {step.number for step in worklist.steps}
    for number in done.keys() - known:
        told = "the robot does something that no step of the worklist asks for"
        yield Problem(told, f"step {number}", _REMEDY, rules.NOT_ANNOUNCED)


_REMEDY = "make the CSV anew from the worklist and use the protocol file of this procedure"


def _same(plan: Operation, robot: Operation, tolerance_ul: float) -> bool:
    is_same = plan._replace(volume_ul=0.0) == robot._replace(volume_ul=0.0, mount=robot.mount if plan.mount else "")
    return is_same and abs(plan.volume_ul - robot.volume_ul) <= tolerance_ul


def compare_ends(
    worklist: Worklist, done: Done, catalogue: LabwareLookup, deck: BenchDeck | None = None
) -> Iterator[Problem]:
    """Replay the robot's commands through the ledger; end contents must equal those of the worklist."""
    planned = follow(worklist, catalogue, deck)
    replayed = replay(worklist, done, catalogue, deck)
    told = {(p.where, p.message) for p in planned.violations}
    yield from (p for p in replayed.violations if (p.where, p.message) not in told)
    ends = {(nickname, well): contents for nickname, well, contents in replayed.wells()}
    for nickname, well, contents in planned.wells():
        other = ends.get((nickname, well))
        where = f"{nickname} {well}"
        if other is None or not isclose(contents.volume_ul, other.volume_ul, rel_tol=1e-6, abs_tol=0.1):
            seen = other.volume_ul if other else 0.0
            message = f"the robot leaves {seen:g} µL, the worklist {contents.volume_ul:g} µL"
            yield Problem(message, where, _REMEDY, rules.ENDS_DIFFER)
            continue
        for name, amount in contents.amounts.items():
            if not isclose(amount, other.amounts.get(name, 0.0), rel_tol=2e-3, abs_tol=1e-9):
                yield Problem(
                    f"{name}: the robot leaves {other.amounts.get(name, 0.0):.6g}, the worklist {amount:.6g}",
                    where,
                    _REMEDY,
                    rules.ENDS_DIFFER,
                )


def replay(worklist: Worklist, done: Done, catalogue: LabwareLookup, deck: BenchDeck | None = None) -> Ledger:
    """The ledger after a robot's operations, with the pauses of the worklist between them."""
    ledger = Ledger.of(worklist, catalogue, deck)
    pauses = {step.number: step for step in worklist.steps if step.action == "pause"}
    for number, operations in done.items():
        ledger.at(f"step {number}")
        if number in pauses:
            ledger.apply(pauses[number])
        for operation in operations:
            if operation.kind == "pick_up":
                ledger.pick_up(operation.channels, f"{operation.labware}:{operation.well}", operation.mount)
            elif operation.kind == "aspirate":
                place = (operation.channels, operation.labware, operation.well)
                ledger.aspirate(*place, operation.volume_ul, operation.mount)
            else:
                place = (operation.channels, operation.labware, operation.well)
                ledger.dispense(*place, operation.volume_ul, operation.mount, touching=not operation.at_rim)
    return ledger
