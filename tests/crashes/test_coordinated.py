"""`kill -9` of the Prefect server: the run goes on or is made safe. More of it, and of the runner, in the benchmark."""

from __future__ import annotations

import pytest

from .conftest import CrashLab

pytestmark = [pytest.mark.slow, pytest.mark.vendor, pytest.mark.timeout(600)]


def test_a_run_survives_the_prefect_server(crash_lab: CrashLab) -> None:
    (report,) = crash_lab("coordinated", "--crashes", "1", "--seed", "1")
    assert report["problems"] == [], report
    assert report["struck"]
    assert report["states"] in (["succeeded"], ["interrupted"])
