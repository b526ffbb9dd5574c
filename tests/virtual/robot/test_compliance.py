"""Compliance mode: who may change something, with which reason, and what must be signed."""

from __future__ import annotations

from typing import Any

import pytest

from nkloop.virtual.robot.compliance import ALL_SCOPES, Compliance

FORM = {"client_id": "opentrons_app", "grant_type": "password", "username": "ada", "password": "secret"}
NOTES = {"Opentrons-User-Notes": "feeding%20day%203"}


class Seconds:
    """A clock that moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def gated(make_lab: Any, seconds: Seconds) -> Any:
    accounts = {"ada": ("secret", ALL_SCOPES), "guest": ("secret", ("run_data.write",))}
    return make_lab(compliance=Compliance(accounts, now=seconds))


async def bearer(lab: Any, **form: str) -> dict[str, str]:
    granted = (await lab.client.post("/auth/oauth2/token", data={**FORM, **form})).json()
    return {"Authorization": f"Bearer {granted['access_token']}", **NOTES}


async def test_reading_needs_nobody(gated: Any) -> None:
    assert (await gated.client.get("/runs")).status_code == 200
    assert (await gated.client.put("/clientData/nkloop", json={"data": {}})).status_code == 200


async def test_changing_needs_a_token_a_scope_and_a_reason(gated: Any) -> None:
    refused = await gated.create_run()
    assert (refused.status_code, refused.json()["requiredScopes"]) == (401, ["run_data.write"])
    assert refused.headers["www-authenticate"] == "Bearer"
    headers = await bearer(gated, username="guest")
    denied = await gated.client.post("/maintenance_runs", json={"data": {}}, headers=headers)
    assert (denied.status_code, denied.json()["providedScopes"]) == (403, ["run_data.write"])
    headers = await bearer(gated)
    silent = {"Authorization": headers["Authorization"]}
    assert (await gated.client.post("/runs", json={"data": {}}, headers=silent)).status_code == 451
    assert (await gated.client.post("/runs", json={"data": {}}, headers=headers)).status_code == 201
    assert gated.robot.compliance.reasons == [("ada", "POST /runs", "feeding day 3")]


async def test_wrong_credentials_give_no_token(gated: Any) -> None:
    answer = await gated.client.post("/auth/oauth2/token", data={**FORM, "password": "guess"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_tokens_end_and_are_refreshed_once(gated: Any, seconds: Seconds) -> None:
    granted = (await gated.client.post("/auth/oauth2/token", data=FORM)).json()
    seconds.now = granted["expires_in"]
    headers = {"Authorization": f"Bearer {granted['access_token']}", **NOTES}
    assert (await gated.client.post("/runs", json={"data": {}}, headers=headers)).status_code == 401
    renewal = {**FORM, "grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
    assert (await gated.client.post("/auth/oauth2/token", data=renewal)).status_code == 200
    assert (await gated.client.post("/auth/oauth2/token", data=renewal)).status_code == 400


async def test_an_ended_run_is_signed_before_the_next(gated: Any) -> None:
    gated.client.headers.update(await bearer(gated))
    run = await gated.start_run()
    await gated.until(run, "succeeded")
    for refused in (
        await gated.create_run(),
        await gated.client.patch(f"/runs/{run}", json={"data": {"current": False}}),
    ):
        assert (refused.status_code, refused.json()["errors"][0]["id"]) == (409, "RunSignoffRequired")
    signed = await gated.client.patch(f"/runs/{run}", json={"data": {"signedBy": "Ada Lovelace", "current": False}})
    assert signed.json()["data"]["signedBy"] == "Ada Lovelace"
    assert (await gated.create_run()).status_code == 201


async def test_without_compliance_there_are_no_tokens(lab: Any) -> None:
    assert (await lab.client.post("/auth/oauth2/token", data=FORM)).status_code == 404
