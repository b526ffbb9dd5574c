"""A liquid handler that PyLabRobot drives: Hamilton STAR and STARlet, Tecan EVO, Opentrons OT-2.

This process sends every operation itself, so a run lives in its memory only: after a restart the device knows nothing
of it, and the journal alone tells what was done.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from nkloop.drivers.interfaces import (
    ENDED,
    DeviceCommand,
    DeviceFile,
    DeviceState,
    Fence,
    Finding,
    FoundRun,
    StepListener,
    unguarded,
)
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.family import Family
from nkloop.drivers.pylabrobot.owner import DeviceOwner
from nkloop.drivers.pylabrobot.preflight import inspect_deck, look_at
from nkloop.drivers.pylabrobot.registry import MODELS, family_of
from nkloop.drivers.pylabrobot.resources import Table
from nkloop.drivers.pylabrobot.run import HandlerRun
from nkloop.drivers.pylabrobot.settings import handler_findings, model_findings, read_settings
from nkloop.drivers.pylabrobot.stations import Stations
from nkloop.errors import DeviceError, DeviceUnreachableError
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist
from nkloop.yamlfile import Finding as FileFinding

_REMEDY = "switch it on, check its cable, close other programs that use it"


class PyLabRobotHandler:
    """One device. At most one run is under way; earlier ones stay readable until the handler is closed."""

    stepwise = True

    @classmethod
    def settings_findings(cls, settings: Mapping[Any, Any]) -> Iterator[FileFinding]:
        """What is wrong with the settings of a bench file, each with its path in them."""
        yield from model_findings(settings, MODELS)
        yield from handler_findings(settings, inspect.signature(cls).parameters)

    def __init__(
        self,
        name: str,
        *,
        model: str,
        catalogue: LabwareLookup,
        simulated: bool = False,
        deck: BenchDeck | None = None,
        poll_seconds: float = 1.0,
        **settings: Any,
    ) -> None:
        """Connect to nothing yet.

        Args:
            name: how people call the device.
            model: `star`, `starlet`, `evo100`, `evo150`, `evo200` or `ot2`.
            catalogue: labware types and their definitions.
            simulated: drive PyLabRobot's simulator instead of the device; delays and shakes then take no time.
            deck: pipettes of the bench, to check volumes against.
            poll_seconds: pause between two looks at a run.
            settings: carriers, liquid classes, tips, stations and the rest of `HandlerSettings`.

        Raises:
            BenchError: the model or a setting is not known.
        """
        self.name, self.poll_seconds = name, poll_seconds
        self.fence: Fence = unguarded
        self.on_step: StepListener | None = None
        self._model, self._simulated, self._catalogue, self._deck = model, simulated, catalogue, deck
        self._settings = read_settings(name, **settings)
        family = self._family(_pipettes_of(deck) if deck is not None else {})
        self.keeps_tips = not family.drops_left_tips
        self._owner = DeviceOwner(name)
        self._stations = Stations(self._settings.stations, self._owner, simulated=simulated)
        self._runs: dict[str, HandlerRun] = {}
        self._serial = ""
        self.backend: Any = None
        """PyLabRobot's backend of the newest run; a simulated one keeps what it would have sent."""
        adapter.switch_on()

    def protocol_sha256(self, worklist: Worklist) -> str:
        """Empty: this device takes no protocol file."""
        return ""

    async def inspect(self, deck: BenchDeck) -> tuple[Finding, ...]:
        """Look at the device without moving it, and at what the bench file says of its deck.

        Raises:
            DeviceError: it does not answer.
        """
        family = self._family(_pipettes_of(deck))
        own = (
            Finding(subject="software", found=f"PyLabRobot {adapter.version()}", ok=True),
            *inspect_deck(family, deck, self._stations),
        )
        if self._simulated:
            return (*own, Finding(subject=self.name, found=f"simulated {MODELS[self._model].title}", ok=True))
        return (*own, *(await self._owner.asked(family.look, "it does not answer", _REMEDY)))

    async def serial_number(self) -> str:
        """Serial number of the device, asked without moving it; empty where it tells none, and of a simulated one.

        While a run is under way its wire is in use: then the number is the one told last.

        Raises:
            DeviceUnreachableError: it does not answer.
        """
        if not self._simulated and self._under_way() is None:
            ask = self._family({}).serial_number
            try:
                self._serial = await self._owner.asked(ask, "it does not answer", _REMEDY)
            except DeviceError as error:
                raise DeviceUnreachableError.from_problems(error.problems) from error
        return self._serial

    async def preflight(self, worklist: Worklist) -> tuple[Finding, ...]:
        """Whether this worklist fits the deck, tips, volumes and stations of the bench; nothing moves."""
        running = self._under_way()
        busy = Finding(
            subject="other runs",
            found=f"run {running.id} is {running.status}" if running else "none",
            ok=running is None,
            remedy="let it end or stop it",
        )
        family = self._family(_by_mount(worklist))
        found = look_at(worklist, family, self._catalogue, self._deck, self._stations, simulated=self._simulated)
        return (busy, *found)

    async def find_runs(self, worklist: Worklist) -> tuple[FoundRun, ...]:
        """The runs of this worklist in the memory of this process; none after a restart."""
        wanted = worklist.content_hash
        return tuple(
            FoundRun(id=run_id, is_played=run.status != "idle")
            for run_id, run in self._runs.items()
            if run.worklist.content_hash == wanted
        )

    async def prepare(self, worklist: Worklist) -> str:
        """Build the deck in memory and open a run; nothing moves and nothing is sent.

        Raises:
            BenchError: the worklist does not fit the deck.
            DeviceError: another run is under way.
        """
        self._require_idle()
        family = self._family(_by_mount(worklist))
        table = Table(worklist, self._catalogue, family)
        backend = family.backend(simulated=self._simulated)
        frontend = adapter.named("liquid_handling:LiquidHandler", self.name)(backend=backend, deck=table.deck)
        if family.has_independent_channels:
            family.trash(table.deck, 1)
        digest = hashlib.sha256(worklist.content_hash.encode()).hexdigest()[:8]
        run_id = f"{digest}-{len(self._runs) + 1}"
        self._runs[run_id] = HandlerRun(
            run_id, worklist, self._catalogue, family, frontend, table, self._stations, self._owner, wait=self._wait
        )
        self.backend = backend
        return run_id

    async def state(self, run_id: str) -> DeviceState:
        """Where a run stands.

        Raises:
            DeviceError: it is not in the memory of this process.
        """
        return self.run(run_id).state

    async def play(self, run_id: str) -> None:
        """Start or resume; a run that is under way or has ended is left alone.

        Raises:
            DeviceError: the run is not known here, or another one is under way.
        """
        run = self.run(run_id)
        if run.status == "idle":
            self._require_idle()
            run.begin(self._fenced, self.on_step)
        elif run.status == "paused":
            run.resume()

    async def stop(self, run_id: str) -> None:
        """Let the command under way end, drop the tips at the waste; returns when the run has ended."""
        await self.run(run_id).stop()

    async def commands(self, run_id: str) -> tuple[DeviceCommand, ...]:
        """Every operation sent, in the words of Opentrons' commands."""
        return tuple(self.run(run_id).commands)

    def run(self, run_id: str) -> HandlerRun:
        """A run in the memory of this process, with its deck.

        Raises:
            DeviceError: it is not known.
        """
        if run_id not in self._runs:
            raise DeviceError(
                f"run {run_id} is not known: a device driven step by step remembers nothing after a restart",
                where=self.name,
                remedy="reconcile the run: the journal tells which step was sent last",
            )
        return self._runs[run_id]

    async def files(self, run_id: str) -> tuple[DeviceFile, ...]:
        """None: such a device makes no files."""
        self.run(run_id)
        return ()

    async def close(self) -> None:
        """Stop what is under way and release the device."""
        for run in self._runs.values():
            if run.status not in ENDED:
                await run.stop()
        if self._owner.is_running:
            await self._stations.close()
        await asyncio.to_thread(self._owner.close)

    def _fenced(self) -> None:
        """The fence as it is set now: it may be renewed while a run is under way."""
        self.fence()

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(0 if self._simulated else seconds)

    def _family(self, pipettes: Mapping[str, str]) -> Family:
        return family_of(self._model, self._settings, pipettes)

    def _under_way(self) -> HandlerRun | None:
        return next((run for run in self._runs.values() if run.status not in ENDED and run.status != "idle"), None)

    def _require_idle(self) -> None:
        if (running := self._under_way()) is not None:
            raise DeviceError(f"run {running.id} is {running.status}", where=self.name, remedy="let it end or stop it")


def _pipettes_of(deck: BenchDeck) -> dict[str, str]:
    return {str(pipette.mount): pipette.load_name for pipette in deck.pipettes}


def _by_mount(worklist: Worklist) -> dict[str, str]:
    return {str(mount): name for mount, name in worklist.pipettes.items()}
