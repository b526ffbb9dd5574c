"""Plans the example worklists that lie beside the protocols: `python tests/protocols/make_examples.py protocols`.

They are what the planners make of the shipped recipe, lots, labware and virtual bench, on a fixed day.
"""

from __future__ import annotations

import sys
from datetime import date
from functools import cache
from pathlib import Path

from nkloop.assays.layout import lay_out
from nkloop.assays.models import EffectorSample
from nkloop.drivers.bench import load_bench_file
from nkloop.feedback.models import Arm
from nkloop.inventory.stock import Inventory
from nkloop.labware.catalogue import Catalogue
from nkloop.quantities import Amount
from nkloop.recipes.files import load_recipe
from nkloop.recipes.models import Recipe
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.cytotoxicity import plan_cytotoxicity
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.medium import plan_medium
from nkloop.worklists.models import Worklist
from nkloop.worklists.plans import CytotoxicityRequest, DonorTube, DosingRequest, EffectorTube, MediumPlan
from nkloop.worklists.positions import assign_positions, feedings

ROOT = Path(__file__).parents[2]
TODAY, USE_UNTIL = date(2026, 11, 23), date(2026, 11, 30)
STAGE = "expansion_i"
DONORS = ("U1", "U2")
CULTURE_PLATE = "corning_24_wellplate_3.4ml_flat"
SEED = 1


BENCHES = {"": "virtual", "ot2": "ot2_spectramax"}
"""Bench the examples of a folder below `protocols/` are planned for."""


@cache
def shipped(robot: str = "") -> tuple[Recipe, Inventory, Catalogue, BenchDeck]:
    """Recipe, lots, labware and a bench of the repository."""
    bench = ROOT / "devices" / f"{BENCHES[robot]}.yaml"
    file = load_bench_file(bench)
    # the lists of real benches are empty until their lab fills them
    inventory = Inventory.load(ROOT / "devices" / "lots" / "virtual.yaml")
    return load_recipe(ROOT / "recipes" / "ucb-nk.yaml"), inventory, Catalogue.load(ROOT / "labware"), file.deck


@cache
def medium(volume: str, omit: tuple[str, ...] = (), robot: str = "") -> MediumPlan:
    """A batch of the first expansion medium of cord-blood CD34+ cells."""
    recipe, inventory, catalogue, deck = shipped(robot)
    return plan_medium(
        recipe,
        STAGE,
        Amount.parse(volume),
        inventory,
        deck,
        catalogue,
        omit=omit,
        use_until=USE_UNTIL,
        today=TODAY,
        destination_barcode="MEDIUM-1",
    )


@cache
def medium_preparation(robot: str = "") -> Worklist:
    """100 mL of complete medium."""
    return medium("100 mL", robot=robot).worklist


@cache
def cytokine_dosing(
    robot: str = "", n_arms: int = 3, donors: tuple[str, ...] = DONORS, base_volume: str = "20 mL"
) -> Worklist:
    """Day 0 of three arms with two cord units each: arm media, seeded with CD34+ cells."""
    recipe, inventory, catalogue, deck = shipped(robot)
    factors: tuple[dict[str, float], ...] = ({}, {"SCF": 0.5, "IL-7": 2.0}, {"Flt3L": 2.0, "TPO": 0.5})
    varied = [one for one in recipe.loop.vary if STAGE in one.stages]
    arms = tuple(
        Arm(
            name="reference" if number == 0 else f"arm-1-{number}",
            factors={one.key: changed.get(one.component, 1.0) for one in varied},
            origin="exploration" if number else "reference",
        )
        for number, changed in enumerate(factors[:n_arms])
    )
    request = DosingRequest(
        name="seed plate P-1",
        recipe=recipe,
        stage_id=STAGE,
        arms=arms,
        plate_barcode="P-1",
        wells=feedings(assign_positions(arms, donors, catalogue[CULTURE_PLATE], SEED), add_ul=900, seed_ul=100),
        base=medium(base_volume, tuple(one.component for one in varied), robot).source,
        donors=tuple(DonorTube(donor=donor, cells_per_ul=1000) for donor in donors),
        use_until=USE_UNTIL,
        seed=SEED,
    )
    return plan_dosing(request, inventory, deck, catalogue).worklist


@cache
def cytotoxicity_assay(robot: str = "", names: tuple[str, ...] = ("reference/U1", "arm-1-1/U1")) -> Worklist:
    """Two effector samples at six E:T in duplicate against K-562, with a reference effector and all controls."""
    _, inventory, catalogue, deck = shipped(robot)
    samples = [_effector(name) for name in names]
    reference = _effector("reference effector/PB-NK")
    (layout,) = lay_out(
        samples,
        reference=reference,
        method="ldh",
        target_line="K-562",
        barcodes=["ASSAY-1"],
        replicates=2,
        effector_replicates=1,
        seed=SEED,
    )
    lots = {name: f"harvest:P-1:{'AB'[number]}1" for number, name in enumerate(names)}
    lots[reference.name] = "reference:PB-NK"
    request = CytotoxicityRequest(
        name="LDH release ASSAY-1 against K-562",
        layout=layout,
        effectors=tuple(EffectorTube(sample=name, lot=lot, cells_per_ul=2000) for name, lot in lots.items()),
        targets_per_ul=100,
        detection_barcode="ASSAY-1-read",
        use_until=USE_UNTIL,
    )
    return plan_cytotoxicity(request, inventory, deck, catalogue).worklist


def _effector(name: str) -> EffectorSample:
    arm, _, donor = name.partition("/")
    return EffectorSample(name=name, arm=arm, donor=donor, viability_percent=90, purity_percent=80)


EXAMPLES = {make.__name__: make for make in (medium_preparation, cytokine_dosing, cytotoxicity_assay)}


def main(folder: Path) -> None:
    """Write every example, those of the OT-2 into `ot2/`."""
    for robot in BENCHES:
        (folder / robot).mkdir(exist_ok=True)
        for name, make in EXAMPLES.items():
            (folder / robot / f"{name}.example.csv").write_text(to_csv(make(robot)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
