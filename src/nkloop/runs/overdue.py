"""A robot that takes far longer than planned: said once, for nothing else would end the waiting."""

from __future__ import annotations

import time
from collections.abc import Callable

from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.duration import start_seconds, step_durations
from nkloop.worklists.models import PLATE_READING, Worklist

PATIENT_SECONDS = 600.0
"""A plan is an estimate: nobody is called for less than this beyond twice the planned time."""


class Stretch:
    """The robot's work between two pauses, with the time it was planned to take."""

    def __init__(self, worklist: Worklist, deck: BenchDeck, now: Callable[[], float] = time.monotonic) -> None:
        """Plan every step; a reading has no plan.

        Args:
            worklist: that is run.
            deck: with the speeds of the bench.
            now: seconds of a clock that only goes forward; real time also on a bench that simulates faster.
        """
        planned = () if worklist.procedure == PLATE_READING else step_durations(worklist, deck)
        self._seconds = {one.number: one.robot_s + (0.0 if one.is_hands_on else one.waiting_s) for one in planned}
        self._pauses = {one.number for one in planned if one.is_hands_on}
        self._start_s = start_seconds(worklist, deck) if planned else 0.0
        self._now = now
        self._begun: float | None = None
        self._planned_s = 0.0
        self._is_told = False

    def begin(self, step: int) -> None:
        """The robot works on, `step` being the last that is known to have begun; a stretch under way goes on."""
        if self._begun is not None or not self._seconds:
            return
        ahead = [number for number in self._seconds if number >= step]
        end = next((number for number in ahead if number > step and number in self._pauses), None)
        self._planned_s = sum(self._seconds[number] for number in ahead if end is None or number < end)
        self._planned_s += self._start_s if step == 0 else 0.0
        self._begun, self._is_told = self._now(), False

    def end(self) -> None:
        """The robot waits for somebody."""
        self._begun = None

    def overdue(self) -> str:
        """How far beyond its plan it is, the first time it is; empty otherwise."""
        if self._begun is None or self._is_told:
            return ""
        taken = self._now() - self._begun
        if taken <= 2 * self._planned_s + PATIENT_SECONDS:
            return ""
        self._is_told = True
        return f"works since {taken / 60:.0f} min on what was planned for {max(1, round(self._planned_s / 60))} min"
