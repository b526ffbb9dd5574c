"""The tumour panel: one spelling of every line, and a hint for any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.assays.panel import files as panel_files
from nkloop.assays.panel import line_named, load_panel, panel
from nkloop.errors import AssayError
from nkloop.virtual import killing


def test_lines_are_told_with_what_is_needed_to_order_and_grow_them() -> None:
    line = line_named("K-562")
    assert (line.indication, line.catalogue, line.verified) == ("NK reference", "CCL-243, ACC 10", True)
    assert "RPMI" in line.medium
    assert not line_named("MOLM-13").verified
    assert all(line.source and line.catalogue and line.medium for line in panel().values())


def test_the_virtual_bench_grows_the_same_lines() -> None:
    known = {name: killing.line_traits(name) for name in panel()}
    assert [name for name, traits in known.items() if traits is killing._UNLISTED] == []
    assert len(panel()) == len(killing._LINES)


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("K562", "did you mean 'K-562'"),
        ("rpmi-8226", "did you mean 'RPMI 8226'"),
        ("KG1A", "did you mean 'KG-1a'"),
        ("Hela S3", "did you mean 'HeLa'"),
        ("Daudi-xyz-1", "use one of: K-562, HL-60"),
    ],
)
def test_another_spelling_is_refused_with_a_hint(written: str, remedy: str) -> None:
    with pytest.raises(AssayError, match=rf"'{written}' is not a line of the tumour panel.*{remedy}"):
        line_named(written)


def test_every_line_tells_how_it_grows_and_is_seeded() -> None:
    for line in panel().values():
        adherent = line.growth == "adherent"
        assert (line.seeding.plate == "flat") is (line.growth != "suspension")
        assert (line.seeding.hours_before[0] >= 16) is adherent
        assert line.sensitivity
    assert {line.indication for line in panel().values()} >= {"AML", "multiple myeloma", "cervical", "ADCC control"}


def test_two_lines_written_alike_are_refused_with_their_place(tmp_path: Path) -> None:
    text = (Path(panel_files.__file__).parent / "panel.yaml").read_text(encoding="utf-8")
    (tmp_path / "panel.yaml").write_text(text.replace("name: HL-60", "name: K562"), encoding="utf-8")
    with pytest.raises(AssayError, match=r"panel.yaml:\d+:\d+: .*'K562' is written like 'K-562'"):
        load_panel(tmp_path / "panel.yaml")
