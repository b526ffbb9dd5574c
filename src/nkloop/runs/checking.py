"""Checking a workspace for CI and for people: recipes, benches, labware, protocols with their example worklists."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from nkloop.assays.methods import load_method
from nkloop.assays.panel import load_line_stock
from nkloop.drivers.bench import load_bench_file
from nkloop.errors import LabwareError, NkloopError, Problem, WorklistError, WorkspaceError
from nkloop.labware import Catalogue, check_geometry
from nkloop.labware.bags import FILE as BAGS
from nkloop.labware.bags import BagCatalogue
from nkloop.recipes import load_recipe
from nkloop.recipes.files import twin_problems
from nkloop.runs.benches.files import bench_problems
from nkloop.runs.lot_files import load_lots
from nkloop.runs.lot_names import misspelt_components
from nkloop.runs.maker_labware import maker_problems
from nkloop.runs.session import bench_path
from nkloop.runs.verification import Verifier
from nkloop.vendor import VendorClient
from nkloop.worklists import rules
from nkloop.worklists.csv_format import from_csv
from nkloop.worklists.interpreter_block import check_protocols_in_sync
from nkloop.worklists.models import Procedure, Worklist
from nkloop.worklists.procedure_check import procedure_problems
from nkloop.worklists.protocol_files import review_of
from nkloop.workspace import Workspace

PROCEDURES: tuple[str, ...] = get_args(Procedure)


@dataclass(frozen=True)
class CheckedItem:
    """One file of the workspace and what the checks say of it."""

    kind: str
    """`recipe`, `bench`, `lots`, `lines`, `method`, `labware`, `protocol` or `worklist`."""
    path: Path
    checks: tuple[str, ...]
    """Names of the checks that were made."""
    problems: tuple[Problem, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """True when at least one check was made and none found a problem."""
        return bool(self.checks) and not self.problems


Check = Callable[[], Awaitable[tuple[tuple[str, ...], tuple[Problem, ...]]]]


class WorkspaceCheck:
    """Checks the files of one workspace; several worklists are checked at once."""

    def __init__(self, workspace: Workspace, vendor: VendorClient, bench: str = "virtual") -> None:
        """`bench` is the one the example worklists are checked against.

        Raises:
            NkloopError: the bench file is wrong, so that nothing else can be checked.
        """
        self._workspace = workspace
        self._vendor = vendor
        self._catalogue, self._faults = _catalogue_of(workspace.labware)
        self._deck = load_bench_file(bench_path(workspace, bench)).deck
        self._verifiers: dict[str, Verifier] = {}

    def files(self, paths: Sequence[Path] = ()) -> list[Path]:
        """Files to check: all of the workspace, or those named (folders are searched).

        Raises:
            WorkspaceError: a path does not exist or is no file of a kind that can be checked.
        """
        space = self._workspace
        folders = [space.recipes, space.devices, space.labware, space.protocols]
        folders += [space.methods] if space.methods.is_dir() else []
        wanted: list[Path] = []
        for path in paths or folders:
            if not path.exists():
                raise WorkspaceError(f"there is no {path}", remedy="name a file or folder of the workspace")
            found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            known = [p for p in found if self._kind(p)]
            if path.is_file() and not known:
                raise WorkspaceError(
                    f"{path.name} is not a recipe, bench, lot list, cell lines, method, labware, protocol or worklist",
                    where=str(path),
                    remedy="worklists are named <procedure>.<anything>.csv, for example cytokine_dosing.monday.csv",
                )
            wanted += known
        return list(dict.fromkeys(wanted))

    async def run(self, files: Sequence[Path]) -> AsyncIterator[CheckedItem]:
        """Check the files; items come in the order of `files`."""
        tasks = [asyncio.create_task(self._item(path)) for path in files]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _kind(self, path: Path) -> str:
        if "__pycache__" in path.parts:
            return ""
        parent = path.parent.name
        kinds = {
            ("recipes", ".yaml"): "recipe",
            ("devices", ".yaml"): "bench",
            ("lots", ".yaml"): "lots",
            ("lots", ".csv"): "lots",
            ("lots", ".xlsx"): "lots",
            ("lines", ".yaml"): "lines",
            ("methods", ".yaml"): "method",
            ("labware", ".json"): "labware",
            ("labware", ".yaml"): "labware",
            ("protocols", ".py"): "protocol",
            ("ot2", ".py"): "protocol",
        }
        if path.suffix == ".csv" and _procedure_of(path):
            return "worklist"
        if path.suffix == ".yaml" and (parent, ".yaml") not in kinds and parent != "protocols":
            return "recipe"
        return kinds.get((parent, path.suffix), "")

    async def _item(self, path: Path) -> CheckedItem:
        kind = self._kind(path)
        check = {
            "recipe": self._recipe,
            "bench": self._bench,
            "lots": self._lots,
            "lines": self._lines,
            "method": self._method,
            "labware": self._labware,
            "protocol": self._protocol,
            "worklist": self._worklist,
        }[kind]
        started = time.perf_counter()
        try:
            checks, problems = await check(path)
        except NkloopError as error:
            checks, problems = ("read",), error.problems
        except (OSError, UnicodeError) as error:  # one file that cannot be read must not hide what is wrong in others
            remedy = "make it readable and save it as UTF-8"
            checks, problems = ("read",), (Problem(f"cannot be read: {error}", str(path), remedy),)
        return CheckedItem(kind, path, checks, problems, time.perf_counter() - started)

    async def _recipe(self, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        recipe = load_recipe(path)
        return ("schema", "cross-references", "plausible ranges", "id"), twin_problems(path, recipe)

    async def _bench(self, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        load_bench_file(path)
        return ("schema", "drivers, lots, cell lines, shared locks"), bench_problems(path)

    async def _lots(self, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        return ("schema", "names of components"), misspelt_components(load_lots(path), path, self._workspace)

    async def _lines(self, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        load_line_stock(path)
        return ("schema", "lines of the panel"), ()

    async def _method(self, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        load_method(path)
        return ("schema", "controls of the formula"), ()

    async def _labware(self, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        if path.name == BAGS:
            BagCatalogue.load(path.parent)
            return ("schema",), ()
        if path.suffix == ".yaml":
            ours = path.parent.resolve() == self._workspace.labware.resolve()
            catalogue, faults = (self._catalogue, self._faults) if ours else _catalogue_of(path.parent)
            if catalogue is None:
                return ("read",), faults
            return ("catalogue", "maker's definitions"), await maker_problems(catalogue, path, self._vendor)
        if self._catalogue is None:
            own = tuple(one for one in self._faults if path.name in one.where)
            return ("geometry", "Opentrons schema"), own or await self._judged(_definition(path), path)
        definition = self._catalogue.definition(path.stem)
        if definition is None:
            remedy = f"add {path.stem} to {path.parent / 'catalogue.yaml'}"
            return ("catalogue",), (Problem("the catalogue does not list this labware", str(path), remedy),)
        return ("geometry", "Opentrons schema", "catalogue"), await self._judged(definition, path)

    async def _judged(self, definition: dict[str, Any], path: Path) -> tuple[Problem, ...]:
        found = (*check_geometry(definition), *await self._vendor.validate_labware(definition))
        return tuple(replace(_in_file(p, path), rule=p.rule or rules.GEOMETRY) for p in found)

    async def _protocol(self, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        problems = list(_out_of_sync(path))
        example = path.with_suffix(".example.csv")
        if not example.is_file():
            problems.append(Problem("no example worklist lies beside it", str(path), f"add {example.name}"))
        review, found = _reviewed(path)
        return ("interpreter block", "example present", review), (*problems, *found)

    async def _worklist(self, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        try:
            worklist = _read_worklist(path)
        except NkloopError as error:
            return ("read",), tuple(_in_file(p, path) for p in error.problems)
        misnamed = tuple(_in_file(p, path) for p in procedure_problems(worklist))
        if misnamed:
            return ("read",), misnamed
        return await self._verified(worklist, path)

    async def _verified(self, worklist: Worklist, path: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        if self._catalogue is None:
            told = "cannot be verified while the labware of the workspace is wrong"
            return ("read",), (*self._faults, Problem(told, str(path), "mend the labware first"))
        verifier = self._verifier_for(worklist, self._catalogue)
        if verifier is None:
            told = f"it is made for the {worklist.robot}, and no bench of the workspace has one"
            return ("bench",), (Problem(told, str(path), "add a bench file to devices/"),)
        verdict = await verifier.verify(worklist)
        problems = tuple(
            _in_file(Problem(f"{check.check}: {p['message']}", p["where"], p["remedy"], p["rule"]), path)
            for check in verdict.checks
            for p in check.problems
        )
        return tuple(check.check for check in verdict.checks), problems

    def _verifier_for(self, worklist: Worklist, catalogue: Catalogue) -> Verifier | None:
        """Against the bench asked for, or the first of the workspace that has the worklist's robot."""
        if worklist.robot not in self._verifiers:
            decks = (load_bench_file(path).deck for path in sorted(self._workspace.devices.glob("*.yaml")))
            fits = self._deck.model == worklist.robot
            deck = self._deck if fits else next((one for one in decks if one.model == worklist.robot), None)
            if deck is None:
                return None
            self._verifiers[worklist.robot] = Verifier(self._workspace, catalogue, deck, self._vendor)
        return self._verifiers[worklist.robot]


