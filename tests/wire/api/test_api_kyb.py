"""Business verification: filed in parts, submitted whole, decided on the store."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.accounts.kyb import KybPolicy, approved, rejected
from telephony.accounts.ports import Offered
from telephony.base.errors import Conflict

from .conftest import FOREIGN_KEY

AT = "/v1/phone-numbers/kyb"
ORG = "org_default"
NUMBER = "+12025550150"
MANUAL = KybPolicy(manual=True, version="2026-1", text="It is true.", terms_version="7")
PROFILE: dict[str, Any] = {
    "legalName": "Acme Inc.",
    "displayName": "Acme",
    "entityType": "corporation",
    "country": "US",
    "registrationId": "12-3456789",
    "website": "https://acme.example",
    "address": {
        "street": "1 Main St",
        "city": "Washington",
        "state": "DC",
        "postalCode": "20001",
        "country": "US",
    },
    "useCase": "Answering our own customers",
    "expectedUsage": "100 calls a day",
}
PERSON: dict[str, Any] = {
    "name": "Ada", "title": "CEO", "email": "ada@acme.example", "phone": "+12025550100",
}  # fmt: skip
FULL: dict[str, Any] = {
    "businessProfile": PROFILE,
    "authorizedRepresentative": PERSON,
    "attestationAccepted": True,
}
SHORT: dict[str, Any] = {
    "declaration": {"businessName": "Acme", "useCase": "Answering"},
    "attestationAccepted": True,
    "attestationVersion": "1",
}


@pytest.fixture
async def manual(start: Any) -> Any:
    return await start(pool=(Offered(e164=NUMBER, trunk="default"),), policy=MANUAL)


async def test_whoever_runs_it_himself_needs_none(start: Any) -> None:
    api = await start(pool=(Offered(e164=NUMBER, trunk="default"),))
    found = (await api.get(AT)).body
    attestation = found.pop("requiredAttestation")
    assert found == {
        "status": "missing",
        "submission": None,
        "prefill": None,
        "declarationPrefill": None,
        "attestationRequired": False,
        "complianceAccess": "enabled",
    }
    assert attestation["version"] == "1"
    assert attestation["termsUrl"] == f"{api.base}/docs"
    assert (await api.post("/v1/phone-numbers", {"e164": NUMBER})).status == 200


@pytest.mark.parametrize("form", [FULL, SHORT])
async def test_what_is_submitted_is_approved_at_once(api: Any, form: dict[str, Any]) -> None:
    reply = await api.post(f"{AT}/submit", form)
    assert reply.status == 200, reply.body
    row = reply.body
    assert row == {
        "id": row["id"],
        "organizationId": ORG,
        "status": "approved",
        "businessProfile": form.get("businessProfile"),
        "authorizedRepresentative": form.get("authorizedRepresentative"),
        "declaration": form.get("declaration"),
        "attestor": {"kind": "api_key", "apiKeyId": "key_aaa"},
        "attestationAccepted": True,
        "attestationVersion": "1",
        "attestationText": row["attestationText"],
        "termsVersion": "1",
        "attestedAt": "2026-01-05T09:00:00.000Z",
        "accessHoldAt": None,
        "accessHoldReason": None,
        "submittedByUserId": None,
        "submittedByEmail": None,
        "submittedByApiKeyId": "key_aaa",
        "submittedAt": "2026-01-05T09:00:00.000Z",
        "reviewerUserId": None,
        "reviewerEmail": None,
        "reviewedAt": "2026-01-05T09:00:00.000Z",
        "rejectionReason": None,
        "slackNotificationStatus": "not_queued",
        "slackNotificationJobId": None,
        "slackNotificationError": None,
        "createdAt": "2026-01-05T09:00:00.000Z",
        "updatedAt": "2026-01-05T09:00:00.000Z",
    }
    found = (await api.get(AT)).body
    assert (found["status"], found["submission"]) == ("approved", row)
    assert (await api.get(AT, key=FOREIGN_KEY)).body["status"] == "missing"
    # Again, as a second client does.
    assert (await api.post(f"{AT}/submit", form)).body["status"] == "approved"


async def test_a_draft_may_lack_anything(api: Any) -> None:
    for body in ({}, {"businessProfile": None}, {"authorizedRepresentative": {"email": "a"}}):
        assert (await api.ask("PUT", f"{AT}/draft", body)).status == 200
    body = {"businessProfile": {"legalName": "Acme", "address": {"city": "Bonn"}}}
    row = (await api.ask("PUT", f"{AT}/draft", body)).body
    assert (row["status"], row["attestationAccepted"]) == ("draft", False)
    # Clients read every member of a profile as a string.
    assert row["businessProfile"]["legalName"] == "Acme"
    assert row["businessProfile"]["website"] == ""
    assert row["businessProfile"]["address"]["city"] == "Bonn"
    assert row["businessProfile"]["address"]["street"] == ""
    assert row["authorizedRepresentative"] is None
    assert row["attestor"] is None
    found = (await api.get(AT)).body
    assert (found["status"], found["submission"]["id"]) == ("draft", row["id"])
    draft = {**FULL, "attestationAccepted": True}
    row = (await api.ask("PUT", f"{AT}/draft", draft)).body
    assert (row["businessProfile"], row["authorizedRepresentative"]) == (PROFILE, PERSON)
    found = (await api.get(AT)).body
    assert found["declarationPrefill"] == {
        "businessName": "Acme Inc.", "useCase": "Answering our own customers",
    }  # fmt: skip


async def test_a_person_decides(manual: Any) -> None:
    async def buys() -> tuple[int, str]:
        reply = await manual.post("/v1/phone-numbers", {"e164": NUMBER})
        if reply.status == 200:
            await manual.ask("DELETE", f"/v1/phone-numbers/{reply.body['id']}")
        return reply.status, reply.body.get("code", "")

    async def shown() -> tuple[str, str, bool]:
        body = (await manual.get(AT)).body
        return body["status"], body["complianceAccess"], body["attestationRequired"]

    async def decided(how: Any, *words: Any) -> None:
        kyb = await manual.store.kyb.get(ORG)
        await manual.store.kyb.put(how(kyb, *words, manual.clock.now()))

    assert await shown() == ("missing", "awaiting_attestation", True)
    assert await buys() == (403, "KYB_REQUIRED")
    await manual.ask("PUT", f"{AT}/draft", {})
    with pytest.raises(Conflict):
        await decided(approved, "me")
    with pytest.raises(Conflict):
        await decided(rejected, "no", "me")
    row = (await manual.post(f"{AT}/submit", {**FULL, "attestationVersion": "2026-1"})).body
    assert (row["status"], row["reviewedAt"]) == ("submitted", None)
    assert (row["attestationText"], row["termsVersion"]) == ("It is true.", "7")
    assert await shown() == ("submitted", "awaiting_attestation", True)
    assert await buys() == (403, "KYB_REQUIRED")
    assert (await manual.ask("PUT", f"{AT}/draft", {})).status == 409
    # It may be filed once more, and the last form counts.
    short = {**SHORT, "attestationVersion": "2026-1"}
    assert (await manual.post(f"{AT}/submit", short)).body["id"] == row["id"]
    await decided(rejected, "no such company", "me")
    row = (await manual.get(AT)).body["submission"]
    assert (row["status"], row["rejectionReason"]) == ("rejected", "no such company")
    assert (row["accessHoldReason"], row["reviewerUserId"]) == ("rejected", "me")
    assert await shown() == ("rejected", "suspended", True)
    await manual.post(f"{AT}/submit", FULL)
    await decided(approved, "me")
    assert await shown() == ("approved", "enabled", False)
    assert await buys() == (200, "")
    # Who files something new keeps what was allowed until somebody has looked at it.
    await manual.ask("PUT", f"{AT}/draft", {})
    assert await shown() == ("draft", "enabled", False)
    await manual.post(f"{AT}/submit", FULL)
    assert await buys() == (200, "")
    await decided(approved, None)
    await decided(rejected, "complaints", "me")
    assert await shown() == ("revoked", "suspended", True)
    assert await buys() == (403, "KYB_REQUIRED")


def profile(**members: Any) -> dict[str, Any]:
    return {"businessProfile": {**PROFILE, **members}}


def person(**members: Any) -> dict[str, Any]:
    return {"authorizedRepresentative": {**PERSON, **members}}


TEXTS = ["legalName", "displayName", "entityType", "country"]
PLACES = ["street", "city", "state", "postalCode", "country"]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"businessProfile": None}, "businessProfile"),
    ({"authorizedRepresentative": None}, "authorizedRepresentative"),
    ({"attestationAccepted": False}, "attestationAccepted"),
    ({"attestationAccepted": None}, "attestationAccepted"),
    ({"attestationVersion": "0"}, "attestationVersion"),
    ({"attestationVersion": "x" * 201}, "attestationVersion"),
    *((profile(**{name: text}), f"businessProfile.{name}")
      for name in TEXTS for text in (None, "", "x" * 201)),
    (profile(registrationId="x" * 201), "businessProfile.registrationId"),
    *((profile(website=text), "businessProfile.website") for text in (None, "", "x" * 2049)),
    *((profile(**{name: text}), f"businessProfile.{name}")
      for name in ("useCase", "expectedUsage") for text in (None, "", "x" * 2001)),
    (profile(address=None), "businessProfile.address"),
    *((profile(address={**PROFILE["address"], name: text}), f"businessProfile.address.{name}")
      for name in PLACES for text in (None, "", "x" * 201)),
    *((person(**{name: text}), f"authorizedRepresentative.{name}")
      for name in ("name", "title") for text in (None, "", "x" * 201)),
    *((person(email=text), "authorizedRepresentative.email")
      for text in (None, "", "ada", "@a.b", "a@b", "a@b.c@d", "a b@c.d", "x" * 250 + "@a.bc")),
    (person(phone="2025550100"), "authorizedRepresentative.phone"),
    ({"declaration": {"businessName": "Acme"}}, "declaration.useCase"),
    ({"declaration": SHORT["declaration"]}, "attestationVersion"),
    *(({"declaration": {**SHORT["declaration"], name: text}}, f"declaration.{name}")
      for name, text in (("businessName", ""), ("businessName", "x" * 201), ("useCase", ""),
                         ("useCase", "x" * 2001))),
]  # fmt: skip


@pytest.mark.parametrize(("change", "path"), WRONG)
async def test_a_wrong_submission_is_named(api: Any, change: dict[str, Any], path: str) -> None:
    reply = await api.post(f"{AT}/submit", {**FULL, **change})
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert path in [issue["path"] for issue in reply.body["issues"]]
    assert (await api.get(AT)).body["status"] == "missing"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        *((profile(**{name: "x" * 201}), f"businessProfile.{name}") for name in TEXTS),
        (profile(website="x" * 2049), "businessProfile.website"),
        (profile(useCase="x" * 2001), "businessProfile.useCase"),
        (profile(expectedUsage="x" * 2001), "businessProfile.expectedUsage"),
        (profile(registrationId="x" * 201), "businessProfile.registrationId"),
        *((profile(address={n: "x" * 201}), f"businessProfile.address.{n}") for n in PLACES),
        (person(name="x" * 201), "authorizedRepresentative.name"),
        (person(title="x" * 201), "authorizedRepresentative.title"),
        (person(email="x" * 255), "authorizedRepresentative.email"),
        (person(phone="x" * 33), "authorizedRepresentative.phone"),
        ({"businessProfile": []}, "businessProfile"),
        ({"attestationAccepted": "yes"}, "attestationAccepted"),
    ],
)
async def test_a_draft_has_bounds_too(api: Any, change: dict[str, Any], path: str) -> None:
    reply = await api.ask("PUT", f"{AT}/draft", change)
    assert reply.status == 400
    assert path in [issue["path"] for issue in reply.body["issues"]]
    assert (await api.get(AT)).body["status"] == "missing"
