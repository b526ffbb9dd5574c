"""One worklist on a device that this process drives step by step.

Before each operation the fence is asked, before each step `sent` is told, after it what became of it. Nothing is ever
repeated: a step that fails ends the run, with its tips dropped at the waste.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from nkloop.drivers.interfaces import DeviceCommand, DeviceState, Fence, RunStatus, StepListener, unguarded
from nkloop.drivers.pylabrobot.family import Family
from nkloop.drivers.pylabrobot.hands import Hands, Stopped
from nkloop.drivers.pylabrobot.owner import DeviceOwner
from nkloop.drivers.pylabrobot.pipetting import Pipetting
from nkloop.drivers.pylabrobot.resources import Table
from nkloop.drivers.pylabrobot.stations import Stations
from nkloop.errors import DeviceError, NkloopError, StaleHolderError, words_of
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import DeckItem, Step, Worklist

Ending = Literal["done", "failed", "unknown"]
Wait = Callable[[float], Awaitable[None]]


class HandlerRun:
    """A run from `idle` to its end; lives in the memory of this process only."""

    def __init__(
        self,
        run_id: str,
        worklist: Worklist,
        catalogue: LabwareLookup,
        family: Family,
        handler: Any,
        table: Table,
        stations: Stations,
        owner: DeviceOwner,
        *,
        wait: Wait,
    ) -> None:
        self.id, self.worklist = run_id, worklist
        self.status: RunStatus = "idle"
        self.commands: list[DeviceCommand] = []
        self.marks: list[tuple[int, int]] = []
        """Step numbers, each with how much had been written to the device before it."""
        self._frontend, self._stations, self._owner, self._wait = handler, stations, owner, wait
        self._family, self.table = family, table
        pipetting = Pipetting(handler, worklist.name, lambda: family.n_sent, backwards=family.backwards)
        self._hands = Hands(worklist, catalogue, family, pipetting, table, self._operate)
        self._message: str | None = None
        self._errors: list[str] = []
        self._resume = asyncio.Event()
        self._stopping = False
        self._asked = False
        """Whether a person was asked to do the step under way, and may have begun."""
        self._task: asyncio.Task[None] | None = None
        self.fence: Fence = unguarded
        self.on_step: StepListener | None = None

    # -- what others ask of it ----------------------------------------------------------------------------------

    @property
    def state(self) -> DeviceState:
        """Where it stands."""
        return DeviceState(status=self.status, pause_message=self._message, errors=tuple(self._errors))

    def begin(self, fence: Fence, on_step: StepListener | None) -> None:
        """Start it in the running event loop; once."""
        self.fence, self.on_step = fence, on_step
        self.status = "running"
        self._task = asyncio.create_task(self._carry_out(), name=f"run {self.id}")

    def resume(self) -> None:
        """Go on after a pause."""
        self._message, self.status = None, "running"
        self._resume.set()

    async def stop(self) -> None:
        """Let the command under way end, drop the tips, return when the run has ended."""
        if self._task is None:
            if self.status == "idle":
                self.status = "stopped"
            return
        if not self._task.done():
            self._stopping, self.status = True, "stop-requested"
            self._resume.set()
        await asyncio.wait([self._task])

    # -- carrying out -------------------------------------------------------------------------------------------

    async def _carry_out(self) -> None:
        ended: RunStatus = "failed"
        try:
            await self._device(self._frontend.setup)
            await self._prepare_modules()
            for step in self.worklist.steps:
                await self._carry_out_step(step)
            ended = "succeeded"
        except Stopped:
            ended = "stopped"
        except NkloopError as error:
            self._errors.append(str(error))
            if isinstance(error, StaleHolderError):
                self.status = "failed"
                return  # the device belongs to somebody else now: nothing more is sent, not even dropping tips
        except Exception as error:  # noqa: BLE001 - a maker's driver may raise anything; the run ends and says it
            self._errors.append(f"{type(error).__name__}: {error}")
        finally:
            if self.status != "failed":
                self.status = "finishing"
                await self._leave_safe()
                self.status = ended if not self._errors else "failed"

    async def _carry_out_step(self, step: Step) -> None:
        self._require_going_on()
        self.marks.append((step.number, self._family.n_sent or 0))
        self._record("comment", {"message": f"step {step.number}: {step.comment or step.action}"})
        self.fence()
        self._tell(step, "sent")
        ending: Ending = "done"
        detail = ""
        self._asked = False
        self._hands.begin()
        try:
            if step.action in {"transfer", "mix"}:
                await self._hands.carry_out(step)
            else:
                await self._wait_for(step)
        except Stopped as error:
            ending, detail = self._ending(step), f"{error}{self._hands.lost}"
            raise
        except DeviceError as error:
            ending, detail = self._ending(step), f"{error.problems[0].message}{self._hands.lost}"
            if isinstance(error, StaleHolderError):
                raise
            raise DeviceError.from_problems(
                [replace(p, where=f"step {step.number} of {self.worklist.name}") for p in error.problems]
            ) from error
        except BaseException as error:
            ending, detail = "unknown", f"interrupted: {type(error).__name__}"
            raise
        finally:
            self._tell(step, ending, detail, self._hands.moved_ul)

    def _ending(self, step: Step) -> Ending:
        """What becomes of a step that was cut: what people were asked to move, they may have moved."""
        return "unknown" if self._asked and step.moves else self._hands.ending

    async def _wait_for(self, step: Step) -> None:
        """A pause, a shake or a delay."""
        if step.action == "pause":
            await self._hands.drop_all()
            await self._stations.release()
            task = step.operator
            await self._pause(f"step {step.number}: {task.instruction if task else step.comment}")
            return
        if step.action == "delay":
            await self._sleep(step.seconds)
            return
        item = self.worklist.item(step.labware)
        if not self._stations.shakes(item.slot):
            label = item.label or item.nickname
            await self._pause(
                f"step {step.number}: Shake {label} at {step.rpm} rpm for {step.seconds:g} s, put it back."
            )
            return
        self.fence()
        await self._stations.shake(item.slot, step.rpm)
        try:
            await self._sleep(step.seconds)
        finally:
            await self._stations.stop_shaking(item.slot)

    async def _prepare_modules(self) -> None:
        """Shakers stand still; set points of the deck, by the device under the slot, or by a person."""
        for slot in dict.fromkeys(item.slot for item in self.worklist.deck):
            self._require_going_on()
            self.fence()
            await self._stations.stand_still(slot)
        for item in self.worklist.deck:
            if item.temperature_c is None:
                continue
            self._require_going_on()
            self.fence()
            if not await self._stations.hold(item.slot, item.temperature_c, watch=self._require_going_on):
                await self._pause(_cold_block(item))

    async def _pause(self, message: str) -> None:
        self._begin_waiting()
        self._record("waitForResume", {"message": message})
        self._asked = True
        self._message, self.status = message, "paused"
        await self._resume.wait()
        self._message = None
        self._require_going_on()

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not longer than somebody lets it."""
        self._begin_waiting()
        waiting = asyncio.ensure_future(self._wait(seconds))
        stopping = asyncio.ensure_future(self._resume.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            stopping.cancel()
        self._require_going_on()

    def _begin_waiting(self) -> None:
        """Forget an earlier signal to go on, but not a stop that came while the device was at work."""
        self._resume.clear()
        self._require_going_on()

    def _require_going_on(self) -> None:
        if self._stopping:
            raise Stopped("stopped by a person or by the program")

    async def _operate(self, kind: str, params: dict[str, Any], work: Callable[[], Awaitable[Any]]) -> Any:
        """One operation of the device, fenced before and recorded after."""
        self._require_going_on()
        self.fence()
        started = datetime.now(UTC)
        try:
            outcome = await self._owner.call(work)
        except DeviceError as error:
            self._record(kind, params, str(error), started)
            raise
        self._record(kind, params, str(outcome.error) if outcome.error else None, started)
        return outcome

    async def _device(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.fence()
        await self._owner.call(work)

    async def _leave_safe(self) -> None:
        """Tips at the waste, modules off, device released; what does not work is told."""
        self._stopping = False
        for leave in (self._hands.drop_all, self._stations.rest, self._release):
            try:
                await leave()
            except Exception as error:  # noqa: BLE001 - must not hide the rest of the ending; it is told
                self._errors.append(f"while ending the run: {words_of(error)}")

    async def _release(self) -> None:
        if self._frontend.setup_finished:
            await self._device(self._frontend.stop)

    # -- records ------------------------------------------------------------------------------------------------

    def _tell(self, step: Step, event: Any, detail: str = "", moved: tuple[float, ...] = ()) -> None:
        if self.on_step is not None:
            self.on_step(step.number, event, detail=detail, moved_ul=moved)

    def _record(
        self, kind: str, params: dict[str, Any], error: str | None = None, started: datetime | None = None
    ) -> None:
        now = datetime.now(UTC)
        self.commands.append(
            DeviceCommand(
                id=f"{self.id}-{len(self.commands) + 1:05d}",
                command_type=kind,
                status="failed" if error else "succeeded",
                params=params,
                started_at=(started or now).isoformat(),
                completed_at=now.isoformat(),
                error=error,
            )
        )


def _cold_block(item: DeckItem) -> str:
    label = item.label or item.nickname
    return f"Bring {label} in slot {item.slot} to {item.temperature_c:g} °C: this bench has no device that does it."
