"""A catalogue, a bench, lots and a recipe for the planners and checks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout
from nkloop.errors import ShortageError
from nkloop.feedback.models import Arm
from nkloop.inventory.models import Lot
from nkloop.labware.models import LabwareType
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Recipe
from nkloop.worklists.analysis_check import planned_operations
from nkloop.worklists.bench_deck import BenchDeck, ModuleSpec, PipetteAccuracy, PipetteSpec
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist

LABWARE = (
    # load name, kind, rows, columns, well, working, dead volume
    ("opentrons_flex_96_filtertiprack_50ul", "tip_rack", 8, 12, 50, 50, 0),
    ("opentrons_flex_96_filtertiprack_200ul", "tip_rack", 8, 12, 200, 200, 0),
    ("opentrons_flex_96_filtertiprack_1000ul", "tip_rack", 8, 12, 1000, 1000, 0),
    ("corning_24_wellplate_3.4ml_flat", "plate", 4, 6, 3400, 2000, 20),
    ("corning_6_wellplate_16.8ml_flat", "plate", 2, 3, 16800, 4000, 100),
    ("corning_48_wellplate_1.6ml_flat", "plate", 6, 8, 1600, 1000, 20),
    ("nest_96_wellplate_2ml_deep", "plate", 8, 12, 2000, 1800, 30),
    ("nkloop_costar3799_96_wellplate_330ul_round", "plate", 8, 12, 330, 280, 10),
    ("corning_96_wellplate_360ul_flat", "plate", 8, 12, 360, 300, 10),
    ("nest_12_reservoir_15ml", "trough", 1, 12, 15000, 14000, 500),
    ("nest_1_reservoir_195ml", "trough", 1, 1, 195000, 180000, 5000),
    ("opentrons_24_tuberack_nest_1.5ml_snapcap", "tube_rack", 4, 6, 1500, 1400, 30),
    ("opentrons_24_aluminumblock_nest_1.5ml_snapcap", "tube_rack", 4, 6, 1500, 1400, 30),
    ("opentrons_15_tuberack_nest_15ml_conical", "tube_rack", 3, 5, 15000, 14000, 200),
    ("opentrons_6_tuberack_nest_50ml_conical", "tube_rack", 2, 3, 50000, 45000, 500),
)
USE_UNTIL = date(2026, 12, 1)


@pytest.fixture(scope="session")
def catalogue() -> dict[str, LabwareType]:
    return {
        name: LabwareType.model_validate(
            {
                "load_name": name,
                "namespace": "nkloop" if name.startswith("nkloop") else "opentrons",
                "version": 1,
                "title": name,
                "kind": kind,
                "rows": rows,
                "columns": columns,
                "well_volume_ul": well,
                "working_volume_ul": working,
                "dead_volume_ul": dead,
                "manufacturer": "test",
                "catalogue_number": "test",
                "provenance": "test",
            }
        )
        for name, kind, rows, columns, well, working, dead in LABWARE
    }


@pytest.fixture(scope="session")
def deck() -> BenchDeck:
    accuracy = tuple(
        PipetteAccuracy(volume_ul=volume, systematic_percent=systematic, random_cv_percent=cv)
        for volume, systematic, cv in ((5, 5, 2.5), (50, 0.5, 0.3), (200, 0.5, 0.15), (1000, 0.5, 0.15))
    )
    pipettes = tuple(
        PipetteSpec(
            mount=mount,
            load_name=f"flex_{channels}channel_1000",
            channels=channels,
            min_volume_ul=5,
            max_volume_ul=1000,
            accuracy=accuracy,
            source="test",
        )
        for mount, channels in (("left", 1), ("right", 8))
    )
    modules = (
        ModuleSpec(slot="D1", load_name="heaterShakerModuleV1", adapter="opentrons_universal_flat_adapter"),
        ModuleSpec(slot="C1", load_name="temperatureModuleV2"),
    )
    return BenchDeck(model="flex", pipettes=pipettes, modules=modules)


class FakeStocks:
    """First lot of a component that holds enough."""

    def __init__(self, lots: Sequence[Lot]) -> None:
        self.lots = tuple(lots)

    def choose(self, component: str, needed: Amount, use_until: date, kinds: Collection[Kind] = (), /) -> Lot:
        for lot in self.lots:
            if lot.component == component and lot.volume.canonical >= needed.canonical and lot.expires >= use_until:
                return lot
        raise ShortageError(f"no lot of {component} holds {needed}", remedy="order more")


def make_lot(component: str, concentration: str, volume: str = "50 mL", **more: Any) -> Lot:
    fields = {
        "id": f"LOT-{component}",
        "component": component,
        "lot_number": "1",
        "supplier": "test",
        "concentration": concentration,
        "volume": volume,
        "expires": date(2027, 1, 1),
    }
    return Lot.model_validate({**fields, **more})


@pytest.fixture(scope="session")
def lot_of() -> Callable[..., Lot]:
    return make_lot


@pytest.fixture(scope="session")
def stocks_of() -> Callable[[Sequence[Lot]], FakeStocks]:
    return FakeStocks


@pytest.fixture(scope="session")
def lots() -> tuple[Lot, ...]:
    protein = "PBS with albumin"
    return (
        make_lot("base", "100 % v/v", "20 L"),
        make_lot("serum", "100 % v/v", "2 L"),
        make_lot("heparin", "5 mg/mL", carrier="saline"),
        *(make_lot(name, "100 µg/mL", carrier=protein) for name in ("SCF", "IL-7", "GM-CSF", "IL-6")),
        make_lot("IL-2", "100 µg/mL", specific_activity="16.4e6 IU/mg"),
        make_lot("assay medium", "100 % v/v", "10 L"),
        make_lot("LDH lysis buffer 10x", "100 % v/v"),
        make_lot("LDH substrate", "100 % v/v", "1 L"),
        make_lot("LDH stop solution", "100 % v/v", "1 L"),
    )


@pytest.fixture(scope="session")
def stocks(lots: tuple[Lot, ...]) -> FakeStocks:
    return FakeStocks(lots)


def make_recipe(**amounts: str) -> Recipe:
    """One stage with 90 % base, 10 % serum and the amounts given; SCF and IL-2 are varied by the loop."""
    wanted = {
        "heparin": "25 µg/mL",
        "SCF": "25 ng/mL",
        "IL-7": "25 ng/mL",
        "GM-CSF": "10 pg/mL",
        "IL-6": "50 pg/mL",
        "IL-2": "1000 IU/mL",
        **amounts,
    }
    source = {"source": "s", "verified_by": None}
    roles = {"base": "base", "serum": "serum", "heparin": "anticoagulant"}
    plausible = {"base": ["50 % v/v", "100 % v/v"], "serum": ["1 % v/v", "25 % v/v"], "IL-2": ["1 IU/mL", "1e6 IU/mL"]}
    return Recipe.model_validate(
        {
            "id": "test",
            "title": "Test",
            "product": "NK",
            "starting_material": "cells",
            "sources": {"s": {"title": "S", "reference": "none"}},
            "components": [
                {
                    "name": name,
                    "title": name,
                    "role": roles.get(name, "cytokine"),
                    "plausible": plausible.get(name, ["1 pg/mL", "1 mg/mL"]),
                }
                for name in ("base", "serum", *wanted)
            ],
            "stages": [
                {
                    "id": "grow",
                    "title": "Grow",
                    "start_day": 0,
                    "end_day": 9,
                    "vessel": {"kind": "bag", "title": "culture bag", "volume": ["30 mL", "1 L"]},
                    "seeding_density": "1e5 cells/mL",
                    "refresh": {"every": "3 d", "fraction": "50 % v/v", **source},
                    "medium": {
                        "base": {"component": "base", "amount": "90 % v/v", **source},
                        "additives": [
                            {"component": "serum", "amount": "10 % v/v", **source},
                            *({"component": name, "amount": amount, **source} for name, amount in wanted.items()),
                        ],
                    },
                }
            ],
            "loop": {"vary": [{"component": name, "stages": ["grow"]} for name in ("SCF", "IL-2")]},
        }
    )


@pytest.fixture(scope="session")
def recipe_of() -> Callable[..., Recipe]:
    return make_recipe


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return make_recipe()


@pytest.fixture(scope="session")
def arms() -> tuple[Arm, ...]:
    factors = ((1.0, 1.0), (4.0, 0.25), (0.5, 2.0))
    names = ("reference", "arm-1-1", "arm-1-2")
    return tuple(
        Arm.model_validate(
            {
                "name": name,
                "factors": {"SCF@grow": scf, "IL-2@grow": il2},
                "origin": "reference" if name == "reference" else "exploration",
            }
        )
        for name, (scf, il2) in zip(names, factors, strict=True)
    )


def make_layout(samples: int = 1, replicates: int = 3, seed: int | None = 1) -> PlateLayout:
    """Samples and controls in the inner 60 wells, medium around them."""
    inner = [f"{row}{column}" for column in range(2, 12) for row in "BCDEFG"]
    free = iter(inner)
    ratios = (10, 5, 2.5, 1.25, 0.625, 0.3125)
    made = [sample(f"arm-{n}/U1") for n in range(1, samples + 1)]
    wells = [
        LayoutWell(well=next(free), role=role, sample=one.name, nominal_ratio=ratio, replicate=k + 1)
        for one in made
        for role in ("experimental", "effector_only")
        for ratio in ratios
        for k in range(replicates)
    ]
    for role, number in (("spontaneous", 4), ("maximum", 4), ("background", 3), ("volume_correction", 3)):
        wells += [LayoutWell(well=next(free), role=role, replicate=k + 1) for k in range(number)]
    wells += [
        LayoutWell(well=next(free), role="reference_effector", sample="reference", nominal_ratio=ratio)
        for ratio in ratios[:3]
    ]
    wells += [LayoutWell(well=well, role="empty") for well in free]
    outer = [f"{row}{column}" for column in range(1, 13) for row in "ABCDEFGH"]
    wells += [LayoutWell(well=well, role="medium_ring") for well in outer if well not in inner]
    return PlateLayout(
        barcode="ASSAY-1",
        method="ldh",
        target_line="K562",
        targets_per_well=1e4,
        contact_minutes=240,
        ratios=ratios,
        samples=tuple(made),
        reference=sample("reference"),
        wells=tuple(wells),
        seed=seed,
    )


def sample(name: str) -> EffectorSample:
    return EffectorSample(name=name, arm=name.split("/")[0], donor="U1", viability_percent=90, purity_percent=80)


@pytest.fixture(scope="session")
def layout_of() -> Callable[..., PlateLayout]:
    return make_layout


def make_worklist(*steps: dict[str, Any], **more: Any) -> Worklist:
    """Tips, a trough `water` with 10 mL in A1, a tube `dye` with 500 µL in A1 and an empty `plate`."""
    items = (
        ("tips_50", "A1", "opentrons_flex_96_filtertiprack_50ul"),
        ("tips_1000", "A2", "opentrons_flex_96_filtertiprack_1000ul"),
        ("water", "B1", "nest_12_reservoir_15ml"),
        ("tubes", "B2", "opentrons_24_tuberack_nest_1.5ml_snapcap"),
        ("plate", "B3", "corning_96_wellplate_360ul_flat"),
    )
    fillings = (
        ("water", "A1", 10_000, {"water": 1.0}, "LOT-W"),
        ("tubes", "A1", 500, {"dye": 2.0, "water": 1.0}, "LOT-D"),
        ("plate", "H12", 100, {"salt": 3.0}, None),
    )
    fields = {
        "name": "test",
        "procedure": "medium_preparation",
        "pipettes": {"left": "flex_1channel_1000", "right": "flex_8channel_1000"},
        "deck": tuple(DeckItem(nickname=n, slot=s, load_name=name) for n, s, name in items),
        "fillings": tuple(
            Filling(labware=labware, well=well, volume_ul=volume, liquid=Liquid(name=labware, per_ul=per_ul, lot=lot))
            for labware, well, volume, per_ul, lot in fillings
        ),
        "steps": tuple(Step.model_validate({"number": n, **step}) for n, step in enumerate(steps, start=1)),
    }
    return Worklist.model_validate({**fields, **more})


@pytest.fixture(scope="session")
def worklist_of() -> Callable[..., Worklist]:
    return make_worklist


def move(source: str, target: str, volume: float, tip: str = "", **more: Any) -> dict[str, Any]:
    """A transfer step; `source` and `target` are `nickname:well`."""
    (labware, _, well), (to_labware, _, to_well) = source.partition(":"), target.partition(":")
    return {
        "action": "transfer",
        "labware": labware,
        "well": well,
        "to_labware": to_labware,
        "to_well": to_well,
        "volume_ul": volume,
        "tip": tip,
        **more,
    }


@pytest.fixture(scope="session")
def transfer() -> Callable[..., dict[str, Any]]:
    return move


def robot_analysis(worklist: Worklist) -> SimpleNamespace:
    """An analysis as Opentrons would give it for a robot that does what the worklist says."""
    commands: list[dict[str, Any]] = []
    for item in worklist.deck:
        place: dict[str, Any] = {"slotName": item.slot}
        if item.module:
            result = {"moduleId": f"module-{item.slot}"}
            commands.append(
                {"commandType": "loadModule", "params": {"model": item.module, "location": place}, "result": result}
            )
            place = result
        if item.adapter:
            result = {"labwareId": f"adapter-{item.slot}"}
            params = {"loadName": item.adapter, "location": place}
            commands.append({"commandType": "loadLabware", "params": params, "result": result})
            place = result
        params = {"loadName": item.load_name, "location": place}
        result = {"labwareId": f"id-{item.nickname}"}
        commands.append({"commandType": "loadLabware", "params": params, "result": result})
    for mount, name in worklist.pipettes.items():
        params = {"pipetteName": name, "mount": mount}
        commands.append({"commandType": "loadPipette", "params": params, "result": {"pipetteId": name}})
    for step in worklist.steps:
        text = f"step {step.number}: {step.comment}"
        commands.append({"commandType": "comment", "params": {"message": text}})
        if step.action == "pause":
            commands.append({"commandType": "waitForResume", "params": {"message": text}})
        for operation in planned_operations(step):
            params = {
                "pipetteId": f"flex_{operation.channels}channel_1000",
                "labwareId": f"id-{operation.labware}",
                "wellName": operation.well,
            }
            if operation.kind == "pick_up":
                commands.append({"commandType": "pickUpTip", "params": params})
            else:
                params["volume"] = operation.volume_ul
                if operation.at_rim:
                    params["wellLocation"] = {"origin": "top", "offset": {"z": 0}}
                commands.append({"commandType": operation.kind, "params": params})
    return SimpleNamespace(result="ok", errors=(), commands=commands)


@pytest.fixture(scope="session")
def robot() -> Callable[[Worklist], SimpleNamespace]:
    return robot_analysis
