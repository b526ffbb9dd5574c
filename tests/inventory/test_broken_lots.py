"""Every broken lot list gives exactly the messages it must give (`broken/messages.json`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nkloop.errors import InventoryError
from nkloop.runs.lot_files import load_lots

FOLDER = Path(__file__).parent / "broken"
MESSAGES: dict[str, list[str]] = json.loads((FOLDER / "messages.json").read_text(encoding="utf-8"))


def test_every_fixture_has_its_messages() -> None:
    assert {path.name for path in FOLDER.iterdir()} - {"messages.json"} == set(MESSAGES)
    assert len(MESSAGES) >= 40


@pytest.mark.parametrize("name", MESSAGES)
def test_a_broken_list_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(FOLDER)
    with pytest.raises(InventoryError) as caught:
        load_lots(Path(name))
    assert str(caught.value).splitlines() == MESSAGES[name]
    assert all("Remedy: " in message for message in MESSAGES[name])
