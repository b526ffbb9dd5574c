"""The procedure to follow by hand says the same volumes as the robot's worklist, and leaves places to sign."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.inventory import Inventory
from nkloop.labware import Catalogue
from nkloop.quantities import Amount
from nkloop.recipes import Recipe, find_recipe
from nkloop.reports.sop import StageMedium, sop
from nkloop.worklists.medium import plan_medium

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 12, 1)


def procedure(name: str, stage: str, volume: str = "100 mL") -> tuple[Recipe, StageMedium, str]:
    recipe = find_recipe(ROOT / "recipes", name)
    bench = load_bench_file(ROOT / "devices" / "virtual.yaml")
    inventory = Inventory.load(ROOT / "devices" / "lots" / "virtual.yaml")
    catalogue = Catalogue.load(ROOT / "labware")
    plan = plan_medium(
        recipe, stage, Amount.parse(volume), inventory, bench.deck, catalogue,
        use_until=TODAY + timedelta(days=2), today=TODAY, destination_barcode="medium",
    )  # fmt: skip
    medium = StageMedium.of(plan, inventory, catalogue, Amount.parse(volume))
    text = sop(recipe, {stage: medium}, made_at=datetime(2026, 12, 1, 8, 30, tzinfo=UTC))
    return recipe, medium, text


@pytest.fixture(scope="module")
def expansion() -> tuple[Recipe, StageMedium, str]:
    return procedure("ucb-nk", "expansion_i")


def microlitres(text: str) -> float:
    return Amount.parse(text).to("µL")


def test_the_volumes_are_those_of_the_worklist(expansion: tuple[Recipe, StageMedium, str]) -> None:
    _, medium, text = expansion
    told = re.findall(r"^\d+\. ([\d.e]+ [nµm]?L) of (.+) into (.+?)(?:, mix gently)?\. ☐", text, re.MULTILINE)
    by_hand = sum(microlitres(volume) for volume, _, _ in told)
    steps = [step for part in medium.plan.parts for step in part.worklist.steps]
    robot = sum(step.volume_ul * step.channels for step in steps if step.action == "transfer")
    assert by_hand == pytest.approx(robot, rel=1e-3)
    drawn = {use.lot: use.drawn_ul for use in medium.plan.lots}
    for lot, volume_ul in drawn.items():
        taken = sum(microlitres(volume) for volume, source, _ in told if lot in source)
        assert taken == pytest.approx(volume_ul, rel=1e-3)


def test_pre_dilutions_are_named_by_what_they_hold(expansion: tuple[Recipe, StageMedium, str]) -> None:
    _, _, text = expansion
    tubes = dict(re.findall(r"^- (tube \d+ \(.+?\)): (.+)$", text, re.MULTILINE))
    assert any("GM-CSF" in content for content in tubes.values())
    for tube in tubes:
        assert f"into {tube}" in text
        assert f"of {tube} into" in text


def test_it_has_lots_order_mixing_storage_controls_and_places_to_sign(
    expansion: tuple[Recipe, StageMedium, str],
) -> None:
    recipe, _, text = expansion
    assert recipe.revision_id in text
    assert "| SCF | LOT-SCF-01 | 100 µg/mL | 2027-06-30 |" in text
    assert "invert gently 10 times, no vortex" in text
    assert "Keep at 4 °C" in text
    assert re.search(r"of heparin \(LOT-HEPARIN-01\).*Checked by: ____", text)
    assert "| 3 | viability: at least 70 % | __________ | count again" in text
    assert "| done by | date, time | checked by | date, time |" in text
    assert "## Deviations" in text
    assert "## 2." not in text


def test_the_vector_step_is_told_with_its_control_arm() -> None:
    _, _, text = procedure("ucb-nk-transduced", "expansion_ii", "50 mL")
    line = next(line for line in text.splitlines() if "Add the vector" in line)
    assert "5 TU/cell" in line
    assert "Volume = viable cells x 5 TU/cell / titre of the lot in TU/mL" in line
    assert "Not in the arm: untransduced control" in line
    assert "checked by" in line


def test_light_sensitive_components_are_kept_dark() -> None:
    _, _, text = procedure("ucb-dc", "maturation", "40 mL")
    assert "Keep dark: PGE2." in text
    assert "use before ________ (2 d after making)" in text


def test_a_large_batch_is_told_vessel_by_vessel() -> None:
    _, medium, text = procedure("ucb-nk", "differentiation", "500 mL")
    vessels = set(re.findall(r"into (medium vessel \d+)", text))
    assert len(vessels) == len(medium.plan.sources) > 1
    assert f"because the {len(vessels)} vessels keep their dead volume" in text
