"""The inbox as the readers and counters of its bench see it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.interfaces import Finding
from nkloop.errors import WorkspaceError
from nkloop.runs.inbox.inbox import Inbox


@dataclass
class InboxDeliveries:
    """Waits for files, and takes them in itself, so that no other process need be running (one may)."""

    inbox: Inbox
    _trouble: str = ""
    _since: dict[int, datetime] = field(default_factory=dict)

    def ask_plate(self, request: ReadRequest) -> int:
        """Say that a plate is waited for; the same request of the same run gets the same number."""
        asked = request.model_dump_json(exclude={"run_id"})
        wait = self.inbox.records.inbox.wait_for(
            self.inbox.bench, "plate", request.barcode, asked, run_id=request.run_id
        )
        self._since[wait.id] = datetime.now(UTC)
        return wait.id

    def ask_counts(self, barcode: str, wells: tuple[str, ...]) -> int:
        """Say that counts are waited for."""
        asked = json.dumps({"barcode": barcode, "wells": list(wells)})
        wait = self.inbox.records.inbox.wait_for(self.inbox.bench, "counts", barcode, asked)
        self._since[wait.id] = datetime.now(UTC)
        return wait.id

    async def delivered(self, number: int) -> str:
        """Take in what lies in the folder; what was delivered, as JSON, empty while nothing was.

        A folder that is gone for a while, such as a network share, is looked at again the next time.
        """
        try:
            await self.inbox.look()
            self._trouble = ""
        except WorkspaceError as error:
            self._trouble = str(error)
        return self.inbox.records.inbox.wait(number).answer

    def used(self, number: int) -> None:
        """Say that what was delivered has arrived for good."""
        self.inbox.records.inbox.used(number)

    def withdraw(self, number: int, why: str) -> None:
        """Say that nobody waits any longer."""
        self.inbox.records.inbox.withdraw(number, why)

    def put_aside(self, number: int) -> tuple[str, ...]:
        """Files put aside since then, each with its reason."""
        since = self._since.get(number, datetime.now(UTC))
        files = self.inbox.records.inbox.files(self.inbox.bench, state="quarantined")
        told = [f"{file.name}: {file.reason}" for file in files if file.seen_at >= since]
        return (*([self._trouble] if self._trouble else []), *told)

    def look(self) -> tuple[Finding, ...]:
        """Whether the folder is there and may be used."""
        folder = self.inbox.folder
        if self.inbox.is_own:
            folder.mkdir(parents=True, exist_ok=True)
        usable = folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)
        remedy = "" if usable else "make the folder, mount the share, give this user the right to read and write in it"
        return (Finding(subject="folder", found=str(folder), ok=usable, remedy=remedy),)
