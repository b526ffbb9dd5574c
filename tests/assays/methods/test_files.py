"""Method files: every shipped one is complete, and what is wrong in one is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.assays.methods import load_method, method_named, methods
from nkloop.assays.methods.files import FOLDER, common_limits
from nkloop.errors import AssayError

LDH = (FOLDER / "ldh.yaml").read_text(encoding="utf-8")


def test_every_method_says_where_its_values_are_from_and_what_goes_wrong() -> None:
    assert len(methods()) == 9
    for method in methods().values():
        for sourced in (method.read, method.contact, method.targets, *method.limits):
            assert sourced.source
            assert sourced.verified_by or sourced.origin.endswith("[unverified]")
        assert method.traps
        assert method.contact.reason
        assert {limit.name for limit in method.limits} == {limit.name for limit in common_limits()}


def test_a_methods_own_limit_replaces_the_common_one() -> None:
    common = next(limit for limit in common_limits() if limit.name == "spontaneous_to_maximum")
    assert (common.good, method_named("calcein").limit("spontaneous_to_maximum").good) == (20, 25)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("formula: release", "formula: magic", r":3:10: formula: 'magic' is not allowed", id="formula"),
        pytest.param("background, volume", "volume", r":5:\d+: terms.medium_background: needs", id="term"),
        pytest.param("[spontaneous, ", "[", r"targets alone .spontaneous. are missing", id="no spontaneous"),
        pytest.param("maximum, ", "", r"release is a share of the maximum, which is missing", id="no maximum"),
        pytest.param("low_minutes: 230", "low_minutes: 260", r"contact: begins at 260 and ends at 250", id="window"),
        pytest.param("highest: 10", "hihgest: 10", r"ldh.yaml:\d+:\d+: .*'hihgest' is not known here", id="spelling"),
        pytest.param("name: ldh", "name: LDH!", r"ldh.yaml:1:7: name: 'LDH!' has a form", id="name"),
        pytest.param("name: ldh", "name: other", r"called 'other' in a file called 'ldh.yaml'", id="file name"),
        pytest.param(
            "traps:", "limits:\n  - {name: beauty, better: high, good: 1, source: me}\ntraps:",
            r"limits.beauty.name: 'beauty' is no quality figure", id="unknown figure",
        ),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in LDH
    path = tmp_path / "ldh.yaml"
    path.write_text(LDH.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(AssayError, match=message):
        load_method(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("[15, 90]", "[90, 15]", r":\d+:18: read.delay_minutes: 90 to 15 min .*shortest first", id="delay"),
        pytest.param(
            "[15, 90]", "[-5, 90]", r"read.delay_minutes: -5 to 90 min .*must rise from 0", id="negative delay"
        ),
        pytest.param("[15, 90]", "[15]", r"read.delay_minutes: a list of 1 is too short", id="one delay"),
        pytest.param("  wavelength_nm: 490\n", "", r":8:3: read: absorbance without wavelength_nm", id="no wavelength"),
        pytest.param("_nm: 490", "_nm: 4900", r"read.wavelength_nm: 4900 must be at most 1100", id="wavelength"),
        pytest.param("_nm: 680", "_nm: 493", r"493 nm lies within 5 nm of the wavelength of 490", id="reference"),
        pytest.param("absorbance", "luminescence", r"takes emission_nm, not wavelength_nm", id="of another mode"),
        pytest.param("absorbance", "fluorescence", r"read: fluorescence without emission_nm", id="no emission"),
        pytest.param(
            "absorbance",
            "impedance",
            r":8:9: read.mode: formula 'release' cannot be computed from impedance.*formula: loss or kinetic",
            id="formula of another mode",
        ),
        pytest.param(
            "release\n", "flow\n", r"'flow' cannot be computed from absorbance, it takes cytometry", id="flow"
        ),
        pytest.param("lowest: -0.2", "lowest: 20", r"read.lowest: 20 is not below highest, 10", id="bounds"),
        pytest.param("linear: 3.5", "linear: 35", r"highest_linear: 35 is above highest, 10", id="linear"),
        pytest.param(
            "  verified_by: null\ncontact",
            "contact",
            r":8:3: read: does not say who verified its values. Remedy: add `verified_by: null`",
            id="unmarked read",
        ),
        pytest.param(", verified_by: null}", "}", r"targets: does not say who verified", id="unmarked targets"),
    ],
)
def test_a_read_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in LDH
    path = tmp_path / "ldh.yaml"
    path.write_text(LDH.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(AssayError, match=message):
        load_method(path)


Z_PRIME = "{name: z_prime, better: high, good: 0.5, usable: 0.3, source: me, verified_by: null}"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ([Z_PRIME.replace("high", "low")], "z_prime.better: z_prime is better high, not low: bad plates would pass"),
        (
            [Z_PRIME.replace("0.3", "0.8")],
            "z_prime.usable: usable is 0.8, where high is better it must be at most good",
        ),
        ([Z_PRIME, Z_PRIME], "z_prime.name: 'z_prime' is limited twice"),
        ([Z_PRIME.replace(", verified_by: null", "")], "z_prime: does not say who verified its values"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, limits: list[str], message: str) -> None:
    path = tmp_path / "ldh.yaml"
    path.write_text(f"{LDH}limits: [{', '.join(limits)}]\n", encoding="utf-8")
    with pytest.raises(AssayError, match=rf"ldh.yaml:\d+:\d+: limits.{message}"):
        load_method(path)


def test_a_labs_method_replaces_or_joins_the_packages(tmp_path: Path) -> None:
    (tmp_path / "ldh.yaml").write_text(LDH.replace("250", "245"), encoding="utf-8")
    assert method_named("ldh", tmp_path).contact.high_minutes == 245
    assert method_named("ldh").contact.high_minutes == 250
    assert method_named("atp", tmp_path) == method_named("atp")
    with pytest.raises(AssayError, match=r"no assay method 'ldhh'\. Remedy: did you mean 'ldh'"):
        method_named("ldhh", tmp_path)
