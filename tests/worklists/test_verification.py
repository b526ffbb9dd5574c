from __future__ import annotations

import pytest

from nkloop.errors import Problem, VendorError, VerificationError
from nkloop.worklists.models import CheckResult, Verdict
from nkloop.worklists.verification import require, verify


@pytest.fixture
def good(worklist_of, transfer):
    return worklist_of(transfer("water:A1", "plate:A1", 90, "tips_1000:A1"))


def passing(worklist):
    return CheckResult.of("pylabrobot tracking", 0.0, ())


async def test_three_checks_make_a_verdict(good, robot, catalogue, deck):
    async def analyse(worklist):
        return robot(worklist)

    verdict = await verify(good, catalogue, deck, analyse=analyse, track=passing)
    assert verdict.passed
    assert [check.check for check in verdict.checks] == ["ledger", "opentrons analysis", "pylabrobot tracking"]
    require(verdict, good)


async def test_a_check_that_cannot_be_made_counts_as_failed(good, catalogue, deck):
    async def analyse(worklist):
        raise VendorError("the vendor environment does not start", remedy="install uv")

    def track(worklist):
        raise VendorError("tracking is broken")

    verdict = await verify(good, catalogue, deck, analyse=analyse, track=track)
    assert [check.passed for check in verdict.checks] == [True, False, False]
    with pytest.raises(VerificationError, match="refused by opentrons analysis, pylabrobot tracking: the vendor"):
        require(verdict, good)


async def test_a_bad_worklist_is_refused_by_the_ledger(good, robot, catalogue, deck):
    step = good.steps[0].model_copy(update={"volume_ul": 400.0})
    bad = good.model_copy(update={"steps": (step,)})

    async def analyse(worklist):
        return robot(worklist)

    verdict = await verify(bad, catalogue, deck, analyse=analyse, track=passing)
    assert not verdict.passed
    with pytest.raises(
        VerificationError, match="test step 1: refused by ledger, pylabrobot tracking: plate A1 is overfilled"
    ):
        require(verdict, bad)


async def test_a_fault_that_only_one_of_two_checks_sees_is_a_failure_of_its_own(good, robot, catalogue, deck):
    async def analyse(worklist):
        return robot(worklist)

    bad = good.model_copy(update={"steps": (good.steps[0].model_copy(update={"volume_ul": 400.0}),)})
    verdict = await verify(bad, catalogue, deck, analyse=analyse, track=passing)
    (contradiction,) = verdict.checks[2].problems
    assert contradiction["rule"] == "V087"
    assert contradiction["where"] == "step 1"
    assert "the ledger refuses this step" in contradiction["message"]

    def refusing(_):
        problem = Problem("NoTipError: no tip", "step 1", "take one", "V085")
        return CheckResult.of("pylabrobot tracking", 0.1, (problem,))

    verdict = await verify(good, catalogue, deck, analyse=analyse, track=refusing)
    assert [p["rule"] for p in verdict.checks[2].problems] == ["V085", "V087"]
    assert "the ledger accepts it" in verdict.checks[2].problems[1]["message"]


async def test_a_verdict_belongs_to_one_content(good, robot, catalogue, deck):
    async def analyse(worklist):
        return robot(worklist)

    verdict = await verify(good, catalogue, deck, analyse=analyse, track=passing)
    other = good.model_copy(update={"name": "other"})
    with pytest.raises(VerificationError, match="belongs to another content"):
        require(verdict, other)


def test_a_verdict_without_checks_never_passes(good):
    with pytest.raises(VerificationError, match="no check ran"):
        require(Verdict(worklist=good.name, worklist_hash=good.content_hash, checks=()), good)
