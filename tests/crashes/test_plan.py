"""Which crashes are staged: every kind of transition before any comes a second time."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

WRITES = ("claim", "create_run", "append_events sent", "close_run succeeded", "release")


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("crash_lab.plan")


def test_server_and_runner_are_killed_at_every_kind_of_write_of_every_procedure(plan: Any) -> None:
    course = plan.Course((*(("write", name, 1) for name in WRITES), ("write", "release", 2)), 100, 1.0)
    courses = {**dict.fromkeys(plan.KINDS, course), "medium_preparation on an OT-2": course}
    n_kinds = len(WRITES) + 1 + len(plan.WHEN_DECIDED)
    crashes = plan.coordinated(courses, 2 * 3 * n_kinds, 1, (plan.WORKER, plan.SERVICE), first_number=40)
    hit = Counter((one.procedure, one.physical is not None, (one.again or one.trigger).name) for one in crashes)
    assert len(hit) == 3 * n_kinds
    assert set(hit.values()) == {2}
    assert {one.victim for one in crashes} == {(one.again or one.trigger).victim for one in crashes}
    assert Counter(one.victim for one in crashes)[plan.SERVICE] == 3 * n_kinds
    assert [one.number for one in crashes[:2]] == [40, 41]
    assert crashes != plan.coordinated(courses, 2 * 3 * n_kinds, 2, (plan.WORKER, plan.SERVICE), first_number=40)
