"""Settings of drivers are judged when a bench file is read, each with the line and column of its value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.errors import BenchError

DEVICES = Path(__file__).resolve().parents[2] / "devices"
FLEX, STAR, VIRTUAL, READER = "flex_clariostar", "star_cytation", "virtual", "flex_byonoy"
POLL, URL = "poll_seconds: 2", "url: ${NKLOOP_FLEX_URL}"
ACCOUNT = "account: {username: ada, password: '${PW}', reason: "


def problems(tmp_path: Path, bench: str, old: str, new: str) -> list[str]:
    text = (DEVICES / f"{bench}.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / f"{bench}.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BenchError) as caught:
        load_bench_file(path)
    return [str(problem) for problem in caught.value.problems]


WRONG = [
    pytest.param(FLEX, POLL, "poll_seconds: 0.05", "poll_seconds: 0.05 s, a real device is looked at every 1 to 5 s",
                 id="poll of a real robot"),
    pytest.param(FLEX, POLL, "poll_seconds: 6", "poll_seconds: 6 s, a real device", id="too rarely"),
    pytest.param(FLEX, POLL, "poll_seconds: .nan", "poll_seconds: nan s, a real device", id="no number at all"),
    pytest.param(STAR, "poll_seconds: 1", "poll_seconds: 0.5", "poll_seconds: 0.5 s, a real", id="poll of a STAR"),
    pytest.param(VIRTUAL, "poll_seconds: 0.03", "poll_seconds: 11", "11 s, a simulated device is looked at every 0.02",
                 id="poll of a simulated robot"),
    pytest.param(FLEX, POLL, "poll_seconds: two", "poll_seconds: 'two' is not a number", id="text for a number"),
    pytest.param(FLEX, POLL, "poll_seconds: true", "poll_seconds: True is not a number", id="true for a number"),
    pytest.param(FLEX, POLL, "pol_seconds: 2", r"OpentronsRobot takes no 'pol_seconds'\. Remedy: did you mean 'poll_s",
                 id="unknown key"),
    pytest.param(FLEX, POLL, "labware_offsets: maybe", "labware_offsets: 'maybe' is neither true nor false", id="bool"),
    pytest.param(FLEX, POLL, "analysis_seconds: 0", "analysis_seconds: 0 s is no time to wait", id="no time"),
    pytest.param(FLEX, POLL, "error_recovery: askk", "error_recovery: 'askk' is not allowed here. Remedy: did you mean "
                 "'ask'", id="recovery"),
    pytest.param(FLEX, "resumes: []", "resumes: [tipMissing]", r"resumes\[1\]: .*'tipMissing' is no", id="err"),
    pytest.param(FLEX, "resumes: []", "resumes: [overpressure]", "recovered from on the robot's screen", id="screen"),
    pytest.param(FLEX, "resumes: []", "resumes: tipPhysicallyMissing", "resumes: 'tipPhysicallyMissing' is not a list",
                 id="no list"),
    pytest.param(FLEX, URL, "url: 169.254.10.20:31950", "url: '169.254.10.20:31950' is no address. Remedy: write it "
                 "like http://", id="no scheme"),
    pytest.param(FLEX, URL, "url: ''", "url: the address is empty", id="empty address"),
    pytest.param(FLEX, URL, "url: ftp://robot", "url: 'ftp://robot' is no address", id="other scheme"),
    pytest.param(FLEX, URL, "ca_file: x.pem", r"settings: OpentronsRobot needs 'url'\. Remedy: add a line `url",
                 id="missing"),
    pytest.param(FLEX, POLL, ACCOUNT + "short}", "account: the reason 'short' has fewer than 10", id="reason"),
    pytest.param(FLEX, POLL, ACCOUNT + "long enough, pin: x}", "account: 'pin' is not kn", id="key"),
    pytest.param(FLEX, POLL, "account: [ada]", "account: a list of 1 is not a block of fields", id="account"),
    pytest.param(STAR, "    model: star\n", "    model: stra\n", "settings.model: 'stra' is not known. Remedy: did",
                 id="model"),
    pytest.param(STAR, "aspirate_ul_s: ", "aspirate_ul_s: -", r"aspirate_ul_s: -\d+ must be above 0", id="flow"),
    pytest.param(STAR, "carriers:", "carriers_: 1\n    carriers:", "field 'carriers_' is not known here", id="handler"),
    pytest.param(READER, "    saturation: 4.0", "    saturation: high", "plate_reader.settings.saturation: 'high' is",
                 id="saturation"),
]  # fmt: skip


@pytest.mark.parametrize(("bench", "old", "new", "told"), WRONG)
def test_a_wrong_setting_is_told_with_its_line(tmp_path: Path, bench: str, old: str, new: str, told: str) -> None:
    found = problems(tmp_path, bench, old, new)
    assert len(found) == 1, found
    assert re.search(told, found[0]), found
    assert re.search(rf"{bench}\.yaml:\d+:\d+: ", found[0])
    assert "Remedy: " in found[0]


@pytest.mark.parametrize(
    "new", ["poll_seconds: ${POLL}", "poll_seconds: 1", "poll_seconds: 5.0", "analysis_seconds: 60"]
)
def test_what_is_filled_in_later_and_what_is_right_is_taken(tmp_path: Path, new: str) -> None:
    path = tmp_path / "flex_clariostar.yaml"
    path.write_text((DEVICES / path.name).read_text(encoding="utf-8").replace(POLL, new, 1), encoding="utf-8")
    assert load_bench_file(path).liquid_handler.settings


def test_a_driver_of_somebody_else_is_left_to_who_builds_it(tmp_path: Path) -> None:
    text = (DEVICES / "flex_clariostar.yaml").read_text(encoding="utf-8")
    path = tmp_path / "flex_clariostar.yaml"
    other = text.replace("nkloop.drivers.opentrons:OpentronsRobot", "their.package:Robot").replace(
        POLL, "pace: slow", 1
    )
    path.write_text(other, encoding="utf-8")
    assert load_bench_file(path).liquid_handler.settings["pace"] == "slow"
