"""Every method of the official Python client (``spekoai``, unmodified) against a running service.

``TABLE`` names each method with the case that proves it, ``LATER`` those of pieces that are not
there yet: these must fail with 501 and NOT_IMPLEMENTED, and one that starts to answer fails here
until it has a case. What the client has and neither names fails too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from spekoai import AsyncSpeko, Speko, SpekoAuthError

from telephony.testing.postgres import Cluster
from tests.interop.official import agents, calls, knowledge, setup, voices
from tests.interop.official.kit import Case, Driver, World, methods
from tests.interop.service import Service, free_port

TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]

[rates]
outbound = "0.01"
increment = 60

[numbers_pool."+17755550150"]
upfront = "1"
monthly = "2.50"
state = "NV"
locality = "Reno"

[numbers_pool]
"+17755550151" = {{ trunk = "main" }}

[numbers]
"+12025550100" = {{ dialplan = "official", trunk = "main" }}
"""

PLANS = {
    "official": (
        "name: official\nlanguage: en\nrecord: true\nstart: hello\nnodes:\n"
        "  hello:\n    verb: say\n    next: wait\n    text: Hello, official client.\n"
        "  wait:\n    verb: say\n    text: >-\n"
        + "      This goes on for a while, so that nobody has to hurry.\n"
        * 12
    ),
}

TABLE: dict[Case, str] = {
    calls.a_call_is_placed_seen_and_ended: (
        "voice.dial calls.get calls.events calls.report calls.recording calls.end "
        "calls.finalize_report sessions.transcript usage.get credits.get_balance credits.get_ledger"
    ),
    calls.a_call_is_watched_as_it_happens: "sessions.stream",
    calls.what_cannot_be_dialled_is_refused: "voice.dial",
    calls.no_call_of_that_id: (
        "calls.get calls.events calls.report calls.recording calls.end sessions.transcript "
        "sessions.stream"
    ),
    calls.a_browser_joins_no_call_without_a_room: "calls.web_join",
    calls.a_promised_call_is_listed_and_taken_back: "callbacks.list callbacks.get callbacks.cancel",
    setup.a_number_of_a_trunk_comes_and_goes: (
        "phone_numbers.import_sip_trunk phone_numbers.get phone_numbers.list "
        "phone_numbers.update phone_numbers.delete agents.attach_phone_number "
        "agents.detach_phone_number"
    ),
    setup.a_business_is_verified: (
        "phone_numbers.get_kyb phone_numbers.save_kyb_draft phone_numbers.submit_kyb"
    ),
    setup.a_number_is_bought_and_given_back: (
        "phone_numbers.search_available phone_numbers.create phone_numbers.delete"
    ),
    setup.the_voices_are_those_within: "voices.list",
    setup.a_webhook_is_written_read_and_taken_away: (
        "webhooks.create webhooks.get webhooks.list webhooks.update webhooks.delete"
    ),
    setup.what_was_sent_is_read_page_by_page: "webhooks.deliveries.list webhooks.deliveries.get",
    voices.the_voices_within_are_listed: "voices.list",
    agents.an_agent_comes_back_as_it_was_written: (
        "agents.create agents.get agents.list agents.update agents.delete"
    ),
    agents.an_agents_hooks_are_endpoints: "webhooks.list webhooks.get",
    agents.the_last_agent_stays: "agents.delete",
    agents.an_agent_has_a_number: "agents.attach_phone_number agents.detach_phone_number",
    agents.an_agents_tools_come_and_go: (
        "agents.tools.create agents.tools.get agents.tools.list agents.tools.list_chat_tools "
        "agents.tools.update agents.tools.delete"
    ),
    agents.a_missing_variable_is_named: "voice.dial",
    agents.an_agents_calls_are_paged_backwards: "agents.list_calls",
    knowledge.a_document_becomes_ready: (
        "knowledge_bases.create knowledge_bases.get knowledge_bases.list knowledge_bases.delete "
        "knowledge_bases.upload_document knowledge_bases.create_document "
        "knowledge_bases.finalize_document knowledge_bases.poll_document_ready "
        "knowledge_bases.get_document knowledge_bases.list_documents "
        "knowledge_bases.delete_document"
    ),
    knowledge.an_agent_has_a_base_from_the_start: "knowledge_bases.list",
    knowledge.what_cannot_be_kept_is_refused: "knowledge_bases.create_document",
}

_INTENT = {"language": "en"}
_SMS = {"from_phone_number_id": "num_1", "to": "+12025550123", "text": "Hello"}
_CONSENT = {"recipient": "+12025550123", "campaign_id": "c", "source": "api"}
_ONCE = {"idempotency_key": "once"}

