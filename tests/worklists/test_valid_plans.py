"""Nothing valid is refused: plans of every procedure at many seeded sizes pass every rule of the ledger."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

from nkloop.assays.layout import lay_out
from nkloop.assays.models import EffectorSample
from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.csv_format import from_csv, to_csv
from nkloop.worklists.cytotoxicity import plan_cytotoxicity
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.light_rules import light_problems
from nkloop.worklists.plans import CytotoxicityRequest, DonorTube, DosingRequest, EffectorTube
from nkloop.worklists.positions import assign_positions, feedings
from nkloop.worklists.procedure_check import procedure_problems

_SPEC = importlib.util.spec_from_file_location(
    "make_examples", Path(__file__).parents[1] / "protocols" / "make_examples.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
examples = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(examples)


def expect_no_refusal(worklist, deck, catalogue):
    """The plan and what is read back from its CSV pass, without a warning."""
    found = check_ledger(worklist, catalogue, deck)
    assert found.problems == ()
    assert found.warnings == ()
    minutes = busy_minutes(worklist, deck)
    assert list(light_problems(worklist, minutes, catalogue)) == []
    assert list(procedure_problems(worklist)) == []
    read = from_csv(to_csv(worklist), name=worklist.name, procedure=worklist.procedure)
    assert check_ledger(read, catalogue, deck).problems == ()


@pytest.mark.parametrize("seed", range(5))
def test_media_of_many_volumes(seed):
    volume = round(10 ** random.Random(f"medium {seed}").uniform(1.0, 2.15), 1)
    _, _, catalogue, deck = examples.shipped()
    expect_no_refusal(examples.medium(f"{volume} mL").worklist, deck, catalogue)


@pytest.mark.parametrize("seed", range(6))
def test_doses_of_many_arms(seed):
    rng = random.Random(f"dosing {seed}")
    recipe, inventory, catalogue, deck = examples.shipped()
    varied = [one for one in recipe.loop.vary if examples.STAGE in one.stages]
    arms = tuple(
        Arm(
            name="reference" if number == 0 else f"arm-1-{number}",
            factors={one.key: rng.choice([0.5, 1.0, 2.0, 4.0]) if number else 1.0 for one in varied},
            origin="exploration" if number else "reference",
        )
        for number in range(rng.randint(1, 5))
    )
    donors = [f"U{n}" for n in range(1, rng.randint(1, 3) + 1)]
    positions = assign_positions(arms, donors, catalogue[examples.CULTURE_PLATE], seed)
    request = DosingRequest(
        name="seed plate P-1",
        recipe=recipe,
        stage_id=examples.STAGE,
        arms=arms,
        plate_barcode="P-1",
        wells=feedings(positions, add_ul=rng.choice([600, 900, 1200]), seed_ul=100),
        base=examples.medium("40 mL", tuple(one.component for one in varied)).source,
        donors=tuple(DonorTube(donor=donor, cells_per_ul=1000) for donor in donors),
        use_until=examples.USE_UNTIL,
        seed=seed,
    )
    expect_no_refusal(plan_dosing(request, inventory, deck, catalogue).worklist, deck, catalogue)


@pytest.mark.parametrize("seed", range(6))
def test_killing_assays_of_many_sizes(seed):
    rng = random.Random(f"killing {seed}")
    _, inventory, catalogue, deck = examples.shipped()
    names = [f"arm-1-{n}/U1" for n in range(rng.randint(1, 2))]
    samples = [_sample(name) for name in names]
    reference = _sample("reference effector/PB-NK")
    (layout,) = lay_out(
        samples,
        reference=reference,
        method="ldh",
        target_line="K-562",
        barcodes=["ASSAY-1"],
        replicates=rng.randint(1, 2),
        effector_replicates=1,
        seed=seed,
    )
    tubes = [EffectorTube(sample=name, lot=f"harvest:P-1:A{n}", cells_per_ul=2000) for n, name in enumerate(names, 1)]
    tubes.append(EffectorTube(sample=reference.name, lot="reference:PB-NK", cells_per_ul=2000))
    request = CytotoxicityRequest(
        name="LDH release ASSAY-1",
        layout=layout,
        effectors=tuple(tubes),
        targets_per_ul=rng.choice([100, 150, 200]),
        detection_barcode="ASSAY-1-read",
        use_until=examples.USE_UNTIL,
    )
    expect_no_refusal(plan_cytotoxicity(request, inventory, deck, catalogue).worklist, deck, catalogue)


def test_a_plan_that_breaks_a_rule_is_no_plan():
    with pytest.raises(PlanError):
        examples.medium("5 L")


def _sample(name: str) -> EffectorSample:
    arm, _, donor = name.partition("/")
    return EffectorSample(name=name, arm=arm, donor=donor, viability_percent=90, purity_percent=80)
