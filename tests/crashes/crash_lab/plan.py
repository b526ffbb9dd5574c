"""Which crashes: every transition of every procedure in every phase, physical commands, random instants; seeded."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crash_lab.places import AND_ALL_IT_STARTED
from crash_lab.reality import PhysicalTrigger
from crash_lab.triggers import PHASES, Trigger
from nkloop.records.models import DecisionKind

FLOW, ROBOT = "flow", "robot"
SERVER, WORKER = "prefect server", "worker"
SERVICE = WORKER + AND_ALL_IT_STARTED
"""The runner that starts flows, alone or with the flow processes it has started."""
RECOVERED = "recovered"
"""What is noted with the process of a runner that is done with what it found open at its start."""
AWAY_S = (0.0, 0.1, 0.6)
"""How long a robot that was killed stays away: shorter and longer than a flow waits for it."""
KINDS = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
"""The shipped procedures, planned for the Flex."""
DECISIONS: tuple[DecisionKind, ...] = ("continue", "repair", "discard")
AT_RANDOM, LOOK_AT, AGAIN_AT = (2, 7), 4, 9
"""Which of every ten crashes come at random, at a request that only looks, and a second time. A run whose flow dies
with a command of its robot is stopped by a person: one step is unknown then, and often it can be repaired."""
WHILE_TAKEN_UP = tuple(
    Trigger(victim, kind, name, 1, phase)
    for victim in (FLOW, ROBOT)
    for kind, name in (
        ("write", "claim"),
        ("write", "close_run succeeded"),
        ("write", "close_run interrupted"),
        ("write", "post_run"),
        ("request", "GET /runs/*"),
        ("request", "GET /runs/*/commands"),
        ("request", "POST /runs/*/actions"),
    )
    for phase in ("before", "after")
)
"""Second crashes; where the work taken up does not pass such a transition, none comes."""
AT_DECISION = tuple(
    Trigger(victim, "write", name, 1, phase)
    for victim, name in ((FLOW, "add"), (FLOW, "create_run"), (ROBOT, "create_run"))
    for phase in ("before", "torn", "after")
    if victim == FLOW or phase != "torn"
)
"""Every second of them: the decision, and the run that follows from it."""
_POLLED = 2
"""How often at most a request that is repeated (a look at the run) counts as a transition of its own."""


@dataclass(frozen=True)
class Crash:
    """One crash to be."""

    number: int
    procedure: str
    victim: str
    trigger: Trigger | None = None
    physical: PhysicalTrigger | None = None
    after_s: float | None = None
    """Instant after the start of the flow, for crashes at random."""
    away_s: float = 0.1
    """How long a killed robot stays away."""
    decision: DecisionKind = "discard"
    """What a person decides about interrupted runs."""
    again: Trigger | None = None
    """Strikes while the work is taken up."""

    @property
    def instant(self) -> str:
        """When it strikes, in words."""
        first = "never" if self.after_s is None else f"at random, after {self.after_s:.3f} s"
        if self.trigger is not None:
            first = str(self.trigger)
        if self.physical is not None:
            of = "" if self.physical.victim == self.victim else f" ({self.physical.victim})"
            told = f"{self.physical.phase} physical command {self.physical.nth}{of}"
            told += ", then stopped by a person" if self.physical.is_stopped else ""
            first = f"{told}; {first}" if self.trigger is not None else told
        return f"{first}; again {self.again}" if self.again else first


@dataclass(frozen=True)
class Course:
    """How a procedure goes when nobody is killed."""

    transitions: tuple[tuple[str, str, int], ...]
    """Kind, name and number of every transition, in order."""
    n_commands: int
    """Commands that take physical effect."""
    seconds: float


Fixed = tuple[str, str, Trigger]
"""Procedure, victim, instant."""


def at_transitions(courses: Mapping[str, Course], victims: Sequence[str]) -> list[Fixed]:
    """Procedure, victim and trigger of every crash at a transition."""
    found: list[Fixed] = []
    for (procedure, course), victim in itertools.product(courses.items(), victims):
        for kind, name, number in course.transitions:
            if kind == "request" and number > _POLLED:
                continue
            # What is torn within a write of the flow is no other instant for anybody else.
            phases = [phase for phase in PHASES[kind] if phase != "torn" or victim == FLOW]
            found += [(procedure, victim, Trigger(victim, kind, name, number, phase)) for phase in phases]
    return found


def storm(courses: Mapping[str, Course], n: int, seed: int) -> list[Crash]:
    """`n` crashes in an order that depends on the seed.

    Of ten, seven come at durable writes and at requests that change something, each of them once before any comes a
    second time; one comes at a request that only looks; two come at random. Every tenth has a second crash while the
    work is taken up.
    """
    chance = random.Random(seed)
    fixed = at_transitions(courses, (FLOW, ROBOT))
    chance.shuffle(fixed)
    acts = itertools.cycle([one for one in fixed if _changes(one[2])])
    looks = itertools.cycle([one for one in fixed if not _changes(one[2])])
    names = sorted(courses)
    crashes = []
    for number in range(n):
        away = chance.choice(AWAY_S)
        again = chance.choice(WHILE_TAKEN_UP) if number % 10 == AGAIN_AT else None
        if number % 10 in AT_RANDOM:
            name = chance.choice(names)
            crashes.append(_at_random(number, name, courses[name], chance, away, again))
        else:
            procedure, victim, trigger = next(looks if number % 10 == LOOK_AT else acts)
            crashes.append(Crash(number, procedure, victim, trigger, away_s=away, again=again))
    decides, later = random.Random(f"{seed}, decisions"), random.Random(f"{seed}, second")
    for number in range(2 * 10 - 1, n, 2 * 10):
        crashes[number] = replace(crashes[number], again=later.choice(AT_DECISION))
    return [replace(crash, decision=decides.choice(DECISIONS)) for crash in crashes]


def _changes(trigger: Trigger) -> bool:
    return trigger.kind == "write" or not trigger.name.startswith("GET ")


def _at_random(
    number: int, name: str, course: Course, chance: random.Random, away_s: float, again: Trigger | None
) -> Crash:
    victim = chance.choice((FLOW, ROBOT))
    if chance.random() < 0.5:
        phase = chance.choice(("before", "after"))
        nth = chance.randint(1, course.n_commands)
        physical = PhysicalTrigger(victim, nth, phase, is_stopped=victim == FLOW)
        return Crash(number, name, victim, physical=physical, away_s=away_s, again=again)
    return Crash(number, name, victim, after_s=chance.uniform(0, course.seconds), away_s=away_s, again=again)


INTERRUPTED = "close_run interrupted"
"""What a flow writes whose robot has died: steps that failed, and steps nobody knows."""
WHEN_DECIDED = (
    "claim", "add", "create_run", "append_events intended", "append_events sent", "close_run succeeded",
)  # fmt: skip
"""Writes of a flow that takes up what a person stopped: the decision (`add`), and the run that follows from it."""


def coordinated(
    courses: Mapping[str, Course], n: int, seed: int, victims: Sequence[str], first_number: int = 0
) -> list[Crash]:
    """`n` crashes of what stands around a flow: every kind of write of every procedure before any comes a second time.

    Victims in turn; the order, and which of several writes of a kind is hit in which phase, depend on the seed.
    """
    chance = random.Random(f"{seed}, {victims}")
    kinds = {name: _kinds(course) for name, course in courses.items() if name in KINDS}
    of_each = [[(name, kind) for kind in chance.sample(every, len(every))] for name, every in kinds.items()]
    turns = [one for turn in itertools.zip_longest(*of_each) for one in turn if one is not None]
    chosen = itertools.islice(itertools.cycle(turns), n)
    return [
        _around(first_number + place, name, kind, courses[name], victims[place % len(victims)], chance)
        for place, (name, kind) in enumerate(chosen)
    ]


def _kinds(course: Course) -> list[tuple[str, str]]:
    """When a write happens, and what it tells."""
    run = dict.fromkeys(name for kind, name, _ in course.transitions if kind == "write")
    return [*(("run", name) for name in run), ("robot died", INTERRUPTED), *(("decided", one) for one in WHEN_DECIDED)]


def _around(
    number: int, procedure: str, kind: tuple[str, str], course: Course, victim: str, chance: random.Random
) -> Crash:
    when, name = kind
    phase = chance.choice(("before", "after"))
    nths = [nth for what, told, nth in course.transitions if (what, told) == ("write", name)]
    trigger = Trigger(victim, "write", name, chance.choice(nths) if when == "run" else 1, phase)
    away, decision = chance.choice(AWAY_S), chance.choice(DECISIONS)
    at = chance.randint(course.n_commands // 4, course.n_commands * 9 // 10)  # something was moved, something is left
    if when == "run":
        return Crash(number, procedure, victim, trigger, away_s=away, decision=decision)
    if when == "robot died":
        return Crash(number, procedure, victim, trigger, PhysicalTrigger(ROBOT, at, "after"), away_s=away)
    stopped = PhysicalTrigger(FLOW, at, "after", is_stopped=True)
    is_decision = name in {"claim", "add"}
    return Crash(
        number, procedure, victim, physical=stopped, away_s=away, again=trigger,
        decision=decision if is_decision else "continue",
    )  # fmt: skip
