"""`nkloop protocol`: hashes of the protocol files, and entering changed ones."""

from __future__ import annotations

from hashlib import sha256

from tests.cli.conftest import Nkloop

from nkloop.worklists.interpreter_block import START
from nkloop.workspace import Workspace


def test_every_protocol_is_told_with_its_hash_and_state(nkloop: Nkloop, workspace: Workspace) -> None:
    path = workspace.protocols / "ot2" / "cytokine_dosing.py"
    path.write_text(path.read_text() + "# changed\n")
    present = sha256(path.read_bytes()).hexdigest()
    told = {line.split()[1]: line for line in nkloop("protocol", "list").out.splitlines()}
    assert told["ot2/cytokine_dosing.py:"].startswith(f"{present}  ot2/cytokine_dosing.py: has changed since")
    assert told["cytokine_dosing.py:"].endswith("listed hash, not yet reviewed by a person")
    rows = {one["file"]: one for one in nkloop("protocol", "list", "--json").json["protocols"]}
    assert len(rows) == len(told) == 6
    changed, kept = rows["ot2/cytokine_dosing.py"], rows["cytokine_dosing.py"]
    assert (changed["sha256"], kept["sha256"]) == (present, kept["listed_sha256"])
    assert changed["listed_sha256"] != present


def test_an_update_renews_the_interpreter_and_lists_what_changed(nkloop: Nkloop, workspace: Workspace) -> None:
    path = workspace.protocols / "medium_preparation.py"
    shipped = path.read_text()
    path.write_text(shipped.replace(START, f"{START}\n# slipped in", 1))
    assert nkloop("protocol", "update", "--json").json == {
        "interpreter_copied": ["medium_preparation.py"],
        "listed": [],
    }
    assert path.read_text() == shipped
    path.write_text(f"# our own\n{shipped}")
    assert "medium_preparation.py: listed with its new hash" in nkloop("protocol", "update").out
    assert "nothing has changed" in nkloop("protocol", "update").out
