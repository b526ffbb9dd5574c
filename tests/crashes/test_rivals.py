"""Two flows and one robot: one at a time, and whoever lost the device is told so and lets it alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from .conftest import CrashLab

pytestmark = [pytest.mark.slow, pytest.mark.vendor, pytest.mark.timeout(600)]
SERVER = "postgresql+psycopg://root@127.0.0.1:5432/test"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Arguments that name three fresh databases."""
    if request.param == "sqlite":
        yield []
        return
    names = [f"nkloop_{uuid.uuid4().hex[:12]}" for _ in range(3)]
    admin = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name in names:
            connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    yield ["--database", ",".join(f"{SERVER}?options=-csearch_path%3D{name}" for name in names)]
    with admin.connect() as connection:
        for name in names:
            connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
    admin.dispose()


@pytest.fixture(scope="module")
def encounters(crash_lab: CrashLab, database: list[str]) -> list[dict[str, Any]]:
    return crash_lab("rivals", "both", "stale", "rest", *database)


def test_of_two_flows_that_ask_at_once_one_runs_and_one_is_refused(encounters: list[dict[str, Any]]) -> None:
    met = encounters[0]
    assert met["problems"] == []
    errors = {met["outcomes"][who]["error"] for who in ("first", "second")}
    assert errors == {"", "DeviceHeldError"}
    assert (met["states"], set(met["actions"])) == (["succeeded"], {"play"})
    refused = next(one for one in met["outcomes"].values() if one["error"])
    assert "virtual-flex is held by ucb-nk expansion_i" in refused["message"]


def test_a_flow_whose_lease_ran_out_is_told_so_and_does_not_stop_the_robot(encounters: list[dict[str, Any]]) -> None:
    met = encounters[1]
    assert met["problems"] == []
    assert met["outcomes"]["silent"]["error"] == "StaleHolderError"
    assert "may no longer change virtual-flex" in met["outcomes"]["silent"]["message"]
    assert met["outcomes"]["next"]["error"] == ""
    assert (met["states"], set(met["actions"])) == (["succeeded"], {"play"})
    assert any("whose lease had run out" in claim for claim in met["claims"])


def test_of_two_that_do_the_same_rest_one_is_refused_and_every_well_gets_its_plan_once(
    encounters: list[dict[str, Any]],
) -> None:
    met = encounters[2]
    assert met["problems"] == []
    ended = {who: met["outcomes"][who]["error"] for who in ("stop", "decide", "first", "second")}
    assert (ended["stop"], ended["decide"]) == ("", "")
    assert {ended["first"], ended["second"]} == {"", "RecordError"}
    assert met["states"] == ["interrupted", "succeeded"]
    refused = next(met["outcomes"][who]["message"] for who in ("first", "second") if ended[who])
    assert "run-0001 has been followed by run-0002 (succeeded)" in refused
