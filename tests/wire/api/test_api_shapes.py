"""Replies against the contract's field lists: what the official Python client validates.

The lists stand here as the contract writes them (its section 0.2): ``!`` present and not null,
``?`` null or of the type (and present, since TypeScript promises it so at row level), ``~``
absent or not null.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from telephony.reports.cost import Rate, Rates

DIAL = (
    "sessionId:str! callControlId:str! roomName:str! status:{dialing,dialing-stub}! to:str! "
    "from:str!"
)
TURN = (
    "id:str! index:int! source:{user,agent,system}! text:str! startedAt:str! endedAt:str? "
    "provider:str? model:str? eouMs:num? llmTtftMs:num? ttsTtfbMs:num? "
    "latencyStatus:{partial,complete,interrupted,error}? conversationalLatencyMs:num? "
    "toolCalls:obj[]~"
)
CALL_TURN = (
    "id:str! index:int! source:{user,agent,system}! text:str! started_at:str! ended_at:str? "
    "provider:str? model:str? metadata:obj~ eou_ms:num? llm_ttft_ms:num? tts_ttfb_ms:num? "
    "latency_status:{partial,complete,interrupted,error}? conversational_latency_ms:num?"
)
CALL = (
    "id:str! call_id:str! resource_uri:str! agent_id:str? status:str! kind:str! room_name:str? "
    "language:str! pipeline_config:obj~ metadata:obj~ created_at:str! updated_at:str! "
    "ended_at:str? duration_seconds:num? recording_status:str? recording_duration_ms:num? "
    "recording_resource_uri:str! report:obj? transfers:obj[]~ transcript:obj! span_tree:obj~"
)
EVENT = (
    "id:str! session_id:str? organization_id:str! provider:str! event_type:str! status:str? "
    "failure_cause:str? sip_status_code:int? sip_status:str? occurred_at:str! payload:obj~ "
    "created_at:str!"
)
REPORT = (
    "session_id:str! organization_id:str! summary:str! outcome:str! structured_data:obj~ "
    "custom_data:obj~ transcript:obj! cost_micro_usd:str! cost_breakdown:obj[]~ artifacts:obj~ "
    "metadata:obj~ scheduled_callback:obj? voicemail:obj? "
    "analysis_status:{heuristic,completed,failed}! analysis_provider:str? analysis_model:str? "
    "analysis_error:str? analysis_completed_at:str? webhook_deliveries:obj[]~ created_at:str! "
    "updated_at:str! "
    "post_call_webhook_status:{not_configured,pending,delivered,failed}! "
    "post_call_webhook_attempts:int! post_call_webhook_next_retry_at:str? "
    "post_call_webhook_delivered_at:str? post_call_webhook_error:str?"
)
CALLBACK = (
    "id:str! organization_id:str! source_session_id:str? created_session_id:str? agent_id:str? "
    "phone_number_id:str? to_number:str! from_number:str? scheduled_at:str! "
    "status:{scheduled,dispatching,dispatched,cancelled,failed}! reason:str? instructions:str? "
    "summary:str? pipeline_config:obj~ metadata:obj~ failure_cause:str? attempted_at:str? "
    "dispatched_at:str? cancelled_at:str? created_at:str! updated_at:str!"
)
NUMBER = (
    "id:str! organizationId:str! e164:str! source:{managed,sip_trunk}! providerResourceId:str? "
    "telnyxPhoneNumberId:str? sipTrunkId:str? sipConnectionInstallationId:str? "
    "sipProviderName:str? direction:{inbound,outbound,both}! dispatchMetadataTemplate:obj? "
    "label:str? sms10dlcProfileId:str? smsCampaignId:str? smsAssignmentStatus:str? "
    "smsAssignmentUpdatedAt:str? telnyxMessagingProfileId:str? "
    "smsMessagingProfileStatus:{pending,ready,failed}~ smsMessagingProfileUpdatedAt:str? "
    "smsMessagingProfileError:str? smsAutomationEnabled:bool~ agentId:str? setupStatus:obj! "
    "nextChargeAt:str! lastChargedAt:str? suspendedAt:str? billingSuspendedAt:str? "
    "complianceSuspendedAt:str? suspensionReason:{billing,compliance}? createdAt:str! "
    "updatedAt:str!"
)
SETUP = (
    "status:{ready,action_required,suspended}! inboundReady:bool! outboundReady:bool! "
    "agentReady:bool! forwardingRequired:bool! forwardingSipUri:str? sipConnectionReady:bool! "
    "issues:str[]!"
)
SESSION = (
    "sessionId:str! createdAt:str! status:str? kind:str? pipelineConfig:obj~ "
    "recordingObjectPath:str? recordingDurationMs:int? "
    "recordingStatus:{pending,uploading,ready,failed,suppressed}?"
)

COST = "provider:str! metric:str! quantity:num! keySource:{BYOK,MANAGED}! costMicroUsd:str!"
FINALIZED = (
    "session_id:str! summary:str! outcome:str! cost_micro_usd:str! webhook_deliveries:obj[]~ "
    "webhook:obj!"
)
USAGE = (
    "totalSessions:int! totalMinutes:num! totalCost:num! minutesCost:num? "
    "minutesBilledSeconds:num? addOnCost:num? breakdown:obj[]! balanceUsd:num! currency:{USD}!"
)
USED = (
    "provider:str! type:{stt,llm,tts}? metric:str! keySource:{BYOK,MANAGED}! "
    "chargeKind:{minutes,add_on,included,free,byok}? quantity:num! cost:num!"
)
BALANCE = "balanceUsd:num! currency:{USD}! updatedAt:str!"
LEDGER = (
    "id:str! kind:{grant,debit,topup,refund,adjustment}! amountMicroUsd:str! metric:str? "
    "provider:str? sessionId:str? createdAt:str!"
)

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_TYPES: dict[str, Any] = {"str": str, "num": (int, float), "int": int, "bool": bool, "obj": dict}


def faults(value: dict[str, Any], spec: str) -> list[str]:
    """Every way in which a reply breaks a field list."""
    found = []
    for item in spec.split():
        name, _, rest = item.partition(":")
        kind, mark = rest[:-1], rest[-1]
        if name not in value:
            if mark in "!?":
                found.append(f"{name} is absent")
        elif value[name] is None:
            if mark in "!~":
                found.append(f"{name} is null")
        elif not _fits(value[name], kind):
            found.append(f"{name} is {value[name]!r}, not {kind}")
        elif name.endswith(("At", "_at")) and not _TIME.fullmatch(value[name]):
            found.append(f"{name} is {value[name]!r}, no time of the contract's form")
    return found


def _fits(value: Any, kind: str) -> bool:
    if kind.startswith("{"):
        return value in kind[1:-1].split(",")
    if kind.endswith("[]"):
        return isinstance(value, list) and all(_fits(item, kind[:-2]) for item in value)
    if kind != "bool" and isinstance(value, bool):
        return False
    return isinstance(value, _TYPES[kind])


def test_the_checker_sees_what_is_wrong() -> None:
    assert faults({"a": 1}, "a:str! b:int! c:{x,y}~ d:num?") == [
        "a is 1, not str",
        "b is absent",
        "d is absent",
    ]
    assert faults({"a": None, "c": "z"}, "a:obj~ c:{x,y}!") == [
        "a is null",
        "c is 'z', not {x,y}",
    ]


async def test_a_dial(api: Any) -> None:
    body = {"to": "+12025550123", "dialplan": "front-desk"}
    reply = await api.post("/v1/sessions/phone", body)
    assert reply.status == 200
    assert faults(reply.body, DIAL) == []


@pytest.mark.parametrize("finished", [True, False])
async def test_a_call(api: Any, finished: bool) -> None:
    if finished:
        call = await api.ended_call(recorded=True)
    else:
        call = await api.keep(*api.a_call())
    detail = (await api.get(f"/v1/calls/{call.id}")).body
    assert faults(detail, CALL) == []
    assert detail["id"] == detail["call_id"] == call.id
    assert detail["transcript"]["entries"]
    for turn in detail["transcript"]["entries"]:
        assert faults(turn, CALL_TURN) == []
    if finished:
        assert faults(detail["report"], REPORT) == []
    else:
        assert detail["report"] is None
        assert detail["duration_seconds"] is None


async def test_the_events(api: Any) -> None:
    call = await api.ended_call()
    rows = (await api.get(f"/v1/calls/{call.id}/events")).body["events"]
    assert [row["event_type"] for row in rows][-1] == "call.hangup"
    assert [row["payload"]["seq"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert faults(row, EVENT) == []


async def test_the_report(api: Any) -> None:
    call = await api.ended_call(recorded=True)
    report = (await api.get(f"/v1/calls/{call.id}/report")).body
    assert faults(report, REPORT) == []
    assert report["session_id"] == call.id
    assert report["cost_micro_usd"].isdigit()
    for turn in report["transcript"]["entries"]:
        assert faults(turn, CALL_TURN) == []
    (message,) = report["artifacts"]["messages"]
    assert message["duration_ms"] == 2000
    assert str(api.recordings) not in str(report)


async def test_the_transcript(api: Any) -> None:
    call = await api.ended_call()
    entries = (await api.get(f"/v1/sessions/{call.id}/transcript")).body["entries"]
    assert [entry["index"] for entry in entries] == sorted(entry["index"] for entry in entries)
    assert entries
    for entry in entries:
        assert faults(entry, TURN) == []


async def test_the_sessions(api: Any) -> None:
    call = await api.ended_call()
    page = (await api.get("/v1/sessions")).body
    assert page["nextCursor"] is None
    for entry in page["entries"]:
        assert faults(entry, SESSION) == []
    detail = (await api.get(f"/v1/sessions/{call.id}")).body
    assert faults(detail, SESSION + " endedAt:str? durationSeconds:num? usage:obj[]!") == []
    assert detail["phoneCall"] == {
        "callControlId": f"phone-{call.id}",
        "phoneNumberId": None,
    }


async def test_a_callback(api: Any) -> None:
    made = await api.post("/v1/callbacks", {"to": "+12025550123", "delaySeconds": 60})
    assert made.status == 201
    assert faults(made.body, CALLBACK) == []
    assert api.nudges == [1]
    assert (await api.get(f"/v1/callbacks/{made.body['id']}")).body == made.body
    assert (await api.get("/v1/callbacks")).body == {"callbacks": [made.body]}


async def test_a_number(api: Any) -> None:
    made = await api.post(
        "/v1/phone-numbers/import", {"e164": "+12025550100", "sipTrunkId": "default"}
    )
    assert made.status == 200
    assert faults(made.body, NUMBER) == []
    assert faults(made.body["setupStatus"], SETUP) == []
    assert (await api.get("/v1/phone-numbers")).body == [made.body]
    assert (await api.get(f"/v1/phone-numbers/{made.body['id']}")).body == made.body


async def test_money(api: Any) -> None:
    api.rates = Rates(Rate(inbound=Decimal("0.01"), recording=Decimal("0.01")))
    call = await api.ended_call(recorded=True)
    api.clock.advance(1)
    lines = (await api.get(f"/v1/calls/{call.id}/report")).body["cost_breakdown"]
    assert [faults(line, COST) for line in lines] == [[], [], []]
    made = (await api.post(f"/v1/calls/{call.id}/report/finalize", {})).body
    assert faults(made, FINALIZED) == []
    used = (await api.get("/v1/usage")).body
    assert faults(used, USAGE) == []
    assert [faults(line, USED) for line in used["breakdown"]] == [[], []]
    assert faults((await api.get("/v1/credits/balance")).body, BALANCE) == []
    page = (await api.get("/v1/credits/ledger")).body
    assert [faults(row, LEDGER) for row in page["entries"]] == [[], [], []]
    assert all(re.fullmatch(r"-\d+", row["amountMicroUsd"]) for row in page["entries"])
