"""From samples to plates, worklists and results."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nkloop.assays.measurements import Reading
from nkloop.assays.models import AssayResult, EffectorSample
from nkloop.drivers.bench import load_bench_file
from nkloop.errors import AssayError, BenchError, PlanError
from nkloop.runs.killing import (
    EFFECTORS_PER_UL,
    REFERENCE_EFFECTOR,
    REFERENCE_LOT,
    AssayDesign,
    analyse_reading,
    detection_barcode,
    lay_out_plates,
    plan_plate,
    plate_label,
    read_request,
    refuse_used_labels,
)
from nkloop.runs.session import Session

ROOT = Path(__file__).resolve().parents[2]


def sample(number: int, purity: float = 80) -> EffectorSample:
    return EffectorSample(
        name=f"arm-{number}/U1", arm=f"arm-{number}", donor="U1", viability_percent=90, purity_percent=purity
    )


@pytest.mark.parametrize(("n_samples", "n_plates"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_two_samples_share_a_plate_and_each_is_tested_once(n_samples: int, n_plates: int) -> None:
    samples = [sample(n) for n in range(n_samples)]
    layouts = lay_out_plates(samples, AssayDesign(seed=1), "killing")
    assert AssayDesign().samples_per_plate == 2
    assert [layout.barcode for layout in layouts] == [f"killing-{n}" for n in range(1, n_plates + 1)]
    assert [s.name for layout in layouts for s in layout.samples] == [s.name for s in samples]


def test_every_plate_has_all_its_controls() -> None:
    for layout in lay_out_plates([sample(n) for n in range(3)], AssayDesign(seed=1), "killing"):
        assert layout.reference == REFERENCE_EFFECTOR
        for role in ("spontaneous", "maximum", "background", "volume_correction", "reference_effector"):
            assert layout.with_role(role)  # type: ignore[arg-type]
        for tested in layout.samples:
            assert len(layout.with_role("experimental", tested.name)) == 12
            assert len(layout.with_role("effector_only", tested.name)) == 6


def test_a_design_says_how_many_cells_a_sample_takes() -> None:
    design = AssayDesign()
    per_replicate = design.targets_per_well * sum(design.ratios)
    assert design.cells_needed > 3 * per_replicate
    assert AssayDesign(replicates=3).cells_needed - design.cells_needed == pytest.approx(1.4 * per_replicate)


def test_no_samples_and_samples_without_nk_cells_are_refused() -> None:
    with pytest.raises(AssayError, match=r"no sample to test.*with enough cells"):
        lay_out_plates([], AssayDesign(), "killing")
    with pytest.raises(AssayError, match=r"arm-1/U1 has no NK cells .*purity 0 %"):
        lay_out_plates([sample(1, purity=0)], AssayDesign(), "killing")


async def test_a_plate_is_planned_with_the_samples_own_tubes(session: Session) -> None:
    (layout,) = lay_out_plates([sample(1), sample(2)], AssayDesign(seed=1), "killing")
    harvested = {"arm-1/U1": "harvest:C-1:A1", "arm-2/U1": "harvest:C-1:B1"}
    plan = await plan_plate(session, layout, harvested)
    lots = {filling.liquid.lot for filling in plan.worklist.fillings}
    assert {*harvested.values(), REFERENCE_LOT, "line:K-562"} <= lots
    assert {item.barcode for item in plan.worklist.deck} >= {"killing-1", "killing-1-read"}
    taken = {need.sample: need.cells for need in plan.effectors}
    for name in harvested:
        assert taken[name] <= AssayDesign().cells_needed
    assert all(need.volume_ul * EFFECTORS_PER_UL == pytest.approx(need.cells) for need in plan.effectors)


async def test_targets_too_dense_for_the_pipettes_are_refused(session: Session) -> None:
    design = AssayDesign(targets_per_well=1e9)
    (layout,) = lay_out_plates([sample(1)], design, "killing")
    with pytest.raises(PlanError, match=r"E:T|effector|cells"):
        await plan_plate(session, layout, {})


def test_the_reader_measures_what_the_method_says() -> None:
    (layout,) = lay_out_plates([sample(1)], AssayDesign(), "killing")
    request = read_request(layout)
    assert (request.barcode, request.mode) == ("killing-1-read", "absorbance")
    assert (request.wavelength_nm, request.reference_wavelength_nm) == (490, 680)


async def test_a_reader_without_the_filters_is_told_before_anything_is_planned(session: Session) -> None:
    flex = load_bench_file(ROOT / "devices" / "flex_byonoy.yaml")
    session.bench_file = session.bench_file.model_copy(update={"plate_reader": flex.plate_reader})
    (layout,) = lay_out_plates([sample(1)], AssayDesign(), "killing")
    with pytest.raises(BenchError) as told:
        await plan_plate(session, layout, {})
    (problem,) = told.value.problems
    assert problem.message == (
        "method ldh: Opentrons Flex Absorbance Plate Reader has no 490 nm and no 680 nm, "
        "it reads absorbance (450, 562, 600, 650 nm)"
    )
    assert "it can read none of the shipped methods" in problem.remedy
    assert "plate_reader.modes of devices/virtual.yaml" in problem.remedy


def test_a_reading_of_another_plate_is_not_analysed() -> None:
    first, second = lay_out_plates([sample(n) for n in range(3)], AssayDesign(), "killing")
    reading = Reading(
        barcode=detection_barcode(second), mode="absorbance", values={"A1": 1.0}, instrument="r", serial_number="1",
        read_at=datetime(2026, 1, 5, tzinfo=UTC),
    )  # fmt: skip
    with pytest.raises(AssayError, match=r"reading is of plate killing-2-read, the layout belongs to killing-1-read"):
        analyse_reading(first, reading)


@pytest.mark.parametrize("written", ["K562", "k-562"])
def test_a_line_is_spelled_one_way(written: str) -> None:
    with pytest.raises(AssayError, match=rf"'{written}' is not a line of the tumour panel.*did you mean 'K-562'"):
        lay_out_plates([sample(1)], AssayDesign(target_line=written), "killing")


async def test_a_label_is_made_from_the_time_of_the_bench(session: Session) -> None:
    assert await plate_label(session) == "killing-20260105-080000"
    assert await plate_label(session) == "killing-20260105-080000.2", "another assay at the same time"
    assert await plate_label(session, "donor-test") == "donor-test"


@pytest.mark.parametrize("known", ["result", "reading"])
def test_a_label_is_used_once(session: Session, known: str) -> None:
    first, second = lay_out_plates([sample(n) for n in range(3)], AssayDesign(), "killing")
    refuse_used_labels(session.records, [first, second])
    if known == "result":
        result = AssayResult(
            barcode="killing-2", method="ldh", target_line="K-562", verdict="rejected", reasons=(), z_prime=0.1,
            quality=(), lysis=(), curves=(), layout=second, signals={},
        )  # fmt: skip
        session.records.results.add_result(result)
    else:
        reading = Reading(
            barcode="killing-2-read", mode="absorbance", values={"A1": 1.0}, instrument="r", serial_number="1",
            read_at=datetime(2026, 1, 5, tzinfo=UTC),
        )  # fmt: skip
        session.records.results.add_reading(reading)
    refuse_used_labels(session.records, [first])
    with pytest.raises(PlanError, match=r"a plate labelled killing-2 has been read already.*give another label"):
        refuse_used_labels(session.records, [first, second])


async def test_a_line_without_a_valid_mycoplasma_test_blocks_the_plate(session: Session) -> None:
    assert session.lines is not None
    (layout,) = lay_out_plates([sample(1)], AssayDesign(seed=1), "P")
    entries = tuple(
        line.model_copy(update={"mycoplasma_date": None}) if line.line == "K-562" else line
        for line in session.lines.lines
    )
    blocked = replace(session, lines=session.lines.model_copy(update={"lines": entries}))
    with pytest.raises(AssayError, match="cell line K-562: the date of its mycoplasma test is missing"):
        await plan_plate(blocked, layout, {})
