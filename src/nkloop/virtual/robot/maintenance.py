"""Maintenance runs: calibration and pipette changes, which a person does on the screen or in the App."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from nkloop.virtual.robot.interfaces import Command


class MaintenanceRun:
    """A run without a protocol beside the others; it stands in the way of people, not of the server."""

    def __init__(self, created_at: str) -> None:
        self.id = str(uuid4())
        self.created_at = created_at
        self.commands: list[Command] = []
        self.offsets: list[dict[str, Any]] = []

    def shown(self) -> dict[str, Any]:
        """The run as `/maintenance_runs/{id}` tells it."""
        return {
            "id": self.id,
            "createdAt": self.created_at,
            "status": "idle",
            "current": True,
            "actions": [],
            "errors": [],
            "hasEverEnteredErrorRecovery": False,
            "pipettes": [],
            "modules": [],
            "labware": [],
            "liquids": [],
            "labwareOffsets": self.offsets,
        }
