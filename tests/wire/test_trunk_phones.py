"""Phones that log in, call and are called; strangers and what they are told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.carriers.trunk.registrations import RegistrationState
from telephony.sip.auth import Credentials
from telephony.sip.events import EndKind
from telephony.testing.softphone import Softphone

House = Callable[..., Awaitable[Any]]


# -- logging in -------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_phone_logs_in_calls_and_is_called(house: House, transport: str) -> None:
    home = await house(host="0.0.0.0")
    home.book.add_phone()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone("1000", "secret", transport=transport) as phone:
        assert await phone.register(home.address) == 200
        assert home.carrier.registered("1000") == 1
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        (caught,) = home.caught
        assert (caught.offer.event.phone, caught.offer.event.from_number) == ("1000", "1000")
        assert not caught.offer.stranger
        call.hangup()
        await caught.until("LegEnded")
        dialled = home.dial("1000", phone=True, from_number="+12025550123", from_name="Ann")
        ringing = await phone.incoming()
        assert ringing.request.from_.display == "Ann"
        assert ringing.request.from_.uri.user == "+12025550123"
        ringing.ring()
        await dialled.until("LegRinging")
        await ringing.answer()
        await dialled.until("LegAnswered")
        dialled.leg.end(Outcome.completed(EndedBy.API))
        await ringing.ended()
        await phone.unregister()
        assert home.carrier.registered("1000") == 0
    assert home.dial("1000", phone=True).end.outcome == Outcome.no_answer(480)
    assert home.dial("2000", phone=True).end.outcome.cause is Cause.NOT_FOUND


async def test_wrong_passwords_and_unknown_users_get_the_same(house: House) -> None:
    home = await house()
    home.book.add_phone()
    async with Softphone("1000", "wrong") as one, Softphone("1001", "wrong") as two:
        assert await one.register(home.address) == 403
        assert await two.register(home.address) == 403
    async with Softphone("1000") as none:
        assert await none.register(home.address) == 401
    assert home.carrier.registered("1000") == 0


async def test_another_users_address_cannot_be_taken(house: House) -> None:
    home = await house()
    home.book.add_phone("1000")
    home.book.add_phone("1001", "other")
    async with Softphone("1000", "other") as thief:
        thief._credentials = lambda: (Credentials("1001", "other"),)  # type: ignore[method-assign]
        assert await thief.register(home.address) == 403
    assert home.carrier.registered("1000") == 0


async def test_too_brief_is_423_and_asked_again(house: House) -> None:
    home = await house()
    home.book.add_phone()
    async with Softphone("1000", "secret") as phone:
        assert await phone.register(home.address, expires=5) == 200
        assert home.carrier.registered("1000") == 1


async def test_a_deleted_phone_is_gone_at_once(house: House) -> None:
    home = await house()
    home.book.add_phone()
    async with Softphone("1000", "secret") as phone:
        assert await phone.register(home.address) == 200
        home.book.phone_list.clear()
        home.book.changed()
        assert home.carrier.registered("1000") == 0
        assert home.dial("1000", phone=True).end.outcome.cause is Cause.NOT_FOUND
        assert await phone.register(home.address) == 403


# -- several phones of one user ---------------------------------------------------------------


async def test_all_ring_and_the_first_to_answer_has_the_call(house: House) -> None:
    home = await house()
    home.book.add_phone()
    async with Softphone("1000", "secret") as desk, Softphone("1000", "secret") as mobile:
        assert await desk.register(home.address) == 200
        assert await mobile.register(home.address) == 200
        dialled = home.dial("1000", phone=True)
        one, two = await desk.incoming(), await mobile.incoming()
        one.ring()
        two.ring()
        await two.answer()
        await dialled.until("LegAnswered")
        ending = await one.ended()
        assert ending.kind is EndKind.CANCELLED
        assert "elsewhere" in (ending.reason_header or "")
        two.hangup()
        await dialled.until("LegEnded")
    assert dialled.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    assert len(home.engine.lanes) == 1


async def test_busy_is_told_when_nobody_else_takes_it(house: House) -> None:
    home = await house()
    home.book.add_phone()
    async with Softphone("1000", "secret") as desk, Softphone("1000", "secret") as mobile:
        await desk.register(home.address)
        await mobile.register(home.address)
        desk.on_call = lambda call: call.reject(486)
        mobile.on_call = lambda call: call.reject(480)
        dialled = home.dial("1000", phone=True)
        await dialled.until("LegEnded")
    assert dialled.end.outcome == Outcome.busy(486, "Busy Here")


async def test_both_answer_at_once_and_one_call_stays(house: House) -> None:
    home = await house()
    home.book.add_phone()
    async with Softphone("1000", "secret") as desk, Softphone("1000", "secret") as mobile:
        await desk.register(home.address)
        await mobile.register(home.address)
        dialled = home.dial("1000", phone=True)
        one, two = await desk.incoming(), await mobile.incoming()
        await asyncio.gather(one.answer(), two.answer())
        await dialled.until("LegAnswered")
        async with asyncio.timeout(5):
            while one.ending is None and two.ending is None:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert (one.ending is None) != (two.ending is None)
        (one if one.ending is None else two).hangup()
        await dialled.until("LegEnded")
    assert dialled.kinds() == ["LegAnswered", "LegEnded"]


# -- strangers --------------------------------------------------------------------------------


async def test_on_an_open_bind_strangers_are_refused(house: House) -> None:
    home = await house(host="0.0.0.0")
    async with Softphone("bob") as bob:
        call = await bob.call(home.uri("front-desk"))
        assert (await call.ended()).status == 403
        home.book.add_phone()
        answers = []
        for user in ("front-desk", "1000", "1001", "+12025550123"):
            call = await bob.call(home.uri(user))
            answers.append((await call.ended()).status)
        assert answers == [401] * 4
    assert home.caught == []


async def test_strangers_where_they_are_welcome_reach_names_only(house: House) -> None:
    home = await house(host="0.0.0.0", accept_strangers=True)
    home.when_taken = lambda caught: caught.leg.end(Outcome.busy())
    async with Softphone("bob") as bob:
        call = await bob.call(home.uri("front-desk"))
        assert (await call.ended()).status == 486
        assert home.caught[0].offer.stranger
        call = await bob.call(home.uri("+12025550123"))
        assert (await call.ended()).status == 403


async def test_a_challenge_is_sent_once_and_leaves_nothing(house: House) -> None:
    home = await house(host="0.0.0.0")
    home.book.add_phone()
    replies: list[bytes] = []

    class Ears(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            replies.append(data)

    loop = asyncio.get_running_loop()
    wire, _ = await loop.create_datagram_endpoint(Ears, remote_addr=home.address)
    wire.sendto(_invite(home.address[1], "front-desk", 1))
    await asyncio.sleep(1.2)
    wire.close()
    assert [r.split(b"\r\n")[0][8:11] for r in replies] == [b"100", b"401"]
    assert home.carrier.legs == 0


async def test_a_flood_is_met_with_silence(house: House) -> None:
    home = await house(host="0.0.0.0")
    replies: list[bytes] = []

    class Ears(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            replies.append(data)

    loop = asyncio.get_running_loop()
    wire, _ = await loop.create_datagram_endpoint(Ears, remote_addr=home.address)
    for i in range(200):
        wire.sendto(_invite(home.address[1], "front-desk", i))
        if i % 20 == 0:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    wire.close()
    refused = [r for r in replies if r.startswith(b"SIP/2.0 403")]
    assert len(refused) == 16
    # A trunk and a loopback bind are not counted.
    local = await house()
    async with Softphone("bob") as bob:
        for _ in range(40):
            call = await bob.call(local.uri("+12025550123"))
            assert (await call.ended()).status == 403


async def test_a_scanner_hears_nothing(house: House) -> None:
    home = await house()
    async with Softphone("100", user_agent="friendly-scanner") as scanner:
        call = await scanner.call(home.uri("100"))
        await asyncio.sleep(0.3)
        assert call.progress == []
        assert call.ending is None
    assert home.caught == []


def _invite(port: int, to: str, number: int) -> bytes:
    lines = [
        f"INVITE sip:{to}@127.0.0.1:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK{number}x{random.random()}",
        f"From: <sip:bob@127.0.0.1>;tag={number}",
        f"To: <sip:{to}@127.0.0.1>",
        f"Call-ID: flood-{number}",
        "CSeq: 1 INVITE",
        "Contact: <sip:bob@127.0.0.1:9>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# -- our own registrations ----------------------------------------------------------------------


async def test_a_trunk_that_registers_is_kept_visible_and_left(house: House) -> None:
    provider = await house(host="0.0.0.0")
    provider.book.add_phone("acct", "pw")
    home = await house()
    assert home.carrier.status() == []
    trunk = home.book.add_trunk(
        gateways=(f"127.0.0.1:{provider.address[1]}",),
        username="acct",
        password="pw",
        register=True,
    )
    async with asyncio.timeout(5):
        while home.carrier.status()[0].state is not RegistrationState.REGISTERED:
            await asyncio.sleep(0.01)
    (status,) = home.carrier.status()
    assert (status.trunk, status.expires) == (trunk.id, 300)
    assert provider.carrier.registered("acct") == 1
    # The provider calls the account: our Contact, with the number behind it.
    home.book.trunk_list.clear()
    home.book.changed()
    assert home.carrier.status() == []
    async with asyncio.timeout(5):
        while provider.carrier.registered("acct"):
            await asyncio.sleep(0.01)


async def test_a_registration_that_is_refused_says_so(house: House) -> None:
    provider = await house(host="0.0.0.0")
    provider.book.add_phone("acct", "pw")
    home = await house()
    home.book.add_trunk(
        gateways=(f"127.0.0.1:{provider.address[1]}",),
        username="acct",
        password="wrong",
        register=True,
    )
    async with asyncio.timeout(5):
        while home.carrier.status()[0].state is not RegistrationState.FAILED:
            await asyncio.sleep(0.01)
    assert home.carrier.status()[0].sip_status == 403
    assert home.carrier.ready() is None
