"""Planning and ledger verification of long worklists: seconds for 10,000 transfers, and how they grow to 100,000.

Processor time is told, so that a busy machine changes the figures little; planning uses one core.
"""

from __future__ import annotations

from pathlib import Path

from nkloop.drivers.bench import load_bench_file
from nkloop.labware import Catalogue
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import Supply, WorklistBuilder
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import Liquid, Worklist
from nkloop.worklists.uncertainty import predict
from nkloop.workspace import Workspace
from stopwatch import processor_seconds, show_budget, show_machine

SIZES = (1_000, 10_000, 30_000, 100_000)
BUDGET_S = 2.0
"""For 10,000 transfers, planned and verified by the ledger."""
DOSE_UL = 5.0
PLATE, TROUGH = "nest_96_wellplate_2ml_deep", "nest_1_reservoir_195ml"
N_PLATES, N_TROUGHS = 4, 3


def main() -> None:
    """Print, per number of transfers, the times of planning with verification and of predicting every error."""
    show_machine()
    workspace = Workspace.find(Path(__file__))
    catalogue = Catalogue.load(workspace.labware)
    deck = load_bench_file(workspace.devices / "virtual.yaml").deck
    per_transfer = {}
    for size in SIZES:
        made: list[Worklist] = []
        took = processor_seconds(lambda size=size, made=made: made.append(planned(size, deck, catalogue)))  # type: ignore[misc]
        again = processor_seconds(lambda made=made: check_ledger(made[0], catalogue, deck))  # type: ignore[misc]
        errors = processor_seconds(lambda made=made: predict(made[0], catalogue, deck))  # type: ignore[misc]
        per_transfer[size] = took / size
        print(
            f"{size:7,} transfers: planned and verified in {took:.2f} s ({1e6 * took / size:.0f} µs each), verified "
            f"again in {again:.2f} s, errors of every well predicted in {errors:.2f} s"
        )
        if size == 10_000:
            show_budget("planning and ledger verification of 10,000 transfers", took, BUDGET_S)
    growth = per_transfer[100_000] / per_transfer[10_000]
    print(f"a transfer of 100,000 takes {growth:.2f} times as long as one of 10,000 (1 is linear growth)")


def planned(size: int, deck: BenchDeck, catalogue: Catalogue) -> Worklist:
    """Doses of one liquid, dropped into the wells of four plates in turn, laid out and verified by the builder."""
    builder = WorklistBuilder(f"{size} transfers", "medium_preparation", deck, catalogue)
    troughs: list[Supply] = []
    for number in range(1, N_TROUGHS + 1):
        builder.place(f"stock_{number}", TROUGH, f"Stock {number}")
        liquid = Liquid(name="stock", per_ul={"stock": 1.0}, lot="LOT-1")
        troughs.append(builder.supply(f"stock_{number}", ("A1",), liquid))
    spots = []
    for number in range(1, N_PLATES + 1):
        kind = builder.place(f"plate_{number}", PLATE, f"Plate {number}")
        spots += [(f"plate_{number}", well) for well in kind.wells]
    per_trough = int(troughs[0].capacity_ul / DOSE_UL)
    for index in range(size):
        spot, trough = spots[index % len(spots)], troughs[index // per_trough]
        builder.transfer(trough, spot, DOSE_UL, fresh=index == 0, at_rim=True)
    return builder.build()


if __name__ == "__main__":
    main()
