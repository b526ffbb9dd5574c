"""Two flows and one robot: one at a time, and whoever lost the device is told so and lets it alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from .conftest import CrashLab

pytestmark = [pytest.mark.slow, pytest.mark.vendor]
SERVER = "postgresql+psycopg://root@127.0.0.1:5432/test"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Arguments that name a fresh database."""
    if request.param == "sqlite":
        yield []
        return
    name = f"nkloop_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    yield ["--database", f"{SERVER}?options=-csearch_path%3D{name}"]
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
    admin.dispose()


def test_of_two_flows_that_ask_at_once_one_runs_and_one_is_refused(crash_lab: CrashLab, database: list[str]) -> None:
    (met,) = crash_lab("rivals", "both", *database)
    assert met["problems"] == []
    errors = {met["outcomes"][who]["error"] for who in ("first", "second")}
    assert errors == {"", "DeviceHeldError"}
    assert (met["states"], met["actions"]) == (["succeeded"], ["play"])
    refused = next(one for one in met["outcomes"].values() if one["error"])
    assert "virtual-flex is held by ucb-nk expansion_i" in refused["message"]


def test_a_flow_whose_lease_ran_out_is_told_so_and_does_not_stop_the_robot(
    crash_lab: CrashLab, database: list[str]
) -> None:
    (met,) = crash_lab("rivals", "stale", *database)
    assert met["problems"] == []
    assert met["outcomes"]["silent"]["error"] == "StaleHolderError"
    assert "may no longer change virtual-flex" in met["outcomes"]["silent"]["message"]
    assert met["outcomes"]["next"]["error"] == ""
    assert (met["states"], met["actions"]) == (["succeeded"], ["play"])
    assert any("whose lease had run out" in claim for claim in met["claims"])
