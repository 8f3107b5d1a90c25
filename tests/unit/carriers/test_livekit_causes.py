"""Why a leg at LiveKit ended, row by row; and what its messages are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from livekit.api import ServerError, SipCallError
from livekit.protocol import models

from telephony.accounts.model import Trunk, TrunkKind
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.carriers.livekit import causes, wire
from telephony.carriers.livekit.wire import CallStatus, Party

T0 = datetime(2026, 1, 5, tzinfo=UTC)
REASONS = [value for _, value in models.DisconnectReason.items()]


def trunk(**values: Any) -> Trunk:
    given = {"id": "t", "organization": "o", "name": "n", "created_at": T0, "updated_at": T0}
    return Trunk(**{"kind": TrunkKind.LIVEKIT, **given, **values})


def error(code: str, status: int = 400, message: str = "", **meta: str) -> ServerError:
    kind = SipCallError if "sip_status_code" in meta else ServerError
    return kind(code, message, status=status, metadata=meta)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_leaving_ends_every_leg(reason: Any) -> None:
    answered = causes.outcome_of_leaving(reason, inbound=False, answered=True)
    assert answered.status is Status.ENDED
    assert causes._GONE.keys() >= {reason}, "a reason that LiveKit has added"
    waiting = causes.outcome_of_leaving(reason, inbound=True, answered=False)
    assert waiting == Outcome.canceled(EndedBy.CALLER, 487)
    ringing = causes.outcome_of_leaving(reason, inbound=False, answered=False)
    assert ringing.status is not Status.ENDED


@pytest.mark.parametrize(
    ("reason", "status", "cause"),
    [
        (models.USER_UNAVAILABLE, Status.NO_ANSWER, Cause.NO_ANSWER),
        (models.USER_REJECTED, Status.FAILED, Cause.DECLINED),
        (models.SIP_TRUNK_FAILURE, Status.FAILED, Cause.CARRIER_ERROR),
        (models.MEDIA_FAILURE, Status.FAILED, Cause.MEDIA_INCOMPATIBLE),
        (models.ROOM_DELETED, Status.CANCELED, Cause.CANCELED),
        (models.CLIENT_INITIATED, Status.FAILED, Cause.CARRIER_ERROR),
    ],
)
def test_who_never_answered_left_because(reason: Any, status: Status, cause: Cause) -> None:
    outcome = causes.outcome_of_leaving(reason, inbound=False, answered=False)
    assert (outcome.status, outcome.cause) == (status, cause)


@pytest.mark.parametrize(
    ("said", "final"),
    [
        (error("unavailable", 503), False),
        (error("internal", 500), False),
        (error("deadline_exceeded", 408), False),
        (error("canceled", 408), False),
        (error("unknown", 200), False),
        (error("internal", 500, sip_status_code="503"), True),
        (error("not_found", 404), True),
        (error("failed_precondition", 412), True),
        (error("permission_denied", 403), True),
        (error("unavailable", 503, sip_status_code="180"), False),
    ],
)
def test_only_some_errors_say_what_became_of_the_call(said: ServerError, final: bool) -> None:
    assert causes.is_final(said) is final


@pytest.mark.parametrize("text", ["", "x", "-1", "99", "200", "700", "9" * 30])
def test_a_status_that_is_none_is_not_believed(text: str) -> None:
    said = error("failed_precondition", 412, sip_status_code=text)
    assert causes.status_of(said) is None
    assert causes.outcome_of_error(said).cause is Cause.CARRIER_ERROR


def test_what_a_far_end_writes_is_cleaned() -> None:
    said = error("failed_precondition", 412, sip_status_code="486", sip_status="Bu\r\nsy" * 100)
    reason = causes.outcome_of_error(said).sip_reason
    assert reason is not None
    assert len(reason) == 128
    assert "\r" not in reason


def test_of_others_in_a_room_nothing_is_made() -> None:
    kinds = models.ParticipantInfo
    for kind in (kinds.STANDARD, kinds.AGENT, kinds.EGRESS, kinds.INGRESS):
        assert wire.party(models.ParticipantInfo(kind=kind, identity="x")) is None
    gone = models.ParticipantInfo(kind=kinds.SIP, state=kinds.DISCONNECTED)
    assert wire.party(gone) is None


@pytest.mark.parametrize("text", ["", "ACTIVE", "later", "\x00"])
def test_a_status_that_is_not_known_is_unknown(text: str) -> None:
    info = models.ParticipantInfo(
        kind=models.ParticipantInfo.SIP, attributes={"sip.callStatus": text}
    )
    found = wire.party(info)
    assert found is not None
    assert found.status is CallStatus.UNKNOWN


def test_headers_have_ceilings() -> None:
    attributes = {f"sip.h.x-{number}": "v" * 5000 for number in range(100)}
    party = Party(identity="i", sid="s", status=CallStatus.RINGING, attributes=attributes)
    found = wire.received_headers(party)
    assert len(found) == 32
    assert {len(value) for value in found.values()} == {1024}


@pytest.mark.parametrize(
    ("written", "rules", "read"),
    [
        ("+12025550123", {}, "+12025550123"),
        ("12025550123", {}, "+12025550123"),
        ("2025550123", {"country": "US"}, "+12025550123"),
        ("desk\r\n", {}, "desk\ufffd\ufffd"),
        ("", {}, ""),
    ],
)
def test_what_was_dialled(written: str, rules: dict[str, str], read: str) -> None:
    attributes = {"sip.trunkPhoneNumber": written}
    party = Party(identity="i", sid="s", status=CallStatus.RINGING, attributes=attributes)
    assert wire.dialled(party, trunk(**rules)) == read


def test_nothing_of_a_password_is_shown() -> None:
    from telephony.carriers.livekit import LiveKitConfig

    assert "hush" not in repr(LiveKitConfig(url="ws://x", key="k", secret="hush"))