LATER: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "transcribe": ((b"RIFF",), {"language": "en"}),
    "transcribe_stream": ((b"RIFF",), {"language": "en"}),
    "synthesize": (("Hello",), {"language": "en"}),
    "synthesize_stream": (("Hello",), {"language": "en"}),
    "complete": ((), {"messages": [{"role": "user", "content": "Hi"}], "intent": _INTENT}),
    "complete_stream": ((), {"messages": [{"role": "user", "content": "Hi"}], "intent": _INTENT}),
    "connect_realtime": (({"provider": "openai", "model": "gpt-realtime"},), {}),
    "calls.blind_transfer": (("x", {"to": "+12025550123"}), {}),
    "calls.warm_transfer": (("x", {"to": "+12025550123"}), {}),
    "calls.complete_warm_transfer": (("x", "y", {"summary": "s"}), {}),
    "calls.cancel_warm_transfer": (("x", "y"), {}),
    "callbacks.dispatch": (("x",), {}),
    "webhooks.deliveries.redeliver": (("x",), {}),
    "sms.stream": ((), {"last_event_id": "7"}),
    "sms.messages.send": ((_SMS,), _ONCE),
    "sms.messages.list": ((), {"limit": 5}),
    "sms.messages.get": (("x",), {}),
    "sms.messages.cancel": (("x",), {}),
    "sms.batches.create": (
        ({"from_phone_number_id": "num_1", "recipients": [{"to": "+12025550123", "text": "T"}]},),
        _ONCE,
    ),
    "sms.batches.get": (("x",), {}),
    "sms.batches.messages": (("x",), {"limit": 5}),
    "sms.batches.cancel": (("x",), {}),
    "sms.conversations.list": ((), {"limit": 5}),
    "sms.conversations.get": (("x",), {}),
    "sms.conversations.messages": (("x",), {"limit": 5}),
    "sms.conversations.send": (("x", {"text": "T"}), _ONCE),
    "sms.conversations.update": (("x", {"automation_status": None}), {}),
    "sms.conversations.mark_read": (("x",), {}),
    "sms.conversations.add_note": (("x", "note"), {}),
    "sms.conversations.notes": (("x",), {"limit": 5}),
    "sms.conversations.redact": (("x",), {}),
    "sms.consents.create": ((_CONSENT,), {}),
    "sms.consents.list": ((), {"limit": 5}),
    "sms.consents.import_records": (([_CONSENT],), {}),
    "sms.consents.revoke": (("x",), {"reason": "r"}),
    "sms.suppressions.list": ((), {"active": True}),
    "sms.settings.get": ((), {}),
    "sms.settings.update": (({"help_message": None},), {}),
}
"""What a method of a later piece is called with."""

PROVED = {name for names in TABLE.values() for name in names.split()}
HALVES: dict[str, type[Any]] = {"sync": Speko, "async": AsyncSpeko}
ASYNC_ONLY = {"connect_realtime"}
UNASKED = {"close"}
"""Ends the client; each case's client is closed by it."""


@pytest.fixture(scope="module")
def gateway() -> int:
    return free_port()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "sqlite":
        return {}
    cluster: Cluster = request.getfixturevalue("postgres")
    return {"TELEPHONY_DATABASE_URL": cluster.fresh()}


@pytest.fixture(scope="module")
def service(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory, gateway: int
) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("official"), TOML.format(gateway=gateway), PLANS)
    running.start(**settings)
    yield running
    assert running.stop() == 0
    assert running.complaints() == []


@pytest.fixture(params=["sync", "async"])
async def world(
    request: pytest.FixtureRequest, service: Service, settings: dict[str, str], gateway: int
) -> AsyncIterator[World]:
    made = World(service, gateway, settings, Driver(service.api.base, request.param))
    yield made
    await made.close()


@pytest.mark.parametrize("half", HALVES)
def test_no_method_is_without_a_case(half: str) -> None:
    client = HALVES[half](api_key="x", base_url="http://127.0.0.1:1")
    has = set(methods(client))
    named = PROVED | set(LATER) | UNASKED
    if half == "sync":
        client.close()
        named -= ASYNC_ONLY
    assert has == named
    assert PROVED.isdisjoint(LATER)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.__name__)
async def test_case(world: World, case: Case) -> None:
    await case(world)
    claimed = set(TABLE[case].split())
    assert claimed <= world.call.called, f"claimed, and not called: {claimed - world.call.called}"


@pytest.mark.parametrize("name", LATER)
async def test_later(world: World, name: str) -> None:
    if world.call.half == "sync" and name in ASYNC_ONLY:
        assert not hasattr(world.call.client, name)
        return
    args, kwargs = LATER[name]
    error = await world.call.fails(name, *args, **kwargs)
    assert (error.status, error.code) == (501, "NOT_IMPLEMENTED"), error
    assert "not implemented yet" in error.message


async def test_a_wrong_key_is_the_clients_own_exception(world: World) -> None:
    wrong = world.client("sk_live_nobody")
    for name, args in (("callbacks.list", ()), ("agents.list", ()), ("calls.get", ("x",))):
        error = await wrong.fails(name, *args)
        assert isinstance(error, SpekoAuthError)
        assert (error.status, error.message) == (401, "Unauthorized")


async def test_slashes_at_the_end_of_the_base_url_do_not_matter(world: World) -> None:
    assert await world.client(path="///")("callbacks.list", status="failed") == []