def _catalogue_of(folder: Path) -> tuple[Catalogue | None, tuple[Problem, ...]]:
    """The labware of a workspace, or what is wrong with it: that must not hide what is wrong elsewhere."""
    try:
        return Catalogue.load(folder), ()
    except LabwareError as error:
        # one problem is told alike for the file itself and for the catalogue that lists it
        return None, tuple(replace(one, rule=rules.GEOMETRY) if ".json" in one.where else one for one in error.problems)


def _definition(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        remedy = "mend the labware definition"
        raise LabwareError(f"not readable as JSON: {error}", where=str(path), remedy=remedy) from error


def _reviewed(path: Path) -> tuple[str, tuple[Problem, ...]]:
    """What the register of the folder says of a protocol file."""
    folder = path.parent.parent if path.parent.name == "ot2" else path.parent
    return review_of(folder, path)


def _in_file(problem: Problem, path: Path) -> Problem:
    return replace(problem, where=f"{path}: {problem.where}".rstrip(": "))


def _out_of_sync(path: Path) -> tuple[Problem, ...]:
    path.read_text(encoding="utf-8")  # its own fault ends here, that of another protocol below
    try:
        return tuple(p for p in check_protocols_in_sync(path.parent) if path.name in p.where)
    except (OSError, UnicodeError):
        reason = "its interpreter block cannot be compared, another protocol cannot be read"
        return (Problem(reason, str(path), "mend the other protocol"),)


def _procedure_of(path: Path) -> str:
    """Procedure a worklist file is named after, empty when it is none."""
    return next((name for name in PROCEDURES if path.name.startswith(f"{name}.")), "")


def _read_worklist(path: Path) -> Worklist:
    procedure = cast(Procedure, _procedure_of(path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorklistError.from_problems(
            [Problem(f"cannot be read: {error}", "", "save it as CSV in UTF-8", rules.CSV_SHAPE)]
        ) from error
    return from_csv(text, name=path.stem, procedure=procedure)
