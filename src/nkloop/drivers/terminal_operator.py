"""A person at the terminal the run was started in: told what to do, asked for codes line by line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import ClassVar, NoReturn

from nkloop.drivers.interfaces import Finding, OperatorAnswer, OperatorRequest, choice_problem
from nkloop.drivers.keyboard import Keyboard
from nkloop.drivers.operators import ATTEMPTS, item_told, limits_of, lot_told
from nkloop.drivers.scanning import ScanBook, Scans
from nkloop.drivers.timing import too_early
from nkloop.drivers.withdrawing import why_withdrawn
from nkloop.errors import NobodyToAskError, OperatorRefusedError

Listen = Callable[[str], Awaitable[str | None]]
"""Shows a prompt and gives the line typed or scanned; None when there is nobody (any more)."""
NO = ("no", "n")
YES = ("yes", "y")
_KEYBOARD = Keyboard()
"""One for the program: there is one standard input."""


class TerminalOperator:
    """Asks on standard output, listens on standard input. One request at a time; `no` and a reason declines."""

    beside: ClassVar[Callable[[], AbstractContextManager[object]]] = nullcontext
    """What else draws on the terminal stays away within it; a person cannot type into a line that is drawn anew."""

    def __init__(
        self,
        name: str,
        *,
        say: Callable[[str], None] | None = None,
        listen: Listen | None = None,
        scan_book: ScanBook | None = None,
    ) -> None:
        """Ask nothing yet.

        Args:
            name: who is meant, for example `technician`.
            say: stands in for the terminal in tests.
            listen: stands in for the terminal in tests.
            scan_book: where refused scans are written down; nkloop gives it where there is a database.
        """
        self.name = name
        self._scan_book = scan_book
        self._say = say or _say
        self._listen = listen or _KEYBOARD.listen
        self._one_at_a_time = asyncio.Lock()

    async def inspect(self) -> tuple[Finding, ...]:
        """Whether there is a terminal."""
        there = sys.stdin is not None and sys.stdin.isatty()
        told = "asked in this terminal" if there else "would be asked in a terminal, and this is none"
        remedy = "" if there else "start runs of this bench from a terminal, or use DeskOperator and `nkloop operator`"
        return (Finding(subject="operator", found=told, ok=True, remedy=remedy),)

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        """Tell the task, take the codes, ask who confirms.

        Raises:
            OperatorRefusedError: the person declined, or answered a choice wrongly three times.
            NobodyToAskError: nobody is there.
        """
        async with self._one_at_a_time:
            with type(self).beside():
                try:
                    return await self._performed(request)
                except asyncio.CancelledError as stop:
                    if why := why_withdrawn(stop):
                        self._say(f"\n  Withdrawn: {why}. Nothing is to be answered any more.")
                    raise

    async def _performed(self, request: OperatorRequest) -> OperatorAnswer:
        asked_at = datetime.now(UTC)
        for line in told_of(request):
            self._say(line)
        if request.choices:
            return await self._chosen(request)
        who, scanned = await self._named(request), tuple[str, ...]()
        if request.barcodes or request.lots:
            scanned = await self._scanned(request, who)
            await self._confirmed(request, who)
        early = too_early(request.task, asked_at, datetime.now(UTC))
        prompt = f"{early}; why? " if early else "Note (Enter for none): "
        note = (await self._asked(request, prompt, may_be_empty=not early)).strip()
        now = datetime.now(UTC)
        return OperatorAnswer(confirmed_by=who, at=now, note=note, scanned=scanned, early=early)

    async def _named(self, request: OperatorRequest) -> str:
        """Who answers: asked before codes are scanned, so that wrong ones are written down with who scanned them."""
        scans = Scans.of(request)
        prompt = "Your name, or no: " if scans.total else "Done as asked? Your name, or no: "
        while scans.is_code(who := (await self._asked(request, prompt)).strip()):
            self._say(f"  NO: {who} is a code; your name comes first")
        if who.lower() in NO:
            await self._declined(request)
        return who

    async def _chosen(self, request: OperatorRequest) -> OperatorAnswer:
        keys = ", ".join(one.key for one in request.choices)
        for _ in range(ATTEMPTS):
            choice = (await self._asked(request, f"Choose ({keys}): ")).strip().lower()
            if choice not in keys.split(", "):
                problem = choice_problem(request, choice, "")
            else:
                reason = (await self._asked(request, "Why: ")).strip()
                problem = choice_problem(request, choice, reason)
            if not problem:
                who = (await self._asked(request, "Your name: ")).strip()
                return OperatorAnswer(confirmed_by=who, at=datetime.now(UTC), note=reason, choice=choice)
            self._say(f"  NO: {problem}")
        raise OperatorRefusedError(problem, where=request.title, remedy="settle it, then start again")

    async def _confirmed(self, request: OperatorRequest, who: str) -> None:
        while (line := (await self._asked(request, "Done as asked? yes or no: ")).strip()).lower() not in YES:
            if line.lower() in NO:
                await self._declined(request, who)
            self._say(f"  NO: '{line}' is neither yes nor no")

    async def _scanned(self, request: OperatorRequest, who: str) -> tuple[str, ...]:
        scans = Scans.written(request, self._scan_book, who)
        while scans.missing:
            line = (await self._asked(request, f"Scan ({len(scans.missing)} to go), or no: ")).strip()
            if line.lower() in NO:
                await self._declined(request, who)
            scan = scans.take(line)
            self._say(f"  {'ok' if scan.ok else 'NO'}: {scan.told}")
        return tuple(scans.taken)

    async def _declined(self, request: OperatorRequest, who: str = "") -> NoReturn:
        who = who or await self._asked(request, "Your name: ")
        reason = await self._asked(request, "Why not: ")
        raise OperatorRefusedError(
            f"{who.strip()} declined: {reason.strip()}",
            where=request.title,
            remedy="settle it with the operator and start again",
        )

    async def _asked(self, request: OperatorRequest, prompt: str, *, may_be_empty: bool = False) -> str:
        while True:
            line = await self._listen(prompt)
            if line is None:
                raise NobodyToAskError(
                    "nobody is at the terminal",
                    where=request.title,
                    remedy="start the run from a terminal, or use DeskOperator in the bench file and `nkloop operator`",
                )
            if line.strip() or may_be_empty:
                return line


def told_of(request: OperatorRequest) -> list[str]:
    """The request as lines for a terminal: what, how long, deck with lots, codes to scan."""
    instruction = request.task.instruction
    lines = ["", f"== {request.title}", *([] if request.title.endswith(instruction) else [instruction])]
    if limits := limits_of(request.task):
        lines.append(f"   {limits}")
    if request.worklist is not None:
        lines += ["   deck:", *_deck_lines(request)]
    if request.barcodes:
        lines += ["   scan labware:", *(f"     {code}  {name}" for name, code in request.barcodes.items())]
    if request.lots:
        lines.append("   scan lots:")
        lines += [f"     {lot_told(one)}" for one in request.lots]
    if request.choices:
        lines += ["   choose:", *(f"     {one.key:<7} {one.label}" for one in request.choices)]
    return lines


def _deck_lines(request: OperatorRequest) -> list[str]:
    worklist = request.worklist
    if worklist is None:
        return []
    lines = []
    for item in sorted(worklist.deck, key=lambda item: item.slot):
        lines.append(f"     {item.slot:<3} {item.label or item.load_name}")
        lines += [f"         {told}" for told in item_told(item, worklist)]
    return lines


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
