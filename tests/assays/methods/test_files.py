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


def test_a_labs_method_replaces_or_joins_the_packages(tmp_path: Path) -> None:
    (tmp_path / "ldh.yaml").write_text(LDH.replace("250", "245"), encoding="utf-8")
    assert method_named("ldh", tmp_path).contact.high_minutes == 245
    assert method_named("ldh").contact.high_minutes == 250
    assert method_named("atp", tmp_path) == method_named("atp")
    with pytest.raises(AssayError, match=r"no assay method 'ldhh'\. Remedy: did you mean 'ldh'"):
        method_named("ldhh", tmp_path)
