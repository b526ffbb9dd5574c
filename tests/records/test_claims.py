"""One holder per device: leases, takeovers, tokens that only grow, and a journal that refuses the stale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from nkloop.errors import DeviceHeldError, NkloopError, StaleHolderError
from nkloop.records import Records, claims, processes
from nkloop.records.models import Claim, Context
from nkloop.records.processes import has_ended, this_process
from nkloop.worklists.models import Verdict, Worklist

FLEX = ("flex-01",)


def ended_process() -> str:
    """Mark of a process of this machine that is gone."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    mark = this_process()._replace(pid=child.pid, started=processes._started(child.pid))
    child.wait(timeout=30)
    return mark.mark


def test_a_second_claim_is_refused_with_who_and_until_when(everywhere: Records) -> None:
    first = everywhere.claims.claim(FLEX, "feed culture-1")
    told = rf"flex-01 is held by feed culture-1 \(process {os.getpid()} on .* at least until \d\d:\d\d:\d\d UTC"
    with pytest.raises(DeviceHeldError, match=rf"^{told}"):
        everywhere.claims.claim(FLEX, "prepare medium")
    everywhere.claims.release(first)
    assert everywhere.claims.claim(FLEX, "prepare medium").token == first.token + 1
    assert everywhere.audit.verify_chain() == ()


def test_a_lease_that_ran_out_is_taken_over_and_the_old_holder_is_stale(everywhere: Records) -> None:
    first = everywhere.claims.claim(FLEX, "feed culture-1", lease_seconds=0)
    second = everywhere.claims.claim(FLEX, "prepare medium")
    for refused in (everywhere.claims.check, everywhere.claims.renew):
        with pytest.raises(StaleHolderError, match=r"feed culture-1 .* held by prepare medium .*token 2"):
            refused(first)
    everywhere.claims.release(first)
    everywhere.claims.check(second)
    assert [line.partition(": ")[2].partition(" (")[0] for line in everywhere.claims.history("flex-01")] == [
        "claimed by feed culture-1",
        "taken over by prepare medium",
    ]
    assert "whose lease had run out" in everywhere.claims.history("flex-01")[-1]


def test_a_holder_that_nobody_replaced_may_renew_late(everywhere: Records) -> None:
    claim = everywhere.claims.claim(FLEX, "feed culture-1", lease_seconds=0)
    everywhere.claims.renew(claim)
    with pytest.raises(DeviceHeldError):
        everywhere.claims.claim(FLEX, "prepare medium")


