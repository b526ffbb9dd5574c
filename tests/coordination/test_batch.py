"""The batch that a form names is that of the runs it begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.coordination import work
from nkloop.coordination.work import Begun, carry_out
from nkloop.records.models import Context


async def test_a_run_of_a_flow_is_of_the_batch_its_form_names(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[Context] = []

    class Held:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

    async def run(session: Any, worklist: Any, verdict: Any, context: Context, reservation: str) -> Any:
        began.append(context)
        return SimpleNamespace(id="run-0001", n_transfers=1)

    async def nothing(*_: Any, **__: Any) -> Any:
        return None

    for name, stand_in in {
        "_run": run, "show_run": nothing, "_require_success": lambda *_, **__: None, "bench_held": lambda *_: Held(),
        "last_of": lambda *_: None, "require": lambda *_: None, "_log_verdict": lambda *_: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(work, name, stand_in)
    progress = SimpleNamespace(runs_done=0, transfers_done=0)
    session: Any = SimpleNamespace(
        campaign=None, round=None, batch="A", tell=lambda *_, **__: None, progress=progress, records=None,
        bench_file=SimpleNamespace(simulated=True),
    )  # fmt: skip
    worklist: Any = SimpleNamespace(name="feed", steps=(), n_transfers=1)
    await carry_out(session, worklist, phase="feeding", verdict=nothing(), begun=Begun("place"))
    assert began == [Context(batch="A", occurrence="place")]
