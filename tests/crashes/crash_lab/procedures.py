"""The shipped procedures with small but real worklists, analysed once, and the world each of them finds."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nkloop.drivers.bench import load_bench_file
from nkloop.drivers.bench_file import BenchFile
from nkloop.inventory import Inventory, Lot
from nkloop.labware import Catalogue
from nkloop.quantities import Amount
from nkloop.runs.verification import Verifier
from nkloop.vendor import VendorClient
from nkloop.virtual.containers import Contents
from nkloop.virtual.world import World
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.models import PLATE_READING, CheckResult, DeckItem, Target, Verdict, Worklist
from nkloop.worklists.protocol_files import protocol_name, protocol_path, sha256_of
from nkloop.workspace import Workspace

ROOT = Path(__file__).resolve().parents[3]
BENCHES = {"": "virtual", " on an OT-2": "virtual_ot2"}
"""What the name of a procedure ends with, and the bench it is planned for."""
KINDS = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
NAMES = tuple(f"{kind}{ending}" for ending in BENCHES for kind in KINDS)
STAR = " on a STAR"
STAR_BASE = "50 mL"
"""Base medium of the dosing on a STAR: of the 20 mL of the others no dilution is accurate enough for its channels."""
_CONTAINERS = 20
_SPARE = 1.5
"""Cultures hold this much more than is harvested."""
HARVESTED_PLATE = "corning_24_wellplate_3.4ml_flat"
HARVESTED_CELLS = 1e7


class _NoAnalysis:
    """What a device that takes no protocol file has instead of an analysis."""

    is_ok, commands, errors = True, (), ()


NO_ANALYSIS = _NoAnalysis()


@dataclass(frozen=True)
class Procedure:
    """One worklist, ready to run."""

    name: str
    bench: BenchFile
    worklist: Worklist
    verdict: Verdict
    analysis: Any

    @property
    def planned(self) -> dict[int, Counter[str]]:
        """Ids of the analysed commands of every step."""
        found: dict[int, Counter[str]] = {}
        step = 0
        for command in self.analysis.commands:
            message = str((command.get("params") or {}).get("message") or "")
            if message.startswith("step "):
                step = int(message[5 : message.index(":")])
            found.setdefault(step, Counter())[command["id"]] += 1
        return found


@dataclass(frozen=True)
class Lab:
    """Everything that is the same for every crash."""

    workspace: Workspace
    catalogue: Catalogue
    inventory: Inventory
    """Lots the worklists use."""
    procedures: Mapping[str, Procedure]
    analyses: Path
    """Folder of analyses."""
    analyst: str = ""
    """Address of whoever makes analyses."""
    analyst_pid: int = 0

    def world(self, procedure: Procedure, seed: int) -> World:
        """The world before the procedure: what earlier procedures left stands ready."""
        world = World(self.catalogue, self.inventory.lots, procedure.bench.deck, seed)
        for filling in procedure.worklist.fillings:
            prefix, _, rest = (filling.liquid.lot or "").partition(":")
            if prefix in {"prepared", "harvest"}:
                barcode, _, well = rest.rpartition(":")
                kinds = {item.barcode: item.load_name for item in procedure.worklist.deck}
                load_name = kinds.get(barcode, HARVESTED_PLATE)
                _leave(world, (barcode, well, load_name), filling.volume_ul, dict(filling.liquid.per_ul))
        return world


def _leave(world: World, where: tuple[str, str, str], volume_ul: float, per_ul: dict[str, float]) -> None:
    """Put an earlier container (barcode, well, load name) with what the plan believes it to hold where it is kept."""
    barcode, well, load_name = where
    item = DeckItem(nickname="earlier", slot="D4", load_name=load_name, barcode=barcode)
    container = world.containers.get(barcode) or world.place(item, barcode)
    cells = any(":" in name for name in per_ul)
    held = min(container.capacity_ul, volume_ul * (_SPARE if cells else 1.0))
    contents = Contents(held, {name: share * held for name, share in per_ul.items() if ":" not in name})
    if cells:
        contents.amounts["nk:U1"] = HARVESTED_CELLS
    container.well(well, world.clock.seconds).add(contents)
    world.deck.pop(item.slot, None)
    world.store(container, None)


async def prepare_lab(
    analyses: Path, first_steps: int | None = None, names: Sequence[str] = NAMES, whole_up_to: int = 0
) -> Lab:
    """Plan and analyse the worklists, or the first steps of those that have more than `whole_up_to`.

    `analyses` keeps the analyses for the next time.
    """
    examples = _examples()
    workspace = Workspace.find(ROOT)
    catalogue = Catalogue.load(workspace.labware)
    inventory = Inventory.load(workspace.devices / "lots" / "virtual.yaml")
    examples.BENCHES.update({bench: bench for bench in (*BENCHES.values(), "star_cytation")})
    procedures = {}
    async with VendorClient(cache=analyses) as vendor:
        for name in names:
            kind, space, rest = name.partition(" ")
            is_star = space + rest == STAR
            bench = simulated_star(workspace) if is_star else _bench(workspace, BENCHES[space + rest])
            verifier = Verifier(workspace, catalogue, bench.deck, vendor)
            more = {"base_volume": STAR_BASE} if is_star and kind == "cytokine_dosing" else {}
            planned: Worklist = examples.EXAMPLES[kind](bench.name, **more)
            is_whole = first_steps is None or len(planned.steps) <= whole_up_to
            worklist = planned if is_whole else _shortened(planned, first_steps or 0, catalogue, bench.deck)
            analysis = NO_ANALYSIS if is_star else await verifier.analyse(worklist)
            assert analysis.is_ok, analysis.errors
            procedures[name] = Procedure(name, bench, worklist, _verdict(workspace, worklist), analysis)
    used = {filling.liquid.lot for one in procedures.values() for filling in one.worklist.fillings}
    lots = tuple(_first_containers(lot) for lot in inventory.lots if lot.id in used)
    return Lab(workspace, catalogue, inventory.model_copy(update={"lots": lots}), procedures, analyses)


def _bench(workspace: Workspace, name: str) -> BenchFile:
    return load_bench_file(workspace.devices / f"{name}.yaml")


def simulated_star(workspace: Workspace) -> BenchFile:
    """The shipped STAR on PyLabRobot's simulator, with people, reader and clock of the virtual bench."""
    star, virtual = _bench(workspace, "star_cytation"), _bench(workspace, "virtual")
    settings = {**star.liquid_handler.settings, "simulated": True, "poll_seconds": 0.005}
    handler = star.liquid_handler.model_copy(update={"settings": settings})
    others = {name: getattr(virtual, name) for name in ("plate_reader", "cell_counter", "operator", "clock")}
    return star.model_copy(update={"simulated": True, "liquid_handler": handler, "lots": virtual.lots, **others})


