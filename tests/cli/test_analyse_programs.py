"""A plate from the export of a reader program to its result, with the vendor environment."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from nkloop.workspace import Workspace

_SPEC = importlib.util.spec_from_file_location(
    "exports", Path(__file__).parents[1] / "assays" / "readings" / "exports.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
exports = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(exports)


def signals(layout: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Absorbance at 490 and 680 nm of a plate whose ET50 is 1.5."""
    main = {}
    with layout.open(encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file)):
            lysis = {"maximum": 1.0}.get(row["role"], 0.0)
            if row["role"] in {"experimental", "reference_effector"}:
                lysis = 1 / (1 + (1.5 / float(row["true_ratio"])) ** 1.2)
            targets = row["role"] in {"experimental", "reference_effector", "spontaneous", "maximum"}
            value = 0.14 + 0.02 * float(row["nominal_ratio"] or 0) + (0.15 + 1.5 * lysis if targets else 0.0)
            main[row["well"]] = round(value + 0.002 * (number % 3), 4)
    return main, dict.fromkeys(main, 0.04)


@pytest.mark.vendor
def test_a_softmax_export_gives_the_result_or_says_what_differs(nkloop: Any, workspace: Workspace) -> None:
    layout, read = workspace.root / "layout.csv", workspace.root / "read.txt"
    nkloop("design", "cytotoxicity", "--arms", "arm-1/U1:82:91", "--seed", "7", "--name", "P", "--csv", layout)
    exports.softmax(read, *signals(layout), name="P-1")
    command = ("analyse", "plate", "--layout", layout, "--reading", read)
    told = nkloop(*command, "--started", "2026-11-23T09:40:00+00:00", "--json").json
    assert told["verdict"] == "accepted"
    assert told["samples"][0]["et50"] == pytest.approx(1.5, rel=0.02)
    assert told["reading"]["format"] == "SoftMax Pro"
    text = read.read_text(encoding="utf-16").replace("490 680", "450 620").replace("P-1\t", "P-99\t")
    read.write_text(text, encoding="utf-16")
    refused = nkloop(*command, "--started", "2026-11-23T05:00:00+00:00")
    assert (refused.code, refused.out) == (1, "")
    for said in (
        "the file is of plate 'P-99', the layout is of plate 'P-1'",
        "the file holds 450 nm and 620 nm, ldh needs 490 ± 5 nm",
        "the plate was read 544 min after effectors met targets, ldh allows 245 to 340",
    ):
        assert said in refused.err
