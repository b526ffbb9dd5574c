"""Plans from the shipped recipe, lots, labware and protocols pass all three checks, the robot's own included."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from nkloop.assays.layout import lay_out
from nkloop.assays.models import EffectorSample
from nkloop.drivers.pylabrobot.tracking import check_tracking
from nkloop.feedback.models import Arm
from nkloop.inventory.stock import Inventory
from nkloop.labware.catalogue import Catalogue
from nkloop.quantities import Amount
from nkloop.recipes.files import load_recipe
from nkloop.vendor import VendorClient, answers_folder
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.cytotoxicity import plan_cytotoxicity
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.medium import plan_medium
from nkloop.worklists.plans import CytotoxicityRequest, DonorTube, DosingRequest, EffectorTube
from nkloop.worklists.positions import assign_positions, feedings
from nkloop.worklists.verification import verify

ROOT = Path(__file__).parents[2]
TODAY, USE_UNTIL = date(2026, 11, 23), date(2026, 12, 1)
DONORS = ("U1", "U2")


@pytest.fixture(scope="module")
def shipped():
    return (
        load_recipe(ROOT / "recipes" / "ucb-nk.yaml"),
        Inventory.load(ROOT / "devices" / "lots" / "virtual.yaml"),
        Catalogue.load(ROOT / "labware"),
    )


@pytest.fixture(scope="module")
def worklists(shipped, deck):
    recipe, inventory, catalogue = shipped
    stage = recipe.stage_ids[0]
    varied = [one.component for one in recipe.loop.vary if stage in one.stages]

    def medium(name, volume, omit=()):
        dates = {"use_until": USE_UNTIL, "today": TODAY, "destination_barcode": "M-1"}
        return plan_medium(recipe, name, Amount.parse(volume), inventory, deck, catalogue, omit=omit, **dates)

    base = medium(stage, "100 mL", varied)
    keys = [one.key for one in recipe.loop.vary]
    arms = tuple(
        Arm(name=f"arm-1-{n}", factors=dict.fromkeys(keys, 0.4 + 0.5 * n), origin="exploration") for n in range(6)
    )
    positions = assign_positions(arms, DONORS, catalogue["corning_24_wellplate_3.4ml_flat"], 1)

    def dosing(tubes=(), **volumes):
        request = DosingRequest(
            name="feed",
            recipe=recipe,
            stage_id=stage,
            arms=arms,
            plate_barcode="P-1",
            wells=feedings(positions, **volumes),
            base=base.source,
            donors=tubes,
            use_until=USE_UNTIL,
        )
        return plan_dosing(request, inventory, deck, catalogue).worklist

    def effector(name):
        return EffectorSample(name=name, arm=name, donor="U1", viability_percent=90, purity_percent=80)

    (layout,) = lay_out(
        [effector("arm-1-1/U1")],
        reference=effector("reference"),
        method="ldh",
        target_line="K-562",
        barcodes=["A-1"],
        seed=1,
    )
    names = ("arm-1-1/U1", "reference")
    request = CytotoxicityRequest(
        name="killing",
        layout=layout,
        effectors=tuple(EffectorTube(sample=name, lot=f"harvest:P-1:{name}", cells_per_ul=2000) for name in names),
        targets_per_ul=500,
        detection_barcode="D-1",
        use_until=USE_UNTIL,
    )
    return (
        *(
            medium(name, volume).worklist
            for name, volume in zip(recipe.stage_ids, ("20 mL", "1 mL", "150 mL"), strict=True)
        ),
        dosing(tuple(DonorTube(donor=donor, cells_per_ul=1000) for donor in DONORS), add_ul=900, seed_ul=100),
        dosing(add_ul=500, remove_ul=500, present_ul=1000, mixed_wells=("A1", "B2")),
        plan_cytotoxicity(request, inventory, deck, catalogue).worklist,
    )


@pytest.mark.vendor
@pytest.mark.slow
async def test_every_plan_passes_the_three_checks(worklists, shipped, deck):
    _, _, catalogue = shipped
    async with VendorClient(answers_folder()) as client:

        async def analyse(worklist):
            own = [definition for item in worklist.deck if (definition := catalogue.definition(item.load_name))]
            protocol = ROOT / "protocols" / f"{worklist.procedure}.py"
            return await client.analyse(protocol, csv=to_csv(worklist), labware=own, values={})

        for worklist in worklists:
            verdict = await verify(
                worklist, catalogue, deck, analyse=analyse, track=lambda given: check_tracking(given, catalogue)
            )
            told = {check.check: check.problems for check in verdict.checks}
            assert verdict.passed, told
            assert len(told) == 3


def test_plans_fit_the_deck_and_the_minimum_volume(worklists):
    for worklist in worklists:
        assert len(worklist.deck) <= 10
        assert min(step.volume_ul for step in worklist.steps if step.action == "transfer") >= 5
