"""`nkloop serve` as a person meets it: deployments, a form, a run, its run sheet, Ctrl+C. In this order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Browser, Page, Service

pytestmark = pytest.mark.browser

FLOWS = ("prepare-medium", "dose-cytokines", "run-cytotoxicity-assay", "improve-recipe", "run-campaign")
FLOWS += ("watch-inbox", "reconcile-run")
FIELDS = {"Campaign", "Recipe", "Rounds", "Arms", "Donors", "Target line", "Feeding", "Ask for approval"}
RUN_SECONDS = 90.0
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED")


@pytest.fixture(scope="module")
def run(service: Service) -> dict[str, Any]:
    """A run of prepare-medium, launched as the form launches it, when it has ended."""
    parameters = {"request": {"stage": "expansion_i", "volume_ml": 20}}
    path = f"/deployments/{service.deployment('prepare-medium')['id']}/create_flow_run"
    started = service.api("POST", path, parameters=parameters)
    deadline = time.monotonic() + RUN_SECONDS
    while (now := service.api("GET", f"/flow_runs/{started['id']}"))["state_type"] not in ENDED:
        assert time.monotonic() < deadline, now["state"]
        time.sleep(0.5)
    return now  # type: ignore[no-any-return]


def asked_elsewhere(page: Page, service: Service) -> list[str]:
    """What the page asked of other machines."""
    return [address for address in page.requests if not address.startswith(service.url)]


def test_deployments_shows_every_flow(browser: Browser, service: Service) -> None:
    page = browser.open(f"{service.url}/deployments")
    assert f"{len(FLOWS)} Deployments" in page.words
    assert [name for name in FLOWS if name not in page.words] == []
    assert page.requests
    assert asked_elsewhere(page, service) == []


def test_the_form_of_a_campaign_explains_every_field(browser: Browser, service: Service) -> None:
    deployment = service.deployment("run-campaign")
    page = browser.open(f"{service.url}/deployments/deployment/{deployment['id']}/run")
    fields = deployment["parameter_openapi_schema"]["definitions"]["RunCampaign"]["properties"].values()
    assert {field["title"] for field in fields} >= FIELDS
    for field in fields:
        assert field["title"] in page.words
        assert field["description"] in page.words
    assert asked_elsewhere(page, service) == []


def test_a_launched_run_completes(run: dict[str, Any]) -> None:
    assert run["state_type"] == "COMPLETED", run["state"]


def test_its_run_sheet_shows_the_deck(browser: Browser, service: Service, run: dict[str, Any]) -> None:
    wanted = {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["run-sheet"]}}
    (sheet,) = service.api("POST", "/artifacts/filter", artifacts=wanted)
    page = browser.open(f"{service.url}/artifacts/artifact/{sheet['id']}")
    for text in ("Medium preparation", "Deck", "Base medium GBGM", "Liquids to load", "LOT-GBGM-01"):
        assert text in page.words
    assert asked_elsewhere(page, service) == []


def test_ctrl_c_stops_every_process(service: Service) -> None:
    started = service.children()
    assert len(started) >= 3
    service.stop()
    assert service.process.returncode == 0
    assert "Stopped. Records stay in" in service.log.read_text(encoding="utf-8")
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
