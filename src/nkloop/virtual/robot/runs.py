"""The runs on the robot: one at most is current, twenty are kept, and what its database tells after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from nkloop.virtual.robot.data_files import DataFiles
from nkloop.virtual.robot.memory import Memory
from nkloop.virtual.robot.parameters import Parameter
from nkloop.virtual.robot.past_run import PastRun
from nkloop.virtual.robot.protocols import ProtocolRecord
from nkloop.virtual.robot.refusals import (
    run_already_active,
    run_not_current,
    run_not_found,
    run_not_idle,
    signoff_required,
    unexpected,
)
from nkloop.virtual.robot.run import Run

MAX_RUNS = 20
ACTIVE_DETAIL = (
    "Run is currently active. Allow the run to finish or stop it with a `stop` action before attempting to modify it."
)
BUSY_DETAIL = "Current run is not idle or stopped."


class Runs:
    """The runs, oldest first."""

    def __init__(self, memory: Memory, files: Callable[[], DataFiles], now: Callable[[], str]) -> None:
        self._memory = memory
        self._files = files
        self._now = now
        self._runs: dict[str, Run | PastRun] = {row["id"]: PastRun(row) for row in memory.recall("run")}
        self._phantom: str | None = None
        self.must_be_signed = False
        """Whether a run that has ended has to be signed before it is dismissed (compliance mode)."""

    def all(self) -> list[Run | PastRun]:
        """Every run kept."""
        return list(self._runs.values())

    @property
    def current_id(self) -> str | None:
        """Id of the run that controls the robot; after a failed creation that of a run that does not exist."""
        if self._phantom is not None:
            return self._phantom
        current = self.current()
        return current.id if current else None

    def current(self) -> Run | None:
        """The run that controls the robot."""
        return next((run for run in self._runs.values() if isinstance(run, Run) and run.is_current), None)

    def get(self, run_id: str) -> Run | PastRun:
        """Look a run up.

        Raises:
            Refusal: there is none.
        """
        if run_id not in self._runs:
            raise run_not_found(run_id)
        return self._runs[run_id]

    def under_control(self, run_id: str, detail: str | None = None) -> Run:
        """Look up a run that is the current one.

        Raises:
            Refusal: there is none, or another run is the current one.
        """
        run = self.get(run_id)
        if not isinstance(run, Run) or not run.is_current:
            raise run_not_current(detail or f"Run {run_id} is not the current run")
        return run

    def leave_phantom(self) -> None:
        """A creation that fails on the server leaves the id of a run that does not exist as the current one."""
        self._phantom = str(uuid4())

    def make_way(self) -> None:
        """Dismiss the current run so that another one can be made.

        Raises:
            Refusal: a phantom is in the way (and gone now), the current run is under way, or it must be signed first.
        """
        if self._phantom is not None:
            missing, self._phantom = self._phantom, None
            raise unexpected("RunNotFoundError", f"Run {missing} was not found.")
        current = self.current()
        if current is None:
            return
        if current.is_under_way:
            raise run_already_active()
        self._require_signature(current)
        self._archive(current)

    def add(self, protocol: ProtocolRecord | None, parameters: list[Parameter], offsets: list[dict[str, Any]]) -> Run:
        """Make a run, which becomes the current one; the oldest ones go, and with them the files they made."""
        for run_id in list(self._runs)[: max(len(self._runs) + 1 - MAX_RUNS, 0)]:
            self._forget(run_id)
        run = Run(protocol, parameters, [self.offset(one) for one in offsets], self._now)
        self._runs[run.id] = run
        self.keep(run)
        return run

    def keep(self, run: Run) -> None:
        """Write the row of a run."""
        self._memory.keep("run", run.id, run.row())

    def dismiss(self, run_id: str) -> Run:
        """Let the run no longer be the current one; only now its state and commands reach the database.

        Raises:
            Refusal: unknown run, not the current one, under way, or not signed although it must be.
        """
        run = self.under_control(run_id, f"Cannot update {run_id} because it is not the current run.")
        if run.is_under_way:
            raise run_not_idle(BUSY_DETAIL)
        self._require_signature(run)
        self._archive(run)
        return run

    def sign(self, run_id: str, name: str) -> Run:
        """Note who has reviewed a run that has ended.

        Raises:
            Refusal: unknown run, not the current one, or it has not ended.
        """
        run = self.under_control(run_id, f"Cannot sign {run_id} because it is not the current run.")
        if not run.has_ended:
            raise run_not_idle(f"Cannot sign {run_id} because it has not completed.")
        run.signed_by = name
        self.keep(run)
        return run

    def delete(self, run_id: str) -> None:
        """Forget a run.

        Raises:
            Refusal: unknown run, or under way.
        """
        if self.get(run_id).is_under_way:
            raise run_not_idle(ACTIVE_DETAIL)
        self._forget(run_id)

    def offset(self, offset: dict[str, Any]) -> dict[str, Any]:
        """A labware offset with id and time."""
        return {"id": str(uuid4()), "createdAt": self._now(), **offset}

    def _archive(self, run: Run) -> None:
        if not run.has_ended:
            run.halt()
        run.is_current = False
        self.keep(run)

    def _require_signature(self, run: Run) -> None:
        if self.must_be_signed and run.has_ended and run.started_at and not run.signed_by:
            raise signoff_required(run.id)

    def _forget(self, run_id: str) -> None:
        run = self._runs.pop(run_id)
        self._files().remove(run.output_file_ids)
        self._memory.drop("run", run_id)
