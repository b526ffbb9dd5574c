"""A whole killing assay: operator, robot, incubator, centrifuge, reader."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nkloop.assays.measurements import ReadRequest
from nkloop.errors import BenchError, DeviceError
from nkloop.virtual.tasks import perform
from nkloop.virtual.world import World
from nkloop.worklists.models import OperatorTask

RATIOS = {1: 10.0, 2: 5.0, 3: 2.5, 4: 1.25, 5: 0.63, 6: 0.31}
"""Assay column to nominal E:T; columns 7 to 12 are controls."""
SPONTANEOUS, MAXIMUM, BACKGROUND, CORRECTION, EFFECTOR_ONLY, REFERENCE = 7, 8, 9, 10, 11, 12


def task(kind: str, minutes: float = 0, *labware: str, temperature: float | None = None) -> OperatorTask:
    """A pause."""
    return OperatorTask.model_validate(
        {"kind": kind, "instruction": kind, "labware": labware, "minutes": minutes, "temperature_c": temperature}
    )


def run_assay(kit: Any, world: World, *, lysis_ul: float = 20, contact_minutes: float = 240) -> dict[int, list[float]]:
    """A490 minus A680 of rows B to G per column; column sources are tubes diluted by hand."""
    deck = kit.deck().put("tips", "A1", "tips_1000").put("tips_b", "A2", "tips_1000")
    deck.put("trough", "B1", "trough_1").put("cells", "B2", "tubes_15ml").put("reagents", "B3", "tubes_15ml")
    deck.put("assay", "C2", "assay_96", barcode="ASSAY").put("detect", "C3", "flat_96", barcode="DETECT")
    deck.fill("trough", "A1", 100_000, "assay medium", **{"assay medium": 1.0})
    medium = {"assay medium": 1.0}
    for column, ratio in RATIOS.items():
        deck.fill("cells", _tube(column), 3000, "reference:PB-NK", cells=100 * ratio, **medium)
    deck.fill("cells", "C5", 3000, "reference:PB-NK", cells=500.0, **medium)
    deck.fill("cells", "B5", 12_000, "line:K-562", cells=100.0, **medium)
    deck.fill("reagents", "A1", 5000, "LDH lysis buffer 10x").fill("reagents", "A2", 9000, "LDH substrate")
    deck.fill("reagents", "A3", 9000, "LDH stop solution")
    deck.load(world)
    script = kit.script(world, deck)
    rows = "BCDEFG"
    for column in range(1, 13):
        script.tip()
        for row in rows:
            well, effector, medium_ul = ("assay", f"{row}{column}"), None, 0.0
            if column in RATIOS:
                effector = _tube(column)
            elif column == EFFECTOR_ONLY:
                effector, medium_ul = _tube(1), 100.0
            elif column == REFERENCE:
                effector = "C5"
            else:
                medium_ul = 200.0 if column in (BACKGROUND, CORRECTION) else 100.0
            if medium_ul:
                script.draw("trough", "A1", medium_ul).give(*well, medium_ul)
            if effector:
                script.mix("cells", effector, 500).draw("cells", effector, 100).give(*well, 100)
        script.drop()
    script.tip()
    for column in (*RATIOS, SPONTANEOUS, MAXIMUM, REFERENCE):
        for row in rows:
            script.mix("cells", "B5", 900).draw("cells", "B5", 100).give("assay", f"{row}{column}", 100)
            world.clock.advance(8)
    script.drop()
    perform(world, task("incubate", contact_minutes, "assay"), {})
    for column in (MAXIMUM, CORRECTION):
        for row in rows:
            script.move(("reagents", "A1"), ("assay", f"{row}{column}"), lysis_ul)
    perform(world, task("incubate", 45, "assay"), {})
    perform(world, task("centrifuge", 4, "assay"), {})
    script.do("pickUpTip", pipetteId="right", labwareId="tips_b", wellName="A1")
    for column in range(1, 13):
        script.draw("assay", f"A{column}", 50, "right").give("detect", f"A{column}", 50, "right")
    script.drop("right")
    _reagent(script, world, "A2", "A2", rows)
    perform(world, task("incubate", 30, "detect", temperature=22), {})
    _reagent(script, world, "A3", "A4", rows)
    perform(world, task("move_to_reader", 0, "detect"), {})
    request = ReadRequest(barcode="DETECT", load_name="flat_96", mode="absorbance", wavelength_nm=490)
    signal, reference = world.read(request), world.read(request.model_copy(update={"wavelength_nm": 680}))
    return {c: [signal[f"{r}{c}"] - reference[f"{r}{c}"] for r in rows] for c in range(1, 13)}


def _tube(column: int) -> str:
    return "ABC"[(column - 1) % 3] + str((column - 1) // 3 + 1)


def _reagent(script: Any, world: World, tube: str, tip: str, rows: str) -> None:
    script.do("pickUpTip", pipetteId="left", labwareId="tips_b", wellName=tip)
    for column in range(1, 13):
        for row in rows:
            script.draw("reagents", tube, 50).give("detect", f"{row}{column}", 50)
            world.clock.advance(1)
    script.drop()


def lysis(columns: dict[int, list[float]]) -> dict[int, float]:
    """Percent lysis per column by the usual formula; effector background scaled with the cells."""
    mean = {column: float(np.mean(values)) for column, values in columns.items()}
    background = mean[BACKGROUND]
    effector = mean[EFFECTOR_ONLY] - background
    spontaneous = mean[SPONTANEOUS] - background
    maximum = mean[MAXIMUM] - mean[CORRECTION]
    return {
        column: 100 * (mean[column] - background - effector * ratio / 10 - spontaneous) / (maximum - spontaneous)
        for column, ratio in RATIOS.items()
    }


def z_prime(columns: dict[int, list[float]]) -> float:
    """Z' of maximum against spontaneous."""
    high, low = columns[MAXIMUM], columns[SPONTANEOUS]
    return 1 - 3 * float(np.std(high, ddof=1) + np.std(low, ddof=1)) / abs(float(np.mean(high) - np.mean(low)))


