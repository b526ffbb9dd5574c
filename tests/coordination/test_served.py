"""The bench that forms begin with."""

from __future__ import annotations

import pytest

from nkloop.coordination.served import SERVED_BENCH, served_bench


@pytest.mark.parametrize(("given", "bench"), [(None, "virtual"), ("", "virtual"), ("flex_byonoy", "flex_byonoy")])
def test_forms_begin_with_the_bench_that_is_served(monkeypatch, given, bench):
    if given is None:
        monkeypatch.delenv(SERVED_BENCH, raising=False)
    else:
        monkeypatch.setenv(SERVED_BENCH, given)
    assert served_bench() == bench
