"""The checks are wired to the protocol, the CSV and the custom labware of a workspace."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.errors import WorkspaceError
from nkloop.runs import verification
from nkloop.runs.verification import Verifier
from nkloop.vendor.analysis import Analysis
from nkloop.worklists.models import CheckResult, Worklist


class Vendor:
    """Keeps what it is asked and says no."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, dict[str, Any]]] = []

    async def analyse(self, protocol: Path, **given: Any) -> Analysis:
        self.asked.append((protocol, given))
        return Analysis(result="not-ok", errors=({"message": "no tip", "where": "step 1", "remedy": "name one"},))


class Catalogue(dict[str, Any]):
    """Has one definition of its own."""

    def definition(self, load_name: str) -> dict[str, Any] | None:
        return {"ours": load_name} if load_name == "nkloop_plate" else None


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def verifier(tmp_path: Path, vendor: Vendor) -> Verifier:
    (tmp_path / "cytotoxicity_assay.py").write_text("")
    workspace: Any = SimpleNamespace(protocols=tmp_path)
    catalogue: Any = Catalogue()
    client: Any = vendor
    return Verifier(workspace, catalogue, None, client)


async def test_a_protocol_that_is_not_the_one_listed_is_warned_of(verifier: Verifier, worklist: Worklist) -> None:
    worklist = worklist.model_copy(update={"procedure": "cytotoxicity_assay"})
    verdict = await verifier.verify(worklist)
    (warning,) = next(one.warnings for one in verdict.checks if one.check == "opentrons analysis")
    assert warning["message"].startswith("is not listed among the reviewed protocols, so `nkloop check` refuses it")
    assert "read the file and try it with water" in warning["remedy"]


async def test_the_analysis_gets_protocol_csv_and_our_labware(
    verifier: Verifier, vendor: Vendor, worklist: Worklist
) -> None:
    ours = worklist.deck[0].model_copy(update={"namespace": "nkloop", "load_name": "nkloop_plate", "nickname": "other"})
    await verifier.analyse(worklist.model_copy(update={"deck": (*worklist.deck, ours)}))
    protocol, given = vendor.asked[0]
    assert protocol.name == "cytotoxicity_assay.py"
    assert given["labware"] == [{"ours": "nkloop_plate"}]
    assert given["csv"].startswith("record,step,action")
    assert ",50," in given["csv"]


async def test_three_checks_make_the_verdict(
    verifier: Verifier, worklist: Worklist, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = CheckResult(check="pylabrobot tracking", passed=True, seconds=0)
    monkeypatch.setattr("nkloop.drivers.pylabrobot.tracking.check_tracking", lambda worklist, catalogue: passed)
    ledger = CheckResult(check="ledger", passed=True, seconds=0)
    monkeypatch.setattr("nkloop.worklists.verification.check_ledger", lambda *given: ledger)
    verdict = await verifier.verify(worklist)
    assert [(check.check, check.passed) for check in verdict.checks] == [
        ("ledger", True),
        ("opentrons analysis", False),
        ("pylabrobot tracking", True),
    ]
    assert verdict.worklist_hash == worklist.content_hash
    assert not verdict.passed


async def test_a_missing_protocol_is_told(verifier: Verifier, worklist: Worklist) -> None:
    other = worklist.model_copy(update={"procedure": "medium_preparation"})
    with pytest.raises(WorkspaceError, match="no protocol for medium_preparation"):
        await verifier.analyse(other)


def test_pylabrobot_is_imported_when_needed_only() -> None:
    assert "check_tracking" not in vars(verification)
