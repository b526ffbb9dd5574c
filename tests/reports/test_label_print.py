"""Contents of labels: nothing is lost, no amount is broken, what is too long goes to a second label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.reports.label_print import printed_parts


def test_a_short_content_is_printed_large():
    assert printed_parts("GM-CSF 10 ng/mL in GBGM") == [(("GM-CSF 10 ng/mL in GBGM",), "normal")]


@pytest.mark.parametrize(
    ("count", "size", "labels"), [(3, "normal", 1), (5, "long", 1), (8, "dense", 1), (12, "dense", 2)]
)
def test_print_gets_smaller_before_a_second_label_is_needed(count, size, labels):
    parts = printed_parts(", ".join(f"IL-{number} {number}5.5 ng/mL" for number in range(10, 10 + count)))
    assert ([one for _, one in parts], len(parts)) == ([size] * labels, labels)


@given(
    st.lists(
        st.from_regex(r"[A-Z][A-Za-z0-9-]{1,7} [0-9]{1,5}\.[0-9] [µn]g/mL", fullmatch=True), min_size=1, max_size=30
    )
)
def test_every_amount_is_on_one_label_whole_and_in_order(amounts):
    parts = printed_parts(", ".join(amounts))
    told = [
        piece.removeprefix(f"{number} of {len(parts)}: ")
        for number, (pieces, _) in enumerate(parts, 1)
        for piece in pieces
    ]
    assert told == amounts
    assert all(len(pieces) <= 4 * 50 // 10 for pieces, _ in parts)
