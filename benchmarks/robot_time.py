"""Robot time as planned against the same work counted command by command, and against what the virtual robot takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nkloop.drivers.bench import load_bench_file
from nkloop.labware import Catalogue
from nkloop.runs.verification import Verifier
from nkloop.vendor import VendorClient
from nkloop.virtual.robot.durations import duration
from nkloop.worklists.bench_deck import BenchDeck, RobotSpeeds
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.duration import estimate_minutes
from nkloop.worklists.models import Procedure
from nkloop.workspace import Workspace
from stopwatch import show_machine

PROCEDURES: tuple[Procedure, ...] = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
BENCHES = {"": "virtual", "ot2": "ot2_spectramax"}
Command = Mapping[str, Any]


def main() -> None:
    """Print, per shipped example, minutes in the three ways and their ratios."""
    show_machine()
    asyncio.run(_compare(Workspace.find(Path(__file__))))


async def _compare(workspace: Workspace) -> None:
    catalogue = Catalogue.load(workspace.labware)
    async with VendorClient() as vendor:
        for folder, bench in BENCHES.items():
            deck = load_bench_file(workspace.devices / f"{bench}.yaml").deck
            verifier = Verifier(workspace, catalogue, deck, vendor)
            for procedure in PROCEDURES:
                path = workspace.protocols / folder / f"{procedure}.example.csv"
                worklist = from_csv(path.read_text(encoding="utf-8"), name=procedure, procedure=procedure)
                commands = (await verifier.analyse(worklist)).commands
                _show(f"{deck.model} {procedure}", estimate_minutes(worklist, deck), commands, deck)


def _show(name: str, estimate: float, commands: Iterable[Command], deck: BenchDeck) -> None:
    seen = list(commands)
    counted = counted_minutes(seen, deck)
    virtual = virtual_minutes(seen)
    print(
        f"{name}: estimate {estimate:.1f} min; commands {counted:.1f} min, ratio {estimate / counted:.2f}; "
        f"virtual robot {virtual:.1f} min, ratio {estimate / virtual:.2f}"
    )


def virtual_minutes(commands: Iterable[Command]) -> float:
    """What the virtual robot takes for analysed commands."""
    return sum(duration(dict(command)) for command in commands) / 60


def counted_minutes(commands: Iterable[Command], deck: BenchDeck) -> float:
    """Motions of the analysed commands at the bench's speeds; a draw where the tip already stands needs no way."""
    speeds, total, at = deck.speeds, deck.speeds.start_s, dict[str, tuple[str, str]]()
    for command in commands:
        kind, params = command["commandType"], command["params"]
        if kind in {"aspirate", "dispense"}:
            place = (params["labwareId"], params["wellName"])
            total += (speeds.travel_s if at.get(params["pipetteId"]) != place else 0.0) + (
                params["volume"] / params["flowRate"]
            )
            at[params["pipetteId"]] = place
        elif kind in {"pickUpTip", "dropTipInPlace"}:
            at.pop(params["pipetteId"], None)
            total += speeds.pick_up_s if kind == "pickUpTip" else speeds.drop_s
        else:
            total += _other_seconds(kind, params, speeds)
    return total / 60


def _other_seconds(kind: str, params: Mapping[str, Any], speeds: RobotSpeeds) -> float:
    if kind == "waitForDuration":
        return float(params["seconds"])
    waits = {
        "temperatureModule/waitForTemperature": speeds.temperature_s.get("temperatureModuleV2", 0.0),
        "heaterShaker/waitForTemperature": speeds.temperature_s.get("heaterShakerModuleV1", 0.0),
        "heaterShaker/setAndWaitForShakeSpeed": speeds.shaker_s,
    }
    return waits.get(kind, 0.0)


if __name__ == "__main__":
    main()
