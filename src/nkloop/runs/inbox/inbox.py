"""Takes files in: whole ones only, each once, matched to what is waited for, the original kept, the rest put aside.

Safe to kill at any moment and to run twice on one folder: the original is kept under its hash first, then everything
that follows from the file is recorded in one transaction, then the file is moved. What was recorded and not moved is
moved at the next look; what was moved was recorded.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nkloop.assays.readings import PlateReading, SampleCount
from nkloop.assays.readings.files import InstrumentFiles
from nkloop.drivers.bench_file import BenchFile, InboxSpec
from nkloop.drivers.secrets import fill_variables
from nkloop.errors import BenchError, RecordError, WorkspaceError
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.records.inbox import Delivery, SeenFile, Wait
from nkloop.reports.numbers import duration
from nkloop.runs.inbox.contents import Contents, contents_of
from nkloop.runs.inbox.counting import CountMatcher, left_samples, still_left
from nkloop.runs.inbox.fitting import Refusal
from nkloop.runs.inbox.folder import DONE, QUARANTINE, QuietFiles, file_away, reason_of, stamp
from nkloop.runs.inbox.matching import Assignment, Matcher, same_barcode
from nkloop.workspace import Workspace

LOOK_SECONDS = 1.0
"""Pause between two looks at the folder."""
TROUBLE_SECONDS = 10.0
"""Pause before a folder that is gone, such as a network share, is looked for again."""
logger = logging.getLogger(__name__)
_EARLY = frozenset({"unknown_barcode", "nobody_waits"})
"""Files that may only have come before somebody waited for them; they are judged again when somebody does."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    name: str
    state: str
    """`recorded`, `quarantined`, or `known` for a copy of a file that was recorded before."""
    reason: str = ""
    barcodes: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    """Runs that waited for it."""

    @property
    def told(self) -> str:
        """The same in a sentence."""
        if self.state == "recorded":
            run = f", for {', '.join(self.runs)}" if self.runs else ""
            return f"{self.name}: recorded as plate {', '.join(self.barcodes)}{run}"
        if self.state == "known":
            return f"{self.name}: known, {self.reason}; not read again"
        return f"{self.name}: put aside, {self.reason}"

    @property
    def level(self) -> int:
        """How loud the log tells it."""
        return logging.WARNING if self.state == "quarantined" else logging.INFO

    @property
    def row(self) -> dict[str, str]:
        """The same as a line of a table."""
        plates, runs = ", ".join(self.barcodes), ", ".join(self.runs)
        return {"file": self.name, "state": self.state, "plates": plates, "run": runs, "reason": self.reason}


