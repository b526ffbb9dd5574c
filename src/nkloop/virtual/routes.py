"""The world over HTTP below `/virtual`: what a person, a reader, a counter and time do. A real robot has none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, Field

from nkloop.assays.measurements import CellCount, ReadRequest
from nkloop.errors import BenchError, NkloopError
from nkloop.frozen import FrozenModel
from nkloop.virtual import signals
from nkloop.virtual.book import WorldBook
from nkloop.worklists.models import OperatorTask, Worklist


class WorldTime(FrozenModel):
    """Time of the bench."""

    now: datetime


class Home(FrozenModel):
    """Where a virtual bench belongs."""

    workspace: str = ""
    """Folder of the workspace; empty for a world without one."""
    bench: str = ""
    """Name of its bench file."""
    ledger: str = ""
    """File with every physical act; empty for a bench that forgets with its process."""


class AdvanceRequest(FrozenModel):
    """Let time pass until then."""

    until: AwareDatetime


class DeckRequest(FrozenModel):
    """Load the deck as a worklist asks."""

    worklist: Worklist
    barcodes: dict[str, str] = Field(default_factory=dict)
    """Nickname to barcode, for labware whose barcode the worklist does not name."""


class TaskRequest(FrozenModel):
    """Carry a task out."""

    task: OperatorTask
    barcodes: dict[str, str] = Field(default_factory=dict)


class CountRequest(FrozenModel):
    """Count the cells of some wells."""

    barcode: str
    wells: tuple[str, ...]


class Signals(FrozenModel):
    """Raw signals of one plate."""

    barcode: str
    at: datetime
    temperature_c: float
    values: dict[str, float]
    saturated: tuple[str, ...]


class _ProblemRoute(APIRoute):
    """Tells refusals as problem details (RFC 9457): 422 for what the operator cannot do, 409 for a device."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except NkloopError as error:
                return _refusal(error, 422 if isinstance(error, BenchError) else 409)

        return guarded


def _refusal(error: NkloopError, status: int) -> JSONResponse:
    problems = [{"message": p.message, "where": p.where, "remedy": p.remedy} for p in error.problems]
    title = "Refused by the virtual bench"
    body = {"title": title, "status": status, "detail": str(error), "problems": problems}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def world_router(book: WorldBook, keep_up: Callable[[], None] = lambda: None, home: Home | None = None) -> APIRouter:
    """Routes of one world; what they do is noted in its book. `home` says where it belongs.

    `keep_up` is called before the time is told and before a deck is loaded, so that it may move the clock on.
    """
    router = APIRouter(prefix="/virtual", tags=["virtual"], route_class=_ProblemRoute)

    def time() -> WorldTime:
        return WorldTime(now=book.world.clock.now())

    @router.get("/home")
    async def where() -> Home:
        """Workspace, bench and ledger."""
        return home or Home()

    @router.get("/clock")
    async def clock() -> WorldTime:
        """Current time of the bench."""
        keep_up()
        return time()

    @router.post("/clock/advance")
    async def advance(request: AdvanceRequest) -> WorldTime:
        """Let time pass; nothing happens when it has passed already."""
        book.wait_until(request.until)
        return time()

    @router.post("/deck")
    async def deck(request: DeckRequest) -> WorldTime:
        """Load the deck."""
        keep_up()
        book.load_deck(request.worklist, request.barcodes)
        return time()

    @router.post("/task")
    async def task(request: TaskRequest) -> WorldTime:
        """Carry an operator task out."""
        book.perform(request.task, request.barcodes)
        return time()

    @router.post("/read")
    async def read(request: ReadRequest) -> Signals:
        """Measure the plate in the reader at the first wavelength."""
        values = book.read(request)
        limit = signals.UPPER_LIMIT[request.mode]
        return Signals(
            barcode=request.barcode,
            at=book.world.clock.now(),
            temperature_c=book.world.containers[request.barcode].temperature_c,
            values=values,
            saturated=tuple(name for name, value in values.items() if value >= limit),
        )

    @router.post("/count")
    async def count(request: CountRequest) -> tuple[CellCount, ...]:
        """Count cells."""
        return book.count(request.barcode, request.wells)

    @router.get("/contents")
    async def contents() -> dict[str, Any]:
        """What truly is in every well; for tests and audits only."""
        return book.contents()

    @router.get("/incidents")
    async def incidents() -> list[dict[str, Any]]:
        """Everything physical that nobody planned."""
        return [incident.model_dump(mode="json") for incident in book.world.incidents]

    return router
