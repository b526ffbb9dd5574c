"""The shipped labware, a simulated STAR with a small worklist, and helpers to run it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from nkloop.drivers.interfaces import ENDED, DeviceState
from nkloop.drivers.pylabrobot.handler import PyLabRobotHandler
from nkloop.drivers.pylabrobot.registry import simulation_settings
from nkloop.labware import Catalogue
from nkloop.worklists.models import DeckItem, Filling, Liquid, OperatorTask, Step, Worklist

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The shipped labware."""
    return Catalogue.load(ROOT / "labware")


def transfer(number: int, source: str, target: str, volume: float, tip: str = "", **more: Any) -> Step:
    """`labware:well` to `labware:well`."""
    (labware, _, well), (to_labware, _, to_well) = source.partition(":"), target.partition(":")
    places = {"labware": labware, "well": well, "to_labware": to_labware, "to_well": to_well}
    return Step(number=number, action="transfer", volume_ul=volume, tip=tip, **places, **more)


PAUSE = Step(number=3, action="pause", operator=OperatorTask(kind="incubate", instruction="Incubate 5 min"))
STEPS = (
    transfer(1, "trough:A1", "plate:A1", 50, "tips_50:A1", channels=8),
    transfer(2, "plate:A1", "plate:B2", 20, "tips_50:A2", mix_before=2, mix_volume_ul=10),
    PAUSE,
    transfer(4, "trough:A2", "plate:C3", 40, "tips_50:B2"),
)


@pytest.fixture
def worklist() -> Worklist:
    """Eight channels, one channel with mixing, a pause, one channel."""
    return a_worklist(*STEPS)


def a_worklist(*steps: Step, **changes: Any) -> Worklist:
    """These steps on a trough, a plate and two racks."""
    medium = Liquid(name="medium", per_ul={"base": 1.0}, lot="L-1")
    cells = Liquid(name="cells", per_ul={"effector:a": 100.0})
    fields: dict[str, Any] = {
        "name": "small",
        "procedure": "cytotoxicity_assay",
        "pipettes": {"left": "flex_1channel_1000", "right": "flex_8channel_1000"},
        "deck": (
            DeckItem(nickname="trough", slot="A1", load_name="nest_12_reservoir_15ml"),
            DeckItem(nickname="plate", slot="B1", load_name="corning_96_wellplate_360ul_flat"),
            DeckItem(nickname="tips_50", slot="C1", load_name="opentrons_flex_96_filtertiprack_50ul"),
            DeckItem(nickname="tips_1000", slot="C2", load_name="opentrons_flex_96_filtertiprack_1000ul"),
        ),
        "fillings": (
            Filling(labware="trough", well="A1", volume_ul=10_000, liquid=medium),
            Filling(labware="trough", well="A2", volume_ul=5_000, liquid=cells),
        ),
        "steps": steps,
    }
    return Worklist(**{**fields, **changes})


class Told:
    """A step listener that remembers, with what the device had been sent at that moment."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str]] = []
        self.details: dict[int, str] = {}
        self.moved: dict[int, tuple[float, ...]] = {}

    def __call__(self, number: int, event: str, *, detail: str = "", moved_ul: tuple[float, ...] = ()) -> None:
        self.events.append((number, event))
        if event != "sent":
            self.details[number], self.moved[number] = detail, moved_ul


Make = Callable[..., PyLabRobotHandler]


@pytest_asyncio.fixture
async def make(catalogue: Catalogue) -> AsyncIterator[Make]:
    """Builds simulated devices laid out for a worklist; they are closed at the end."""
    made: list[PyLabRobotHandler] = []

    def build(worklist: Worklist, model: str = "star", **changes: Any) -> PyLabRobotHandler:
        settings = simulation_settings(model, worklist, catalogue).model_dump(exclude_defaults=True)
        handler = PyLabRobotHandler(
            model, model=model, catalogue=catalogue, simulated=True, poll_seconds=0.01, **{**settings, **changes}
        )
        handler.on_step = Told()
        made.append(handler)
        return handler

    yield build
    for handler in made:
        await handler.close()


async def until(handler: PyLabRobotHandler, run_id: str, *statuses: str) -> DeviceState:
    """Look until the run has one of these statuses, or has ended."""
    async with asyncio.timeout(20):
        while (state := await handler.state(run_id)).status not in {*statuses, *ENDED}:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return state


async def run_through(handler: PyLabRobotHandler, worklist: Worklist) -> tuple[str, DeviceState]:
    """Prepare and play, doing what pauses ask; the run's id and its end."""
    run_id = await handler.prepare(worklist)
    await handler.play(run_id)
    while (state := await until(handler, run_id, "paused")).status not in ENDED:
        await handler.play(run_id)
    return run_id, state


@pytest.fixture
def kit() -> SimpleNamespace:
    """The helpers above, for tests that build their own worklists."""
    helpers = {"a_worklist": a_worklist, "transfer": transfer, "run_through": run_through, "until": until}
    return SimpleNamespace(**helpers, simulation_settings=simulation_settings, steps=STEPS, Told=Told)
