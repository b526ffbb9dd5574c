"""The verdict on a worklist: three independent checks, all of which must pass before any liquid moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace

from nkloop.errors import NkloopError, Problem, VerificationError
from nkloop.worklists import rules
from nkloop.worklists.analysis_check import AnalysisLike, check_analysis
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.error_rules import error_problems
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.light_rules import light_problems
from nkloop.worklists.models import CheckResult, Verdict, Worklist
from nkloop.worklists.temperature_rules import temperature_problems
from nkloop.worklists.thaw_rules import thaw_problems
from nkloop.worklists.time_rules import time_problems

Analyse = Callable[[Worklist], Awaitable[AnalysisLike]]
"""Opentrons' analysis of a worklist: its problems."""
Track = Callable[[Worklist], CheckResult]
"""PyLabRobot's trackers run through a worklist: their problems."""
Simulate = Callable[[Worklist], Awaitable[CheckResult]]


async def verify(
    worklist: Worklist,
    catalogue: LabwareLookup,
    deck: BenchDeck | None,
    *,
    analyse: Analyse,
    track: Track,
    simulate: Simulate | None = None,
) -> Verdict:
    """Check a worklist by the ledger, by Opentrons' analysis and by PyLabRobot's trackers.

    Args:
        worklist: what is checked; nothing is moved.
        catalogue: labware types by load name.
        deck: pipettes, modules and trash of the bench.
        analyse: gives the analysis of the worklist's protocol with its CSV.
        track: runs the worklist through PyLabRobot with tracking on; called in a thread.
        simulate: takes the place of the analysis for robots that Opentrons' software does not know.

    Returns:
        The verdict with one result per check; a check that could not be made counts as failed.
    """
    ledger = by_ledger(worklist, catalogue, deck)
    analysis, tracking = await asyncio.gather(
        _analysed(worklist, catalogue, deck, analyse) if simulate is None else _simulated(worklist, simulate),
        _tracked(worklist, track),
    )
    tracking = with_disagreement(ledger, tracking)
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(ledger, analysis, tracking))


def by_ledger(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None) -> CheckResult:
    """The first of the three checks alone: the ledger, predicted errors, times, temperatures, light and thawing."""
    return _with_errors(check_ledger(worklist, catalogue, deck), worklist, catalogue, deck)


def _with_errors(
    ledger: CheckResult, worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None
) -> CheckResult:
    """The ledger's result with the predicted errors; those of a refused worklist mean nothing."""
    if not ledger.passed:
        return ledger
    started = time.perf_counter()
    try:
        problems = tuple(error_problems(worklist, catalogue, deck))
        if deck is not None:
            minutes = busy_minutes(worklist, deck)
            problems += tuple(time_problems(worklist, minutes))
            problems += tuple(temperature_problems(worklist, minutes, catalogue))
            problems += tuple(light_problems(worklist, minutes, catalogue))
            problems += tuple(thaw_problems(worklist, minutes, catalogue))
    except NkloopError as error:
        problems = _not_made(error)
    seconds = ledger.seconds + time.perf_counter() - started
    found = CheckResult.of("ledger", seconds, problems)
    return found.model_copy(update={"warnings": (*ledger.warnings, *found.warnings)})


_SEEN_BY_BOTH = frozenset({rules.TIP_USED_TWICE, rules.NO_TIP, rules.OVERFILL, rules.NO_SUCH_WELL})
"""Faults that ledger and PyLabRobot must both see."""


def with_disagreement(ledger: CheckResult, tracking: CheckResult) -> CheckResult:
    """The tracking's result, failed also when it and the ledger contradict each other about a step.

    A contradiction is a step that PyLabRobot refuses while the ledger finds nothing at or before it, or a fault both
    must see that PyLabRobot lets pass.
    """
    problem = _contradiction(ledger, tracking)
    if problem is None:
        return tracking
    return tracking.model_copy(update={"passed": False, "problems": (*tracking.problems, asdict(problem))})


def _contradiction(ledger: CheckResult, tracking: CheckResult) -> Problem | None:
    told = [(place, problem) for problem in ledger.problems if (place := _step(problem)) is not None]
    first = min(told, key=lambda pair: pair[0], default=None)
    remedy = "report this with the worklist: the checks disagree"
    for problem in tracking.problems:
        place = _step(problem)
        if problem["rule"] == rules.TRACKING_REFUSES and place is not None and (first is None or first[0] > place):
            message = f"PyLabRobot refuses this step ({problem['message']}), the ledger accepts it"
            return Problem(message, problem["where"], remedy, rules.CHECKS_DISAGREE)
    if tracking.passed and first is not None and first[1]["rule"] in _SEEN_BY_BOTH:
        message = f"the ledger refuses this step ({first[1]['message']}), PyLabRobot accepts it"
        return Problem(message, first[1]["where"], remedy, rules.CHECKS_DISAGREE)
    return None


def _step(problem: Mapping[str, str]) -> int | None:
    """Number of the step a problem stands at; 0 for a filling, None when it is about something else."""
    where = problem["where"]
    if where.startswith("filling "):
        return 0
    return int(where[5:]) if where.startswith("step ") and where[5:].isdigit() else None


async def _analysed(
    worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None, analyse: Analyse
) -> CheckResult:
    started = time.perf_counter()
    try:
        result = check_analysis(worklist, await analyse(worklist), catalogue, deck)
    except NkloopError as error:
        return CheckResult.of("opentrons analysis", time.perf_counter() - started, _not_made(error))
    return result.model_copy(update={"seconds": time.perf_counter() - started})


async def _simulated(worklist: Worklist, simulate: Simulate) -> CheckResult:
    started = time.perf_counter()
    try:
        return await simulate(worklist)
    except NkloopError as error:
        return CheckResult.of("device simulation", time.perf_counter() - started, _not_made(error))


async def _tracked(worklist: Worklist, track: Track) -> CheckResult:
    started = time.perf_counter()
    try:
        return await asyncio.to_thread(track, worklist)
    except NkloopError as error:
        return CheckResult.of("pylabrobot tracking", time.perf_counter() - started, _not_made(error))


def _not_made(error: NkloopError) -> tuple[Problem, ...]:
    return tuple(replace(problem, rule=problem.rule or rules.CHECK_NOT_MADE) for problem in error.problems)


def require(verdict: Verdict, worklist: Worklist) -> None:
    """Refuse to go on with a worklist that has no passed verdict of its own.

    Raises:
        VerificationError: a check failed, or the verdict belongs to another content.
    """
    if verdict.worklist_hash != worklist.content_hash:
        raise VerificationError(
            "the verdict belongs to another content", where=worklist.name, remedy="verify this worklist"
        )
    if verdict.passed:
        return
    failed = [check for check in verdict.checks if not check.passed]
    first = next(
        (p for check in failed for p in check.problems), {"message": "no check ran", "where": "", "remedy": ""}
    )
    names = ", ".join(check.check for check in failed) or "no check"
    raise VerificationError(
        f"refused by {names}: {first['message']}",
        where=f"{worklist.name} {first['where']}".strip(),
        remedy=first["remedy"],
    )
