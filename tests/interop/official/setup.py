"""What is set up once: numbers and, with them, who answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from spekoai import PhoneNumberUpdateParams
from spekoai.models import WebhookEndpointAuthHeaderInput, WebhookEndpointInput

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.accounts.webhooks import DeliveryAttempt, DeliveryStatus, WebhookDelivery
from tests.interop.official.kit import World


async def _trunk(world: World, name: str) -> str:
    status, row = await world.api(
        "POST", "/v1/trunks", {"name": name, "gateways": ["127.0.0.1:5999"]}
    )
    assert status == 201, row
    return str(row["id"])


async def a_number_of_a_trunk_comes_and_goes(world: World) -> None:
    half = {"sync": "+12025550131", "async": "+12025550132"}[world.call.half]
    trunk = await _trunk(world, f"official-{world.call.half}")
    made = await world.call(
        "phone_numbers.import_sip_trunk",
        {
            "e164": half,
            "sip_trunk_id": trunk,
            "sip_provider_name": "Acme",
            "direction": "both",
            "label": "Desk",
            "dispatch_metadata_template": {"team": "sales"},
            "agent_id": None,
        },
    )
    assert (made.e164, made.source, made.direction) == (half, "sip_trunk", "both")
    assert (made.label, made.sip_provider_name, made.agent_id) == ("Desk", "Acme", None)
    assert made.dispatch_metadata_template == {"team": "sales"}
    assert made.created_at == made.updated_at
    assert await world.call("phone_numbers.get", made.id) == made
    assert made in await world.call("phone_numbers.list")
    again = await world.call.fails(
        "phone_numbers.import_sip_trunk", {"e164": half, "sip_trunk_id": trunk}
    )
    assert again.status == 409

    changed = await world.call(
        "phone_numbers.update", made.id, {"label": None, "direction": "outbound"}
    )
    assert (changed.label, changed.direction) == (None, "outbound")
    # What was not sent stays.
    assert changed.dispatch_metadata_template == {"team": "sales"}
    assert await world.call("phone_numbers.get", made.id) == changed
    await world.call.refuses("direction", "phone_numbers.update", made.id, _wrong_direction())

    loose = await world.call("agents.detach_phone_number", made.id)
    assert (loose.id, loose.agent_id) == (made.id, None)
    await world.call.not_found("agents.attach_phone_number", "agent/nobody", made.id)

    assert await world.call("phone_numbers.delete", made.id) is True
    assert made.id not in [row.id for row in await world.call("phone_numbers.list")]
    for name, more in (("get", ()), ("delete", ()), ("update", ({"label": "x"},))):
        for gone in (made.id, "a/b"):
            await world.call.not_found(f"phone_numbers.{name}", gone, *more)
    await world.call.not_found("agents.detach_phone_number", made.id)


def _wrong_direction() -> Any:
    """Past the client's own check, as a newer client might send it."""
    return PhoneNumberUpdateParams.model_construct(_fields_set={"direction"}, direction="sideways")


async def a_webhook_is_written_read_and_taken_away(world: World) -> None:
    # A client's own check may be older than ours; what it lets through we check.
    await world.call.refuses("url", "webhooks.create", _hook(url="ftp://example.com"))
    await world.call.refuses("name", "webhooks.create", _hook(name=""))
    await world.call.refuses("events", "webhooks.create", _hook(events=[]))
    await world.call.refuses("timeoutMs", "webhooks.create", _hook(timeout_ms=1))

    made = await world.call(
        "webhooks.create",
        _hook(
            filter_tags={"team": "sales"},
            headers={"X-Account": "7"},
            auth_headers=[{"name": "Authorization", "value": "Bearer very-secret"}],
            timeout_ms=2500,
            signing_secret_source="custom",
            signing_secret=SECRET,
            content_mode="metadata_only",
            agent_ids=None,
        ),
    )
    assert (made.name, made.url) == ("CRM", "https://crm.example.com/hook")
    assert made.events == ["call.report", "call.hangup"]
    assert (made.all_agents, made.agent_ids, made.filter_tags) == (True, [], {"team": "sales"})
    assert made.headers == {"X-Account": "7"}
    assert [(h.name, h.configured) for h in made.auth_headers] == [("Authorization", True)]
    assert (made.timeout_ms, made.content_mode) == (2500, "metadata_only")
    assert (made.signing_secret_source, made.has_custom_signing_secret) == ("custom", True)
    assert await world.call("webhooks.get", made.id) == made
    assert made in await world.call("webhooks.list")
    shown = await world.api("GET", f"/v1/webhooks/{made.id}")
    assert "very-secret" not in str(shown) and SECRET not in str(shown)

    changed = await world.call(
        "webhooks.update",
        made.id,
        {"name": "ERP", "headers": None, "signing_secret_source": "workspace"},
    )
    assert (changed.name, changed.headers) == ("ERP", {})
    assert (changed.signing_secret_source, changed.has_custom_signing_secret) == (
        "workspace",
        False,
    )
    assert (changed.events, changed.timeout_ms) == (made.events, 2500)
    assert [h.name for h in changed.auth_headers] == ["Authorization"]
    assert await world.call("webhooks.get", made.id) == changed

    assert await world.call("webhooks.delete", made.id) is None
    assert made.id not in [row.id for row in await world.call("webhooks.list")]
    for gone in (made.id, "a/b"):
        await world.call.not_found("webhooks.get", gone)
        await world.call.not_found("webhooks.update", gone, {"name": "x"})
        await world.call.not_found("webhooks.delete", gone)


