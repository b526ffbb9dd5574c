"""Writes the example worklists that lie beside the protocols: `python tests/protocols/make_examples.py protocols`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import DeckItem, Filling, Liquid, OperatorTask, Procedure, Step, Worklist

PIPETTES = {"left": "flex_1channel_1000", "right": "flex_8channel_1000"}
FILTER = "opentrons_flex_96_filtertiprack_{}ul"


@dataclass
class Draft:
    """A worklist under construction; hands out tips in order."""

    procedure: Procedure
    deck: list[DeckItem] = field(default_factory=list)
    fillings: list[Filling] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    tips: dict[str, count[int]] = field(default_factory=dict)

    def put(self, nickname: str, slot: str, load_name: str, label: str, **details: Any) -> None:
        """Place a labware."""
        self.deck.append(DeckItem(nickname=nickname, slot=slot, load_name=load_name, label=label, **details))

    def fill(self, place: str, volume: float, liquid: str) -> None:
        """Put a liquid into `labware:well`."""
        labware, well = place.split(":")
        told = Liquid(name=liquid, per_ul={liquid: 1.0})
        self.fillings.append(Filling(labware=labware, well=well, volume_ul=volume, liquid=told))

    def tip(self, rack: str, channels: int = 1) -> str:
        """The next fresh tip, or column of tips, of a rack."""
        number = next(self.tips.setdefault(rack, count()))
        return f"{rack}:A{number + 1}" if channels == 8 else f"{rack}:{'ABCDEFGH'[number % 8]}{number // 8 + 1}"

    def move(self, volume: float, source: str, to: str, tip: str = "", **details: Any) -> None:
        """Transfer between two `labware:well`."""
        labware, well = source.split(":")
        to_labware, to_well = to.split(":")
        self.add("transfer", labware=labware, well=well, to_labware=to_labware, to_well=to_well, volume_ul=volume)
        self.steps[-1] = self.steps[-1].model_copy(update={"tip": tip, **details})

    def add(self, action: str, **details: Any) -> None:
        """Append a step with the next number."""
        self.steps.append(Step.model_validate({"number": len(self.steps) + 1, "action": action, **details}))

    def wait(self, kind: str, instruction: str, minutes: float = 0) -> None:
        """Pause for a person."""
        self.add("pause", operator=OperatorTask.model_validate({"kind": kind, "instruction": instruction}))

    def finished(self) -> Worklist:
        """The worklist."""
        return Worklist.model_validate(
            {
                "name": f"{self.procedure} example",
                "procedure": self.procedure,
                "pipettes": PIPETTES,
                "deck": tuple(self.deck),
                "fillings": tuple(self.fillings),
                "steps": tuple(self.steps),
            }
        )


def medium_preparation() -> Worklist:
    """100 mL of the first expansion medium of cord-blood CD34+ cells."""
    draft = Draft("medium_preparation")
    draft.put("tips_1000", "A1", FILTER.format(1000), "Filter tips 1000 µL")
    draft.put("tips_50", "B1", FILTER.format(50), "Filter tips 50 µL")
    draft.put(
        "stocks",
        "C1",
        "opentrons_24_aluminumblock_nest_1.5ml_snapcap",
        "Cytokine stocks, 4 °C",
        module="temperatureModuleV2",
        temperature_c=4,
    )
    draft.put("base", "B2", "nest_1_reservoir_195ml", "Base medium GBGM")
    draft.put("medium", "C2", "nest_1_reservoir_195ml", "Expansion medium I, 100 mL")
    draft.put("serum", "B3", "opentrons_6_tuberack_nest_50ml_conical", "Human serum")
    draft.put("dilutions", "C3", "opentrons_24_tuberack_nest_1.5ml_snapcap", "Pre-dilutions, empty tubes")
    draft.fill("base:A1", 97000, "GBGM base medium")
    draft.fill("serum:A1", 11000, "human serum")
    draft.fill("serum:B1", 1000, "heparin 25 mg/mL")
    direct = {"SCF": 25, "Flt3L": 25, "TPO": 25, "IL-7": 25}
    diluted = {"GM-CSF": (990, 10), "G-CSF": (90, 25), "IL-6": (990, 50)}
    wells = [f"{row}{column}" for column in (1, 2) for row in "ABCD"]
    stocks = dict(zip([*direct, *diluted], wells, strict=False))
    for name, well in stocks.items():
        concentration = "100 µg/mL" if name in direct else "10 µg/mL"
        draft.fill(f"stocks:{well}", 120, f"{name} {concentration}")
    tubes = dict(zip(diluted, wells, strict=False))
    tip = draft.tip("tips_1000")
    for name, (carrier, _) in diluted.items():
        draft.move(carrier, "base:A1", f"dilutions:{tubes[name]}", tip, comment=f"carrier for {name}")
        tip = ""
    for name in diluted:
        said = f"pre-dilute {name}"
        there = f"dilutions:{tubes[name]}"
        details = {"mix_after": 5, "mix_volume_ul": 40, "comment": said}
        draft.move(10, f"stocks:{stocks[name]}", there, draft.tip("tips_50"), **details)
    for number in range(11):
        tip = "" if number else "tips_1000:A12"
        draft.move(1000, "base:A1", "medium:A1", tip, channels=8, comment="base medium, 8 x 1 mL")
    draft.move(200, "base:A1", "medium:A1", channels=8, comment="base medium, 8 x 200 µL")
    draft.move(115, "base:A1", "medium:A1", draft.tip("tips_1000"), comment="base medium, remainder")
    for number in range(10):
        tip = "" if number else draft.tip("tips_1000")
        draft.move(1000, "serum:A1", "medium:A1", tip, flow_factor=0.5, comment="human serum, 10 % v/v")
    draft.move(100, "serum:B1", "medium:A1", draft.tip("tips_1000"), comment="heparin, 25 µg/mL")
    for name, volume in direct.items():
        draft.move(volume, f"stocks:{stocks[name]}", "medium:A1", draft.tip("tips_50"), comment=f"{name}, 25 ng/mL")
    for name, (_, volume) in diluted.items():
        mixed = {"mix_before": 3, "mix_volume_ul": 40, "comment": f"{name} from its pre-dilution"}
        draft.move(volume, f"dilutions:{tubes[name]}", "medium:A1", draft.tip("tips_50"), **mixed)
    draft.add(
        "mix",
        labware="medium",
        well="A1",
        volume_ul=900,
        channels=8,
        tip="tips_1000:A11",
        mix_before=10,
        comment="mix the finished medium",
    )
    draft.wait("store", "Cover the medium reservoir, label it with recipe, lot and use-by date, store it at 4 °C")
    return draft.finished()


def cytokine_dosing() -> Worklist:
    """Half medium change of six wells in three arms that differ in IL-15."""
    draft = Draft("cytokine_dosing")
    draft.put("tips_1000", "A1", FILTER.format(1000), "Filter tips 1000 µL")
    draft.put("tips_50", "B1", FILTER.format(50), "Filter tips 50 µL")
    draft.put(
        "stocks",
        "C1",
        "opentrons_24_aluminumblock_nest_1.5ml_snapcap",
        "Cytokine stocks, 4 °C",
        module="temperatureModuleV2",
        temperature_c=4,
    )
    draft.put("troughs", "B2", "nest_12_reservoir_15ml", "Base medium (1), waste (12)")
    draft.put("dilutions", "B3", "opentrons_24_tuberack_nest_1.5ml_snapcap", "Cytokine dilutions, empty tubes")
    draft.put("arms", "C2", "opentrons_15_tuberack_nest_15ml_conical", "Arm media, empty tubes")
    draft.put("culture", "C3", "corning_24_wellplate_3.4ml_flat", "Culture plate, cells settled")
    draft.fill("troughs:A1", 13000, "GBGM + 2 % human serum")
    into = {"SCF": (980, 20), "IL-7": (980, 20), "IL-15": (980, 20), "IL-2": (900, 100)}
    wells = dict(zip(into, ("A1", "B1", "C1", "D1"), strict=True))
    for name, well in wells.items():
        draft.fill(f"stocks:{well}", 200, f"{name} {'1e6 IU/mL' if name == 'IL-2' else '100 µg/mL'}")
    arms = {"reference": ("A1", 15.0), "low IL-15": ("B1", 7.5), "high IL-15": ("C1", 30.0)}
    for column, name in enumerate(arms, start=1):
        for row, unit in (("A", "U1"), ("B", "U2")):
            draft.fill(f"culture:{row}{column}", 1000, f"culture of {name}, donor unit {unit}")
    tip = draft.tip("tips_1000")
    for name, (carrier, _) in into.items():
        draft.move(carrier, "troughs:A1", f"dilutions:{wells[name]}", tip, comment=f"carrier for {name}")
        tip = ""
    for name, (tube, il15) in arms.items():
        volume = 1500 - 45 - il15
        for part in (volume - 700, 700):
            draft.move(part, "troughs:A1", f"arms:{tube}", comment=f"base medium of arm {name}")
    for name, (_, volume) in into.items():
        rack = "tips_50" if volume <= 50 else "tips_1000"
        mixed = {"mix_after": 5, "mix_volume_ul": 40, "comment": f"dilute {name}"}
        draft.move(volume, f"stocks:{wells[name]}", f"dilutions:{wells[name]}", draft.tip(rack), **mixed)
    for name, (tube, il15) in arms.items():
        for cytokine, well in wells.items():
            volume = il15 if cytokine == "IL-15" else 15.0
            mixed = {"mix_before": 3, "mix_volume_ul": 40, "comment": f"{cytokine} into the medium of arm {name}"}
            draft.move(volume, f"dilutions:{well}", f"arms:{tube}", draft.tip("tips_50"), **mixed)
    for column, (name, (tube, _)) in enumerate(arms.items(), start=1):
        for row in "AB":
            well = f"culture:{row}{column}"
            tip = draft.tip("tips_1000")
            draft.move(500, well, "troughs:A12", tip, flow_factor=0.3, comment=f"spent medium of arm {name}")
            mixed = {
                "mix_before": 3,
                "mix_volume_ul": 500,
                "flow_factor": 0.5,
                "comment": f"fresh medium of arm {name}",
            }
            draft.move(500, f"arms:{tube}", well, draft.tip("tips_1000"), **mixed)
    draft.wait("incubate", "Cover the culture plate and return it to the incubator at 37 °C, 5 % CO2")
    return draft.finished()


def cytotoxicity_assay() -> Worklist:
    """One effector preparation at six E:T against K562, with all controls, in the inner sixty wells."""
    draft = Draft("cytotoxicity_assay")
    for nickname, slot in (("tips_a", "A1"), ("tips_b", "A2"), ("tips_c", "B1")):
        draft.put(nickname, slot, FILTER.format(200), "Filter tips 200 µL")
    draft.put("tips_1000", "C1", FILTER.format(1000), "Filter tips 1000 µL")
    draft.put("block", "B2", "nest_96_wellplate_2ml_deep", "Effector dilutions, empty block")
    draft.put("troughs", "B3", "nest_12_reservoir_15ml", "Medium, lysis buffer, substrate, stop solution")
    draft.put("effectors", "C2", "opentrons_24_tuberack_nest_1.5ml_snapcap", "Effector cells, just suspended")
    draft.put("detection", "C3", "corning_96_wellplate_360ul_flat", "Detection plate, empty")
    draft.put("targets", "D2", "opentrons_15_tuberack_nest_15ml_conical", "K562, just suspended")
    draft.put(
        "assay",
        "D1",
        "nkloop_costar3799_96_wellplate_330ul_round",
        "Assay plate, outer wells filled",
        namespace="nkloop",
        module="heaterShakerModuleV1",
        adapter="opentrons_universal_flat_adapter",
    )
    draft.fill("troughs:A1", 14000, "assay medium")
    draft.fill("troughs:A2", 1000, "lysis buffer 10x")
    draft.fill("troughs:A3", 6000, "LDH substrate")
    draft.fill("troughs:A4", 6000, "stop solution")
    draft.fill("effectors:A1", 1400, "NK cells arm 1, 1e6/mL")
    draft.fill("effectors:B1", 1400, "reference NK cells, 1e6/mL")
    draft.fill("targets:A1", 4500, "K562 1e5/mL")
    ring = [f"{row}{column}" for row in "AH" for column in range(1, 13)]
    ring += [f"{row}{column}" for row in "BCDEFG" for column in (1, 12)]
    for well in ring:
        draft.fill(f"assay:{well}", 200, "assay medium")
    ratios = range(6)  # 10:1, 5:1, 2.5:1 and so on, columns 2 to 7 of the assay plate
    references = range(3)
    tip = draft.tip("tips_1000")
    for chain, levels in (("A", list(ratios)[1:]), ("B", list(references)[1:])):
        for level in levels:
            draft.move(650, "troughs:A1", f"block:{chain}{level + 1}", tip, comment="medium for the dilution")
            tip = ""
    for chain, source, levels in (("A", "effectors:A1", ratios), ("B", "effectors:B1", references)):
        tip = draft.tip("tips_1000")
        for _ in range(2):
            cells = {"mix_before": 3, "mix_volume_ul": 450, "flow_factor": 0.5, "comment": "effectors, highest ratio"}
            draft.move(650, source, f"block:{chain}1", tip, **cells)
            tip = ""
        for level in list(levels)[1:]:
            cells = {"mix_after": 4, "mix_volume_ul": 600, "flow_factor": 0.5, "comment": "halve the effectors"}
            draft.move(650, f"block:{chain}{level}", f"block:{chain}{level + 1}", **cells)
    tip = draft.tip("tips_a")
    for well, share in _medium_wells():
        for _ in range(share):
            draft.move(100, "troughs:A1", f"assay:{well}", tip, comment="medium of a control")
            tip = ""
    for chain, levels in (("A", ratios), ("B", references)):
        for level in levels:
            tip = draft.tip("tips_a")
            for well in _effector_wells(chain, level):
                cells = {"mix_before": 2, "mix_volume_ul": 150, "flow_factor": 0.5, "comment": "effectors"}
                draft.move(100, f"block:{chain}{level + 1}", f"assay:{well}", tip, **cells)
                tip = ""
    for well in _target_wells():
        cells = {"mix_before": 2, "mix_volume_ul": 150, "flow_factor": 0.5, "comment": "targets"}
        draft.move(100, "targets:A1", f"assay:{well}", draft.tip("tips_a"), **cells)
    draft.add("shake", labware="assay", seconds=10, rpm=500, comment="bring the cells together")
    draft.wait("incubate", "Centrifuge the assay plate 4 min at 250 g, incubate 4 h at 37 °C, put it back into D1")
    for well in [f"{row}9" for row in "BCDEFG"] + [f"{row}10" for row in "EFG"]:
        draft.move(20, "troughs:A2", f"assay:{well}", draft.tip("tips_a"), comment="lysis buffer")
    draft.wait("centrifuge", "Incubate the assay plate 45 min, centrifuge it 4 min at 250 g, put it back into D1")
    tip = draft.tip("tips_b", 8)
    for column in range(2, 12):
        draft.move(50, "troughs:A3", f"detection:A{column}", tip, channels=8, comment="substrate")
        tip = ""
    for column in range(2, 12):
        tip = draft.tip("tips_b", 8)
        said = "supernatant to the detection plate"
        draft.move(50, f"assay:A{column}", f"detection:A{column}", tip, channels=8, flow_factor=0.3, comment=said)
    draft.wait("incubate", "Keep the detection plate 30 min in the dark at room temperature, put it back into C3")
    for column in range(2, 12):
        tip = draft.tip("tips_c", 8)
        draft.move(50, "troughs:A4", f"detection:A{column}", tip, channels=8, comment="stop solution")
    draft.wait("move_to_reader", "Pop bubbles, read the detection plate at 490 nm, reference 680 nm, within 1 h")
    return draft.finished()


def _medium_wells() -> list[tuple[str, int]]:
    """Wells that get medium, and how many times 100 µL: effector-only, spontaneous, maximum, background, correction."""
    singles = [f"{row}{column}" for row in "EFG" for column in range(2, 8)]
    singles += [f"{row}{column}" for row in "BCDEFG" for column in (8, 9)]
    return [(well, 1) for well in singles] + [(f"{row}10", 2) for row in "BCDEFG"]


def _effector_wells(chain: str, level: int) -> list[str]:
    if chain == "A":
        return [f"{row}{level + 2}" for row in "EFGBCD"]
    return [f"{row}11" for row in ("BC", "DE", "FG")[level]]


def _target_wells() -> list[str]:
    mixed = [f"{row}{column}" for row in "BCD" for column in range(2, 8)] + [f"{row}11" for row in "BCDEFG"]
    return [f"{row}{column}" for row in "BCDEFG" for column in (8, 9)] + mixed


EXAMPLES = {make.__name__: make for make in (medium_preparation, cytokine_dosing, cytotoxicity_assay)}


def main(folder: Path) -> None:
    """Write every example."""
    for name, make in EXAMPLES.items():
        (folder / f"{name}.example.csv").write_text(to_csv(make()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
