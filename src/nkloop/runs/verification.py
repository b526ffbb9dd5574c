"""The three independent checks, wired: our ledger, Opentrons' analysis, PyLabRobot's trackers."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from nkloop.errors import WorklistError, WorkspaceError
from nkloop.labware.catalogue import Catalogue
from nkloop.vendor.analysis import Analysis
from nkloop.vendor.client import VendorClient
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import CheckResult, Robot, Verdict, Worklist
from nkloop.worklists.protocol_files import protocol_name, protocol_path, review_of, sha256_of, takes_protocol
from nkloop.worklists.verification import verify
from nkloop.workspace import Workspace

_ANALYSIS = "opentrons analysis"
_SIMULATED: dict[Robot, str] = {"star": "star", "evo": "evo200"}
"""Robots without Opentrons' software, with the simulator that stands in for its analysis."""


class Verifier:
    """Verifies worklists of one workspace for one deck."""

    def __init__(
        self, workspace: Workspace, catalogue: Catalogue, deck: BenchDeck | None, vendor: VendorClient
    ) -> None:
        self._workspace = workspace
        self._catalogue = catalogue
        self._deck = deck
        self._vendor = vendor

    async def verify(self, worklist: Worklist) -> Verdict:
        """Check a worklist in all three ways; a check that could not be made counts as failed."""
        protocols = self._workspace.protocols
        model = _SIMULATED.get(worklist.robot)
        verdict = await verify(
            worklist,
            self._catalogue,
            self._deck,
            analyse=self.analyse,
            track=self._track,
            simulate=(lambda one: self._simulate(one, model)) if model else None,
        )
        if not takes_protocol(worklist):
            return verdict
        try:
            path = protocol_path(protocols, worklist)
            told = {"protocol": protocol_name(protocols, path), "protocol_sha256": sha256_of(path)}
        except WorkspaceError:  # the analysis has failed for the same reason and says so
            return verdict
        return _reviewed(verdict, protocols, path).model_copy(update=told)

    async def analyse(self, worklist: Worklist) -> Analysis:
        """Opentrons' analysis of the procedure's protocol with this worklist.

        Raises:
            WorkspaceError: the workspace has no protocol for the procedure.
            VendorError: the vendor environment could not do it.
        """
        protocol = protocol_path(self._workspace.protocols, worklist)
        ours = dict.fromkeys(item.load_name for item in worklist.deck if item.namespace != "opentrons")
        definitions = [found for name in ours if (found := self._catalogue.definition(name)) is not None]
        return await self._vendor.analyse(protocol, csv=to_csv(worklist), labware=definitions, values={})

    async def _simulate(self, worklist: Worklist, model: str) -> CheckResult:
        from nkloop.drivers.pylabrobot.simulation import check_simulation

        return await check_simulation(worklist, self._catalogue, model, self._deck)

    def _track(self, worklist: Worklist) -> CheckResult:
        # PyLabRobot takes most of a second to import and is needed for this check only.
        from nkloop.drivers.pylabrobot.tracking import check_tracking

        return check_tracking(worklist, self._catalogue)


def _reviewed(verdict: Verdict, protocols: Path, path: Path) -> Verdict:
    """The verdict with a warning beside the analysis where the protocol is not the file that was listed."""
    try:
        _, problems = review_of(protocols, path)
    except WorklistError as error:  # a register that cannot be read lists nothing
        problems = error.problems
    warnings = tuple(
        asdict(replace(one, message=f"{one.message}, so `nkloop check` refuses it; plans and runs do not"))
        for one in problems
    )
    checks = tuple(
        one.model_copy(update={"warnings": (*one.warnings, *warnings)}) if one.check == _ANALYSIS else one
        for one in verdict.checks
    )
    return verdict.model_copy(update={"checks": checks})
