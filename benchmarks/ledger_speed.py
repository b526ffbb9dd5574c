"""The contents ledger against a warm Opentrons analysis of the same worklist: what a check on every change costs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nkloop.drivers.bench import load_bench_file
from nkloop.labware import Catalogue
from nkloop.runs.verification import Verifier
from nkloop.vendor import VendorClient
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import Procedure, Worklist
from nkloop.workspace import Workspace
from stopwatch import seconds, seconds_async, show_machine, show_ratio

PROCEDURES: tuple[Procedure, ...] = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
REPEATS = 3
LEDGER_REPEATS = 60
"""As many as fill about the time of one analysis, so that both have their chance of an undisturbed run."""


def main() -> None:
    """Print, per example worklist, the best of several runs of both, and their ratio."""
    show_machine()
    asyncio.run(_compare(Workspace.find(Path(__file__))))


async def _compare(workspace: Workspace) -> None:
    catalogue = Catalogue.load(workspace.labware)
    deck = load_bench_file(workspace.devices / "virtual.yaml").deck
    async with VendorClient() as vendor:
        verifier = Verifier(workspace, catalogue, deck, vendor)
        for worklist in [_example(workspace, procedure) for procedure in PROCEDURES]:
            await verifier.analyse(worklist)  # the first one warms the worker up
            analysis = min([await seconds_async(verifier.analyse(worklist)) for _ in range(REPEATS)])
            ledger = min(_ledger_seconds(worklist, catalogue, deck) for _ in range(LEDGER_REPEATS))
            print(f"{worklist.name}: {len(worklist.steps)} steps, analysis {analysis:.3f} s, ledger {ledger:.4f} s")
            show_ratio("  ledger", analysis, ledger)


def _ledger_seconds(worklist: Worklist, catalogue: Catalogue, deck: BenchDeck) -> float:
    return seconds(lambda: check_ledger(worklist, catalogue, deck))


def _example(workspace: Workspace, procedure: Procedure) -> Worklist:
    path = workspace.protocols / f"{procedure}.example.csv"
    return from_csv(path.read_text(encoding="utf-8"), name=path.stem, procedure=procedure)


if __name__ == "__main__":
    main()