def _shortened(planned: Worklist, n: int, catalogue: Catalogue, deck: BenchDeck) -> Worklist:
    """The first steps; every well they give to shall hold what it holds after them."""
    short = planned.model_copy(update={"steps": planned.steps[:n], "targets": (), "ends": ()})
    given = {(step.to_labware, step.to_well) for step in short.steps if step.action == "transfer"}
    targets = tuple(
        Target(labware=nickname, well=well, component=component, per_ul=per_ul)
        for nickname, well, held in follow(short, catalogue, deck).wells()
        for component, per_ul in held.per_ul.items()
        if (nickname, well) in given and per_ul > 0
    )
    return short.model_copy(update={"targets": targets})


def _first_containers(lot: Lot) -> Lot:
    """The lot with some of its containers: hundreds of vials make every look at the stock slow."""
    kept = lot.containers[:_CONTAINERS]
    if len(kept) == len(lot.containers):
        return lot
    total = Amount(sum(one.volume.canonical for one in kept), "µL")
    return lot.model_copy(update={"containers": kept, "volume": total})


def known_analyses(lab: Lab) -> dict[str, Any]:
    """Analysis by the text of its worklist."""
    written = [one for one in lab.procedures.values() if one.worklist.procedure != PLATE_READING]  # which has no CSV
    return {to_csv(one.worklist): one.analysis for one in written}


def _verdict(workspace: Workspace, worklist: Worklist) -> Verdict:
    """A passed verdict; that the shipped examples pass is tested elsewhere."""
    told: dict[str, str] = {}
    if worklist.robot in {"flex", "ot2"}:
        path = protocol_path(workspace.protocols, worklist)
        told = {"protocol": protocol_name(workspace.protocols, path), "protocol_sha256": sha256_of(path)}
    return Verdict(
        worklist=worklist.name,
        worklist_hash=worklist.content_hash,
        checks=(CheckResult(check="ledger", passed=True, seconds=0),),
        **told,
    )


def _examples() -> Any:
    path = ROOT / "tests" / "protocols" / "make_examples.py"
    spec = importlib.util.spec_from_file_location("make_examples", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
