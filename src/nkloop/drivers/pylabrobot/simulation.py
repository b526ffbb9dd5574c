"""A worklist on the simulator of a device, and what the device would have done, read from what was written to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nkloop.drivers.interfaces import ENDED
from nkloop.drivers.pylabrobot import evo, star
from nkloop.drivers.pylabrobot.firmware import Written, read_evo, read_ot2, read_star
from nkloop.drivers.pylabrobot.handler import PyLabRobotHandler
from nkloop.drivers.pylabrobot.registry import simulation_settings
from nkloop.drivers.pylabrobot.run import HandlerRun
from nkloop.errors import DeviceError, NkloopError
from nkloop.worklists.analysis_check import Done, Operation, compared, refusals
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import CheckResult, Worklist

RESOLUTION_UL = {"star": 0.05, "evo": 0.5, "ot2": 0.005}
"""How near the volume of a command comes to the one asked for: half of the last digit of a STAR's, three half steps of
an EVO's plunger with its rounded air gaps, nothing lost on an OT-2."""
_LOOK_S = 0.002


@dataclass(frozen=True)
class Simulation:
    """What the device would have done; has the shape of an Opentrons analysis for whoever only asks for its errors."""

    result: str
    done: Done
    """Operations by step number, as they were written to the device."""
    errors: Sequence[Mapping[str, Any]] = ()
    commands: Sequence[Mapping[str, Any]] = field(default=())


async def simulate(worklist: Worklist, catalogue: LabwareLookup, model: str) -> Simulation:
    """Run a worklist on the simulator of a model, with a deck laid out for it.

    Args:
        worklist: of any robot; tips the device cannot take are replaced by its own of at least the same size.
        catalogue: labware types and definitions.
        model: `star`, `starlet`, `evo100`, `evo150`, `evo200` or `ot2`.

    Returns:
        The operations by step; with `result` other than `ok` and `errors` when the device refused or failed.
    """
    try:
        settings = simulation_settings(model, worklist, catalogue).model_dump(exclude_defaults=True)
        handler = PyLabRobotHandler(
            f"simulated {model}", model=model, catalogue=catalogue, simulated=True, poll_seconds=_LOOK_S, **settings
        )
    except NkloopError as error:
        return Simulation("not-ok", {}, _told(error))
    try:
        run_id = await handler.prepare(worklist)
        await _to_its_end(handler, run_id)
        run = handler.run(run_id)
        done = _by_step(worklist, run, _written(model, handler.backend, run))
        wrong = [{"message": text, "where": model, "remedy": ""} for text in run.state.errors]
        return Simulation("ok" if run.status == "succeeded" else run.status, done, wrong)
    except NkloopError as error:
        return Simulation("not-ok", {}, _told(error))
    finally:
        await handler.close()


def resolution_ul(model: str) -> float:
    """How near the volume of one command of a model comes to the volume asked for."""
    return next(value for maker, value in RESOLUTION_UL.items() if model.startswith(maker)) + 1e-6


async def check_simulation(
    worklist: Worklist, catalogue: LabwareLookup, model: str, deck: BenchDeck | None = None
) -> CheckResult:
    """Second independent check for devices without Opentrons' software: their simulator's own commands compared.

    Args:
        worklist: what is checked.
        catalogue: labware types and definitions.
        model: as in `simulate`.
        deck: pipettes of the bench.
    """
    started = time.perf_counter()
    simulation = await simulate(worklist, catalogue, model)
    problems = list(refusals(simulation))
    if not problems:
        problems = compared(worklist, simulation.done, catalogue, deck, tolerance_ul=resolution_ul(model))
    return CheckResult.of("device simulation", time.perf_counter() - started, tuple(problems))


async def _to_its_end(handler: PyLabRobotHandler, run_id: str) -> None:
    """Play on whenever it waits: in a simulation everybody does what is asked."""
    await handler.play(run_id)
    while (state := await handler.state(run_id)).status not in ENDED:
        if state.status == "paused":
            await handler.play(run_id)
        await asyncio.sleep(_LOOK_S)


def _written(model: str, backend: Any, run: HandlerRun) -> list[Written]:
    try:
        if model in star.MODELS:
            return list(read_star(backend.sent, run.table))
        if model in evo.MODELS:
            return list(read_evo(backend.sent, run.table))
        return list(read_ot2(backend.commands, run.table, backend.names))
    except ValueError as error:
        raise DeviceError(str(error), where=model, remedy="report this with the worklist") from error


def _by_step(worklist: Worklist, run: HandlerRun, written: Iterable[Written]) -> Done:
    """Sort what was written under the step that was under way then."""
    done: Done = {number: [] for number, _ in run.marks}
    steps = {step.number: step for step in worklist.steps}
    marks = list(run.marks)
    current = 0
    for one in written:
        while marks and marks[0][1] <= one.position:
            current = marks.pop(0)[0]
        if current not in steps:
            continue
        step = steps[current]
        labware, well = one.places[0]
        done[current].append(
            Operation(
                *(one.kind, len(one.places), labware, well, one.volume_ul),
                at_rim=one.kind == "dispense" and (step.dispense_at == "rim" if one.at_rim is None else one.at_rim),
                mount=worklist.mount_of(step) or "",
            )
        )
    return done


def _told(error: NkloopError) -> list[dict[str, str]]:
    return [{"message": p.message, "where": p.where, "remedy": p.remedy} for p in error.problems]