@dataclass
class Inbox:
    """One watched folder of one bench."""

    bench: str
    spec: InboxSpec
    folder: Path
    originals: Path
    """Where the original of every file is kept, by its hash."""
    records: Records
    vendor: InstrumentFiles
    catalogue: Catalogue
    is_own: bool = False
    """Whether the folder is one of the workspace, which is made when it is missing; a share that is gone is not."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    quiet: QuietFiles = field(init=False)
    _judged_for: frozenset[int] = frozenset()
    """Waits that were open when the quarantine was last looked through."""

    def __post_init__(self) -> None:
        self.quiet = QuietFiles(self.folder, self.spec.quiet_seconds)
        self.matcher = Matcher(self.spec, self._wells)
        self.counters = CountMatcher(self.matcher)

    async def look(self) -> tuple[Outcome, ...]:
        """Take in every file that is whole by now.

        Raises:
            WorkspaceError: the folder cannot be read or written.
            RecordError: the database cannot be reached.
        """
        self._forget_old_waits()
        if self.is_own:
            self.folder.mkdir(parents=True, exist_ok=True)
        outcomes = [await self._taken(path) for path in self.quiet.look()]
        return tuple(one for one in (*outcomes, *await self._judged_again()) if one is not None)

    async def once(self) -> tuple[Outcome, ...]:
        """Take in what lies there now: look until every file has been quiet for its time.

        Raises:
            WorkspaceError: the folder cannot be read or written.
        """
        outcomes = list(await self.look())
        while self.quiet.waiting:
            await asyncio.sleep(min(LOOK_SECONDS, max(self.spec.quiet_seconds / 4, 0.02)))
            outcomes += await self.look()
        return tuple(outcomes)

    async def watch(
        self, *, until: float = math.inf, on_trouble: Callable[[str], None] = logger.warning
    ) -> AsyncIterator[Outcome]:
        """Take files in as they come; a folder that is gone for a while, such as a network share, is told once.

        Args:
            until: when to end, by the monotonic clock; never when not given.
            on_trouble: told why the folder cannot be read or written.
        """
        trouble = ""
        while time.monotonic() < until:
            try:
                found = await self.look()
            except WorkspaceError as error:
                if str(error) != trouble:
                    trouble = str(error)
                    on_trouble(trouble)
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            trouble = ""
            for outcome in found:
                yield outcome
            await asyncio.sleep(LOOK_SECONDS)

    async def watch_for(self, seconds: float) -> AsyncIterator[Outcome]:
        """Take in what lies there, then what comes within a time; the log hears of each file.

        Raises:
            WorkspaceError: the folder cannot be read or written at the beginning.
        """
        end = time.monotonic() + seconds
        logger.info("looks into %s for %s", self.folder, duration(seconds / 60) if seconds else "what lies there")
        for outcome in await self.once():
            logger.log(outcome.level, outcome.told)
            yield outcome
        async for outcome in self.watch(until=end):
            logger.log(outcome.level, outcome.told)
            yield outcome

    def seen_since(self, at: datetime) -> tuple[Outcome, ...]:
        """What became of the files seen since then, whoever took them in: a run that waits takes its own."""
        files = self.records.inbox.files(self.bench)
        return tuple(_outcome(file) for file in files if file.seen_at >= at)

    async def release(self, name: str, barcode: str, *, by: str, reason: str) -> Outcome:
        """A person says which plate a file in quarantine is; wells, mode and wavelength must still be right.

        Args:
            name: of the file in the quarantine folder, or a hash of it as `nkloop inbox list` shows it.
            barcode: of a plate that is waited for.
            by: who says so.
            reason: why it is that plate.

        Raises:
            RecordError: no such file is in quarantine, or it still does not fit; nothing was recorded.
        """
        file = self._in_quarantine(name)
        path = self._original(file.sha256, Path(file.name).suffix)
        read = await contents_of(path, file.name, self.vendor)
        if isinstance(read, Refusal):
            raise RecordError(read.reason, where=file.name, remedy=read.remedy)
        about = self._about(file.sha256, file.name, read.program)
        outcome = self._recorded(read, about, named=barcode, by=by, add={"released_by": by, "reason": reason})
        if isinstance(outcome, Refusal):
            raise RecordError(outcome.reason, where=file.name, remedy=outcome.remedy)
        self._file_released(file)
        return outcome

    async def _taken(self, path: Path) -> Outcome | None:
        before, data = stamp(path), self._bytes(path)
        if before is None or data is None:
            return None  # another inbox on this folder was quicker
        digest = hashlib.sha256(data).hexdigest()
        known = self.records.inbox.find(digest)
        if known is not None and known.state == "recorded":
            return self._seen_again(path, known)
        original = self._keep(digest, path.suffix, data)
        read = await contents_of(original, path.name, self.vendor, self.spec.programs)
        about = self._about(digest, path.name, read.program if isinstance(read, Contents) else "")
        outcome = read if isinstance(read, Refusal) else self._recorded(read, about)
        if isinstance(outcome, Refusal):
            return self._set_aside(path, about, outcome, before)
        if stamp(path) == before:  # else it was written anew meanwhile, which is another content
            self._filed(digest, file_away(path, self.folder, DONE))
        return outcome

    def _bytes(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            remedy = "give this user the right to read it"
            raise WorkspaceError(
                f"cannot be read: {error.strerror or error}", where=str(path), remedy=remedy
            ) from error

    def _seen_again(self, path: Path, known: SeenFile) -> Outcome:
        """A file that was recorded and not moved before a crash, or a copy of one; it is not read again."""
        where = file_away(path, self.folder, DONE)
        if not known.filed_as:
            self._filed(known.sha256, where)
        reason = f"its content was recorded as {known.name} on {known.seen_at:%Y-%m-%d %H:%M} UTC"
        return Outcome(path.name, "known", reason, _barcodes(known), _runs(known))

    def _set_aside(
        self, path: Path, about: Mapping[str, Any], refusal: Refusal, before: tuple[int, int, int]
    ) -> Outcome:
        seen = self.records.inbox.quarantine(about, refusal.code, str(refusal))
        if seen.state == "recorded":  # by another inbox, while this one was reading
            return self._seen_again(path, seen)
        if stamp(path) == before:
            self._filed(seen.sha256, file_away(path, self.folder, QUARANTINE, reason=str(refusal)))
        return Outcome(path.name, "quarantined", str(refusal))

    def _recorded(
        self,
        read: Contents,
        about: Mapping[str, Any],
        *,
        named: str = "",
        by: str = "nkloop",
        add: Mapping[str, str] | None = None,
    ) -> Outcome | Refusal:
        """Record a file that answers at least one wait; plates in it that nobody waits for are noted beside it."""
        waits = self.records.inbox.waiting(self.bench)
        deliveries, told, refusals = self._answers(read, waits, named)
        if not deliveries:
            return refusals[0] if refusals else Refusal("not_readable", "the file holds no plate and no sample")
        document = json.dumps([{**entry, **(add or {})} for entry in told], ensure_ascii=False)
        try:
            seen = self.records.inbox.record({**about, "document": document}, deliveries, by=by)
        except RecordError as error:
            return Refusal("nobody_waits", error.problems[0].message, "it is judged again when somebody waits for it")
        return _outcome(seen)

    def _answers(
        self, read: Contents, waits: Sequence[Wait], named: str
    ) -> tuple[list[Delivery], list[dict[str, str]], list[Refusal]]:
        deliveries: list[Delivery] = []
        told: list[dict[str, str]] = []
        refusals: list[Refusal] = []
        open_waits = list(waits)
        if named and len(read.plates) > 1:
            remedy = "export the plate alone, or give it its barcode in the reader's software"
            return [], [], [Refusal("two_candidates", f"the file holds {len(read.plates)} plates", remedy)]
        for plate in read.plates:
            found = self.matcher.plate(plate, open_waits, self.now(), named=named)
            if isinstance(found, Assignment):
                open_waits.remove(found.wait)
                answer = found.reading.model_dump_json()
                deliveries.append(Delivery(wait_id=found.wait.id, answer=answer, reading=found.reading))
                told.append({"plate": found.wait.barcode, "run": found.wait.run_id or "", "state": "recorded"})
            else:
                refusals.append(found)
                told.append({"plate": _label(plate), "state": "left out", "why": found.reason})
        return deliveries + self._counted(read.samples, waits, told, refusals, named), told, refusals

    def _counted(
        self,
        samples: Sequence[SampleCount],
        waits: Sequence[Wait],
        told: list[dict[str, str]],
        refusals: list[Refusal],
        named: str,
    ) -> list[Delivery]:
        deliveries, left = [], list(samples)
        for wait in waits:
            if wait.kind != "counts" or not samples or (named and not same_barcode(named, wait.barcode)):
                continue
            found = self.counters.counts(samples, wait, json.loads(wait.asked)["wells"], self.now(), named=bool(named))
            if isinstance(found, Refusal):
                refusals.append(found)
            elif found is not None:
                answer = json.dumps({well: one.model_dump(mode="json") for well, one in found.items()})
                deliveries.append(Delivery(wait_id=wait.id, answer=answer))
                told.append({"plate": wait.barcode, "run": wait.run_id or "", "state": "recorded"})
                names = {one.sample for one in found.values()}
                left = [one for one in left if one.sample not in names]
        told += left_samples(left)
        if samples and not deliveries and not refusals:
            names_told = ", ".join(one.sample for one in samples[:5])
            remedy = "name each sample PLATE:WELL, like P-17:A1; it is judged again when somebody waits for it"
            refusals.append(Refusal("unknown_barcode", f"nobody waits for the samples {names_told}", remedy))
        return deliveries

    async def _judged_again(self) -> list[Outcome]:
        """Files that came before somebody waited for them, now that somebody does."""
        waiting = frozenset(wait.id for wait in self.records.inbox.waiting(self.bench))
        fresh = waiting - self._judged_for
        self._judged_for = waiting
        if not fresh:
            return []
        outcomes = await self._left_plates(fresh)
        for file in self.records.inbox.files(self.bench, state="quarantined"):
            path = self._original(file.sha256, Path(file.name).suffix)
            if file.code not in _EARLY or not path.is_file():
                continue
            read = await contents_of(path, file.name, self.vendor, self.spec.programs)
            if isinstance(read, Refusal):
                continue
            about = self._about(file.sha256, file.name, read.program)
            outcome = self._recorded(read, about)
            if isinstance(outcome, Outcome):
                self._file_released(file)
                outcomes.append(outcome)
            elif str(outcome) != file.reason:
                self._told_anew(file, about, outcome)
        return outcomes

    async def _left_plates(self, fresh: frozenset[int]) -> list[Outcome]:
        """Plates of recorded files that nobody waited for then, such as the later ones of an experiment in one file."""
        waits = {wait.barcode.casefold() for wait in self.records.inbox.waiting(self.bench) if wait.id in fresh}
        outcomes = []
        for file in self.records.inbox.files(self.bench, state="recorded"):
            told = json.loads(file.document)
            left = {one["plate"].casefold() for one in told if one["state"] != "recorded"} & waits
            path = self._original(file.sha256, Path(file.name).suffix)
            if not left or not path.is_file():
                continue
            read = await contents_of(path, file.name, self.vendor)
            if isinstance(read, Contents):
                plates = tuple(one for one in read.plates if _label(one).casefold() in left)
                samples = tuple(still_left(read.samples, told, left))
                outcomes += self._delivered_more(file, told, Contents(read.program, plates=plates, samples=samples))
        return outcomes

    def _delivered_more(self, file: SeenFile, told: list[dict[str, str]], read: Contents) -> list[Outcome]:
        deliveries, more, _ = self._answers(read, self.records.inbox.waiting(self.bench), "")
        if not deliveries:
            return []
        added = {one["plate"].casefold() for one in more if one["state"] == "recorded"}
        kept = [one for one in told if one["state"] == "recorded" or one["plate"].casefold() not in added]
        fresh = [one for one in more if one["plate"].casefold() in added]
        document = json.dumps([*kept, *fresh], ensure_ascii=False)
        try:
            self.records.inbox.deliver_more(file, document, deliveries)
        except RecordError:
            return []  # another inbox was quicker
        taken = [one for one in more if one["state"] == "recorded"]
        barcodes, runs = (one["plate"] for one in taken), (one["run"] for one in taken if one.get("run"))
        return [Outcome(file.name, "recorded", "", tuple(barcodes), tuple(dict.fromkeys(runs)))]

    def _told_anew(self, file: SeenFile, about: Mapping[str, Any], refusal: Refusal) -> None:
        """A file stays in quarantine, for another reason than before."""
        seen = self.records.inbox.quarantine(about, refusal.code, str(refusal))
        self.records.inbox.filed(seen.id, file.filed_as)
        path = self.folder / file.filed_as
        if file.filed_as and path.is_file():
            reason_of(path).write_text(f"{refusal}\n", encoding="utf-8")

    def _file_released(self, file: SeenFile) -> None:
        """Move a file from quarantine to where recorded ones lie; its reason goes."""
        path = self.folder / file.filed_as
        if file.filed_as and path.is_file():
            self._filed(file.sha256, file_away(path, self.folder, DONE))

    def _in_quarantine(self, name: str) -> SeenFile:
        found = [
            file
            for file in self.records.inbox.files(self.bench, state="quarantined")
            if name in {file.name, Path(file.filed_as).name, file.sha256}
            or (len(name) >= 8 and file.sha256.startswith(name))
        ]
        if len(found) == 1:
            return found[0]
        told = f"{len(found)} files in quarantine are called so" if found else "no file in quarantine is called so"
        remedy = "name one by its hash: nkloop inbox list --quarantined"
        raise RecordError(told, where=name, remedy=remedy)

    def _forget_old_waits(self) -> None:
        """Nobody waits longer than a plate may be late; the one who asked has given up long ago."""
        last = self.now() - timedelta(minutes=2 * self.spec.late_minutes + self.spec.early_minutes)
        for wait in self.records.inbox.waiting(self.bench):
            if wait.asked_at < last:
                self.records.inbox.withdraw(wait.id, "its time is over")

    def _keep(self, digest: str, suffix: str, data: bytes) -> Path:
        """Keep the original under its hash; written aside first, so that half of one is never taken for it."""
        path = self._original(digest, suffix)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        return path

    def _original(self, digest: str, suffix: str) -> Path:
        return self.originals / digest[:2] / f"{digest}{suffix.lower()}"

    def _about(self, digest: str, name: str, program: str) -> dict[str, Any]:
        return {"sha256": digest, "bench": self.bench, "name": name, "program": program, "document": "[]"}

    def _filed(self, digest: str, where: str) -> None:
        file = self.records.inbox.find(digest)
        if file is not None and where:
            self.records.inbox.filed(file.id, where)

    def _wells(self, load_name: str) -> Sequence[str]:
        kind = self.catalogue[load_name]
        return [f"{chr(65 + row)}{column}" for row in range(kind.rows) for column in range(1, kind.columns + 1)]


def inbox_of(
    workspace: Workspace,
    file: BenchFile,
    records: Records,
    vendor: InstrumentFiles,
    catalogue: Catalogue,
    *,
    folder: Path | None = None,
) -> Inbox:
    """The inbox of a bench; `folder` stands in for the one of its file.

    Raises:
        BenchError: the bench names no folder, or its folder is in a variable that is not set.
    """
    spec = file.inbox or (InboxSpec(folder=str(folder)) if folder is not None else None)
    if spec is None:
        raise BenchError(
            "no inbox: nothing tells where the files of its readers are dropped",
            where=f"bench {file.name}",
            remedy="add an `inbox:` block with a folder to the bench file, or name a folder",
        )
    # a folder named by a person is one from where he stands, that of the bench file is one of the workspace
    own = fill_variables(spec.folder, f"bench {file.name}, inbox.folder") if folder is None else ""
    named = Path(str(own)) if folder is None else folder.resolve()
    return Inbox(
        bench=file.name,
        spec=spec,
        folder=named if named.is_absolute() else workspace.root / named,
        is_own=not named.is_absolute(),
        originals=workspace.state / "inbox",
        records=records,
        vendor=vendor,
        catalogue=catalogue,
    )


def _label(plate: PlateReading) -> str:
    return plate.barcode or plate.settings.get("plate", "")


def _outcome(file: SeenFile) -> Outcome:
    return Outcome(file.name, file.state, file.reason, _barcodes(file), _runs(file))


def _runs(file: SeenFile) -> tuple[str, ...]:
    taken = (entry for entry in json.loads(file.document) if entry.get("state") == "recorded")
    return tuple(dict.fromkeys(entry["run"] for entry in taken if entry.get("run")))


def _barcodes(file: SeenFile) -> tuple[str, ...]:
    return tuple(entry["plate"] for entry in json.loads(file.document) if entry.get("state") == "recorded")
