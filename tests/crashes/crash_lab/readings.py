"""`kill -9` of a flow that reads a plate on the deck of a Flex, and of the robot: `python -m crash_lab.readings`.

One line of JSON per crash. Afterwards the plate is read exactly once as far as anybody can know, its reading is what
the reader saw, and the journal contradicts nothing that lid, reader and plate did.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from crash_lab.director import Director, print_reports, staged
from crash_lab.flow import WORK, FlowTask, Unready, bench_at
from crash_lab.judge_readings import judge_readings
from crash_lab.places import Places
from crash_lab.plan import FLOW, ROBOT, Crash, storm
from crash_lab.procedures import NO_ANALYSIS, ROOT, Lab, Procedure
from crash_lab.reality import PhysicalTrigger
from crash_lab.scene import Scene
from crash_lab.stage import warmed
from crash_lab.triggers import Trigger
from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.bench import load_bench_file, open_bench
from nkloop.drivers.bench_file import BenchFile
from nkloop.drivers.interfaces import ReadsInRuns
from nkloop.errors import StepUnknownError
from nkloop.inventory import Inventory
from nkloop.labware import Catalogue
from nkloop.runs.deciding import decide
from nkloop.runs.holding import device_held, devices_of
from nkloop.runs.on_deck import reading_bench
from nkloop.runs.reading import read_plate
from nkloop.runs.reconcile import clear_the_way
from nkloop.runs.recovery import recover
from nkloop.runs.session import Session
from nkloop.vendor import answers_folder
from nkloop.virtual.world import World
from nkloop.worklists.models import PLATE_READING, CheckResult, DeckItem, Verdict, Worklist
from nkloop.workspace import Workspace

PLATE = DeckItem(nickname="plate", slot="C2", load_name="corning_96_wellplate_360ul_flat", barcode="P-1")
REQUEST = ReadRequest(
    barcode="P-1", load_name=PLATE.load_name, mode="absorbance", wavelength_nm=450, reference_wavelength_nm=650
)

MEASURED = 16
"""Number of the command that measures the plate; behind it the last step is announced, and the lid opened."""
FIRST = (
    Crash(0, PLATE_READING, FLOW, Trigger(FLOW, "request", "POST /runs/*/actions", 2, "after")),
    Crash(1, PLATE_READING, ROBOT, physical=PhysicalTrigger(ROBOT, MEASURED, "after")),
    Crash(2, PLATE_READING, ROBOT, Trigger(ROBOT, "request", "GET /dataFiles/*", 2, "before")),
)


@dataclass(frozen=True)
class ReadingLab(Lab):
    """A lab whose plate stands beside the reader."""

    def world(self, procedure: Procedure, seed: int) -> World:
        """The world before the plate is read."""
        world = World(self.catalogue, (), procedure.bench.deck, seed)
        world.place(PLATE, "P-1")
        return world


class ReadingScene(Scene):
    """A scene in which a plate is read."""

    run_work, take_up_work, last_work = "read", "read again", "read again"

    def judged(self) -> list[str]:
        """What is not as it must be."""
        return judge_readings(self.places, REQUEST.barcode)


async def read(session: Session, places: Places, task: FlowTask, procedure: Procedure) -> None:
    """Read the plate once, as the flow of a killing assay does."""
    await recover(session)
    await read_plate(session.bench, REQUEST, session.records)


async def read_again(session: Session, places: Places, task: FlowTask, procedure: Procedure) -> None:
    """What a user does after a crash: reconcile, say that reader and lid are put right, read what was not read.

    Raises:
        Unready: a run of unknown outcome did not stop the next one, or the next one could not begin.
    """
    bench, records = session.bench, session.records
    await recover(session)
    for run in records.decisions.undecided(devices_of(bench)):
        with suppress(StepUnknownError):
            await clear_the_way(procedure.worklist, bench, records)
            raise Unready(f"{run.id} waits for a decision and the next run could begin all the same")
        await decide(
            run.id, "continue", by="crash lab", reason="lid and plate were put right", at=await bench.clock.now(),
            records=records, catalogue=session.catalogue, deck=session.bench_file.deck, verify=session.verifier.verify,
        )  # fmt: skip
    if not records.results.readings():
        await read_plate(bench, REQUEST, records)
    async with device_held(bench, records, "the next run"):
        await clear_the_way(procedure.worklist, bench, records)
        wrong = [
            found for found in await reading_bench(bench).liquid_handler.preflight(procedure.worklist) if not found.ok
        ]
    if wrong:
        raise Unready(f"the next run could not begin: {wrong[0].subject}: {wrong[0].found}")


WORK |= {"read": read, "read again": read_again}


def reading_lab(analyses: Path) -> Lab:
    """The shipped Flex with its reader, with people and clock of the virtual bench."""
    workspace = Workspace.find(ROOT)
    bench, catalogue = _bench(workspace), Catalogue.load(workspace.labware)
    worklist = _worklist(bench, workspace)
    verdict = Verdict(
        worklist=worklist.name,
        worklist_hash=worklist.content_hash,
        checks=(CheckResult(check="schema", passed=True, seconds=0),),
    )
    procedure = Procedure(PLATE_READING, bench, worklist, verdict, NO_ANALYSIS)
    inventory = Inventory.load(workspace.devices / "lots" / "virtual.yaml")
    return warmed(
        ReadingLab(
            workspace, catalogue, inventory.model_copy(update={"lots": ()}), {PLATE_READING: procedure}, analyses
        )
    )


def _bench(workspace: Workspace) -> BenchFile:
    flex, virtual = (load_bench_file(workspace.devices / f"{name}.yaml") for name in ("flex_byonoy", "virtual"))
    quick = {
        name: spec.model_copy(update={"settings": {**spec.settings, "poll_seconds": 0.03}})
        for name, spec in (("liquid_handler", flex.liquid_handler), ("plate_reader", flex.plate_reader))
    }
    others = {name: getattr(virtual, name) for name in ("cell_counter", "operator", "clock")}
    return flex.model_copy(update={"simulated": True, **quick, **others})


def _worklist(bench: BenchFile, workspace: Workspace) -> Worklist:
    here = "http://127.0.0.1:1"
    reader = open_bench(bench_at(bench, here, here), workspace).plate_reader
    assert isinstance(reader, ReadsInRuns)
    return reader.worklist(REQUEST)


def crashes(director: Director, n: int, seed: int) -> list[Crash]:
    """A flow killed while the plate is measured, a robot right after it was and while its files are copied; then as for
    every procedure."""
    if n <= len(FIRST):
        return list(FIRST[:n])
    later = storm({PLATE_READING: director.course(PLATE_READING)}, n - len(FIRST), seed)
    return [*FIRST, *(replace(crash, number=crash.number + len(FIRST)) for crash in later)]


def main() -> int:
    """Print one report per crash; exit code 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m crash_lab.readings", description=__doc__)
    parser.add_argument("--crashes", type=int, default=12)
    parser.add_argument("--beside", type=int, default=1, help="so many crashes beside each other")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where crashes leave their files; those that went wrong stay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        director = Director(reading_lab(answers_folder() or folder / "analyses"), folder, scenes={FLOW: ReadingScene})
        return print_reports(staged(director, crashes(director, given.crashes, given.seed), given.beside))


if __name__ == "__main__":
    raise SystemExit(main())
