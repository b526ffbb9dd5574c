"""The violations of a ledger: each cause told once, what follows from it counted."""

from __future__ import annotations

from nkloop.errors import Problem


class Breaches:
    """Collects broken rules with the place they stand at."""

    def __init__(self) -> None:
        """Start without any."""
        self._where = "deck"
        self._first: dict[tuple[str, str], int] = {}
        self.violations: list[Problem] = []
        self.repeats: dict[int, list[str]] = {}
        """Index of a violation to the places of the breaches that follow from it."""
        self.last_cause = -1
        """Index of the violation said or counted last."""

    def at(self, where: str) -> None:
        """Name the place violations of the following commands stand at, when commands are given one by one."""
        self._where = where

    def say(self, rule: str, message: str, remedy: str, subject: str = "") -> int:
        """Note that a rule is broken at the present place; a second time for the same subject only counts.

        Returns:
            The index of the violation, that of the first one when it is a repetition.
        """
        first = self._first.get((rule, subject)) if subject else None
        if first is not None:
            return self._follows(first)
        self.last_cause = len(self.violations)
        if subject:
            self._first[rule, subject] = self.last_cause
        self.violations.append(Problem(message, self._where, remedy, rule))
        return self.last_cause

    def leads_to(self, cause: int, rule: str, subject: str) -> None:
        """Count later breaches of another rule for a subject as consequences of a violation."""
        self._first.setdefault((rule, subject), cause)

    def _follows(self, cause: int) -> int:
        """Count a breach as a consequence of an earlier one; the same place is told once."""
        self.last_cause = cause
        if self.violations[cause].where != self._where:
            self.repeats.setdefault(cause, []).append(self._where)
        return cause

    def _say_once(self, rule: str, well: str, message: str, remedy: str) -> int:
        """Each rule once per well: eight channels in a trough break it together."""
        return self.say(rule, message, remedy, well)
