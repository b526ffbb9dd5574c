"""`nkloop plan medium` as a person uses it: what it refuses, with which words, and what it tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nkloop.vendor import VendorClient
from nkloop.vendor.cache import CACHE_VARIABLE
from nkloop.workspace import Workspace

Nkloop = Callable[..., Any]
STAGE = ("--stage", "expansion_i")
VOLUME = ("--volume", "50 mL")


@pytest.fixture
def without_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The robot maker's analysis refuses everything, so that nothing is asked of its environment."""

    async def ask(self: VendorClient, job: str, asked: dict[str, Any], seconds: float | None = None) -> Any:
        return {"result": "not-ok", "errors": [{"detail": "refused by a stand-in"}]}

    async def start(self: VendorClient) -> dict[str, Any]:
        return {"opentrons": "9.0.0"}

    monkeypatch.setattr(VendorClient, "_ask", ask)
    monkeypatch.delenv(CACHE_VARIABLE)  # made-up answers are for nobody else
    monkeypatch.setattr(VendorClient, "start", start)


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def files_of(root: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and ".nkloop" not in p.parts}


SLIPS = {
    "no recipe": (
        (*STAGE, *VOLUME),
        "--recipe: no recipe is named. Remedy: name one, for example: plan medium ucb-nk",
    ),
    "two recipes": (
        ("ucb-nk", "--recipe", "ucb-dc", *STAGE, *VOLUME),
        "--recipe: two recipes are named, 'ucb-nk' and 'ucb-dc'. Remedy: name the recipe once",
    ),
    "no stage": (("ucb-nk", *VOLUME), "--stage: no stage is given. Remedy: add --stage expansion_i"),
    "volume without a unit": (("ucb-nk", *STAGE, "--volume", "100"), "--volume: '100' is not a number with a unit"),
    "no such container": (
        ("ucb-nk", *STAGE, *VOLUME, "--container", "tube-7"),
        "--container: there is no container 'tube-7'. Remedy: use one of: tube-1.5, tube-15, tube-50, trough",
    ),
    "one barcode for two media": (
        ("ucb-nk", *STAGE, "--stage", "expansion_ii", *VOLUME, "--barcode", "m-1"),
        "--barcode: 2 media cannot share 'm-1'. Remedy: give one barcode for one medium, or leave it out",
    ),
    "no volume": (("ucb-nk", *STAGE), '--volume: no volume is given. Remedy: add --volume "100 mL"'),
    "too many volumes": (
        ("ucb-nk", *STAGE, "--stage", "expansion_ii", *VOLUME, *VOLUME, *VOLUME),
        "--volume: 2 stages and 3 volumes do not go together. Remedy: give one volume for all stages, or one for each",
    ),
    "an unknown stage": (
        ("ucb-nk", "--stage", "expansion_iii", *VOLUME),
        "stage: ucb-nk has no stage 'expansion_iii'. Remedy: use expansion_i, expansion_ii, differentiation",
    ),
    "a volume below the range": (
        ("ucb-nk", *STAGE, "--volume", "200 µL"),
        "volume: 200 µL is outside what is planned, 1 mL to 2 L. Remedy: prepare a larger batch",
    ),
    "a volume above the range": (
        ("ucb-nk", *STAGE, "--volume", "20 L"),
        "volume: 20 L is outside what is planned, 1 mL to 2 L",
    ),
    "a mass for a volume": (
        ("ucb-nk", *STAGE, "--volume", "50 mg"),
        "volume: 50 mg is not a volume above 0. Remedy: write for example 100 mL",
    ),
    "a decimal comma": (("ucb-nk", *STAGE, "--volume", "1,5 mL"), "'1,5 mL' has a comma between digits"),
    "left out but not there": (
        ("ucb-nk", *STAGE, *VOLUME, "--leave-out", "IL-2"),
        "omit: cannot leave out IL-2: not an additive of stage expansion_i. Remedy: choose from Flt3L, G-CSF",
    ),
    "one of a list is not there": (
        ("ucb-nk", *STAGE, *VOLUME, "--leave-out", "SCF, IL-2,Flt3L"),
        "omit: cannot leave out IL-2: not an additive of stage expansion_i. Remedy: choose from Flt3L, G-CSF",
    ),
    "no such limit": (
        ("ucb-nk", *STAGE, *VOLUME, "--max-cv", "-1"),
        "--max-cv: -1 % is no limit of an error. Remedy: give a number from 0 to 100",
    ),
    "a limit nobody can keep": (
        ("ucb-nk", *STAGE, *VOLUME, "--max-bias", "2"),
        "GM-CSF: no dilution of GM-CSF (lot LOT-GMCSF-01, 100 µg/mL) is accurate enough: every one has more than",
    ),
    "no bench": (("ucb-nk", *STAGE, *VOLUME, "--bench", "star"), "no bench 'star'"),
    "no lot list": (("ucb-nk", *STAGE, *VOLUME, "--lots", "gone.yaml"), "gone.yaml: "),
}


