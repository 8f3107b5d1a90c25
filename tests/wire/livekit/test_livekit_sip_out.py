"""Calls that LiveKit's SIP service makes for us: dialled once, ended once, for the right cause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.protocol import models, sip

from telephony.accounts.model import MediaEncryption, Transport
from telephony.calls.events import DigitPressed, DigitsSent, LegAnswered, LegRinging
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.calls.ports import ReferResult
from telephony.carriers.livekit import LiveKitConfig
from telephony.carriers.livekit.service import LiveKitService
from telephony.testing.livekit_sip import (
    Caller,
    LiveKitStandIn,
    Refuse,
    never,
    sip_refusal,
)
from tests.wire.livekit.conftest import LiveKitHouse, until

House = Callable[..., Awaitable[LiveKitHouse]]


class Pace:
    """Rings until it is told to go on; then answered, or what the test raises."""

    def __init__(self, server: LiveKitStandIn) -> None:
        self.go = asyncio.Event()
        self.then: Refuse | None = None
        self.caller: Caller | None = None
        server.dialling = self

    async def __call__(self, caller: Caller, asked: sip.CreateSIPParticipantRequest) -> None:
        self.caller = caller
        caller.says("ringing")
        await self.go.wait()
        if self.then is not None:
            raise self.then
        caller.says("active")


async def test_a_call_rings_is_answered_and_the_callee_hangs_up(
    house: House, server: LiveKitStandIn
) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    call = home.dial()
    await call.until("LegRinging")
    pace.go.set()
    answered = await call.until("LegAnswered")
    assert isinstance(answered, LegAnswered)
    assert (answered.leg, answered.sip_status) == ("phone-x", 200)
    assert pace.caller is not None
    await home.tell(pace.caller.leaves())
    await call.until("LegEnded")
    assert call.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    assert call.end.outcome == Outcome.completed(EndedBy.CALLEE)
    await until(lambda: server.deleted == ["sip-out-phone-x"])
    assert home.carrier.legs == 0
    (link,) = home.rooms.links
    assert link.closed
    assert (link.meeting.room, link.meeting.identity) == ("sip-out-phone-x", "service-phone-x")


async def test_what_is_asked_of_livekit(house: House, server: LiveKitStandIn) -> None:
    home = await house()
    home.add_trunk(
        headers={"X-Trunk": "a", "Route": "<sip:evil>"},
        media_encryption=MediaEncryption.REQUIRE,
    )
    call = home.dial(
        from_name="Desk\r\n",
        ring_seconds=20.4,
        max_seconds=600,
        digits="ww12#",
        headers={"X-Call": "b"},
    )
    sent = await call.until("DigitsSent")
    assert isinstance(sent, DigitsSent)
    assert sent.digits == "ww12#"
    assert call.kinds()[-2:] == ["LegAnswered", "DigitsSent"]
    (asked,) = server.asked("CreateSIPParticipant")
    assert asked.sip_trunk_id == "ST_out"
    assert not asked.HasField("trunk")
    assert (asked.sip_call_to, asked.sip_number) == ("+12025550188", "+12025550100")
    assert (asked.room_name, asked.participant_identity) == ("sip-out-phone-x", "phone-x")
    assert asked.ringing_timeout.seconds == 21
    assert asked.max_call_duration.seconds == 660
    assert asked.dtmf == "ww12#"
    assert asked.wait_until_answered
    assert dict(asked.headers) == {"X-Trunk": "a", "X-Call": "b"}
    assert asked.media.encryption == sip.SIP_MEDIA_ENCRYPT_REQUIRE
    assert asked.display_name == "Desk\ufffd\ufffd"


@pytest.mark.parametrize(
    ("gateway", "transport", "hostname", "said"),
    [
        ("gw.example", Transport.UDP, "gw.example", sip.SIP_TRANSPORT_UDP),
        ("gw.example:5080", Transport.TCP, "gw.example:5080", sip.SIP_TRANSPORT_TCP),
        ("sip:gw.example;transport=tls", Transport.UDP, "gw.example", sip.SIP_TRANSPORT_TLS),
        ("sip:me@gw.example;transport=TCP", Transport.UDP, "gw.example", sip.SIP_TRANSPORT_TCP),
    ],
)
async def test_a_trunk_that_livekit_does_not_know_is_told_along(
    house: House,
    server: LiveKitStandIn,
    gateway: str,
    transport: Transport,
    hostname: str,
    said: int,
) -> None:
    home = await house()
    home.add_trunk(
        livekit_trunk="",
        gateways=(gateway,),
        transport=transport,
        username="me",
        password="pw",
        prefix="+1",
        strip="9",
    )
    await home.dial().until("LegAnswered")
    (asked,) = server.asked("CreateSIPParticipant")
    assert asked.sip_trunk_id == ""
    assert (asked.trunk.hostname, asked.trunk.transport) == (hostname, said)
    assert (asked.trunk.auth_username, asked.trunk.auth_password) == ("me", "pw")
    assert (asked.sip_call_to, asked.sip_number) == ("92025550188", "92025550100")


ROWS = [
    (486, Status.BUSY, Cause.BUSY),
    (600, Status.BUSY, Cause.BUSY),
    (408, Status.NO_ANSWER, Cause.NO_ANSWER),
    (480, Status.NO_ANSWER, Cause.NO_ANSWER),
    (603, Status.FAILED, Cause.DECLINED),
    (403, Status.FAILED, Cause.FORBIDDEN),
    (607, Status.FAILED, Cause.BLOCKED),
    (404, Status.FAILED, Cause.NOT_FOUND),
    (484, Status.FAILED, Cause.INVALID_NUMBER),
    (488, Status.FAILED, Cause.MEDIA_INCOMPATIBLE),
    (503, Status.FAILED, Cause.CARRIER_ERROR),
]


@pytest.mark.parametrize(("status", "ends", "cause"), ROWS)
async def test_a_refusal_has_its_status_and_cause(
    house: House, server: LiveKitStandIn, status: int, ends: Status, cause: Cause
) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    pace.then = sip_refusal(status, "As It Says")
    pace.go.set()
    call = home.dial()
    await call.until("LegEnded")
    outcome = call.end.outcome
    assert (outcome.status, outcome.cause) == (ends, cause)
    assert (outcome.sip_status, outcome.sip_reason) == (status, "As It Says")
    assert len(server.asked("CreateSIPParticipant")) == 1


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (Refuse("not_found", 404, "trunk not found"), Cause.NO_ROUTE),
        (Refuse("resource_exhausted", 429), Cause.RATE_LIMITED),
        (Refuse("unauthenticated", 401), Cause.FORBIDDEN),
        (Refuse("failed_precondition", 412, "sip: cps limit exceeded"), Cause.RATE_LIMITED),
        (
            Refuse(
                "failed_precondition",
                412,
                "sip status: 603",
                {"sip_status_code": "603", "error_details": "X-Twilio-Error: 32203 blocked"},
            ),
            Cause.BLOCKED,
        ),
        (sip_refusal(200), Cause.CARRIER_ERROR),
        (Refuse("failed_precondition", 412, "", {"sip_status_code": "x"}), Cause.CARRIER_ERROR),
    ],
)
async def test_a_refusal_without_a_status(
    house: House, server: LiveKitStandIn, refusal: Refuse, cause: Cause
) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    pace.then = refusal
    pace.go.set()
    call = home.dial()
    await call.until("LegEnded")
    assert call.end.outcome.cause is cause


async def test_an_answer_that_never_came_is_read_from_the_room(
    house: House, server: LiveKitStandIn
) -> None:
    """The server loses patience while it rings: the callee picks up all the same, once."""
    home, pace = await house(grace=5.0), Pace(server)
    home.add_trunk()
    call = home.dial(ring_seconds=5)
    await call.until("LegRinging")
    assert pace.caller is not None
    # What the stand-in does with a failed order, a real server does not: the caller stays.
    caller = pace.caller
    pace.then = Refuse("unavailable", 503)
    pace.go.set()
    await until(lambda: not caller.present)
    server.people["sip-out-phone-x"]["phone-x"] = caller
    caller.says("active")
    await call.until("LegAnswered")
    await home.tell(caller.leaves())
    await call.until("LegEnded")
    assert call.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    assert len(server.asked("CreateSIPParticipant")) == 1


async def test_who_has_left_before_the_refusal_came_was_refused(
    house: House, server: LiveKitStandIn
) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    call = home.dial()
    await call.until("LegRinging")
    assert pace.caller is not None
    pace.caller.leaves()
    looks = len(server.asked("ListParticipants"))
    await until(lambda: len(server.asked("ListParticipants")) > looks + 10)
    assert call.kinds() == ["LegRinging"]
    pace.then = sip_refusal(486)
    pace.go.set()
    await call.until("LegEnded")
    assert call.end.outcome.cause is Cause.BUSY


async def test_a_refusal_without_a_status_after_the_ring_time_is_no_answer(
    house: House, server: LiveKitStandIn
) -> None:
    home = await house()
    home.add_trunk()

    async def patience(caller: Caller, asked: sip.CreateSIPParticipantRequest) -> None:
        await asyncio.sleep(0.3)
        raise Refuse("failed_precondition", 412, "no answer")

    server.dialling = patience
    call = home.dial(ring_seconds=1.2)
    await call.until("LegEnded")
    assert call.end.outcome.status is Status.NO_ANSWER


async def test_an_order_that_is_lost_with_nobody_in_the_room_has_failed(
    house: House, server: LiveKitStandIn
) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    pace.then = Refuse("unavailable", 503)
    pace.go.set()
    call = home.dial()
    await call.until("LegEnded")
    assert call.end.outcome.cause is Cause.UNREACHABLE
    assert len(server.asked("CreateSIPParticipant")) == 1
    await until(lambda: "sip-out-phone-x" in server.deleted)


async def test_the_library_repeats_nothing_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fail-over to other regions sends a request again, and would dial twice."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr("livekit.api.LiveKitAPI", lambda *args, **options: made.append(options))
    service = LiveKitService(LiveKitConfig(url="wss://x.livekit.cloud", key="k", secret="s"))
    await service.open()
    assert [options["failover"] for options in made] == [False]


GARBAGE = [
    (200, b"\xff\xff\xff"),
    (200, b"<html>"),
    (500, b"[]"),
    (500, b'"x"'),
    (404, b"[1]"),
    (412, b'{"code": 7, "msg": [], "meta": "x"}'),
    (412, b'{"code": "failed_precondition", "meta": {"sip_status_code": 486}}'),
    (302, b""),
]


@pytest.mark.parametrize(("status", "body"), GARBAGE)
async def test_an_answer_that_is_none_ends_the_call(
    house: House, server: LiveKitStandIn, status: int, body: bytes
) -> None:
    home = await house()
    home.add_trunk()
    server.raw["CreateSIPParticipant"] = (status, body)
    call = home.dial()
    await call.until("LegEnded")
    assert call.end.outcome.status is Status.FAILED
    assert call.kinds() == ["LegEnded"]
    assert len(server.asked("CreateSIPParticipant")) == 1


@pytest.mark.parametrize(("status", "body"), GARBAGE)
async def test_a_list_that_is_none_ends_nothing(
    house: House, server: LiveKitStandIn, status: int, body: bytes
) -> None:
    home = await house(look_active=0.02)
    home.add_trunk()
    call = home.dial()
    await call.until("LegAnswered")
    server.raw["ListParticipants"] = server.raw["ListRooms"] = (status, body)
    looks = len(server.asked("ListParticipants"))
    await until(lambda: len(server.asked("ListParticipants")) > looks + 3)
    assert call.kinds() == ["LegAnswered"]
    del server.raw["ListParticipants"]
    call.leg.end(Outcome.completed(EndedBy.API))
    await until(lambda: not server.people)


async def test_nobody_picks_up(house: House, server: LiveKitStandIn) -> None:
    """LiveKit keeps the ring time-out; without a word from it we end the call ourselves."""
    home = await house()
    home.add_trunk()
    server.dialling = never
    call = home.dial(ring_seconds=1)
    await call.until("LegEnded", 8)
    assert call.end.outcome.status is Status.NO_ANSWER
    assert len(server.asked("CreateSIPParticipant")) == 1
    await until(lambda: "sip-out-phone-x" in server.deleted)


async def test_a_ringing_call_is_cancelled(house: House, server: LiveKitStandIn) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    call = home.dial()
    await call.until("LegRinging")
    call.leg.end(Outcome.canceled(EndedBy.API))
    assert call.end.outcome.sip_status == 487
    await until(lambda: server.deleted == ["sip-out-phone-x"])
    # The callee picks up in that very moment: nobody talks with him, and he is hung up on.
    late = server.enter("sip-out-phone-x", "phone-x", {"sip.callStatus": "active"})
    pace.go.set()
    await until(lambda: not late.present)
    assert call.kinds() == ["LegRinging", "LegEnded"]


async def test_hanging_up_ends_the_call_at_livekit_even_where_it_is_away(
    house: House, server: LiveKitStandIn
) -> None:
    home = await house()
    home.add_trunk()
    call = home.dial()
    await call.until("LegAnswered")
    server.away = True
    call.leg.end(Outcome.completed(EndedBy.API))
    assert call.end.outcome.ended_by is EndedBy.API
    await until(lambda: server.asked("DeleteRoom"))
    assert "sip-out-phone-x" in server.people
    server.away = False
    await until(lambda: server.deleted == ["sip-out-phone-x"])


async def test_nothing_is_dialled_where_we_do_not_get_into_the_room(
    house: House, server: LiveKitStandIn
) -> None:
    home = await house(join=0.1)
    home.add_trunk()
    home.rooms.lets_in = False
    call = home.dial()
    await call.until("LegEnded")
    assert call.end.outcome.cause is Cause.UNREACHABLE
    assert server.asked("CreateSIPParticipant") == []


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (models.CLIENT_INITIATED, Outcome.completed(EndedBy.CALLEE)),
        (models.ROOM_DELETED, Outcome.completed(EndedBy.API)),
        (models.PARTICIPANT_REMOVED, Outcome.completed(EndedBy.API)),
        (models.CONNECTION_TIMEOUT, Outcome.dropped(Cause.NETWORK)),
        (models.DUPLICATE_IDENTITY, Outcome.dropped(Cause.NETWORK)),
        (models.SIP_TRUNK_FAILURE, Outcome.dropped(Cause.CARRIER_ERROR)),
        (models.MEDIA_FAILURE, Outcome.media_timeout()),
    ],
)
async def test_why_a_participant_left_is_why_the_leg_ended(
    house: House, server: LiveKitStandIn, reason: Any, expected: Outcome
) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    pace.go.set()
    call = home.dial()
    await call.until("LegAnswered")
    assert pace.caller is not None
    await home.tell(pace.caller.leaves(reason))
    await call.until("LegEnded")
    assert call.end.outcome == expected


async def test_a_leaving_that_no_webhook_tells_of_is_seen(
    house: House, server: LiveKitStandIn
) -> None:
    home, pace = await house(look_active=0.05), Pace(server)
    home.add_trunk()
    pace.go.set()
    call = home.dial()
    await call.until("LegAnswered")
    assert pace.caller is not None
    pace.caller.leaves()
    await call.until("LegEnded")
    assert call.end.outcome == Outcome.completed(EndedBy.CALLEE)


async def test_the_room_itself_tells_first(house: House, server: LiveKitStandIn) -> None:
    home, pace = await house(reason_grace=60.0), Pace(server)
    home.add_trunk()
    pace.go.set()
    call = home.dial()
    await call.until("LegAnswered")
    assert pace.caller is not None
    pace.caller.leaves()
    home.rooms.links[0].peer_left("phone-x", "lost")
    await call.until("LegEnded")
    assert call.end.outcome == Outcome.dropped(Cause.NETWORK)


async def test_who_was_away_himself_does_not_take_the_caller_for_gone(
    house: House, server: LiveKitStandIn
) -> None:
    home, pace = await house(look_active=0.05), Pace(server)
    home.add_trunk()
    pace.go.set()
    call = home.dial()
    await call.until("LegAnswered")
    home.rooms.links[0].peer_left("phone-x", "lost")
    looks = len(server.asked("ListParticipants"))
    await until(lambda: len(server.asked("ListParticipants")) > looks + 3)
    assert call.kinds() == ["LegAnswered"]
    assert pace.caller is not None
    pace.caller.leaves()
    await call.until("LegEnded")
    assert call.end.outcome == Outcome.completed(EndedBy.CALLEE)


async def test_who_is_shut_out_of_the_room_hangs_up(house: House, server: LiveKitStandIn) -> None:
    home = await house()
    home.add_trunk()
    call = home.dial()
    await call.until("LegAnswered")
    home.rooms.links[0].left("duplicate")
    await call.until("LegEnded")
    assert call.end.outcome == Outcome.dropped(Cause.NETWORK)
    await until(lambda: server.deleted == ["sip-out-phone-x"])


async def test_keys_come_from_the_room_as_those_of_the_leg(house: House) -> None:
    home = await house()
    home.add_trunk()
    call = home.dial()
    await call.until("LegAnswered")
    home.rooms.links[0].presses("5")
    pressed = await call.until("DigitPressed")
    assert isinstance(pressed, DigitPressed)
    assert (pressed.leg, pressed.digit, pressed.method) == ("phone-x", "5", "rfc4733")


async def test_a_trunk_is_asked_no_more_often_than_it_allows(
    house: House, server: LiveKitStandIn
) -> None:
    home = await house()
    home.add_trunk(max_calls=1)
    first = home.dial()
    await first.until("LegAnswered")
    busy = home.carrier.admits("tr_lk")
    assert busy is not None
    assert busy.code == "TRUNK_BUSY"
    second = home.dial(leg="phone-y")
    assert second.end.outcome.cause is Cause.RATE_LIMITED
    first.leg.end(Outcome.completed(EndedBy.API))
    assert home.carrier.admits("tr_lk") is None


async def test_an_unknown_trunk_is_no_route(house: House) -> None:
    home = await house()
    assert home.dial(trunk="gone").end.outcome.cause is Cause.NO_ROUTE


async def test_a_stop_hangs_up_on_everybody(house: House, server: LiveKitStandIn) -> None:
    home = await house()
    home.add_trunk()
    call = home.dial()
    await call.until("LegAnswered")
    await home.carrier.stop()
    assert call.end.outcome.cause is Cause.INTERRUPTED
    assert server.people == {}
    assert home.carrier.ready() is not None
    assert home.dial(leg="phone-y").end.outcome.cause is Cause.UNREACHABLE


# -- transfers --------------------------------------------------------------------------------


async def transferred(
    house: House, server: LiveKitStandIn, then: Any, to: str = "+12025550199"
) -> tuple[ReferResult, Any]:
    home = await house()
    home.add_trunk()
    call = home.dial()
    await call.until("LegAnswered")

    async def answer(asked: sip.TransferSIPParticipantRequest) -> Any:
        if isinstance(then, Exception):
            raise then
        return then

    server.transferring = answer
    results: list[ReferResult] = []
    call.leg.refer(to, {"X-Why": "sales"}, results.append)
    await until(lambda: results)
    assert len(results) == 1
    return results[0], server.asked("TransferSIPParticipant")


async def test_a_transfer_that_worked(house: House, server: LiveKitStandIn) -> None:
    done = sip.TransferSIPParticipantResponse(
        transfer_id="TR_1", status=sip.STS_TRANSFER_SUCCESSFUL, reason=sip.STR_COMPLETED
    )
    result, (asked,) = await transferred(house, server, done)
    assert result == ReferResult(completed=True, sip_status=200)
    assert (asked.room_name, asked.participant_identity) == ("sip-out-phone-x", "phone-x")
    assert asked.transfer_to == "tel:+12025550199"
    assert dict(asked.headers) == {"X-Why": "sales"}
    assert asked.ringing_timeout.seconds == 1


async def test_an_older_server_answers_a_transfer_with_nothing(
    house: House, server: LiveKitStandIn
) -> None:
    empty = sip.TransferSIPParticipantResponse()
    result, (asked,) = await transferred(house, server, empty, "sip:desk@pbx.example")
    assert result.completed
    assert asked.transfer_to == "sip:desk@pbx.example"


@pytest.mark.parametrize(
    ("then", "supported", "cause", "status"),
    [
        (sip_refusal(405), False, Cause.CARRIER_ERROR, 405),
        (sip_refusal(486), True, Cause.BUSY, 486),
        (Refuse("failed_precondition", 412, "not established"), False, Cause.CARRIER_ERROR, None),
        (Refuse("unavailable", 503), True, Cause.NETWORK, None),
        (
            sip.TransferSIPParticipantResponse(
                transfer_id="TR_1",
                status=sip.STS_TRANSFER_FAILED,
                reason=sip.STR_RINGING_TIMEOUT,
            ),
            True,
            Cause.NO_ANSWER,
            None,
        ),
        (
            sip.TransferSIPParticipantResponse(
                transfer_id="TR_1",
                status=sip.STS_TRANSFER_FAILED,
                sip_status=sip.SIPStatus(code=603),
            ),
            True,
            Cause.DECLINED,
            603,
        ),
        (
            sip.TransferSIPParticipantResponse(transfer_id="TR_1", status=sip.STS_TRANSFER_ONGOING),
            True,
            Cause.CARRIER_ERROR,
            None,
        ),
    ],
)
async def test_a_transfer_that_did_not_work(
    house: House,
    server: LiveKitStandIn,
    then: Any,
    supported: bool,
    cause: Cause,
    status: int | None,
) -> None:
    """``supported`` False alone lets the switchboard dial and bridge."""
    result, asked = await transferred(house, server, then)
    assert result == ReferResult(False, supported, status, cause)
    assert len(asked) == 1


@pytest.mark.parametrize("gone", [False, True])
async def test_a_transfer_whose_answer_is_lost_is_not_made_again(
    house: House, server: LiveKitStandIn, gone: bool
) -> None:
    """Who has gone was transferred; of who is there it is not known, and nothing is dialled."""
    home, pace = await house(grace=2.0), Pace(server)
    home.add_trunk()
    pace.go.set()
    call = home.dial()
    await call.until("LegAnswered")
    assert pace.caller is not None
    if gone:
        pace.caller.leaves()
    server.raw["TransferSIPParticipant"] = (200, b"\xff")
    results: list[ReferResult] = []
    call.leg.refer("+12025550199", {}, results.append)
    await until(lambda: results)
    expected = ReferResult(True) if gone else ReferResult(False, True, None, Cause.NETWORK)
    assert results == [expected]
    assert len(server.asked("TransferSIPParticipant")) == 1


async def test_a_transfer_whose_answer_comes_after_the_caller_has_gone(
    house: House, server: LiveKitStandIn
) -> None:
    home, pace = await house(grace=2.0), Pace(server)
    home.add_trunk()
    pace.go.set()
    call = home.dial()
    await call.until("LegAnswered")
    gone = asyncio.Event()

    async def answer(asked: sip.TransferSIPParticipantRequest) -> Any:
        await gone.wait()
        return sip.TransferSIPParticipantResponse(
            transfer_id="TR_1", status=sip.STS_TRANSFER_SUCCESSFUL
        )

    server.transferring = answer
    results: list[ReferResult] = []
    call.leg.refer("+12025550199", {}, lambda result: results.append(result))
    await until(lambda: server.asked("TransferSIPParticipant"))
    assert pace.caller is not None
    looks = len(server.asked("ListParticipants"))
    await home.tell(pace.caller.leaves())
    await until(lambda: len(server.asked("ListParticipants")) > looks + 1)
    assert "LegEnded" not in call.kinds()
    gone.set()
    await call.until("LegEnded")
    assert [result.completed for result in results] == [True]


async def test_only_an_answered_leg_is_transferred_and_one_at_a_time(
    house: House, server: LiveKitStandIn
) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    call = home.dial()
    await call.until("LegRinging")
    results: list[ReferResult] = []
    call.leg.refer("+12025550199", {}, results.append)
    assert results == [ReferResult(False, supported=False)]
    pace.go.set()
    await call.until("LegAnswered")

    async def answer(asked: sip.TransferSIPParticipantRequest) -> Any:
        await asyncio.Event().wait()

    server.transferring = answer
    call.leg.refer("+12025550199", {}, results.append)
    call.leg.refer("+12025550199", {}, results.append)
    assert results[1:] == [ReferResult(False, supported=False)]
    call.leg.end(Outcome.completed(EndedBy.API))
    assert results[2] == ReferResult(False, True, 487, Cause.CANCELED)


async def test_ringing_is_told_once(house: House, server: LiveKitStandIn) -> None:
    home, pace = await house(), Pace(server)
    home.add_trunk()
    call = home.dial()
    await call.until("LegRinging")
    looks = len(server.asked("ListParticipants"))
    await until(lambda: len(server.asked("ListParticipants")) > looks + 3)
    pace.go.set()
    await call.until("LegAnswered")
    (rung,) = [event for event in call.events if isinstance(event, LegRinging)]
    assert rung.sip_status == 180