async def what_was_sent_is_read_page_by_page(world: World) -> None:
    endpoint = await world.call("webhooks.create", _hook(name="Deliveries"))
    now = datetime.now(UTC).replace(microsecond=0)
    sent = [_delivery(endpoint.id, number, now) for number in range(3)]
    store = await world.store()
    try:
        for delivery in sent:
            await store.deliveries.put(delivery)
    finally:
        await store.close()
    page = await world.call("webhooks.deliveries.list", endpoint_id=endpoint.id, limit=2)
    assert [row.id for row in page.data] == [sent[2].id, sent[1].id]
    assert page.next_cursor is not None
    assert endpoint.id in [option.id for option in page.endpoint_options]
    rest = await world.call(
        "webhooks.deliveries.list", endpoint_id=endpoint.id, cursor=page.next_cursor
    )
    assert ([row.id for row in rest.data], rest.next_cursor) == ([sent[0].id], None)
    newest = page.data[0]
    assert (newest.event, newest.endpoint_name, newest.attempts) == ("call.report", "Deliveries", 1)
    assert (newest.status, newest.http_status) == ("failed", 500)
    only = await world.call(
        "webhooks.deliveries.list",
        event="call.report",
        status="failed",
        session_id=f"{endpoint.id}-session-1",
        from_date="2020-01-01T00:00:00+00:00",
    )
    assert [row.id for row in only.data] == [sent[1].id]
    none = await world.call("webhooks.deliveries.list", agent_id="nobody")
    assert none.data == []
    whole = await world.call("webhooks.deliveries.get", sent[2].id)
    assert (whole.id, whole.attempt_count) == (sent[2].id, 1)
    assert whole.request_payload == {"type": "call.report", "number": 2}
    assert whole.attempts[0].response_status == 500
    assert whole.attempts[0].duration_ms == 12.5
    await world.call.not_found("webhooks.deliveries.get", "a/b")
    await world.call("webhooks.delete", endpoint.id)
    kept = await world.call("webhooks.deliveries.get", sent[2].id)
    assert (kept.endpoint_deleted, kept.can_redeliver) == (True, False)


async def the_voices_are_those_within(world: World) -> None:
    found = await world.call("voices.list")
    assert [provider.key for provider in found.providers] == ["espeak-ng"]
    assert found.providers[0].voices_fetched_live is True
    assert len(found.voices) > 20
    assert {voice.vendor for voice in found.voices} == {"espeak-ng"}
    assert len({voice.id for voice in found.voices}) == len(found.voices)
    for name in ("espeak-ng", "espeak-ng-tts"):
        assert await world.call("voices.list", provider=name) == found
    other = await world.call("voices.list", provider="openai")
    assert (other.voices, other.providers) == ([], [])


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def _hook(**members: Any) -> Any:
    made = WebhookEndpointInput(
        name="CRM", url="https://crm.example.com/hook", events=["call.report", "call.hangup"]
    )
    if "auth_headers" in members:
        members["auth_headers"] = [
            WebhookEndpointAuthHeaderInput(**header) for header in members["auth_headers"]
        ]
    return made.model_copy(update=members)


def _delivery(endpoint: str, number: int, now: datetime) -> WebhookDelivery:
    at = now + timedelta(milliseconds=number)
    payload = {"type": "call.report", "number": number}
    attempt = DeliveryAttempt(
        id=f"{endpoint}-attempt-{number}",
        number=1,
        trigger="automatic",
        request_url="https://crm.example.com/hook",
        request_body=payload,
        response_status=500,
        duration_ms=12.5,
        created_at=at,
    )
    return WebhookDelivery(
        id=f"{endpoint}-delivery-{number}",
        organization=DEFAULT_ORGANIZATION,
        event_id=f"{endpoint}-event-{number}",
        endpoint=endpoint,
        endpoint_name="Deliveries",
        event="call.report",
        session=f"{endpoint}-session-{number}",
        status=DeliveryStatus.FAILED,
        attempt_count=1,
        http_status=500,
        payload=payload,
        attempts=(attempt,),
        occurred_at=at,
        expires_at=at + timedelta(days=1),
        created_at=at,
    )


