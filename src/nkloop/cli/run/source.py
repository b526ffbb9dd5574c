"""What `nkloop run` is asked to run: a file, a recorded worklist, or what a decision left to be done."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from nkloop.cli.common import plan_beside
from nkloop.errors import RecordError, WorklistError
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import Procedure, Worklist
from nkloop.worklists.parts import Part, in_order

if TYPE_CHECKING:
    from nkloop.records import Records
    from nkloop.records.models import Context

_RUN = re.compile(r"run-\d{4,}")
_HASH = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True)
class BaseMedium:
    """The base medium that a plan takes, made by a plan of its own."""

    barcode: str
    command: str
    """Plans it, with the barcode and the container that the dose takes it from."""


@dataclass(frozen=True)
class Source:
    """Worklists in the order they are run, and what they belong to."""

    parts: tuple[Part, ...]
    context: Context
    told: str
    """Where they come from, in a few words."""
    base: BaseMedium | None = None


def source_of(asked: str, procedure: str, records: Records, bench: str, plan: Path | None = None) -> Source:
    """Find what a person named.

    Args:
        asked: file, run, or hash of a recorded worklist.
        procedure: of a CSV whose name does not tell it; empty otherwise.
        records: of the workspace.
        bench: whose stock a plan may have reserved; tells the procedure of a CSV that plan wrote.
        plan: JSON of the plan that a CSV was written by, which knows its lots; None without one.

    Raises:
        WorklistError: a file is no worklist, or the CSV is not of the plan.
        RecordError: nothing is recorded under this name, or nothing is left to do there.
    """
    from nkloop.records.models import Context
    from nkloop.runs.deciding import follow_up_of

    path = Path(asked)
    plan = plan or (None if procedure else _plan_of(path))
    if plan is not None:
        part, whole = _in_plan(path, plan)
        return Source((part,), _context_of(plan), f"{path}, {whole} of {plan}", _base_of(plan))
    if path.is_file():
        return Source(_of_file(path, procedure, records, bench), _context_of(path), str(path), _base_of(path))
    if _RUN.fullmatch(asked):
        worklist, context = follow_up_of(asked, records)
        return Source((Part(worklist=worklist),), context, f"what {asked} left to be done")
    if _HASH.fullmatch(asked):
        found = records.journal.find_worklists(asked)
        if len(found) == 1:
            return Source((Part(worklist=records.journal.worklist(found[0])),), Context(), f"worklist {found[0][:12]}")
        how_many = f"{len(found)} recorded worklists begin" if found else "no recorded worklist begins"
        raise RecordError(f"{how_many} with {asked}", remedy="give more of its hash; `nkloop run show RUN` tells it")
    raise RecordError(
        f"there is no file, run or worklist '{asked}'",
        remedy="name a CSV, the JSON of a plan, the hash of a recorded worklist, or a run such as run-0007",
    )


def _plan_of(table: Path) -> Path | None:
    """The plan beside a table that it was written with, also beside the table of one of its parts; None without one."""
    if table.suffix.lower() != ".csv" or not table.is_file():
        return None
    whole = table.with_stem(re.sub(r"-\d+$", "", table.stem))
    return next((plan for plan in map(plan_beside, (table, whole)) if plan.is_file()), None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise WorklistError(f"cannot be read: {error}", where=str(path), remedy="save it as UTF-8") from error


def _in_plan(path: Path, plan: Path) -> tuple[Part, str]:
    """The part of a plan that a CSV carries, with the lots the plan knows, and which part it is in words.

    Raises:
        WorklistError: one of the files cannot be read, or the CSV differs from every part.
    """
    text, parts = _text(path), _of_json(_text(plan), plan)
    found = [_differing_line(text, part.worklist) for part in parts]
    if None in found:
        number = found.index(None)
        return parts[number].model_copy(update={"before": None}), f"part {number + 1} of {len(parts)}"
    line = max(one for one in found if one is not None)
    raise WorklistError(
        f"is not what the plan writes: it differs from line {line} on",
        where=f"{path}, line {line}",
        remedy=f"run the plan itself with `nkloop run {plan}`, write both anew with `nkloop plan … --csv FILE`, or say "
        "--procedure to run the table without its plan: it then knows no lots",
    )


def _differing_line(text: str, worklist: Worklist) -> int | None:
    """Number of the first line that is another than the worklist's; None when there is none."""
    own, planned = (list(csv.reader(io.StringIO(one))) for one in (text, to_csv(worklist)))
    pairs = zip_longest(own, planned)
    return next((number for number, (mine, theirs) in enumerate(pairs, start=1) if mine != theirs), None)


