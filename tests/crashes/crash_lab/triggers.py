"""Where a process is hit: at its n-th durable write or n-th request, before, within or after it.

The hooks live in the forked test process only; the package knows nothing of them.
"""

from __future__ import annotations

import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import sqlalchemy as sa

from crash_lab.places import Places
from nkloop.records.database import Database

PHASES = {"write": ("before", "torn", "after"), "request": ("before", "after")}
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)[0-9a-f]{32}")


@dataclass(frozen=True)
class Trigger:
    """Kill `victim`, or send it another signal, when this process passes this transition for the n-th time."""

    victim: str
    kind: str
    name: str
    nth: int
    phase: str
    signal: signal.Signals = signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.phase} {self.kind} '{self.name}' number {self.nth}"


class Triggers:
    """Counts the transitions of this process and strikes at one of them."""

    def __init__(self, places: Places, trigger: Trigger | None) -> None:
        self._places = places
        self._trigger = trigger
        self._seen: Counter[tuple[str, str]] = Counter()

    def install(self) -> None:
        """Hook into every durable write and every request of this process."""
        self._hook_writes()
        self._hook_requests()

    def begin(self, kind: str, name: str) -> int:
        """Count a transition and strike before it when that is asked for."""
        self._seen[kind, name] += 1
        number = self._seen[kind, name]
        with self._places.transitions.open("a", encoding="utf-8") as file:
            file.write(f"{kind}\t{name}\t{number}\n")
        self.strike(kind, name, number, "before")
        return number

    def strike(self, kind: str, name: str, number: int, phase: str) -> None:
        """Kill when this is the instant."""
        trigger = self._trigger
        if trigger is None or (kind, name, number, phase) != (trigger.kind, trigger.name, trigger.nth, trigger.phase):
            return
        self._trigger = None
        self._places.kill(trigger.victim, str(trigger), trigger.signal)

    def _hook_writes(self) -> None:
        original, triggers = Database.writing, self

        @contextmanager
        def writing(database: Database) -> Iterator[sa.Connection]:
            # Frames above: contextlib, the with-statement's context object, the method of the records.
            name = _write_name(sys._getframe(2))
            number = triggers.begin("write", name)
            with original(database) as connection:
                yield connection
                triggers.strike("write", name, number, "torn")
            triggers.strike("write", name, number, "after")

        Database.writing = writing  # type: ignore[method-assign]

    def _hook_requests(self) -> None:
        original, triggers = httpx.AsyncHTTPTransport.handle_async_request, self

        async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
            name = f"{request.method} {_IDS.sub('*', request.url.path)}"
            number = triggers.begin("request", name)
            response = await original(transport, request)
            triggers.strike("request", name, number, "after")
            return response

        httpx.AsyncHTTPTransport.handle_async_request = handle  # type: ignore[method-assign]


def _write_name(frame: Any) -> str:
    """What is written: the method of the records, and of which state or event it tells."""
    told = frame.f_locals
    events = {event.event for event in told.get("events") or () if hasattr(event, "event")}
    more = told.get("state") if isinstance(told.get("state"), str) else "+".join(sorted(events))
    return f"{frame.f_code.co_name} {more}".strip()
