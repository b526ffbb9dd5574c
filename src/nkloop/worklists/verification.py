"""The verdict on a worklist: three independent checks, all of which must pass before any liquid moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from nkloop.errors import NkloopError, VerificationError
from nkloop.worklists.analysis_check import AnalysisLike, check_analysis
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import CheckResult, Verdict, Worklist

Analyse = Callable[[Worklist], Awaitable[AnalysisLike]]
Track = Callable[[Worklist], CheckResult]


async def verify(
    worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None, *, analyse: Analyse, track: Track
) -> Verdict:
    """Check a worklist by the ledger, by Opentrons' analysis and by PyLabRobot's trackers.

    Args:
        worklist: what is checked; nothing is moved.
        catalogue: labware types by load name.
        deck: pipettes, modules and trash of the bench.
        analyse: gives the analysis of the worklist's protocol with its CSV.
        track: runs the worklist through PyLabRobot with tracking on; called in a thread.

    Returns:
        The verdict with one result per check; a check that could not be made counts as failed.
    """
    ledger = check_ledger(worklist, catalogue, deck)
    others = await asyncio.gather(
        _analysed(worklist, catalogue, deck, analyse),
        _tracked(worklist, track),
    )
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(ledger, *others))


async def _analysed(
    worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None, analyse: Analyse
) -> CheckResult:
    started = time.perf_counter()
    try:
        result = check_analysis(worklist, await analyse(worklist), catalogue, deck)
    except NkloopError as error:
        return CheckResult.of("opentrons analysis", time.perf_counter() - started, error.problems)
    return result.model_copy(update={"seconds": time.perf_counter() - started})


async def _tracked(worklist: Worklist, track: Track) -> CheckResult:
    started = time.perf_counter()
    try:
        return await asyncio.to_thread(track, worklist)
    except NkloopError as error:
        return CheckResult.of("pylabrobot tracking", time.perf_counter() - started, error.problems)


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