PROFILE = {
    "legal_name": "Acme Inc.",
    "display_name": "Acme",
    "entity_type": "corporation",
    "country": "US",
    "registration_id": None,
    "website": "https://acme.example",
    "address": {
        "street": "1 Main St",
        "city": "Reno",
        "state": "NV",
        "postal_code": "89501",
        "country": "US",
    },
    "use_case": "Support",
    "expected_usage": "100 calls a day",
}
PERSON = {"name": "Ada", "title": "CEO", "email": "ada@acme.example", "phone": "+12025550199"}


async def a_business_is_verified(world: World) -> None:
    form = {"business_profile": PROFILE, "authorized_representative": PERSON}
    draft = await world.call("phone_numbers.save_kyb_draft", form)
    assert (draft.status, draft.attestation_accepted) == ("draft", False)
    assert draft.business_profile.address.postal_code == "89501"
    assert draft.business_profile.registration_id is None
    assert draft.authorized_representative.phone == PERSON["phone"]
    assert draft.slack_notification_status == "not_queued"
    seen = await world.call("phone_numbers.get_kyb")
    assert (seen.status, seen.submission) == ("draft", draft)
    assert seen.required_attestation.text and seen.required_attestation.terms_url

    wrong = {**form, "authorized_representative": {**PERSON, "email": "nobody"}}
    await world.call.refuses(
        "email", "phone_numbers.submit_kyb", {**wrong, "attestation_accepted": True}
    )
    filed = await world.call("phone_numbers.submit_kyb", {**form, "attestation_accepted": True})
    assert (filed.id, filed.status) == (draft.id, "approved")
    assert filed.attestation_text == seen.required_attestation.text
    assert filed.attestor.kind == "api_key" and filed.submitted_at is not None
    version = seen.required_attestation.version
    minimal = {
        "declaration": {"business_name": "Acme", "use_case": "Support"},
        "attestation_accepted": True,
        "attestation_version": version,
    }
    short = await world.call("phone_numbers.submit_kyb", minimal)
    assert (short.status, short.declaration.business_name) == ("approved", "Acme")
    await world.call.refuses(
        "attestationVersion",
        "phone_numbers.submit_kyb",
        {**minimal, "attestation_version": version + "0"},
    )
    done = await world.call("phone_numbers.get_kyb")
    assert (done.status, done.compliance_access) == ("approved", "enabled")
    assert done.submission == short


async def a_number_is_bought_and_given_back(world: World) -> None:
    offered = await world.call("phone_numbers.search_available", area_code="775", limit=5)
    assert [offer.e164 for offer in offered] == ["+17755550150", "+17755550151"]
    offer = offered[0]
    assert (offer.upfront_cost_usd, offer.monthly_cost_usd) == (1.0, 2.5)
    assert (offer.region.state, offer.region.locality) == ("NV", "Reno")
    assert offer.friendly_name
    assert await world.call("phone_numbers.search_available", area_code="212") == []
    assert await world.call("phone_numbers.search_available", locality="Reno", limit=1) == [offer]
    await world.call.refuses("areaCode", "phone_numbers.search_available", area_code="77")
    await world.call.refuses("limit", "phone_numbers.search_available", limit=51)

    before = await world.call("credits.get_balance")
    bought = await world.call(
        "phone_numbers.create",
        {"e164": offer.e164, "label": "Main", "direction": None, "agent_id": None},
    )
    assert (bought.e164, bought.source, bought.label) == (offer.e164, "managed", "Main")
    assert (bought.direction, bought.agent_id) == ("outbound", None)
    assert bought.last_charged_at is not None
    assert bought.next_charge_at > bought.last_charged_at
    assert await world.call("phone_numbers.get", bought.id) == bought
    after = await world.call("credits.get_balance")
    assert round(before.balance_usd - after.balance_usd, 6) == 3.5
    left = await world.call("phone_numbers.search_available", area_code="775")
    assert offer.e164 not in [o.e164 for o in left]

    twice = await world.call.fails("phone_numbers.create", {"e164": offer.e164})
    assert twice.status == 409
    await world.call.not_found("phone_numbers.create", {"e164": "+17755550159"})
    await world.call.refuses("e164", "phone_numbers.create", {"e164": "7755550150"})
    assert await world.call("phone_numbers.delete", bought.id) is True
    again = await world.call("phone_numbers.search_available", area_code="775")
    assert offer in again
