"""The contract, statement by statement, over raw HTTP: one row each, its section as the id.

A row is a request and what must come back. ``{call}`` and the like stand for things that ``world``
makes. Rows are statements that no other test makes of the server; what whole tables of the
contract say of replies stands in ``test_api_shapes``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from telephony.accounts.ports import Offered
from telephony.base.errors import Refused, StoreUnavailable
from telephony.calls.orders import EndResult
from telephony.calls.state import Direction
from telephony.rooms.tokens import LiveKitTokens

from .conftest import FOREIGN_KEY, KEY

TO = "+12025550123"
NUMBER = "+12025550100"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ORIGIN = {"Origin": "https://app.example"}
NOT_FOUND = {"error": "not found", "code": "NOT_FOUND"}
HOOK = {"name": "CRM", "url": "https://crm.example/", "events": ["call.report"]}
INTENT = {"intent": {"language": "en"}}
ROOMS = LiveKitTokens("wss://rooms.example.com", "lk_key", "a secret of the LiveKit server, long")


class Absent:
    """A member that must not be there."""


def holds(actual: Any, wanted: Any, path: str = "") -> list[str]:
    """Where a value is not as wanted: objects hold at least what is named, lists just that."""
    if isinstance(wanted, dict):
        if not isinstance(actual, dict):
            return [f"{path} is {actual!r}, no object"]
        found = []
        for name, value in wanted.items():
            if value is Absent:
                found += [f"{path}.{name} is there"] if name in actual else []
            elif name not in actual:
                found.append(f"{path}.{name} is absent")
            else:
                found += holds(actual[name], value, f"{path}.{name}")
        return found
    if isinstance(wanted, list):
        if not isinstance(actual, list) or len(actual) != len(wanted):
            return [f"{path} is {actual!r}, not {len(wanted)} items"]
        pairs = enumerate(zip(actual, wanted, strict=True))
        return [fault for n, (a, w) in pairs for fault in holds(a, w, f"{path}[{n}]")]
    if isinstance(wanted, re.Pattern):
        good = isinstance(actual, str) and wanted.fullmatch(actual) is not None
    elif isinstance(wanted, type):
        good = isinstance(actual, wanted) and not (wanted is not bool and isinstance(actual, bool))
    else:
        good = actual == wanted and type(actual) is type(wanted)
    return [] if good else [f"{path} is {actual!r}, not {wanted!r}"]


def test_the_checker_sees_what_is_wrong() -> None:
    assert holds({"a": 1, "b": [1], "c": True}, {"a": int, "b": [int]}) == []
    assert holds({"a": True, "b": "x"}, {"a": int, "b": TIME, "c": None, "d": Absent}) == [
        ".a is True, not <class 'int'>",
        f".b is 'x', not {TIME!r}",
        ".c is absent",
    ]
    assert holds({"d": 1}, {"d": Absent}) == [".d is there"]
    assert holds(1, 1.0) == [" is 1, not 1.0"]


@dataclass
class Row:
    """``section`` and ``what`` make the id."""

    section: str
    what: str
    method: str
    path: str
    body: Any = None
    status: int = 200
    wanted: Any = None
    raw: bytes | None = None
    key: str | None = KEY
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    """Headers of the reply: a text, a pattern, or Absent."""
    before: Callable[[Any], Any] | None = None
    """Done with the service first."""
    after: Callable[[Any], Any] | None = None
    """A check of the service afterwards."""
    options: dict[str, Any] = field(default_factory=dict)


def get(section: str, what: str, path: str, wanted: Any = None, **more: Any) -> Row:
    return Row(section, what, "GET", path, wanted=wanted, **more)


def post(section: str, what: str, path: str, body: Any, wanted: Any = None, **more: Any) -> Row:
    return Row(section, what, "POST", path, body=body, wanted=wanted, **more)


def bad(section: str, what: str, path: str, body: Any, member: str, **more: Any) -> Row:
    wanted = {"error": str, "code": "VALIDATION_ERROR", "issues": [{"path": member}]}
    return Row(section, what, more.pop("method", "POST"), path, body=body, status=400,
               wanted=wanted, **more)  # fmt: skip


def failing(error: BaseException) -> Callable[[Any], None]:
    def set_it(api: Any) -> None:
        api.board.failure = error

    return set_it


def dial(**members: Any) -> dict[str, Any]:
    return {"to": TO, **members}


def pipeline(**members: Any) -> Callable[[Any], None]:
    def look(api: Any) -> None:
        (order,) = api.board.orders
        assert holds(order.pipeline, members) == []

    return look


def longest(seconds: int) -> Callable[[Any], None]:
    def look(api: Any) -> None:
        assert api.board.orders[0].max_duration_seconds == seconds

    return look


PHONE = "/v1/sessions/phone"
AGENTS = "/v1/agents"
AGENT = {"name": "Desk", "systemPrompt": "Be kind.", "intent": {"language": "en"}}
OTHERS = {
    "runMode": "s2s", "firstMessage": "", "inboundFirstMessage": "Hi", "timezone": "Europe/Berlin",
    "outboundFirstMessage": None, "voiceInstructions": "Softly", "ttsOptions": {"speed": 0.5,
    "model": "m"}, "idleRePrompts": {"enabled": True, "delayMs": 5, "maxPrompts": 1,
    "messages": ["Still there?"]}, "sttMissRecovery": {"a": [1]}, "endCall": {"enabled": True},
    "turnHandling": {"profile": "ivr_patient"}, "languageRouting": [1], "creationMeta": "x",
}  # fmt: skip
TOOL = {
    "name": "look_up", "description": "Looks up", "parameters": {"type": "object"},
    "source": {"kind": "inline"},
}  # fmt: skip
IMPORT = "/v1/phone-numbers/import"
TURN = {"index": 0, "source": "user", "text": "Hi", "startedAt": "2026-01-05T09:00:00Z"}

ROWS = [
    # --- 0 and 1: what holds everywhere ---------------------------------------------------------
    post("0.3", "snake-case keys are read as well", IMPORT,
         {"e164": NUMBER, "sip_trunk_id": "default", "sip_provider_name": "Acme"},
         {"sipConnectionInstallationId": "default", "sipProviderName": "Acme"}),
    get("0.3", "queries in either casing", "/v1/phone-numbers/available?area_code=202",
        [{"e164": "+12025550150"}]),
    get("0.3", "queries in either casing, the other way",
        "/v1/callbacks?sourceSessionId=nobody", {"callbacks": []}, before=lambda api: api.post(
            "/v1/callbacks", {"to": TO, "sourceSessionId": "s"})),
    post("0.3", "3.0 is an integer", PHONE, dial(maxDurationSeconds=60.0, llm={"maxTokens": 5.0}),
         after=pipeline(llm={"maxTokens": 5})),
    bad("0.3", "a text is no number", PHONE, dial(llm={"temperature": "1"}), "llm.temperature"),
    bad("0.3", "true is no number", PHONE, dial(llm={"temperature": True}), "llm.temperature"),
    get("1.1", "no key", "/v1/organization", {"error": "Unauthorized", "code": "UNAUTHORIZED"},
        key=None, status=401),
    get("1.1", "no key and an unknown id", "/v1/calls/nobody", {"code": "UNAUTHORIZED"},
        key=None, status=401),
    get("1.1", "a key that is no ASCII", "/v1/organization", {"code": "UNAUTHORIZED"}, key=None,
        headers={"Authorization": "Bearer sk_live_\xfc"}, status=401),
    get("1.1", "another organization's id is 404", "/v1/calls/{call}",
        {"code": "SESSION_NOT_FOUND"}, key=FOREIGN_KEY, status=404),
    post("1.1", "JSON whatever the body is said to be", PHONE, None, {"to": TO},
         raw=json.dumps(dial()).encode(), headers={"Content-Type": "text/plain"}),
    post("1.1", "JSON with a byte order mark", PHONE, None,
         raw=b"\xef\xbb\xbf" + json.dumps(dial()).encode(), wanted={"to": TO}),
    get("1.1", "the id of a request comes back", "/v1/organization",
        headers={"X-Request-ID": "mine-1"}, answers={"X-Request-ID": "mine-1"}),
    get("1.1", "JSON is said to be UTF-8", "/v1/organization",
        answers={"Content-Type": "application/json; charset=utf-8"}),
    *(get("1.1", f"a path in the base URL: {path}", path, {"name": str}, headers=ORIGIN,
          answers={"Access-Control-Allow-Origin": "*"},
          options={"public_url": "https://phone.example/base/"})
      for path in ("/base/v1/organization", "/v1/organization", "/base//v1/organization/")),
    get("1.1", "no path in the base URL", "/basement/v1/organization", NOT_FOUND, status=404,
        options={"public_url": "https://phone.example/base"}),
    get("1.1", "the base itself", "/base", NOT_FOUND, status=404,
        options={"public_url": "https://phone.example/base"}),
    get("1.2", "so are errors", "/v1/nothing", NOT_FOUND, status=404,
        answers={"Content-Type": "application/json; charset=utf-8"}),
    post("1.2", "402", PHONE, dial(), {"error": str, "code": "INSUFFICIENT_CREDITS"}, status=402,
         before=failing(Refused("no credit is left", code="INSUFFICIENT_CREDITS"))),
    post("1.2", "402 for a browser", "/v1/sessions", INTENT, {"code": "INSUFFICIENT_CREDITS"},
         status=402, options={"tokens": ROOMS},
         before=failing(Refused("no credit is left", code="INSUFFICIENT_CREDITS"))),
    post("1.2", "500 of a dial", PHONE, dial(),
         {"error": "internal error", "code": "SESSION_CREATE_FAILED"}, status=500,
         before=failing(RuntimeError("a fault"))),
    post("1.2", "500 of a browser's session", "/v1/sessions", INTENT,
         {"error": "internal error", "code": "SESSION_CREATE_FAILED"}, status=500,
         before=failing(RuntimeError("a fault")), options={"tokens": ROOMS}),
    post("1.2", "503 while nothing can be written", PHONE, dial(), {"code": "STORE_UNAVAILABLE"},
         status=503, before=failing(StoreUnavailable("away")),
         answers={"Retry-After": re.compile(r"\d+")}),
    post("1.2", "unknown agent", PHONE, dial(agentId="agent_nobody"), NOT_FOUND, status=404),
    post("1.2", "unknown agent of a callback", "/v1/callbacks", dial(agentId="agent_nobody"),
         NOT_FOUND, status=404),
    post("1.2", "unknown agent of a number", IMPORT, {"e164": NUMBER, "agentId": "agent_nobody"},
         NOT_FOUND, status=404),
    get("1.2", "unknown session", "/v1/sessions/nobody/stream", {"code": "SESSION_NOT_FOUND"},
        status=404, headers={"Accept": "text/event-stream"}),
    post("1.2", "unknown session of turns", "/v1/sessions/nobody/turns", {"turns": [TURN]},
         {"code": "SESSION_NOT_FOUND"}, status=404),
    get("1.2", "no recording", "/v1/calls/{call}/recording", {"code": "RECORDING_NOT_AVAILABLE"},
        status=404),
    get("1.2", "no recording of a session", "/v1/sessions/nobody/recording",
        {"code": "RECORDING_NOT_AVAILABLE"}, status=404),
    Row("1.2", "405", "DELETE", "/v1/sessions/{call}", status=405,
        wanted={"error": str, "code": "METHOD_NOT_ALLOWED"},
        answers={"Allow": re.compile("GET, HEAD, OPTIONS")}),
    post("1.3", "201 of a browser's session", "/v1/sessions", INTENT,
         {"sessionId": UUID}, status=201, options={"tokens": ROOMS}),
    post("1.3", "200 of a dial", PHONE, dial(), {"sessionId": UUID}),
    get("1.4", "money in USD is a number", "/v1/credits/balance",
        {"balanceUsd": float, "currency": "USD", "updatedAt": TIME}),
    get("1.4", "money of a report is a text", "/v1/calls/{call}/report",
        {"cost_micro_usd": re.compile(r"\d+"), "created_at": TIME, "updated_at": TIME}),
    # --- CORS and the protocol ------------------------------------------------------------------
    Row("18 CORS", "preflight of anything", "OPTIONS", "/v1/sessions", status=204, key=None,
        headers={**ORIGIN, "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "X-Speko-Intent, X-Anything"},
        answers={"Access-Control-Allow-Origin": "*",
                 "Access-Control-Allow-Headers": re.compile(
                     ".*authorization.*content-type.*user-agent.*accept.*idempotency-key.*"
                     "x-session-id.*x-speko-intent.*x-speko-constraints.*x-speko-stt-options.*"),
                 "Access-Control-Allow-Methods": re.compile(".*GET.*POST.*PATCH.*PUT.*DELETE.*")}),
    Row("18 CORS", "preflight of a path that is none", "OPTIONS", "/v1/nothing", status=204,
        key=None, headers={**ORIGIN, "Access-Control-Request-Method": "GET"},
        answers={"Access-Control-Allow-Origin": "*"}),
    Row("18 CORS", "OPTIONS that is no preflight", "OPTIONS", "/v1/nothing", status=404, key=None,
        wanted=NOT_FOUND),
    get("18 CORS", "an answer that only looks like one", "/v1/nothing", NOT_FOUND, status=404,
        headers={**ORIGIN, "Access-Control-Request-Method": "GET"}),
    get("18 CORS", "what a page may read", "/v1/organization", headers=ORIGIN,
        answers={"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": re.compile(
            ".*retry-after.*x-request-id.*x-trace-id.*x-speko-audio-format.*x-speko-provider.*"
            "x-speko-model.*x-speko-failover-count.*x-speko-scores-run-id.*")}),
    get("18 CORS", "of a stream too", "/v1/sessions/{call}/stream", headers=ORIGIN,
        answers={"Access-Control-Allow-Origin": "*"}),
    get("18 CORS", "of what a signed URL opens too", "/files/nobody", headers=ORIGIN, key=None,
        status=404, answers={"Access-Control-Allow-Origin": "*"}),
    get("18 CORS", "of a path with a slash too many", "//v1/organization", headers=ORIGIN,
        answers={"Access-Control-Allow-Origin": "*"}),
    get("18 CORS", "not where nobody asks from a page", "/v1/organization",
        answers={"Access-Control-Allow-Origin": Absent}),
    Row("18 Connection", "HEAD of a list", "HEAD", "/v1/sessions", wanted=b"",
        answers={"Content-Type": "application/json; charset=utf-8"}),
    Row("18 Connection", "HEAD of a live stream ends", "HEAD", "/v1/sessions/{live}/stream",
        wanted=b"", answers={"Content-Type": "text/event-stream; charset=utf-8"}),
    Row("18 Connection", "HEAD of a recording", "HEAD", "/v1/sessions/{recorded}/recording",
        status=302, wanted=b""),
    Row("18 Connection", "HEAD of nobody", "HEAD", "/v1/calls/nobody", status=404, wanted=b""),
    Row("18 Connection", "HEAD where there is no GET", "HEAD", PHONE, status=405, wanted=b""),
    Row("18 Connection", "OPTIONS says what there is", "OPTIONS", "/v1/webhooks", status=204,
        key=None, wanted=b"", answers={"Allow": "GET, HEAD, OPTIONS, POST"}),
    get("18 Trailing slash", "served, not redirected", "/v1/calls/{call}/events/",
        {"events": list}),
    get("18 Path encoding", "an id is decoded once", "/v1/calls/%252e%252e%252f", status=404,
        wanted={"code": "SESSION_NOT_FOUND"}),
    get("18 Path encoding", "dots go nowhere", "/v1/calls/../organization",
        {"code": re.compile("NOT_FOUND|SESSION_NOT_FOUND")}, status=404),
    get("18 Unknown params", "a name that is an object's own", "/v1/sessions?__class__=1&limit=1",
        {"entries": list}),
    # --- 1.6 ----------------------------------------------------------------------------------
    bad("1.6", "a key of nothing", PHONE, dial(), "Idempotency-Key",
        headers={"Idempotency-Key": "  "}),
    # --- 1.7 ----------------------------------------------------------------------------------
    post("1.7", "E.164, the shortest", PHONE, {"to": "+1234567"}, {"to": "+1234567"}),
    post("1.7", "E.164, the longest", PHONE, {"to": "+123456789012345"}),
    bad("1.7", "E.164, not one more", PHONE, {"to": "+1234567890123456"}, "to"),
    bad("1.7", "E.164 in ASCII", PHONE, {"to": "+1202555012\u0663"}, "to"),
    post("1.7", "any region", PHONE, dial(intent={"language": "en", "region": "eu-west1"}),
         after=pipeline(intent={"region": "eu-west1"})),
    post("1.7", "vertical is ignored", PHONE, dial(intent={"language": "en", "vertical": 7}),
         after=pipeline(intent={"language": "en", "vertical": Absent})),
    *(post("1.7", f"optimizeFor {word}", PHONE, dial(intent={"language": "en",
           "optimizeFor": word})) for word in ("balanced", "accuracy", "latency", "cost")),
    post("1.7", "s2S wins", PHONE, dial(constraints={"allowedProviders": {
         "s2s": ["a"], "s2S": ["b:c"]}}),
         after=pipeline(constraints={"allowedProviders": {"s2s": ["b:c"]}})),
    post("1.7", "an allow-list may be empty", PHONE, dial(constraints={"allowedProviders": {
         "stt": [], "tts": None}})),
    # --- 2 ------------------------------------------------------------------------------------
    get("2", "an organization has a name", "/v1/organization", {"id": str, "name": str}),
    get("2", "providers", "/v1/providers/known", {"stt": [], "llm": [], "tts": [
        {"id": str, "vendor": str, "vendorName": str, "benchmarked": bool}]}),
    *(get("2", f"nothing at {path}", path, NOT_FOUND, status=404) for path in (
        "/v1/evals/x", "/v1/inference/inspect", "/v1/share/build/x/card.png", "/v1/sounds")),
    # --- 3.1 ----------------------------------------------------------------------------------
    post("3.1", "an agent or an intent", "/v1/sessions", {}, {"issues": [{"path": "agentId"}]},
         status=400, options={"tokens": ROOMS}),
    post("3.1", "what is tolerated", "/v1/sessions", {
        **INTENT, "voice": None, "systemPrompt": None, "firstMessage": "", "runMode": "cascade",
        "idleRePrompts": {"enabled": True}, "turnHandling": {"profile": "ivr"}, "new": [1],
        "backgroundAudio": {"ambient": {"clip": "office-ambience", "volume": 16}},
        "sttOptions": {"language": "multi"}, "toolSecrets": {"token": "123456"},
    }, {"transport": "livekit", "transportToken": str, "transportUrl": "wss://rooms.example.com",
        "conversationToken": str, "livekitUrl": "wss://rooms.example.com", "roomName": str,
        "identity": re.compile(r"user_.+"), "expiresAt": TIME}, status=201,
        options={"tokens": ROOMS}),
    post("3.1", "a day is the longest life", "/v1/sessions", {**INTENT, "ttlSeconds": 86400},
         status=201, options={"tokens": ROOMS}),
    post("3.1", "the longest identity", "/v1/sessions", {**INTENT, "identity": "\u00fc" * 128},
         {"identity": "\u00fc" * 128}, status=201, options={"tokens": ROOMS}),
    # --- 3.2 ----------------------------------------------------------------------------------
    post("3.2", "no seconds are clamped", PHONE, dial(maxDurationSeconds=0), after=longest(30)),
    post("3.2", "fewer than none are clamped", PHONE, dial(maxDurationSeconds=-5),
         after=longest(30)),
    post("3.2", "too many are clamped", PHONE, dial(maxDurationSeconds=10**30),
         after=longest(14_400)),
    post("3.2", "no word of it is the longest", PHONE, dial(), after=longest(14_400)),
    post("3.2", "secrets of the longest", PHONE, dial(toolSecrets={"a" * 64: "x" * 4096})),
    bad("3.2", "secrets in bytes", PHONE, dial(toolSecrets={"a": "\u00fc" * 2049}), "toolSecrets"),
    bad("3.2", "names of secrets", PHONE, dial(toolSecrets={"a" * 65: "123456"}), "toolSecrets"),
    post("3.2", "words that are the service's own", PHONE, dial(variables={"system": "x"})),
    post("3.2", "no tags need no agent", PHONE, dial(webhookTags={})),
    post("3.2", "deprecated and coming members", PHONE, dial(
        endCall={"enabled": False}, runMode="s2s", onMachine=None, telephony={"amd": {}},
        turnHandling={"turnDetection": True, "noiseCancellation": {
            "enabled": True, "model": "quail-voice-focus"}, "vad": {"provider": "ai-coustics"}})),
    post("3.2", "metadata of any form", PHONE,
         dial(metadata={"": [None, {"a": 1e-9}], "\u2028": 0})),
    # --- 3.3 to 3.5 ---------------------------------------------------------------------------
    get("3.3", "the transcript of a call", "/v1/sessions/{call}/transcript", {"entries": [
        {"index": 0, "source": "agent", "startedAt": TIME, "toolCalls": []}, {"index": 1}]}),
    *(get("3.4", f"a cursor such as {cursor!r}", f"/v1/sessions/{{call}}/stream?cursor={cursor}",
          re.compile(rb"event: status\ndata: .*event: end\n.*session_ended.*\n\n", re.DOTALL))
      for cursor in ("", "-1:0", "-1%3A0", "x", "9:99999999999999999999", "0:0&cursor=1:1")),
    get("3.5", "a row of the list", "/v1/sessions?limit=1", {"entries": [{
        "sessionId": UUID, "createdAt": TIME, "status": "ended", "kind": "ivr",
        "pipelineConfig": dict, "recordingStatus": None}], "nextCursor": None}),
    get("3.5", "what a call used", "/v1/sessions/{call}", {
        "status": "ended", "endedAt": TIME, "durationSeconds": float,
        "phoneCall": {"callControlId": re.compile("phone-.*"), "phoneNumberId": None},
        "usage": [{"provider": "sip", "metric": "inbound_seconds", "quantity": 62,
                   "cost": 0.0}]}),
    get("3.5", "what a live call used so far", "/v1/sessions/{live}", {
        "endedAt": None, "durationSeconds": None, "usage": [{"metric": "inbound_seconds"}]}),
    get("3.5", "a browser has no telephone", "/v1/sessions/{web}", {"phoneCall": None}),
    get("3.5", "a recording is a redirect of no words", "/v1/sessions/{recorded}/recording", b"",
        status=302, answers={"Location": re.compile(r"http://127\.0\.0\.1:\d+/files/.+")}),
    post("3.5", "turns", "/v1/sessions/{live}/turns", {"turns": [
        {**TURN, "endedAt": None, "provider": "p", "model": "m"},
        {**TURN, "index": 2**31 - 1, "text": "x" * 16384, "source": "system"}]}, b"", status=202),
    bad("3.5", "turns of nothing", "/v1/sessions/{live}/turns", {"turns": []}, "turns"),
    bad("3.5", "turns too many", "/v1/sessions/{live}/turns", {"turns": [TURN] * 201}, "turns"),
    bad("3.5", "an empty turn", "/v1/sessions/{live}/turns",
        {"turns": [{**TURN, "text": ""}]}, "turns.0.text"),
    bad("3.5", "a turn too long", "/v1/sessions/{live}/turns",
        {"turns": [{**TURN, "text": "x" * 16385}]}, "turns.0.text"),
    bad("3.5", "a turn of nobody", "/v1/sessions/{live}/turns",
        {"turns": [{**TURN, "source": "assistant"}]}, "turns.0.source"),
    bad("3.5", "a turn before all others", "/v1/sessions/{live}/turns",
        {"turns": [{**TURN, "index": -1}]}, "turns.0.index"),
    bad("3.5", "a turn at no time", "/v1/sessions/{live}/turns",
        {"turns": [{**TURN, "startedAt": 1767603600}]}, "turns.0.startedAt"),
    # --- 4 ------------------------------------------------------------------------------------
    get("4.1", "a call that is over", "/v1/calls/{recorded}", {
        "id": UUID, "call_id": UUID, "resource_uri": str, "agent_id": None, "status": "ended",
        "language": str, "pipeline_config": dict, "metadata": {"crm": {"id": 7}},
        "created_at": TIME, "ended_at": TIME, "recording_status": "ready",
        "recording_duration_ms": 9000, "recording_resource_uri": str,
        "report": {"outcome": "completed"}, "transfers": [], "span_tree": {}}),
    get("4.1", "a call that lives", "/v1/calls/{live}", {
        "status": "active", "ended_at": None, "duration_seconds": None, "report": None,
        "recording_status": None, "transcript": {"entries": list}}),
    get("4.3", "the report's fields of TS", "/v1/calls/{call}/report", {
        "post_call_webhook_status": "not_configured", "post_call_webhook_attempts": 0,
        "custom_data": {}, "voicemail": None, "webhook_deliveries": [],
        "analysis_status": "heuristic", "scheduled_callback": None}),
    post("4.4", "finalize", "/v1/calls/{call}/report/finalize", {"forceAnalysis": None}, {
        "summary": str, "outcome": str, "webhook": {"status": str}, "webhook_deliveries": []}),
    get("4.5", "a recording is a URL and no redirect", "/v1/calls/{recorded}/recording",
        {"url": re.compile("http.*")}),
    post("4.6", "end says nothing of a time", "/v1/calls/live/end", {},
         {"ok": True, "status": "ending", "ended_at": Absent}),
    post("4.6", "a colleague joins", "/v1/calls/{live}/web-join", {"displayName": None}, {
         "token": str, "url": "wss://rooms.example.com", "identity": str, "roomName": str,
         "expiresAt": TIME}, options={"tokens": ROOMS}),
    post("4.6", "joining without a body", "/v1/calls/{live}/web-join", None, {"token": str},
         raw=b"", options={"tokens": ROOMS}),
    post("4.6", "nobody joins what is over", "/v1/calls/{call}/web-join", {},
         {"code": "CALL_NOT_LIVE"}, status=409, options={"tokens": ROOMS}),
    post("4.6", "nobody joins what is not", "/v1/calls/nobody/web-join", {},
         {"code": "SESSION_NOT_FOUND"}, status=404, options={"tokens": ROOMS}),
    post("4.8", "a text", "/v1/calls/{live}/messages", {"text": "x" * 16000, "mode": "context"},
         {"message_id": str}),
    *(bad("4.8", f"no text: {body}"[:40], "/v1/calls/{live}/messages", body, member)
      for body, member in (({"mode": "respond"}, "text"), ({"text": ""}, "text"),
                           ({"text": "x" * 16001}, "text"), ({"text": "x", "mode": "y"}, "mode"))),
    *(Row("4.7", f"{verb} comes later", "POST", f"/v1/calls/{{live}}/transfers/{verb}", body={},
          status=501, wanted={"code": "NOT_IMPLEMENTED"}) for verb in (
              "blind", "warm", "t/complete", "t/cancel")),
    # --- 5 ------------------------------------------------------------------------------------
    get("5", "callbacks of nobody",
        "/v1/callbacks?source_session_id=nobody&limit=100&status=failed", {"callbacks": []}),
    get("5", "a callback of nobody", "/v1/callbacks/nobody", NOT_FOUND, status=404),
    post("5", "cancelled with the longest reason", "/v1/callbacks/{callback}/cancel",
         {"reason": "x" * 500}, {"status": "cancelled", "cancelled_at": TIME}),
    post("5", "cancelled without a word", "/v1/callbacks/{callback}/cancel", None, raw=b"",
         wanted={"status": "cancelled"}),
    # --- 6 ------------------------------------------------------------------------------------
    get("6.2", "what can be bought", "/v1/phone-numbers/available?limit=50&locality=", [
        {"e164": str, "friendlyName": str, "monthlyCostUsd": float, "upfrontCostUsd": float,
         "features": list, "region": {"state": None, "locality": None, "rateCenter": None}}]),
    *(get("6.2", f"available?{query}", f"/v1/phone-numbers/available?{query}",
          {"code": "VALIDATION_ERROR", "issues": [{"path": member}]}, status=400)
      for query, member in (("areaCode=20", "areaCode"), ("areaCode=2022", "areaCode"),
                            ("areaCode=%D9%A2%D9%A0%D9%A2", "areaCode"), ("limit=0", "limit"),
                            ("limit=51", "limit"))),
    post("6.2", "bought for calls out", "/v1/phone-numbers", {"e164": "+12025550150"},
         {"direction": "outbound", "source": "managed", "nextChargeAt": TIME}),
    bad("6.2", "a label too long", "/v1/phone-numbers", {"e164": "+12025550150",
        "label": "x" * 121}, "label"),
    post("6.2", "the newer name wins", IMPORT, {"e164": NUMBER, "sipTrunkId": "nobody",
         "sipConnectionInstallationId": "default"}, {"sipConnectionInstallationId": "default",
         "sipTrunkId": None, "telnyxPhoneNumberId": None, "nextChargeAt": TIME}),
    bad("6.2", "a trunk that is none", IMPORT, {"e164": NUMBER, "sipTrunkId": "nobody"},
        "sipTrunkId"),
    Row("6.2", "null clears", "PATCH", "/v1/phone-numbers/{number}", body={
        "label": None, "dispatchMetadataTemplate": None, "agentId": None, "direction": None},
        wanted={"label": None, "dispatchMetadataTemplate": None, "agentId": None,
                "direction": "both"}),
    Row("6.2", "absent stays", "PATCH", "/v1/phone-numbers/{number}",
        body={"smsAutomationEnabled": True}, wanted={"label": "front",
        "dispatchMetadataTemplate": {"a": "{{b}}"}, "smsAutomationEnabled": True}),
    Row("6.2", "an empty patch", "PATCH", "/v1/phone-numbers/{number}", raw=b"",
        wanted={"label": "front"}),
    Row("6.2", "released", "DELETE", "/v1/phone-numbers/{number}", wanted={"released": True}),
    get("6.3", "nothing filed", "/v1/phone-numbers/kyb", {
        "status": "missing", "submission": None, "attestationRequired": False,
        "complianceAccess": "enabled", "requiredAttestation": {
            "version": str, "text": str, "termsVersion": str, "termsUrl": str}}),
    Row("6.3", "a draft of nothing", "PUT", "/v1/phone-numbers/kyb/draft", body={},
        wanted={"status": "draft", "businessProfile": None, "attestationAccepted": False,
                "slackNotificationStatus": "not_queued", "createdAt": TIME}),
    bad("6.3", "not attested", "/v1/phone-numbers/kyb/submit", {
        "declaration": {"businessName": "A", "useCase": "B"}, "attestationVersion": "1",
        "attestationAccepted": False}, "attestationAccepted"),
    # --- 7 ------------------------------------------------------------------------------------
    post("7.1", "an agent of the least", AGENTS, {"name": "A", "systemPrompt": "B",
         "intent": {"language": "en"}}, {
         "id": re.compile("agent_.+"), "organizationId": str, "voice": None,
         "intent": {"language": "en", "optimizeFor": Absent}, "llmOptions": None,
         "stackPreferences": None, "sttOptions": None, "backgroundAudio": None,
         "audioOutput": None, "speechNormalization": None, "webhooks": None,
         "extractionFields": [], "promptVariables": [], "createdAt": TIME, "updatedAt": TIME},
         status=201),
    post("7.1", "nulls are absent", AGENTS, {**AGENT, **dict.fromkeys((
         "voice", "llmOptions", "stackPreferences", "sttOptions", "backgroundAudio", "webhooks",
         "audioOutput", "speechNormalization", "extractionFields", "promptVariables"))},
         {"extractionFields": [], "webhooks": None}, status=201),
    post("7.1", "s2S is shown as s2s", AGENTS, {**AGENT, "stackPreferences": {
         "allowedProviders": {"s2S": ["openai"], "stt": []}}}, {"stackPreferences": {
         "allowedProviders": {"s2s": ["openai"], "s2S": Absent, "stt": [], "llm": Absent}}},
         status=201),
    *(post("7.1", f"optimizeFor {word}", AGENTS, {**AGENT, "intent": {"language": "en",
           "optimizeFor": word}}, {"intent": {"optimizeFor": word}}, status=201)
      for word in ("latency", "quality", "cost")),
    *(bad("7.1", f"{member} {n}", AGENTS, {**AGENT, **change}, member)
      for n, (change, member) in enumerate((
          ({"intent": {"language": "en", "optimizeFor": "balanced"}}, "intent.optimizeFor"),
          ({"intent": {"language": "e"}}, "intent.language"),
          ({"name": ""}, "name"), ({"name": "x" * 121}, "name"), ({"name": None}, "name"),
          ({"systemPrompt": ""}, "systemPrompt"), ({"intent": None}, "intent"),
          ({"llmOptions": {"temperature": 2.01}}, "llmOptions.temperature"),
          ({"sttOptions": {"prompt": "x" * 2001}}, "sttOptions.prompt"),
          ({"audioOutput": {"gainDb": -24.5}}, "audioOutput.gainDb"),
          ({"audioOutput": {"gainDb": 13}}, "audioOutput.gainDb"),
          ({"audioOutput": {}}, "audioOutput.gainDb"),
          ({"promptVariables": [{"name": "system.now"}]}, "promptVariables"),
          ({"backgroundAudio": {"ambient": {"volume": 1}}}, "backgroundAudio.ambient"),
          ({"backgroundAudio": {"ambient": {"clip": "office-ambience", "soundId": "s"}}},
           "backgroundAudio.ambient"),
          ({"backgroundAudio": {"toolSound": {"clip": "rain"}}}, "backgroundAudio.toolSound.clip"),
          ({"backgroundAudio": {"ambient": {"soundId": "s", "volume": 16.5}}},
           "backgroundAudio.ambient.volume"),
          ({"webhooks": {"status": {"url": "https://x.example/", "timeoutMs": 99}}},
           "webhooks.status.timeoutMs"),
          ({"webhooks": {"status": {"url": "https://x.example/", "timeoutMs": 8001}}},
           "webhooks.status.timeoutMs"),
          ({"webhooks": {"postCall": {"secret": "x"}}}, "webhooks.postCall.url"),
          ({"ttsOptions": {"speed": 2.1}}, "ttsOptions.speed")))),
    post("7.1", "what no SDK sends is echoed", AGENTS, {**AGENT, **OTHERS}, OTHERS, status=201),
    Row("7.1", "a patch of nulls clears", "PATCH", "/v1/agents/{agent}", body=dict.fromkeys((
        "voice", "llmOptions", "sttOptions", "backgroundAudio", "webhooks", "promptVariables",
        "extractionFields")), wanted={"voice": None, "llmOptions": None, "sttOptions": None,
        "backgroundAudio": None, "webhooks": None, "promptVariables": [],
        "extractionFields": [{"name": "mood"}]}),
    Row("7.1", "a patch of nothing", "PATCH", "/v1/agents/{agent}", body={}, wanted={
        "voice": "v", "llmOptions": {"temperature": 1.0}, "extractionFields": [{}]}),
    *(bad("7.1", f"a patch of null {name}", "/v1/agents/{agent}", {name: None}, name,
          method="PATCH") for name in ("name", "systemPrompt", "intent")),
    Row("7.1", "extraction fields are cleared", "PATCH", "/v1/agents/{agent}",
        body={"extractionFields": []}, wanted={"extractionFields": []}),
    Row("7.1", "the last agent stays", "DELETE", "/v1/agents/{agent}", status=409,
        wanted={"error": str, "code": "LAST_AGENT"}),
    Row("7.1", "an agent goes", "DELETE", "/v1/agents/{agent}", wanted={"deleted": True},
        before=lambda api: api.post(AGENTS, AGENT)),
    get("7.1", "agents are a bare array", AGENTS, []),
    get("7.1", "agent of nobody", "/v1/agents/nobody", NOT_FOUND, status=404),
    post("7.2", "secrets are not read", AGENTS, {**AGENT, "webhooks": {"postCall": {
         "url": "https://x.example/", "secret": "hidden-secret", "timeoutMs": 100,
         "authHeaders": [{"name": "X-Key", "value": "hidden-too"}]}, "status": None}},
         {"webhooks": {"status": Absent, "postCall": {"url": "https://x.example/",
          "secretRef": str, "secret": Absent, "timeoutMs": 100,
          "authHeaders": [{"name": "X-Key", "secretRef": str, "value": Absent}]}}}, status=201),
    *(post("7.3", f"clip {clip}", AGENTS, {**AGENT, "backgroundAudio": {"ambient": {"clip": clip},
           "toolSound": {"soundId": "s", "volume": 0, "minDurationMs": 600, "startDelayMs": 0}}},
           {"backgroundAudio": {"ambient": {"clip": clip, "soundId": Absent, "volume": Absent},
            "toolSound": {"soundId": "s", "clip": Absent, "minDurationMs": 600}}}, status=201)
      for clip in ("office-ambience", "city-ambience", "forest-ambience", "crowded-room",
                   "keyboard-typing", "keyboard-typing2")),
    post("7.4", "a tool of the least", "/v1/agents/{agent}/tools", TOOL, {
         "id": str, "agentId": str, "preToolSpeech": "auto", "toolSound": None,
         "simulation": None, "source": {"kind": "inline"}, "createdAt": TIME, "updatedAt": TIME},
         status=201),
    *(post("7.4", f"a source of {source['kind']}", "/v1/agents/{agent}/tools",
           {**TOOL, "source": source}, {"source": wanted}, status=201) for source, wanted in (
          ({"kind": "webhook", "url": "https://x.example/", "secret": "12345678", "method": "POST",
            "timeoutMs": 4000}, {"kind": "webhook", "url": "https://x.example/",
                                 "secretRef": re.compile("webhook:agent_.*:.*"),
                                 "secret": Absent, "timeoutMs": 4000}),
          ({"kind": "builtin", "name": "end_call"}, {"kind": "builtin", "name": "end_call"}),
          ({"kind": "integration", "installationId": "7a0f2a53-6c0b-4b46-9a0b-7b9a6d1e8f10",
            "appKey": "a", "actionKey": "b"}, {"kind": "integration", "appKey": "a"}))),
    *(bad("7.4", f"{member} {n}", "/v1/agents/{agent}/tools", {**TOOL, **change}, member)
      for n, (change, member) in enumerate((
          ({"name": "1x"}, "name"), ({"name": "x" * 65}, "name"), ({"description": ""},
          "description"), ({"description": "x" * 1025}, "description"),
          ({"parameters": None}, "parameters"), ({"source": {"kind": "other"}}, "source"),
          ({"source": {"kind": "webhook", "url": "https://x.example/"}}, "source.secret"),
          ({"preToolSpeech": "sometimes"}, "preToolSpeech"),
          ({"toolSound": {"clip": "keyboard-typing"}}, "toolSound.enabled"),
          ({"toolSound": {"enabled": True, "clip": "keyboard-typing", "soundId": "s"}},
           "toolSound"),
          ({"simulation": {"mode": "mock", "response": "x" * 8191}}, "simulation.response"),
          ({"simulation": {"mode": "dead"}}, "simulation")))),
    *(get("7.4", f"tools?{query}", f"/v1/agents/{{agent}}/tools?{query}", []) for query in (
        "available=1", "available=true", "available=0", "available=", "")),
    get("7.4", "tools of nobody", "/v1/agents/nobody/tools", NOT_FOUND, status=404),
    get("7.5", "an agent's calls", "/v1/agents/{agent}/calls?limit=100&cursor=&since=", {
        "calls": [], "entries": [], "next_cursor": None}),
    get("7.5", "a time with a plus", "/v1/agents/{agent}/calls?since=2026-01-01T00:00:00%2B01:00",
        {"calls": []}),
    get("7.5", "a cursor that is none", "/v1/agents/{agent}/calls?cursor=x",
        {"issues": [{"path": "cursor"}]}, status=400),
    # --- 8 ------------------------------------------------------------------------------------
    get("8", "an agent begins with one", "/v1/knowledge-bases?agentId={agent}", [{
        "name": "Default", "description": None, "embeddingModel": str, "documentCount": 0,
        "chunkCount": 0, "createdAt": TIME}]),
    get("8", "of nobody's there are none", "/v1/knowledge-bases?agent_id=nobody", [],
        before=lambda api: api.agent()),
    bad("8", "no name", "/v1/knowledge-bases", {"agentId": "a", "name": ""}, "name"),
    bad("8", "a long name", "/v1/knowledge-bases", {"agentId": "a", "name": "x" * 121}, "name"),
    bad("8", "a long description", "/v1/knowledge-bases", {"agentId": "a", "name": "x",
        "description": "x" * 2001}, "description"),
    get("8", "a base of nobody", "/v1/knowledge-bases/nobody", NOT_FOUND, status=404),
    post("8", "a document", "/v1/knowledge-bases/{base}/documents", {"filename": "x" * 512,
         "contentType": "text/markdown", "sizeBytes": 0.0, "metadata": None}, {
         "document": {"status": "pending", "sizeBytes": 0, "chunkCount": 0, "errorMessage": None,
                      "metadata": None, "ingestedAt": None, "createdAt": TIME},
         "upload": {"url": re.compile(r"http://127\.0\.0\.1:\d+/uploads/.+"), "method": "PUT",
                    "headers": {"Content-Type": "text/markdown"}, "expiresInSeconds": 600}}),
    *(post("8", f"a document of {kind}", "/v1/knowledge-bases/{base}/documents", {
           "filename": "x", "contentType": kind, "sizeBytes": 1},
           {"document": {"contentType": kind}}) for kind in (
               "text/plain", "text/x-markdown", "application/x-markdown",
               "text/plain; charset=utf-8")),
    *(bad("8", f"a document without {member}", "/v1/knowledge-bases/{base}/documents", {
          "filename": "x", "contentType": "text/plain", "sizeBytes": 1, **change}, member)
      for change, member in (({"filename": ""}, "filename"), ({"filename": "x" * 513}, "filename"),
                             ({"contentType": "image/png"}, "contentType"),
                             ({"sizeBytes": -1}, "sizeBytes"), ({"sizeBytes": 1.5}, "sizeBytes"))),
    Row("8", "a base goes", "DELETE", "/v1/knowledge-bases/{base}", wanted={"deleted": True}),
    Row("18 Upload URL", "preflight", "OPTIONS", "/uploads/x", key=None, status=204,
        headers={**ORIGIN, "Access-Control-Request-Method": "PUT",
                 "Access-Control-Request-Headers": "content-type"},
        answers={"Access-Control-Allow-Origin": "*"}),
    # --- 9 ------------------------------------------------------------------------------------
    post("9.1", "usual values", "/v1/webhooks", HOOK, {
        "allAgents": True, "agentIds": [], "filterTags": {}, "headers": {}, "authHeaders": [],
        "signingSecretSource": "workspace", "hasCustomSigningSecret": False,
        "contentMode": "full", "legacyManaged": False}, status=201),
    post("9.1", "a secret in words", "/v1/webhooks", {**HOOK, "signingSecretSource": "custom",
         "signingSecret": "words-of-their-own"}, {"hasCustomSigningSecret": True}, status=201),
    Row("9.1", "deleted without a word", "DELETE", "/v1/webhooks/{hook}", status=204, wanted=b"",
        answers={"Content-Type": Absent}),
    get("9.2", "empty filters", "/v1/webhook-deliveries?endpointId=&event=&agentId=&status=&"
        "sessionId=&eventId=&from=&to=&cursor=&limit=", {"data": [], "nextCursor": None}),
    get("9.2", "many at once", "/v1/webhook-deliveries?limit=5000", {"data": []}),
    # --- 10 -----------------------------------------------------------------------------------
    get("10", "usage", "/v1/usage?from=2026-01-01T00%3A00%3A00.000Z&to=2026-02-01", {
        "totalSessions": 0, "totalMinutes": float, "totalCost": float, "breakdown": [],
        "balanceUsd": float, "currency": "USD"}),
    get("10", "a ledger of many", "/v1/credits/ledger?limit=1000", {"entries": [],
        "nextCursor": None}),
    get("10", "voices of nobody", "/v1/voices?provider=nobody", {"voices": [], "providers": []}),
    *(get("10", f"voices of {name!r}", f"/v1/voices?provider={name}", {
        "voices": [{"vendor": "espeak-ng", "id": "en", "name": "en"}],
        "providers": [{"key": "espeak-ng", "name": str, "models": list,
                       "voicesFetchedLive": True}]})
      for name in ("espeak-ng", "espeak-ng-tts", "")),
]  # fmt: skip


async def voices() -> list[str]:
    return ["en"]


async def thing(api: Any, name: str) -> str:
    """The id of a thing that a row needs."""
    match name:
        case "call":
            return str((await api.ended_call()).id)
        case "recorded":
            return str((await api.ended_call(recorded=True)).id)
        case "live":
            return str((await api.keep(*api.a_call())).id)
        case "web":
            call, events = api.a_call()
            return str((await api.keep(replace(call, direction=Direction.WEB), events)).id)
        case "callback":
            reply = await api.post("/v1/callbacks", {"to": TO, "delaySeconds": 60})
        case "number":
            reply = await api.post(IMPORT, {
                "e164": "+12025550199", "label": "front", "direction": "both",
                "dispatchMetadataTemplate": {"a": "{{b}}"},
            })  # fmt: skip
        case "agent":
            made = await api.post(AGENTS, {
                **AGENT, "voice": "v", "llmOptions": {"temperature": 1},
                "sttOptions": {"keywords": ["a"]}, "promptVariables": [{"name": "a"}],
                "backgroundAudio": {"ambient": {"clip": "city-ambience"}},
                "webhooks": {"status": {"url": "https://x.example/"}},
                "extractionFields": [{"name": "mood", "type": "string", "description": "d"}],
            })  # fmt: skip
            assert made.status == 201, made.raw
            return str(made.body["id"])
        case "base":
            await api.post(AGENTS, AGENT)
            return str((await api.get("/v1/knowledge-bases")).body[0]["id"])
        case "hook":
            reply = await api.post("/v1/webhooks", HOOK)
        case _:
            raise AssertionError(f"nobody makes a {name}")
    return str(reply.body["id"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section}: {row.what}")
async def test_the_contract(start: Any, row: Row) -> None:
    pool = (Offered(e164="+12025550150", trunk="default"),)
    api = await start(pool=pool, voices=voices, **row.options)
    api.board.ends = {("org_default", "live"): EndResult("ending")}
    if row.section == "3.5" and row.what == "a row of the list":
        await thing(api, "call")
    path = row.path
    for name in re.findall(r"\{(\w+)\}", path):
        path = path.replace(f"{{{name}}}", await thing(api, name))
    if row.before is not None and (coming := row.before(api)) is not None:
        await coming
    reply = await api.ask(row.method, path, row.body, raw=row.raw, key=row.key, headers=row.headers)
    assert reply.status == row.status, reply.raw
    if isinstance(row.wanted, bytes):
        assert reply.raw == row.wanted
    elif isinstance(row.wanted, re.Pattern):
        assert row.wanted.fullmatch(reply.raw), reply.raw
    elif row.wanted is not None:
        assert holds(reply.body, row.wanted) == []
    for name, value in row.answers.items():
        shown = reply.headers.get(name)
        if value is Absent:
            assert shown is None, f"{name}: {shown}"
        elif isinstance(value, re.Pattern):
            assert shown is not None and value.fullmatch(shown), f"{name}: {shown}"
        else:
            assert shown == value, f"{name}: {shown}"
    if row.after is not None:
        row.after(api)
