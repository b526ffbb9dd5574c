"""How long a worklist takes: the robot at work, waiting that the worklist asks for, and people at pauses.

Told from the bench's speeds (`BenchDeck.speeds`), step by step, without running anything. A transfer is: old tip
dropped and new one picked up, the way to each well, and the volumes at the pipette's flow rate; a mix draws and
returns its volume in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nkloop.worklists.bench_deck import BenchDeck, RobotSpeeds
from nkloop.worklists.models import Step, Worklist, channels_of

_SECONDS_FOR_FULL_VOLUME = 2.0


@dataclass(frozen=True, slots=True)
class StepDuration:
    """Seconds of one step, by who or what takes them."""

    number: int
    robot_s: float
    """The robot moves."""
    waiting_s: float = 0.0
    """Everybody waits: shaking, delays, incubations and spins of a pause."""
    is_hands_on: bool = False
    """A person has to come."""


def estimate_minutes(worklist: Worklist, deck: BenchDeck) -> float:
    """Minutes of robot time: start, modules, every step, shakes and delays; what people do is not in it."""
    seconds = sum(one.robot_s + (0.0 if one.is_hands_on else one.waiting_s) for one in step_durations(worklist, deck))
    return round((seconds + start_seconds(worklist, deck)) / 60, 2)


def start_seconds(worklist: Worklist, deck: BenchDeck) -> float:
    """Seconds before the first step: homing, and modules that heat or cool one after the other."""
    speeds = deck.speeds
    modules = {item.module for item in worklist.deck if item.module and item.temperature_c is not None}
    return speeds.start_s + sum(speeds.temperature_s.get(module, 0.0) for module in modules)


def step_durations(worklist: Worklist, deck: BenchDeck) -> tuple[StepDuration, ...]:
    """Seconds of every step, in the order of the worklist."""
    return tuple(_Clock(worklist, deck).steps())


class _Clock:
    """Follows the tips and where each pipette stands."""

    def __init__(self, worklist: Worklist, deck: BenchDeck) -> None:
        self.worklist, self.deck, self.speeds = worklist, deck, deck.speeds
        self.holding: set[str] = set()

    def steps(self) -> Iterator[StepDuration]:
        """Each step with its seconds."""
        for step in self.worklist.steps:
            if step.action in {"transfer", "mix"}:
                yield StepDuration(step.number, self._tip(step) + self._liquid(step))
            elif step.action == "pause":
                minutes = step.operator.minutes if step.operator else 0.0
                dropped = self.speeds.drop_s * len(self.holding)
                self.holding.clear()
                yield StepDuration(step.number, dropped, 60 * minutes, is_hands_on=True)
            else:
                robot = self.speeds.shaker_s if step.action == "shake" else 0.0
                yield StepDuration(step.number, robot, step.seconds)

    def _tip(self, step: Step) -> float:
        if not step.tip:
            return 0.0
        mount = self.worklist.mount_of(step) or ""
        dropped = self.speeds.drop_s if mount in self.holding else 0.0
        self.holding.add(mount)
        return dropped + self.speeds.pick_up_s

    def _liquid(self, step: Step) -> float:
        mount = self.worklist.mount_of(step)
        pipette = self.worklist.pipettes[mount] if mount else ""
        flow = step.flow_factor * flow_of(pipette, self.deck, self.speeds)
        if step.action == "mix":
            return self.speeds.travel_s + 2 * (step.mix_before + step.mix_after) * step.volume_ul / flow
        mixed = 2 * (step.mix_before + step.mix_after) * step.mix_volume_ul
        return 2 * self.speeds.travel_s + (2 * step.volume_ul + mixed) / flow


def flow_of(pipette: str, deck: BenchDeck, speeds: RobotSpeeds) -> float:
    """Default flow rate of a pipette in µL/s."""
    if pipette in speeds.flow_ul_s:
        return speeds.flow_ul_s[pipette]
    spec = next((one for one in deck.pipettes if one.load_name == pipette), None) or deck.pipette(channels_of(pipette))
    return (spec.max_volume_ul if spec else 1000.0) / _SECONDS_FOR_FULL_VOLUME
