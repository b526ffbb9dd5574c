"""People as devices: a Prefect run that pauses until somebody has done what is asked and says so."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import httpx

from nkloop.drivers.interfaces import (
    SHORTEST_REASON,
    Choice,
    Finding,
    LotToScan,
    Operator,
    OperatorAnswer,
    OperatorRequest,
    choice_problem,
)
from nkloop.drivers.scanning import ScanBook, Scans
from nkloop.drivers.timing import COUNTED, EARLY_REMEDY, is_timed, too_early
from nkloop.drivers.withdrawing import why_withdrawn
from nkloop.errors import OperatorRefusedError
from nkloop.frozen import content_hash
from nkloop.quantities.display import volume_told
from nkloop.worklists.arrivals import arrival_told, left_by
from nkloop.worklists.empty_wells import empty_told, empty_wells
from nkloop.worklists.models import DeckItem, Filling, OperatorTask, Worklist

if TYPE_CHECKING:
    from nkloop.drivers.desk_operator import RequestList

ATTEMPTS = 3
"""How often a wrong barcode may be answered."""
LONGEST_WAIT_S = 24 * 3600
logger = logging.getLogger(__name__)
Ask = Callable[[type[Any], str, str, float], Awaitable[Any]]
"""Shows a form and waits: form class, description (Markdown), key unique in the flow run, seconds to wait."""


class PrefectOperator:
    """Asks on the page of the flow run that is under way; the run keeps its locks and goes on when answered.

    Where no flow is under way (a command, what a service closes when it starts), the terminal asks, or the list that
    `nkloop operator` answers where there is none.
    """

    def __init__(
        self,
        name: str,
        *,
        wait_seconds: float = LONGEST_WAIT_S,
        ask: Ask | None = None,
        scan_book: ScanBook | None = None,
        requests: RequestList | None = None,
    ) -> None:
        """Ask nothing yet.

        Args:
            name: who is meant, for example `technician`.
            wait_seconds: longest wait for one answer.
            ask: replaces Prefect in tests.
            scan_book: where refused scans are written down; nkloop gives it where there is a database.
            requests: the list for `nkloop operator`; nkloop gives it where there is a database.
        """
        self.name = name
        self._requests = requests
        self._scan_book = scan_book
        self._wait_seconds = wait_seconds
        self._ask = ask

    async def inspect(self) -> tuple[Finding, ...]:
        """People are not asked before there is something to do."""
        told = "asked on the page of the flow run in Prefect; without a flow in the terminal or with `nkloop operator`"
        return (Finding(subject="operator", found=told, ok=True),)

    async def perform(self, request: OperatorRequest) -> OperatorAnswer:
        """Show the task and wait for a confirmation with name and the scanned barcodes of labware and lots.

        Raises:
            OperatorRefusedError: the person declined, scanned wrong barcodes three times, or a lot has expired.
        """
        if self._ask is None and not is_in_flow():
            return await self._beside().perform(request)
        ask = self._ask or ask_in_prefect
        if request.choices:
            return await self._chosen(request, ask)
        form = confirmation_form(with_barcodes=bool(request.barcodes or request.lots))
        asked_at, problem, wrong = datetime.now(UTC), "", 0
        for attempt in count(1):
            answer = await ask(
                form, describe(request, problem), f"{request_key(request)}-{attempt}", self._wait_seconds
            )
            if not answer.done:
                raise OperatorRefusedError(
                    f"{answer.operator} declined: {answer.note or 'no reason given'}",
                    where=request.title,
                    remedy="settle it with the operator and start again",
                )
            scans = Scans.written(request, self._scan_book, answer.operator)
            now = datetime.now(UTC)
            scans.take_all(getattr(answer, "scanned", ""))
            if scans.problem:
                wrong, problem = wrong + 1, f"Wrong barcodes. {scans.problem}"
            elif (early := too_early(request.task, asked_at, now)) and not answer.note.strip():
                problem = f"{early}: {EARLY_REMEDY}"
            else:
                told = {"note": answer.note, "scanned": tuple(scans.taken), "early": early}
                return OperatorAnswer(confirmed_by=answer.operator, at=now, **told)
            if wrong >= ATTEMPTS:
                break
        raise OperatorRefusedError(
            scans.problem, where=request.title, remedy="put the labware named there, then start again"
        )

    @property
    def by_list(self) -> bool:
        """Whether neither a page nor a terminal would ask now."""
        return self._ask is None and not is_in_flow() and not self._asks_in_terminal

    @property
    def _asks_in_terminal(self) -> bool:
        return (sys.stdin is not None and sys.stdin.isatty()) or self._requests is None

    def _beside(self) -> Operator:
        """Who asks where there is no page of a flow run."""
        if self._asks_in_terminal:
            return self._terminal
        logger.warning("a person is asked outside a flow; answer with: nkloop operator")
        return self._desk

    @cached_property
    def _terminal(self) -> Operator:
        """One for all questions, because it is what lets one wait for another."""
        from nkloop.drivers.terminal_operator import TerminalOperator

        return TerminalOperator(self.name, scan_book=self._scan_book)

    @cached_property
    def _desk(self) -> Operator:
        from nkloop.drivers.desk_operator import DeskOperator

        return DeskOperator(self.name, wait_minutes=self._wait_seconds / 60, requests=self._requests)

    async def _chosen(self, request: OperatorRequest, ask: Ask) -> OperatorAnswer:
        form = choice_form(request.choices)
        answer = await ask(form, describe(request), f"{request_key(request)}-1", self._wait_seconds)
        if problem := choice_problem(request, answer.choice, answer.reason):
            raise OperatorRefusedError(problem, where=request.title, remedy="start again and choose one of them")
        return OperatorAnswer(
            confirmed_by=answer.operator, at=datetime.now(UTC), note=answer.reason.strip(), choice=answer.choice
        )


def confirmation_form(*, with_barcodes: bool) -> type[Any]:
    """The form a person fills in. Bounds stand in the fields, because initial data would drop them."""
    from prefect.input import RunInput
    from pydantic import Field

    class Confirmation(RunInput):
        """What the operator says."""

        operator: str = Field(min_length=1, max_length=80, title="Your name")
        done: bool = Field(default=True, title="Done as asked", description="Switch off to decline; the run then stops")
        note: str = Field(
            default="",
            max_length=500,
            title="Note",
            description="Needed when a time was shorter than asked for: why",
        )

    if not with_barcodes:
        return Confirmation

    class ScannedConfirmation(Confirmation):
        """What the operator says, with the barcodes of the labware handled."""

        scanned: str = Field(
            min_length=1,
            title="Scanned barcodes",
            description="In any order, separated by spaces; a dash when you decline",
        )

    return ScannedConfirmation


def choice_form(choices: Sequence[Choice]) -> type[Any]:
    """The form with which one of several answers is chosen; nothing is chosen beforehand."""
    from prefect.input import RunInput
    from pydantic import Field, create_model

    about = "; ".join(f"{one.key}: {one.label}" for one in choices)
    keys = Literal[tuple(one.key for one in choices)]  # type: ignore[valid-type]
    fields: dict[str, Any] = {
        "operator": (str, Field(min_length=1, max_length=80, title="Your name")),
        "choice": (keys, Field(title="What is to happen", description=about)),
        "reason": (str, Field(min_length=SHORTEST_REASON, max_length=500, title="Why")),
    }
    form: type[Any] = create_model("Chosen", __base__=RunInput, __module__=__name__, **fields)
    return form


def is_in_flow() -> bool:
    """Whether a flow of Prefect is under way here; a program that never loaded Prefect has none."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


