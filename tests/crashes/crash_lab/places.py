"""Files of one crash: who runs as which process, what happened physically, what hit whom."""

from __future__ import annotations

import json
import os
import pickle
import signal
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AND_ALL_IT_STARTED = " and all it started"
"""What the name of a victim ends with whose whole process group is killed."""


@dataclass(frozen=True)
class Places:
    """A folder per crash."""

    folder: Path

    @property
    def hands(self) -> str:
        """Socket between robot and world."""
        return str(self.folder / "hands")

    @property
    def physical(self) -> Path:
        """One line of JSON per command that took physical effect."""
        return self.folder / "physical.jsonl"

    @property
    def contents(self) -> Path:
        """What truly is in every well at the end, as the world tells it."""
        return self.folder / "contents.json"

    @property
    def kills(self) -> Path:
        """One line per process that was killed: who, when."""
        return self.folder / "kills.txt"

    @property
    def log(self) -> Path:
        """What the processes wrote."""
        return self.folder / "processes.log"

    @property
    def transitions(self) -> Path:
        """One line per transition the flow went through."""
        return self.folder / "transitions.txt"

    def note_outcome(self, who: str, error: str, message: str) -> None:
        """Remember how a flow process ended: with which error, none when its work was done."""
        with (self.folder / "outcomes.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"who": who, "error": error, "message": message}) + "\n")

    def outcomes(self) -> list[dict[str, str]]:
        """How the flow processes that came to an end by themselves ended, in that order."""
        path = self.folder / "outcomes.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def note_refusal(self, run: str, kind: str, why: str) -> None:
        """Remember that a decision about a run was refused."""
        with (self.folder / "refusals.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"run": run, "kind": kind, "why": why}) + "\n")

    def refusals(self) -> list[dict[str, str]]:
        """Decisions that were refused, in that order."""
        path = self.folder / "refusals.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def note_possible(self, run: str, wells: Mapping[tuple[str, str], tuple[float, float]]) -> None:
        """Remember between which volumes (µL) a person was told that wells of a run may lie, by nickname and well."""
        shown = [[nickname, well, *bounds] for (nickname, well), bounds in wells.items()]
        (self.folder / f"possible-{run}.json").write_text(json.dumps(shown), encoding="utf-8")

    def possible(self, run: str) -> dict[tuple[str, str], tuple[float, float]]:
        """What was remembered of that; empty when no person was asked."""
        path = self.folder / f"possible-{run}.json"
        shown = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return {(nickname, well): (low, high) for nickname, well, low, high in shown}

    def note_launched(self, task: Any) -> None:
        """Remember what the next flow run that is launched is to do."""
        (self.folder / "launched").write_bytes(pickle.dumps(task))

    def launched(self) -> Any:
        """What was remembered of that."""
        return pickle.loads((self.folder / "launched").read_bytes())

    def note_pid(self, who: str, pid: int) -> None:
        """Remember who runs as which process; whoever reads meanwhile reads one of the two."""
        fresh = self.folder / f"{who}.pid.new"
        fresh.write_text(str(pid))
        fresh.replace(self.folder / f"{who}.pid")

    def forget_pid(self, who: str) -> None:
        """Remember that this process has ended."""
        (self.folder / f"{who}.pid").unlink(missing_ok=True)

    def meet(self, who: str, all_of_them: Collection[str]) -> None:
        """Note that this process is there, and wait until all of them are."""
        (self.folder / f"{who}.there").touch()
        while not all((self.folder / f"{one}.there").exists() for one in all_of_them):
            time.sleep(0.02)

    def kill(self, who: str, when: str, number: signal.Signals = signal.SIGKILL) -> None:
        """`kill -9`, or another signal; note it first, because it may be ourselves."""
        pid = self.pid(who.removesuffix(AND_ALL_IT_STARTED))
        if pid is None:
            return
        with self.kills.open("a", encoding="utf-8") as file:
            file.write(f"{who} {when}\n")
        with suppress(ProcessLookupError):
            (os.killpg if who.endswith(AND_ALL_IT_STARTED) else os.kill)(pid, number)

    def pid(self, who: str) -> int | None:
        """Who runs as which process; None for somebody who does not run."""
        try:
            return int((self.folder / f"{who}.pid").read_text())
        except FileNotFoundError:
            return None

    def killed(self) -> list[str]:
        """Who was killed when."""
        return self.kills.read_text(encoding="utf-8").splitlines() if self.kills.exists() else []
