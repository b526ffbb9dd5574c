"""The book of a world: a world made again from it is the same, well by well, whenever the process was killed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nkloop.assays.measurements import ReadRequest
from nkloop.errors import BenchError, DeviceError
from nkloop.virtual.book import WorldBook, read_book
from nkloop.worklists.models import OperatorTask


def fed_culture(kit: Any) -> Any:
    """A deck with medium, a culture plate with cells, tips."""
    deck = kit.deck().put("tips", "A1", "tips_1000").put("medium", "B1", "trough_1")
    deck.put("plate", "C1", "culture_24", "NK-1").fill("medium", "A1", 50_000, "GBGM", GBGM=1)
    return deck.fill("plate", "A1", 500, "donor:UCB-1", cells=1000, GBGM=1)


def lived(book: WorldBook, kit: Any) -> None:
    """A morning at the bench: load, pipette, incubate, count, a read that is refused, a day of growth."""
    deck = fed_culture(kit)
    book.load_deck(deck.worklist(), {})
    script = kit.script(book, deck)
    script.do("comment", message="step 1: feed").do("home").move(("medium", "A1"), ("plate", "A1"), 400, mix_after=100)
    book.clock.advance(30)
    script.do("comment", message="step 2: feed").tip().draw("medium", "A1", 200)
    book.perform(OperatorTask(kind="incubate", instruction="Incubate", labware=("plate",), minutes=90), {})
    book.count("NK-1", ("A1",))
    with pytest.raises(DeviceError, match="no plate"):
        book.read(ReadRequest(barcode="NK-1", load_name="culture_24", mode="absorbance", wavelength_nm=450))
    book.wait_until(book.clock.now() + timedelta(days=1))


def test_a_world_is_made_again_from_its_book(kit: Any, tmp_path: Path) -> None:
    path = tmp_path / "state" / "world.jsonl"
    book = WorldBook(kit.make_world(), path)
    lived(book, kit)
    before = book.contents()
    book.close()
    again = WorldBook(kit.make_world(), path)
    assert again.clock.seconds == book.clock.seconds
    assert again.contents() == before
    assert [one.message for one in again.world.incidents] == [one.message for one in book.world.incidents]
    assert again.world.containers["NK-1"].place == "incubator"
    assert again.count("NK-1", ("A1",)) == book.count("NK-1", ("A1",))


def test_without_a_file_nothing_is_wrapped_and_nothing_is_written(kit: Any, tmp_path: Path) -> None:
    world = kit.make_world()
    lived(WorldBook(world), kit)
    assert world.contents()["NK-1"]["A1"]["volume_ul"] > 800
    assert list(tmp_path.iterdir()) == []


def test_each_command_stands_under_its_step_before_the_next(kit: Any, tmp_path: Path) -> None:
    book = WorldBook(kit.make_world(), tmp_path / "world.jsonl")
    lived(book, kit)
    commands = [entry for entry in read_book(tmp_path / "world.jsonl") if entry["act"] == "command"]
    told = [(entry["step"], entry["command"]["commandType"]) for entry in commands if entry["run"] == 1]
    assert told[0] == (1, "comment")
    assert told[-2:] == [(2, "pickUpTip"), (2, "aspirate")]
    assert "home" not in {kind for _, kind in told}


def test_a_line_cut_short_by_a_killed_process_is_left_out(kit: Any, tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    book = WorldBook(kit.make_world(), path)
    book.load_deck(fed_culture(kit).worklist(), {})
    whole = len(list(read_book(path)))
    with path.open("a") as lines:
        lines.write('{"act": "wait", "t')
    assert len(list(read_book(path))) == whole
    assert "NK-1" in WorldBook(kit.make_world(), path).contents()


def test_a_file_that_is_no_book_is_refused_with_its_line(kit: Any, tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    path.write_text(json.dumps({"act": "look", "t": 0}) + "\nhello\n")
    with pytest.raises(BenchError, match=r"world\.jsonl, line 2: is no entry.*empty folder"):
        WorldBook(kit.make_world(), path)


def test_a_folder_that_cannot_be_written_is_refused(kit: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        WorldBook(kit.make_world(), tmp_path / "file" / "world.jsonl")
