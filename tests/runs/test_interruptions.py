"""A state machine: whatever is killed in whatever order, no step happens twice and the journal never lies."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nkloop.drivers.bench import Bench, load_bench_file
from nkloop.drivers.interfaces import FoundRun
from nkloop.errors import NkloopError, RunForgottenError, StaleHolderError
from nkloop.records import Records
from nkloop.records.models import RunDecision
from nkloop.runs.execution import play_run, prepare_run
from nkloop.runs.holding import devices_of
from nkloop.runs.reconcile import reconcile_bench
from nkloop.worklists.models import CheckResult, DeckItem, Filling, Liquid, Step, Verdict, Worklist

from .conftest import AT, ROOT, FakeClock, FakeHandler, FakeOperator, FakeReader

N_STEPS = 4


class Killed(BaseException):
    """The process ends here; nothing of it runs any more."""


class Device(FakeHandler):
    """A device that outlives the program, knows several runs, and may kill the program at any call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_left = -1
        self.forgets = False
        self.happened: dict[str, list[int]] = {}
        """Steps that physically happened, by run of the device."""
        self.runs: dict[str, FakeHandler] = {}

    def live(self) -> None:
        if self.calls_left == 0:
            raise Killed
        self.calls_left -= 1

    async def preflight(self, worklist: Worklist) -> Any:
        self.live()
        return ()

    async def find_runs(self, worklist: Worklist) -> tuple[FoundRun, ...]:
        self.live()
        found = [(name, run) for name, run in self.runs.items() if run.worklist == worklist]
        return tuple(FoundRun(id=name, is_played=run.plays > 0) for name, run in found)

    async def prepare(self, worklist: Worklist) -> str:
        self.live()
        self.fence()
        name = f"device-run-{len(self.happened) + 1}"  # never one it had before a power cut
        self.runs[name] = FakeHandler()
        await self.runs[name].prepare(worklist)
        self.happened[name] = []
        self.live()
        return name

    async def state(self, run_id: str) -> Any:
        self.live()
        run = self._known(run_id)
        before = len(run.done)
        found = await run.state(run_id)
        self.happened[run_id] += [
            int(str(c.params["message"]).split()[1][:-1]) for c in run.done[before:] if c.command_type == "comment"
        ]
        return found

    async def play(self, run_id: str) -> None:
        self.live()
        self.fence()
        await self._known(run_id).play(run_id)
        self.live()

    async def stop(self, run_id: str) -> None:
        self.live()
        self.fence()
        await self._known(run_id).stop(run_id)

    async def commands(self, run_id: str) -> Any:
        self.live()
        return await self._known(run_id).commands(run_id)

    async def files(self, run_id: str) -> Any:
        self.live()
        return ()

    def _known(self, run_id: str) -> FakeHandler:
        if self.forgets or run_id not in self.runs:
            raise RunForgottenError("the device lost power")
        return self.runs[run_id]

    def loses_power(self) -> None:
        self.runs.clear()


def worklist(number: int) -> Worklist:
    steps = tuple(
        Step(
            number=n, action="transfer", labware="plate", well="A1", to_labware="plate", to_well=f"B{n}", volume_ul=10,
            tip=f"tips:A{n}",
        )
        for n in range(1, N_STEPS + 1)
    )  # fmt: skip
    return Worklist(
        name=f"work {number}",
        procedure="cytotoxicity_assay",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="plate", slot="D2", load_name="corning_96_wellplate_360ul_flat"),
            DeckItem(nickname="tips", slot="A1", load_name="opentrons_flex_96_filtertiprack_200ul"),
        ),
        fillings=(Filling(labware="plate", well="A1", volume_ul=300, liquid=Liquid(name="x", per_ul={"b": 1.0})),),
        steps=steps,
    )


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        made = Records(f"sqlite:///{path}")
        made.migrate()
        made.close()
        return path.read_bytes()


class Interruptions(RuleBasedStateMachine):
    """One bench, many processes that die."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "records.db").write_bytes(_empty_database())
        self.records = Records(f"sqlite:///{self.folder / 'records.db'}")
        self.device = Device()
        file = load_bench_file(ROOT / "devices" / "virtual.yaml").model_copy(update={"locks": ("flex",)})
        operator: Any = FakeOperator()
        self.bench = Bench(file, self.device, FakeReader(), None, operator, FakeClock())  # type: ignore[arg-type]
        self.made = 0

    def teardown(self) -> None:
        if hasattr(self, "records"):
            self.records.close()
            shutil.rmtree(self.folder)

    def attempt(self, work: Any, calls: int) -> bool:
        """Do something in a process that is killed before its n-th call to the device; True when it came through."""
        self.device.calls_left = calls
        try:
            asyncio.run(work())
        except Killed:
            return False
        except NkloopError:
            return False
        finally:
            self.device.calls_left = -1
            self.device.fence = lambda: None
        return True

    @rule(calls=st.integers(0, 14))
    def run_something(self, calls: int) -> None:
        self.made += 1
        work = worklist(self.made)
        passed = CheckResult(check="ledger", passed=True, seconds=0)
        verdict = Verdict(worklist=work.name, worklist_hash=work.content_hash, checks=(passed,))

        async def run() -> None:
            run_id = await prepare_run(work, verdict, self.bench, self.records)
            await play_run(run_id, self.bench, self.records)

        self.attempt(run, calls)

    @rule(calls=st.integers(0, 8))
    def reconcile(self, calls: int) -> None:
        async def settle() -> None:
            await reconcile_bench(self.bench, self.records)

        self.attempt(settle, calls)

    @rule()
    def power_cut(self) -> None:
        self.device.loses_power()

    @precondition(lambda self: hasattr(self, "records"))
    @rule()
    def decide(self) -> None:
        for run in self.records.decisions.undecided(devices_of(self.bench)):
            decision = RunDecision(run_id=run.id, decision="discard", by="Ada", reason="power cut", at=AT)
            self.records.decisions.add(decision)

    @rule()
    def a_stale_holder_changes_nothing(self) -> None:
        stale = self.records.claims.claim(devices_of(self.bench), "stale", lease_seconds=0)
        self.records.claims.release(self.records.claims.claim(devices_of(self.bench), "new"))
        for run in self.records.journal.runs():
            try:
                self.records.journal.set_run_state(run.id, run.state, claim=stale)
            except StaleHolderError:
                continue
            raise AssertionError("a stale holder wrote")

    @invariant()
    def nothing_happens_twice_and_the_journal_is_right(self) -> None:
        if not hasattr(self, "records"):
            return
        for steps in self.device.happened.values():
            assert len(steps) == len(set(steps)), "a step was executed twice in a run"
        for run in self.records.journal.runs():
            happened = set(self.device.happened.get(run.device_run_id or "", ()))
            for step in run.steps:
                if step.event == "done":
                    assert step.number in happened
                if step.event == "failed" and run.is_over:
                    assert step.number not in happened

    @invariant()
    def the_chain_holds_and_nobody_waits_for_the_dead(self) -> None:
        if hasattr(self, "records"):
            assert self.records.audit.verify_chain() == ()


TestInterruptions = Interruptions.TestCase
TestInterruptions.settings = settings(max_examples=6, stateful_step_count=8, deadline=None)
