"""The book of a virtual world: every physical act, one line of JSON each, from which the world can be made again.

A line is handed to the operating system before the act's caller goes on, so a killed process loses no act that anybody
saw. Everything random in a world follows from its seed, so doing the acts again in order gives the same wells.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from nkloop.assays.measurements import CellCount, ReadRequest
from nkloop.errors import BenchError, DeviceError, NkloopError
from nkloop.virtual.clock_world import START, WorldClock
from nkloop.virtual.loading import load_deck
from nkloop.virtual.tasks import perform
from nkloop.virtual.world import World
from nkloop.worklists.models import OperatorTask, Worklist

Result = TypeVar("Result")
Entry = dict[str, Any]
"""`act`, `t` (world seconds before it), and what was done; a command also tells `run` and `step`."""
_CHUNK = 65_536
LOADS = frozenset({"loadModule", "loadLabware", "loadPipette"})


class Hand(Protocol):
    """What executes the commands of one run."""

    def apply(self, command: dict[str, Any]) -> None:
        """Do physically what one command says."""


class WorldBook:
    """Does physical acts in a world, and notes each of them where it has a file."""

    def __init__(self, world: World, path: Path | None = None) -> None:
        """Open the book of a fresh world; what stands in the file already is done again first.

        Raises:
            BenchError: the file is no book, or it cannot be written.
        """
        self.world = world
        self._path = path
        self._file: int | None = None
        self._hands: dict[int, Hand] = {}
        self._n_runs = 0
        if path is None:
            return
        self._do_again(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise BenchError(
                f"cannot be written: {error.strerror}", where=str(path), remedy="choose another folder"
            ) from error

    @property
    def clock(self) -> WorldClock:
        """The clock everything on the bench shares."""
        return self.world.clock

    def begin_run(self, analysis: Any) -> Hand:
        """Start to execute an analysed protocol."""
        loads = [_slim(command) for command in analysis.commands if command.get("commandType") in LOADS]
        self.note("run", self.clock.seconds, commands=loads)
        self._n_runs += 1
        hand = self.world.begin_run(analysis)
        return hand if self._path is None else _NotedHand(hand, self, self._n_runs)

    def load_deck(self, worklist: Worklist, barcodes: Mapping[str, str]) -> None:
        """Put on the deck what the worklist asks for; see `nkloop.virtual.loading.load_deck`."""
        told = {"worklist": worklist.model_dump(mode="json"), "barcodes": dict(barcodes)}
        self._do("deck", lambda: load_deck(self.world, worklist, barcodes), **told)

    def perform(self, task: OperatorTask, barcodes: Mapping[str, str]) -> None:
        """Carry a task out; see `nkloop.virtual.tasks.perform`."""
        told = {"task": task.model_dump(mode="json"), "barcodes": dict(barcodes)}
        self._do("task", lambda: perform(self.world, task, barcodes), **told)

    def wait_until(self, when: datetime) -> None:
        """Let time pass with nobody at the bench."""
        self._do("wait", lambda: self.world.wait_until(when), until=when.isoformat())

    def read(self, request: ReadRequest) -> dict[str, float]:
        """Raw signals of the plate in the reader."""
        return self._do("read", lambda: self.world.read(request), request=request.model_dump(mode="json"))

    def measure(self, wavelengths_nm: Sequence[int]) -> dict[str, dict[str, float]]:
        """Wavelength, as text, to well to optical density of the plate in the reader, read by the robot itself.

        Raises:
            DeviceError: the reader is empty.
        """
        barcode = self.world.in_reader
        if barcode is None:
            raise DeviceError("the reader holds no plate", where="plate reader", remedy="put the plate in")
        asked = ReadRequest(
            barcode=barcode, load_name=self.world.containers[barcode].labware.load_name, mode="absorbance"
        )
        return {str(nm): self.read(asked.model_copy(update={"wavelength_nm": nm})) for nm in wavelengths_nm}

    def count(self, barcode: str, wells: tuple[str, ...]) -> tuple[CellCount, ...]:
        """Count cells."""
        return self._do("count", lambda: self.world.count(barcode, wells), barcode=barcode, wells=list(wells))

    def contents(self) -> dict[str, Any]:
        """What truly is in every well. Looking brings the wells up to date, so it is noted too."""
        return self._do("look", self.world.contents)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _do(self, act: str, do: Callable[[], Result], **told: Any) -> Result:
        began = self.clock.seconds
        try:
            return do()
        finally:
            # What failed may have let time pass; done again it fails again in the same place.
            self.note(act, began, **told)

    def note(self, act: str, began: float, **told: Any) -> None:
        """Write one line; nothing without a file."""
        if self._file is not None:
            line = json.dumps({"act": act, "t": began, **told}, separators=(",", ":"), ensure_ascii=False)
            os.write(self._file, f"{line}\n".encode())

    def _do_again(self, path: Path) -> None:
        for entry in read_book(path):
            self.clock.seconds = entry["t"]
            with suppress(NkloopError):
                self._again(entry)

    def _again(self, entry: Entry) -> None:
        act = entry["act"]
        if act == "run":
            self._n_runs += 1
            self._hands[self._n_runs] = self.world.begin_run(_Loads(entry["commands"]))
        elif act == "command":
            self._hands[entry["run"]].apply(entry["command"])
        elif act == "deck":
            load_deck(self.world, Worklist.model_validate(entry["worklist"]), entry["barcodes"])
        elif act == "task":
            perform(self.world, OperatorTask.model_validate(entry["task"]), entry["barcodes"])
        elif act == "wait":
            self.world.wait_until(datetime.fromisoformat(entry["until"]))
        elif act == "read":
            self.world.read(ReadRequest.model_validate(entry["request"]))
        elif act == "count":
            self.world.count(entry["barcode"], entry["wells"])
        else:
            self.world.contents()


class _Loads:
    """The part of an analysis a run needs to begin."""

    def __init__(self, commands: list[dict[str, Any]]) -> None:
        self.commands = commands


class _NotedHand:
    """Notes each command after it has acted."""

    def __init__(self, hand: Any, book: WorldBook, number: int) -> None:
        self._hand = hand
        self._book = book
        self._number = number

    def apply(self, command: dict[str, Any]) -> None:
        """Do one command and note it."""
        if not self._hand.acts_on(command):
            return
        began = self._book.clock.seconds
        try:
            self._hand.apply(command)
        finally:
            self._book.note("command", began, run=self._number, step=self._hand.step, command=_slim(command))


def read_book(path: Path) -> Iterator[Entry]:
    """The acts of a book, oldest first; a last line that was cut short by a killed process is left out.

    Raises:
        BenchError: a line is no entry.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                remedy = "give an empty folder; the world of this one cannot be made again"
                raise BenchError(
                    "is no entry of a world's book", where=f"{path}, line {number}", remedy=remedy
                ) from error


