"""Tips that a program which was killed may have left on the arm of a device that neither feels nor drops them."""

from __future__ import annotations

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import KeepsTips
from nkloop.records import Records


def hanging_tips(bench: Bench, records: Records, run_id: str) -> str:
    """What people are to look for before a run, because the one before it on the bench was cut; empty otherwise."""
    handler = bench.liquid_handler
    if not (isinstance(handler, KeepsTips) and handler.keeps_tips):
        return ""
    before = next((run for run in records.journal.latest(bench.name, 2) if run.id != run_id), None)
    if before is None or before.state == "succeeded":
        return ""
    return (
        f" See that no tip hangs on the arm of {handler.name}, which does not feel one: {before.id} did not come to "
        "its end. Take a tip off by hand, with what it holds, into the waste."
    )
