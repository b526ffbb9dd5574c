"""Quality figures by hand, limits and verdicts."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from nkloop.assays.methods import Limit, method_named, methods
from nkloop.assays.models import QualityMeasure
from nkloop.assays.quality import verdict_of
from nkloop.assays.quality.statistics import ssmd, z_prime
from nkloop.errors import AssayError

LDH = method_named("ldh")


def test_z_prime_by_hand() -> None:
    # means 10 and 2, sample standard deviations 1 and 0.5: 1 - 3 * 1.5 / 8
    assert z_prime([9, 10, 11], [1.5, 2, 2.5]) == pytest.approx(1 - 4.5 / 8)
    assert z_prime([1, 1], [1, 1]) is None


def test_ssmd_by_hand() -> None:
    assert ssmd([9, 10, 11], [1.5, 2, 2.5]) == pytest.approx(8 / math.sqrt(1.25))
    assert ssmd([1, 1], [2, 2]) is None


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.8, "pass"), (0.5, "pass"), (0.4, "flag"), (0.3, "flag"), (0.29, "reject"), (-5, "reject")]
)
def test_z_prime_limit(value: float, outcome: str) -> None:
    assert LDH.limit("z_prime").judge(value) == outcome


@pytest.mark.parametrize(("value", "outcome"), [(20, "pass"), (25, "flag"), (30, "flag"), (31, "reject")])
def test_leakage_limit(value: float, outcome: str) -> None:
    assert LDH.limit("spontaneous_to_maximum").judge(value) == outcome


def test_a_limit_without_second_bound_never_rejects_and_nan_never_passes() -> None:
    limit = Limit(name="x", better="high", good=3, source="s")
    assert (limit.judge(-99), limit.judge(math.nan)) == ("flag", "flag")
    assert LDH.limit("z_prime").judge(math.nan) == "reject"


def test_limit_text() -> None:
    assert LDH.limit("z_prime").text == "at least 0.5, rejected below 0.3"
    assert LDH.limit("spontaneous_to_maximum").text == "at most 20 %, rejected above 30 %"
    assert LDH.limit("ssmd").text == "at least 3"


def test_every_limit_says_where_it_is_from_and_memory_is_marked() -> None:
    for method in methods().values():
        assert all(limit.origin for limit in method.limits)
        assert "[unverified]" in method.limit("z_prime").origin
        assert "[unverified]" in method.contact.origin


def test_unknown_method_and_limit() -> None:
    with pytest.raises(AssayError, match="no assay method 'mtt'"):
        method_named("mtt")
    with pytest.raises(AssayError, match="no limit 'beauty'"):
        LDH.limit("beauty")


def measure(outcome: str) -> QualityMeasure:
    return QualityMeasure.model_validate(
        {"name": "m", "value": 1.0, "limit": "l", "source": "s", "outcome": outcome, "reason": f"because {outcome}"}
    )


@pytest.mark.parametrize(
    ("outcomes", "verdict", "reasons"),
    [
        (("pass", "pass"), "accepted", ()),
        (("pass", "flag"), "flagged", ("because flag",)),
        (("flag", "reject"), "rejected", ("because reject", "because flag")),
    ],
)
def test_verdict(outcomes: tuple[str, ...], verdict: str, reasons: tuple[str, ...]) -> None:
    assert verdict_of([measure(o) for o in outcomes]) == (verdict, reasons)


@pytest.mark.parametrize("module", ["nkloop.assays.models", "nkloop.feedback.models"])
def test_models_do_not_import_scipy(module: str) -> None:
    code = f"import sys, {module}; sys.exit(any(m in sys.modules for m in ('scipy', 'pandas', 'lmfit')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
