"""Rules that no slip of the mutations reaches: each is told for what breaks it, and not for what does not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nkloop.errors import VendorError
from nkloop.worklists import rules
from nkloop.worklists.analysis_check import check_analysis
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import CheckResult, Liquid
from nkloop.worklists.verification import verify


def told(result: CheckResult) -> set[str]:
    return {problem["rule"] for problem in (*result.problems, *result.warnings)}


@pytest.fixture
def poured(worklist_of, transfer):
    return worklist_of(
        transfer("water:A1", "plate:A1", 90, "tips_1000:A1"), transfer("tubes:A1", "plate:A1", 10, "tips_50:A1")
    )


@pytest.fixture
def seeded(worklist_of, transfer):
    """Cells of a donor, and medium, into a well of the plate; `first` is what comes first."""

    def make(*, first: str, barcode: str | None):
        medium = transfer("water:A1", "plate:A1", 90, "tips_1000:A1")
        cells = transfer("tubes:A1", "plate:A1", 10, "tips_50:A1", mix_before=3, mix_volume_ul=10, flow_factor=0.3)
        worklist = worklist_of(*((medium, cells) if first == "medium" else (cells, medium)))
        suspension = Liquid(name="U1", per_ul={"donor:U1": 1000.0, "water": 1.0}, lot="donor:U1")
        deck = (*worklist.deck[:-1], worklist.deck[-1].model_copy(update={"barcode": barcode}))
        fillings = tuple(
            one.model_copy(update={"liquid": suspension}) if one.labware == "tubes" else one
            for one in worklist.fillings
        )
        return worklist.model_copy(update={"deck": deck, "fillings": fillings})

    return make


@pytest.mark.parametrize(
    ("first", "barcode", "is_told"),
    [("cells", "P-1", True), ("medium", "P-1", False), ("cells", None, False)],
    ids=["cells first", "medium first", "no culture plate"],
)
def test_v035_cells_into_a_dry_well_of_a_culture_plate(seeded, catalogue, deck, first, barcode, is_told):
    result = check_ledger(seeded(first=first, barcode=barcode), catalogue, deck)
    assert (rules.CELLS_INTO_DRY in {one["rule"] for one in result.warnings}) is is_told
    assert result.passed


@pytest.mark.parametrize(
    ("result", "errors"),
    [("not-ok", ({"message": "no such labware", "where": "line 3", "remedy": "correct it"},)), ("not-ok", ())],
    ids=["with an error", "without one"],
)
def test_v080_an_analysis_that_refuses(poured, robot, catalogue, result, errors):
    assert told(check_analysis(poured, SimpleNamespace(result=result, errors=errors, commands=()), catalogue)) == {
        rules.ROBOT_REFUSES
    }
    assert rules.ROBOT_REFUSES not in told(check_analysis(poured, robot(poured), catalogue))


@pytest.mark.parametrize(
    "changes", [{"load_name": "nest_96_wellplate_2ml_deep"}, {"slot": "C3"}], ids=["other labware", "other slot"]
)
def test_v083_a_robot_that_loads_another_deck(poured, robot, catalogue, deck, changes):
    other = poured.model_copy(update={"deck": (*poured.deck[:-1], poured.deck[-1].model_copy(update=changes))})
    assert rules.ROBOT_DECK in told(check_analysis(poured, robot(other), catalogue, deck))
    assert told(check_analysis(other, robot(other), catalogue, deck)) == set()


@pytest.mark.parametrize(
    ("volume_ul", "is_told"), [(80.0, True), (89.8, True), (90.004, False), (90.0, False)],
    ids=["another volume", "beyond 0.1 µL", "rounded in the file", "as planned"],
)  # fmt: skip
def test_v084_contents_that_end_otherwise(poured, robot, catalogue, deck, volume_ul, is_told):
    step = poured.steps[0].model_copy(update={"volume_ul": volume_ul})
    given = robot(poured.model_copy(update={"steps": (step, *poured.steps[1:])}))
    assert (rules.ENDS_DIFFER in told(check_analysis(poured, given, catalogue, deck))) is is_told


async def test_v088_a_check_that_could_not_be_made(poured, robot, catalogue, deck):
    async def analyse(worklist):
        return robot(worklist)

    async def without_vendor(worklist):
        raise VendorError("the vendor environment does not start", remedy="install uv")

    def track(worklist):
        return CheckResult.of("pylabrobot tracking", 0.0, ())

    def broken(worklist):
        raise VendorError("tracking is broken")

    for first, second, expected in (
        (without_vendor, track, [set(), {rules.CHECK_NOT_MADE}, set()]),
        (analyse, broken, [set(), set(), {rules.CHECK_NOT_MADE}]),
        (analyse, track, [set(), set(), set()]),
    ):
        verdict = await verify(poured, catalogue, deck, analyse=first, track=second)
        assert [told(check) for check in verdict.checks] == expected
