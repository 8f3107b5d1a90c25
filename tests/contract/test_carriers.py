"""What every carrier does, as the switchboard relies on it: our own SIP, LiveKit's, the double.

Each has a far end that a test plays: it rings, answers, refuses, presses, leaves, calls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import pytest
from livekit.protocol import sip

from telephony.base.clock import ManualClock
from telephony.calls.events import DigitPressed, LegEvent
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.calls.ports import Carrier, DialRequest, Offer, OfferedLeg, ReferResult
from telephony.calls.state import LegState
from telephony.testing.carrier import FakeCarrier, FakeLeg
from telephony.testing.livekit_sip import Caller, LiveKitStandIn, Refuse, sip_refusal
from telephony.testing.softphone import PhoneCall, Softphone
from tests.wire.conftest import Caught, QuietEngine, TrunkHouse
from tests.wire.livekit.conftest import LiveKitHouse

NUMBER = "+12025550123"


class Far(Protocol):
    """A carrier that is started, and the far end of its last call."""

    carrier: Carrier
    caught: list[Caught]

    async def called(self) -> None:
        """The order to dial has arrived there."""
        ...

    async def rings(self) -> None: ...

    async def answers(self) -> None: ...

    async def is_busy(self) -> None: ...

    async def leaves(self) -> None:
        """Hangs up, or gives up while it calls."""
        ...

    async def presses(self, digit: str) -> None: ...

    async def calls_in(self) -> Caught: ...

    async def is_picked_up(self) -> None:
        """After our ``answer``: what the far end has to do that it counts."""
        ...

    async def is_let_go(self) -> None:
        """The far end has been told that it is over."""
        ...


class FakeFar:
    def __init__(self) -> None:
        self.carrier = FakeCarrier(ManualClock())
        self.caught: list[Caught] = []
        self._leg: FakeLeg | None = None

    async def __aenter__(self) -> FakeFar:
        await self.carrier.start(lambda offer, leg: _take(self.caught, offer, leg))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.carrier.stop()

    @property
    def leg(self) -> FakeLeg:
        return self._leg or self.carrier.dialled[-1]

    async def called(self) -> None:
        assert self.carrier.dialled

    async def rings(self) -> None:
        self.leg.rings()

    async def answers(self) -> None:
        self.leg.answers()

    async def is_busy(self) -> None:
        self.leg.leaves(Outcome.busy())

    async def leaves(self) -> None:
        answered = "answer" in self.leg.orders
        calls = self._leg is not None and not answered
        self.leg.leaves(Outcome.canceled(EndedBy.CALLER, 487) if calls else None)

    async def presses(self, digit: str) -> None:
        self.leg.presses(digit)

    async def calls_in(self) -> Caught:
        self._leg = self.carrier.offer(NUMBER, trunk="tr_main")
        return self.caught[-1]

    async def is_picked_up(self) -> None: ...

    async def is_let_go(self) -> None:
        assert "end" in self.leg.orders


class TrunkFar:
    def __init__(self) -> None:
        self._house = TrunkHouse()
        self._phone = Softphone("gw")
        self._call: PhoneCall | None = None
        self.carrier: Carrier = self._house.carrier
        self.caught = self._house.caught

    async def __aenter__(self) -> TrunkFar:
        await self._phone.start()
        gateways, sources = (f"127.0.0.1:{self._phone.port}",), ("127.0.0.1/32",)
        self._house.book.add_trunk(gateways=gateways, allowed_sources=sources)
        await self._house.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.carrier.stop()
        await self._phone.stop()

    @property
    def call(self) -> PhoneCall:
        assert self._call is not None
        return self._call

    async def called(self) -> None:
        self._call = await self._phone.incoming()

    async def rings(self) -> None:
        self.call.ring()

    async def answers(self) -> None:
        await self.call.answer()

    async def is_busy(self) -> None:
        self.call.reject(486)

    async def leaves(self) -> None:
        if self.caught and self.caught[-1].leg.state is not LegState.ANSWERED:
            self.call.cancel()
        else:
            self.call.hangup()

    async def presses(self, digit: str) -> None:
        self.call.info(digit)

    async def calls_in(self) -> Caught:
        self._call = await self._phone.call(self._house.uri(NUMBER))
        caught: Caught = await self._house.offered()
        return caught

    async def is_picked_up(self) -> None:
        await self.call.answered()

    async def is_let_go(self) -> None:
        await self.call.ended()


class LiveKitFar:
    def __init__(self) -> None:
        self._server = LiveKitStandIn()
        self._server.dialling = self._dialling
        self._asked = asyncio.Event()
        self._decided: asyncio.Queue[Refuse | None] = asyncio.Queue()
        self._caller: Caller | None = None
        self.caught: list[Caught] = []

    async def __aenter__(self) -> LiveKitFar:
        await self._server.__aenter__()
        self._house = LiveKitHouse(self._server, QuietEngine())
        self._house.caught = self.caught
        self._house.add_trunk("main")
        self._house.add_number(NUMBER, "tr_main")
        self.carrier: Carrier = self._house.carrier
        await self._house.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._house.stop()
        await self._server.__aexit__()
        assert self._server.faults == []

    async def _dialling(self, caller: Caller, asked: sip.CreateSIPParticipantRequest) -> None:
        self._caller = caller
        self._asked.set()
        refusal = await self._decided.get()
        if refusal is not None:
            raise refusal
        caller.says("active")

    @property
    def caller(self) -> Caller:
        assert self._caller is not None
        return self._caller

    async def called(self) -> None:
        async with asyncio.timeout(5):
            await self._asked.wait()

    async def rings(self) -> None:
        self.caller.says("ringing")

    async def answers(self) -> None:
        self._decided.put_nowait(None)

    async def is_busy(self) -> None:
        self._decided.put_nowait(sip_refusal(486))

    async def leaves(self) -> None:
        await self._house.tell(self.caller.leaves())

    async def presses(self, digit: str) -> None:
        self._house.rooms.links[-1].presses(digit)

    async def calls_in(self) -> Caught:
        self._caller = self._server.calls_in("sip-in_1", NUMBER)
        return await self._house.offered()

    async def is_picked_up(self) -> None:
        self.caller.says("active")

    async def is_let_go(self) -> None:
        async with asyncio.timeout(5):
            while self.caller.present:
                await asyncio.sleep(0.005)


def _take(caught: list[Caught], offer: Offer, leg: OfferedLeg) -> None:
    one = Caught(leg, offer)
    caught.append(one)
    leg.name(f"phone-{len(caught)}", one.events.append)


FARS: dict[str, Callable[[], Any]] = {"double": FakeFar, "trunk": TrunkFar, "livekit": LiveKitFar}


@pytest.fixture(params=sorted(FARS))
async def far(request: pytest.FixtureRequest) -> AsyncIterator[Far]:
    async with contextlib.AsyncExitStack() as stack:
        yield await stack.enter_async_context(FARS[request.param]())


def dial(far: Far, **values: Any) -> Caught:
    caught = Caught()
    given = {"leg": "phone-x", "call": "x", "to": "+12025550188", "from_number": "+12025550100"}
    request = DialRequest(**{**given, "trunk": "tr_main", "ring_seconds": 20, **values})
    caught.leg = far.carrier.dial(request, caught.events.append)
    return caught


async def talk(far: Far) -> Caught:
    """An answered call of ours."""
    call = dial(far)
    await far.called()
    await far.answers()
    await call.until("LegAnswered")
    return call


def of_one_leg(call: Caught, leg: str) -> None:
    assert {event.leg for event in call.events if isinstance(event, LegEvent)} == {leg}
    assert call.kinds().count("LegEnded") == 1
    assert call.kinds()[-1] == "LegEnded"


async def test_a_call_out_rings_is_answered_and_left(far: Far) -> None:
    assert far.carrier.ready() is None
    assert far.carrier.admits("tr_main") is None
    call = dial(far)
    assert call.leg.id == "phone-x"
    await far.called()
    await far.rings()
    await call.until("LegRinging")
    await far.answers()
    await call.until("LegAnswered")
    await far.leaves()
    await call.until("LegEnded")
    assert call.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    of_one_leg(call, "phone-x")
    assert call.end.outcome == Outcome.completed(EndedBy.CALLEE)


async def test_an_order_to_end_is_final_and_heard_there(far: Far) -> None:
    call = await talk(far)
    ours = Outcome.completed(EndedBy.API)
    call.leg.end(ours)
    await call.until("LegEnded")
    call.leg.end(Outcome.failed(Cause.INTERNAL))
    await far.is_let_go()
    assert call.end.outcome == ours
    of_one_leg(call, "phone-x")


async def test_a_call_that_rings_is_cancelled(far: Far) -> None:
    call = dial(far)
    await far.called()
    await far.rings()
    await call.until("LegRinging")
    call.leg.end(Outcome.canceled(EndedBy.API))
    await call.until("LegEnded")
    await far.is_let_go()
    outcome = call.end.outcome
    assert (outcome.status, outcome.cause) == (Status.CANCELED, Cause.CANCELED)
    assert outcome.ended_by is EndedBy.API
    of_one_leg(call, "phone-x")


async def test_a_call_ended_before_anything_came_back(far: Far) -> None:
    call = dial(far)
    call.leg.end(Outcome.canceled(EndedBy.SERVICE))
    await call.until("LegEnded")
    assert call.end.outcome.status is Status.CANCELED
    of_one_leg(call, "phone-x")


async def test_busy(far: Far) -> None:
    call = dial(far)
    await far.called()
    await far.is_busy()
    await call.until("LegEnded")
    outcome = call.end.outcome
    assert (outcome.status, outcome.cause, outcome.sip_status) == (Status.BUSY, Cause.BUSY, 486)
    of_one_leg(call, "phone-x")


async def test_a_key_of_the_far_end(far: Far) -> None:
    call = await talk(far)
    await far.presses("5")
    pressed = await call.until("DigitPressed")
    assert isinstance(pressed, DigitPressed)
    assert (pressed.leg, pressed.digit) == ("phone-x", "5")


async def test_orders_after_the_end_do_nothing(far: Far) -> None:
    call = await talk(far)
    await far.leaves()
    await call.until("LegEnded")
    results: list[ReferResult] = []
    call.leg.refer("+12025550199", {}, results.append)
    call.leg.end(Outcome.completed(EndedBy.API))
    call.leg.media.stop()
    call.leg.media.finish()
    assert [result.completed for result in results] == [False]
    of_one_leg(call, "phone-x")


async def test_a_caller_is_offered_answered_and_leaves(far: Far) -> None:
    call = await far.calls_in()
    assert call.offer is not None
    event = call.offer.event
    assert (event.dialled, event.trunk) == (NUMBER, "tr_main")
    assert (call.offer.organization, call.offer.stranger) == ("org_default", False)
    call.leg.ring()
    await call.until("LegRinging")
    call.leg.answer()
    await far.is_picked_up()
    await call.until("LegAnswered")
    call.leg.answer()
    await far.leaves()
    await call.until("LegEnded")
    assert call.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    of_one_leg(call, "phone-1")
    assert call.end.outcome == Outcome.completed(EndedBy.CALLER)


async def test_a_caller_gives_up(far: Far) -> None:
    call = await far.calls_in()
    call.leg.ring()
    await call.until("LegRinging")
    await far.leaves()
    await call.until("LegEnded")
    assert call.end.outcome == Outcome.canceled(EndedBy.CALLER, 487)
    of_one_leg(call, "phone-1")


async def test_a_caller_is_refused(far: Far) -> None:
    call = await far.calls_in()
    call.leg.end(Outcome.declined())
    await call.until("LegEnded")
    await far.is_let_go()
    assert call.end.outcome.cause is Cause.DECLINED
    of_one_leg(call, "phone-1")
