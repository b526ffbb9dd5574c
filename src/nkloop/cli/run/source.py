"""What `nkloop run` is asked to run: a file, a recorded worklist, or what a decision left to be done."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from nkloop.errors import RecordError, WorklistError
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


def source_of(asked: str, procedure: str, records: Records) -> Source:
    """Find what a person named.

    Raises:
        WorklistError: a file is no worklist.
        RecordError: nothing is recorded under this name, or nothing is left to do there.
    """
    from nkloop.records.models import Context
    from nkloop.runs.deciding import follow_up_of

    path = Path(asked)
    if path.is_file():
        return Source(_of_file(path, procedure), Context(), str(path), _base_of(path))
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


def _of_file(path: Path, procedure: str) -> tuple[Part, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise WorklistError(f"cannot be read: {error}", where=str(path), remedy="save it as UTF-8") from error
    return _of_json(text, path) if path.suffix.lower() == ".json" else (_of_csv(text, path, procedure),)


def _base_of(path: Path) -> BaseMedium | None:
    """What the JSON of a dosing plan, which was read already, tells about its base medium."""
    document = json.loads(path.read_text(encoding="utf-8")) if path.suffix.lower() == ".json" else None
    told = document.get("base_medium") if isinstance(document, dict) else None
    if not isinstance(told, dict):
        return None
    return BaseMedium(barcode=str(told.get("barcode", "")), command=str(told.get("command", "")))


def _of_csv(text: str, path: Path, procedure: str) -> Part:
    from nkloop.worklists.csv_format import from_csv

    known = get_args(Procedure)
    meant = procedure or path.name.partition(".")[0]
    if meant not in known:
        raise WorklistError(
            f"which procedure this is cannot be told: '{meant}'",
            where=str(path),
            remedy=f"say --procedure, one of: {', '.join(known)}; or name the file {known[0]}.<anything>.csv",
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
