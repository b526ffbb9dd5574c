"""Slips in the deck and the settings of a bench file, each told once and of its own line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.errors import BenchError

DEVICES = Path(__file__).resolve().parents[2] / "devices"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("flex_1channel_1000\n", "flex_1chanel_1000\n", r":16:18: .*no pipette of the flex.*'flex_1channel_1000'"),
        ("min_volume_ul: 5\n", "min_volume_ul: 5000\n", r"5000 µL is not below max_volume_ul, 1000 µL"),
        ("- {volume_ul: 5,", "- {volume_ul: 5000,", r":22:23: .*5000 µL is above max_volume_ul, 1000 µL"),
        ("- {volume_ul: 50,", "- {volume_ul: 5,", r":23:23: .*5 µL stands twice in this table"),
        ("slot: D1", "slot: E1", r":41:14: .*the deck of the flex has no slot E1. Remedy: name one of A1 to D4"),
        ("slot: D1", "slot: C1", r":43:14: .*slot C1 holds heaterShakerModuleV1 already"),
        ("trash_slot: A3", "trash_slot: C1", r":43:14: .*slot C1 holds the trash already"),
        ("trash_slot: A3", "trash_slot: Z9", r":44:15: deck.trash_slot: the deck of the flex has no slot Z9"),
        ("heaterShakerModuleV1,", "heaterShakerModul,", r":41:29: .*no module.*mean 'heaterShakerModuleV1'"),
        ("{flex_1channel_1000: 716", "{flex_1channel_100: 716", r"flow_ul_s.*none of the pipettes.*_1000'"),
        ("{flex_1channel_1000: 716", "{flex_1channel_1000: 0", r"0 µL/s must be above 0"),
        (
            "url: ${NKLOOP_VIRTUAL_URL}",
            "url: ${NKLOOP_VIRTUAL_URL",
            r":63:10: .*settings.url: .* has a \${",
        ),
        ("opentrons:OpentronsRobot", "opentrons.OpentronsRobot", r"driver: .* Remedy: write `package.module:Class`"),
        ("locks: [", "lock: [", r"lock: field 'lock' is not known here. Remedy: did you mean 'locks'"),
    ],
)
def test_a_slip_is_told_once_and_of_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = (DEVICES / "virtual.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "virtual.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BenchError, match=rf"virtual.yaml{told}" if told.startswith(":") else told) as caught:
        load_bench_file(path)
    assert len(caught.value.problems) == 1