async def ask_in_prefect(form: type[Any], description: str, key: str, wait_seconds: float) -> Any:
    """Pause the flow run under way until the form is filled in."""
    from prefect.flow_runs import pause_flow_run

    logger.info("waits for a person: %s. Answer with Resume, at the top of this page", heading(description))
    described = form.with_initial_data(description=description)
    try:
        return await pause_flow_run(wait_for_input=described, timeout=int(wait_seconds), poll_interval=2, key=key)
    except asyncio.CancelledError as stop:
        if why := why_withdrawn(stop):
            logger.info("withdrawn, nobody needs to answer any more: %s: %s", heading(description), why)
            await _go_on_unanswered(why)
        raise


async def _go_on_unanswered(why: str) -> None:
    """Take the flow run under way out of its pause; Prefect's own way out wants the form filled in."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext
    from prefect.exceptions import PrefectException
    from prefect.states import Running

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    try:
        async with get_client() as client:
            state: Any = Running(message=f"The question was withdrawn: {why}")
            await client.set_flow_run_state(context.flow_run.id, state, force=True)
    except (httpx.HTTPError, PrefectException) as error:
        logger.warning("Prefect still shows the question that was withdrawn; leave it unanswered: %s", error)


def heading(markdown: str) -> str:
    """The first line of a text that says something, without its marks; `a question` when there is none."""
    lines = (line.replace("\\", "").strip("#* ") for line in markdown.splitlines())
    return next(filter(None, lines), "a question")


def describe(request: OperatorRequest, problem: str = "") -> str:
    """What is shown above the form, in Markdown: instruction, deck and expected barcodes."""
    task = request.task
    parts = [f"## {_plain(request.title)}", _plain(task.instruction)]
    if problem:  # below the title, by which lists of what is asked call it
        parts.insert(1, f"**{_plain(problem)}**")
    if told := limits_of(task):
        parts.append(f"**{told}**")
    if request.choices:
        rows = [f"- `{one.key}` {_plain(one.label)}" for one in request.choices]
        parts += ["**What may be chosen**", "\n".join(rows)]
    if request.barcodes:
        rows = [f"- `{barcode}` on {_plain(nickname)}" for nickname, barcode in request.barcodes.items()]
        parts += ["**Barcodes to scan**", "\n".join(rows)]
    if request.lots:
        rows = [f"- {_plain(lot_told(one, quote='`'))}" for one in request.lots]
        parts += ["**Lots to scan**", "\n".join(rows)]
    if request.worklist is not None:
        parts += _deck_lists(request.worklist)
    if request.picture:
        picture = base64.b64encode(request.picture.encode()).decode()
        parts.append(f"![what to do](data:image/svg+xml;base64,{picture})")
    return "\n\n".join(parts)


def limits_of(task: OperatorTask) -> str:
    """Time, temperature and force of a task in a few words, and from when the time counts; empty when it has none."""
    about = "" if is_timed(task) else "about "
    told = [f"{about}{task.minutes:g} min"] if task.minutes else []
    told += [f"{task.temperature_c:g} °C"] if task.temperature_c is not None else []
    told += [f"{task.force_g:g} x g"] if task.force_g is not None else []
    counted = f" ({COUNTED})" if is_timed(task) else ""
    return f"{', '.join(told)}{counted}"


def _deck_lists(worklist: Worklist) -> list[str]:
    """What stands where, and what is filled in. Lists, because the page of a paused run cuts wide tables off."""
    parts, empty = ["**Deck**"], []
    for item in sorted(worklist.deck, key=lambda item: item.slot):
        place = f"**{item.slot}** {_plain(item.label or item.load_name)}"
        told = item_told(item, worklist, quote="`")
        if told:
            parts += [place, "\n".join(f"- {_plain(one)}" for one in told)]
        else:
            empty.append(f"- {place}")
    if empty:
        parts += ["Nothing to fill in:", "\n".join(empty)]
    return parts


def item_told(item: DeckItem, worklist: Worklist, *, quote: str = "") -> list[str]:
    """What a labware holds when it comes to the deck, liquid by liquid, and what of it has to be empty."""
    filled = [f for f in worklist.fillings if f.labware == item.nickname]
    empty = empty_told(item, empty_wells(item, worklist))
    return [*(filling_told(one, worklist, quote=quote) for one in filled), *filter(None, [empty])]


def filling_told(filling: Filling, worklist: Worklist, *, quote: str = "") -> str:
    """One liquid in a list of what is loaded: well, volume, name, lot, and when it comes if not with the rest.

    Args:
        filling: the liquid.
        worklist: what it is loaded for.
        quote: put around the lot, as Markdown does with what is typed.
    """
    when = arrival_told(filling, worklist)
    has_lot = filling.liquid.lot and not left_by(filling)
    lot = f", lot {quote}{filling.liquid.lot}{quote}" if has_lot else ""
    told = f"{filling.well}: {volume_told(filling.volume_ul)} {filling.liquid.name}{lot}"
    return f"{told} ({when})" if when else told


def lot_told(lot: LotToScan, *, quote: str = "") -> str:
    """One lot in a list of what is scanned: the containers to take, what it is, its last day, and where it goes."""
    codes = [f"{quote}{code}{quote}" for code in lot.reserved]
    named = f"{' and '.join(codes)}  {lot.component}, lot {lot.lot}"
    if not codes:
        named = f"{'a container of ' if lot.is_many else ''}{quote}{lot.lot}{quote}  {lot.component}"
    return f"{named}{use_by(lot.expires)}{f', into {lot.goes_to}' if lot.goes_to else ''}"


def use_by(expires: date | None) -> str:
    """The last day of a lot, to go behind its name; empty where none is known."""
    return f", use by {expires}" if expires else ""


def _plain(text: str) -> str:
    """Text without what Markdown tables would take for structure."""
    return text.replace("|", "/").replace("\n", " ")


def request_key(request: OperatorRequest) -> str:
    """The same request has the same key when its flow run is started again, another request another one.

    Prefect hands out the answer stored under a key without asking anybody. So a key may be used again only while no
    confirmation is recorded for it, which is what `occurrence` counts.
    """
    asked: dict[str, Any] = {
        "run": request.run_id,
        "title": request.title,
        "task": request.task.model_dump(mode="json"),
        "barcodes": request.barcodes,
        "lots": [one.lot for one in request.lots],
        **({"choices": [one.key for one in request.choices]} if request.choices else {}),
        "occurrence": request.occurrence,
    }
    return f"operator-{content_hash(asked)[:16]}"