def test_a_good_plate_is_good(kit: Any) -> None:
    values = []
    for seed in range(6):
        world = kit.make_world(seed)
        columns = run_assay(kit, world)
        # The eight channels reach the empty outer rows too; nothing else may go wrong.
        assert {incident.message.split()[-1][0] for incident in world.incidents} == {"A", "H"}
        values.append(z_prime(columns))
        curve = list(lysis(columns).values())
        assert curve[0] > 50
        assert curve[0] > curve[2] > curve[5] > 0
        spontaneous = np.mean(columns[SPONTANEOUS]) - np.mean(columns[BACKGROUND])
        maximum = np.mean(columns[MAXIMUM]) - np.mean(columns[CORRECTION])
        assert 0.02 < spontaneous / maximum < 0.15
        assert 0.8 < np.mean(columns[MAXIMUM]) < 2.5
    assert 0.55 < np.median(values) < 0.9
    assert min(values) > 0.4


def test_short_contact_and_too_little_lysis_buffer_show(kit: Any) -> None:
    good = run_assay(kit, kit.make_world(2))
    short = run_assay(kit, kit.make_world(2), contact_minutes=60)
    assert lysis(short)[1] < 0.75 * lysis(good)[1]
    weak = run_assay(kit, kit.make_world(2), lysis_ul=5)
    assert np.mean(weak[MAXIMUM]) < 0.8 * np.mean(good[MAXIMUM])


def test_the_same_seed_gives_the_same_plate(kit: Any) -> None:
    assert run_assay(kit, kit.make_world(5)) == run_assay(kit, kit.make_world(5))
    assert run_assay(kit, kit.make_world(5)) != run_assay(kit, kit.make_world(6))


def test_only_the_plate_in_the_reader_can_be_read(kit: Any, world: World) -> None:
    deck = kit.deck().put("plate", "C2", "flat_96", barcode="P1").put("other", "C3", "flat_96", barcode="P2")
    deck.load(world)
    request = ReadRequest(barcode="P1", load_name="flat_96", mode="absorbance", wavelength_nm=490)
    with pytest.raises(DeviceError, match="holds no plate, not P1"):
        world.read(request)
    perform(world, task("move_to_reader", 0, "other"), {})
    with pytest.raises(DeviceError, match="holds plate P2, not P1"):
        world.read(request)
    perform(world, task("move_to_reader", 0, "plate"), {})
    assert len(world.read(request)) == 96
    assert world.containers["P2"].place == "fridge"
    with pytest.raises(DeviceError, match="P1 has no well H13"):
        world.read(request.model_copy(update={"wells": ("H13",)}))


def test_tasks_need_labware_that_is_here(kit: Any, world: World) -> None:
    kit.deck().put("plate", "C2", "flat_96").load(world)
    with pytest.raises(BenchError, match="no labware 'ghost' is here to move to reader"):
        perform(world, task("move_to_reader", 0, "ghost"), {})
    with pytest.raises(BenchError, match="without barcode cannot be read"):
        perform(world, task("move_to_reader", 0, "plate"), {})


def test_incubation_warms_and_brings_back(kit: Any, world: World) -> None:
    kit.deck().put("plate", "C2", "assay_96", barcode="P1").load(world)
    before = world.clock.seconds
    perform(world, task("incubate", 240), {"plate": "P1"})
    plate = world.containers["P1"]
    assert world.clock.seconds - before == pytest.approx(241 * 60)
    assert (plate.place, plate.temperature_c) == ("deck", 22.0)
    perform(world, task("store", 0, "plate", temperature=37), {})
    assert (plate.place, plate.temperature_c) == ("incubator", 37)
    perform(world, task("store", 0), {})
    assert plate.place == "fridge"
