from __future__ import annotations

import pytest

from nkloop.errors import VendorError, VerificationError
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
    with pytest.raises(VerificationError, match="test step 1: refused by ledger: plate A1 is overfilled"):
        require(verdict, bad)


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
