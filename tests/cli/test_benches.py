"""`nkloop bench`, `inbox` and `operator` as a person types them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nkloop.assays.measurements import ReadRequest
from nkloop.cli.operator import watching
from nkloop.coordination.pauses import Pause
from nkloop.drivers.interfaces import OperatorRequest
from nkloop.records import Records
from nkloop.runs.requests import RequestDesk
from nkloop.worklists.models import OperatorTask
from nkloop.workspace import Workspace

from .conftest import Nkloop

PLATE = "corning_96_wellplate_360ul_flat"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


def reading(barcode: str) -> str:
    numbers = ",".join(str(column) for column in range(1, 13))
    grid = "\n".join(f"{row},{','.join(['0.5'] * 12)}" for row in "ABCDEFGH")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return f"Plate: {barcode}\nMode: absorbance\nWavelength: 490 nm\nRead at: {at}\n,{numbers}\n{grid}\n"


def wait_for(workspace: Workspace, barcode: str) -> None:
    records = Records.open(workspace.state)
    asked = ReadRequest(barcode=barcode, load_name=PLATE, mode="absorbance", wavelength_nm=490)
    records.inbox.wait_for("virtual", "plate", barcode, asked.model_dump_json(exclude={"run_id"}))
    records.close()


def test_benches_are_listed_and_the_virtual_one_is_started_to_be_checked(nkloop: Nkloop, workspace: Workspace) -> None:
    listed = nkloop("bench", "list", "--json").json["benches"]
    by_name = {one["bench"]: one for one in listed}
    assert {"virtual", "flex_byonoy", "flex_clariostar", "ot2_spectramax"} <= set(by_name)
    assert by_name["flex_byonoy"]["reads"] == ["absorbance (450, 562, 600, 650 nm)"]
    (workspace.devices / "broken.yaml").write_text("name: broken\n")
    ended = nkloop("bench", "list")
    assert "broken.yaml:1:1" in ended.out
    assert "(simulated)" in ended.out
    checked = nkloop("bench", "check", "virtual", "--json")
    assert (checked.code, checked.json["passed"]) == (0, True), "its virtual bench is started for the question"
    assert not [line for line in checked.json["lines"] if line["state"] == "mend"]
    assert nkloop("bench", "check", "nowhere").code == 1


def test_files_are_taken_in_listed_and_released(nkloop: Nkloop, workspace: Workspace, folder: Path) -> None:
    wait_for(workspace, "P-1")
    (folder / "a.csv").write_text(reading("P-1"), encoding="utf-8")
    (folder / "b.csv").write_text(reading("P-2"), encoding="utf-8")
    devices = workspace.devices / "virtual.yaml"
    told = devices.read_text(encoding="utf-8")
    assert "folder: inbox" in told
    told = told.replace("folder: inbox", f"folder: {folder}").replace("quiet_seconds: 2", "quiet_seconds: 0")
    devices.write_text(told, encoding="utf-8")
    ended = nkloop("inbox", "once", "--json")
    assert ended.code == 1
    assert [(one["name"], one["state"]) for one in ended.json["files"]] == [
        ("a.csv", "recorded"),
        ("b.csv", "quarantined"),
    ]
    (file,) = nkloop("inbox", "list", "--quarantined", "--json").json["files"]
    assert (file["name"], file["code"]) == ("b.csv", "unknown_barcode")
    assert "nobody waits for plate P-2" in nkloop("inbox", "list").out
    refused = nkloop("inbox", "release", "b.csv", "--plate", "P-3", "--by", "Ada", "--reason", "label")
    assert (refused.code, "nobody waits for plate P-3" in refused.err) == (1, True)
    wait_for(workspace, "P-3")
    released = nkloop("inbox", "release", file["sha256"][:12], "--plate", "P-3", "--by", "Ada", "--reason", "label")
    assert released.out == "Recorded b.csv as plate P-3, assigned by Ada.\n"
    assert nkloop("inbox", "once").out == "No file to take in.\n"


def test_without_a_folder_the_inbox_says_what_to_add(nkloop: Nkloop) -> None:
    ended = nkloop("inbox", "once", "--bench", "virtual_ot2")
    assert ended.code == 1
    assert "bench virtual_ot2: no inbox: nothing tells where" in ended.err
    assert "Remedy: add an `inbox:` block" in ended.err


def test_the_virtual_bench_has_an_inbox_in_its_workspace(nkloop: Nkloop, workspace: Workspace) -> None:
    assert nkloop("inbox", "once").out == "No file to take in.\n"
    assert (workspace.root / "inbox").is_dir()


def ask(workspace: Workspace, title: str = "Weld") -> int:
    records = Records.open(workspace.state)
    task = OperatorTask(kind="weld", instruction="Weld tube D-1 to bag B-1")
    request = OperatorRequest(title=title, task=task, barcodes={"bag": "B-1"}, picture="<svg/>")
    number = RequestDesk(records, "virtual").ask(request, title)
    records.close()
    return number


def test_what_a_flow_asks_on_its_page_is_listed_too(
    nkloop: Nkloop, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.state.mkdir(exist_ok=True)
    (workspace.state / "serve.url").write_text("http://127.0.0.1:9\n")
    silent = nkloop("operator", "list")
    assert "What flows ask on their pages is not known" in silent.err
    assert "Nothing waits" not in silent.out
    waiting = Pause(flow_run="feed P-1", asked="Load the deck", since=datetime.now(UTC), until=None, page="http://x/1")
    monkeypatch.setattr("nkloop.coordination.pauses.pauses", lambda *_: (waiting,))
    number = ask(workspace)
    out = nkloop("operator", "list").out
    assert f"{number}  Weld  [virtual]" in out
    assert (
        "Answered on the page of the flow run, with Resume:\n      Load the deck  [feed P-1]  waiting for 0 min" in out
    )
    assert "http://x/1" in out
    assert nkloop("operator", "list", "--json").json["paused"][0]["asked"] == "Load the deck"


def test_requests_are_listed_shown_and_answered(nkloop: Nkloop, workspace: Workspace, tmp_path: Path) -> None:
    assert nkloop("operator", "list").out == "Nothing waits for a person.\n"
    number = ask(workspace)
    assert f"{number}  Weld  [virtual]  waiting for 0 min" in nkloop("operator", "list").out
    shown = nkloop("operator", "show", str(number), "--picture", tmp_path / "task.svg")
    assert "B-1  bag" in shown.out
    assert (tmp_path / "task.svg").read_text() == "<svg/>"
    wrong = nkloop("operator", "answer", str(number), "--by", "Ada", "--scan", "B-7")
    assert wrong.code == 1
    assert "B-7 is not expected here; still to scan: B-1 (bag)" in wrong.err
    assert nkloop("operator", "answer", str(number), "--by", "Ada", "--scan", "B-1").out == (
        f"  ok  B-1, bag (1 of 1)\nRequest {number} is confirmed by Ada.\n"
    )
    again = nkloop("operator", "answer", str(number), "--by", "Bea", "--decline", "broken")
    assert f"request {number} was confirmed by Ada at" in again.err
    (one,) = nkloop("operator", "list", "--all", "--json").json["requests"]
    assert (one["state"], one["scanned"], "picture" in one["document"]) == ("confirmed", "B-1", False)


def test_a_terminal_takes_scans_line_by_line(
    nkloop: Nkloop, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    first, second = ask(workspace, "Weld"), ask(workspace, "Weld again")
    typed = ["B-1", "Ada", "B-7", "", "B-1", "B-1", "yes", "went well", "no", "Bea", "bag leaks"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(typed) + "\n"))

    def ends(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", ends)
    ended = nkloop("operator", "--bench", "virtual")
    assert "NO  B-7 is not expected here; still to scan: B-1 (bag)" in ended.out
    assert f"Request {first} confirmed by Ada." in ended.out
    assert f"Request {second} declined by Bea." in ended.out
    assert "What is open stays open." in ended.out
    assert (workspace.state / "operator" / f"request-{first}.svg").read_text() == "<svg/>"
    kept = {one["id"]: one for one in json.loads(nkloop("operator", "list", "--all", "--json").out)["requests"]}
    assert (kept[first]["note"], kept[second]["note"]) == ("went well", "bag leaks")


def test_the_list_of_an_incubator_is_shown_and_put_right(nkloop: Nkloop, workspace: Workspace) -> None:
    assert "has no incubator that nkloop drives" in nkloop("bench", "incubator", "list", "virtual").err
    file = workspace.devices / "virtual.yaml"
    driven = (
        "incubator:\n  driver: nkloop.drivers.pylabrobot:PyLabRobotIncubator\n"
        "  settings: {model: simulated, racks: [cytomat_rack_23mm_21]}\n  temperature_c: 37\n  co2_percent: 5\n"
    )
    old = "incubator: {model: simulated, temperature_c: 37, co2_percent: 5}\n"
    file.write_text(file.read_text(encoding="utf-8").replace(old, driven), encoding="utf-8")
    site = {"rack": 0, "position": 0, "since": "2026-11-23T08:00:00Z", "errand": "run-0007 step 3"}
    workspace.state.mkdir(exist_ok=True)
    (workspace.state / "incubator-incubator.json").write_text(json.dumps({"plates": {"P-1": site}}))
    shown = nkloop("bench", "incubator", "list", "virtual")
    assert shown.out == "P-1: inside since 2026-11-23 08:00 UTC, for run-0007 step 3\n", shown.err
    said = ("bench", "incubator", "settle", "virtual", "P-1", "--by", "Bo", "--reason", "it stood there")
    assert "look, then add --inside or --out" in nkloop(*said).err
    assert "--reason: it is empty. Remedy: write what you saw" in nkloop(*said[:-1], " ", "--out").err
    assert nkloop(*said, "--out").out == "Recorded by Bo: P-1 is out.\n"
    assert nkloop("bench", "incubator", "list", "virtual", "--json").json == {"plates": []}
