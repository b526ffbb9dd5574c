"""The command line in this process, in a workspace of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nkloop.cli import main
from nkloop.cli.plan import planned as planned_module
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import Verdict, Worklist
from nkloop.workspace import Workspace


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stands on standard output, which is JSON and nothing else."""
        return json.loads(self.out)


Nkloop = Callable[..., Ended]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "lab")


@pytest.fixture
def nkloop(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nkloop:
    """`nkloop("recipe", "list")`: run a command as the console script does, inside the workspace."""
    monkeypatch.chdir(workspace.root)
    for name in ("NKLOOP_DATABASE_URL", "NKLOOP_VIRTUAL_URL", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["nkloop", *map(str, arguments)])
        code: int | str | None = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        told = capsys.readouterr()
        return Ended(int(code or 0), told.out, told.err)

    return run


@pytest.fixture
def by_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are checked by the ledger alone: the three ways are tested where the vendor environment is."""

    async def verified(parts: Any, workspace: Workspace, catalogue: Any, file: Any) -> tuple[Verdict, ...]:
        def verdict(part: Worklist) -> Verdict:
            checks = (check_ledger(part, catalogue, file.deck),)
            return Verdict(worklist=part.name, worklist_hash=part.content_hash, checks=checks)

        return tuple(verdict(part) for part in parts)

    monkeypatch.setattr(planned_module, "verified", verified)
