"""A layout written to a file and read again is the same layout, in both forms; and files that must be refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.assays import lay_out
from nkloop.assays.designs import DesignRequest, DoseSeries, design
from nkloop.assays.layouts import layouts_to_csv, read_layouts
from nkloop.assays.models import EffectorSample, PlateLayout, Treatment
from nkloop.errors import AssayError

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9\-]{0,8}(/[A-Z][0-9]{1,3})?", fullmatch=True)
PERCENT = st.floats(1, 100)


CODES = {"S", "M", "BG", "VC", "RING", "T"}
ISOTYPE = DoseSeries(treatment=Treatment(name="iso-1", kind="isotype", unit="µg/mL"), doses=(10,))


@st.composite
def samples(draw: st.DrawFn) -> list[EffectorSample]:
    allowed = NAMES.filter(lambda name: name.upper() not in CODES)
    names = draw(st.lists(allowed, min_size=1, max_size=2, unique_by=str.lower))
    return [
        EffectorSample(
            name=name,
            arm=name,
            donor="D",
            viability_percent=draw(PERCENT),
            purity_percent=draw(PERCENT),
            cd16_percent=draw(PERCENT),
        )
        for name in names
    ]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[PlateLayout, ...]:
    kind = draw(st.sampled_from(["killing", "adcc", "drug-matrix"]))
    antibody = Treatment(name="mAb", kind="antibody", unit="µg/mL")
    given = DoseSeries(treatment=antibody, doses=(draw(st.floats(0.1, 99)), 100))
    ratios = draw(st.lists(st.floats(0.05, 40), min_size=3, max_size=5, unique=True))
    request = DesignRequest.model_validate(
        {
            "kind": kind,
            "plate_wells": 384,
            "samples": draw(samples()),
            "lines": draw(st.sampled_from([("K-562",), ("K-562", "Raji")])),
            "ratios": sorted(ratios, reverse=True),
            "replicates": 2,
            "effector_replicates": draw(st.integers(1, 2)),
            "control_replicates": draw(st.integers(2, 6)),
            "treatments": {"killing": (), "adcc": (given, ISOTYPE), "drug-matrix": (given,)}[kind],
            "edge": draw(st.sampled_from(["ring", "all"])),
            "seed": draw(st.one_of(st.none(), st.integers(0, 99))),
        }
    )
    started = draw(st.one_of(st.none(), st.just(datetime(2026, 3, 1, 8, 30, tzinfo=UTC))))
    return tuple(plate.model_copy(update={"started_at": started}) for plate in design(request).layouts)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plates=layouts(), form=st.sampled_from(["table", "grid"]))
def test_a_design_survives_its_file(tmp_path: Path, plates: tuple[PlateLayout, ...], form: Any) -> None:
    path = tmp_path / f"{form}.csv"
    path.write_text(layouts_to_csv(plates, form), encoding="utf-8")
    assert read_layouts(path) == plates


@pytest.mark.parametrize("form", ["table", "grid"])
def test_the_robots_map_survives_its_file(tmp_path: Path, plate: PlateLayout, form: Any) -> None:
    path = tmp_path / "layout.csv"
    path.write_text(layouts_to_csv([plate], form), encoding="utf-8")
    assert read_layouts(path) == (plate,)


def test_a_table_of_a_person_needs_few_columns(tmp_path: Path) -> None:
    rows = ["Well;Role;Arm;Donor;ET;Viability;Purity;Line"]
    rows += [
        f"A{c};experimental;arm-1;U1;{r};90;80;Raji" for c, r in ((1, 10), (2, 10), (3, 5), (4, 5), (5, 2), (6, 2))
    ]
    rows += [f"B{c};effector only;arm-1;U1;{r};90;80;" for c, r in ((1, 10), (2, 5), (3, 2))]
    rows += ["C1;spontaneous;;;;;;Raji", "C2;spontaneous;;;;;;Raji", "D1;maximum;;;;;;Raji", "D2;maximum;;;;;;Raji"]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    (layout,) = read_layouts(path, {"method": "ldh"})
    assert (layout.barcode, layout.target_line, layout.plate_wells) == ("mine", "Raji", 96)
    assert layout.ratios == (10, 5, 2)
    assert layout.samples[0].true_ratio(10) == pytest.approx(7.2)
    assert [w.replicate for w in layout.with_role("experimental")] == [1, 2, 1, 2, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("well,role\nA1,experimnetal\n", r"line 2, column role: .*mean 'experimental'", id="role"),
        pytest.param("well,role\nZ9,empty\n", r"line 2, column well: 'Z9' is not a well name", id="well"),
        pytest.param(
            "well,role,line\nA1,maximum,Raji\nA1,maximum,Raji\n", r"A1 .* stands in line 2 already", id="well twice"
        ),
        pytest.param(
            "well,role,arm,donor,et\nA1,experimental,a,D,10\n",
            r"line 2, .*sample a/D has no viability_percent and no purity_percent",
            id="no purity",
        ),
        pytest.param("well,role,et\nA1,experimental,-1\n", r"nominal_ratio: -1 must be above 0", id="negative E:T"),
        pytest.param(
            "plate,well,role,contact_minutes\nP,A1,empty,240\nP,A2,empty,200\n",
            r"line 3, column contact_minutes: contact_minutes has 2 values on one plate",
            id="two contact times",
        ),
        pytest.param("plate,P\n,1,2,3,4,5,6,7,8,9,10,11,12\nA,S,Q\n", r"csv:3: well A2 holds 'Q'", id="unknown cell"),
        pytest.param(
            "plate,P\n,1,2,3,4,5,6,7,8,9,10,11,12\nA,arm-1 10:1\n", r"well A1 names sample 'arm-1'", id="unknown sample"
        ),
        pytest.param("colour,red\n", r"csv:1: 'colour' is not understood above a grid", id="unknown line"),
        pytest.param("plate,P\n", r"there is no grid in the file", id="no grid"),
        pytest.param(
            "sample,a/D,a,D,120,80\n,1,2,3,4,5,6,7,8,9,10,11,12\nA,S\n",
            r"csv:1: viability_percent.*must be at most 100",
            id="viability of 120",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "layout.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssayError, match=message):
        read_layouts(path)


def test_a_name_that_could_be_misread_is_refused_for_the_grid_only(tmp_path: Path) -> None:
    odd = EffectorSample(name="arm 10:1", arm="arm", donor="D", viability_percent=90, purity_percent=80)
    made = lay_out([odd], reference=None, method="ldh", target_line="K-562", barcodes=["P"])
    with pytest.raises(AssayError, match="'arm 10:1' could be misread in a grid"):
        layouts_to_csv(made, "grid")
    path = tmp_path / "layout.csv"
    path.write_text(layouts_to_csv(made), encoding="utf-8")
    assert read_layouts(path) == made
