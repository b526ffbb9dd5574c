"""A small bench: a few labwares, lots, and a script that speaks Opentrons commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.errors import LabwareError
from nkloop.inventory.models import Lot
from nkloop.labware.models import LabwareType
from nkloop.virtual.loading import load_deck
from nkloop.virtual.world import World
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist

RACK, TUBES, TROUGH = "tips_1000", "tubes_15ml", "trough_1"
CULTURE, ASSAY, FLAT = "culture_24", "assay_96", "flat_96"
_SHAPES = {
    RACK: ("tip_rack", 8, 12, 1000, 0),
    TUBES: ("tube_rack", 3, 5, 15_000, 300),
    TROUGH: ("trough", 1, 1, 195_000, 10_000),
    CULTURE: ("plate", 4, 6, 3_400, 100),
    ASSAY: ("plate", 8, 12, 330, 10),
    FLAT: ("plate", 8, 12, 360, 10),
}
MEDIUM_LOTS = {
    "GBGM": "100 % v/v",
    "human serum": "100 % v/v",
    "heparin": "5 mg/mL",
    "SCF": "100 µg/mL",
    "Flt3L": "100 µg/mL",
    "TPO": "100 µg/mL",
    "IL-7": "100 µg/mL",
    "IL-15": "100 µg/mL",
    "IL-2": "100 µg/mL",
    "GM-CSF": "100 µg/mL",
    "assay medium": "100 % v/v",
    "LDH lysis buffer 10x": "100 % v/v",
    "LDH substrate": "100 % v/v",
    "LDH stop solution": "100 % v/v",
}


class FakeCatalogue:
    """Labware types by load name, refusing as the real catalogue does."""

    def __getitem__(self, load_name: str, /) -> LabwareType:
        if load_name not in _SHAPES:
            raise LabwareError(f"{load_name} is not in the catalogue")
        kind, rows, columns, volume, dead = _SHAPES[load_name]
        return LabwareType.model_validate(
            {
                "load_name": load_name,
                "namespace": "opentrons",
                "version": 1,
                "title": load_name,
                "kind": kind,
                "rows": rows,
                "columns": columns,
                "well_volume_ul": volume,
                "working_volume_ul": volume * 0.9,
                "dead_volume_ul": dead,
                "manufacturer": "test",
                "catalogue_number": "test",
                "provenance": "test",
            }
        )


def lot(component: str, concentration: str, **changes: Any) -> Lot:
    """A lot whose id is its component."""
    activity = {"specific_activity": "16.4e6 IU/mg"} if component == "IL-2" else {}
    return Lot.model_validate(
        {
            "id": component,
            "component": component,
            "lot_number": "1",
            "supplier": "test",
            "concentration": concentration,
            "volume": "1 L",
            "expires": "2030-01-01",
            **activity,
            **changes,
        }
    )


def bench_deck(systematic: float = 1.0, random: float = 0.3) -> BenchDeck:
    """One single and one eight-channel pipette."""
    accuracy = [
        {"volume_ul": 5, "systematic_percent": 5 * systematic, "random_cv_percent": 5 * random},
        {"volume_ul": 1000, "systematic_percent": systematic, "random_cv_percent": random},
    ]
    pipettes = [
        {
            "mount": mount,
            "load_name": f"flex_{channels}channel_1000",
            "channels": channels,
            "min_volume_ul": 5,
            "max_volume_ul": 1000,
            "accuracy": accuracy,
            "source": "test",
        }
        for mount, channels in (("left", 1), ("right", 8))
    ]
    return BenchDeck.model_validate({"model": "flex", "pipettes": pipettes})


def make_world(seed: int = 1, **accuracy: float) -> World:
    """A world with the test labware and lots."""
    lots = [lot(component, concentration) for component, concentration in MEDIUM_LOTS.items()]
    return World(FakeCatalogue(), lots, bench_deck(**accuracy), seed)


@dataclass
class Deck:
    """A deck to load: labware by nickname and what is in it."""

    items: list[DeckItem] = field(default_factory=list)
    fillings: list[Filling] = field(default_factory=list)

    def put(self, nickname: str, slot: str, load_name: str, barcode: str | None = None, **more: Any) -> Deck:
        """Add a labware."""
        self.items.append(DeckItem(nickname=nickname, slot=slot, load_name=load_name, barcode=barcode, **more))
        return self

    def fill(self, nickname: str, well: str, volume: float, lot: str | None, **per_ul: float) -> Deck:
        """Add a filling; `cells` in `per_ul` stands for a cell density."""
        content = {("cells:any" if key == "cells" else key): value for key, value in per_ul.items()}
        liquid = Liquid(name=str(lot), per_ul=content, lot=lot)
        self.fillings.append(Filling(labware=nickname, well=well, volume_ul=volume, liquid=liquid))
        return self

    def worklist(self) -> Worklist:
        """The worklist an operator gets."""
        pause = Step.model_validate(
            {"number": 1, "action": "pause", "operator": {"kind": "confirm", "instruction": "look"}}
        )
        return Worklist(
            name="test",
            procedure="cytokine_dosing",
            pipettes={"left": "flex_1channel_1000"},
            deck=tuple(self.items),
            fillings=tuple(self.fillings),
            steps=(pause,),
        )

    def load(self, world: World) -> None:
        """Let the operator load it."""
        load_deck(world, self.worklist(), {})


class Script:
    """Robot commands for a deck, applied to a world at once."""

    def __init__(self, world: World, deck: Deck) -> None:
        self._world = world
        loads = [
            _command("loadLabware", {"location": {"slotName": i.slot}, "loadName": i.load_name}, labwareId=i.nickname)
            for i in deck.items
        ]
        pipettes = [
            _command("loadPipette", {"mount": mount, "pipetteName": name}, pipetteId=mount)
            for mount, name in (("left", "p1000_single_flex"), ("right", "p1000_multi_flex"))
        ]
        self.execution = world.begin_run(SimpleNamespace(commands=[*loads, *pipettes]))
        self._spot = 0

    def do(self, kind: str, **params: Any) -> Script:
        """Apply any command."""
        self.execution.apply(_command(kind, params))
        return self

    def tip(self, mount: str = "left") -> Script:
        """A tip of its own: column by column for eight channels, from the last column backwards for one."""
        well = f"A{self._spot // 8 + 1}" if mount == "right" else f"{'ABCDEFGH'[self._spot % 8]}{12 - self._spot // 8}"
        self._spot += 8 if mount == "right" else 1
        return self.do("pickUpTip", pipetteId=mount, labwareId="tips", wellName=well)

    def draw(self, labware: str, well: str, volume: float, mount: str = "left") -> Script:
        """Aspirate."""
        return self.do("aspirate", pipetteId=mount, labwareId=labware, wellName=well, volume=volume, flowRate=700)

    def give(self, labware: str, well: str, volume: float, mount: str = "left") -> Script:
        """Dispense."""
        return self.do("dispense", pipetteId=mount, labwareId=labware, wellName=well, volume=volume, flowRate=700)

    def mix(self, labware: str, well: str, volume: float, mount: str = "left") -> Script:
        """Mix three times."""
        for _ in range(3):
            self.draw(labware, well, volume, mount).give(labware, well, volume, mount)
        return self

    def drop(self, mount: str = "left") -> Script:
        """Drop the tip."""
        return self.do("dropTipInPlace", pipetteId=mount)

    def move(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        volume: float,
        mount: str = "left",
        mix_before: float = 0,
        mix_after: float = 0,
    ) -> Script:
        """One transfer with a fresh tip."""
        self.tip(mount)
        if mix_before:
            self.mix(*source, mix_before, mount)
        self.draw(*source, volume, mount).give(*target, volume, mount)
        if mix_after:
            self.mix(*target, mix_after, mount)
        return self.drop(mount)


def _command(kind: str, params: dict[str, Any], **result: Any) -> dict[str, Any]:
    return {"id": "c", "commandType": kind, "params": params, "result": result}


@pytest.fixture
def world() -> World:
    """The test world, seed 1."""
    return make_world()


@dataclass(frozen=True)
class Kit:
    """What the tests build their benches from."""

    deck: type[Deck] = Deck
    script: type[Script] = Script
    make_world: Callable[..., World] = make_world
    bench_deck: Callable[..., BenchDeck] = bench_deck
    lot: Callable[..., Lot] = lot


@pytest.fixture
def kit() -> Kit:
    """Builders of decks, scripts and worlds."""
    return Kit()
