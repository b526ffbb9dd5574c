"""Looking into plain data that may be malformed."""

from __future__ import annotations

import pytest

from nkloop.yamlfile.plain import block, items, number


def test_the_blocks_of_a_list_come_with_their_paths():
    data = {"deck": {"modules": [{"slot": "A1"}, "typo", {"slot": "B1"}]}}
    assert list(items(data, ("deck", "modules"))) == [
        (("deck", "modules", 0), {"slot": "A1"}),
        (("deck", "modules", 2), {"slot": "B1"}),
    ]


@pytest.mark.parametrize("data", [None, [], {}, {"deck": None}, {"deck": []}, {"deck": {"modules": {"slot": "A1"}}}])
def test_what_is_no_list_of_blocks_has_none(data):
    assert not list(items(data, ("deck", "modules")))


@pytest.mark.parametrize("data", [None, [], "text", {}, {"read": None}, {"read": [1]}])
def test_a_block_that_is_missing_or_something_else_is_empty(data):
    assert block(data, "read") == {}


@pytest.mark.parametrize("value", [True, None, "3", [3], float("nan"), float("inf"), -1e301, 10**400])
def test_what_cannot_be_compared_is_no_number(value):
    assert number(value) is None


def test_whole_and_broken_numbers_are_numbers():
    assert (number(3), number(-0.5)) == (3.0, -0.5)