def test_the_device_of_a_process_that_died_is_free_at_once(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = processes.ProcessMark(**json.loads(ended_process()))
    with monkeypatch.context() as patch:
        patch.setattr(claims, "this_process", lambda: gone)
        records.claims.claim(FLEX, "feed culture-1", lease_seconds=3600)
    assert records.claims.claim(FLEX, "prepare medium").token == 2
    assert records.claims.history("flex-01")[-1].endswith("whose process has ended")


def test_what_cannot_be_known_of_a_process_counts_as_alive() -> None:
    here = this_process()
    assert not has_ended(here.mark)
    assert not has_ended(here._replace(host="elsewhere", pid=1).mark)
    assert not has_ended(here._replace(space="pid:[1]").mark)
    assert not has_ended("no mark")
    gone = processes.ProcessMark(**json.loads(ended_process()))
    assert not has_ended(gone._replace(boot="another start").mark), "another machine of the same name, or a restart"
    assert not has_ended(gone._replace(machine="another").mark)
    assert has_ended(here._replace(started="1").mark), "the number was given to a later process"
    assert has_ended(gone.mark)


def test_a_bench_is_claimed_whole_or_not_at_all(records: Records) -> None:
    records.claims.claim(("reader",), "read plate 1")
    with pytest.raises(DeviceHeldError, match="reader is held by read plate 1"):
        records.claims.claim(("flex-01", "reader"), "killing assay")
    assert records.claims.claim(FLEX, "prepare medium").token == 1


def test_devices_claimed_together_share_a_token_above_all_they_had(records: Records) -> None:
    for _ in range(3):
        records.claims.release(records.claims.claim(FLEX, "work"))
    both = records.claims.claim(("reader", "flex-01"), "killing assay")
    assert (both.devices, both.token) == (("flex-01", "reader"), 4)


def test_of_many_who_ask_at_once_one_gets_it(everywhere: Records) -> None:
    won: list[Claim] = []
    ready = threading.Barrier(6)

    def ask(number: int) -> None:
        ready.wait()
        try:
            won.append(everywhere.claims.claim(FLEX, f"flow {number}"))
        except DeviceHeldError:
            return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_stale_holder_writes_nothing_into_the_journal(
    everywhere: Records, worklist: Worklist, verdict: Verdict, at: datetime
) -> None:
    journal = everywhere.journal
    old = everywhere.claims.claim(FLEX, "feed culture-1", lease_seconds=0)
    run_id = journal.create_run(worklist, verdict, bench="virtual", device="flex", at=at, context=Context(), claim=old)
    journal.append_event(run_id, [1, 2, 3], "intended", at=at, device="flex", claim=old)
    new = everywhere.claims.claim(FLEX, "prepare medium")
    before = journal.events(run_id)
    with pytest.raises(StaleHolderError):
        journal.append_event(run_id, [1], "sent", at=at, device="flex", claim=old)
    with pytest.raises(StaleHolderError):
        journal.set_run_state(run_id, "running", claim=old)
    with pytest.raises(StaleHolderError):
        journal.create_run(worklist, verdict, bench="virtual", device="flex", at=at, context=Context(), claim=old)
    assert (journal.events(run_id), journal.run(run_id).state, len(journal.runs())) == (before, "planned", 1)
    journal.append_event(run_id, [1], "unknown", at=at, device="flex", claim=new)
    assert [event.token for event in journal.events(run_id)] == [old.token] * 3 + [new.token]
    assert everywhere.audit.verify_chain() == ()


def test_a_run_of_a_claimed_device_is_not_written_to_without_its_claim(
    records: Records, worklist: Worklist, verdict: Verdict, at: datetime
) -> None:
    mine = records.claims.claim(FLEX, "feed culture-1")
    run_id = records.journal.create_run(
        worklist, verdict, bench="virtual", device="flex", at=at, context=Context(), claim=mine
    )
    other = records.claims.claim(("ot2-01",), "prepare medium")
    for claim, told in ((None, "nobody claimed them"), (other, "claim 1 covers ot2-01")):
        with pytest.raises(StaleHolderError, match=rf"{run_id} is on flex-01, but {told}"):
            records.journal.set_run_state(run_id, "running", claim=claim)


class Holders(RuleBasedStateMachine):
    """Whatever happens in whatever order: at most one valid claim per device, and tokens only grow."""

    made = Bundle("made")

    @initialize()
    def open(self) -> None:
        self.records = Records("sqlite://")
        self.records.migrate()
        self.newest: dict[str, int] = {}
        self.all: list[Claim] = []

    def teardown(self) -> None:
        if hasattr(self, "records"):
            self.records.close()

    @rule(
        target=made,
        devices=st.sets(st.sampled_from(["flex", "ot2", "reader"]), min_size=1),
        lease=st.sampled_from([0.0, 60.0]),
    )
    def claim(self, devices: set[str], lease: float) -> Claim | None:
        try:
            claim = self.records.claims.claim(tuple(devices), "work", lease_seconds=lease)
        except DeviceHeldError:
            return None
        assert all(claim.token > self.newest.get(device, 0) for device in devices)
        self.newest |= dict.fromkeys(claim.devices, claim.token)
        self.all.append(claim)
        return claim

    @rule(claim=made)
    def release(self, claim: Claim | None) -> None:
        if claim is not None:
            self.records.claims.release(claim)

    @rule(claim=made, lease=st.sampled_from([0.0, 60.0]))
    def renew(self, claim: Claim | None, lease: float) -> None:
        if claim is None:
            return
        try:
            self.records.claims.renew(claim, lease_seconds=lease)
        except StaleHolderError:
            holders = {holder.device: holder for holder in self.records.claims.holders()}
            assert any(holders[device].token != claim.token or holders[device].released_at for device in claim.devices)

    @invariant()
    def one_holds(self) -> None:
        if not hasattr(self, "records"):
            return
        valid = [claim for claim in self.all if self._is_valid(claim)]
        devices = [device for claim in valid for device in claim.devices]
        assert len(devices) == len(set(devices))

    def _is_valid(self, claim: Claim) -> bool:
        try:
            self.records.claims.check(claim)
        except NkloopError:
            return False
        return True


TestHolders = Holders.TestCase
TestHolders.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