def last_time(path: Path) -> datetime | None:
    """The time of the world of a book by its last whole line, UTC, without what the act itself took; None without one.

    Raises:
        BenchError: the line is no entry.
    """
    entry = last_entry(path)
    if entry is None:
        return None
    began = START + timedelta(seconds=entry["t"])
    return max(began, datetime.fromisoformat(entry["until"])) if entry["act"] == "wait" else began


def last_entry(path: Path) -> Entry | None:
    """The last whole line of a book, read from its end; None of an empty one."""
    tail = b""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0 and tail.count(b"\n") < 2:
            begin = max(0, end - _CHUNK)
            file.seek(begin)
            tail, end = file.read(end - begin) + tail, begin
    whole = tail.split(b"\n")[:-1]
    try:
        return dict(json.loads(whole[-1])) if whole else None
    except ValueError as error:
        remedy = "give an empty folder; the world of this one cannot be made again"
        raise BenchError("ends with what is no entry of a world's book", where=str(path), remedy=remedy) from error


def _slim(command: Mapping[str, Any]) -> dict[str, Any]:
    kind = command["commandType"]
    slim = {"commandType": kind, "params": command.get("params") or {}}
    return {**slim, "result": _without_definition(command)} if kind in LOADS else slim


def _without_definition(command: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (command.get("result") or {}).items() if key != "definition"}