def _of_file(path: Path, procedure: str, records: Records, bench: str) -> tuple[Part, ...]:
    text = _text(path)
    if path.suffix.lower() == ".json":
        return _of_json(text, path)
    named = path.name.partition(".")[0]
    meant = procedure or (named if named in get_args(Procedure) else _reserved_procedure(text, records, bench) or named)
    return (_of_csv(text, path, meant),)


def _reserved_procedure(text: str, records: Records, bench: str) -> str:
    """Procedure of the plan that has reserved for this table; empty when none has."""
    from nkloop.runs.reserved_plans import own_share
    from nkloop.worklists.csv_format import from_csv

    held = records.stock.reservations(bench)
    try:
        # the table is the same whatever the procedure is called
        table = from_csv(text, name="reserved", procedure=get_args(Procedure)[0]) if held else None
    except WorklistError:
        return ""  # what is wrong is told when it is read for good
    share = own_share(held, table) if table is not None else None
    return records.stock.reserved_worklist(share.part).procedure if share is not None and share.part else ""


def _plan_document(path: Path) -> dict[str, Any]:
    """The JSON of a plan, which was read already; empty for anything else."""
    document = json.loads(path.read_text(encoding="utf-8")) if path.suffix.lower() == ".json" else None
    return document if isinstance(document, dict) else {}


def _context_of(path: Path) -> Context:
    """What the runs of a plan belong to: the batch it was planned for."""
    from nkloop.records.models import Context

    batch = _plan_document(path).get("batch")
    return Context(batch=batch if isinstance(batch, str) and batch else None)


def _base_of(path: Path) -> BaseMedium | None:
    """What the JSON of a dosing plan tells about its base medium."""
    told = _plan_document(path).get("base_medium")
    if not isinstance(told, dict):
        return None
    return BaseMedium(barcode=str(told.get("barcode", "")), command=str(told.get("command", "")))


def _of_csv(text: str, path: Path, meant: str) -> Part:
    from nkloop.worklists.csv_format import from_csv

    known = get_args(Procedure)
    if meant not in known:
        raise WorklistError(
            f"which procedure this is cannot be told: '{meant}'",
            where=str(path),
            remedy=f"put the plan it was written with beside it, {plan_beside(path).name}, which also knows its lots, "
            f"or name it with --plan; else say --procedure, one of: {', '.join(known)}",
        )
    return Part(worklist=from_csv(text, name=path.stem, procedure=cast(Procedure, meant)))


def _of_json(text: str, path: Path) -> tuple[Part, ...]:
    from pydantic import ValidationError

    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise WorklistError(f"is no JSON: {error}", where=str(path), remedy="write it anew with `--json`") from error
    documents = [document]
    if isinstance(document, dict) and "parts" in document:
        documents = [part.get("worklist") for part in document["parts"] if isinstance(part, dict)]
        if not document.get("verdict", {}).get("passed", True):
            raise WorklistError("the plan did not pass its checks", where=str(path), remedy="plan it again")
    if not documents or not all(isinstance(one, dict) for one in documents):
        raise WorklistError(
            "holds no worklist", where=str(path), remedy="write it with `nkloop plan … --json > plan.json`"
        )
    try:
        worklists = [Worklist.model_validate(one) for one in documents]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top"
        raise WorklistError(
            f"is no worklist: {first['msg']}", where=f"{path}, {place}", remedy="write it with `nkloop plan … --json`"
        ) from error
    return _with_changes(worklists)


def _with_changes(worklists: list[Worklist]) -> tuple[Part, ...]:
    """Parts with what a person does between them; names that tell their part already stay as they are."""
    made = in_order(worklists)
    return tuple(part.model_copy(update={"worklist": worklist}) for part, worklist in zip(made, worklists, strict=True))
