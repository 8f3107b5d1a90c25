"""Calls between the trunk carrier and phones over real sockets, each ending once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from telephony.calls.events import DigitPressed, LegAnswered
from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.calls.ports import ReferResult
from telephony.sip.events import EndKind
from telephony.testing.softphone import Softphone

House = Callable[..., Awaitable[Any]]


# -- coming in --------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_stranger_is_answered_and_hangs_up(house: House, transport: str) -> None:
    home = await house()
    async with Softphone("bob", name="Bob", transport=transport) as phone:
        call = await phone.call(home.uri("front-desk"), headers=[("X-Ref", "7")])
        caught = await home.offered()
        offered = caught.offer.event
        assert (offered.dialled, offered.from_number, offered.from_name) == (
            "front-desk",
            "bob",
            "Bob",
        )
        assert offered.headers == {"X-Ref": "7"}
        assert caught.offer.stranger
        caught.leg.ring()
        assert (await call.ringing()).status == 180
        caught.leg.answer()
        await call.answered()
        assert call.agreed is not None
        assert call.agreed.codec == "PCMU"
        assert home.engine.lanes[0].starts[0]["remote"] == ("127.0.0.1", call.sound.port)
        call.hangup()
        await caught.until("LegEnded")
    assert caught.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    assert caught.end.outcome == Outcome.completed(EndedBy.CALLER)
    assert caught.end.quality.codec == "PCMU"
    assert home.carrier.legs == 0
    assert home.engine.lanes[0].closed


async def test_we_hang_up(house: House) -> None:
    home = await house()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        caught = await home.offered()
        caught.leg.answer()
        await call.answered()
        caught.leg.end(Outcome.completed(EndedBy.SERVICE))
        ending = await call.ended()
        assert ending.kind is EndKind.BYE
        assert ending.cause == 16
        caught.leg.end(Outcome.media_timeout())
    assert caught.kinds().count("LegEnded") == 1
    assert caught.end.outcome.ended_by is EndedBy.SERVICE


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.busy(), 486),
        (Outcome.declined(), 603),
        (Outcome.failed(Cause.NOT_FOUND), 404),
        (Outcome.failed(Cause.FORBIDDEN, sip_status=403), 403),
        (Outcome.failed(Cause.CAPACITY, sip_status=503, retry_after=9), 503),
    ],
)
async def test_refusals_reach_the_caller(house: House, outcome: Outcome, status: int) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.end(outcome)
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        ending = await call.ended()
        assert (ending.kind, ending.status) == (EndKind.REJECTED, status)
        assert ending.retry_after == outcome.retry_after
    (caught,) = home.caught
    assert caught.kinds() == ["LegEnded"]
    assert caught.end.outcome.sip_status == status


async def test_the_caller_gives_up(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.ring()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.ringing()
        call.cancel()
        assert (await call.ended()).kind is EndKind.CANCELLED
        caught = home.caught[0]
        await caught.until("LegEnded")
    assert caught.end.outcome == Outcome.canceled(EndedBy.CALLER, 487)


async def test_an_invite_without_an_offer(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"), offer=False)
        await call.answered()
        caught = home.caught[0]
        answered = await caught.until("LegAnswered")
        assert isinstance(answered, LegAnswered)
        assert answered.codec == "PCMU"
        assert home.engine.lanes[0].starts[0]["remote"] == ("127.0.0.1", call.sound.port)
        call.hangup()
        await caught.until("LegEnded")


async def test_hold_and_unhold(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        for method in ("INVITE", "UPDATE"):
            await call.hold(method=method)
            await call.hold(on=False, method=method)
        call.hangup()
        caught = home.caught[0]
        await caught.until("LegEnded")
    held = ["LegHeld", "LegUnheld"]
    assert caught.kinds() == ["LegAnswered", *held, *held, "LegEnded"]
    assert len(home.engine.lanes[0].starts) == 5


async def test_an_offer_we_cannot_take_changes_nothing(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        phone.driver.order(
            phone.agent.reinvite,
            call.session,
            b"v=0\r\no=- 1 9 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            b"m=audio 4000 RTP/AVP 18\r\n",
            now=phone.now,
        )
        await call.until(lambda: bool(call.offer_failures), 5)
        assert call.offer_failures[0].status == 488
        assert call.ending is None
        call.hangup()
        await home.caught[0].until("LegEnded")


async def test_keys_by_info(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        for key in "1#":
            call.info(key)
        caught = home.caught[0]
        async with asyncio.timeout(5):
            while caught.kinds().count("DigitPressed") < 2:
                await asyncio.sleep(0.01)
        keys = [e for e in caught.events if isinstance(e, DigitPressed)]
        assert [(k.digit, k.duration_ms, k.method) for k in keys] == [
            ("1", 160, "info"),
            ("#", 160, "info"),
        ]
        call.hangup()
        await caught.until("LegEnded")


async def test_media_that_ceases_ends_the_leg(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        home.engine.lanes[0].on_timeout()
        assert (await call.ended()).cause == 102
    assert home.caught[0].end.outcome == Outcome.media_timeout()


async def test_a_session_timer_is_agreed_and_too_small_is_422(house: House) -> None:
    home = await house(session_expires=1800, min_se=120)
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone(session_expires=90) as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        assert call.answer_message is not None
        assert (call.answer_message.headers.get("Session-Expires") or "").startswith("120")
        call.hangup()
        await home.caught[0].until("LegEnded")


async def test_nothing_usable_is_488_before_anybody_is_asked(house: House) -> None:
    home = await house()
    body = (
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        b"m=audio 4000 RTP/AVP 3 18\r\n"
    )
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"), body=body)
        assert (await call.ended()).status == 488
        assert call.final is not None
        assert (call.final.headers.get("Warning") or "").startswith("305 ")
        call = await phone.call(home.uri("front-desk"), body=b"no sdp at all")
        assert (await call.ended()).status == 400
        nasty = body.replace(b"RTP/AVP", b'RTP/"\\SAVP')
        call = await phone.call(home.uri("front-desk"), body=nasty)
        assert (await call.ended()).status == 488
        to_us = body.replace(b"4000", str(home.address[1]).encode()).replace(b"9 18", b"0")
        call = await phone.call(home.uri("front-desk"), body=to_us)
        assert (await call.ended()).status == 488
    assert home.caught == []
    assert home.carrier.refused == {488: 3, 400: 1}


# -- going out --------------------------------------------------------------------------------


async def test_a_trunk_call_is_answered(house: House) -> None:
    home = await house()
    async with Softphone("gw") as far:
        home.book.add_trunk(
            gateways=(f"127.0.0.1:{far.port}",), headers={"X-Account": "a"}, prefix="+", strip="00"
        )
        dialled = home.dial("+12025550123", headers={"X-Ref": "9", "Route": "<sip:evil>"})
        call = await far.incoming()
        request = call.request
        assert request.uri == f"sip:0012025550123@127.0.0.1:{far.port}"
        assert request.from_.uri.user == "0012025550100"
        assert "sip:0012025550100@" in (request.headers.get("P-Asserted-Identity") or "")
        assert (request.headers.get("X-Account"), request.headers.get("X-Ref")) == ("a", "9")
        assert request.routes == ()
        assert (request.headers.get("Session-Expires") or "").startswith("1800")
        call.ring()
        await dialled.until("LegRinging")
        await call.answer()
        await dialled.until("LegAnswered")
        call.hangup()
        await dialled.until("LegEnded")
    assert dialled.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    assert dialled.end.outcome == Outcome.completed(EndedBy.CALLEE)


@pytest.mark.parametrize(
    ("status", "cause", "call_status"),
    [
        (486, "busy", "busy"),
        (600, "busy", "busy"),
        (603, "declined", "failed"),
        (480, "no_answer", "no_answer"),
        (404, "not_found", "failed"),
        (488, "media_incompatible", "failed"),
        (500, "carrier_error", "failed"),
        (503, "carrier_error", "failed"),
        (302, "carrier_error", "failed"),
    ],
)
async def test_what_the_far_end_answers(
    house: House, status: int, cause: str, call_status: str
) -> None:
    home = await house()
    async with Softphone("gw") as far:
        far.on_call = lambda call: call.reject(status)
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",))
        dialled = home.dial("+12025550123")
        await dialled.until("LegEnded")
    outcome = dialled.end.outcome
    assert (outcome.cause.value, outcome.status.value) == (cause, call_status)
    assert outcome.sip_status == status
    assert dialled.kinds() == ["LegEnded"]


async def test_early_media_comes_before_the_answer(house: House) -> None:
    home = await house()
    async with Softphone("gw") as far:
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",))
        dialled = home.dial("+12025550123")
        call = await far.incoming()
        await call.early_media()
        await dialled.until("LegEarlyMedia")
        assert home.engine.lanes[0].starts[0]["remote"] == ("127.0.0.1", call.sound.port)
        assert dialled.leg.media is home.engine.lanes[0]
        await call.answer()
        await dialled.until("LegAnswered")
        dialled.leg.end(Outcome.completed(EndedBy.API))
        await call.ended()
    assert dialled.kinds() == ["LegEarlyMedia", "LegAnswered", "LegEnded"]


async def test_keys_are_pressed_once_it_is_answered(house: House) -> None:
    home = await house()
    pressed: list[str] = []
    async with Softphone("gw") as far:
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",))
        dialled = home.dial("+12025550123", digits="ww42#")
        call = await far.incoming()
        (lane,) = home.engine.lanes
        lane.send_digits = pressed.append
        call.ring()
        await dialled.until("LegRinging")
        assert pressed == []
        await call.answer()
        await dialled.until("DigitsSent")
        call.hangup()
        await dialled.until("LegEnded")
    assert pressed == ["ww42#"]
    assert dialled.kinds() == ["LegRinging", "LegAnswered", "DigitsSent", "LegEnded"]


async def test_nobody_picks_up(house: House) -> None:
    home = await house()
    async with Softphone("gw") as far:
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",))
        dialled = home.dial("+12025550123", ring_seconds=0.3)
        call = await far.incoming()
        call.ring()
        await dialled.until("LegEnded")
        assert (await call.ended()).kind is EndKind.CANCELLED
    assert dialled.kinds() == ["LegRinging", "LegEnded"]
    assert dialled.end.outcome == Outcome.no_answer()


async def test_we_give_up_while_it_rings(house: House) -> None:
    home = await house()
    async with Softphone("gw") as far:
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",))
        dialled = home.dial("+12025550123")
        call = await far.incoming()
        call.ring()
        await dialled.until("LegRinging")
        dialled.leg.end(Outcome.canceled(EndedBy.API))
        assert (await call.ended()).kind is EndKind.CANCELLED
    assert dialled.end.outcome == Outcome.canceled(EndedBy.API, 487)


async def test_digest_of_the_trunk_and_of_nobody_else(house: House) -> None:
    home = await house()
    provider = await house(host="0.0.0.0", realm="provider")
    provider.book.add_trunk("us", gateways=("127.0.0.1",), username="acct", password="pw")
    provider.when_taken = lambda caught: caught.leg.answer()
    home.book.add_trunk(
        gateways=(f"127.0.0.1:{provider.address[1]}",), username="acct", password="pw"
    )
    dialled = home.dial("+12025550123")
    await dialled.until("LegAnswered")
    (caught,) = provider.caught
    assert caught.offer.event.trunk == "tr_us"
    assert caught.offer.event.dialled == "+12025550123"
    dialled.leg.end(Outcome.completed(EndedBy.API))
    await caught.until("LegEnded")
    home.book.trunk_list.clear()
    home.book.add_trunk(
        gateways=(f"127.0.0.1:{provider.address[1]}",), username="acct", password="wrong"
    )
    refused = home.dial("+12025550123")
    await refused.until("LegEnded")
    assert refused.end.outcome.cause is Cause.FORBIDDEN


async def test_the_next_gateway_when_one_is_dead_busy_or_silent(house: House) -> None:
    home = await house(silent_seconds=0.3)
    silent = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    mute = silent[0].get_extra_info("sockname")[1]
    async with Softphone("full") as full, Softphone("good") as good:
        full.on_call = lambda call: call.reject(503)
        home.book.add_trunk(
            gateways=(
                f"127.0.0.1:{mute}",
                "127.0.0.1:9",
                f"127.0.0.1:{full.port}",
                f"127.0.0.1:{good.port}",
            )
        )
        dialled = home.dial("+12025550123")
        call = await good.incoming()
        await call.answer()
        await dialled.until("LegAnswered")
        dialled.leg.end(Outcome.completed(EndedBy.API))
        await call.ended()
        # What was silent is asked last the next time.
        dialled = home.dial("+12025550123")
        call = await good.incoming(0.25)
        await call.answer()
        await dialled.until("LegAnswered")
        call.hangup()
        await dialled.until("LegEnded")
    silent[0].close()
    assert dialled.kinds() == ["LegAnswered", "LegEnded"]


async def test_no_gateway_at_all(house: House) -> None:
    home = await house()
    assert home.dial("+12025550123").end.outcome.cause is Cause.NO_ROUTE
    home.book.add_trunk(gateways=("127.0.0.1:9",))
    dialled = home.dial("+12025550123")
    await dialled.until("LegEnded")
    assert dialled.end.outcome.cause is Cause.UNREACHABLE


async def test_caps_of_a_trunk(house: House) -> None:
    home = await house()
    async with Softphone("gw") as far:
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",), max_calls=1)
        assert home.carrier.admits("default") is None
        first = home.dial("+12025550123")
        busy = home.carrier.admits("tr_main")
        assert busy is not None
        assert busy.code == "TRUNK_BUSY"
        assert home.dial("+12025550124").end.outcome.cause is Cause.RATE_LIMITED
        call = await far.incoming()
        call.reject(486)
        await first.until("LegEnded")
        assert home.carrier.admits("tr_main") is None


async def test_a_full_trunk_takes_no_call_in(house: House) -> None:
    home = await house(host="0.0.0.0")
    home.book.add_trunk(gateways=("127.0.0.1",), allowed_sources=("127.0.0.0/8",), max_calls=1)
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone("gw") as far:
        first = await far.call(home.uri("+12025550123"))
        await first.answered()
        assert home.caught[0].offer.event.trunk == "tr_main"
        second = await far.call(home.uri("+12025550123"))
        ending = await second.ended()
        assert (ending.status, ending.retry_after) == (503, 5)
        first.hangup()
        await home.caught[0].until("LegEnded")
        third = await far.call(home.uri("+12025550124"))
        await third.answered()
        third.hangup()
        await home.caught[1].until("LegEnded")
    assert len(home.caught) == 2


@pytest.mark.parametrize("bound", ["::1", "::"])
async def test_calls_over_ipv6(house: House, bound: str) -> None:
    home = await house(host=bound, accept_strangers=True)
    home.when_taken = lambda caught: caught.leg.answer()
    port = home.carrier.address[1]
    async with Softphone(host="::1") as phone:
        call = await phone.call(f"sip:front-desk@[::1]:{port}")
        await call.answered()
        assert call.agreed is not None
        assert call.agreed.remote_host == "::1"
        caught = home.caught[0]
        caught.leg.end(Outcome.completed(EndedBy.SERVICE))
        assert (await call.ended()).kind is EndKind.BYE
    if bound == "::":
        async with Softphone() as phone:
            call = await phone.call(f"sip:front-desk@127.0.0.1:{port}")
            await call.answered()
            assert call.agreed is not None
            assert call.agreed.remote_host == "127.0.0.1"
            call.hangup()
            await home.caught[1].until("LegEnded")


async def test_an_answer_without_a_codec_of_ours_is_hung_up(house: House) -> None:
    home = await house()
    async with Softphone("gw") as far:
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",))
        dialled = home.dial("+12025550123")
        call = await far.incoming()
        body = (
            b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            b"m=audio 4000 RTP/AVP 18\r\n"
        )
        far.order(far.agent.answer, call.session, body)
        await dialled.until("LegEnded")
        await call.ended()
    assert dialled.kinds() == ["LegEnded"]
    assert dialled.end.outcome.cause is Cause.MEDIA_INCOMPATIBLE


# -- transfer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "result"),
    [
        ((100, 200), ReferResult(True, True, 200)),
        ((100, 486), ReferResult(False, True, 486, Cause.BUSY)),
        ((), ReferResult(False, False, 405, Cause.CARRIER_ERROR)),
    ],
)
async def test_refer_is_followed_to_its_end(
    house: House, statuses: tuple[int, ...], result: ReferResult
) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        results: list[ReferResult] = []
        home.caught[0].leg.refer("+12025550177", {"X-Why": "sales"}, results.append)
        await call.until(lambda: bool(call.refers), 5)
        assert call.refers[0].refer_to.startswith("sip:+12025550177@127.0.0.1:")
        assert call.refers[0].request.headers.get("X-Why") == "sales"
        if statuses:
            call.take_refer(*statuses)
        else:
            call.refuse_refer(405)
        async with asyncio.timeout(5):
            while not results:
                await asyncio.sleep(0.01)
        assert results == [result]
        call.hangup()
        await home.caught[0].until("LegEnded")


async def test_nobody_transfers_himself_at_our_cost(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        assert call.refer("sip:+8821@127.0.0.1")
        await call.until(lambda: bool(call.refer_endings), 5)
        assert call.refer_endings[0].status == 603
        call.hangup()
        await home.caught[0].until("LegEnded")


async def test_stopping_ends_every_leg_and_leaves_no_task(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    before = len(asyncio.all_tasks())
    async with Softphone() as phone, Softphone("gw") as far:
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",))
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        dialled = home.dial("+12025550123")
        ringing = await far.incoming()
        ringing.ring()
        await dialled.until("LegRinging")
        await home.carrier.stop()
        await call.ended()
        await ringing.ended()
    assert home.carrier.ready() == "SIP is not listening"
    assert home.caught[0].end.outcome.cause is Cause.INTERRUPTED
    assert dialled.end.outcome.cause is Cause.INTERRUPTED
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) <= before
