"""Addresses are shown without what may be a password, and else as they are."""

from __future__ import annotations

import pytest

from nkloop.errors import without_password


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.7:31950",
        "https://robot.local:32313/",
        "http://[::1]:31950/path",
        "sqlite:////home/lab/records.db",
        "postgresql+psycopg://me@lab:5432/records",
        "nonsense",
    ],
)
def test_an_address_without_password_stays(address: str) -> None:
    assert without_password(address) == address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:hush@10.0.0.7:31950/x", "http://me:***@10.0.0.7:31950/x"),
        ("http://me:hu/s@h:ush@robot:31950", "http://me:***@robot:31950"),
        ("http://me:***@robot", "http://me:***@robot"),
        ("https://robot/?token=hush&x=1", "https://robot/?token=***&x=1"),
        ("http://me:hush", "http://me:***"),
    ],
)
def test_a_password_is_hidden(address: str, shown: str) -> None:
    assert without_password(address) == shown
