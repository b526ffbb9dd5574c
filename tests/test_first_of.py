"""Many names in one sentence."""

from __future__ import annotations

import pytest

from nkloop.errors import first_of


@pytest.mark.parametrize(
    ("names", "told"), [((), ""), (("A1", "B1"), "A1, B1"), (("A1", "B1", "C1", "D1"), "A1, B1 and 2 more")]
)
def test_at_most_so_many_names_are_told_and_the_others_counted(names: tuple[str, ...], told: str) -> None:
    assert first_of(names, 2) == told