@pytest.mark.parametrize("slip", [pytest.param(slip, id=name) for name, slip in SLIPS.items()])
def test_a_slip_in_a_request_is_refused_with_its_words(
    nkloop: Nkloop, workspace: Workspace, slip: tuple[tuple[str, ...], str]
) -> None:
    arguments, told = slip
    before = files_of(workspace.root)
    ended = nkloop("plan", "medium", *arguments, "--csv", "out.csv")
    assert (ended.code, ended.out) == (1, "")
    assert f"error: {told}" in ended.err or told in ended.err, ended.err
    assert "Remedy: " in ended.err
    assert "Traceback" not in ended.err
    assert files_of(workspace.root) == before


BROKEN = {
    "bench without a single channel": (
        "devices/virtual.yaml",
        r"    - mount: left\n(?:      .*\n|        .*\n)+?(?=    - mount: right)|flex_1channel_1000: .*?, (?=flex)",
        "",
        "the bench has no pipette with 1 channel. Remedy: mount one, or choose another bench",
    ),
    "bench without the cold module": (
        "devices/virtual.yaml",
        r"    - \{slot: C1.*\n",
        "",
        "the bench has no temperatureModuleV2",
    ),
    "accuracy table that starts too high": (
        "devices/virtual.yaml",
        r"        - \{volume_ul: 5, systematic_percent: 5.0.*\n",
        "",
        "the error of 5 µL is not known for flex_1channel_1000: its table starts at 50 µL",
    ),
    "too much DMSO": (
        "devices/lots/virtual.yaml",
        r"(    component: heparin\n)",
        r"\1    buffer: {DMSO: 100 % v/v}\n",
        "medium-expansion_i: DMSO would be 0.5 % v/v in the finished medium, at most 0.1 % v/v is allowed "
        "(0.5 % v/v from lot LOT-HEPARIN-01). Remedy: use a stronger stock, or one in another buffer",
    ),
    "lot that expires within the shelf life": (
        "devices/lots/virtual.yaml",
        r"(component: TPO\n(?:.*\n)*?    expires: )\S+",
        r"\g<1>2020-01-01",
        "LOT-TPO-01: passed over, it expires 2020-01-01, before the end of use",
    ),
    "certificate that is missing": (
        "devices/lots/virtual.yaml",
        r"    specific_activity: 16.4e6 IU/mg\n",
        "",
        "lot LOT-IL2-01: passed over, its 100 µg/mL of IL-2 cannot be told as activity concentration: add the specific "
        "activity of the lot's certificate, in IU/mg",
    ),
}


@pytest.mark.parametrize("broken", [pytest.param(broken, id=name) for name, broken in BROKEN.items()])
def test_a_bench_or_a_lot_list_that_does_not_serve_is_refused(
    nkloop: Nkloop, workspace: Workspace, broken: tuple[str, str, str, str]
) -> None:
    file, old, new, told = broken
    path = workspace.root / file
    changed, n = re.subn(old, new, path.read_text(encoding="utf-8"))
    assert n >= 1
    path.write_text(changed, encoding="utf-8")
    before = files_of(workspace.root)
    stage = "differentiation" if "IL-2" in told else "expansion_i"
    ended = nkloop("plan", "medium", "ucb-nk", "--stage", stage, *VOLUME, "--csv", "out.csv")
    assert (ended.code, ended.out) == (1, "")
    assert told in ended.err, ended.err
    assert "Remedy: " in ended.err
    assert "Traceback" not in ended.err
    assert files_of(workspace.root) == before


def test_what_is_shown_can_be_signed(nkloop: Nkloop, without_vendor: None) -> None:
    shown = nkloop("plan", "medium", "ucb-nk", *STAGE, *VOLUME, "--stage", "expansion_ii").out
    assert "GM-CSF is pre-diluted 1:100" in shown
    assert "are mixed once, as" in shown
    assert "medium-expansion_ii" in shown
    assert re.search(r"use it by 20\d\d-\d\d-\d\d \(7 d\)", shown)
    assert re.search(r"\d+ steps, \d+ transfers, about \d+ min of robot time", shown)
    assert "published values nobody has verified yet" in shown
    assert re.search(r"costs [\d,.]+ EUR", shown)


def test_the_json_of_a_plan_names_destinations_errors_and_parts(nkloop: Nkloop, without_vendor: None) -> None:
    told = nkloop("plan", "medium", "ucb-nk", *STAGE, "--volume", "500 mL", "--json").json
    assert len(told["parts"]) > 1
    assert {row["part"] for row in told["transfers"]} == {part["part"] for part in told["parts"]}
    assert {row["destination"] for row in told["composition"]} == {
        "medium-expansion_i", "medium-expansion_i-2", "medium-expansion_i-3",
    }  # fmt: skip
    assert all(0 <= row["cv_percent"] <= 5 and 0 <= row["bias_percent"] <= 12 for row in told["composition"])
    eights = [row for row in told["transfers"] if row["channels"] == 8]
    assert len(eights) == 8 * len({row["channel_group"] for row in eights})
    assert len({row["tip"] for row in eights}) > 1
    assert told["robot_minutes"] == pytest.approx(sum(part["robot_minutes"] for part in told["parts"]), abs=0.1)
    assert all(lot["expires"] for lot in told["lots"])
    assert re.fullmatch(r"[0-9a-f]{64}", told["protocol"]["sha256"])
    assert any(note.startswith("Before part 2:") for note in told["notes"])
