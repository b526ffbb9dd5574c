"""The tumour panel: one spelling of every line, and a hint for any other."""

from __future__ import annotations

import pytest

from nkloop.assays.panel import PANEL, line_named
from nkloop.errors import AssayError
from nkloop.virtual import killing


def test_lines_are_told_with_what_is_needed_to_order_and_grow_them() -> None:
    line = line_named("K-562")
    assert (line.indication, line.catalogue, line.verified) == ("NK reference", "CCL-243, ACC 10", True)
    assert "RPMI" in line.medium
    assert not line_named("MOLM-13").verified
    assert all(line.source and line.catalogue and line.medium for line in PANEL.values())


def test_the_virtual_bench_grows_the_same_lines() -> None:
    known = {name: killing.line_traits(name) for name in PANEL}
    assert [name for name, traits in known.items() if traits is killing._UNLISTED] == []
    assert len(PANEL) == len(killing._LINES)


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
