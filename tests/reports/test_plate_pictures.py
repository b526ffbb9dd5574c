"""Pictures of one plate: what they show, as vega-lite data and as files."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import altair as alt
import pytest

from nkloop.errors import WorkspaceError
from nkloop.reports.control_chart import control_chart
from nkloop.reports.donor_chart import DonorValue, donor_chart
from nkloop.reports.forest_chart import ForestRow, forest_chart
from nkloop.reports.picture_files import picture_files
from nkloop.reports.surface_chart import SurfaceCell, surface_chart

HISTORY = [52.0, 55.0, 49.0, 57.0, 53.0, 54.0]


def rows_of(chart: alt.TopLevelMixin) -> list[dict[str, Any]]:
    """All data rows of a chart, wherever they stand in it."""
    told = chart.to_dict()
    sets = list(told.get("datasets", {}).values())

    def visit(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("values"), list):
                sets.append(node["values"])
            for inner in node.values():
                visit(inner)
        elif isinstance(node, list):
            for inner in node:
                visit(inner)

    visit({key: value for key, value in told.items() if key != "datasets"})
    return [row for rows in sets for row in rows if isinstance(row, dict)]


def control(*values: float) -> list[dict[str, Any]]:
    chart = control_chart([*HISTORY, *values], mean=fmean(HISTORY), spread=stdev(HISTORY))
    return [row for row in rows_of(chart) if "state" in row]


@pytest.mark.parametrize(
    ("distances", "state", "rules"),
    [
        pytest.param((0.5,), "ok", "", id="inside"),
        pytest.param((2.4,), "warning", "1-2s", id="one beyond 2 SD warns"),
        pytest.param((3.2,), "broken", "1-3s", id="one beyond 3 SD"),
        pytest.param((2.1, 2.4), "broken", "2-2s", id="two beyond 2 SD"),
        pytest.param((2.2, -2.3), "broken", "R-4s", id="two far apart"),
    ],
)
def test_a_control_chart_names_the_broken_rule(distances: tuple[float, ...], state: str, rules: str) -> None:
    shown = control(*(fmean(HISTORY) + z * stdev(HISTORY) for z in distances))[-1]
    assert (shown["state"], shown["rules"]) == (state, rules)


def test_a_control_chart_has_a_line_at_every_whole_sd() -> None:
    chart = control_chart(HISTORY, mean=50, spread=4)
    lines = {row["label"]: row["at"] for row in rows_of(chart) if "label" in row}
    assert lines == {"mean": 50, "+1 SD": 54, "+2 SD": 58, "+3 SD": 62, "-1 SD": 46, "-2 SD": 42, "-3 SD": 38}


def test_a_surface_writes_every_number_and_the_sign_of_a_difference() -> None:
    cells = [SurfaceCell(a=0.1, b=5, value=12.4), SurfaceCell(a=0.1, b=0, value=-7.6), SurfaceCell(a=3, b=0, value=0.2)]
    plain = surface_chart(cells, title="t", axis_a="a", axis_b="b", unit="%")
    signed = surface_chart(cells, title="t", axis_a="a", axis_b="b", unit="%", diverging=True)
    assert [row["text"] for row in rows_of(plain) if "text" in row][:3] == ["12", "-8", "0"]
    assert [row["text"] for row in rows_of(signed) if "text" in row][:3] == ["+12", "-8", "0"]
    assert {row["a"] for row in rows_of(plain) if "a" in row} == {"0.1", "3"}


def test_a_forest_says_effect_and_interval_in_words() -> None:
    chart = forest_chart(
        [
            ForestRow(label="arm-1", estimate=8.5, low=3.5, high=13.5, note="p = 0.003", is_different=True),
            ForestRow(label="arm-2", estimate=-2.0),
        ],
        axis="points",
    )
    said = {row["label"]: row["said"] for row in rows_of(chart) if "said" in row}
    assert said == {"arm-1": "+8.50 (+3.50 to +13.50)  p = 0.003", "arm-2": "−2.00"}


def test_donors_are_compared_with_the_reference_of_their_own() -> None:
    values = [
        DonorValue(donor=donor, arm=arm, value=value)
        for donor, arm, value in [("U1", "reference", 0.5), ("U1", "arm-1", 0.6), ("U2", "arm-1", 0.7)]
    ]
    rows = {
        (row["donor"], row["arm"]): row["base"]
        for row in rows_of(donor_chart(values, reference="reference", axis="x"))
        if "arm" in row
    }
    assert rows == {("Donor U1", "reference"): 0.5, ("Donor U1", "arm-1"): 0.5, ("Donor U2", "arm-1"): 0.7}


PICTURES: dict[str, Any] = {
    "One </script> picture": surface_chart(
        [SurfaceCell(a=1, b=1, value=5)], title="t", axis_a="a", axis_b="b", unit="%"
    ),
    "Two": "<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'></svg>",
}


def test_the_interactive_page_loads_nothing_and_escapes_what_it_shows(tmp_path: Path) -> None:
    (content,) = picture_files(PICTURES, tmp_path / "p.html", title="<b>Plate</b>").values()
    page = content.decode()
    assert "<title>&lt;b&gt;Plate&lt;/b&gt;</title>" in page
    assert "One &lt;/script&gt; picture" in page
    assert page.count("</script>") == 1
    before_the_library = page.partition("<script")[0]
    assert not re.search(r"<(link|img)[^>]+(src|href)=", before_the_library)
    assert "default-src 'none'" in page


def test_still_pictures_get_a_file_each(tmp_path: Path) -> None:
    drawn = picture_files(PICTURES, tmp_path / "p.svg", title="t")
    assert [path.name for path in drawn] == ["p-one-script-picture.svg", "p-two.svg"]
    assert all(content.startswith(b"<svg") for content in drawn.values())
    (image,) = picture_files({"One": PICTURES["Two"]}, tmp_path / "p.png", title="t").items()
    assert image[0].name == "p.png"
    assert image[1].startswith(b"\x89PNG")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"cannot be written as '.jpg'. Remedy: name a file that ends in .html"):
        picture_files(PICTURES, tmp_path / "p.jpg", title="t")
